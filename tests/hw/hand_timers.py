"""Stand-ins the hardware tests share: time that is moved by hand."""

from __future__ import annotations

from collections.abc import Callable


class HandTimers:
    """A clock and its timers; `pass_s` moves the one and fires the others."""

    def __init__(self) -> None:
        self.time_s = 1000.0
        self.armed: list[HandTimer] = []

    def now_s(self) -> float:
        return self.time_s

    def timer(self, delay_s: float, action: Callable[[], None]) -> HandTimer:
        return HandTimer(self, delay_s, action)

    def pass_s(self, seconds: float) -> None:
        end_s = self.time_s + seconds
        while due := [t for t in self.armed if t.at_s <= end_s]:
            first = min(due, key=lambda t: t.at_s)
            self.armed.remove(first)
            self.time_s = max(self.time_s, first.at_s)
            first.action()
        self.time_s = end_s


class HandTimer:
    def __init__(self, timers: HandTimers, delay_s: float, action: Callable[[], None]) -> None:
        self.timers = timers
        self.delay_s = delay_s
        self.action = action
        self.at_s = 0.0

    def start(self) -> None:
        self.at_s = self.timers.time_s + self.delay_s
        self.timers.armed.append(self)

    def cancel(self) -> None:
        if self in self.timers.armed:
            self.timers.armed.remove(self)
