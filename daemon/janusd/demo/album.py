"""The portraits the demo is played with: head and shoulders of people who do not exist.

Layout of `faces/`: one folder a person with `enrol-NN.webp` (RGB, ordinary portraits) and `street-NN.webp`
(RGBA, the person cut out), and `index.json`, which says who is a resident and where the eyes are in every
picture. `faces/README.md` says how they were made. They ship with this package: nothing here is untrusted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Cutout: TypeAlias = NDArray[np.uint8]
"""(H, W, 4) uint8, RGB and opacity; the colours are not multiplied by the opacity."""

Point: TypeAlias = tuple[float, float]
"""(x, y) in pixels."""

FACES: Final = Path(__file__).parent / "faces"


@dataclass(frozen=True, slots=True)
class View:
    """One picture of one person."""

    path: Path
    eyes_px: tuple[Point, Point]
    """The eye on the image's left first."""

    def cutout(self) -> Cutout:
        """Give the picture's pixels, read once and write-protected."""
        return _cutout(self.path)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist."""

    name: str
    is_resident: bool
    enrol: tuple[View, ...]
    """Photographs to enrol from; none for a stranger."""
    street: tuple[View, ...]
    """Other pictures, cut out to walk past the door."""


def album(folder: Path = FACES) -> dict[str, Person]:
    """Give the demo's people by name, residents first."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    people = {}
    for entry in index["people"]:
        name = entry["name"]
        views = [
            View(
                folder / name / picture["file"],
                (_point(picture["eyes_px"][0]), _point(picture["eyes_px"][1])),
            )
            for picture in entry["views"]
        ]
        people[name] = Person(
            name=name,
            is_resident=entry["resident"],
            enrol=tuple(view for view in views if view.path.name.startswith("enrol")),
            street=tuple(view for view in views if view.path.name.startswith("street")),
        )
    return people


def _point(pair: list[float]) -> Point:
    x, y = pair
    return x, y


@cache
def _cutout(path: Path) -> Cutout:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise FileNotFoundError(f"{path}: the demo's portrait cannot be read; reinstall janusd")
    to_rgba = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGBA
    cutout = np.asarray(cv2.cvtColor(pixels, to_rgba), dtype=np.uint8)
    cutout.flags.writeable = False
    return cutout
