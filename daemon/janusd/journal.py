"""The door log: who came in, who was refused, what was done to the vault; append-only and hash-chained.

    journal  one row: the journal's random id, the last entry's number and chain, and a mark over both
    entry    number, time in microseconds since 1970, the sealed body, the chain

    body     msgpack array: at, kind, reason, name, note, person id; sealed (see `vault.format`) because who
             comes home when is nobody's business who finds the card; bound to journal id, number and time
    chain    HMAC-SHA256 over the previous chain, number, time, sealed body and tag; before entry 1 stands the
             HMAC of the journal's id
    mark     HMAC-SHA256 over the last number and chain: cutting the newest entries off shows
    tag      HMAC under a key that goes one step forward with each entry, see `core.forward`
    forward  one row: the number and chain before the first entry that is still kept, and the next tag's key,
             sealed and bound to both and to the last number

Both fixed keys come from HKDF-SHA256(source key, salt = journal id, info = "janusd journal v1").

The forward key begins at random and its older values are overwritten, in the file at once and in SQLite's
write-ahead log each `ERASE_EVERY` entries. Logs of version 1 had no tags: they get them from then on.

Trust boundary: an attacker may edit the file, and may have said anything that is logged. Without the key
they can't alter, reorder, insert or drop entries unnoticed, but can put back a whole older copy. With
today's key they can make a log that `verify` here believes, but not one that an owner's checkpoint from
before does (docs/adr/0009). Nothing said can forge a line: values are stored as values, and `line` escapes
them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import sqlite3
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from janusd.core import forward
from janusd.core.forward import Checkpoint, Line
from janusd.door import Entry
from janusd.errors import JournalBroken, OwnerError, VaultDamaged
from janusd.escape import escape
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.database import Database, Kind

_VERSION_1 = Kind(
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
    _VERSION_1,
    version=2,
    schema=(
        *_VERSION_1.schema,
        "CREATE TABLE tag (number INTEGER PRIMARY KEY, tag BLOB NOT NULL) STRICT",
        "CREATE TABLE forward (one INTEGER PRIMARY KEY CHECK (one = 1), base INTEGER NOT NULL,"
        " base_chain BLOB NOT NULL, box BLOB NOT NULL) STRICT",
    ),
    older=_VERSION_1,
)

ERASE_EVERY = 64
"""So many entries' old forward keys may still stand in the write-ahead log, for a thief of key and card."""

LONGEST_TEXT = 512
"""Longer values are cut: a log must take whatever it is told, and not fill the card with it."""

_SELECT = "SELECT number, at_us, body, chain FROM entry"
_REMEDY = "the log was altered: keep the file, find out who could write to it, start a new one"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    at: str
    kind: str
    reason: str
    name: str
    note: str
    person_id: str


class _Keys:
    """The journal's two keys, and what is computed with them."""

    def __init__(self, source_key: bytes, journal_id: bytes) -> None:
        keys = sealed.derive(source_key, journal_id, "janusd journal v1", 2 * sealed.KEY_BYTES)
        self._chain, self._seal = keys[: sealed.KEY_BYTES], keys[sealed.KEY_BYTES :]
        self._journal_id = journal_id

    def first_chain(self) -> bytes:
        """What stands before entry 1."""
        return self._hmac("first", self._journal_id)

    def chain(self, before: bytes, number: int, at_us: int, box: bytes, tag: bytes = b"") -> bytes:
        """The chain of an entry; those of version 1 had no tag."""
        tags = (tag,) if tag else ()
        return self._hmac("entry", before, struct.pack(">qq", number, at_us), box, *tags)

    def mark(self, last: int, chain: bytes) -> bytes:
        """The mark of a journal that ends with that entry."""
        return self._hmac("mark", struct.pack(">q", last), chain)

    def seal(self, body: _Body, number: int, at_us: int) -> bytes:
        """The body, sealed for that number and time."""
        return sealed.seal(self._seal, msgspec.msgpack.encode(body), self._bound(number, at_us))

    def open(self, box: bytes, number: int, at_us: int) -> _Body:
        """What `seal` was given. Raises JournalBroken."""
        try:
            return msgspec.msgpack.decode(
                sealed.unseal(self._seal, box, self._bound(number, at_us)), type=_Body
            )
        except (VaultDamaged, msgspec.MsgspecError) as e:
            raise JournalBroken(f"entry {number} of the door log does not open", _REMEDY) from e

    def seal_forward(self, key: bytes, last: int, base: int, base_chain: bytes) -> bytes:
        """The next tag's key, sealed for a journal that begins and ends there."""
        return sealed.seal(self._seal, key, self._forward_bound(last, base, base_chain))

    def open_forward(self, box: bytes, last: int, base: int, base_chain: bytes) -> bytes:
        """What `seal_forward` was given. Raises JournalBroken."""
        try:
            return sealed.unseal(self._seal, box, self._forward_bound(last, base, base_chain))
        except VaultDamaged as e:
            raise JournalBroken("the door log's beginning or its forward key was altered", _REMEDY) from e

    def _forward_bound(self, last: int, base: int, base_chain: bytes) -> bytes:
        return sealed.binding("janusd forward", self._journal_id, struct.pack(">qq", last, base), base_chain)

    def _hmac(self, label: str, *fields: bytes) -> bytes:
        return hmac.digest(self._chain, sealed.binding(label, *fields), hashlib.sha256)

    def _bound(self, number: int, at_us: int) -> bytes:
        return sealed.binding("janusd entry", self._journal_id, struct.pack(">qq", number, at_us))


