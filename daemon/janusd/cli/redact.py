"""What leaves a door in a support file: names, ids, addresses and anything that may be a secret replaced.

Who is enrolled, or was, is told by the daemon; each of them is "person-1", "person-2" throughout one report,
so that lines can still be read together. What merely looks like a key, an embedding or a picture goes too: a
long run of hexadecimal or base64 letters is worth nothing to whoever helps.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from janusd.escape import escape

_LONGEST = 2000
"""Letters of a line; what is longer is cut."""
_SHORTEST_WORD = 3
"""Words of a name from that length on are replaced alone, too: "Anna" of "Anna Berg"."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "(address)"),
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "(mail address)"),
    (re.compile(r"/(home|root|media|mnt|Users)\b(/[^\s:;,'\"]*)?"), "(a folder)"),
    (re.compile(r"/dev/(v4l|disk)/[^\s:;,'\"]*"), "(a device by its id)"),
    (re.compile(r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", re.IGNORECASE), "(hardware address)"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}\b"), "(IP address)"),
    (re.compile(r"(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){3,7}(?![\w:])", re.IGNORECASE), "(IP address)"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "(id)"),
    (re.compile(r"[0-9A-Fa-f]{12,}"), "(id)"),
    (re.compile(r"(?=[A-Za-z+/_-]*[0-9])[A-Za-z0-9+/_-]{20,}={0,2}"), "(id)"),
    (re.compile(r"(?=[a-z/]*[A-Z0-9+=])[A-Za-z0-9+/]{21,}={0,2}"), "(id)"),
    (re.compile(r"\[?\s*-?\d+\.\d+(?:e-?\d+)?(?:[\s,]+-?\d+\.\d+(?:e-?\d+)?){7,}\s*\]?"), "(numbers)"),
    (re.compile(r"(?<![\w-])\d(-\d){2,}(?![\w-])"), "(code)"),
)
"""Tried in this order; each on what the ones before it left."""


_FIRST_MARK = 0xF0000
"""A replaced name is one private-use character until the end, so that nothing is replaced within it. None
comes from outside: `escape` leaves no such character as it is."""


class Redactor:
    """Knows who is to be replaced by what."""

    def __init__(self, names: Iterable[str], hosts: Iterable[str] = (), users: Iterable[str] = ()) -> None:
        """`names` are people of the door, `hosts` what the device is called, `users` who logs in there."""
        self._marks: dict[str, str] = {}
        """By each spelling in small letters, the private-use character in its place."""
        self._shown: dict[str, str] = {}
        for kind, given in (("person", names), ("device", hosts), ("user", users)):
            distinct = dict.fromkeys(one.strip() for one in given if one.strip())
            for number, name in enumerate(distinct, start=1):
                mark = chr(_FIRST_MARK + len(self._shown))
                self._shown[mark] = f"{kind}-{number}"
                for spelling in _spellings(name):
                    self._marks.setdefault(spelling.casefold(), mark)
        # The longest first: "Anna Berg" before "Anna".
        ordered = sorted(self._marks, key=len, reverse=True)
        self._any = (
            re.compile("|".join(rf"(?<!\w){re.escape(one)}(?!\w)" for one in ordered)) if ordered else None
        )

    def text(self, said: str) -> str:
        """The text on one line, without any of them."""
        shown = escape(unicodedata.normalize("NFC", said), _LONGEST)
        for pattern, instead in _PATTERNS:
            shown = pattern.sub(instead, shown)
        return "".join(self._shown.get(char, char) for char in self._names(shown))

    def leaks(self, text: str) -> list[str]:
        """Whose name is still in a text that was redacted: nobody's, or it must not leave."""
        if self._any is None:
            return []
        without = re.sub(r"\b(person|device|user)-\d+", " ", unicodedata.normalize("NFC", text)).casefold()
        return sorted({match[0] for match in self._any.finditer(without)})

    def _names(self, text: str) -> str:
        """Each name as its mark, however its letters are written."""
        if self._any is None:
            return text
        small = text.casefold()
        if len(small) != len(text):  # a dotted capital I is two small letters: then they are shown
            text = small
        made, at = [], 0
        for found in self._any.finditer(small):
            made += [text[at : found.start()], self._marks[found[0]]]
            at = found.end()
        return "".join(made) + text[at:]


def _spellings(name: str) -> list[str]:
    """How a name may stand in a log: composed, escaped, joined, and its longer words alone."""
    composed = unicodedata.normalize("NFC", name)
    escaped = escape(composed)
    words = [word for word in re.split(r"[^\w'-]+", composed) if len(word) >= _SHORTEST_WORD]
    parts = [part for word in words for part in re.split(r"[-']", word) if len(part) >= _SHORTEST_WORD]
    ascii_only = composed.encode("unicode_escape").decode("ascii")
    every = [composed, escaped, ascii_only, *words, *parts]
    return every + [composed.replace(" ", between) for between in ("_", "-", ".", "")]
