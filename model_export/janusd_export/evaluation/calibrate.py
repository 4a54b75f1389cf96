"""Learn how the int8 encoder scores strangers and friends, so that a promise becomes a threshold.

Faces of people who were held out of training go through the door's path: detector, alignment, int8 encoder.
The empirical tail of the impostor scores gives thresholds down to the rate that the number of comparisons
supports; below it a generalised Pareto distribution is fitted to the scores above `location` and marked as
extrapolated.

Comparisons that share a face or a person are not independent, so intervals come from a bootstrap over people,
not over comparisons: measured thresholds are read off each repeat, extrapolated ones from a tail fitted to it
anew. `check_tail` says how well the distribution fits: its quantiles beside the scores', and what the rarest
threshold would be had the tail begun elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.core import embed
from janusd.core.align import align
from janusd.core.manifest import Attenuation, Calibration, Tail, Threshold
from janusd.pipeline import Pipeline
from janusd_export import metrics
from janusd_export.errors import ExportError
from janusd_export.evaluation.findings import TailCheck, TailChoice
from janusd_export.faces.cache import check_held_out, open_faces, split_people, who_is_held_out
from janusd_export.faces.device import Progress, central_face
from janusd_export.faces.layout import padded
from janusd_export.faces.targets import unit
from janusd_export.metrics import Rate
from janusd_export.training.recipe import Recipe

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
ASKED = (1e-3, 1e-4, 1e-5, 1e-6)  # rates that get a threshold, extrapolated where they cannot be measured
FEWEST = 20  # impostor comparisons that must lie above a threshold that is called measured
TAIL_RATE = 2e-3  # share of impostor scores the tail is fitted to
QUANTILES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75)
SAME_ANYWAY = 0.45  # mean of the teachers' cosines from which a pair labelled as two people is taken for one
REPEATS = 100
EXPONENTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)
CHOSEN_AT = 1e-4


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Embeddings of people the encoder never saw. Rows correspond."""

    embeddings: NDArray[np.float32]
    """(n, D) of unit length."""
    sureness: NDArray[np.float32]
    """(n,) how long the encoder's answers were, in the mean of its views."""
    person: NDArray[np.int32]
    teachers: NDArray[np.float32]
    """(n, D) rows whose dot product is the mean of the teachers' cosines."""
    missed: int
    """Faces the detector did not find; they are left out."""


def embed_held_out(
    recipe: Recipe, cache_dir: Path, pipeline: Pipeline, progress: Progress | None = None
) -> HeldOut:
    """Send the held-out people of a recipe's split through the door's path.

    Raises ExportError where they are not those whom the encoder never learnt from.
    """
    faces = open_faces(cache_dir, recipe.faces.margin_px, recipe.wanted_teachers)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    check_held_out(who_is_held_out(faces, split), pipeline.spec.training.get("held_out"))
    rows, embeddings, sureness = [], [], []
    for number, row in enumerate(split.held_out):
        image = padded(faces.pixels[row])
        face = central_face(image, pipeline.faces(image))
        if face is not None:
            rows.append(row)
            answers = pipeline.answers(align(image, face.landmarks_px))
            embeddings.append(embed.of_answers(answers))
            sureness.append(embed.sureness(answers))
        if progress:
            progress(number + 1, len(split.held_out))
    opinions = [unit(t[rows]) for t in faces.teachers]
    # Without teachers nobody doubts a label.
    teachers = (
        np.concatenate(opinions, axis=1) / np.sqrt(len(opinions)) if opinions else np.zeros((len(rows), 1))
    )
    if not rows:
        raise ExportError("no face was found among the held-out people: look at the cache's pictures")
    return HeldOut(
        np.stack(embeddings),
        np.array(sureness, np.float32),
        faces.person[rows],
        teachers.astype(np.float32),
        len(split.held_out) - len(rows),
    )


def fit_attenuation(held_out: HeldOut) -> tuple[Attenuation | None, dict[float, Rate]]:
    """The exponent at which most friends match where one in ten thousand strangers does; None for nought.

    With it the share of friends at each that was tried. One number, chosen on the same faces as the
    thresholds: it flatters them by less than their intervals.
    """
    typical = round(float(np.median(held_out.sureness)), 3)
    tried = {
        exponent: _matched(lengthened(held_out, Attenuation(typical, exponent)))
        for exponent in (EXPONENTS if typical > 0.0 else ())
    }
    best = max(tried, key=lambda exponent: (tried[exponent].hits, -exponent), default=0.0)
    return (Attenuation(typical, best) if best else None), tried


