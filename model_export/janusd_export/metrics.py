"""Error rates of scores, each with its count and its interval.

Words of ISO/IEC 19795-1: FMR and FNMR speak of one comparison, FPIR and FNIR of one search. Intervals are
exact binomial ones (Clopper and Pearson 1934). They treat comparisons as independent, which comparisons that
share a face are not; they say what the count alone allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Rate:
    """`hits` of `trials`, with the ends of a 95 % interval."""

    hits: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; NaN of nothing."""
        return self.hits / self.trials if self.trials else math.nan

    def __str__(self) -> str:
        interval = f"[{100 * self.low:.2f}, {100 * self.high:.2f}]"
        return f"{100 * self.value:.2f} % {interval}, {self.hits:,} of {self.trials:,}"


def rate(hits: int, trials: int, confidence: float = 0.95) -> Rate:
    """The share with its Clopper-Pearson interval."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is not a share")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else _beta_quantile(tail, hits, trials - hits + 1)
    high = 1.0 if hits == trials else _beta_quantile(1.0 - tail, hits + 1, trials - hits)
    return Rate(hits, trials, low, high)


def rank_interval(rank: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Where the `rank`-th smallest of `count` uniform numbers lies: beta(rank, count - rank + 1)."""
    if not 1 <= rank <= count:
        raise ValueError(f"{rank} is no rank of {count}")
    tail = (1.0 - confidence) / 2.0
    return (
        _beta_quantile(tail, rank, count - rank + 1),
        _beta_quantile(1.0 - tail, rank, count - rank + 1),
    )


def threshold_at_fmr(impostor: Scores, fmr: float) -> float:
    """The lowest threshold at which at most `fmr` of these impostor scores match (score >= threshold).

    Raises ValueError when there are too few scores to see such a rate even once.
    """
    allowed = math.floor(fmr * len(impostor) + 1e-9)
    if allowed < 1:
        raise ValueError(
            f"FMR {fmr:g} needs at least {math.ceil(1 / fmr):,} impostor scores, not {len(impostor):,}"
        )
    if allowed >= len(impostor):
        return -1.0
    # The (allowed + 1)-th highest score must not match any more.
    refused = np.partition(impostor, len(impostor) - allowed - 1)[len(impostor) - allowed - 1]
    return float(np.nextafter(refused, np.float32(2.0)))


def true_match_rate(genuine: Scores, impostor: Scores, fmr: float) -> tuple[Rate, float]:
    """(1 - FNMR at that FMR, the threshold): "TAR@FAR" of the literature."""
    threshold = threshold_at_fmr(impostor, fmr)
    return rate(int((genuine >= threshold).sum()), len(genuine)), threshold


def equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """The rate where FMR and FNMR cross, by linear interpolation over the distinct scores."""
    return sorted_equal_error_rate(np.sort(genuine), np.sort(impostor))


def sorted_equal_error_rate(genuine: Scores, impostor: Scores) -> float:
    """The same of scores that are already in ascending order; only those near the crossing are looked at.

    All pairs of a collection are tens of millions of scores: their distinct values are not worth listing.
    """
    friends = np.unique(genuine)
    crossed = _gap(genuine, impostor, friends) >= 0
    k = int(np.argmax(crossed)) if crossed.any() else len(friends)
    # The gap rises with the threshold, so it changes sign between these two friends' scores.
    low = friends[k - 1] if k > 0 else np.float32(-np.inf)
    high = friends[k] if k < len(friends) else np.float32(np.inf)
    between = impostor[np.searchsorted(impostor, low) : np.searchsorted(impostor, high, side="right")]
    thresholds = np.unique(np.concatenate([friends[max(0, k - 1) : k + 1], between]))
    gap = np.append(_gap(genuine, impostor, thresholds), 1.0)  # above the highest score nothing matches
    fnmr = np.append(np.searchsorted(genuine, thresholds, side="left") / len(genuine), 1.0)
    at = int(np.argmax(gap >= 0))
    if at == 0:
        return float(fnmr[0])
    share = -gap[at - 1] / (gap[at] - gap[at - 1])
    return float(fnmr[at - 1] + share * (fnmr[at] - fnmr[at - 1]))


def _gap(genuine: Scores, impostor: Scores, thresholds: Scores) -> NDArray[np.float64]:
    """FNMR - FMR at these thresholds, from sorted scores; rises from -1 to 1."""
    fnmr = np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    fmr = 1.0 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    gap: NDArray[np.float64] = fnmr - fmr
    return gap


