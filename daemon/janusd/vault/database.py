"""One SQLite file of ours: private, whole, and durable once it has acknowledged something.

What each setting is for:

    journal_mode=WAL, synchronous=FULL   the fast mode that lost nothing in 500 simulated power cuts
    locking_mode=EXCLUSIVE               one daemon a file: nobody keeps old pages alive in the WAL
    secure_delete=ON, temp_store=MEMORY  deleted bytes are overwritten, none are copied to temporary files
    trusted_schema=OFF, cell_size_check  a crafted file runs nothing and trips nothing

Trust boundary: the folder is 0700 and ours, but the file may come from a stolen, failing or edited card.
So a file is believed only when its application id, version and schema are exactly ours and SQLite's own
check finds it whole; what its rows hold is for the caller to authenticate.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from janusd.errors import Alarm, InstallerError, JanusError, OwnerError
from janusd.vault.private import check_private, make_private_folder, sync_folder

_BUSY_S = 2.0
_DAMAGE = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH}
)
_DISK = "see whether its disk is full, read-only or failing, and whose the file is"
_RESTORE = "keep the file for a look, and restore a backup"


@dataclass(frozen=True, slots=True)
class Kind:
    """What sort of file it is."""

    noun: str
    application_id: int
    version: int
    schema: tuple[str, ...]
    """CREATE statements, exactly as SQLite will keep them."""
    damaged: type[Alarm]
    """Raised where the file is not as we wrote it."""
    newer: type[Alarm] | None = None
    """Raised where its version is unknown; `damaged` if not given."""
    exposed: type[Alarm] | None = None
    """Raised where the file or its folder is not ours alone; `damaged` if not given."""
    older: Kind | None = None
    """What it was before; opened too, for the caller to bring it up to date."""


class Database:
    """An open file. Any thread may use it, one at a time."""

    def __init__(self, path: Path, kind: Kind, connection: sqlite3.Connection) -> None:
        self.path = path
        self.kind = kind
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: Path, kind: Kind, fill: Callable[[sqlite3.Connection], None]) -> None:
        """Make the file with its first rows, whole or not at all. Raises OwnerError where one is there."""
        make_private_folder(path.parent, kind.exposed or kind.damaged)
        fresh = path.with_name(path.name + ".new")
        with _folder_locked(path.parent):
            if os.path.lexists(path):
                raise OwnerError(f"there is a {kind.noun} at {path} already", "use it, or move it away first")
            for leftover in (fresh, fresh.with_name(fresh.name + "-journal")):
                leftover.unlink(missing_ok=True)
            with _translated(path, kind):
                os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
                fresh.chmod(0o600)  # whatever the umask was
                with contextlib.closing(_connect(fresh)) as connection:
                    connection.execute("PRAGMA synchronous=FULL")
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute(f"PRAGMA application_id={kind.application_id}")
                    connection.execute(f"PRAGMA user_version={kind.version}")
                    for statement in kind.schema:
                        connection.execute(statement)
                    fill(connection)
                    connection.execute("COMMIT")
                fresh.rename(path)
                sync_folder(path.parent)

    @classmethod
    def open(cls, path: Path, kind: Kind) -> Database:
        """Open the file and check everything that needs no key. Raises `kind.damaged`, InstallerError."""
        check_private(path, kind.exposed or kind.damaged)
        with _translated(path, kind):
            connection = _connect(path)
            try:
                found = _prepare(connection, path, kind)
            except BaseException:
                connection.close()
                raise
        return cls(path, found, connection)

    def upgrade(self, connection: sqlite3.Connection, kind: Kind) -> None:
        """Make it the newer kind, within the caller's transaction; only tables are added. See `upgraded`."""
        for statement in kind.schema[len(self.kind.schema) :]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version={kind.version}")

    def upgraded(self, kind: Kind) -> None:
        """Say that the transaction with `upgrade` is through."""
        self.kind = kind

    def copy_to(self, target: Path) -> None:
        """Write all that is in the file now to a new file, without what was deleted. Not yet synced."""
        with self.reading() as connection:
            connection.execute("VACUUM INTO ?", (str(target),))

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries of one moment."""
        with self._lock, _translated(self.path, self.kind):
            yield self._connection

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection, for one change: durable when the block has ended, undone when it raises."""
        with self._lock, _translated(self.path, self.kind):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def erase_history(self) -> None:
        """Leave nothing in the WAL: move it into the file, whose deleted bytes are zeros, and cut it to 0.

        On flash, the card itself may keep old blocks out of reach for a while; only a new KEK ends that.
        """
        with self.reading() as connection:
            _checkpoint(connection, self.path)

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        with self._lock:
            self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)


