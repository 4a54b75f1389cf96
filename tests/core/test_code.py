"""Codes on one button: what a person means by their presses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import code as codes
from janusd.core.code import GIVEN_UP_S, MOST_PRESSES, PAUSE_S, Entry, check, read

numbers = st.lists(st.integers(1, 9), min_size=4, max_size=8).filter(lambda found: len(set(found)) > 1)


def pressed(
    numbers: list[int], start_s: float = 100.0, within_s: float = 0.3, pause_s: float = 1.2
) -> list[float]:
    """When somebody presses who counts like this."""
    presses, at_s = [], start_s
    for number in numbers:
        for _ in range(number):
            presses.append(at_s)
            at_s += within_s
        at_s += pause_s - within_s
    return presses


def text(numbers: list[int]) -> str:
    return "-".join(str(number) for number in numbers)


@given(numbers, st.floats(0.1, PAUSE_S - 0.05), st.floats(PAUSE_S + 0.05, GIVEN_UP_S - 0.05))
def test_the_right_presses_are_the_code_at_any_pace(code: list[int], within_s: float, pause_s: float) -> None:
    presses = pressed(code, within_s=within_s, pause_s=pause_s)
    assert read(text(code), presses, presses[-1] + PAUSE_S + 0.01) is Entry.RIGHT


@given(numbers, numbers)
def test_other_presses_never_are(code: list[int], other: list[int]) -> None:
    presses = pressed(other)
    verdict = read(text(code), presses, presses[-1] + GIVEN_UP_S + 0.01)
    assert (verdict is Entry.RIGHT) == (code == other)


@given(numbers)
def test_nothing_is_said_before_the_last_number_is_closed(code: list[int]) -> None:
    presses = pressed(code)
    for count in range(len(presses) + 1):
        now_s = presses[count - 1] + 0.1 if count else 0.0
        assert read(text(code), presses[:count], now_s) is Entry.OPEN


def test_a_code_that_goes_on_is_not_the_shorter_one_on_the_way() -> None:
    assert read("3-1-4-2", pressed([3, 1, 4, 3]), 200.0) is Entry.WRONG
    assert read("3-1-4-2", pressed([3, 1, 4, 2, 1]), 200.0) is Entry.WRONG


def test_who_presses_without_end_is_wrong_at_once() -> None:
    presses = [at * 0.1 for at in range(MOST_PRESSES + 1)]
    assert read("3-1-4-2", presses, presses[-1]) is Entry.WRONG


@pytest.mark.parametrize(
    "bad", ["", "3-1-4", "3142", "3-1-4-0", "3-1-4-10", "a-b-c-d", "2-2-2-2", "1-2-3-4-5-6-7-8-9"]
)
def test_codes_that_cannot_be_or_that_anybody_would_try_are_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="code"):
        check(bad)


def test_a_code_is_kept_without_blanks() -> None:
    assert check(" 3-1-4-2\n") == "3-1-4-2"
    with pytest.raises(ValueError, match="4 to 8"):
        check("-".join("314"[: codes.FEWEST_NUMBERS - 1]))
