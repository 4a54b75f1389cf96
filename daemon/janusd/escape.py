"""Words from outside, made safe to show in a terminal or to write into a line of a log.

A name is whatever its owner typed: it may hold newlines that forge a log line, ANSI codes that repaint a
terminal, or bidirectional marks that make `bob` read as somebody else.
"""

from __future__ import annotations


def escape(text: str, limit: int = 80) -> str:
    r"""The text on one line, with everything unprintable as `\xhh` or `\uhhhh`, cut at `limit` characters.

    Printable is what Unicode calls so: no control, format, surrogate or unassigned character (general
    categories C*), and no separator but the space.
    """
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in cut
    )
