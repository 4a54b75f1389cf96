"""Who is welcome when, and how that is written down."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.reason import Reason
from janusd.core.schedule import Holidays, Schedule
from janusd.core.terms import ALWAYS, Role, Second, Terms, describe, parse_moment, read, steps, unwelcome

SUNDAY_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GUEST = Terms(role=Role.GUEST, valid_until=SUNDAY_NOON + timedelta(days=1))
ANY_TIME = Schedule()

moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
hours = st.sampled_from(["", "mon-fri 08:00-18:00", "sat 22:00-06:00, hol 10:00-12:00", "sun 00:00-24:00"])


@st.composite
def any_terms(draw: st.DrawFn) -> Terms:
    valid_from = draw(st.none() | moments)
    later = (valid_from or datetime(2020, 1, 2, tzinfo=UTC)) + timedelta(seconds=draw(st.integers(1, 10**8)))
    role = draw(st.sampled_from(Role))
    second = draw(st.sampled_from(Second))
    return Terms(
        role,
        draw(st.booleans()),
        valid_from,
        later if role is Role.GUEST else draw(st.none() | st.just(later)),
        second,
        "3-1-4-2" if second is Second.CODE else "",
        draw(st.booleans()),
    ).check()


@given(hours, any_terms())
def test_terms_are_read_from_the_log_as_they_were_written_but_for_the_code(hours: str, terms: Terms) -> None:
    text = describe(hours, terms)
    assert read(text) == (hours, replace(terms, code=""))
    assert "3-1-4-2" not in text
    assert len(text) < 512  # a log entry cuts what is longer


@pytest.mark.parametrize(
    "text", ["", "role king", "hours someday", "role guest; since ever", "until tomorrow"]
)
def test_other_texts_are_no_terms(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)


@given(hours, any_terms(), moments, st.booleans())
def test_an_explanation_and_a_decision_say_the_same(
    hours: str, terms: Terms, wall: datetime, is_holiday: bool
) -> None:
    holidays = Holidays(frozenset({wall.date()} if is_holiday else ()))
    told = steps(hours, terms, wall, holidays, False)
    assert all(step.holds for step in told) == (
        unwelcome(Schedule.parse(hours), terms, wall, holidays) is None
    )


@given(hours, any_terms(), moments)
def test_somebody_suspended_is_never_welcome(hours: str, terms: Terms, wall: datetime) -> None:
    suspended = replace(terms, is_suspended=True)
    assert unwelcome(Schedule.parse(hours), suspended, wall) is Reason.SUSPENDED
    assert unwelcome(Schedule.parse(hours), suspended, None) is Reason.SUSPENDED


@given(any_terms(), moments)
def test_nobody_is_welcome_outside_their_dates(terms: Terms, wall: datetime) -> None:
    terms = replace(terms, is_suspended=False)
    inside = (terms.valid_from is None or terms.valid_from <= wall) and (
        terms.valid_until is None or wall < terms.valid_until
    )
    assert unwelcome(ANY_TIME, terms, wall) is (None if inside else Reason.NOT_VALID)


@given(hours, any_terms())
def test_without_a_trusted_clock_only_those_without_hours_and_dates_are_welcome(
    hours: str, terms: Terms
) -> None:
    terms = replace(terms, is_suspended=False)
    needs_clock = bool(hours or terms.valid_from or terms.valid_until)
    assert unwelcome(Schedule.parse(hours), terms, None) is (Reason.CLOCK_UNTRUSTED if needs_clock else None)


def test_a_guest_comes_until_their_day_is_over() -> None:
    assert unwelcome(ANY_TIME, GUEST, SUNDAY_NOON) is None
    assert unwelcome(ANY_TIME, GUEST, SUNDAY_NOON + timedelta(days=1)) is Reason.NOT_VALID


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        (Terms(role=Role.GUEST), "a guest needs a day"),
        (Terms(valid_from=SUNDAY_NOON, valid_until=SUNDAY_NOON), "until before"),
        (Terms(valid_from=datetime(2026, 1, 1)), "needs its zone"),
        (Terms(second=Second.CODE), "a code is"),
        (Terms(code="3-1-4-2"), "only as the second factor"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(terms: Terms, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        terms.check()


def test_a_code_is_in_no_text_of_its_terms() -> None:
    assert "3-1-4-2" not in repr(Terms(second=Second.CODE, code="3-1-4-2"))


def test_moments_need_their_zone() -> None:
    assert parse_moment("2026-11-22T13:00+01:00") == SUNDAY_NOON
    assert parse_moment(" ") is None
    for bad in ("2026-11-22T13:00", "soon", "9999-12-31T23:00-14:00"):
        with pytest.raises(ValueError, match="zone"):
            parse_moment(bad)


def test_nothing_special_is_asked_of_residents() -> None:
    assert describe("", ALWAYS) == "role resident; hours always"
