"""Take out of a cache what would spoil a measurement: the same picture twice, and people an evaluation shows.

Two faces are the same picture where both the hash of their coarse structure and the judges' embeddings say
so. Neither suffices: two people in the same pose and light may share a hash, and two photographs of one
moment an embedding. Of a group of such faces the one with the most pixels stays; where the group carries two
names, one of them is wrong, and none stays.

A face is an evaluation's where its nearest face there is more alike than `alike`; a person goes whole where
that is true of at least half of their faces.

    CACHE/dropped.csv   row,key,why,like,cosine: every face taken out, and which face it resembles

The judges are teachers where their embeddings are given, else the door's released int8 encoder.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core.align import CROP_PX
from janusd.core.manifest import fmr_for_gallery, operating_point
from janusd_export.errors import ExportError
from janusd_export.faces.cache import Labels, open_labels
from janusd_export.faces.intake import run_import
from janusd_export.faces.ledger import settings
from janusd_export.faces.nearness import Matrix, nearest, pairs_above
from janusd_export.faces.sources import Source
from janusd_export.faces.stored import Finders, Wanted
from janusd_export.faces.targets import unit
from janusd_export.faces.teach import EncoderJudge, Judge, TeacherJudge, ask, margin_of
from janusd_export.faces.teachers import Teacher

HASH_BITS = 128
FARTHEST = 20
"""Bits in which the hashes of one picture may differ. 99 of 100 faces: JPEG quality 40 at most 5, a third of
the resolution 5, shifted by a pixel 16, scaled by 5 % 26 (300 faces); two different faces: 26 or fewer in one
of 100,000 pairs."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Alike:
    """Cosines from which two faces are taken for one; they depend on who judges."""

    picture: float
    """The same picture."""
    person: float
    """The same person."""


BY_TEACHERS = Alike(picture=0.8, person=0.5)
"""Mean cosine of both teachers. The same picture after JPEG quality 40 or a shift of a pixel: 0.92 or more in
99 of 100; two photographs of one person: below 0.73 in 95 of 100. Of two people one pair in 10,000 is above
0.38, label mistakes included."""

ENCODER_PICTURE = 0.88
"""The same picture for the released int8 encoder, which tells people apart less well: after JPEG quality 40
or a shift of a pixel 0.96 or more in 95 of 100; two photographs of one person 0.87 or less in 99."""

INNOCENT = 0.01
"""Share of strangers' faces that the int8 encoder may take for one of the evaluation's; its manifest knows
the threshold for that."""


class Why(StrEnum):
    """Why a face was taken out. The value is stable: `dropped.csv` and --json carry it."""

    DUPLICATE = "duplicate"
    TWO_NAMES = "two_names"
    EVALUATION_FACE = "evaluation_face"
    EVALUATION_PERSON = "evaluation_person"

    @property
    def explanation(self) -> str:
        """What it means, for the summary."""
        return _EXPLANATIONS[self]


