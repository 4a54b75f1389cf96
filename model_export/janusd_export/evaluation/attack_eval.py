"""How attack detection does: on attacks that are simulated here, or on clips somebody recorded.

`simulated_heads` and `simulated_challenges` try the geometry on simulated landmarks, `simulated_pictures`,
`simulated_films` and `simulated_askings` put frames that were drawn through the whole pipeline, `clips`
recorded ones. A clip's own
face is enrolled first: every attack is then a perfect likeness, and only attack detection can refuse it.
Rates are named as in ISO/IEC 30107-3, one a species, with exact bounds (`core.rates`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from janusd.core import challenge, parallax, policy, pose, rates
from janusd.core.attack import Asks, Level
from janusd.core.challenge import Turn
from janusd.core.gallery import Gallery
from janusd.core.manifest import operating_point
from janusd.core.parallax import Relief
from janusd.core.policy import Policy, State
from janusd.core.reason import Reason
from janusd.core.types import Face, Frame
from janusd.demo.scene import WIDTH_PX
from janusd.errors import CameraError
from janusd.pipeline import Pipeline
from janusd.service.presence import Presence, Settings
from janusd_export.attacks import answers, asked, films, heads, pictures
from janusd_export.attacks.asked import Aim, Casting
from janusd_export.attacks.drawn import DrawnHeads
from janusd_export.attacks.films import Sitter
from janusd_export.errors import ExportError
from janusd_hw.camera_replay import ReplayCamera

GENUINE: Final = "genuine"
"""The folder of clips that are no attack."""
_SAME_PERSON_FMR: Final = 1e-3  # as the door follows a track
_ASKING_S: Final = 7.0
"""To see a face, to ask, to see it answered within four seconds, and to open."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Played:
    """One recorded clip, and what became of it."""

    clip: str
    frames: int
    faces: int
    """Frames with a face in them; a clip without one counts as refused, and says nothing about attacks."""
    passed: tuple[str, ...]
    """What it passed, of what a row names."""
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Row:
    """One species: how many presentations, and how many of them each way of asking let pass."""

    part: str
    species: str
    is_attack: bool
    is_held_out: bool = False
    trials: int = 0
    passed: dict[str, int] = field(default_factory=dict)
    """By what the door asks: "live" (called live by turning), "challenge", "opens passive", "opens live",
    "opens asked" (by whoever answers a challenge in every pose as the person enrolled)."""
    reasons: dict[str, int] = field(default_factory=dict)
    """What gave presentations away."""
    faceless: int = 0
    """Presentations without a face in any frame: refused, though by no attack detection."""
    clips: list[Played] = field(default_factory=list)
    """Of recorded ones."""
    unplayed: list[str] = field(default_factory=list)
    """What is no clip, and why: not counted."""

    def errors(self, asked: str) -> int:
        """Attacks let pass, or genuine presentations refused."""
        return self.passed[asked] if self.is_attack else self.trials - self.passed[asked]

    @property
    def rate_name(self) -> str:
        """What the error rate is called."""
        return "APCER" if self.is_attack else "BPCER"

    def figure(self, asked: str) -> dict[str, object]:
        """The rate with its bounds, for JSON."""
        low, high = rates.bounds(self.errors(asked), self.trials)
        return {"rate": self.rate_name, "errors": self.errors(asked), "trials": self.trials,
                "value": self.errors(asked) / self.trials, "low": low, "high": high}  # fmt: skip


def simulated_heads(count: int, seed: int, progress: Progress) -> Iterator[Row]:
    """Whether landmarks over four seconds are called live: no network, no challenge."""
    setting = heads.Setting()
    lists = ((heads.GENUINE, False, False), (heads.DEVELOPMENT, True, False), (heads.HELD_OUT, True, True))
    for species, is_attack, is_held_out in lists:
        for name, make in species.items():
            rng = np.random.default_rng(seed)
            row = Row("landmarks", name, is_attack, is_held_out, count, {"live": 0})
            for index in range(count):
                row.passed["live"] += _is_called_live(make(rng, setting), setting)
                progress(f"landmarks: {name}", index + 1, count)
            yield row


