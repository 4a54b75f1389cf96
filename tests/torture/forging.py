"""Names and notes that would like to be a line of their own: newlines, ANSI, bidi, quotes, lone surrogates.

Each is logged to a real door log, and shown as the terminal, the service's log and systemd's journal show it.

Harm: a second line, a control character, a field that ends early or that nobody wrote, a log that does not
verify, a text that comes back as another one.
"""

from __future__ import annotations

import random
import re
import struct
from pathlib import Path

from janusd.escape import escape
from janusd.journal import LONGEST_TEXT, Journal, journald, line
from torture.kit import new_key
from torture.row import Row, Tick

_PARTS = (
    "\n", "\r", "\r\n", "\x1b[2J", "\x1b]0;t\x07", "\u202e", "\u2066", "\u2028", "\u2029", "\x85",
    "\0", "\x7f",
    '"', "\\", '\\"', "' ", ' name="Mallory"', "#9 2026-11-22T12:00 decision matched",
    "MESSAGE=UNLOCK", "\nJANUS_CODE=JANUS-DECISION-MATCHED\n", "\ud800", "\udfff", "é", "e\u0301", "李小龍",
    "\U0001f6aa", "=", "%n", "${IFS}", "x" * 4096,
)  # fmt: skip
_FIELD = re.compile(r'#\d+(?: [^" =]+){1,3}(?: name="(?:[^"\\]|\\.)*")?(?: note="(?:[^"\\]|\\.)*")?')
_FORBIDDEN = re.compile("[\0-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_AT_ONCE = 500


def lines(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """So many of them."""
    row, chance = Row("hostile names and notes logged"), random.Random(seed)
    for first in range(0, times, _AT_ONCE):
        key = new_key(folder / str(first) / "key")
        journal = Journal.open(folder / str(first) / "log.db", key)
        for _ in range(min(_AT_ONCE, times - first)):
            name, note = ("".join(chance.choices(_PARTS, k=chance.randint(1, 8))) for _ in range(2))
            row.times += 1
            _log(journal, name, note, row)
            tick()
        journal.verify()
        journal.close()
    row.harm = +row.harm
    row.went["one line each"] = row.times - row.harmed
    return [row]


def _log(journal: Journal, name: str, note: str, row: Row) -> None:
    written = journal.append("enrolled", name=name, note=note)
    (stored,) = journal.entries(limit=1)
    whole = name.encode("utf-8", "backslashreplace").decode()
    row.harm["another text came back"] += journal.lines(written.number - 1) != [written] or (
        len(whole) <= LONGEST_TEXT and stored.name != whole
    )
    shown = line(stored)
    row.harm["control characters"] += bool(_FORBIDDEN.search(shown) or _FORBIDDEN.search(escape(name)))
    row.harm["more than one line"] += len(shown.splitlines()) != 1 or len(escape(note, 200).splitlines()) > 1
    row.harm["a field nobody wrote"] += not _FIELD.fullmatch(shown)
    fields = {"MESSAGE": note, "JANUS_CODE": journald.code("enrolled", name)}
    told = _fields(journald.encode(fields))
    wanted = [(field, value.encode("utf-8", "backslashreplace")) for field, value in fields.items()]
    row.harm["journald's fields are others"] += told != wanted


def _fields(datagram: bytes) -> list[tuple[str, bytes]]:
    """What systemd's journal reads in it. https://systemd.io/JOURNAL_NATIVE_PROTOCOL"""
    found, at = [], 0
    while at < len(datagram):
        end = datagram.index(b"\n", at)
        head = datagram[at:end]
        if b"=" in head:
            name, _, value = head.partition(b"=")
            at = end + 1
        else:
            (size,) = struct.unpack_from("<Q", datagram, end + 1)
            name, value = head, datagram[end + 9 : end + 9 + size]
            at = end + 10 + size
        found.append((name.decode(), value))
    return found