def lengthened(held_out: HeldOut, attenuation: Attenuation | None) -> HeldOut:
    """The same people, their embeddings as a door with this attenuation has them."""
    if attenuation is None:
        return held_out
    lengths = embed.lengths(held_out.sureness, attenuation)
    return replace(held_out, embeddings=held_out.embeddings * lengths[:, np.newaxis])


def _matched(held_out: HeldOut) -> Rate:
    scores = compare(held_out)
    fmr = max(CHOSEN_AT, FEWEST / len(scores.impostor))
    return metrics.true_match_rate(scores.genuine, scores.impostor, fmr)[0]


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Scores of all pairs of held-out faces, without pairs that are label errors."""

    genuine: NDArray[np.float32]
    impostor: NDArray[np.float32]
    first: NDArray[np.int32]
    """Row of each impostor score's first face."""
    second: NDArray[np.int32]
    mislabelled: int


def compare(held_out: HeldOut) -> Comparisons:
    """All pairs of two faces. Raises ExportError where there are too few."""
    first, second = (i.astype(np.int32) for i in np.triu_indices(len(held_out.person), 1))
    score = (held_out.embeddings @ held_out.embeddings.T)[first, second]
    is_same = held_out.person[first] == held_out.person[second]
    alike = (held_out.teachers @ held_out.teachers.T)[first, second] >= SAME_ANYWAY
    keep = ~is_same & ~alike
    if keep.sum() * RATES[0] < FEWEST:
        raise ExportError(f"only {keep.sum()} impostor comparisons: hold out more people")
    return Comparisons(score[is_same], score[keep], first[keep], second[keep], int((~is_same & alike).sum()))


