"""What `prepare` leaves on disk for training, and how it is split.

    CACHE/faces.npy       (N, S, S, 3) uint8 RGB, S = 112 + 2 * margin
    CACHE/faces.csv       one row a face: key, source, person (empty: unknown)
    CACHE/landmarks.npy   (N, 5, 2) float32 px in the stored face, by the door's detector; NaN: not found
    CACHE/teacher-*.npy   (N, D) float32, each the sum of the unit embeddings of the face and its mirror image

Trust boundary: these files are our own; only their shapes are checked.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd_export.augment import stored_template
from janusd_export.errors import ExportError
from janusd_export.targets import unit

TEACHERS = ("arcface_mbf_512", "face-reidentification-retail-0095")


@dataclass(frozen=True, slots=True)
class Faces:
    """The prepared faces. Rows of all arrays correspond."""

    pixels: NDArray[np.uint8]
    """(N, S, S, 3), memory-mapped."""
    landmarks_px: NDArray[np.float32]
    """(N, 5, 2), by the door's detector where it found the face, else the shards' own."""
    is_found: NDArray[np.bool_]
    """(N,) whether the door's detector found the face."""
    person: NDArray[np.int32]
    """(N,) number of the person, -1 where unknown."""
    teachers: list[NDArray[np.float32]]
    """(N, D_t) each."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from, and rows of people who are never learnt from."""

    train: NDArray[np.intp]
    held_out: NDArray[np.intp]
    dropped: int
    """Faces left out of both because teachers find them too like a held-out person."""


def open_faces(cache_dir: Path, margin_px: int) -> Faces:
    """Open what `janus-export prepare` wrote. Raises ExportError when a part is missing or of another run."""
    try:
        pixels = np.load(cache_dir / "faces.npy", mmap_mode="r")
        points = np.load(cache_dir / "landmarks.npy")
        teachers = [np.load(cache_dir / f"teacher-{name}.npy") for name in TEACHERS]
        with (cache_dir / "faces.csv").open(newline="", encoding="utf-8") as file:
            people = [row["person"] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(
            f"{cache_dir} is not a complete cache ({error}): run janus-export prepare"
        ) from error
    if {len(points), len(people), *map(len, teachers)} != {len(pixels)}:
        raise ExportError(f"{cache_dir}: its parts are of different runs: run janus-export prepare --again")
    numbers = {name: number for number, name in enumerate(sorted(set(people) - {""}))}
    is_found = ~np.isnan(points[:, 0, 0])
    points[~is_found] = stored_template(margin_px)
    person = np.array([numbers.get(name, -1) for name in people], np.int32)
    return Faces(pixels, points, is_found, person, teachers)


def split_people(faces: Faces, held_out_people: int, rng: np.random.Generator, alike: float = 0.6) -> Split:
    """Set people with two or more faces aside, and drop training faces that may show one of them.

    `alike` is the mean of the teachers' cosines above which a face may be a held-out person's under another
    name.
    """
    numbers, counts = np.unique(faces.person[faces.person >= 0], return_counts=True)
    several = numbers[counts >= 2]
    if held_out_people >= len(several):
        raise ExportError(f"only {len(several)} people have two or more faces: hold out fewer than that")
    chosen = rng.choice(several, held_out_people, replace=False)
    held = np.isin(faces.person, chosen)
    held_out, rest = np.flatnonzero(held), np.flatnonzero(~held)
    closest = np.full(len(rest), -1.0, np.float32)
    for start in range(0, len(rest), 4096):  # blocks: the whole matrix would not fit a small machine
        rows = rest[start : start + 4096]
        cosine = np.mean([unit(t[rows]) @ unit(t[held_out]).T for t in faces.teachers], axis=0)
        closest[start : start + 4096] = cosine.max(axis=1)
    train = rest[closest <= alike]
    return Split(train, held_out, len(rest) - len(train))
