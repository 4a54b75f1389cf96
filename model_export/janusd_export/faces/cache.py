"""What `import`, `teach` and `screen` leave on disk for training, and how it is split.

    CACHE/faces.npy       (N, S, S, 3) uint8 RGB, S = 112 + 2 * margin
    CACHE/faces.csv       one row a face: key, source, person (empty: unknown), and its quality
    CACHE/landmarks.npy   (N, 5, 2) float32 px in the stored face, by the door's detector; NaN: not found
    CACHE/teacher-*.npy   (N, D) float32, each the sum of the unit embeddings of the face and its mirror image
    CACHE/dropped.csv     rows that `screen` takes out of training, and why
    CACHE/journal.jsonl   which rows are whose, see `ledger.py`; caches made before it have none

Trust boundary: these files are our own; only their shapes are checked.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX
from janusd_export.errors import ExportError
from janusd_export.faces import ledger
from janusd_export.faces.layout import stored_template
from janusd_export.faces.targets import unit
from janusd_export.faces.teachers import ALL


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
    teacher_names: tuple[str, ...]
    """Of `teachers`, in their order."""
    is_dropped: NDArray[np.bool_]
    """(N,) whether `screen` took the face out, or its source has it no longer."""
    judges: list[NDArray[np.float32]] = field(default_factory=list)
    """(N, D_t) of every teacher that the cache knows, learnt from or not: they guard the split, so that all
    recipes of a cache learn from the same faces."""


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from, and rows of people who are never learnt from."""

    train: NDArray[np.intp]
    held_out: NDArray[np.intp]
    dropped: int
    """Faces left out of both because teachers find them too like a held-out person."""


def who_is_held_out(faces: Faces, split: Split) -> str:
    """A digest of the held-out pictures, whatever their order."""
    each = sorted(hashlib.sha256(faces.pixels[row].tobytes()).digest() for row in split.held_out)
    return hashlib.sha256(b"".join(each)).hexdigest()[:16]


def check_held_out(now: str, then: object) -> None:
    """Raise ExportError where others were held out when a network learnt: they would judge it unfairly.

    `then` is nothing where it was not noted yet.
    """
    if then and then != now:
        raise ExportError(
            "this cache holds out other people than when the network was trained, maybe some it learnt from:"
            " use the cache as it was (what is imported or taken out since changes the draw), or train anew"
        )


@dataclass(frozen=True, slots=True)
class Labels:
    """Who is on which face, without the pictures. Rows correspond to those of `Faces`."""

    keys: list[str]
    person: NDArray[np.int32]
    """(N,) number of the person, -1 where unknown."""
    is_dropped: NDArray[np.bool_]


def open_faces(cache_dir: Path, margin_px: int, teachers: Sequence[str] | None = None) -> Faces:
    """Open a cache with the named teachers' embeddings (of none: nobody's), or with all that it has.

    Raises ExportError when a part is missing or of another run.
    """
    known = taught(cache_dir)
    if teachers is None:
        teachers = known
        if not teachers:
            raise ExportError(f"{cache_dir} has no teacher's embeddings: run janus-export teach")
    labels = open_labels(cache_dir)
    try:
        pixels = np.load(cache_dir / "faces.npy", mmap_mode="r")
        points = np.load(cache_dir / "landmarks.npy")
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{cache_dir} is not a complete cache ({error}): run janus-export import"
        ) from error
    if {len(points), len(labels.keys)} != {len(pixels)}:
        raise ExportError(f"{cache_dir}: its parts are of different runs: run janus-export import again")
    side = stored_side(margin_px)
    if pixels.shape[1:] != (side, side, 3):
        raise ExportError(
            f"{cache_dir} holds faces of {pixels.shape[1]} px, not {side}: its margin is not {margin_px} px"
        )
    opinions = {name: opinion(cache_dir, name, len(pixels)) for name in dict.fromkeys([*known, *teachers])}
    is_found = ~np.isnan(points[:, 0, 0])
    points[~is_found] = stored_template(margin_px)
    return Faces(
        pixels,
        points,
        is_found,
        labels.person,
        [opinions[name] for name in teachers],
        tuple(teachers),
        labels.is_dropped,
        list(opinions.values()),
    )


