"""A manual page's text, as man(7) macros that groff prints without a warning."""

from __future__ import annotations

import re
from collections.abc import Iterable

from janusd import __version__

_SPECIAL = {"\\": r"\(rs", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", "-": r"\-"}
_SHOUTS = re.compile(r"`([^`]+)`|(?<![\w\x22-])(--?[a-z][a-z-]*)|\b(janus[a-z.-]*|systemd[a-z.-]*)(?=\(\d\))")
"""What is bold in a sentence: `code`, an option, another page's name."""


def plain(text: str) -> str:
    """Text that groff shows as it is: nothing of it is a command, no sign becomes another one."""
    signs = (_SPECIAL.get(sign, sign) if sign < "\x7f" else rf"\[u{ord(sign):04X}]" for sign in text)
    escaped = "".join(signs)
    return rf"\&{escaped}" if escaped.startswith((".", r"\(aq")) else escaped


def bold(text: str) -> str:
    """Text in bold."""
    return rf"\fB{plain(text)}\fR"


def italic(text: str) -> str:
    """Text that stands for something else: FILE, NAME."""
    return rf"\fI{plain(text)}\fR"


def prose(text: str) -> str:
    """A sentence or more, on one line: groff breaks it."""
    line = " ".join(text.split())
    made, at = [], 0
    for found in _SHOUTS.finditer(line):
        made += [_inner(line[at : found.start()]), bold(found[1] or found[2] or found[3])]
        at = found.end()
    whole = "".join(made) + _inner(line[at:])
    return rf"\&{whole}" if whole.startswith((".", "'")) else whole


def _inner(text: str) -> str:
    """Part of a sentence: a hyphen is a hyphen here, not a minus."""
    return plain(text).replace(r"\-", "-").removeprefix(r"\&")


class Page:
    """One page, written from top to bottom."""

    def __init__(self, name: str, section: int, does: str) -> None:
        self.name, self.section = name, section
        # No date: what is written must depend on its sources alone.
        self._lines = [
            ".nr HY 0",  # nothing is hyphenated: what is broken cannot be copied
            rf'.TH {plain(name).upper()} {section} "" "janusd {__version__}" "janusd"',
            ".ad l",
        ]
        self.heading("NAME")
        self._lines.append(rf"{plain(name)} \- {prose(does)}")

    @property
    def file(self) -> str:
        """What the page is called on disk."""
        return f"{self.name}.{self.section}"

    def heading(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f".SH {plain(title)}")

    def subheading(self, title: str) -> None:
        """Begin a section's part."""
        self._lines += [".SS", plain(title)]

    def synopsis(self, program: str, *parts: str) -> None:
        """How it is called; the parts are roff already, and none of them is broken over lines."""
        self._lines += [
            f'.SY "{plain(program)}"',
            *(rf"\&{part}".replace(" ", r"\~") for part in parts),
            ".YS",
        ]

    def paragraphs(self, text: str) -> None:
        """Prose; an empty line ends a paragraph, lines that are indented are shown as they are."""
        for paragraph in text.strip("\n").split("\n\n"):
            words: list[str] = []
            self._lines.append(".PP")
            for line in paragraph.splitlines():
                if line.startswith("  "):
                    self._lines += [prose(" ".join(words))] if words else []
                    words = []
                    self.example([line.strip()])
                else:
                    words.append(line)
            self._lines += [prose(" ".join(words))] if words else []

    def item(self, tag: str, text: str) -> None:
        """One of a list: the tag is roff already."""
        self._lines += [".TP", tag, prose(text) or r"\&"]

    def more(self, text: str) -> None:
        """A further paragraph of the item above."""
        self._lines += [".IP", prose(text)]

    def example(self, lines: Iterable[str]) -> None:
        """What to type, or a piece of a file."""
        self._lines += [".PP", ".RS 4", ".EX", *(plain(line) for line in lines), ".EE", ".RE"]

    def text(self) -> str:
        """The whole page."""
        said = r".\" Written by `make man`; change what it is made from: janusd/manual says what that is."
        return "\n".join([said, *self._lines]) + "\n"
