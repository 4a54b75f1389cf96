"""Proof that a file or folder is ours alone before anything in it is believed.

Trust boundary: everything below the checked folder. Whoever can write to the folders above it is
trusted already (root), and so is our own user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from janusd.errors import Alarm, InstallerError

GROUP_AND_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def why_not_private(status: os.stat_result, forbidden: int = GROUP_AND_OTHERS) -> tuple[str, str] | None:
    """What is wrong with a file of that status and what to do, or None; for messages after a path.

    `forbidden` are the permission bits that must not be set.
    """
    if status.st_uid not in (os.geteuid(), 0):
        return (
            f"belongs to user {status.st_uid}, not to the daemon's user {os.geteuid()}",
            "find out who put it there; then chown it or restore it from a backup",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        return (
            f"stands open to others (mode {mode:04o})",
            f"find out who could have read or changed it, then chmod {mode & ~forbidden:04o} it",
        )
    return None


def check_private(path: Path, error: type[Alarm]) -> None:
    """Refuse a file, its SQLite side files or its folder, unless they are ours and closed to others.

    Raises `error` for a symlink, a hard link, another owner or open permissions, and InstallerError where
    there is no file at all. It looks without opening: closing any descriptor of a database file would
    drop the locks SQLite holds on it in this process (POSIX advisory locks).
    """
    _check(path.parent, stat.S_ISDIR, "folder", error)
    _check(path, stat.S_ISREG, "regular file", error)
    for suffix in ("-wal", "-shm", "-journal"):
        side = path.with_name(path.name + suffix)
        if os.path.lexists(side):
            _check(side, stat.S_ISREG, "regular file", error)


def make_private_folder(folder: Path, error: type[Alarm]) -> None:
    """Make the folder with mode 0700, or check that the one that is there is ours alone."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise InstallerError(f"cannot make the folder {folder}: {e.strerror}", "make it, mode 0700") from e
    _check(folder, stat.S_ISDIR, "folder", error)


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable: a new or renamed file survives a power cut only after this."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_private(path: Path, content: bytes | bytearray) -> None:
    """Put a file of mode 0600 in that place, durably: after a crash it is the old one or the new one, whole.

    Raises OSError; what was there before is then still there.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)  # whatever the umask was
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(path)
    sync_folder(path.parent)


def _check(path: Path, is_kind: Callable[[int], bool], kind: str, error: type[Alarm]) -> None:
    try:
        status = path.lstat()
    except OSError as e:
        raise InstallerError(
            f"cannot look at {path}: {e.strerror}", "see that it is there and readable"
        ) from e
    if not is_kind(status.st_mode):
        raise error(f"{path} is not a {kind}", "see what replaced it, or give the real path")
    if stat.S_ISREG(status.st_mode) and status.st_nlink != 1:
        raise error(f"{path} has {status.st_nlink} names (hard links)", "remove the others: they hold a copy")
    trouble = why_not_private(status)
    if trouble is not None:
        raise error(f"{path} {trouble[0]}", trouble[1])
