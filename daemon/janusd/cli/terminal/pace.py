"""How many bytes a second may leave for the terminal."""

from __future__ import annotations

_BURST_S = 0.3


class Pace:
    """A token bucket: within any second no more than `bytes_a_second` leave."""

    def __init__(self, bytes_a_second: int, now_s: float) -> None:
        self._left = bytes_a_second * _BURST_S
        self._at_s = now_s
        self.limit(bytes_a_second)

    def limit(self, bytes_a_second: int) -> None:
        """Let no more than that leave from now on."""
        self._burst = bytes_a_second * _BURST_S
        self._rate = bytes_a_second * (1 - _BURST_S)

    def allows(self, now_s: float) -> int:
        """How many bytes may leave now."""
        self._left = min(self._burst, self._left + self._rate * (now_s - self._at_s))
        self._at_s = now_s
        return max(0, int(self._left))

    def spend(self, count: int) -> None:
        """So many left; more than were allowed are owed."""
        self._left -= count
