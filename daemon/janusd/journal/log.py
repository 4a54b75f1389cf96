"""An open door log: entries go in, come out again, and are checked."""

from __future__ import annotations

import hmac
import os
import secrets
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from janusd.core import forward
from janusd.core.forward import Checkpoint, Line
from janusd.door import Entry
from janusd.errors import JournalBroken, OwnerError
from janusd.escape import escape
from janusd.hardening import Secret, wipe
from janusd.journal.keys import Body, Keys, texts
from janusd.journal.tables import KIND, REMEDY, VERSION_1, journal_row, typed
from janusd.journal.words import storable
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.database import Database

ERASE_EVERY = 64
"""So many entries' old forward keys may still stand in the write-ahead log, for a thief of key and card."""

_PAGE = 500
"""So many entries are read at once where all are checked."""
_SELECT = "SELECT number, at_us, body, chain FROM entry"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Journal:
    """An open door log. Any thread may call; an entry is durable when `append` returns."""

    def __init__(self, database: Database, keys: Keys, journal_id: bytes) -> None:
        self._database = database
        self._keys = keys
        self._journal_id = journal_id
        self.alarm = ""
        """What was wrong with what was found; empty where nothing was."""

    @classmethod
    def open(cls, path: Path, key_source: KeySource, *, is_missed: bool = False) -> Journal:
        """Open the log, or begin one where there is none; that is an alarm where one `is_missed`.

        Looks at the end of the chain only, so that a long log does not delay the door; `verify` looks at all.
        Raises JournalBroken, KeyUnavailable, and InstallerError where the disk will not have it.
        """
        source_key = key_source.key()
        if not os.path.lexists(path):
            _create(path, source_key)
        database = Database.open(path, KIND)
        try:
            with database.reading() as connection:
                journal_id, *_ = journal_row(connection)
                journal = cls(database, Keys(source_key, journal_id), journal_id)
                last, chain = journal._end(connection)
                rows = connection.execute("SELECT max(number), chain FROM entry").fetchall()
                if last and rows != [(last, chain)]:
                    raise JournalBroken(f"entry {last} of the door log is missing or was altered", REMEDY)
            if database.kind is VERSION_1:
                journal._begin_tags()
            else:
                with database.reading() as connection:
                    journal._forward(connection, last)
        except BaseException:
            database.close()
            raise
        finally:
            wipe(source_key)
        if is_missed:
            journal.alarm = f"the door log {path} is gone, with all that was in it: another one begins here"
        return journal

    def append(
        self,
        kind: str,
        reason: str = "",
        *,
        person_id: str = "",
        name: str = "",
        note: str = "",
        score: float | None = None,
        at: datetime | None = None,
    ) -> Line:
        """Add an entry, durably, and give it with its tag; `at` is now where it is None.

        The score goes into the note, to two places. Any text is taken, cut at LONGEST_TEXT characters. Raises
        InstallerError where the disk will not.
        """
        moment = (datetime.now(UTC) if at is None else at).astimezone()
        at_us = _microseconds(moment)
        told = ", ".join(part for part in (note, "" if score is None else f"score {score:.2f}") if part)
        parts = (moment.isoformat(timespec="milliseconds"), kind, reason, name, told, person_id)
        body = Body(*(storable(text) for text in parts))
        with self._database.transaction() as connection:
            last, before = self._end(connection)
            number = last + 1
            base, base_chain, key = self._forward(connection, last)
            tag = forward.tag(key, number, at_us, texts(body))
            box = self._keys.seal(body, number, at_us)
            chain = self._keys.chain(before, number, at_us, box, tag)
            connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?)", (number, at_us, box, chain))
            connection.execute("INSERT INTO tag VALUES (?, ?)", (number, tag))
            connection.execute(
                "UPDATE forward SET box = ?",
                (self._keys.seal_forward(forward.next_key(key), number, base, base_chain),),
            )
            connection.execute(
                "UPDATE journal SET last = ?, chain = ?, mark = ?",
                (number, chain, self._keys.mark(number, chain)),
            )
        if number % ERASE_EVERY == 0:
            self._database.erase_history()
        return Line(number, at_us, texts(body), tag)

    def entries(self, since: str = "", limit: int = 100) -> list[Entry]:
        """The newest `limit` entries at or after `since` (ISO 8601, empty for all), oldest first.

        Raises OwnerError for a time that cannot be read, JournalBroken for an entry that does not open.
        """
        since_us = _since_us(since)
        with self._database.reading() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE at_us >= ? ORDER BY number DESC LIMIT ?", (since_us, max(limit, 0))
            )
            newest_first = list(typed(rows))
        return [self._entry(number, at_us, body) for number, at_us, body, _ in reversed(newest_first)]

    def verify(self) -> int:
        """Check every kept entry and give the last one's number. Raises JournalBroken naming a bad one.

        A page at a time: a door that is to write meanwhile waits for one page, not for all.
        """
        number, before = -1, b""
        while True:
            with self._database.reading() as connection:
                last, chain = self._end(connection)
                base, base_chain, _ = self._forward(connection, last)
                if number < base:  # at the beginning, or where older ones were dropped meanwhile
                    number, before = base, base_chain
                    if connection.execute("SELECT 1 FROM entry WHERE number <= ?", (base,)).fetchall():
                        raise JournalBroken(f"an entry before {base + 1} of the door log is new", REMEDY)
                rows = list(
                    connection.execute(
                        "SELECT entry.number, at_us, body, chain, tag FROM entry LEFT JOIN tag"
                        " ON tag.number = entry.number WHERE entry.number > ? ORDER BY entry.number LIMIT ?",
                        (number, _PAGE),
                    )
                )
            number, before = self._checked(rows, number, before)
            if len(rows) < _PAGE:
                if (last, chain) != (number, before):
                    raise JournalBroken(
                        f"entry {min(number, last) + 1} of the door log is missing or new", REMEDY
                    )
                return last

    def lines(self, after: int = 0, limit: int = 1000) -> list[Line]:
        """Entries after that number with their tags, oldest first. Raises JournalBroken."""
        with self._database.reading() as connection:
            rows = list(
                connection.execute(
                    "SELECT entry.number, at_us, body, coalesce(tag.tag, x'') FROM entry LEFT JOIN tag"
                    " ON tag.number = entry.number WHERE entry.number > ? ORDER BY entry.number LIMIT ?",
                    (after, max(limit, 0)),
                )
            )
        return [
            Line(number, at_us, texts(self._keys.open(box, number, at_us)), tag)
            for number, at_us, box, tag in typed(rows)
        ]

    def checkpoint(self) -> Checkpoint:
        """What an owner carries away to check every later entry with. Write down that it was given."""
        with self._database.reading() as connection:
            last, _ = self._end(connection)
            _, _, key = self._forward(connection, last)
        return Checkpoint(self._journal_id, last, key)

    def prune(self, before: datetime) -> int:
        """Drop the oldest entries, those before the first that is not older than that; give their count.

        What is left verifies as before, on from the chain of the last entry dropped. The newest entry stays.
        """
        with self._database.transaction() as connection:
            last, _ = self._end(connection)
            base, base_chain, key = self._forward(connection, last)
            (kept,) = connection.execute(
                "SELECT min(number) FROM entry WHERE at_us >= ? OR number = ?",
                (_microseconds(before.astimezone()), last),
            ).fetchall()[0]
            if kept is None or kept <= base + 1:
                return 0
            base_chain = connection.execute(
                "SELECT chain FROM entry WHERE number = ?", (kept - 1,)
            ).fetchall()[0][0]
            connection.execute("DELETE FROM entry WHERE number < ?", (kept,))
            connection.execute("DELETE FROM tag WHERE number < ?", (kept,))
            connection.execute(
                "UPDATE forward SET base = ?, base_chain = ?, box = ?",
                (kept - 1, base_chain, self._keys.seal_forward(key, last, kept - 1, base_chain)),
            )
        self._database.erase_history()
        return int(kept - 1 - base)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._database.close()

    def _checked(self, rows: list[tuple[Any, ...]], number: int, before: bytes) -> tuple[int, bytes]:
        """Number and chain of the last of these rows, which follow the entry of that number and chain."""
        entries, tags = typed(row[:4] for row in rows), (row[4] for row in rows)
        for (found, at_us, body, stored), tag in zip(entries, tags, strict=True):
            number += 1
            if found != number:
                raise JournalBroken(f"entry {number} of the door log is missing", REMEDY)
            if not isinstance(tag, bytes | None):
                raise JournalBroken(f"entry {number} of the door log was altered", REMEDY)
            before = self._keys.chain(before, number, at_us, body, tag or b"")
            if not hmac.compare_digest(before, stored):
                raise JournalBroken(f"entry {number} of the door log was altered", REMEDY)
            self._keys.open(body, number, at_us)
        return number, before

    def _end(self, connection: sqlite3.Connection) -> tuple[int, bytes]:
        """The last entry's number and chain."""
        _, last, chain, mark = journal_row(connection)
        if not hmac.compare_digest(mark, self._keys.mark(last, chain)):
            raise JournalBroken(
                f"the door log's mark after entry {last} does not verify with this key",
                "if the key is another one, give back the old; else " + REMEDY,
            )
        return last, chain

    def _forward(self, connection: sqlite3.Connection, last: int) -> tuple[int, bytes, bytes]:
        """Number and chain before the first kept entry, and the key of the next tag."""
        rows = connection.execute("SELECT base, base_chain, box FROM forward").fetchall()
        if len(rows) != 1 or not all(map(isinstance, rows[0], (int, bytes, bytes))):
            raise JournalBroken("the door log's forward row is missing or altered", REMEDY)
        base, base_chain, box = rows[0]
        return base, base_chain, self._keys.open_forward(box, last, base, base_chain)

    def _begin_tags(self) -> None:
        """Bring a log of version 1 up to date: from here on entries are tagged."""
        with self._database.transaction() as connection:
            last, _ = self._end(connection)
            self._database.upgrade(connection, KIND)
            _first_forward(connection, self._keys, last)
        self._database.upgraded(KIND)
        self._database.erase_history()  # the file itself now says its version

    def _entry(self, number: int, at_us: int, box: bytes) -> Entry:
        body = self._keys.open(box, number, at_us)
        return Entry(number, body.at, body.kind, body.reason, body.name, body.note)


def _create(path: Path, source_key: Secret) -> None:
    journal_id = secrets.token_bytes(sealed.ID_BYTES)
    keys = Keys(source_key, journal_id)
    chain = keys.first_chain()

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO journal VALUES (1, ?, 0, ?, ?)", (journal_id, chain, keys.mark(0, chain))
        )

        _first_forward(connection, keys, 0)

    Database.create(path, KIND, fill)


def _first_forward(connection: sqlite3.Connection, keys: Keys, last: int) -> None:
    base_chain, key = keys.first_chain(), secrets.token_bytes(forward.KEY_BYTES)
    box = keys.seal_forward(key, last, 0, base_chain)
    connection.execute("INSERT INTO forward VALUES (1, 0, ?, ?)", (base_chain, box))


def _microseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _since_us(since: str) -> int:
    if not since.strip():
        return -(2**63)
    try:
        return _microseconds(datetime.fromisoformat(since.strip()).astimezone())
    except (ValueError, OverflowError) as e:
        raise OwnerError(
            f"cannot read the time '{escape(since)}'",
            "write for example 2026-11-22 or 2026-11-22T08:00+01:00",
        ) from e
