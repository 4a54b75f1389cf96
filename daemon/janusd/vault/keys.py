"""Where the vault's key comes from, and which device this is.

    file          32 bytes beside the vault; for development
    credential    32 bytes that systemd decrypts for the unit: with a TPM's key, or one on the same disk
    binding       32 bytes that only this board's hardware answers, mixed in: HKDF-SHA256(key || answer)

A key is changed in steps that each survive a crash (`KeyRing`): the next key appears beside the present one,
everything is sealed anew under it, and only then does it take the present one's place.

Trust boundary: key files are believed when they are ours alone. What hardware answers is believed as it is:
a wrong answer opens nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from janusd.errors import KeyUnavailable, OwnerError, VaultDamaged
from janusd.hardening import Secret, keep_in_ram, random_key, wipe
from janusd.ports import Binding, KeySource
from janusd.vault import format as sealed
from janusd.vault.private import GROUP_AND_OTHERS, sync_folder, why_not_private, write_private

KEY_BYTES = 32

_BINDING_QUESTION = b"janusd vault binding v1"
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

    def key(self) -> bytearray:
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

    def key(self) -> bytearray:
        """The credential's 32 bytes. Raises KeyUnavailable."""
        remedy = f"give the unit LoadCredentialEncrypted={self.credential} and start it through systemd"
        if self.directory is None:
            raise KeyUnavailable(f"systemd passed no credentials, so no {self.credential}", remedy)
        if self.credential in ("", ".", "..") or "/" in self.credential:
            raise KeyUnavailable(f"{self.credential!r} is no credential's name", remedy)
        # Where systemd grants the unit's user an ACL instead of ownership, its mask shows as group-read.
        return _read_key(self.directory / self.credential, GROUP_AND_OTHERS & ~stat.S_IRGRP, remedy)


@dataclass(frozen=True, slots=True)
class BoundKey:
    """A key that is worth nothing away from this board."""

    base: KeySource
    binding: Binding

    @property
    def name(self) -> str:
        """Both halves."""
        return f"{self.base.name}, bound to {self.binding.name}"

    def key(self) -> bytearray:
        """32 bytes of both. Raises KeyUnavailable."""
        answer = self.binding.answer(_BINDING_QUESTION)
        if len(answer) != KEY_BYTES or len(set(answer)) == 1:
            raise KeyUnavailable(
                f"{self.binding.name} answered {len(answer)} bytes that are no key",
                "see that the board's own key is provisioned, and that this user may ask for it",
            )
        base = self.base.key()
        both = bytearray(base) + answer
        derived = sealed.derive(both, b"", "janusd bound key v1")
        wipe(base)
        wipe(both)
        return derived


