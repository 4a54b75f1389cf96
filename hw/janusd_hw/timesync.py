"""Whether the date on the wall is to be believed: has anything but a guess set it?

    the kernel   adjtimex(2) with no change asked for: STA_UNSYNC is clear once NTP (timesyncd, chrony, ntpd)
                 disciplines the clock, and set again when somebody sets the date by hand
    timesyncd    /run/systemd/timesync/synchronized, made at its first answer; asked only where the unit's
                 sandbox (ProtectClock=) hides the kernel's word
    the RTC      /sys/class/rtc/rtc0/since_epoch, where it agrees with the date: a clock without a battery
                 starts at 1970 and does not

A saved date (fake-hwclock, timesyncd's file) satisfies none of them: it is when the board was last on.
"""

from __future__ import annotations

import os

TIMESYNCD_FLAG = "/run/systemd/timesync/synchronized"
RTC_TIME = "/sys/class/rtc/rtc0/since_epoch"

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_TIMEX_BYTES = 512
"""More than `struct timex` has on any machine."""
_RTC_AGREES_S = 120.0
"""A cheap crystal loses a few seconds a day; a door offline for a month still agrees."""


def kernel_is_synchronised() -> bool | None:
    """What the kernel says, or None where it may not be asked."""
    import ctypes  # noqa: PLC0415  # half a megabyte that the small latch process never needs

    timex = (ctypes.c_long * (_TIMEX_BYTES // ctypes.sizeof(ctypes.c_long)))()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    # struct timex: unsigned modes; long offset, freq, maxerror, esterror; int status
    status = ctypes.cast(timex, ctypes.POINTER(ctypes.c_int))[5 * ctypes.sizeof(ctypes.c_long) // 4]
    return state != _TIME_ERROR and not status & _STA_UNSYNC


def rtc_agrees(now_s: float, path: str = RTC_TIME) -> bool:
    """Whether a hardware clock tells the same time, within two minutes."""
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123  # pathlib costs the latch process memory
            return abs(int(file.read()) - now_s) <= _RTC_AGREES_S
    except (OSError, ValueError):
        return False


def is_set(
    now_s: float, *, synchronised: bool | None, flag: str = TIMESYNCD_FLAG, rtc: str = RTC_TIME
) -> bool:
    """Whether something that knows the time has set the clock, which shows `now_s` since 1970."""
    if synchronised is None:
        synchronised = os.path.exists(flag)  # noqa: PTH110
    return synchronised or rtc_agrees(now_s, rtc)
