"""The clock of a door, alone: all that janus-latchd needs of `clock`, which knows dates too."""

from __future__ import annotations

import time


def boottime_s() -> float:
    """Seconds since boot on CLOCK_BOOTTIME, or on CLOCK_MONOTONIC where there is none (not Linux)."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
