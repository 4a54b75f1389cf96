from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.schedule import DAYS, NO_HOLIDAYS, Holidays, Schedule

MONDAY = datetime(2026, 6, 1)


@pytest.mark.parametrize(
    ("hours", "when", "allowed"),
    [
        ("", MONDAY, True),
        ("mon-fri 08:00-18:00", MONDAY.replace(hour=8), True),
        ("mon-fri 08:00-18:00", MONDAY.replace(hour=18), False),
        ("mon-fri 08:00-18:00", MONDAY.replace(day=6, hour=9), False),
        ("sat 9:00-13:00, sun 10:00-12:00", MONDAY.replace(day=7, hour=11), True),
        ("mon 22:00-06:00", MONDAY.replace(day=2, hour=5), True),
        ("mon 22:00-06:00", MONDAY.replace(hour=5), False),
        ("sat-mon 00:00-24:00", MONDAY.replace(hour=23, minute=59), True),
    ],
)
def test_hours_mean_what_a_person_would_read_in_them(hours: str, when: datetime, allowed: bool) -> None:
    assert Schedule.parse(hours).allows(when) is allowed


def test_hours_refuse_while_the_clock_is_not_trusted_and_no_hours_do_not() -> None:
    assert not Schedule.parse("mon-sun 00:00-24:00").allows(None)
    assert Schedule.parse("").allows(None)


@pytest.mark.parametrize(
    "text", ["monday 8:00-9:00", "mon 8-9", "mon 25:00-26:00", "mon 08:61-09:00", "08:00-09:00"]
)
def test_hours_that_cannot_be_read_are_named(text: str) -> None:
    with pytest.raises(ValueError, match=text[:3].lower()):
        Schedule.parse(text)


@given(
    st.sampled_from(DAYS), st.sampled_from(DAYS), st.integers(0, 1439), st.integers(0, 1440), st.datetimes()
)
def test_a_window_is_open_exactly_its_length_in_a_week(
    first: str, last: str, start: int, end: int, when: datetime
) -> None:
    text = f"{first}-{last} {start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"
    schedule = Schedule.parse(text)
    days = (DAYS.index(last) - DAYS.index(first)) % 7 + 1
    length = (end - start) % 1440 or 1440  # a window that ends where it begins is a whole day
    open_minutes = sum(
        schedule.allows(MONDAY.replace(day=1 + minute // 1440, hour=minute // 60 % 24, minute=minute % 60))
        for minute in range(7 * 1440)
    )
    assert open_minutes == days * length
    assert schedule.allows(when) in (True, False)


@pytest.mark.parametrize(
    ("utc", "open_"),
    [
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), False),  # 01:59 in Berlin
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), True),  # 03:00: 02:00 to 03:00 does not exist that day
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), False),  # 03:30
        (datetime(2026, 10, 25, 0, 29, tzinfo=UTC), False),  # 02:29
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), True),  # 02:30, the first time
        (datetime(2026, 10, 25, 1, 29, tzinfo=UTC), False),  # 02:29, the second time
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True),  # 02:30, the second time
        (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), False),  # 03:30
    ],
)
def test_hours_follow_the_clock_on_the_wall_when_summer_time_begins_and_ends(
    utc: datetime, open_: bool
) -> None:
    schedule = Schedule.parse("sun 02:30-03:30")
    assert schedule.allows(utc.astimezone(ZoneInfo("Europe/Berlin"))) is open_


CHRISTMAS = Holidays.parse(["12-25", "2026-06-02"])


@pytest.mark.parametrize(
    ("hours", "when", "allowed"),
    [
        ("", datetime(2026, 12, 25, 9), True),  # no hours at all: welcome on holidays too
        ("fri 08:00-18:00", datetime(2026, 12, 25, 9), False),
        ("fri 08:00-18:00", datetime(2026, 12, 18, 9), True),
        ("fri 08:00-18:00, hol 10:00-12:00", datetime(2026, 12, 25, 11), True),
        ("hol 10:00-12:00", datetime(2031, 12, 25, 11), True),  # each year
        ("hol 10:00-12:00", datetime(2026, 12, 18, 11), False),
        ("mon-sun 00:00-24:00", datetime(2026, 6, 2, 9), False),  # one day of one year
        ("mon-sun 00:00-24:00", datetime(2027, 6, 2, 9), True),
        ("thu 22:00-06:00", datetime(2026, 12, 25, 5), True),  # the night before began on a Thursday
        ("fri 22:00-06:00", datetime(2026, 12, 26, 5), False),  # and that one on the holiday
        ("hol 22:00-06:00", datetime(2026, 12, 26, 5), True),
    ],
)
def test_on_a_holiday_only_hours_for_holidays_count(hours: str, when: datetime, allowed: bool) -> None:
    assert Schedule.parse(hours).allows(when, CHRISTMAS) is allowed


@given(st.datetimes(), st.sampled_from(["mon-fri 08:00-18:00", "sat 20:00-04:00", "mon-sun 00:00-24:00"]))
def test_holidays_take_away_and_hours_for_them_give_back(when: datetime, hours: str) -> None:
    every_day = Holidays(yearly=frozenset((month, day) for month in range(1, 13) for day in range(1, 32)))
    schedule = Schedule.parse(hours)
    if when.year > 1 or when.month > 1 or when.day > 1:  # before the calendar's first day there is no holiday
        assert not schedule.allows(when, every_day)
        assert Schedule.parse(f"{hours}, hol 00:00-24:00").allows(when, every_day)
    assert schedule.allows(when, NO_HOLIDAYS) == schedule.allows(when)


@pytest.mark.parametrize("text", ["christmas", "2026-02-30", "13-01", "12-32", ""])
def test_holidays_that_are_no_days_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="is no day"):
        Holidays.parse([text])


def test_a_leap_day_may_be_a_holiday() -> None:
    assert datetime(2028, 2, 29).date() in Holidays.parse(["02-29"])


@pytest.mark.parametrize("text", ["hol-mon 08:00-09:00", "mon-hol 08:00-09:00"])
def test_holidays_stand_alone_in_hours(text: str) -> None:
    with pytest.raises(ValueError, match="no such day 'hol'"):
        Schedule.parse(text)
