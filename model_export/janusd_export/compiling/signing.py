"""The key that signs releases: made once, kept by one person, never beside what it signs.

A key file is PKCS #8 in PEM, mode 0600; its public half, PEM too, lies beside it with the
ending .pub and is what doors are given (`janusd.bundle.keys`).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from janusd_export.errors import ExportError


def make_key(path: Path) -> Path:
    """Write a new key, mode 0600, and its public half beside it; give the latter. Never overwrites."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_suffix(".pub")
    try:
        if beside.exists():
            raise FileExistsError(None, "", str(beside))
        _write_new(path, private, 0o600)
        _write_new(beside, public, 0o644)
    except FileExistsError as error:
        raise ExportError(f"{error.filename} is there already: a key is never overwritten") from error
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    return beside


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a signing key. Raises ExportError, also where others could have read it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read(1 << 16)
    except OSError as error:
        raise ExportError(
            f"cannot read the key {path} ({error.strerror}): make one with janus-export keygen"
        ) from error
    if mode & 0o077:
        raise ExportError(f"the key {path} stands open to others (mode {mode:04o}): chmod 600 {path}")
    try:
        key = load_pem_private_key(raw, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ExportError(f"{path} is not a signing key: make one with janus-export keygen") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ExportError(f"{path} is a key, but not of Ed25519: make one with janus-export keygen")
    return key


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    """The raw 32 bytes of a key's public half."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)  # whatever the umask
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
