"""What a door says to whoever is no owner: the same, without a word of duress.

Nobody but owners is to learn that somebody called for help, nor who could. An entry of such a decision reads
as any decision's; a gap in the numbers would tell as much as the word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from janusd.core.terms import without_duress
from janusd.door import DURESS, Entry, Explanation, Person, Told


def person(told: Person) -> Person:
    """That person, as one who cannot call for help."""
    return replace(told, duress="none")


def entries(told: Iterable[Entry]) -> list[Entry]:
    """Those entries, each in its place."""
    return [_entry(one) for one in told]


def explanation(told: Explanation) -> Explanation:
    """What spoke for and against somebody."""
    return replace(
        told,
        rules=without_duress(told.rules),
        changes_since=entries(told.changes_since),
        entries=entries(told.entries),
    )


def told(one: Told, hears: frozenset[str]) -> list[Told]:
    """That, as an observer may hear it; nothing where it is none of theirs."""
    if one.kind == DURESS and DURESS not in hears:
        return []
    return [one if "names" in hears else replace(one, name="")]


def _entry(told: Entry) -> Entry:
    if told.kind == DURESS:
        return replace(told, kind="decision")
    return replace(told, note=without_duress(told.note)) if told.kind == "rules" else told
