"""Presentations of several frames to measure on: living, training's species, species held out."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from janusd.core.types import Face, Image
from janusd_export.attacks import recaptures
from janusd_export.passive import pictures
from janusd_export.passive.camera import Camera
from janusd_export.passive.media import LEFT_OUT, SPECIES
from janusd_export.passive.pictures import Shown
from janusd_export.passive.portraits import Gathering

FRAMES: Final = 5
"""About as many as a door has seen of whom it lets in at once."""

Series = list[tuple[Image, Face]]


class Kind(Enum):
    """What a species is to the network."""

    LIVING = "living"
    SEEN = "attack, code path of training"
    LEFT_OUT = "attack, left out to choose by"
    HELD_OUT = "attack, held-out code path"


@dataclass(frozen=True, slots=True)
class Species:
    """What is presented."""

    kind: Kind
    name: str

    @property
    def is_attack(self) -> bool:
        """Or a living face."""
        return self.kind is not Kind.LIVING


LIVING: Final = Species(Kind.LIVING, "living")
ALL: Final = (
    LIVING,
    *(Species(Kind.SEEN, name) for name in SPECIES),
    *(Species(Kind.LEFT_OUT, name) for name in LEFT_OUT),
    *(Species(Kind.HELD_OUT, name) for name in recaptures.HELD_OUT),
)


def presentations(
    people: Gathering, species: Species, count: int, seed: int, frames: int = FRAMES
) -> Iterator[Series]:
    """So many of one species; number k depends on the people, the seed, the species' name and k alone."""
    for number in range(count):
        rng = np.random.default_rng([seed, zlib.crc32(species.name.encode()), number])
        shown = _shown(people, species, rng)
        yield list(pictures.frames(shown, Camera.drawn(rng), rng, frames))


def _shown(people: Gathering, species: Species, rng: np.random.Generator) -> Shown:
    match species.kind:
        case Kind.LIVING:
            return pictures.living(people, rng)
        case Kind.SEEN | Kind.LEFT_OUT:
            return pictures.attack(people, rng, species.name)
        case Kind.HELD_OUT:
            photograph, place, face_px, breadth = pictures.materials(people, rng)
            return Shown(recaptures.HELD_OUT[species.name](photograph, place, face_px, rng), face_px, breadth)
