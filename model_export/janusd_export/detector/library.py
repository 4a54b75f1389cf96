"""Pictures that scenes are composed of, decoded once and labelled by a teacher detector.

    LIBRARY/pixels.bin    all pictures, uint8 RGB, one after the other
    LIBRARY/pictures.npz  one row a picture: where it lies, what it is, whom it shows, the teacher's label

Who is learnt from is decided here, by source and before anything is composed: a person's photographs, or a
background, are all for learning, all for tuning, or all held out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image, Points
from janusd_export.errors import ExportError

PIXELS = "pixels.bin"
PICTURES = "pictures.npz"


class Kind(IntEnum):
    """What a picture is."""

    PHOTO = 0
    """A face with its surroundings."""
    ALIGNED = 1
    """A face that was cut out and turned upright."""
    BACKGROUND = 2
    """No face."""


class Part(IntEnum):
    """What a picture may be used for."""

    TRAIN = 0
    TUNE = 1
    """Thresholds are chosen on it."""
    HELD_OUT = 2
    """Only measured on."""


_PARTS = {
    # In tenths. Few backgrounds are to be had, and false detections are counted on those held out.
    Kind.PHOTO: (8, 1, 1),
    Kind.ALIGNED: (8, 1, 1),
    Kind.BACKGROUND: (6, 1, 3),
}


def part_of(kind: Kind, group: str) -> Part:
    """Which part a group of pictures is in; depends on its name alone."""
    tenth = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4]) % 10
    train, tune, _ = _PARTS[kind]
    return Part.TRAIN if tenth < train else Part.TUNE if tenth < train + tune else Part.HELD_OUT


@dataclass(frozen=True, slots=True)
class Labelled:
    """One picture on its way into a library."""

    kind: Kind
    group: str
    """The person, or the picture's own key where nobody is known."""
    pixels: Image
    points_px: Points | None = None
    box_px: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """x, y, width, height."""
    spread: float = 0.0
    """How far the teacher's views disagree about a landmark, in inter-ocular distances."""


@dataclass(frozen=True, slots=True)
class Library:
    """A library that is open; pixels stay on the disk until they are asked for."""

    raw: NDArray[np.uint8]
    kind: NDArray[np.int8]
    part: NDArray[np.int8]
    offset: NDArray[np.int64]
    shape: NDArray[np.int32]
    """(N, 2) height, width."""
    points_px: NDArray[np.float32]
    """(N, 5, 2); NaN for backgrounds."""
    box_px: NDArray[np.float32]
    """(N, 4) x, y, width, height."""
    spread: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.kind)

    def pixels(self, row: int) -> Image:
        """One picture."""
        height, width = (int(n) for n in self.shape[row])
        start = int(self.offset[row])
        return self.raw[start : start + height * width * 3].reshape(height, width, 3)

    @property
    def digest(self) -> str:
        """Of what it holds and in which part; pixels by their number alone."""
        told = hashlib.sha256(f"{len(self.raw)}".encode())
        for column in (
            self.kind,
            self.part,
            self.offset,
            self.shape,
            self.points_px,
            self.box_px,
            self.spread,
        ):
            told.update(np.ascontiguousarray(column).tobytes())
        return told.hexdigest()

    def rows(self, part: Part, *kinds: Kind) -> NDArray[np.intp]:
        """The pictures of a part that are of one of these kinds."""
        return np.flatnonzero((self.part == part) & np.isin(self.kind, kinds))


def write(folder: Path, pictures: Iterable[Labelled]) -> int:
    """Write a library beside its place and move it there; give how many pictures it holds."""
    folder.mkdir(parents=True, exist_ok=True)
    kept: list[Labelled] = []
    offsets, place = [], 0
    pixels, table = folder / PIXELS, folder / PICTURES
    try:
        with pixels.with_suffix(".new").open("wb") as file:
            for picture in pictures:
                file.write(np.ascontiguousarray(picture.pixels).tobytes())
                offsets.append(place)
                place += picture.pixels.nbytes
                shape = np.empty((*picture.pixels.shape[:2], 0), np.uint8)  # the pixels are on the disk now
                kept.append(
                    Labelled(
                        picture.kind, picture.group, shape, picture.points_px, picture.box_px, picture.spread
                    )
                )
        nobody = np.full((5, 2), np.nan, np.float32)
        with table.with_suffix(".new").open("wb") as file:
            np.savez(
                file,
                kind=np.array([p.kind for p in kept], np.int8),
                part=np.array([part_of(p.kind, p.group) for p in kept], np.int8),
                offset=np.array(offsets, np.int64),
                shape=np.array([p.pixels.shape[:2] for p in kept], np.int32).reshape(-1, 2),
                points_px=np.array(
                    [nobody if p.points_px is None else p.points_px for p in kept], np.float32
                ).reshape(-1, 5, 2),
                box_px=np.array([p.box_px for p in kept], np.float32).reshape(-1, 4),
                spread=np.array([p.spread for p in kept], np.float32),
            )
        pixels.with_suffix(".new").replace(pixels)
        table.with_suffix(".new").replace(table)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}: make room and label again") from error
    return len(kept)


def open_library(folder: Path) -> Library:
    """Open what `write` wrote. Raises ExportError."""
    try:
        with np.load(folder / PICTURES) as table:
            columns = {name: table[name] for name in table.files}
        raw = np.memmap(folder / PIXELS, np.uint8, "r")
        return Library(raw, **columns)
    except (OSError, ValueError, TypeError) as error:
        raise ExportError(
            f"{folder} holds no labelled pictures ({error}): run janus-export detector label"
        ) from error
