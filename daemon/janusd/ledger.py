"""The tally of tries on disk: charged before a verdict is known, so that pulling the plug is no fresh start.

    bytes 0-4095       slot 0        bytes 4096-8191    slot 1

    a slot             length of the entry, u32 little-endian; the entry; HMAC-SHA256 over both; zeros
    entry              msgpack array: "janusd ledger 1", sequence, spent, failed, wait in ms, whether off

Writes go to the slots in turn and are synced before they count, so that a torn write spoils one slot and
the other still says what was true before. A spoiled slot costs a charge: it may have been one.

What it does to a card: the file keeps its size, so a write is one block and no metadata. A visit of somebody
who is let in makes two writes, a failed try one, and a closed door none: `limiter` bounds failed tries to
116 on the worst of days. Forty visits a day are 80 writes.

Key: HKDF-SHA256(source key, no salt, info = "janusd ledger v1").

Trust boundary: whoever can write the file can put back an older copy of it, and nothing here shows that.
They can't make one up, and a file that is gone or spoiled switches face unlock off.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import replace
from pathlib import Path

import msgspec

from janusd.core.limiter import Tally
from janusd.errors import InstallerError, LedgerBroken
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.private import check_private, make_private_folder, sync_folder

SLOT_BYTES = 4096
"""A card's and a file system's block: a slot never shares one with the other."""
_SLOTS = 2
_MAGIC = "janusd ledger 1"
_LENGTH = struct.Struct("<I")
_MAC_BYTES = 32
_REMEDY = "see whether its disk is full, read-only or failing, and whose the file is"


class _Entry(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    magic: str
    sequence: int
    spent: int
    failed: int
    wait_ms: int
    is_off: bool


class Ledger:
    """An open ledger. For one thread."""

    def __init__(self, descriptor: int, key: bytes, sequence: int, tally: Tally) -> None:
        self._descriptor = descriptor
        self._key = key
        self._sequence = sequence
        self.tally = tally
        """What is on disk."""

    @classmethod
    def open(cls, path: Path, key_source: KeySource, *, may_begin: bool) -> Ledger:
        """Open the ledger, or begin one where there is none and none is missed.

        A ledger that is missing although there was one, or that is spoiled, begins with face unlock off.
        Raises InstallerError where the disk will not have it, KeyUnavailable, LedgerBroken for a file that
        is open to others.
        """
        key = sealed.derive(key_source.key(), b"", "janusd ledger v1")
        is_there = os.path.lexists(path)
        if not is_there:
            make_private_folder(path.parent, LedgerBroken)
            _begin(path)
        check_private(path, LedgerBroken)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            raw = os.pread(descriptor, _SLOTS * SLOT_BYTES, 0)
        except OSError as e:
            raise InstallerError(f"the ledger {path} cannot be read: {e.strerror}", _REMEDY) from e
        sequence, tally = _latest(raw, key)
        if tally is None:
            tally = Tally(is_off=not (may_begin and raw == bytes(_SLOTS * SLOT_BYTES)))
        ledger = cls(descriptor, key, sequence, tally)
        if sequence == 0:
            try:
                ledger.write(tally)
                ledger.write(tally)  # both slots hold something from the first moment on
            except InstallerError:
                ledger.close()
                raise
        return ledger

    def write(self, tally: Tally) -> None:
        """Make the tally durable. Raises InstallerError where the disk will not."""
        sequence = self._sequence + 1
        entry = msgspec.msgpack.encode(
            _Entry(_MAGIC, sequence, tally.spent, tally.failed, round(tally.wait_s * 1000), tally.is_off)
        )
        head = _LENGTH.pack(len(entry)) + entry
        slot = (head + hmac.digest(self._key, head, hashlib.sha256)).ljust(SLOT_BYTES, b"\0")
        try:
            if os.pwrite(self._descriptor, slot, sequence % _SLOTS * SLOT_BYTES) != SLOT_BYTES:
                raise InstallerError("the ledger of tries was cut short", _REMEDY)
            os.fdatasync(self._descriptor)
        except InstallerError:
            raise
        except OSError as e:
            raise InstallerError(f"the ledger of tries cannot be written: {e.strerror}", _REMEDY) from e
        self._sequence, self.tally = sequence, tally

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _begin(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask was
            os.write(descriptor, bytes(_SLOTS * SLOT_BYTES))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    except OSError as e:
        raise InstallerError(f"cannot write the ledger {path}: {e.strerror}", _REMEDY) from e


def _latest(raw: bytes, key: bytes) -> tuple[int, Tally | None]:
    """The newest entry's sequence and tally; one more charge where the other slot is spoiled."""
    slots = [raw[i * SLOT_BYTES : (i + 1) * SLOT_BYTES] for i in range(_SLOTS)]
    found = [entry for i, slot in enumerate(slots) if (entry := _read(slot, key, i)) is not None]
    if not found:
        return 0, None
    newest = max(found, key=lambda entry: entry.sequence)
    tally = Tally(newest.spent, newest.failed, newest.wait_ms / 1000, newest.is_off)
    if len(found) < _SLOTS:
        tally = replace(tally, spent=tally.spent + 1, failed=tally.failed + 1)
    return newest.sequence, tally


def _read(slot: bytes, key: bytes, place: int) -> _Entry | None:
    if len(slot) != SLOT_BYTES:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(slot)[0]
    if end > SLOT_BYTES - _MAC_BYTES:
        return None
    if not hmac.compare_digest(slot[end : end + _MAC_BYTES], hmac.digest(key, slot[:end], hashlib.sha256)):
        return None
    try:
        entry = msgspec.msgpack.decode(slot[_LENGTH.size : end], type=_Entry)
    except msgspec.MsgspecError:
        return None
    is_here = entry.magic == _MAGIC and entry.sequence % _SLOTS == place
    return entry if is_here and min(entry.spent, entry.failed, entry.wait_ms) >= 0 else None
