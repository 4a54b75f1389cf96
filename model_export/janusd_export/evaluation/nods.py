"""What a nod does, up or down: to the score, to attack detection, to a challenge. SIMULATED, all of it.

`pictures` and `films` bend portraits of people who do not exist as though the face stood out of them
(`detector.turning`) and put them through the door's own pipeline. `paths` and `challenges` ask the geometry
about landmarks of heads and prints that nod, with the noise of `attacks.heads`. Angles as in `core.pose`:
positive looks down.

Not shown here: what a nod hides and uncovers (nostrils, forehead, chin), and real necks and cameras. The
door's detector learnt on bends of the same code: it may find real nods harder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core import parallax, pose
from janusd.core.challenge import Turn
from janusd.core.gallery import Gallery
from janusd.core.parallax import Relief
from janusd.core.types import Embedding, Frame, Image
from janusd.demo.album import Cutout, Person, View, album
from janusd.pipeline import Pipeline
from janusd_export.attacks import answers, heads
from janusd_export.attacks.answers import Actor
from janusd_export.attacks.heads import Angles, Points3, Setting
from janusd_export.detector.turning import turned

PITCHES_DEG: Final = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
_FRAME_PX: Final = (480, 640)
_NECK_MM: Final = np.array([0.0, 0.0, 95.0])
_SIDE: Final = {Turn.LEFT: 1.0, Turn.RIGHT: -1.0, Turn.CENTRE: 0.0}

Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Bent:
    """All pictures at one angle."""

    pitch_deg: float
    shown: int = 0
    found: int = 0
    """In which there was one face."""
    fit: int = 0
    """Whose face was not refused for its pose, light or size."""
    matched: int = 0
    """Whose best score with their own enrolment reached the threshold."""
    others: int = 0
    """Whose best score with somebody else's did."""
    passive_passed: int = 0
    """Whose face the attack network called genuine, of one frame."""
    read_deg: float = 0.0
    """Mean pitch that the door reads, of those that are fit."""
    true_deg: float = 0.0
    """Mean pitch that the door would read if its detector put the points where the bend took them."""
    yaw_deg: float = 0.0
    """Mean of how far yaw is read away from what it was without the nod."""
    score: float = 0.0
    """Mean best score with their own enrolment, of those that are fit."""
    genuine: float = 0.0
    """Mean of the attack network, of those that are fit."""


@dataclass(slots=True)
class Nodded:
    """One kind of presentation, and what became of so many."""

    part: str
    species: str
    is_attack: bool
    trials: int
    passed: int = 0
    """Called live, or passed the challenge."""
    flat: int = 0
    """Called a sheet on the way; of films and paths only."""

    @property
    def rate_name(self) -> str:
        """What its error rate is called; a nod that is no answer is no attack, and no error if refused."""
        return "APCER" if self.is_attack else "passed"


def pictures(
    pipeline: Pipeline, threshold: float, progress: Progress, people: Sequence[Person] = ()
) -> list[Bent]:
    """These people (the demo's), each bent to every angle, beside their other pictures as enrolled."""
    people = people or list(album().values())
    enrolled = [_enrolled(pipeline, person) for person in people]
    rows = [Bent(pitch_deg) for pitch_deg in PITCHES_DEG]
    shown = [(at, view.cutout()) for at, person in enumerate(people) for view in _to_show(person)]
    for number, (at, cutout) in enumerate(shown):
        others = np.concatenate([theirs for one, theirs in enumerate(enrolled) if one != at])
        _nod(pipeline, _framed(cutout), rows, enrolled[at], others, threshold)
        progress("pictures", number + 1, len(shown))
    for row in rows:
        for name in ("read_deg", "true_deg", "yaw_deg", "score", "genuine"):
            setattr(row, name, getattr(row, name) / max(1, row.fit))
    return rows


