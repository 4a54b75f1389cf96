"""Times as people write them, and as they like to read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from janusd.escape import escape

_AGO = re.compile(r"(\d{1,6})\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, now: datetime) -> str:
    """ISO 8601 in UTC for "2h", "3d", "today", "yesterday", "2026-11-22" or "2026-11-22 08:00".

    Without a zone the time is local, that is, in the zone of `now`. Raises ValueError.
    """
    words = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if ago := _AGO.fullmatch(words):
        when = now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    elif words == "today":
        when = midnight
    elif words == "yesterday":
        when = midnight - timedelta(days=1)
    else:
        try:
            when = datetime.fromisoformat(text.strip())
        except ValueError:
            raise ValueError(f"cannot read {text!r}; write 2h, 3d, today or 2026-11-22") from None
        if when.tzinfo is None:
            when = when.replace(tzinfo=now.tzinfo)
    return when.astimezone(UTC).isoformat(timespec="seconds")


def local(at: str, *, clock_only: bool = False) -> str:
    """A daemon's time as this terminal's wall clock shows it; what is no time is shown as it came."""
    try:
        when = datetime.fromisoformat(at).astimezone()
    except ValueError:
        return escape(at)
    return when.strftime("%H:%M:%S" if clock_only else "%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """A length of time in its two largest units: 3 d 4 h, 4 h 12 min, 12 min, 40 s."""
    minutes, hours, days = (int(seconds // length) for length in (60, 3600, 86400))
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"
