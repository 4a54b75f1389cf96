"""Copies of the vault: backups that the daemon makes after each change, and vaults that were set aside.

    backups/vault-000000000012.db     the vault after change 12, verified after it was written
    quarantine/2026-11-22T104000Z/    a vault that was refused, as it was found; never deleted. Also a backup
                                      with a higher number than the vault's own newest

A backup is as sealed as the vault. One from before somebody was forgotten would bring them back, so
forgetting removes those (the floor, see `anchor`). A quarantined file may hold them still, until the key
changes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from janusd.errors import InstallerError, OwnerError
from janusd.vault.private import make_private_folder, sync_folder
from janusd.vault.rows import KIND

KEEP = 3

_NAME = re.compile(r"vault-(\d{12})\.db")
_SIDES = ("", "-wal", "-shm", "-journal")


class Backups:
    """The two folders beside a vault."""

    def __init__(self, vault: Path) -> None:
        self._vault = vault
        self._folder = vault.parent / "backups"
        self._quarantine = vault.parent / "quarantine"

    def generations(self) -> list[int]:
        """Of which changes there are backups, the oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(int(m[1]) for path in self._folder.iterdir() if (m := _NAME.fullmatch(path.name)))

    def quarantined(self) -> list[str]:
        """What was set aside, the oldest first."""
        return sorted(path.name for path in self._quarantine.iterdir()) if self._quarantine.is_dir() else []

    def path_of(self, generation: int) -> Path:
        """Where the backup of that change is."""
        return self._folder / f"vault-{generation:012d}.db"

    def find(self, name: str) -> Path:
        """The file of that name: a backup, a quarantine, or the vault in its place. Raises OwnerError."""
        if name == self._vault.name:
            found = self._vault
        elif _NAME.fullmatch(name):
            found = self._folder / name
        else:
            is_known = name in self.quarantined()
            found = self._quarantine / name / self._vault.name if is_known else self._folder / "none"
        if not os.path.lexists(found):
            raise OwnerError(f"there is no copy {name!r} of the vault", "janusctl vault show lists them")
        return found

    def make(self, copy: Callable[[Path], int], verify: Callable[[Path], None]) -> None:
        """Write a backup, verify it, and only then give it its name. Raises InstallerError, or `verify`'s.

        What then has a higher number is no backup of this vault any more, and is set aside.
        """
        make_private_folder(self._folder, KIND.exposed or KIND.damaged)
        fresh = self._folder / "new.db"
        try:
            self._remove(fresh)
            os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600))
            fresh.chmod(0o600)
            generation = copy(fresh)
            verify(fresh)
            descriptor = os.open(fresh, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            fresh.rename(self.path_of(generation))
            sync_folder(self._folder)
        except OSError as e:
            if isinstance(e, InstallerError):
                raise
            raise InstallerError(f"no backup could be written: {e.strerror}", "free space on its disk") from e
        known = self.generations()
        for later in (number for number in known if number > generation):
            self._set_aside(self.path_of(later))  # of another vault, or of changes an older copy undid
        for old in [number for number in known if number <= generation][:-KEEP]:
            self._remove(self.path_of(old))

    def remove_before(self, floor: int) -> None:
        """Remove the backups that somebody forgotten may be in. Raises InstallerError."""
        try:
            old = [generation for generation in self.generations() if generation < floor]
            for generation in old:
                self._overwrite(self.path_of(generation))
            leftover = self._folder / "new.db"
            if os.path.lexists(leftover):
                self._remove(leftover)
            if old:
                sync_folder(self._folder)
        except OSError as e:
            raise InstallerError(
                f"an old backup cannot be removed: {e.strerror}", "remove it by hand from the folder backups"
            ) from e

    def take(self, name: str, target: Path) -> None:
        """Copy that file, and what SQLite keeps beside it. Raises OwnerError, InstallerError."""
        found = self.find(name)
        try:
            self._remove(target)
            for side in _SIDES[:2]:
                source = found.with_name(found.name + side)
                if os.path.lexists(source):
                    copy = target.with_name(target.name + side)
                    shutil.copyfile(source, copy, follow_symlinks=False)
                    copy.chmod(0o600)
        except OSError as e:
            raise InstallerError(f"cannot copy {found}: {e.strerror}", "free space on its disk") from e

    def discard(self, target: Path) -> None:
        """Remove a copy that `take` made. Does nothing where there is none."""
        with contextlib.suppress(OSError):
            self._remove(target)

    def set_aside(self) -> str:
        """Move the vault away as it is, and say under which name. Raises InstallerError."""
        return self._set_aside(self._vault)

    def _set_aside(self, path: Path) -> str:
        try:
            make_private_folder(self._quarantine, KIND.exposed or KIND.damaged)
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H%M%SZ")
            names = (stamp if n == 0 else f"{stamp}-{n}" for n in range(1000))
            name = next(name for name in names if not os.path.lexists(self._quarantine / name))
            (self._quarantine / name).mkdir(mode=0o700)
            for side in reversed(_SIDES):  # the file itself last: until then it is still in its place
                source = path.with_name(path.name + side)
                if os.path.lexists(source):
                    source.rename(self._quarantine / name / (self._vault.name + side))
            for folder in (self._quarantine / name, self._quarantine, path.parent):
                sync_folder(folder)
        except OSError as e:
            raise InstallerError(
                f"{path.name} cannot be set aside: {e.strerror}", "free space on its disk, or copy the card"
            ) from e
        return name

    def _overwrite(self, path: Path) -> None:
        """Write zeros over the file, then remove it. On flash the card itself may keep old blocks."""
        descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.write(descriptor, bytes(os.fstat(descriptor).st_size))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._remove(path)

    def _remove(self, path: Path) -> None:
        for side in _SIDES:
            path.with_name(path.name + side).unlink(missing_ok=True)