def films(pipeline: Pipeline, progress: Progress, people: Sequence[Person] = ()) -> Iterator[Nodded]:
    """Whether portraits that nod for a while are called live or flat, by what the door's detector finds."""
    people, frames = people or list(album().values()), 24
    for reach_deg in (15.0, 30.0):
        row = Nodded("film", f"portrait nods by {reach_deg:g} degrees", False, len(people))
        for number, person in enumerate(people):
            frame = _framed(_to_show(person)[0].cutout())
            points_px = pipeline.faces(frame)[0].landmarks_px
            found = []
            for angle in reach_deg * np.sin(np.linspace(0, 3 * np.pi, frames)):
                faces = pipeline.faces(turned(frame, points_px, 0.0, float(angle))[0])
                found += [faces[0].landmarks_px] if faces else []
            reliefs = _reliefs(np.stack(found), Setting())
            row.passed += Relief.STANDS_OUT in reliefs
            row.flat += Relief.FLAT in reliefs
            progress(f"film: {row.species}", number + 1, len(people))
        yield row


def paths(count: int, seed: int, progress: Progress) -> Iterator[Nodded]:
    """Whether four seconds of nodding are called live, or flat."""
    setting = Setting()
    heads_ = [(f"head nods by {reach:g} degrees", False, partial(_head, reach)) for reach in (10, 20, 30)]
    prints = [(f"print nodded by {reach:g} degrees", True, partial(_print, reach)) for reach in (20, 35, 50)]
    for name, is_attack, make in heads_ + prints:
        row, rng = Nodded("path", name, is_attack, count), np.random.default_rng(seed)
        for index in range(count):
            reliefs = _reliefs(make(rng, setting), setting)
            row.passed += Relief.STANDS_OUT in reliefs
            row.flat += Relief.FLAT in reliefs
            progress(f"path: {name}", index + 1, count)
        yield row


def challenges(count: int, seed: int, progress: Progress) -> Iterator[Nodded]:
    """Whether a challenge is passed with the head up or down; and by whoever nods where a turn is asked."""
    setting = Setting(fps=15.0)
    kinds = [
        (f"turns as asked, head at {pitch:+g} degrees", False, partial(_turns, pitch))
        for pitch in (-25, -15, 0, 15, 25)
    ]
    kinds += [
        (f"nods by {reach:g} degrees instead of turning", False, partial(_nods, reach)) for reach in (25, 40)
    ]
    kinds += [
        ("print, nodded by 40 degrees", True, partial(_nodded_print, 40.0, 0.0)),
        ("print, turned as asked and nodded by 25", True, partial(_nodded_print, 25.0, 30.0)),
    ]
    for name, is_attack, make in kinds:
        row, rng = Nodded("challenge", name, is_attack, count), np.random.default_rng(seed)
        for index in range(count):
            row.passed += answers.answered(make, rng, setting)
            progress(f"challenge: {name}", index + 1, count)
        yield row


# Pictures


def _to_show(person: Person) -> tuple[View, ...]:
    return person.street if person.is_resident else person.street[1:]


def _enrolled(pipeline: Pipeline, person: Person) -> NDArray[np.float32]:
    """(n, D): residents by their enrolment pictures, a stranger by the first of the others."""
    views = person.enrol if person.is_resident else person.street[:1]
    probes = [pipeline.probe(_framed(view.cutout())) for view in views]
    kept = [probe.embedding for probe in probes if probe.embedding is not None]
    return np.stack(kept)


def _nod(
    pipeline: Pipeline,
    frame: Image,
    rows: list[Bent],
    own: NDArray[np.float32],
    others: NDArray[np.float32],
    threshold: float,
) -> None:
    faces = pipeline.faces(frame)
    if not faces:
        return
    plain, nobody = pipeline.probe(frame).quality, Gallery.of([])
    for row in rows:
        bent, points_px = turned(frame, faces[0].landmarks_px, 0.0, row.pitch_deg)
        _, probe = pipeline.evidence(Frame(bent, 0.0, 0), nobody)
        row.shown += 1
        row.found += probe.face is not None
        if probe.embedding is None or probe.quality is None:
            continue
        row.fit += 1
        row.read_deg += probe.quality.pitch_deg
        row.true_deg += pose.pose_of(points_px, bent.shape[1]).pitch_deg
        row.yaw_deg += abs(probe.quality.yaw_deg - plain.yaw_deg) if plain is not None else 0.0
        score = _best(probe.embedding, own)
        row.score += score
        row.matched += score >= threshold
        row.others += _best(probe.embedding, others) >= threshold
        if probe.genuine is not None and pipeline.attack_net is not None:
            row.genuine += probe.genuine
            row.passive_passed += probe.genuine >= pipeline.attack_net[1].threshold


