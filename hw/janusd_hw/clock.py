"""The times a door knows: seconds that never go back, and the date on the wall."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_FIRST_BELIEVABLE_YEAR = 2024
"""A board without a battery-backed clock starts at 1970, or at the date of its image."""


class SystemClock:
    """The kernel's clocks: a `Clock`.

    Monotonic time is CLOCK_BOOTTIME where there is one: it also counts while the board sleeps, so a lockout
    is not prolonged by a suspend, and it is the clock of libcamera's timestamps. `OpenCvCamera` and
    `ReplayCamera` use it as well: times of frames and of this clock may be compared.

    Whether the wall clock has been set from the network since boot is not asked yet; only a date before 2024
    counts as wrong.
    """

    def monotonic_s(self) -> float:
        """Seconds since boot, including suspended time."""
        return boottime_s()

    def wall(self) -> datetime | None:
        """Local date and time with its zone, or None while the clock shows a year that cannot be true."""
        now = datetime.now(UTC).astimezone()
        return now if now.year >= _FIRST_BELIEVABLE_YEAR else None


class FakeClock:
    """A `Clock` that stands still until told otherwise."""

    def __init__(self, monotonic_s: float = 0.0, wall: datetime | None = None) -> None:
        self._monotonic_s = monotonic_s
        self._wall = wall

    def monotonic_s(self) -> float:
        """Seconds it was started at plus all that `advance` added."""
        return self._monotonic_s

    def wall(self) -> datetime | None:
        """The date it was set to plus all that `advance` added, or None."""
        return self._wall

    def advance(self, seconds: float) -> None:
        """Let time pass on both clocks. Raises ValueError on a step back: monotonic time never goes back."""
        if seconds < 0:
            raise ValueError(f"cannot advance by {seconds} s")
        self._monotonic_s += seconds
        if self._wall is not None:
            self._wall += timedelta(seconds=seconds)

    def set_wall(self, wall: datetime | None) -> None:
        """Set the date, as an owner or NTP might; None makes it untrustworthy. Needs a zone."""
        if wall is not None and wall.tzinfo is None:
            raise ValueError("a wall clock time needs its zone")
        self._wall = wall


def boottime_s() -> float:
    """Seconds since boot on CLOCK_BOOTTIME, or on CLOCK_MONOTONIC where there is none (not Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
