"""The arithmetic of claims."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import rates


def test_none_of_42_is_what_a_claim_of_seven_per_cent_takes() -> None:
    assert rates.needed(0.07) == 42
    assert rates.upper(0, 42) < 0.07 <= rates.upper(0, 41)


def test_an_accepted_attack_makes_it_dearer() -> None:
    assert rates.needed(0.07, 1) > rates.needed(0.07)
    assert rates.upper(1, rates.needed(0.07, 1)) < 0.07


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(0, 10, 0.0, 0.3085), (1, 10, 0.0025, 0.4450), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0)],
)
def test_bounds_are_those_of_the_published_tables(hits: int, trials: int, low: float, high: float) -> None:
    assert rates.bounds(hits, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_rate_lies_within_its_bounds(counted: tuple[int, int]) -> None:
    hits, trials = counted
    low, high = rates.bounds(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    assert rates.upper(hits, trials) <= high + 1e-9


def test_what_is_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="is no rate"):
        rates.bounds(3, 2)
    with pytest.raises(ValueError, match="above 0"):
        rates.needed(0.0)
