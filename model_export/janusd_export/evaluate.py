"""Measure the released encoder on pairs of photographs, through the door's own path."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd_export import metrics
from janusd_export.device import Embedded, Progress, embed_photos
from janusd_export.errors import ExportError
from janusd_export.metrics import Rate
from janusd_export.photos import open_photos

FOLDS = 10
FOLD_SEED = 0  # the original folds of LFW view 2 are not kept in pairs.csv: these are ours, and fixed
MISSED = -1.0  # the score of a pair in which a face was not found: it can never match


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photographs, by name, and whether they show one person."""

    a: str
    b: str
    is_same: bool


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Genuine pairs that match at one FMR."""

    fmr: float
    threshold: float
    matched: Rate


@dataclass(frozen=True, slots=True)
class PairReport:
    """What `janus-export evaluate` prints."""

    genuine: int
    impostor: int
    photos: int
    missed_photos: int
    missed_pairs: int
    accuracy: Rate
    accuracy_of_folds: list[float]
    equal_error_rate: float
    points: list[OperatingPoint]
    cross: CrossReport | None


@dataclass(frozen=True, slots=True)
class CrossReport:
    """All pairs among all photographs of the people who have at least two."""

    people: int
    photos: int
    genuine: int
    impostor: int
    points: list[OperatingPoint]


def read_pairs(path: Path) -> list[Pair]:
    """Read `image_a,image_b,same`. Raises ExportError naming file and line."""
    pairs = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["same"] not in ("0", "1"):
                    raise ValueError(f"same is {row['same']!r}, must be 0 or 1")
                pairs.append(Pair(row["image_a"], row["image_b"], row["same"] == "1"))
    except (OSError, KeyError, ValueError) as error:
        raise ExportError(
            f"{path}, after {len(pairs)} pairs: {error!r}: give image_a,image_b,same"
        ) from error
    if not pairs:
        raise ExportError(f"{path} names no pairs")
    return pairs


def evaluate(
    folder: Path,
    models_dir: Path,
    cache_dir: Path | None,
    *,
    limit: int | None = None,
    with_cross: bool = False,
    jobs: int = 1,
    progress: Progress | None = None,
) -> PairReport:
    """Score the pairs of FOLDER/pairs.csv. `limit` takes every so many pairs, for a quick look."""
    pairs = read_pairs(folder / "pairs.csv")
    if limit is not None and limit < len(pairs):
        pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, limit)]
    photos = {photo.name: photo for photo in open_photos(folder)}
    wanted = sorted({name for pair in pairs for name in (pair.a, pair.b)})
    absent = [name for name in wanted if name not in photos]
    if absent:
        raise ExportError(f"{folder} lacks {len(absent)} photographs of pairs.csv, first {absent[0]}")
    if with_cross:
        counts: dict[str, int] = {}
        for photo in photos.values():
            counts[photo.person] = counts.get(photo.person, 0) + 1
        wanted = sorted({*wanted, *(p.name for p in photos.values() if counts[p.person] >= 2)})
    embedded = embed_photos(
        (photos[name] for name in wanted), models_dir, cache_dir, jobs=jobs, progress=progress
    )
    return report(pairs, embedded, with_cross=with_cross)


def report(pairs: list[Pair], embedded: Embedded, *, with_cross: bool = False) -> PairReport:
    """Rates of pairs whose photographs are embedded."""
    place = {photo.name: number for number, photo in enumerate(embedded.photos)}
    a = np.array([place[pair.a] for pair in pairs])
    b = np.array([place[pair.b] for pair in pairs])
    is_same = np.array([pair.is_same for pair in pairs])
    scores = np.einsum("nd,nd->n", embedded.embeddings[a], embedded.embeddings[b]).astype(np.float32)
    missed = ~(embedded.is_found[a] & embedded.is_found[b])
    scores[missed] = MISSED
    people = [(embedded.photos[i].person, embedded.photos[j].person) for i, j in zip(a, b, strict=True)]
    accuracy, each = metrics.folded_accuracy(
        scores, is_same, metrics.people_disjoint_folds(people, FOLDS, FOLD_SEED)
    )
    genuine, impostor = scores[is_same], scores[~is_same]
    used = np.unique(np.concatenate([a, b]))
    return PairReport(
        genuine=len(genuine),
        impostor=len(impostor),
        photos=len(used),
        missed_photos=int((~embedded.is_found[used]).sum()),
        missed_pairs=int(missed.sum()),
        accuracy=accuracy,
        accuracy_of_folds=each,
        equal_error_rate=metrics.equal_error_rate(genuine, impostor),
        points=_points(genuine, impostor),
        cross=_cross(embedded) if with_cross else None,
    )


def _cross(embedded: Embedded) -> CrossReport:
    _, number, counts = np.unique(
        [p.person for p in embedded.photos], return_inverse=True, return_counts=True
    )
    rows = np.flatnonzero(counts[number] >= 2)
    person = number[rows].astype(np.int32)
    genuine, impostor = metrics.same_and_different(embedded.embeddings[rows], person)
    return CrossReport(
        int((counts >= 2).sum()), len(rows), len(genuine), len(impostor), _points(genuine, impostor)
    )


def _points(genuine: NDArray[np.float32], impostor: NDArray[np.float32]) -> list[OperatingPoint]:
    points = []
    for fmr in (1e-2, 1e-3, 1e-4, 1e-5):
        if fmr * len(impostor) < 1.0:
            break  # not one impostor pair may match: nothing to say at this rate
        matched, threshold = metrics.true_match_rate(genuine, impostor, fmr)
        points.append(OperatingPoint(fmr, threshold, matched))
    return points
