"""The times a door knows: seconds that never go back, and the date on the wall."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from janusd_hw import timesync
from janusd_hw.boottime import boottime_s

__all__ = ["FakeClock", "SystemClock", "boottime_s"]

_FIRST_BELIEVABLE_YEAR = 2024
"""A board without a battery-backed clock starts at 1970, or at the date of its image."""

_ASK_AGAIN_S = 10.0
"""A hardware clock is asked over a slow bus."""
_JUMP_S = 90.0
"""More than NTP slews or a leap second makes."""
_STEADY_S = 3600.0


class SystemClock:
    """The kernel's clocks: a `Clock`.

    Monotonic time is CLOCK_BOOTTIME where there is one: it also counts while the board sleeps, so a lockout
    is not prolonged by a suspend, and it is the clock of libcamera's timestamps. `OpenCvCamera` and
    `ReplayCamera` use it as well: times of frames and of this clock may be compared.

    The wall clock is believed while its year can be true, something that knows the time has set it (see
    `timesync`), and it keeps step with the other clock: after a jump it must run steadily for an hour.
    """

    def __init__(self, is_set: Callable[[float], bool] | None = None) -> None:
        self._is_set = _is_set if is_set is None else is_set
        self._asked_s = -_ASK_AGAIN_S
        self._answer = False
        self._ahead_s: float | None = None
        """Wall time minus monotonic time, as last seen while the wall clock was believed to be set."""
        self._steady_from_s = float("-inf")

    def monotonic_s(self) -> float:
        """Seconds since boot, including suspended time."""
        return boottime_s()

    def wall(self) -> datetime | None:
        """Local date and time with its zone, or None while it is not to be believed."""
        now, now_s = datetime.now(UTC), self.monotonic_s()
        if now.year < _FIRST_BELIEVABLE_YEAR:
            return None
        ahead_s = now.timestamp() - now_s
        has_jumped = self._ahead_s is not None and abs(ahead_s - self._ahead_s) > _JUMP_S
        if has_jumped or now_s - self._asked_s >= _ASK_AGAIN_S:
            self._answer, self._asked_s = self._is_set(now.timestamp()), now_s
        if has_jumped:
            self._steady_from_s = now_s + _STEADY_S
        if has_jumped or self._answer:
            self._ahead_s = ahead_s
        return now.astimezone() if self._answer and now_s >= self._steady_from_s else None


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


def _is_set(now_s: float) -> bool:
    return timesync.is_set(now_s, synchronised=timesync.kernel_is_synchronised())
