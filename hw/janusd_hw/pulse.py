"""Bounds a release in time: whoever started it may hang, it ends all the same.

              release            hold over, lock() or close()
    locked ------------> released ----------------------------> locked
                          |    ^
                          +----+  another release restarts the hold

A timer thread ends the hold. It dies with its process: that a killed process leaves no door open is the
promise of the separate latch process, not of this class.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable
from typing import Protocol

from janusd.errors import LatchError
from janusd_hw.clock import boottime_s

_RETRY_S = 0.2
"""How soon a level that would not go to locked is tried again."""


class Timer(Protocol):
    """The part of `threading.Timer` that is needed here."""

    def start(self) -> None:
        """Begin to wait."""
        ...

    def cancel(self) -> None:
        """Stop waiting, if it still does."""
        ...


def thread_timer(delay_s: float, action: Callable[[], None]) -> Timer:
    """A timer on a thread of its own that does not keep the process alive."""
    timer = threading.Timer(delay_s, action)
    timer.daemon = True
    timer.name = "latch-pulse"
    return timer


class Pulse:
    """A level that is active for a bounded time. Safe to use from several threads."""

    def __init__(
        self,
        drive: Callable[[bool, str], None],
        *,
        max_hold_s: float,
        now_s: Callable[[], float] = boottime_s,
        timer: Callable[[float, Callable[[], None]], Timer] = thread_timer,
    ) -> None:
        """`drive(released, why)` sets the level; it is called with the lock held and may raise LatchError.

        No hold is longer than `max_hold_s`, whatever is asked. `now_s` and `timer` are for tests.
        """
        if not (math.isfinite(max_hold_s) and max_hold_s > 0):
            raise ValueError(f"max_hold_s is {max_hold_s}, must be above 0 and finite")
        self.max_hold_s = max_hold_s
        self._drive = drive
        self._now_s = now_s
        self._make_timer = timer
        self._lock = threading.RLock()
        self._timer: Timer | None = None
        self._until_s = 0.0
        self._closed = False

    @property
    def is_released(self) -> bool:
        """Whether a hold is running, or its end could not be set yet."""
        with self._lock:
            return self._timer is not None

    def release(self, hold_s: float, why: str) -> None:
        """Activate for `hold_s` seconds, at most `max_hold_s`; restarts a running hold.

        Raises ValueError on a hold that is not a positive number, LatchError when the level cannot be set.
        """
        if not (math.isfinite(hold_s) and hold_s > 0):
            raise ValueError(f"hold_s is {hold_s}, must be above 0 and finite")
        with self._lock:
            if self._closed:
                raise LatchError("the latch is closed already", "restart janusd")
            hold_s = min(hold_s, self.max_hold_s)
            self._until_s = self._now_s() + hold_s
            # The timer runs before the level rises: at no moment would nothing end the release.
            self._start_timer(hold_s)
            try:
                self._drive(True, why)
            except BaseException:
                with contextlib.suppress(LatchError):  # the first failure is the one to tell
                    self._end("failed")
                raise

    def lock(self, why: str = "locked") -> None:
        """End a running hold now."""
        with self._lock:
            if self._timer is not None:
                self._end(why)

    def close(self) -> None:
        """End a running hold and refuse further ones. May be called twice."""
        with self._lock:
            self._closed = True
            self.lock("closed")

    def _expire(self) -> None:
        with self._lock:
            if self._timer is None:
                return  # lock() was faster
            left_s = self._until_s - self._now_s()
            if left_s > 0:  # this timer was cancelled too late by a newer release, or woke early
                self._start_timer(left_s)
                return
            with contextlib.suppress(LatchError):  # nobody to tell on this thread; _end tries again
                self._end("hold over")

    def _end(self, why: str) -> None:
        """Set the level to locked; while that fails, try again and count as released."""
        if self._timer is not None:
            self._timer.cancel()
        self._until_s = self._now_s()
        try:
            self._drive(False, why)
        except BaseException:
            if self._closed:
                self._timer = None
            else:
                self._start_timer(_RETRY_S)
            raise
        self._timer = None

    def _start_timer(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._make_timer(delay_s, self._expire)
        self._timer.start()
