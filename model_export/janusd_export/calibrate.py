"""Learn how the int8 encoder scores strangers and friends, so that a promise becomes a threshold.

Faces of people who were held out of training go through the door's path: detector, alignment, int8 encoder.
The empirical tail of the impostor scores gives thresholds down to the rate that the number of comparisons
supports; below it a generalised Pareto distribution is fitted to the scores above `location` and marked as
extrapolated.

Comparisons that share a face or a person are not independent, so intervals come from a bootstrap over people,
not over comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.manifest import Calibration, Tail, Threshold
from janusd.core.types import Image
from janusd.pipeline import Pipeline
from janusd_export import metrics
from janusd_export.cache import open_faces, split_people
from janusd_export.device import Progress, central_face, embed_at
from janusd_export.errors import ExportError
from janusd_export.recipe import Recipe
from janusd_export.targets import unit

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
FEWEST = 20  # impostor comparisons that must lie above a threshold that is called measured
TAIL_RATE = 2e-3  # share of impostor scores the tail is fitted to
QUANTILES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75)
SAME_ANYWAY = 0.45  # mean of the teachers' cosines from which a pair labelled as two people is taken for one
REPEATS = 100
PAD_PX = 40  # grey around a stored face, for a detector that wants to see more than the face


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Embeddings of people the encoder never saw. Rows correspond."""

    embeddings: NDArray[np.float32]
    person: NDArray[np.int32]
    teachers: NDArray[np.float32]
    """(n, D) rows whose dot product is the mean of the teachers' cosines."""
    missed: int
    """Faces the detector did not find; they are left out."""


def embed_held_out(
    recipe: Recipe, cache_dir: Path, pipeline: Pipeline, progress: Progress | None = None
) -> HeldOut:
    """Send the held-out people of a recipe's split through the door's path."""
    faces = open_faces(cache_dir, recipe.faces.margin_px)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    rows, embeddings = [], []
    for number, row in enumerate(split.held_out):
        image = padded(faces.pixels[row])
        face = central_face(image, pipeline.faces(image))
        if face is not None:
            rows.append(row)
            embeddings.append(embed_at(pipeline, image, face.landmarks_px))
        if progress:
            progress(number + 1, len(split.held_out))
    teachers = np.concatenate([unit(t[rows]) for t in faces.teachers], axis=1) / np.sqrt(len(faces.teachers))
    return HeldOut(
        np.stack(embeddings), faces.person[rows], teachers.astype(np.float32), len(split.held_out) - len(rows)
    )


def padded(face: Image) -> Image:
    """A stored face with grey around it."""
    grey = cv2.copyMakeBorder(
        face, PAD_PX, PAD_PX, PAD_PX, PAD_PX, cv2.BORDER_CONSTANT, value=(127, 127, 127)
    )
    return grey.astype(np.uint8, copy=False)


def calibrate(held_out: HeldOut, seed: int) -> Calibration:
    """Thresholds, tail and genuine quantiles of these embeddings."""
    first, second = (i.astype(np.int32) for i in np.triu_indices(len(held_out.person), 1))
    score = (held_out.embeddings @ held_out.embeddings.T)[first, second]
    is_same = held_out.person[first] == held_out.person[second]
    alike = (held_out.teachers @ held_out.teachers.T)[first, second] >= SAME_ANYWAY
    mislabelled = int((~is_same & alike).sum())
    keep = ~is_same & ~alike
    genuine, impostor = score[is_same], score[keep]
    if len(impostor) * RATES[0] < FEWEST:
        raise ExportError(f"only {len(impostor)} impostor comparisons: hold out more people")
    people, number = np.unique(held_out.person, return_inverse=True)
    rates = [r for r in RATES if r * len(impostor) >= FEWEST]
    ends = _bootstrap(impostor, number[first[keep]], number[second[keep]], len(people), rates, seed)
    table = tuple(
        Threshold(fmr=r, threshold=metrics.threshold_at_fmr(impostor, r), low=low, high=high)
        for r, (low, high) in zip(rates, ends, strict=True)
    )
    return Calibration(
        description=(
            f"{len(held_out.person):,} faces of {len(people):,} people held out of training, through the "
            f"door's int8 path ({held_out.missed} more in which no face was found are left out); "
            f"all pairs of two faces. {mislabelled:,} pairs labelled as two people whom the teachers take "
            f"for one (mean cosine >= {SAME_ANYWAY}) are left out as label errors. "
            f"Intervals: 95 %, bootstrap over people, {REPEATS} repeats."
        ),
        impostor_comparisons=len(impostor),
        genuine_comparisons=len(genuine),
        table=table,
        tail=fit_tail(impostor, TAIL_RATE),
        genuine_quantiles={f"{q:g}": round(float(np.quantile(genuine, q)), 4) for q in QUANTILES},
    )


def fit_tail(impostor: NDArray[np.float32], exceed_rate: float) -> Tail:
    """A generalised Pareto distribution of the scores above their (1 - `exceed_rate`) quantile.

    By probability-weighted moments: Hosking and Wallis, "Parameter and Quantile Estimation for the
    Generalized Pareto Distribution", Technometrics 29(3), 1987, equations 8-9; their k is -shape.
    """
    ordered = np.sort(impostor.astype(np.float64))
    above = max(FEWEST, round(exceed_rate * len(ordered)))
    if above >= len(ordered):
        raise ExportError(f"only {len(ordered)} impostor comparisons: too few for a tail")
    location = ordered[-above - 1]
    excess = ordered[-above:] - location  # ascending
    n = len(excess)
    mean = excess.mean()
    weighted = float((excess * (1.0 - (np.arange(1, n + 1) - 0.35) / n)).mean())
    k = mean / (mean - 2.0 * weighted) - 2.0
    scale = 2.0 * mean * weighted / (mean - 2.0 * weighted)
    return Tail(
        location=float(location), scale=float(scale), shape=float(-k), exceed_rate=above / len(ordered)
    )


def _bootstrap(
    impostor: NDArray[np.float32],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    people: int,
    rates: list[float],
    seed: int,
) -> list[tuple[float, float]]:
    """95 % interval of the threshold at each rate, people drawn with replacement.

    A pair counts as often as both its people were drawn. Only the highest scores matter, so only they are
    sorted.
    """
    rng = np.random.default_rng(seed)
    kept = min(len(impostor), round(1.5 * max(rates) * len(impostor)))
    top = np.argpartition(-impostor, kept - 1)[:kept]
    top = top[np.argsort(-impostor[top], kind="stable")]
    ranked, first_top, second_top = impostor[top], first[top], second[top]
    found = []
    for _ in range(REPEATS):
        drawn = rng.multinomial(people, np.full(people, 1.0 / people))
        reached = np.cumsum(drawn[first_top] * drawn[second_top])
        every = int((drawn[first] * drawn[second]).sum())
        found.append([ranked[min(int(np.searchsorted(reached, r * every)), kept - 1)] for r in rates])
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
