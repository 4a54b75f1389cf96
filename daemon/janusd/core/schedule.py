"""When a person is welcome: weekly windows in the door's local time, and days on which the week rests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HOLIDAY = "hol"
"""Stands where a day may stand, for every holiday."""

_HOLIDAY = len(DAYS)
_WINDOW = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+"
    r"(?P<h1>\d{1,2}):(?P<m1>\d{2})-(?P<h2>\d{1,2}):(?P<m2>\d{2})"
)
_YEARLY = re.compile(r"(\d{2})-(\d{2})")
_MINUTES_A_DAY = 24 * 60
_LEAP_YEAR = 2000
"""29 February may be a holiday."""


@dataclass(frozen=True, slots=True)
class Holidays:
    """Days that are no weekday: only windows that name `hol` begin on them."""

    days: frozenset[date] = frozenset()
    yearly: frozenset[tuple[int, int]] = frozenset()
    """Month and day."""

    def __contains__(self, day: date) -> bool:
        return day in self.days or (day.month, day.day) in self.yearly

    @classmethod
    def parse(cls, dates: Iterable[str]) -> Holidays:
        """Read "2027-03-26" for one day, "12-25" for that of each year. Raises ValueError that names it."""
        days, yearly = set(), set()
        for text in dates:
            try:
                if short := _YEARLY.fullmatch(text):
                    day = date(_LEAP_YEAR, int(short[1]), int(short[2]))
                    yearly.add((day.month, day.day))
                else:
                    days.add(date.fromisoformat(text))
            except ValueError:
                raise ValueError(f"{text!r} is no day; write 2027-03-26, or 12-25 for each year") from None
        return cls(frozenset(days), frozenset(yearly))


NO_HOLIDAYS = Holidays()


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of the week that repeats on each of its days."""

    days: frozenset[int]
    """Days it begins on: weekdays, Monday is 0, and 7 for holidays."""
    start_min: int
    """Minutes after midnight, included."""
    end_min: int
    """Minutes after midnight, excluded; at or before `start_min` the window ends on the next day."""

    def contains(self, when: datetime, holidays: Holidays = NO_HOLIDAYS) -> bool:
        """Whether the window is open at that local time.

        The day a window begins on decides: the night from a Friday into a holiday is Friday's.
        """
        minute = when.hour * 60 + when.minute
        begins_today = _kind(when.date(), when.weekday(), holidays) in self.days
        if self.start_min < self.end_min:
            return begins_today and self.start_min <= minute < self.end_min
        if begins_today and minute >= self.start_min:
            return True
        return minute < self.end_min and _kind_before(when, holidays) in self.days


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows in which a person may enter; no window at all means always, holidays too."""

    windows: tuple[Window, ...] = ()

    def allows(self, when: datetime | None, holidays: Holidays = NO_HOLIDAYS) -> bool:
        """Whether the person may enter; an untrusted clock (None) opens only an unrestricted schedule."""
        if not self.windows:
            return True
        return when is not None and any(window.contains(when, holidays) for window in self.windows)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read "mon-fri 08:00-18:00, hol 09:00-13:00"; the empty text means always.

        Raises ValueError that names the part that cannot be read and shows one that can.
        """
        parts = [part.strip().lower() for part in text.split(",") if part.strip()]
        return cls(tuple(_parse_window(part) for part in parts))


def _kind(day: date, weekday: int, holidays: Holidays) -> int:
    return _HOLIDAY if day in holidays else weekday


def _kind_before(when: datetime, holidays: Holidays) -> int:
    day, weekday = when.date(), (when.weekday() - 1) % 7
    return weekday if day == date.min else _kind(day - timedelta(days=1), weekday, holidays)


def _parse_window(part: str) -> Window:
    match = _WINDOW.fullmatch(part)
    if match is None:
        raise ValueError(f"cannot read hours {part!r}; write for example 'mon-fri 08:00-18:00'")
    start_min = int(match["h1"]) * 60 + int(match["m1"])
    end_min = int(match["h2"]) * 60 + int(match["m2"])
    bad_minutes = int(match["m1"]) > 59 or int(match["m2"]) > 59
    if bad_minutes or start_min >= _MINUTES_A_DAY or end_min > _MINUTES_A_DAY:
        raise ValueError(f"no such time of day in {part!r}; times run from 00:00 to 24:00")
    return Window(_parse_days(match["first"], match["last"], part), start_min, end_min)


def _parse_days(first: str, last: str | None, part: str) -> frozenset[int]:
    if (first, last) == (HOLIDAY, None):
        return frozenset({_HOLIDAY})
    for day in (first, last or first):
        if day not in DAYS:
            raise ValueError(f"no such day {day!r} in {part!r}; days are {' '.join(DAYS)}; {HOLIDAY} alone")
    start, end = DAYS.index(first), DAYS.index(last or first)
    return frozenset((start + i) % 7 for i in range((end - start) % 7 + 1))
