"""How fast the line to a terminal is, found out by asking the terminal behind each picture whether it came.

A modem, a satellite or a busy radio takes what is written into its buffers, seconds of it, and a hint that is
written then arrives seconds late. So no picture follows another before the terminal has answered for it, and
pictures begin small and grow while answers come soon. ECMA-48, 8.3.35: DSR 5 asks, 0 answers "ready".
"""

from __future__ import annotations

QUESTION = "\x1b[5n"
ANSWER = "\x1b[0n"

_FIRST = 8_000
"""Bytes a second, until the first answers: a modem of 56 kbit/s takes a little less."""
_LEAST = 2_000
_SOON_S, _LATE_S = 0.25, 0.5
"""An answer sooner than the first lets the pictures grow, one later than the second makes them smaller."""
_SILENT_S = 2.0
"""A terminal that has said nothing by then does not know the question: nothing can be found out."""
_LOST_S = 10.0
"""An answer that has not come by then will not come."""


class Line:
    """What is known of it so far."""

    def __init__(self, most: int) -> None:
        """`most` bytes a second are sent however fast it is."""
        self._most = most
        self.bytes_a_second = min(_FIRST, most)
        self._asked_s: float | None = None
        self._sent = 0
        self._soonest_s = float("inf")
        """The quickest answer: how long the way is, whatever is sent."""
        self._heard = ""
        self._is_silent = False

    def is_free(self, now_s: float) -> bool:
        """Whether the last picture has arrived."""
        if self._asked_s is None or self._is_silent:
            return True
        waited_s = now_s - self._asked_s
        if self._soonest_s == float("inf") and waited_s > _SILENT_S:
            self._is_silent, self.bytes_a_second = True, self._most
        return self._is_silent or waited_s > _LOST_S

    def ask(self, sent: int, now_s: float) -> str:
        """What to write behind a picture of so many bytes."""
        if self._is_silent:
            return ""
        self._asked_s, self._sent = now_s, sent
        return QUESTION

    def hear(self, typed: str, now_s: float) -> None:
        """Look for the answer among the keys that were pressed."""
        self._heard = (self._heard + typed)[-64:]
        if ANSWER not in self._heard:
            return
        self._heard = ""
        if self._asked_s is None:
            return
        took_s, self._asked_s = now_s - self._asked_s, None
        self._soonest_s = min(self._soonest_s, took_s)
        self._is_silent = False
        late_s = took_s - self._soonest_s
        if late_s < _SOON_S and took_s < 2 * _LATE_S + self._soonest_s:
            self.bytes_a_second = min(self._most, 2 * self.bytes_a_second)
        elif late_s > _LATE_S:
            self.bytes_a_second = max(_LEAST, min(self.bytes_a_second // 2, round(self._sent / late_s)))