def simulated_challenges(count: int, seed: int, progress: Progress, fps: float = 15.0) -> Iterator[Row]:
    """Whether actors pass one challenge, of a door that sees so many frames a second."""
    setting = heads.Setting(fps=fps)
    lists = (
        (answers.GENUINE, False, False), (answers.DEVELOPMENT, True, False), (answers.HELD_OUT, True, True),
    )  # fmt: skip
    for species, is_attack, is_held_out in lists:
        for name, make in species.items():
            rng = np.random.default_rng(seed)
            row = Row("challenge", name, is_attack, is_held_out, count, {"challenge": 0})
            for index in range(count):
                row.passed["challenge"] += answers.answered(make, rng, setting)
                progress(f"challenge: {name}", index + 1, count)
            yield row


def simulated_pictures(pipeline: Pipeline, count: int, seed: int, progress: Progress) -> Iterator[Row]:
    """Whole frames of the demo's people, through detector, encoder, attack detection and policy."""
    for species, is_attack in ((pictures.GENUINE, False), (pictures.HELD_OUT, True)):
        for name, shots in species.items():
            row = Row("pictures", name, is_attack, is_held_out=is_attack)
            for index in range(count):
                _judge(row, pipeline, pictures.presentation(shots, index, seed))
                progress(f"pictures: {name}", index + 1, count)
            yield row


def simulated_films(
    pipeline: Pipeline, count: int, part: films.Part, seed: int, progress: Progress, drawn: Path | None = None
) -> Iterator[Row]:
    """Films of stills and of heads that turn, of people on whom bounds were chosen or were not.

    `drawn` is the generator's folder, for heads that it draws.
    """
    for species, is_attack in ((films.GENUINE, False), (films.ATTACKS, True)):
        for name, make in species.items():
            row = Row("films", name, is_attack, is_held_out=part is films.Part.HELD_OUT)
            for index in range(count):
                _judge(row, pipeline, films.presentation(make(*films.cast(part, index, seed))))
                progress(f"films: {name}", index + 1, count)
            yield row
    if drawn is not None:
        row = Row("films", "turns, drawn", is_attack=False, is_held_out=part is films.Part.HELD_OUT)
        heads_drawn = _drawn_heads(pipeline, drawn)
        for index in range(count):
            shots = films.turned_relief(*heads_drawn.sitter(part, index, seed))
            _judge(row, pipeline, films.presentation(shots))
            progress("films: turns, drawn", index + 1, count)
        yield row


def simulated_askings(
    pipeline: Pipeline, count: int, part: films.Part, seed: int, progress: Progress, drawn: Path | None = None
) -> Iterator[Row]:
    """Actors before a door that asks everybody for turns, their frames drawn as they answer.

    With the generator's folder, `drawn`, the actors and their photographs are its people.
    """
    sitter = films.cast if drawn is None else _drawn_heads(pipeline, drawn).sitter
    whose = "" if drawn is None else ", drawn"
    for species, is_attack in ((asked.GENUINE, False), (asked.ATTACKS, True)):
        for name, casting in species.items():
            row = Row("asked", name + whose, is_attack, is_held_out=part is films.Part.HELD_OUT)
            for index in range(count):
                _ask(row, pipeline, casting, *sitter(part, index, seed))
                progress(f"asked: {name}", index + 1, count)
            yield row


def _drawn_heads(pipeline: Pipeline, generator_dir: Path) -> DrawnHeads:
    return DrawnHeads(generator_dir, pipeline.faces, _yaw_deg)


def _yaw_deg(face: Face) -> float:
    return pose.pose_of(face.landmarks_px, WIDTH_PX).yaw_deg


