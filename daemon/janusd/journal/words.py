"""A door log's entry in words: how much of them is stored, and how they are shown."""

from __future__ import annotations

from janusd.door import Entry
from janusd.escape import escape

LONGEST_TEXT = 512
"""Longer values are cut: a log must take whatever it is told, and not fill the card with it."""


def line(entry: Entry) -> str:
    """The entry as one line for a terminal or journald; no name or note can end it or add a field."""
    words = [f"#{entry.number}", _plain(entry.at), _plain(entry.kind)]
    words += [_plain(entry.reason)] if entry.reason else []
    words += [
        f'{field}="{_quoted(text)}"' for field, text in (("name", entry.name), ("note", entry.note)) if text
    ]
    return " ".join(words)


def storable(text: str) -> str:
    """The text as UTF-8 can hold it (no lone surrogates), not longer than LONGEST_TEXT."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return whole if len(whole) <= LONGEST_TEXT else whole[: LONGEST_TEXT - 3] + "..."


def _plain(text: str) -> str:
    return escape(text).replace(" ", "\\x20").replace('"', "\\x22")


def _quoted(text: str) -> str:
    return escape(text.replace("\\", "\\\\").replace('"', '\\"'), limit=2 * LONGEST_TEXT + 3)