def taught(cache_dir: Path) -> tuple[str, ...]:
    """The teachers whose embeddings a cache has."""
    return tuple(known.name for known in ALL if (cache_dir / f"teacher-{known.name}.npy").exists())


def open_labels(cache_dir: Path, *, is_screened: bool = True) -> Labels:
    """Read faces.csv, and with `is_screened` what `screen` took out. Raises ExportError."""
    gone = ledger.gone_rows(cache_dir)
    try:
        with (cache_dir / "faces.csv").open(newline="", encoding="utf-8") as file:
            rows = [(row["key"], row["person"]) for row in csv.DictReader(file)]
    except (OSError, KeyError) as error:
        raise ExportError(f"{cache_dir} is not a cache ({error}): run janus-export import") from error
    names = sorted({person for _, person in rows} - {""})
    numbers = {name: number for number, name in enumerate(names)}
    person = np.array([numbers.get(name, -1) for _, name in rows], np.int32)
    return Labels(
        [key for key, _ in rows], person, _dropped(cache_dir, len(rows), gone, is_screened=is_screened)
    )


def stored_side(margin_px: int) -> int:
    """Of a stored face, in pixels."""
    return CROP_PX + 2 * margin_px


def opinion(cache_dir: Path, teacher: str, rows: int) -> NDArray[np.float32]:
    """(rows, D): what a teacher thinks of each face. Raises ExportError where it has not seen them all."""
    path = cache_dir / f"teacher-{teacher}.npy"
    try:
        embeddings: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read ({error}): run janus-export teach") from error
    if len(embeddings) != rows:
        raise ExportError(f"{path} has {len(embeddings):,} of {rows:,} faces: run janus-export teach again")
    return embeddings


def _dropped(cache_dir: Path, rows: int, gone: Sequence[range], *, is_screened: bool) -> NDArray[np.bool_]:
    """(rows,) which faces their source has no longer, or `screen` took out."""
    is_dropped = np.zeros(rows, np.bool_)
    for stretch in gone:
        is_dropped[stretch.start : stretch.stop] = True
    path = cache_dir / "dropped.csv"
    if is_screened and path.exists():
        try:
            with path.open(newline="", encoding="utf-8") as file:
                is_dropped[[int(row["row"]) for row in csv.DictReader(file)]] = True
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ExportError(f"{path} is damaged ({error!r}): run janus-export screen again") from error
    return is_dropped


def live_rows(cache_dir: Path) -> Iterator[dict[str, str]]:
    """The rows of faces.csv that their source still has, one at a time."""
    gone = ledger.gone_rows(cache_dir, must_be_whole=False)
    with (cache_dir / "faces.csv").open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file)):
            if not any(number in stretch for stretch in gone):
                yield row


def split_people(faces: Faces, held_out_people: int, rng: np.random.Generator, alike: float = 0.6) -> Split:
    """Set people with two or more faces aside, and drop training faces that may show one of them.

    `alike` is the mean of the teachers' cosines above which a face may be a held-out person's under another
    name. Where no teacher was ever asked, labels are believed.
    """
    is_used = ~faces.is_dropped
    numbers, counts = np.unique(faces.person[(faces.person >= 0) & is_used], return_counts=True)
    several = numbers[counts >= 2]
    if not len(several):
        raise ExportError(
            "no person in this cache has two or more faces, so nobody can be held out to validate with: "
            "import labelled people too, or draw some (janus-export synthesize --views 6 --seed 1)"
        )
    if held_out_people >= len(several):
        raise ExportError(f"only {len(several)} people have two or more faces: hold out fewer than that")
    chosen = rng.choice(several, held_out_people, replace=False)
    held = np.isin(faces.person, chosen)
    held_out, rest = np.flatnonzero(held & is_used), np.flatnonzero(~held & is_used)
    closest = np.full(len(rest), -1.0, np.float32)
    # In blocks: the whole matrix would not fit a small machine. Without teachers nobody can tell.
    for start in range(0, len(rest) if faces.judges else 0, 4096):
        rows = rest[start : start + 4096]
        cosine = np.mean([unit(t[rows]) @ unit(t[held_out]).T for t in faces.judges], axis=0)
        closest[start : start + 4096] = cosine.max(axis=1)
    train = rest[closest <= alike]
    return Split(train, held_out, len(rest) - len(train))
