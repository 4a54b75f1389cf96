"""What the door's indicator shows: each sign once, when it changes."""

from __future__ import annotations

import logging
import threading

from janusd.core.reason import Reason
from janusd.core.types import Decision
from janusd.language import ENGLISH, Words
from janusd.ports import Indicator, Sign

log = logging.getLogger("janusd")

_SHUT = frozenset(
    {
        Reason.UNKNOWN,
        Reason.AMBIGUOUS,
        Reason.GUARDED,
        Reason.NOT_NOW,
        Reason.NOT_VALID,
        Reason.SUSPENDED,
        Reason.CLOCK_UNTRUSTED,
        Reason.STEP_AWAY,
        Reason.LOCKED_OUT,
        Reason.FACE_OFF,
        Reason.NOBODY_ENROLLED,
    }
)


class Signboard:
    """Over one indicator, or none."""

    def __init__(self, indicator: Indicator | None, words: Words = ENGLISH) -> None:
        self._indicator = indicator
        self.words = words
        """In whose language it speaks."""
        self._lock = threading.Lock()
        self._shown: tuple[Sign, str] = (Sign.IDLE, "")

    @property
    def is_there(self) -> bool:
        """Whether anything can be shown."""
        return self._indicator is not None

    def show(self, sign: Sign, words: str = "") -> None:
        """Show a sign, unless it is shown already. A broken indicator must not stop the door."""
        if self._indicator is None:
            return
        with self._lock:
            if (sign, words) == self._shown:
                return
            self._shown = sign, words
        try:
            self._indicator.show(sign, self.words.hint(words))
        except Exception:  # whatever a driver raises although it should not
            log.exception("the indicator %s failed", self._indicator.name)

    def tell(self, decision: Decision, hint: str, *, is_done: bool = True) -> None:
        """Show what became of a frame; not `is_done` where the lock refused."""
        if not is_done:
            self.show(Sign.PROBLEM, hint)
        elif decision.unlocks or decision.reason is Reason.ALREADY_OPEN:
            self.show(Sign.OPEN, hint)
        elif decision.reason is Reason.NO_FACE:
            self.show(Sign.IDLE)
        elif decision.reason in (Reason.GATHERING, Reason.PAUSED):
            self.show(Sign.HOLD, hint)
        else:
            self.show(Sign.SHUT if decision.reason in _SHUT else Sign.PROBLEM, hint)
