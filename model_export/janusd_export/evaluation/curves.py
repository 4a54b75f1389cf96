"""Error rates over all thresholds: trade-off curve, histogram, intervals from a bootstrap over people.

A point "TAR at FAR f" rests on f times the impostor comparisons. Below one nothing can be said; below thirty
the threshold itself is uncertain (the rule of 30: Doddington et al., "The NIST speaker recognition
evaluation", Speech Communication 31, 2000), and the point says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from janusd_export import metrics
from janusd_export.evaluation.findings import Curve, Histogram, OperatingPoint
from janusd_export.metrics import Scores, rate

RATES = (1e-2, 1e-3, 1e-4, 1e-5)
ENOUGH = 30  # impostor matches a threshold should rest on
BIN = 0.02
REPEATS = 200
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Ranked:
    """Genuine and impostor scores in ascending order."""

    genuine: Scores
    impostor: Scores

    @classmethod
    def of(cls, genuine: Scores, impostor: Scores) -> Ranked:
        """Sort them once; all-pairs sets have tens of millions."""
        return cls(np.sort(genuine), np.sort(impostor))

    def false_matches(self, threshold: float) -> int:
        """Impostor scores at or above it."""
        return len(self.impostor) - int(np.searchsorted(self.impostor, np.float32(threshold)))

    def matches(self, threshold: float) -> int:
        """Genuine scores at or above it."""
        return len(self.genuine) - int(np.searchsorted(self.genuine, np.float32(threshold)))

    def threshold(self, fmr: float) -> float:
        """The lowest threshold at which at most `fmr` of the impostors match."""
        allowed = int(np.floor(fmr * len(self.impostor) + 1e-9))
        if allowed >= len(self.impostor):
            return -1.0
        refused = self.impostor[len(self.impostor) - allowed - 1]
        return float(np.nextafter(refused, np.float32(2.0)))


def operating_points(ranked: Ranked, rates: tuple[float, ...] = RATES) -> list[OperatingPoint]:
    """The genuine share that matches at each rate, and what the counts do not allow to say."""
    points = []
    total = len(ranked.impostor)
    for fmr in rates:
        if fmr * total < 1.0 - 1e-9:
            points.append(
                OperatingPoint(
                    fmr, note=f"not measurable: {total:,} impostor pairs, at least {round(1 / fmr):,} needed"
                )
            )
            continue
        threshold = ranked.threshold(fmr)
        allowed = int(fmr * total + 1e-9)
        note = (
            "" if allowed >= ENOUGH else f"rests on {allowed} impostor pairs, {ENOUGH} would be trustworthy"
        )
        points.append(
            OperatingPoint(
                fmr,
                threshold,
                rate(ranked.matches(threshold), len(ranked.genuine)),
                rate(ranked.false_matches(threshold), total),
                note=note,
            )
        )
    return points


def tradeoff(ranked: Ranked, points: int = 60) -> Curve:
    """FMR and FNMR from the threshold nothing reaches to the one everything does.

    Thresholds are taken evenly over log FMR and over FNMR, so that neither end of a DET plot is bare.
    """
    total, friends = len(ranked.impostor), len(ranked.genuine)
    allowed = np.unique(np.geomspace(1, total, points).astype(np.int64))
    by_impostor = ranked.impostor[total - allowed]
    by_genuine = ranked.genuine[np.unique(np.geomspace(1, friends, points // 2).astype(np.int64)) - 1]
    thresholds = np.unique(np.concatenate([by_impostor, by_genuine]))
    fmr = [rate(ranked.false_matches(t), total) for t in thresholds]
    fnmr = [rate(friends - ranked.matches(t), friends) for t in thresholds]
    return Curve(
        thresholds.tolist(),
        *([x.value for x in fmr], [x.low for x in fmr], [x.high for x in fmr]),
        *([x.value for x in fnmr], [x.low for x in fnmr], [x.high for x in fnmr]),
    )


def histogram(ranked: Ranked) -> Histogram:
    """Both kinds counted in bins 0.02 wide."""
    lowest = min(ranked.genuine[0], ranked.impostor[0])
    highest = max(ranked.genuine[-1], ranked.impostor[-1])
    first, last = int(np.floor(lowest / BIN)), int(np.floor(highest / BIN)) + 1
    edges = (np.arange(first, last + 1) * BIN).astype(np.float32)
    genuine, impostor = (
        np.diff(np.concatenate([[0], np.searchsorted(s, edges[1:-1]), [len(s)]])).tolist()
        for s in (ranked.genuine, ranked.impostor)
    )
    return Histogram(first * BIN, last * BIN, genuine, impostor)


def probit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """The normal deviate of a probability: the axes of a DET plot (Martin et al., Eurospeech 1997)."""
    normal = NormalDist()
    return np.array([normal.inv_cdf(float(v)) for v in np.clip(p, 1e-9, 1 - 1e-9)])


@dataclass(frozen=True, slots=True)
class AllPairs:
    """Scores of all pairs of distinct rows."""

    genuine: Scores
    impostor: Scores
    genuine_rows: NDArray[np.int32]
    """(genuine, 2)."""
    top_impostor: Scores
    """The highest impostor scores, descending."""
    top_rows: NDArray[np.int32]
    """(top, 2) their rows."""
    person: NDArray[np.int32]


def all_pairs(
    embeddings: NDArray[np.float32], person: NDArray[np.int32], top_share: float = 0.02
) -> AllPairs:
    """Score all pairs, a block of rows at a time: 42 million pairs of LFW take a few hundred megabytes.

    `top_share` of the impostor pairs keep their rows too: the bootstrap and the worst pairs need no others.
    """
    n = len(person)
    same = int(sum(c * (c - 1) // 2 for c in np.unique(person, return_counts=True)[1]))
    impostor = np.empty(n * (n - 1) // 2 - same, np.float32)
    genuine, rows, filled = [], [], 0
    for start, score, is_later in _blocks(embeddings):
        is_same = person[start : start + len(score), None] == person[None, :]
        found = np.argwhere(is_same & is_later)
        genuine.append(score[found[:, 0], found[:, 1]])
        rows.append((found + np.array([start, 0])).astype(np.int32))
        others = score[~is_same & is_later]
        impostor[filled : filled + len(others)] = others
        filled += len(others)
    kept = min(len(impostor), max(1000, round(top_share * len(impostor))))
    floor = np.partition(impostor, len(impostor) - kept)[len(impostor) - kept] if kept else np.float32(2.0)
    top, top_rows = [], []
    for start, score, is_later in _blocks(embeddings):
        is_other = person[start : start + len(score), None] != person[None, :]
        found = np.argwhere(is_other & is_later & (score >= floor))
        top.append(score[found[:, 0], found[:, 1]])
        top_rows.append((found + np.array([start, 0])).astype(np.int32))
    highest, highest_rows = np.concatenate(top), np.concatenate(top_rows)
    order = np.argsort(-highest, kind="stable")
    return AllPairs(
        np.concatenate(genuine), impostor, np.concatenate(rows), highest[order], highest_rows[order], person
    )


def bootstrap_matched(pairs: AllPairs, rates: list[float], seed: int = 0) -> list[tuple[float, float]]:
    """95 % intervals of the matched share at each rate, people drawn with replacement.

    A pair counts as often as both its people were drawn, a genuine pair as often as its person; the threshold
    is found anew in each repeat. Rates must lie well within the share of impostor pairs that kept their rows.
    """
    rng = np.random.default_rng(seed)
    _, number, counts = np.unique(pairs.person, return_inverse=True, return_counts=True)
    first, second = number[pairs.top_rows[:, 0]], number[pairs.top_rows[:, 1]]
    owner = number[pairs.genuine_rows[:, 0]]
    order = np.argsort(-pairs.genuine, kind="stable")
    owner, descending = owner[order], -pairs.genuine[order]
    found = []
    for _ in range(REPEATS):
        drawn = rng.multinomial(len(counts), np.full(len(counts), 1.0 / len(counts)))
        reached = np.cumsum(drawn[first] * drawn[second])
        faces = drawn * counts
        every = (int(faces.sum()) ** 2 - int((faces.astype(np.int64) ** 2).sum())) / 2
        weight = np.cumsum(drawn[owner])
        row = []
        for fmr in rates:
            at = min(int(np.searchsorted(reached, fmr * every, side="right")), len(reached) - 1)
            above = int(np.searchsorted(descending, -pairs.top_impostor[at], side="left"))
            row.append(weight[above - 1] / weight[-1] if above else 0.0)
        found.append(row)
    low, high = np.quantile(np.array(found), [0.025, 0.975], axis=0)
    return [(float(a), float(b)) for a, b in zip(low, high, strict=True)]


def _blocks(
    embeddings: NDArray[np.float32],
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """(first row, scores of a block of rows with all rows, which of those are later rows)."""
    column = np.arange(len(embeddings))
    for start in range(0, len(embeddings), _BLOCK):
        score = embeddings[start : start + _BLOCK] @ embeddings.T
        yield start, score, column[None, :] > column[start : start + len(score), None]


def equal_error_rate(ranked: Ranked) -> float:
    """The equal error rate of scores in order."""
    return metrics.sorted_equal_error_rate(ranked.genuine, ranked.impostor)