def best_threshold(scores: Scores, is_same: NDArray[np.bool_]) -> float:
    """The threshold with the highest accuracy; the middle of the gap where it lies between two scores."""
    order = np.argsort(scores, kind="stable")
    ranked, same = scores[order], is_same[order]
    # right[k]: correct decisions when the k lowest scores are refused
    right = np.concatenate([[0], np.cumsum(~same)]) + np.concatenate([np.cumsum(same[::-1])[::-1], [0]])
    edge = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])  # equal scores share a decision
    k = int(np.argmax(np.where(edge, right, -1)))
    below = ranked[k - 1] if k > 0 else ranked[0] - 1e-3
    above = ranked[k] if k < len(ranked) else ranked[-1] + 1e-3
    middle = np.float32((float(below) + float(above)) / 2)
    return float(middle if middle > below else above)  # neighbouring floats have no middle


def folded_accuracy(
    scores: Scores, is_same: NDArray[np.bool_], fold: NDArray[np.int64]
) -> tuple[Rate, list[float]]:
    """Accuracy where each fold is decided at the threshold that was best for the other folds (LFW view 2)."""
    right = 0
    each = []
    for number in np.unique(fold):
        here = fold == number
        threshold = best_threshold(scores[~here], is_same[~here])
        hits = int(((scores[here] >= threshold) == is_same[here]).sum())
        right += hits
        each.append(hits / int(here.sum()))
    return rate(right, len(scores)), each


def folds_by_first_person(people: list[tuple[str, str]], folds: int, seed: int) -> NDArray[np.int64]:
    """(pairs,) fold of each pair of people, about equal: all pairs that one person comes first in share it.

    Whoever comes second may be in several. Pairs of strangers join most people of a list like LFW's, so no
    folds share nobody.
    """
    rng = np.random.default_rng(seed)
    by_first: dict[str, list[int]] = {}
    for number, (first, _) in enumerate(people):
        by_first.setdefault(first, []).append(number)
    names = sorted(by_first)
    rng.shuffle(names)
    names.sort(key=lambda name: -len(by_first[name]))
    sizes = [0] * folds
    fold = np.zeros(len(people), np.int64)
    for name in names:
        smallest = sizes.index(min(sizes))
        fold[by_first[name]] = smallest
        sizes[smallest] += len(by_first[name])
    return fold


def same_and_different(embeddings: NDArray[np.float32], person: NDArray[np.int32]) -> tuple[Scores, Scores]:
    """(genuine, impostor) scores of all pairs of distinct rows: unit embeddings (n, D), person (n,)."""
    upper = np.triu_indices(len(person), 1)
    score = (embeddings @ embeddings.T)[upper]
    same = person[upper[0]] == person[upper[1]]
    return score[same], score[~same]


def _beta_quantile(p: float, a: float, b: float) -> float:
    """The p-quantile of the beta distribution, by Newton's method kept inside a shrinking bracket.

    Each look at the distribution costs the more the larger the counts: millions want few looks.
    """
    low, high = 0.0, 1.0
    x = min(max(a / (a + b), 1e-12), 1.0 - 1e-12)
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(200):
        over = _beta_cdf(x, a, b) - p
        low, high = (low, x) if over > 0 else (x, high)
        log_density = constant + (a - 1.0) * math.log(x) + (b - 1.0) * math.log1p(-x)
        step = over * math.exp(-log_density) if log_density > -600.0 else math.inf
        following = x - step
        if not low < following < high:
            following = (low + high) / 2
        if abs(following - x) <= 1e-12 * x or high - low < 1e-16:
            return following
        x = following
    return x


def _beta_cdf(x: float, a: float, b: float) -> float:
    """I_x(a, b) by Lentz's continued fraction (Numerical Recipes, 3rd edition, 6.4.5-6.4.6)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _continued_fraction(x, a, b) / a
    return 1.0 - front * _continued_fraction(1.0 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away(1.0 - (a + b) * x / (a + 1.0), tiny)
    h = d
    for m in range(1, 100_000):
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away(1.0 + step * d, tiny)
            c = _away(1.0 + step / c, tiny)
            h *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return h


def _away(value: float, tiny: float) -> float:
    return value if abs(value) > tiny else tiny
