"""The embeddings of the last unlocks, for an owner who says: that was not me. Off by default (docs/adr/0012).

    bytes 0-4095    slot 0, then slot 1 ...: `SLOTS` of them, or no file at all where nothing is kept

    a slot          length of the box, u32 little-endian; the box; zeros
    the box         sealed msgpack array: entry of the door log, microseconds since 1970, person id, encoder
                    digest, (D,) float32 little-endian rotated by the ring's own rotation; bound to the slot

Keys: HKDF-SHA256(the door log's key, salt = device id, info = "janusd unlocks v1"), 32 bytes for the boxes
and 32 for the rotation.

An unlock takes the oldest slot's place and is synced after the door was released; one that is lost in a power
cut cannot be disputed with a guard, and that is all. What is too old, of somebody forgotten, or made use of,
is overwritten with zeros. On flash the card itself may keep old blocks out of reach for a while.

Trust boundary: whoever can write the file can put back an older one, and slots that were erased with it; they
can't make one up, nor move one to another place or door. A guard that comes of it only ever keeps people out.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from janusd.core.types import Embedding
from janusd.errors import InstallerError, VaultDamaged, VaultExposed
from janusd.hardening import wipe
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault import transform
from janusd.vault.private import check_private, make_private_folder, sync_folder

SLOTS = 64
SLOT_BYTES = 4096

_LENGTH = struct.Struct("<I")
_REMEDY = "see whether its disk is full, read-only or failing, and whose the file is"


class _Kept(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    number: int
    at_us: int
    person_id: str
    model: bytes
    embedding: bytes


@dataclass(frozen=True, slots=True)
class Unlock:
    """One unlock that is kept."""

    number: int
    """Of its entry in the door log."""
    at_us: int
    """Microseconds since 1970."""
    person_id: str
    embedding: Embedding


class Ring:
    """What is kept of unlocks. For one thread at a time."""

    def __init__(self, path: Path, key_source: KeySource, device_id: bytes, model_digest: bytes) -> None:
        """Nothing is read or made yet."""
        self._path = path
        self._device_id = device_id
        self._model_digest = model_digest
        source = key_source.key()
        both = sealed.derive(source, device_id, "janusd unlocks v1", sealed.KEY_BYTES + transform.SEED_BYTES)
        wipe(source)
        self._key, self._seed = both[: sealed.KEY_BYTES], bytes(both[sealed.KEY_BYTES :])
        wipe(both)

    def keep(self, unlock: Unlock, slots: int) -> None:
        """Keep an unlock in the place of the oldest; with 0 slots, keep nothing of anybody any more.

        Raises InstallerError where the disk will not, VaultExposed for a file that is open to others.
        """
        if not 0 <= slots <= SLOTS:
            raise ValueError(f"{slots} slots, must be from 0 to {SLOTS}")
        if slots == 0:
            self.clear()
            return
        found = self._read()
        for at in range(slots, SLOTS):  # fewer are kept than before
            if at in found:
                self._write(at, b"")
        taken = {at: one for at, one in found.items() if at < slots}
        free = next((at for at in range(slots) if at not in taken), None)
        at = free if free is not None else min(taken, key=lambda at: taken[at].number)
        row = np.asarray(unlock.embedding, np.float32)[None]
        kept = _Kept(
            unlock.number,
            unlock.at_us,
            unlock.person_id,
            self._model_digest,
            transform.turn(self._seed, row).astype("<f4").tobytes(),
        )
        self._write(at, sealed.seal(self._key, msgspec.msgpack.encode(kept), self._bound(at)))

    def find(self, number: int) -> Unlock | None:
        """The unlock of that entry of the door log, by the present encoder; None where none is kept."""
        return next((one for one in self._read().values() if one.number == number), None)

    def drop(self, *, number: int = 0, person_id: str = "", before_us: int = 0) -> int:
        """Erase what is of that entry or person, or older than that; how many. Raises InstallerError."""
        gone = [
            at
            for at, one in self._read().items()
            if one.number == number or one.person_id == person_id or one.at_us < before_us
        ]
        for at in gone:
            self._write(at, b"")
        return len(gone)

    def clear(self) -> None:
        """Erase everything, and the file. Raises InstallerError."""
        if not os.path.lexists(self._path):
            return
        for at in range(SLOTS):
            self._write(at, b"")
        try:
            self._path.unlink()
            sync_folder(self._path.parent)
        except OSError as e:
            raise InstallerError(f"{self._path} cannot be removed: {e.strerror}", _REMEDY) from e

    def _read(self) -> dict[int, Unlock]:
        """By slot. A slot that does not open is as good as empty: it can only have kept somebody out."""
        if not os.path.lexists(self._path):
            return {}
        check_private(self._path, VaultExposed)
        try:
            raw = self._path.read_bytes()
        except OSError as e:
            raise InstallerError(f"{self._path} cannot be read: {e.strerror}", _REMEDY) from e
        slots = ((at, raw[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]) for at in range(SLOTS))
        return {at: one for at, slot in slots if (one := self._open(at, slot)) is not None}

    def _open(self, at: int, slot: bytes) -> Unlock | None:
        if len(slot) < SLOT_BYTES or slot[: _LENGTH.size] == bytes(_LENGTH.size):
            return None
        (length,) = _LENGTH.unpack_from(slot)
        try:
            plaintext = sealed.unseal(self._key, slot[_LENGTH.size : _LENGTH.size + length], self._bound(at))
            kept = msgspec.msgpack.decode(plaintext, type=_Kept)
            row = np.frombuffer(kept.embedding, dtype="<f4")[None].astype(np.float32)
        except (VaultDamaged, msgspec.MsgspecError, ValueError):
            return None
        if kept.model != self._model_digest:  # of no use any more; it goes when its time is over
            return Unlock(0, kept.at_us, kept.person_id, row[0])
        return Unlock(kept.number, kept.at_us, kept.person_id, transform.turn_back(self._seed, row)[0])

    def _write(self, at: int, box: bytes) -> None:
        slot = (_LENGTH.pack(len(box)) + box).ljust(SLOT_BYTES, b"\0")
        if len(slot) != SLOT_BYTES:
            raise ValueError(f"an embedding of {len(box)} bytes fits no slot")
        make_private_folder(self._path.parent, VaultExposed)
        try:
            is_new = not os.path.lexists(self._path)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            try:
                if is_new:
                    os.fchmod(descriptor, 0o600)  # whatever the umask was
                    os.truncate(descriptor, SLOTS * SLOT_BYTES)
                os.pwrite(descriptor, slot, at * SLOT_BYTES)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                sync_folder(self._path.parent)
        except OSError as e:
            if isinstance(e, InstallerError):
                raise
            raise InstallerError(f"{self._path} cannot be written: {e.strerror}", _REMEDY) from e

    def _bound(self, at: int) -> bytes:
        return sealed.binding("janusd unlock", self._device_id, struct.pack(">I", at))
