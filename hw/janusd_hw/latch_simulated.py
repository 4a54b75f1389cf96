"""A latch without hardware that remembers what it did."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from janusd.errors import LatchError
from janusd_hw.clock import boottime_s
from janusd_hw.pulse import Pulse, Timer, thread_timer

Level: TypeAlias = Literal["released", "locked"]


@dataclass(frozen=True, slots=True)
class LatchEvent:
    """One change of the latch."""

    at_s: float
    """Monotonic seconds, on the clock of the frames."""
    level: Level
    why: str

    def line(self) -> str:
        """As one JSON object without a line end: {"at_s": 12.5, "level": "released", "why": "..."}."""
        return json.dumps({"at_s": round(self.at_s, 4), "level": self.level, "why": self.why})


class SimulatedLatch:
    """A `Latch` whose timeline can be read afterwards, also from another process."""

    def __init__(
        self,
        *,
        max_hold_s: float = 30.0,
        timeline_file: Path | None = None,
        on_event: Callable[[LatchEvent], None] | None = None,
        now_s: Callable[[], float] = boottime_s,
        timer: Callable[[float, Callable[[], None]], Timer] = thread_timer,
    ) -> None:
        """`timeline_file` gets one JSON object appended a line, at each change; `on_event` is called with it.

        `on_event` may run on the timer's thread and must not call the latch's methods from another one.
        Raises LatchError when the file cannot be opened.
        """
        self._events: list[LatchEvent] = []
        self._events_lock = threading.Lock()
        self._on_event = on_event
        self._now_s = now_s
        self._timeline_file = timeline_file
        self._pulse = Pulse(self._drive, max_hold_s=max_hold_s, now_s=now_s, timer=timer)
        if timeline_file is not None:
            self._append("")

    @property
    def name(self) -> str:
        """Says that nothing moves: "simulated"."""
        return "simulated"

    @property
    def is_released(self) -> bool:
        """Whether a hold is running."""
        return self._pulse.is_released

    @property
    def fault(self) -> str:
        """Always empty: nothing can break."""
        return ""

    @property
    def timeline(self) -> tuple[LatchEvent, ...]:
        """All changes so far, the oldest first."""
        with self._events_lock:
            return tuple(self._events)

    def release(self, hold_s: float, why: str) -> None:
        """Unlock for `hold_s` seconds, at most `max_hold_s`; a release while one runs restarts the hold."""
        self._pulse.release(hold_s, why)

    def lock(self) -> None:
        """End a running release now."""
        self._pulse.lock()

    def close(self) -> None:
        """Lock. May be called twice."""
        self._pulse.close()

    def _drive(self, released: bool, why: str) -> None:
        event = LatchEvent(self._now_s(), "released" if released else "locked", why)
        with self._events_lock:
            self._events.append(event)
        if self._timeline_file is not None:
            self._append(event.line() + "\n")
        if self._on_event is not None:
            self._on_event(event)

    def _append(self, text: str) -> None:
        assert self._timeline_file is not None
        try:
            with self._timeline_file.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as e:
            raise LatchError(
                f"cannot write the latch's timeline {self._timeline_file}: {e.strerror}",
                "choose another path",
            ) from e