def clips(folder: Path, pipeline: Pipeline, fps: float | None, progress: Progress) -> Iterator[Row]:
    """Recorded clips: FOLDER/SPECIES/CLIP, a video file or a folder of pictures; `genuine` is no attack."""
    if not folder.is_dir():
        raise ExportError(f"{folder} is no folder: name one that holds a folder of clips for each species")
    species = sorted(path for path in folder.iterdir() if path.is_dir())
    if not species:
        raise ExportError(
            f"{folder} holds no folder: sort the clips into one for each species, and {GENUINE}"
        )
    for kind in species:
        row = Row("clips", kind.name, kind.name != GENUINE)
        found = sorted(path for path in kind.iterdir() if not path.name.startswith("."))
        for index, clip in enumerate(found):
            try:
                row.clips.append(replace(_judge(row, pipeline, _frames(clip, fps)), clip=clip.name))
            except CameraError as error:  # one file that is no clip must not cost the others their count
                row.unplayed.append(f"{error.what}: {error.remedy}")
            progress(f"clips: {kind.name}", index + 1, len(found))
        if not row.trials:
            why = "; ".join([f"{kind}: holds no clip", *row.unplayed])
            raise ExportError(f"{why}: put video files or folders of pictures into it")
        yield row


def added_time(pipeline: Pipeline, warm: int = 300) -> dict[str, float]:
    """What attack detection adds to detection and embedding of a face, as a share of their processor time.

    Medians over a head that turns once, after `warm` frames with which each new one is compared; beside them
    the longest look, at that frame whose views were compared with others.
    """
    from time import process_time  # noqa: PLC0415  # only here

    def timed_ms(call: Callable[[], object]) -> float:
        began = process_time()
        call()
        return 1e3 * (process_time() - began)

    gallery, presence = Gallery.of([]), _presence(pipeline)
    before = next(iter(pictures.presentation(pictures.standing, 1, 0)))
    evidence, probe = pipeline.evidence(before, gallery)
    for number in range(warm):
        presence.look(Frame(_unlike(before.image, number), 1.0 + number / 15, number), probe, evidence)
    whole_ms, network_ms, look_ms = [], [], []
    for number, shown in enumerate(pictures.presentation(pictures.living, 0, 0), warm):
        frame = Frame(shown.image, 1.0 + number / 15, number)
        evidence, probe = pipeline.evidence(frame, gallery)
        took_ms = timed_ms(partial(presence.look, frame, probe, evidence))
        if probe.face is not None and probe.embedding is not None:
            seen_ms = timed_ms(partial(pipeline.faces, frame.image))
            whole_ms.append(seen_ms + timed_ms(partial(pipeline.embed, frame.image, probe.face)))
            all_ms = timed_ms(partial(pipeline.evidence, frame, gallery))
            network_ms.append(all_ms - timed_ms(partial(pipeline.probe, frame.image)))
            look_ms.append(took_ms)
    added = float(np.median(look_ms)) + max(0.0, float(np.median(network_ms)))
    whole = float(np.median(whole_ms))
    return {
        "added_ms": added, "detect_and_embed_ms": whole, "share": added / whole, "longest_ms": max(look_ms),
    }  # fmt: skip


def _unlike(image: np.ndarray, number: int) -> np.ndarray:  # type: ignore[type-arg]  # any picture
    """The picture with other noise: equal frames would end the look early."""
    noise = np.random.default_rng(number).integers(0, 8, (48, 64, 1), dtype=np.uint8)
    return np.asarray(np.clip(image.astype(np.int16) + np.tile(noise, (10, 10, 1)), 0, 255), np.uint8)


def _is_called_live(film: heads.Film, setting: heads.Setting) -> bool:
    sights = [parallax.sight(points, number / setting.fps) for number, points in enumerate(film)]
    seen = [sight for sight in sights if sight is not None]
    return any(
        parallax.assess(tuple(seen[:until])).relief is Relief.STANDS_OUT
        for until in range(10, len(seen) + 1, 2)
    )


def _presence(pipeline: Pipeline) -> Presence:
    alike = operating_point(pipeline.spec.calibration, _SAME_PERSON_FMR).threshold
    net = pipeline.attack_net
    return Presence(Settings(alike, passive=net[1].threshold if net else 0.5))


