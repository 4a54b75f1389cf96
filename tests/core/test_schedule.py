from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.schedule import DAYS, Schedule

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