def _best(probe: Embedding, templates: NDArray[np.float32]) -> float:
    return float((templates @ probe).max())


def _framed(cutout: Cutout) -> Image:
    """A portrait in the middle of a frame, before a wall."""
    height, width = _FRAME_PX
    frame = np.full((height, width, 3), 128, np.uint8)
    rows, columns = cutout.shape[:2]
    top, left = (height - rows) // 2, (width - columns) // 2
    opacity = cutout[..., 3:].astype(np.float32) / 255 if cutout.shape[2] == 4 else np.float32(1)
    frame[top : top + rows, left : left + columns] = opacity * cutout[..., :3] + (1 - opacity) * 128
    return cv2.GaussianBlur(frame, (0, 0), 0.5).astype(np.uint8)


# Landmarks


def _reliefs(film: heads.Film, setting: Setting) -> set[Relief]:
    """Everything that was said of a path while it grew."""
    sights = []
    said = set()
    for number, landmarks in enumerate(film):
        sight = parallax.sight(landmarks, number / setting.fps)
        if sight is not None:
            sights.append(sight)
            said.add(parallax.assess(tuple(sights)).relief)
    return said


def _nodding(rng: np.random.Generator, setting: Setting, reach_deg: float) -> Angles:
    """Up and down by so much to either side, swaying a little."""
    t = np.linspace(0, 1, setting.frames)
    pitch = reach_deg * rng.uniform(0.8, 1.2) * np.sin(2 * np.pi * (t * rng.uniform(0.8, 1.5) + rng.random()))
    yaw = rng.normal(0, 2) + rng.uniform(0, 3) * np.sin(2 * np.pi * (t + rng.random()))
    return np.radians(np.stack([yaw, pitch, rng.normal(0, 2) * np.ones_like(t)], axis=1))


def _head(reach_deg: float, rng: np.random.Generator, setting: Setting) -> heads.Film:
    points = heads.turned(heads.somebody(rng), _nodding(rng, setting, reach_deg), _NECK_MM)
    return heads.filmed(points, rng, setting)


def _print(reach_deg: float, rng: np.random.Generator, setting: Setting) -> heads.Film:
    sheet = heads.printed(heads.somebody(rng), rng)
    return heads.filmed(heads.turned(sheet, _nodding(rng, setting, reach_deg), np.zeros(3)), rng, setting)


# Challenges


def _follower(
    points: Points3, rng: np.random.Generator, pivot: NDArray[np.float64],
    *, yaw_deg: float, up_deg: float = 0.0, nod_deg: float = 0.0,
) -> Actor:  # fmt: skip
    """Turns by so much as it is asked, holds the head at `up_deg`, and nods by `nod_deg` all the while."""
    reacts_s, turns_s, beat_s = rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.5), rng.uniform(0.8, 1.5)
    now_deg, from_deg, last = 0.0, 0.0, Turn.CENTRE

    def act(asked: Turn, for_s: float, since_s: float) -> NDArray[np.float64]:
        nonlocal now_deg, from_deg, last
        if asked is not last:
            last, from_deg = asked, now_deg
        part = float(np.clip((for_s - reacts_s) / turns_s, 0, 1))
        now_deg = from_deg + part * (_SIDE[asked] * yaw_deg - from_deg)
        pitch_deg = up_deg + nod_deg * np.sin(2 * np.pi * since_s / beat_s)
        return np.asarray(heads.turned(points, np.radians([[now_deg, pitch_deg, 0]]), pivot)[0])

    return act


def _turns(pitch_deg: float, rng: np.random.Generator) -> Actor:
    head, reach_deg = heads.somebody(rng), rng.uniform(24, 34)
    return _follower(head, rng, _NECK_MM, yaw_deg=reach_deg, up_deg=pitch_deg + rng.normal(0, 3))


def _nods(reach_deg: float, rng: np.random.Generator) -> Actor:
    return _follower(heads.somebody(rng), rng, _NECK_MM, yaw_deg=0.0, nod_deg=reach_deg)


def _nodded_print(reach_deg: float, yaw_deg: float, rng: np.random.Generator) -> Actor:
    sheet = heads.printed(heads.somebody(rng), rng)
    return _follower(sheet, rng, np.zeros(3), yaw_deg=yaw_deg, nod_deg=reach_deg)
