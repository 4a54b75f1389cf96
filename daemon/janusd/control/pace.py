"""How often one user may ask: a bucket of requests that fills steadily.

Who asks more often is not refused but answered later, so a burst of janusctl calls never fails and a loop
of them never keeps the daemon from its door.
"""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS_A_SECOND = 100.0
BURST = 400
"""So many at once: a parcel of people arrives in parts, a log is exported in pages."""


@dataclass(slots=True)
class Pace:
    """One user's bucket."""

    left: float = BURST
    filled_s: float = 0.0

    def take(self, now_s: float) -> float:
        """Take a request out; for how many seconds it must wait."""
        self.left = min(self.left + (now_s - self.filled_s) * REQUESTS_A_SECOND, BURST) - 1
        self.filled_s = now_s
        return max(-self.left / REQUESTS_A_SECOND, 0.0)