@dataclass(frozen=True, slots=True)
class CredentialBinding:
    """A board's answer that a root-owned unit fetched before, and systemd passes on.

    So the daemon itself needs no access to the board's key device (on a Raspberry Pi /dev/vcio).
    """

    directory: Path | None
    credential: str = "janus-binding"

    @property
    def name(self) -> str:
        """Which credential."""
        return f"hardware, through the credential {self.credential}"

    def answer(self, question: bytes) -> bytes:
        """The credential's bytes, made one with the question."""
        secret = CredentialKey(self.directory, self.credential).key()
        return hmac.digest(secret, question, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The present key, and those the vault may still be sealed under."""

    base: FileKey | CredentialKey
    binding: Binding | None = None

    def present(self) -> KeySource:
        """The key that everything is to be sealed under."""
        return self._bound(self._bases()[0])

    def former(self) -> tuple[KeySource, ...]:
        """Keys it may be sealed under instead: before a change of key, and before it was bound."""
        bases = self._bases()
        bound = [self._bound(base) for base in bases[1:]]
        return (*bound, *(bases if self.binding is not None else ()))

    @property
    def is_changing(self) -> bool:
        """Whether a change that `begin_change` began has not ended."""
        return isinstance(self.base, FileKey) and os.path.lexists(self._next(self.base))

    def begin_change(self) -> None:
        """Make the next key. From here on `present` is that one. Raises OwnerError, KeyUnavailable."""
        if isinstance(self.base, CredentialKey):
            name = self.base.credential
            raise OwnerError(
                "this key is systemd's to change",
                f"encrypt a new {name}, pass the present one as {name}-previous, and restart janusd:"
                " it seals everything anew at its start",
            )
        try:
            write_private(self._next(self.base), random_key())
        except OSError as e:
            raise KeyUnavailable(
                f"cannot write {self._next(self.base)}: {e.strerror}", "free space on its disk"
            ) from e

    def end_change(self) -> None:
        """Put the next key in the present one's place, which is gone then. Raises KeyUnavailable."""
        if isinstance(self.base, FileKey) and self.is_changing:
            try:
                self._next(self.base).rename(self.base.path)
                sync_folder(self.base.path.parent)
            except OSError as e:
                raise KeyUnavailable(
                    f"cannot replace {self.base.path}: {e.strerror}", "free space on its disk, then restart"
                ) from e

    def _bases(self) -> list[FileKey | CredentialKey]:
        """The present one first."""
        if isinstance(self.base, FileKey):
            following = self._next(self.base)
            return [FileKey(following), self.base] if os.path.lexists(following) else [self.base]
        former = CredentialKey(self.base.directory, f"{self.base.credential}-previous")
        folder = self.base.directory
        is_there = folder is not None and os.path.lexists(folder / former.credential)
        return [self.base, former] if is_there else [self.base]

    def _bound(self, base: KeySource) -> KeySource:
        return base if self.binding is None else BoundKey(base, self.binding)

    @staticmethod
    def _next(base: FileKey) -> Path:
        return base.path.with_name(base.path.name + ".next")


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key that stays the same when the vault's changes: the door log's. Sealed in a file under the KEK."""

    path: Path
    _key: bytearray

    @property
    def name(self) -> str:
        """Which file."""
        return f"key sealed in {self.path}"

    def key(self) -> bytearray:
        """The 32 bytes."""
        return bytearray(self._key)

    @classmethod
    def open(cls, path: Path, ring: KeyRing, device: bytes, *, inherits: bool) -> KeptKey:
        """Open it, or begin one where there is none; leave it sealed under the present key.

        Where something was sealed with the vault's own key before (`inherits`), that one is kept; else the
        key is random. Raises KeyUnavailable.
        """
        bound = sealed.binding("janusd kept key", device)
        present = sealed.kek(ring.present().key(), device)
        if not os.path.lexists(path):
            former = (*ring.former(), ring.present())[0]
            kept = bytearray(former.key()) if inherits else random_key()
        else:
            box = _read_file(path, GROUP_AND_OTHERS, "restore it from a backup, or start a new door log", 256)
            kept, is_present = _unseal_with(
                (present, *(sealed.kek(f.key(), device) for f in ring.former())), box, bound, path
            )
            keep_in_ram(kept)
            if is_present:
                return cls(path, kept)
        try:
            write_private(path, sealed.seal(present, kept, bound))
        except OSError as e:
            raise KeyUnavailable(f"cannot write {path}: {e.strerror}", "free space on its disk") from e
        return cls(path, kept)


def what_it_stops(source: KeySource) -> tuple[bool, str]:
    """Whether the key stops a thief of the card, and which attackers it stops, for `janusctl doctor`."""
    match source:
        case BoundKey():
            return True, "stops a thief of the card; not a thief of the whole board, nor root on it"
        case CredentialKey():
            return False, (
                "stops a thief of a backup; a thief of the card only where a TPM made the credential"
                " (systemd-creds encrypt --with-key=tpm2), not with the host key, which lies on the same card"
            )
        case _:
            return False, "stops other users of this device; neither a thief of the card nor of a backup"


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
            os.write(descriptor, random_key())
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


def _read_file(path: Path, forbidden: int, remedy: str, limit: int) -> bytearray:
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
        content = bytearray(limit)
        del content[os.readv(descriptor, [content]) :]
        return content
    except OSError as e:
        if isinstance(e, KeyUnavailable):
            raise
        raise KeyUnavailable(f"cannot read the key {path}: {e.strerror}", remedy) from e
    finally:
        os.close(descriptor)


def _read_key(path: Path, forbidden: int, remedy: str) -> bytearray:
    key = _read_file(path, forbidden, remedy, KEY_BYTES + 1)
    if len(key) != KEY_BYTES:
        size = f"{len(key)} bytes" if len(key) < KEY_BYTES else f"more than {KEY_BYTES} bytes"
        raise KeyUnavailable(f"the key {path} holds {size}, not {KEY_BYTES}", remedy)
    if len(set(key)) == 1:  # what a power cut leaves of a file that was not synced
        raise KeyUnavailable(f"the key {path} is blank", remedy)
    return key


def _unseal_with(keks: tuple[Secret, ...], box: Secret, bound: bytes, path: Path) -> tuple[bytearray, bool]:
    """What is in the box, and whether it was sealed under the first of the keys."""
    for kek in keks:
        try:
            return sealed.unseal_key(kek, bytes(box), bound), kek == keks[0]
        except VaultDamaged:
            continue
    raise KeyUnavailable(
        f"{path} does not open with this key on this device",
        "give back the key it was made with; without it, move it and the door log away to begin a new log",
    )
