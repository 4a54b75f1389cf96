"""What a trial gives: how often it was tried, how it went, and what was harmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Tick: TypeAlias = Callable[[], None]
"""To be called once for each that was tried."""


@dataclass(slots=True)
class Row:
    """One line of the table."""

    what: str
    times: int = 0
    went: Counter[str] = field(default_factory=Counter)
    """How often it ended how, in words."""
    harm: Counter[str] = field(default_factory=Counter)
    """What must not happen, in words; empty where nothing did."""
    note: str = ""
    seconds: float = 0.0

    @property
    def harmed(self) -> int:
        return sum(self.harm.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "times": self.times,
            "went": dict(self.went),
            "harm": dict(self.harm),
            "note": self.note,
            "seconds": round(self.seconds, 1),
        }


def in_words(counts: Mapping[str, int]) -> str:
    """ "950 refused, 50 harmless", the most frequent first."""
    return ", ".join(f"{n:,} {word}" for word, n in sorted(counts.items(), key=lambda one: -one[1]) if n)


def table(rows: list[Row]) -> str:
    """The rows as they are printed."""
    what = max([len(row.what) for row in rows], default=4)
    went = max([len(in_words(row.went)) for row in rows], default=4)
    lines = [f"{'what':<{what}}  {'times':>9}  {'how it went':<{went}}  {'harm':>5}  {'s':>6}"]
    for row in rows:
        told = f"{row.what:<{what}}  {row.times:>9,}  {in_words(row.went):<{went}}"
        lines.append(f"{told}  {row.harmed:>5,}  {row.seconds:>6.0f}")
        if row.harm:
            lines.append(f"{'':<{what}}  {in_words(row.harm)}")
        if row.note:
            lines.append(f"{'':<{what}}  {row.note}")
    return "\n".join(lines)


def is_well(rows: list[Row]) -> bool:
    """Whether something was tried in every row, and nothing was harmed in any."""
    return bool(rows) and all(row.times and not row.harmed for row in rows)