class Journal:
    """An open door log. Any thread may call; an entry is durable when `append` returns."""

    def __init__(self, database: Database, keys: _Keys, journal_id: bytes) -> None:
        self._database = database
        self._keys = keys
        self._journal_id = journal_id
        self.newest_tag = b""
        """Of the entry appended last."""

    @classmethod
    def open(cls, path: Path, key_source: KeySource) -> Journal:
        """Open the log, or begin one where there is none.

        Looks at the end of the chain only, so that a long log does not delay the door; `verify` looks at all.
        Raises JournalBroken, KeyUnavailable, and InstallerError where the disk will not have it.
        """
        source_key = key_source.key()
        if not os.path.lexists(path):
            _create(path, source_key)
        database = Database.open(path, KIND)
        try:
            with database.reading() as connection:
                journal_id, *_ = _journal_row(connection)
                journal = cls(database, _Keys(source_key, journal_id), journal_id)
                last, chain = journal._end(connection)
                rows = connection.execute("SELECT max(number), chain FROM entry").fetchall()
                if last and rows != [(last, chain)]:
                    raise JournalBroken(f"entry {last} of the door log is missing or was altered", _REMEDY)
            if database.kind is _VERSION_1:
                journal._begin_tags()
            else:
                with database.reading() as connection:
                    journal._forward(connection, last)
        except BaseException:
            database.close()
            raise
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
    ) -> Entry:
        """Add an entry, durably; `at` is now where it is None. The score goes into the note, to two places.

        Any text is taken, cut at LONGEST_TEXT characters. Raises InstallerError where the disk will not.
        """
        moment = (datetime.now(UTC) if at is None else at).astimezone()
        at_us = _microseconds(moment)
        told = ", ".join(part for part in (note, "" if score is None else f"score {score:.2f}") if part)
        texts = (moment.isoformat(timespec="milliseconds"), kind, reason, name, told, person_id)
        body = _Body(*(_storable(text) for text in texts))
        with self._database.transaction() as connection:
            last, before = self._end(connection)
            number = last + 1
            base, base_chain, key = self._forward(connection, last)
            tag = forward.tag(key, number, at_us, _texts(body))
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
        self.newest_tag = tag
        if number % ERASE_EVERY == 0:
            self._database.erase_history()
        return Entry(number, body.at, body.kind, body.reason, body.name, body.note)

    def entries(self, since: str = "", limit: int = 100) -> list[Entry]:
        """The newest `limit` entries at or after `since` (ISO 8601, empty for all), oldest first.

        Raises OwnerError for a time that cannot be read, JournalBroken for an entry that does not open.
        """
        since_us = _since_us(since)
        with self._database.reading() as connection:
            rows = connection.execute(
                f"{_SELECT} WHERE at_us >= ? ORDER BY number DESC LIMIT ?", (since_us, max(limit, 0))
            )
            newest_first = list(_typed(rows))
        return [self._entry(number, at_us, body) for number, at_us, body, _ in reversed(newest_first)]

    def verify(self) -> int:
        """Check every kept entry and give the last one's number. Raises JournalBroken naming a bad one."""
        with self._database.reading() as connection:
            last, _ = self._end(connection)
            base, before, _ = self._forward(connection, last)
            expected = base + 1
            tags = dict(connection.execute("SELECT number, tag FROM tag"))
            for number, at_us, body, stored in _typed(connection.execute(f"{_SELECT} ORDER BY number")):
                if number != expected:
                    raise JournalBroken(f"entry {expected} of the door log is missing", _REMEDY)
                tag = tags.get(number, b"")
                if not isinstance(tag, bytes):
                    raise JournalBroken(f"entry {number} of the door log was altered", _REMEDY)
                before = self._keys.chain(before, number, at_us, body, tag)
                if not hmac.compare_digest(before, stored):
                    raise JournalBroken(f"entry {number} of the door log was altered", _REMEDY)
                self._keys.open(body, number, at_us)
                expected += 1
            last, chain = self._end(connection)
            if (last, chain) != (expected - 1, before):
                raise JournalBroken(
                    f"entry {min(expected, last + 1)} of the door log is missing or new", _REMEDY
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
            Line(number, at_us, _texts(self._keys.open(box, number, at_us)), tag)
            for number, at_us, box, tag in _typed(rows)
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

    def _end(self, connection: sqlite3.Connection) -> tuple[int, bytes]:
        """The last entry's number and chain."""
        _, last, chain, mark = _journal_row(connection)
        if not hmac.compare_digest(mark, self._keys.mark(last, chain)):
            raise JournalBroken(
                f"the door log's mark after entry {last} does not verify with this key",
                "if the key is another one, give back the old; else " + _REMEDY,
            )
        return last, chain

    def _forward(self, connection: sqlite3.Connection, last: int) -> tuple[int, bytes, bytes]:
        """Number and chain before the first kept entry, and the key of the next tag."""
        rows = connection.execute("SELECT base, base_chain, box FROM forward").fetchall()
        if len(rows) != 1 or not all(map(isinstance, rows[0], (int, bytes, bytes))):
            raise JournalBroken("the door log's forward row is missing or altered", _REMEDY)
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


def is_begun(path: Path) -> bool:
    """Whether a log of today's kind is there: the ledger of tries came with it, and is missed beside it."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError:
        return os.path.lexists(path)  # there, and not to be read: that is no reason to begin anew
    return int.from_bytes(head[60:64], "big") != _VERSION_1.version  # user_version, in SQLite's own header


def line(entry: Entry) -> str:
    """The entry as one line for a terminal or journald; no name or note can end it or add a field."""
    words = [f"#{entry.number}", _plain(entry.at), _plain(entry.kind)]
    words += [_plain(entry.reason)] if entry.reason else []
    words += [
        f'{field}="{_quoted(text)}"' for field, text in (("name", entry.name), ("note", entry.note)) if text
    ]
    return " ".join(words)


def _create(path: Path, source_key: bytes) -> None:
    journal_id = secrets.token_bytes(sealed.ID_BYTES)
    keys = _Keys(source_key, journal_id)
    chain = keys.first_chain()

    def fill(connection: sqlite3.Connection) -> None:
        connection.execute(
            "INSERT INTO journal VALUES (1, ?, 0, ?, ?)", (journal_id, chain, keys.mark(0, chain))
        )

        _first_forward(connection, keys, 0)

    Database.create(path, KIND, fill)


def _first_forward(connection: sqlite3.Connection, keys: _Keys, last: int) -> None:
    base_chain, key = keys.first_chain(), secrets.token_bytes(forward.KEY_BYTES)
    box = keys.seal_forward(key, last, 0, base_chain)
    connection.execute("INSERT INTO forward VALUES (1, 0, ?, ?)", (base_chain, box))


def _texts(body: _Body) -> tuple[str, ...]:
    return (body.at, body.kind, body.reason, body.name, body.note, body.person_id)


def _journal_row(connection: sqlite3.Connection) -> tuple[bytes, int, bytes, bytes]:
    rows = connection.execute("SELECT journal_id, last, chain, mark FROM journal").fetchall()
    types = (bytes, int, bytes, bytes)
    if len(rows) != 1 or not all(map(isinstance, rows[0], types)):
        raise JournalBroken("the door log's own row is missing or altered", _REMEDY)
    return rows[0][0], rows[0][1], rows[0][2], rows[0][3]


def _typed(rows: Iterable[tuple[int, int, bytes, bytes]]) -> Iterator[tuple[int, int, bytes, bytes]]:
    for row in rows:  # a STRICT table keeps its types, an edited file need not
        if not all(map(isinstance, row, (int, int, bytes, bytes))):
            raise JournalBroken(f"entry {row[0]} of the door log was altered", _REMEDY)
        yield row


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


def _storable(text: str) -> str:
    """The text as UTF-8 can hold it (no lone surrogates), not longer than LONGEST_TEXT."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return whole if len(whole) <= LONGEST_TEXT else whole[: LONGEST_TEXT - 3] + "..."


def _plain(text: str) -> str:
    return escape(text).replace(" ", "\\x20").replace('"', "\\x22")


def _quoted(text: str) -> str:
    return escape(text.replace("\\", "\\\\").replace('"', '\\"'), limit=2 * LONGEST_TEXT + 3)