def calibrate(held_out: HeldOut, seed: int) -> Calibration:
    """Thresholds, tail and genuine quantiles of these embeddings."""
    scores = compare(held_out)
    genuine, impostor = scores.genuine, scores.impostor
    people, number = np.unique(held_out.person, return_inverse=True)
    rates = [r for r in RATES if r * len(impostor) >= FEWEST]
    beyond = [r for r in ASKED if r < rates[-1]]
    kept = min(len(impostor), round(1.5 * max(*rates, TAIL_RATE) * len(impostor)))
    top = np.argpartition(-impostor, kept - 1)[:kept]
    top = top[np.argsort(-impostor[top], kind="stable")]
    drawn = _draw_people(number[scores.first], number[scores.second], top, len(people), seed)
    ends = threshold_intervals(impostor[top], drawn, rates, beyond, TAIL_RATE)
    tail = fit_tail(impostor, TAIL_RATE)
    measured = [metrics.threshold_at_fmr(impostor, r) for r in rates]
    estimated = [max(measured[-1], tail_threshold(tail, r)) for r in beyond]
    rows = ordered_thresholds([*rates, *beyond], [*measured, *estimated], ends)
    table, extrapolated = rows[: len(rates)], rows[len(rates) :]
    return Calibration(
        description=(
            f"{len(held_out.person):,} faces of {len(people):,} people held out of training, through the "
            f"door's int8 path ({held_out.missed} more in which no face was found are left out); "
            f"all pairs of two faces. {scores.mislabelled:,} pairs labelled as two people whom the "
            f"teachers take for one (mean cosine >= {SAME_ANYWAY}) are left out as label errors. "
            f"Intervals: 95 %, bootstrap over people, {REPEATS} repeats."
        ),
        impostor_comparisons=len(impostor),
        genuine_comparisons=len(genuine),
        table=table,
        tail=tail,
        extrapolated=extrapolated,
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
    scale, shape = fit_excess(ordered[-above:] - location)
    return Tail(location=float(location), scale=scale, shape=shape, exceed_rate=above / len(ordered))


def fit_excess(excess: NDArray[np.float64]) -> tuple[float, float]:
    """(scale, shape) of ascending scores above their location; equations 8-9 of Hosking and Wallis."""
    n = len(excess)
    mean = excess.mean()
    weighted = float((excess * (1.0 - (np.arange(1, n + 1) - 0.35) / n)).mean())
    if mean <= 0.0 or mean <= 2.0 * weighted:
        return max(float(mean), 1e-9), 0.0  # all alike: no tail to speak of
    k = mean / (mean - 2.0 * weighted) - 2.0
    return float(2.0 * mean * weighted / (mean - 2.0 * weighted)), float(-k)


def tail_threshold(tail: Tail, fmr: float) -> float:
    """The score that the tail exceeds at this rate."""
    if abs(tail.shape) < 1e-9:  # the exponential limit
        return float(tail.location - tail.scale * np.log(fmr / tail.exceed_rate))
    ratio = fmr / tail.exceed_rate
    return float(tail.location + tail.scale / tail.shape * (ratio**-tail.shape - 1.0))


def threshold_intervals(
    ranked: NDArray[np.float32],
    repeats: Iterable[tuple[NDArray[np.int64], int]],
    rates: Sequence[float],
    beyond: Sequence[float],
    tail_rate: float,
) -> list[tuple[float, float]]:
    """95 % intervals of the thresholds at measured rates, then at rates beyond, from bootstrap repeats.

    With 250 scores in the tail they miss the truth as seldom as they promise; with 100, about one in ten.

    `ranked` are the highest impostor scores, descending. A repeat says how often each of them was drawn and
    how many comparisons it has in all; a tail is fitted to each repeat as it is to the scores themselves.
    """
    found = []
    for weights, every in repeats:
        reached = np.cumsum(weights)
        row = [ranked[min(int(np.searchsorted(reached, r * every)), len(ranked) - 1)] for r in rates]
        if beyond:
            at = min(int(np.searchsorted(reached, max(FEWEST, tail_rate * every))), len(ranked) - 1)
            drawn = np.repeat(ranked[:at], weights[:at])[::-1].astype(np.float64)
            location = float(ranked[at])
            if len(drawn) < 2:
                raise ExportError("a repeat of the bootstrap has no tail: hold out more people")
            scale, shape = fit_excess(drawn - location)
            tail = Tail(location, scale, shape, len(drawn) / every)
            row += [max(float(row[-1]) if row else location, tail_threshold(tail, r)) for r in beyond]
        found.append(row)
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def ordered_thresholds(
    rates: Sequence[float], thresholds: Sequence[float], ends: Sequence[tuple[float, float]]
) -> tuple[Threshold, ...]:
    """Rows as a manifest may hold them, the commonest rate first.

    A cosine ends at 1, a percentile interval need not hold its estimate, and its upper end may sink by chance
    from one rate to a rarer one: ends are widened until they do, never narrowed.
    """
    rows: list[Threshold] = []
    for rate, estimate, (low, high) in zip(rates, thresholds, ends, strict=True):
        threshold = min(1.0, estimate)
        upper = min(1.0, max(high, threshold, rows[-1].high if rows else -1.0))
        rows.append(Threshold(fmr=rate, threshold=threshold, low=min(low, threshold), high=upper))
    return tuple(rows)


def check_tail(impostor: NDArray[np.float32], tail: Tail, points: int = 60) -> TailCheck:
    """How well the tail fits the scores above its location.

    The band is where 95 of 100 samples of as many independent scores would put each quantile: the i-th of n
    uniform order statistics is beta distributed with i and n - i + 1.
    """
    above = np.sort(impostor[impostor > tail.location].astype(np.float64))[::-1]
    n = len(above)
    ranks = np.unique(np.geomspace(1, n, points).astype(np.int64))  # from the highest score down

    def score(share: float) -> float:
        return tail_threshold(tail, tail.exceed_rate * min(1.0, max(share, 1e-12)))

    ends = [metrics.rank_interval(int(i), n) for i in ranks]
    choices = []
    for share in (0.25, 0.5, 1.0, 2.0, 5.0):
        wanted = share * tail.exceed_rate
        if wanted * len(impostor) >= FEWEST and wanted < 0.2:
            other = fit_tail(impostor, wanted)
            choices.append(TailChoice(other.exceed_rate, other.shape, tail_threshold(other, ASKED[-1])))
    return TailCheck(
        scores=n,
        fitted=[score((i - 0.35) / n) for i in ranks.tolist()],
        observed=[float(above[i - 1]) for i in ranks],
        low=[score(high) for _, high in ends],
        high=[score(low) for low, _ in ends],
        choices=choices,
    )


def _draw_people(
    first: NDArray[np.intp], second: NDArray[np.intp], top: NDArray[np.intp], people: int, seed: int
) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Repeats of a bootstrap over people: a pair counts as often as both its people were drawn.

    Only the highest scores matter, so only they are listed.
    """
    rng = np.random.default_rng(seed)
    first_top, second_top = first[top], second[top]
    for _ in range(REPEATS):
        drawn = rng.multinomial(people, np.full(people, 1.0 / people))
        yield drawn[first_top] * drawn[second_top], int((drawn[first] * drawn[second]).sum())
