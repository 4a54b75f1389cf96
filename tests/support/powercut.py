"""A disk in memory that loses power, or fails, at its k-th write; SQLite runs on it through apsw.

What a cut leaves of a file: what was synced, and of every sector written since, by chance, the old or the new
bytes, each sector for itself; a file made, cut shorter or deleted since its last sync likewise. The device
promises nothing more (no atomic sectors larger than 512 bytes, no order). The anchor is a small file that is
written beside and renamed: one step before the rename, one between it and the folder's sync.

Not simulated: a card that loses what it said it had synced.
"""

# ruff: noqa: N802  # SQLite's names

from __future__ import annotations

import itertools
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from janusd.errors import InstallerError

SECTOR = 512
VFS = "powercut"


class PowerCut(Exception):
    """The power is gone; nothing written from here on lasts."""


class Disk:
    """Files that survive `cut` in part."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.live: dict[str, bytearray] = {}
        self.synced: dict[str, bytes] = {}
        self.unsynced: dict[str, list[tuple[int, bytes] | int]] = {}
        """Writes (offset, bytes) and truncations (size) of each file since its last sync, in order."""
        self.steps_left: int | None = None
        """Writes until something happens; None for a disk that is well."""
        self.error: type[apsw.Error] | None = None
        """What happens: this error once, or a power cut."""
        self.lasts = False
        """Whether the error stays, as on a full disk, once it came."""
        self.steps = 0
        self.is_dead = False
        self.is_gone = False
        """Nobody looks at it any more: connections left open by a cut close without a word."""
        self.marks: list[bytes] = []
        """The anchor's content: the synced one, and one renamed but not synced, where there is one."""

    def put(self, name: str, content: bytes) -> None:
        self.live[name], self.synced[name], self.unsynced[name] = bytearray(content), content, []

    def step(self) -> None:
        """Before each change of the disk."""
        if self.is_dead and not self.is_gone:
            raise PowerCut
        self.steps += 1
        if self.steps_left is None:
            return
        self.steps_left -= 1
        if self.steps_left < 0:
            if self.error is None:
                self.is_dead = True
                raise PowerCut
            if not self.lasts:
                self.steps_left = None
            raise self.error("the disk fails")

    def heal(self) -> None:
        self.steps_left, self.error, self.lasts = None, None, False

    def write(self, name: str, offset: int, content: bytes) -> None:
        self.step()
        file = self.live.setdefault(name, bytearray())
        if len(file) < offset + len(content):
            file.extend(bytes(offset + len(content) - len(file)))
        file[offset : offset + len(content)] = content
        self.unsynced.setdefault(name, []).append((offset, content))

    def truncate(self, name: str, size: int) -> None:
        self.step()
        del self.live[name][size:]
        self.unsynced[name].append(size)

    def sync(self, name: str) -> None:
        self.step()
        self.synced[name], self.unsynced[name] = bytes(self.live[name]), []

    def delete(self, name: str) -> None:
        self.step()
        if self.chance.random() < 0.5:  # the deletion may outrun the power, or not
            self.synced.pop(name, None)
        self.live.pop(name, None)
        self.unsynced.pop(name, None)

    def after_cut(self) -> Disk:
        """The disk when the power is back."""
        self.is_gone = True
        disk = Disk(self.chance)
        for name in self.synced.keys() | self.live.keys():
            if name not in self.synced and self.chance.random() < 0.5:
                continue  # its folder entry was never synced
            content = bytearray(self.synced.get(name, b""))
            for change in self.unsynced.get(name, []):
                if isinstance(change, int):
                    if self.chance.random() < 0.5:
                        del content[change:]
                    continue
                offset, written = change
                for at in range(offset - offset % SECTOR, offset + len(written), SECTOR):
                    if self.chance.random() < 0.5:
                        first, last = max(at, offset), min(at + SECTOR, offset + len(written))
                        if len(content) < last:
                            content.extend(bytes(last - len(content)))
                        content[first:last] = written[first - offset : last - offset]
            disk.put(name, bytes(content))
        disk.marks = [self.chance.choice(self.marks)] if self.marks else []
        return disk


class DiskAnchor:
    """An anchor on that disk."""

    name = "file /elsewhere/anchor"
    counter = None

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def read(self) -> bytes | None:
        return self.disk.marks[-1] if self.disk.marks else None

    def write(self, mark: bytes) -> None:
        try:
            self.disk.step()
            self.disk.marks = [*self.disk.marks[-1:], mark]
            self.disk.step()
            self.disk.marks = [mark]
        except apsw.Error as e:
            raise InstallerError("the anchor cannot be written", "free space") from e


class _Vfs(apsw.VFS):
    def __init__(self) -> None:
        self.disks: dict[str, Disk] = {}
        super().__init__(VFS, "")

    def disk_of(self, path: str) -> tuple[Disk, str]:
        """Each disk's files are known to SQLite below a folder of their own: an old connection that is only
        now collected must not touch the disk of after the cut."""
        number, _, name = path.lstrip("/").partition("/")
        return self.disks[number], "/" + name

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        disk, path = self.disk_of(name.filename() if isinstance(name, apsw.URIFilename) else str(name))
        if path not in disk.live:
            if not flags[0] & apsw.SQLITE_OPEN_CREATE:
                raise apsw.CantOpenError("no such file")
            disk.step()
            disk.live[path], disk.unsynced[path] = bytearray(), []
        flags[1] = flags[0]
        return _File(disk, path)

    def xAccess(self, pathname: str, flags: int) -> bool:
        disk, path = self.disk_of(pathname)
        return path in disk.live

    def xDelete(self, filename: str, syncdir: bool) -> None:
        disk, path = self.disk_of(filename)
        if path in disk.live:
            disk.delete(path)

    def xFullPathname(self, name: str) -> str:
        return name


class _File:
    def __init__(self, disk: Disk, name: str) -> None:
        self.disk, self.name = disk, name

    def xRead(self, amount: int, offset: int) -> bytes:
        if self.disk.is_dead and not self.disk.is_gone:
            raise PowerCut
        return bytes(self.disk.live[self.name][offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        self.disk.write(self.name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        self.disk.truncate(self.name, newsize)

    def xSync(self, flags: int) -> None:
        self.disk.sync(self.name)

    def xFileSize(self) -> int:
        return len(self.disk.live[self.name])

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None: ...


_vfs = _Vfs()
_numbers = itertools.count()


class Connection:
    """An apsw connection that looks like sqlite3's, as far as `vault.database` uses it."""

    def __init__(self, disk: Disk, path: Path) -> None:
        number = str(next(_numbers))
        _vfs.disks[number] = disk
        with _as_sqlite3():
            self._connection = apsw.Connection(f"/{number}{path}", flags=apsw.SQLITE_OPEN_READWRITE, vfs=VFS)

    def execute(self, sql: str, values: tuple[object, ...] = ()) -> _Rows:
        with _as_sqlite3():
            return _Rows(self._connection.execute(sql, values).fetchall())

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def close(self) -> None:
        with _as_sqlite3():
            self._connection.close(True)


class _Rows:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self._rows = rows

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self._rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows[0] if self._rows else None

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self._rows)


class _as_sqlite3:  # noqa: N801  # reads as a word where it is used
    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, apsw.Error):
            translated = sqlite3.OperationalError(str(error))
            translated.sqlite_errorcode = getattr(error, "result", apsw.SQLITE_ERROR)
            raise translated from error
