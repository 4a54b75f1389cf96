"""Where the vault's key comes from, and which device this is."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from janusd.errors import KeyUnavailable
from janusd.vault.private import GROUP_AND_OTHERS, sync_folder, why_not_private

KEY_BYTES = 32

_DEVICE_ID_PURPOSE = b"janusd device id v1"
_MACHINE_ID = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class FileKey:
    """A key in a file beside the vault. For development: whoever takes the card takes the key with it."""

    path: Path

    @property
    def name(self) -> str:
        """Which file, and what it does not stop."""
        return f"key file {self.path} (development: opens on a stolen card)"

    def key(self) -> bytes:
        """The file's 32 bytes. Raises KeyUnavailable."""
        return _read_key(self.path, GROUP_AND_OTHERS, "make one with janusd --prepare, or restore it")


@dataclass(frozen=True, slots=True)
class CredentialKey:
    """A key that systemd decrypts for the unit alone (LoadCredentialEncrypted=)."""

    directory: Path | None
    """`$CREDENTIALS_DIRECTORY`, or None where systemd set none."""
    credential: str = "janus-key"

    @property
    def name(self) -> str:
        """Which credential."""
        return f"systemd credential {self.credential}"

    def key(self) -> bytes:
        """The credential's 32 bytes. Raises KeyUnavailable."""
        remedy = f"give the unit LoadCredentialEncrypted={self.credential} and start it through systemd"
        if self.directory is None:
            raise KeyUnavailable(f"systemd passed no credentials, so no {self.credential}", remedy)
        if self.credential in ("", ".", "..") or "/" in self.credential:
            raise KeyUnavailable(f"{self.credential!r} is no credential's name", remedy)
        # Where systemd grants the unit's user an ACL instead of ownership, its mask shows as group-read.
        return _read_key(self.directory / self.credential, GROUP_AND_OTHERS & ~stat.S_IRGRP, remedy)


def create_key_file(path: Path) -> None:
    """Write a new random key, durably, mode 0600. Raises KeyUnavailable where a file is there already.

    It never overwrites: a key that is gone takes every template with it.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as e:
        raise KeyUnavailable(f"{path} is there already", "use it, or move it away first") from e
    except OSError as e:
        raise KeyUnavailable(f"cannot write {path}: {e.strerror}", "make its folder, mode 0700") from e
    try:
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask was
            os.write(descriptor, secrets.token_bytes(KEY_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    except OSError as e:
        path.unlink(missing_ok=True)
        raise KeyUnavailable(f"cannot write {path}: {e.strerror}", "free space on its disk") from e


def device_id(path: Path = Path("/etc/machine-id")) -> bytes:
    """32 bytes that tell this device from others: HMAC-SHA256 of the machine id for our purpose alone.

    machine-id(5) asks never to show the id itself to others. Raises KeyUnavailable where there is none.
    """
    remedy = "run systemd-machine-id-setup, or name a file with 32 hexadecimal digits"
    try:
        with path.open("rb") as file:
            text = file.read(64).strip().lower()
    except OSError as e:
        raise KeyUnavailable(f"cannot read the device's id from {path}: {e.strerror}", remedy) from e
    if not _MACHINE_ID.fullmatch(text) or text == b"0" * 32:
        raise KeyUnavailable(f"{path} holds no device id", remedy)
    return hmac.digest(bytes.fromhex(text.decode()), _DEVICE_ID_PURPOSE, hashlib.sha256)


def _read_key(path: Path, forbidden: int, remedy: str) -> bytes:
    try:
        # O_NONBLOCK: a FIFO planted here must not hang the daemon before fstat can refuse it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as e:
        reason = "it is a symbolic link" if path.is_symlink() else e.strerror
        raise KeyUnavailable(f"cannot read the key {path}: {reason}", remedy) from e
    try:
        status = os.fstat(descriptor)  # of the opened file: no swap between look and read
        if not stat.S_ISREG(status.st_mode):
            raise KeyUnavailable(f"the key {path} is not a regular file", remedy)
        trouble = why_not_private(status, forbidden)
        if trouble is not None:
            raise KeyUnavailable(f"the key {path} {trouble[0]}", trouble[1])
        key = os.read(descriptor, KEY_BYTES + 1)
    except OSError as e:
        if isinstance(e, KeyUnavailable):
            raise
        raise KeyUnavailable(f"cannot read the key {path}: {e.strerror}", remedy) from e
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        size = f"{len(key)} bytes" if len(key) < KEY_BYTES else f"more than {KEY_BYTES} bytes"
        raise KeyUnavailable(f"the key {path} holds {size}, not {KEY_BYTES}", remedy)
    if len(set(key)) == 1:  # what a power cut leaves of a file that was not synced
        raise KeyUnavailable(f"the key {path} is blank", remedy)
    return key
