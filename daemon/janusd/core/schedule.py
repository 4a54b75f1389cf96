"""When a person is welcome: weekly windows in the door's local time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_WINDOW = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))?\s+"
    r"(?P<h1>\d{1,2}):(?P<m1>\d{2})-(?P<h2>\d{1,2}):(?P<m2>\d{2})"
)
_MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of the week that repeats on each of its days."""

    days: frozenset[int]
    """Weekdays it starts on, Monday is 0."""
    start_min: int
    """Minutes after midnight, included."""
    end_min: int
    """Minutes after midnight, excluded; at or before `start_min` the window ends on the next day."""

    def contains(self, when: datetime) -> bool:
        """Whether the window is open at that local time."""
        minute = when.hour * 60 + when.minute
        today, yesterday = when.weekday(), (when.weekday() - 1) % 7
        if self.start_min < self.end_min:
            return today in self.days and self.start_min <= minute < self.end_min
        return (today in self.days and minute >= self.start_min) or (
            yesterday in self.days and minute < self.end_min
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """Windows in which a person may enter; no window at all means always."""

    windows: tuple[Window, ...] = ()

    def allows(self, when: datetime | None) -> bool:
        """Whether the person may enter; an untrusted clock (None) opens only an unrestricted schedule."""
        if not self.windows:
            return True
        return when is not None and any(window.contains(when) for window in self.windows)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read "mon-fri 08:00-18:00, sat 09:00-13:00"; the empty text means always.

        Raises ValueError that names the part that cannot be read and shows one that can.
        """
        parts = [part.strip().lower() for part in text.split(",") if part.strip()]
        return cls(tuple(_parse_window(part) for part in parts))


def _parse_window(part: str) -> Window:
    match = _WINDOW.fullmatch(part)
    if match is None:
        raise ValueError(f"cannot read hours {part!r}; write for example 'mon-fri 08:00-18:00'")
    first, last = match["first"], match["last"] or match["first"]
    for day in (first, last):
        if day not in DAYS:
            raise ValueError(f"no such day {day!r} in {part!r}; days are {' '.join(DAYS)}")
    start, end = DAYS.index(first), DAYS.index(last)
    days = frozenset((start + i) % 7 for i in range((end - start) % 7 + 1))
    start_min = int(match["h1"]) * 60 + int(match["m1"])
    end_min = int(match["h2"]) * 60 + int(match["m2"])
    bad_minutes = int(match["m1"]) > 59 or int(match["m2"]) > 59
    if bad_minutes or start_min >= _MINUTES_A_DAY or end_min > _MINUTES_A_DAY:
        raise ValueError(f"no such time of day in {part!r}; times run from 00:00 to 24:00")
    return Window(days, start_min, end_min)
