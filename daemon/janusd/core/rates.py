"""Rates with what is known about them: k of n, and between which bounds the true rate lies.

Exact binomial bounds: C. Clopper and E. Pearson, "The use of confidence or fiducial limits illustrated in
the case of the binomial", Biometrika 26, 1934. Rates of attack detection are named as in ISO/IEC 30107-3:
APCER of each attack species on its own, BPCER of the genuine.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95


def bounds(hits: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided bounds of a rate of which `hits` of `trials` were seen. Raises ValueError."""
    if not 0 <= hits <= trials:
        raise ValueError(f"{hits} of {trials} is no rate")
    beyond = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _solve(lambda p: 1 - at_most(hits - 1, trials, p) - beyond)
    high = 1.0 if hits == trials else _solve(lambda p: beyond - at_most(hits, trials, p))
    return low, high


def upper(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Below which the rate lies with that confidence: one-sided, as a claim "less than 7 %" is."""
    if hits == trials:
        return 1.0
    return _solve(lambda p: 1 - confidence - at_most(hits, trials, p))


def needed(rate: float, hits: int = 0, confidence: float = CONFIDENCE) -> int:
    """How many trials with at most `hits` of them hits it takes to claim a rate below `rate`.

    0 of 42 for 7 % at 95 %: 0.93 to the power of 42 is 4.7 %.
    """
    if not 0.0 < rate < 1.0:
        raise ValueError(f"a rate to claim must be above 0 and below 1, not {rate}")
    trials = max(hits + 1, 1)
    while at_most(hits, trials, rate) > 1 - confidence:
        trials += 1
    return trials


def at_most(hits: int, trials: int, rate: float) -> float:
    """The probability of at most so many hits."""
    if rate <= 0.0:
        return 1.0
    if rate >= 1.0:
        return 1.0 if hits >= trials else 0.0
    return min(1.0, math.fsum(_exactly(k, trials, rate) for k in range(hits + 1)))


def _exactly(hits: int, trials: int, rate: float) -> float:
    ways = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
    return math.exp(ways + hits * math.log(rate) + (trials - hits) * math.log1p(-rate))


def _solve(rises: Callable[[float], float]) -> float:
    """Where a function that rises from below 0 to above 0 between 0 and 1 crosses it."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) < 0 else (low, middle)
    return high