def _prepare(connection: sqlite3.Connection, path: Path, newest: Kind) -> Kind:
    """Set up the connection and check the file; which kind it is."""
    kind = newest
    for setting in (
        "locking_mode=EXCLUSIVE",
        "synchronous=FULL",
        "secure_delete=ON",
        "temp_store=MEMORY",
        "trusted_schema=OFF",
        "cell_size_check=ON",
    ):
        connection.execute(f"PRAGMA {setting}").fetchall()
    if _pragma(connection, "application_id") != kind.application_id:
        raise kind.damaged(f"{path} is not a janusd {kind.noun}", _RESTORE)
    version = _pragma(connection, "user_version")
    while kind.older is not None and version != kind.version:
        kind = kind.older
    if version != kind.version:
        raise (kind.newer or kind.damaged)(
            f"{path} is a {kind.noun} of version {version}, this janusd reads version {newest.version}",
            "if a newer janusd wrote it, install that one again; else restore a backup",
        )
    if _pragma(connection, "journal_mode=WAL") != "wal":
        raise InstallerError(f"{path} cannot keep a write-ahead log", "keep it on ext4, f2fs or btrfs")
    schema = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid"
    ).fetchall()
    if tuple(statement for (statement,) in schema) != kind.schema:
        raise kind.damaged(f"the tables of {path} are not a {kind.noun}'s", _RESTORE)
    if _pragma(connection, "quick_check(1)") != "ok":
        raise kind.damaged(f"{path} is damaged", _RESTORE)
    _checkpoint(connection, path)  # finishes what a crash may have interrupted, an erasure above all
    return kind


def _pragma(connection: sqlite3.Connection, text: str) -> object:
    rows = connection.execute(f"PRAGMA {text}").fetchall()  # all: a half-read statement would hold a lock
    return rows[0][0] if rows else None


def _checkpoint(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "wal_checkpoint(TRUNCATE)") != 0:  # busy
        raise InstallerError(f"old bytes of {path} could not be erased", "stop other programs that read it")


@contextlib.contextmanager
def _folder_locked(folder: Path) -> Iterator[None]:
    """Only one of us makes a file here at a time."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(path: Path, kind: Kind) -> Iterator[None]:
    """SQLite's errors, and the system's, as ours. A closed database stays SQLite's ProgrammingError."""
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except UnicodeDecodeError as e:  # SQLite's message quotes the bytes of a schema that was written over
        raise kind.damaged(f"the {kind.noun} {path} is damaged: its schema is no text", _RESTORE) from e
    except sqlite3.Error as e:
        code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in _DAMAGE:
            raise kind.damaged(f"the {kind.noun} {path} is damaged: {e}", _RESTORE) from e
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise InstallerError(
                f"the {kind.noun} {path} is in use by another process", "stop the other janusd first"
            ) from e
        raise InstallerError(
            f"the {kind.noun} {path} cannot be read or written: {e}",
            _DISK,
        ) from e
    except OSError as e:
        if isinstance(e, JanusError):
            raise
        raise InstallerError(
            f"the {kind.noun} {path} cannot be written: {e.strerror}",
            _DISK,
        ) from e
