"""Play a street: who walks up to the door, in which light, frame by frame.

`street` draws up the visits from a seed; `walk` gives one visit's stances, frame by frame; `write` puts a
whole street on disk for the replay camera.

Layout of the folder: `000000.jpg`, `000001.jpg` ... in order, and `truth.json`:

    {"fps": 5, "visits": [{"first": 0, "last": 11, "people": ["ada"], "light": "noon", "expects": "matched",
                           "person": "ada"}, ...]}

`first` and `last` are frame numbers, both included; every visit begins and ends with nobody in view.
`expects` is the `Reason` that the visit must lead to at least once, and `person` whom it lets in; unless it
is "matched", no frame of the visit may unlock the door.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from janusd.core.reason import Reason
from janusd.core.types import Image
from janusd.demo.album import Person, View, album
from janusd.demo.scene import Light, Stance, compose

FPS: Final = 5
"""How fast the frames follow each other when the street is played in real time."""

_JPEG_QUALITY: Final = 92
_DAYLIGHT: Final = (Light.NOON, Light.OVERCAST, Light.DUSK, Light.LAMP, Light.BACKLIGHT)


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody comes to the door and leaves again."""

    people: tuple[str, ...]
    """Everybody in view, the nearest first."""
    light: Light
    expects: Reason
    """What the door is to say about it."""
    seed: int
    still_frames: int = 5
    """For how many frames the visitor stands before the camera."""
    first_view: int = 0
    """Which of a person's street views comes first; the still frames run through those that follow."""

    @property
    def person(self) -> str | None:
        """Who is to be let in, if anybody."""
        return self.people[0] if self.expects is Reason.MATCHED else None


def street(seed: int = 0, people: Mapping[str, Person] | None = None) -> list[Visit]:
    """Give the visits of one street, always the same for the same seed.

    Every resident comes three times, each time in another light and in other views. Strangers come between
    them, each once; the last stranger stands beside a resident, and one resident comes when the lamp is off.
    """
    people = album() if people is None else people
    rng = np.random.default_rng(seed)
    residents = [name for name, person in people.items() if person.is_resident]
    strangers = [name for name, person in people.items() if not person.is_resident]
    tailgater = strangers.pop()

    def light() -> Light:
        return _DAYLIGHT[int(rng.integers(len(_DAYLIGHT)))]

    def lasting() -> int:
        return int(rng.integers(4, 7))

    welcome = []
    for turn in range(3):
        for place, name in enumerate(residents):
            shine = _DAYLIGHT[(2 * turn + place + seed) % len(_DAYLIGHT)]
            welcome.append(
                Visit(
                    (name,), shine, Reason.MATCHED, int(rng.integers(2**31)), lasting(), first_view=3 * turn
                )
            )
    unknown = [
        Visit((name,), light(), Reason.UNKNOWN, int(rng.integers(2**31)), lasting())
        for name in rng.permutation(strangers).tolist()
    ]
    visits = []
    for place, visit in enumerate(welcome):
        visits.append(visit)
        visits.extend(unknown[place : place + 1])
    visits.extend(unknown[len(welcome) :])
    two = Visit((residents[0], tailgater), Light.OVERCAST, Reason.TWO_FACES, int(rng.integers(2**31)))
    dark = Visit((residents[1 % len(residents)],), Light.NIGHT, Reason.TOO_DARK, int(rng.integers(2**31)))
    visits.insert(len(visits) // 2, two)
    visits.insert(len(visits) * 4 // 5, dark)
    return visits


def walk(visit: Visit, people: Mapping[str, Person]) -> list[tuple[Stance, ...]]:
    """Give the stances in each frame of a visit: nobody, far, nearer, standing still, leaving, nobody."""
    rng = np.random.default_rng(visit.seed)
    paths = [
        _path([*people[name].street], visit, rng, place=place, of=len(visit.people))
        for place, name in enumerate(visit.people)
    ]
    together: list[tuple[Stance, ...]] = [tuple(stances) for stances in zip(*paths, strict=True)]
    return [(), (), *together, (), ()]


def _path(views: list[View], visit: Visit, rng: np.random.Generator, *, place: int, of: int) -> list[Stance]:
    """Give one person's stances; a second person stands to the side of the first."""
    shown = [views[(visit.first_view + step) % len(views)] for step in range(max(visit.still_frames, 1))]
    distance = float(rng.uniform(0.50, 0.66)) + 0.10 * place
    aside = float(rng.uniform(-0.12, 0.12)) if of == 1 else (-0.36, 0.42)[place]
    side = -1.0 if rng.random() < 0.5 else 1.0
    rise = float(rng.uniform(-12, 22))
    tilt = float(rng.uniform(-3, 3))
    stances = [
        Stance(shown[0], distance_m=1.75, x=aside + 0.20 * side, rise_px=rise * 0.3, smear_px=3),
        Stance(shown[0], distance_m=1.05, x=aside + 0.08 * side, rise_px=rise * 0.6, smear_px=4),
    ]
    for view in shown:
        drift, sway = rng.normal(0, 0.012), rng.normal(0, 0.8)
        stances.append(
            Stance(
                view,
                distance_m=distance * float(1 + rng.normal(0, 0.015)),
                x=aside + float(drift),
                rise_px=rise + float(rng.normal(0, 2)),
                tilt_deg=tilt + float(sway),
            )
        )
    leaving = float(np.clip(aside + 0.38 * side, -0.62, 0.62))
    stances.append(Stance(shown[-1], distance_m=distance * 1.15, x=leaving, rise_px=rise, smear_px=15))
    return stances


def frames(
    visit: Visit, people: Mapping[str, Person] | None = None, *, street_seed: int = 0
) -> Iterator[Image]:
    """Give one visit's frames, (480, 640, 3) RGB each."""
    people = album() if people is None else people
    for number, stances in enumerate(walk(visit, people)):
        yield compose(stances, visit.light, seed=visit.seed + number, street_seed=street_seed)


def write(
    folder: Path, seed: int = 0, visits: Sequence[Visit] | None = None, *, empty_frames: int = 0
) -> list[Visit]:
    """Write a street's numbered frames and its `truth.json` into a new or empty folder; give its visits.

    The first `empty_frames` show an empty street before the first visit.
    """
    people = album()
    visits = street(seed, people) if visits is None else list(visits)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(empty_frames):
        _write_frame(folder, number, compose([], seed=seed + number, street_seed=seed))
    number, truth = empty_frames, []
    for visit in visits:
        first = number
        for image in frames(visit, people, street_seed=seed):
            _write_frame(folder, number, image)
            number += 1
        truth.append(
            {
                "first": first,
                "last": number - 1,
                "people": list(visit.people),
                "light": visit.light.value,
                "expects": visit.expects.value,
                "person": visit.person,
            }
        )
    listed = json.dumps({"fps": FPS, "visits": truth}, indent=1) + "\n"
    (folder / "truth.json").write_text(listed, encoding="utf-8")
    return list(visits)


def spans(folder: Path) -> list[range]:
    """Give the frame numbers of each visit of a street that `write` wrote."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return [range(visit["first"], visit["last"] + 1) for visit in truth["visits"]]


def _write_frame(folder: Path, number: int, image: Image) -> None:
    path = folder / f"{number:06d}.jpg"
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise OSError(f"{path}: cannot be written; is there room on the disk?")