_EXPLANATIONS = {
    Why.DUPLICATE: "the same picture as another that stays",
    Why.TWO_NAMES: "the same picture under two names, one of them wrong",
    Why.EVALUATION_FACE: "resembles a face of the evaluation",
    Why.EVALUATION_PERSON: "of a person whom the evaluation shows",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """One face taken out."""

    row: int
    why: Why
    like: str
    """The key of the face it resembles most."""
    cosine: float


@dataclass(frozen=True, slots=True)
class Screened:
    """What was taken out, and by whose word."""

    judges: tuple[str, ...]
    faces: int
    compared_with: int
    """Faces of the evaluations."""
    not_compared: int
    """Pictures of the evaluations in which no face was found."""
    same_picture: float
    """Cosine from which two faces of like hash are the same picture."""
    same_person: float
    dropped: dict[str, int]
    people: int
    """Labelled people who lost all their faces."""


def screen(
    cache_dir: Path,
    against: Sequence[Source],
    *,
    teachers: Sequence[Teacher] = (),
    teachers_dir: Path | None = None,
    models_dir: Path = models.RELEASED,
    alike_person: float | None = None,
    finders: Callable[[], Finders] = Finders.of_the_door,
    progress: Progress | None = None,
) -> Screened:
    """Write CACHE/dropped.csv anew. Evaluations are imported into CACHE/against. Raises ExportError."""
    labels = open_labels(cache_dir, is_screened=False)
    margin_px = margin_of(cache_dir)
    judges: list[Judge] = [EncoderJudge(models_dir, margin_px)]
    if teachers_dir is not None and teachers:
        judges = [TeacherJudge(teacher, teachers_dir, margin_px) for teacher in teachers]
    judged = joined([ask(cache_dir, judge, progress=progress) for judge in judges])
    others, other_keys, not_compared = _evaluations(cache_dir, against, margin_px, judges, finders, progress)
    alike = _thresholds(models_dir if teachers_dir is None else None, len(other_keys), alike_person)
    pixels = np.load(cache_dir / "faces.npy", mmap_mode="r")
    dropped = []
    if len(other_keys):
        say = (lambda done: progress("against", done, len(judged))) if progress else None
        dropped += shared(judged, labels, others, other_keys, alike, say)
    taken = np.array(labels.is_dropped)
    taken[[found.row for found in dropped]] = True
    left = replace(labels, is_dropped=taken)
    dropped += duplicates(pixels, judged, left, _eyes_px(cache_dir, len(judged)), alike, progress)
    write_dropped(cache_dir, dropped, labels)
    taken[[found.row for found in dropped]] = True
    before, after = (
        len(np.unique(labels.person[(labels.person >= 0) & ~out])) for out in (labels.is_dropped, taken)
    )
    return Screened(
        tuple(judge.file for judge in judges),
        int((~labels.is_dropped).sum()),
        len(other_keys),
        not_compared,
        alike.picture,
        alike.person,
        dict(Counter(found.why.value for found in dropped)),
        before - after,
    )


def _thresholds(models_dir: Path | None, gallery: int, person: float | None) -> Alike:
    """From the teachers, or of the encoder in this model directory."""
    if models_dir is None:
        return replace(BY_TEACHERS, person=BY_TEACHERS.person if person is None else person)
    if person is None:
        encoder = models.load(models_dir).manifest.encoder
        if encoder.calibration is None:
            raise ExportError(f"{models_dir}: its encoder is not calibrated: give --alike or --teachers")
        fmr = fmr_for_gallery(INNOCENT, max(gallery, 1))
        person = operating_point(encoder.calibration, fmr).threshold
    return Alike(ENCODER_PICTURE, person)


def _evaluations(
    cache_dir: Path,
    against: Sequence[Source],
    margin_px: int,
    judges: Sequence[Judge],
    finders: Callable[[], Finders],
    progress: Progress | None,
) -> tuple[Matrix, list[str], int]:
    """(M, D) unit rows of all evaluations' faces, their keys, and how many pictures have no face."""
    rows: list[Matrix] = [np.zeros((0, sum(judge.dimensions for judge in judges)), np.float32)]
    keys: list[str] = []
    refused = 0
    is_grey = bool(settings(cache_dir).get("grey", False))
    for source in against:
        place = cache_dir / "against" / source.name
        wanted = Wanted(margin_px, is_grey, fewest_eyes_px=0.0)  # a small face leaks as well as a large one
        (summary,) = run_import([source], place, wanted, has_moved=True, finders=finders, progress=progress)
        refused += sum(summary.refused.values())
        labels = open_labels(place, is_screened=False)
        there = np.flatnonzero(~labels.is_dropped)
        rows.append(joined([ask(place, judge, progress=progress) for judge in judges])[there])
        keys += [labels.keys[row] for row in there]
    return np.concatenate(rows), keys, refused


def _eyes_px(cache_dir: Path, rows: int) -> NDArray[np.float32]:
    """(rows,) pixels between the eyes in the original; 0 where it is not known."""
    with (cache_dir / "faces.csv").open(newline="", encoding="utf-8") as file:
        known = [float(row.get("inter_ocular_px") or 0.0) for row in csv.DictReader(file)]
    return np.array(known or [0.0] * rows, np.float32)


def duplicates(
    pixels: NDArray[np.uint8],
    judged: Matrix,
    labels: Labels,
    eyes_px: NDArray[np.float32],
    alike: Alike,
    progress: Progress | None = None,
) -> list[Dropped]:
    """Faces that are the same picture as another.

    (N, S, S, 3) pixels, (N, D) unit rows of the judges, (N,) pixels between the eyes of the original.
    """
    signs = hashes(pixels, progress)
    cosine = 1.0 - 2.0 * FARTHEST / HASH_BITS - 1e-6
    rows = len(signs)
    leader = np.arange(rows)  # of each face's group: a forest in which every root leads itself
    likest: dict[int, tuple[float, int]] = {}
    report = (lambda done: progress("duplicates", done, rows)) if progress else None
    for first, second, _ in pairs_above(signs, cosine, report):
        score = np.einsum("nd,nd->n", judged[first], judged[second])
        is_same = (score >= alike.picture) & ~labels.is_dropped[first] & ~labels.is_dropped[second]
        for a, b, s in zip(
            first[is_same].tolist(), second[is_same].tolist(), score[is_same].tolist(), strict=True
        ):
            for one, other in ((a, b), (b, a)):
                likest[one] = max(likest.get(one, (-1.0, 0)), (s, other))
            leader[_root(leader, b)] = _root(leader, a)
    groups: dict[int, list[int]] = {}
    for row in sorted(likest):
        groups.setdefault(_root(leader, row), []).append(row)
    dropped = []
    for members in groups.values():
        names = {int(labels.person[row]) for row in members} - {-1}
        # The largest original stays; of equals one whose person is known, then the first.
        best = max(members, key=lambda row: (labels.person[row] >= 0, float(eyes_px[row]), -row))
        why = Why.TWO_NAMES if len(names) > 1 else Why.DUPLICATE
        for row in members:
            if row != best or why is Why.TWO_NAMES:
                score, like = likest[row]
                dropped.append(Dropped(row, why, labels.keys[like], round(score, 3)))
    return dropped


def shared(
    judged: Matrix,
    labels: Labels,
    others: Matrix,
    other_keys: Sequence[str],
    alike: Alike,
    progress: Callable[[int], None] | None = None,
) -> list[Dropped]:
    """Faces that an evaluation, (M, D) unit rows, may show, and all faces of people who are in it."""
    which, cosine = nearest(judged, others, progress)
    is_near = (cosine >= alike.person) & ~labels.is_dropped
    known = (labels.person >= 0) & ~labels.is_dropped
    faces = np.bincount(labels.person[known], minlength=1)
    near = np.bincount(labels.person[known & is_near], minlength=len(faces))
    people = np.flatnonzero((near > 0) & (2 * near >= faces))
    is_person = np.isin(labels.person, people) & known
    return [
        Dropped(
            int(row),
            Why.EVALUATION_PERSON if is_person[row] else Why.EVALUATION_FACE,
            other_keys[which[row]],
            round(float(cosine[row]), 3),
        )
        for row in np.flatnonzero(is_near | is_person)
    ]


def hashes(pixels: NDArray[np.uint8], progress: Progress | None = None) -> Matrix:
    """(N, 128) of +-1 / sqrt(128): the signs of the lowest frequencies of each crop's luma.

    The cosine of two hashes is 1 - 2 * differing bits / 128. Brightness and contrast change no sign.
    """
    frequencies = sorted((u + v, u, v) for u in range(20) for v in range(20))[1 : HASH_BITS + 1]
    across, down = (np.array([f[axis] for f in frequencies]) for axis in (1, 2))
    margin = (pixels.shape[1] - CROP_PX) // 2
    signs = np.empty((len(pixels), HASH_BITS), np.float32)
    for row in range(len(pixels)):
        crop = np.ascontiguousarray(pixels[row, margin : margin + CROP_PX, margin : margin + CROP_PX])
        luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        small = cv2.resize(luma, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        signs[row] = np.where(cv2.dct(small)[across, down] > 0, 1.0, -1.0)
        if progress and row % 512 == 511:
            progress("hashes", row + 1, len(pixels))
    return signs / np.float32(np.sqrt(HASH_BITS))


def joined(opinions: Sequence[Matrix]) -> Matrix:
    """(N, sum of D) unit rows whose dot product is the mean of the judges' cosines."""
    rows = np.concatenate([unit(e) for e in opinions], axis=1) / np.sqrt(len(opinions))
    return rows.astype(np.float32)


def write_dropped(cache_dir: Path, dropped: Iterable[Dropped], labels: Labels) -> None:
    """Write dropped.csv anew, sorted by row; a face that is dropped for two reasons has the first."""
    by_row: dict[int, Dropped] = {}
    for found in dropped:
        by_row.setdefault(found.row, found)
    path = cache_dir / "dropped.csv"
    beside = path.with_suffix(".new")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "key", "why", "like", "cosine"])
        for row, found in sorted(by_row.items()):
            writer.writerow([row, labels.keys[row], found.why.value, found.like, f"{found.cosine:.3f}"])
    beside.replace(path)


def _root(leader: NDArray[np.intp], row: int) -> int:
    while leader[row] != row:
        leader[row] = leader[leader[row]]  # halve the way for the next who asks
        row = int(leader[row])
    return row