def _judge(row: Row, pipeline: Pipeline, frames: Iterable[Frame]) -> Played:
    """Play one presentation at the real pipeline and policy, twice: as two doors that ask differently."""
    presence, gallery = _presence(pipeline), Gallery.of([])
    levels = (Level.PASSIVE, Level.LIVE)
    doors = {level: Policy(threshold=-1.0, margin=0.0, level=level) for level in levels}
    states = {level: State() for level in levels}
    opened: set[Level] = set()
    is_live, reasons = False, set()
    count = faces = 0
    for frame in frames:
        evidence, probe = pipeline.evidence(frame, gallery)
        count, faces = count + 1, faces + (probe.face is not None)
        if probe.embedding is not None and not len(gallery):
            gallery = Gallery.of_embeddings({"shown": [probe.embedding]})
        evidence = presence.look(frame, probe, evidence)
        shown = evidence.presentation
        is_live = is_live or (shown is not None and shown.is_live)
        reason = evidence.refused or (shown.reason if shown else None)
        if reason is not None:
            reasons.add(reason)
        for level, rules in doors.items():
            states[level], decision = policy.decide(rules, gallery, states[level], evidence, None)
            if decision.unlocks:
                opened.add(level)
    row.trials += 1
    row.faceless += not faces
    passed: tuple[str, ...] = ()
    for name, has_passed in (
        ("live", is_live),
        ("opens passive", Level.PASSIVE in opened),
        ("opens live", Level.LIVE in opened),
    ):
        row.passed[name] = row.passed.get(name, 0) + has_passed
        passed += (name,) if has_passed else ()
    said = tuple(sorted(reasons - {Reason.NO_NEWS}))
    for reason in said:
        row.reasons[reason] = row.reasons.get(reason, 0) + 1
    return Played("", count, faces, passed, said)


def _ask(row: Row, pipeline: Pipeline, casting: Casting, cast: Sitter, rng: np.random.Generator) -> None:
    """Play one actor at a door that knows the face, until it opens or has asked once in vain."""
    aim = _aim(pipeline, cast)
    known = pipeline.probe(cast.head(aim(0.0))).embedding
    gallery = Gallery.of([]) if known is None else Gallery.of_embeddings({"shown": [known]})
    alike = operating_point(pipeline.spec.calibration, _SAME_PERSON_FMR).threshold
    door = Policy(threshold=alike, margin=0.0, level=Level.PASSIVE, challenge=Asks.ALWAYS)
    act, presence, state = casting(cast, aim, rng), _presence(pipeline), State()
    sign: Turn | None = None
    for_s, has_answered, has_opened = 0.0, False, False
    for number in range(round(_ASKING_S * asked.FPS)):
        frame = Frame(act(sign, for_s), 1.0 + number / asked.FPS, number)
        evidence, probe = pipeline.evidence(frame, gallery)
        evidence = presence.look(frame, probe, evidence)
        state, decision = policy.decide(door, gallery, state, evidence, None)
        if decision.reason is Reason.CHALLENGE and sign is None:
            presence.challenge(challenge.ORDERS[rng.integers(len(challenge.ORDERS))], frame.captured_s)
        shown = evidence.presentation
        has_answered = has_answered or (shown is not None and shown.is_challenged)
        for_s = for_s + 1 / asked.FPS if presence.asks is sign else 0.0
        if (has_opened := decision.unlocks) or (
            sign is not None and presence.asks is None and not has_answered
        ):
            break
        sign = presence.asks or sign
    row.trials += 1
    for name, has_passed in (("challenge", has_answered), ("opens asked", has_opened)):
        row.passed[name] = row.passed.get(name, 0) + has_passed


def _aim(pipeline: Pipeline, cast: Sitter) -> Aim:
    """How far this portrait is turned to be measured so: tried out, up to where a face is found."""
    seen: dict[float, float] = {}  # measured -> turned
    for turned_deg in range(-48, 49, 6):
        if found := pipeline.faces(cast.head(float(turned_deg))):
            seen[_yaw_deg(found[0])] = float(turned_deg)
    at_deg = sorted(seen)
    return lambda yaw_deg: float(np.interp(yaw_deg, at_deg, [seen[at] for at in at_deg]))


def _frames(clip: Path, fps: float | None) -> Iterator[Frame]:
    return ReplayCamera(clip, pace="fast", fps=fps, start_s=1.0).frames()
