"""The socket file: made without a moment in which others could connect, and never under a running daemon."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from janusd.errors import ControlError

_log = logging.getLogger("janusd.control")

_MAX_PATH_BYTES = 107
"""sun_path holds 108 with its NUL; unix(7)."""


def listen(path: Path, gid: int | None = None) -> socket.socket:
    """A listening socket at that path: owner and group may connect, nobody else.

    A socket that a dead daemon left is replaced. Raises ControlError when another one answers there, when
    something else is in the way, or when the directory is missing.
    """
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        raise ControlError(f"the socket path {path} is too long", f"use {_MAX_PATH_BYTES} bytes or fewer")
    _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        os.fchmod(sock.fileno(), 0o600)  # bind(2) gives the file the mode of the socket, less the umask
        sock.bind(os.fspath(path))
        if gid is not None:
            os.chown(path, -1, gid)
        path.chmod(0o660)
    except OSError as e:
        sock.close()
        raise ControlError(f"cannot make the control socket {path}: {e.strerror}", _remedy(e, path)) from e
    return sock


def admit(path: Path, uids: Iterable[int]) -> None:
    """Let these users connect too, by an ACL on the file; what they may ask then is decided at each request.

    Where the file system knows no ACLs it is said, and they need the socket's group.
    """
    users = sorted(set(uids))
    if not users:
        return
    # linux/posix_acl_xattr.h: version 2, then (tag, permissions, id): owner, users, group, mask, others
    nobody = 0xFFFFFFFF
    entries = [(0x01, 6, nobody), *((0x02, 6, uid) for uid in users)]
    entries += [(0x04, 6, nobody), (0x10, 6, nobody), (0x20, 0, nobody)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", packed)
    except OSError as e:
        _log.warning("no ACL on %s (%s): users named in [control] need its group", path, e.strerror)


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what is at that path now, to remove later only what we made."""
    try:
        there = path.lstat()
    except OSError:
        return None
    return there.st_dev, there.st_ino


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        return  # nothing there; what else may be wrong, bind will say
    if not stat.S_ISSOCK(mode):
        raise ControlError(f"{path} is there and is no socket", "move it away, or set another socket path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:  # a dead daemon's
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as e:
            if e.errno != errno.EAGAIN:  # its queue is full: somebody listens
                raise ControlError(f"cannot try the socket {path}: {e.strerror}", _remedy(e, path)) from e
    raise ControlError(f"another janusd is running at {path}", "stop it first: systemctl stop janusd")


def _remedy(error: OSError, path: Path) -> str:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"make the directory {path.parent}"
        case errno.EACCES | errno.EPERM:
            return f"let this user write to {path.parent}"
        case _:
            return ""
