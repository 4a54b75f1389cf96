"""The door log's file: its tables, and the types of their rows. What they mean stands in `journal`."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from janusd.errors import JournalBroken
from janusd.vault.database import Kind

REMEDY = "the log was altered: keep the file, find out who could write to it, start a new one"

VERSION_1 = Kind(
    noun="door log",
    application_id=0x4A_4C_4F_47,  # "JLOG"
    version=1,
    schema=(
        "CREATE TABLE journal (one INTEGER PRIMARY KEY CHECK (one = 1), journal_id BLOB NOT NULL,"
        " last INTEGER NOT NULL, chain BLOB NOT NULL, mark BLOB NOT NULL) STRICT",
        "CREATE TABLE entry (number INTEGER PRIMARY KEY, at_us INTEGER NOT NULL,"
        " body BLOB NOT NULL, chain BLOB NOT NULL) STRICT",
    ),
    damaged=JournalBroken,
)

KIND = replace(
    VERSION_1,
    version=2,
    schema=(
        *VERSION_1.schema,
        "CREATE TABLE tag (number INTEGER PRIMARY KEY, tag BLOB NOT NULL) STRICT",
        "CREATE TABLE forward (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL,"
        " base_chain BLOB NOT NULL, box BLOB NOT NULL) STRICT",
    ),
    older=VERSION_1,
)


def is_begun(path: Path) -> bool:
    """Whether a log of today's kind is there: the ledger of tries came with it, and is missed beside it."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return os.path.lexists(path)  # there, and not to be read: that is no reason to begin anew
    return int.from_bytes(head[60:64], "big") != VERSION_1.version  # user_version, in SQLite's own header


def journal_row(connection: sqlite3.Connection) -> tuple[bytes, int, bytes, bytes]:
    """The journal's id, the last entry's number and chain, and the mark. Raises JournalBroken."""
    rows = connection.execute("SELECT journal_id, last, chain, mark FROM journal").fetchall()
    types = (bytes, int, bytes, bytes)
    if len(rows) != 1 or not all(map(isinstance, rows[0], types)):
        raise JournalBroken("the door log's own row is missing or altered", REMEDY)
    return rows[0][0], rows[0][1], rows[0][2], rows[0][3]


def typed(rows: Iterable[tuple[int, int, bytes, bytes]]) -> Iterator[tuple[int, int, bytes, bytes]]:
    """The same entries, each of the types it was written with. Raises JournalBroken."""
    for row in rows:  # a STRICT table keeps its types, an edited file need not
        if not all(map(isinstance, row, (int, int, bytes, bytes))):
            raise JournalBroken(f"entry {row[0]} of the door log was altered", REMEDY)
        yield row
