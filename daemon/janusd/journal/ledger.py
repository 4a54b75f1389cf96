"""The tally of tries on disk: charged before a verdict is known, so that pulling the plug is no fresh start.

    bytes 0-4095       slot 0        bytes 4096-8191    slot 1

    a slot             length of the entry, u32 little-endian; the entry; HMAC-SHA256 over both; zeros
    entry              msgpack array: "janusd ledger 2", sequence, spent, failed, wait in ms, whether off

Writes go to the slots in turn and are synced before they count, so that a torn write spoils one slot and
the other still says what was true before. A spoiled slot costs a charge: it may have been one.

The same slots lie in a twin, which belongs on another disk, beside the vault's anchor. Each write goes to
both, here first; at the start the newer of the two counts, and one that is gone switches face unlock off.
So an older copy forgives nothing unless both are put back. An entry "janusd ledger 1" is from before there
were twins: it is believed without one, once.

What it does to a card: the files keep their size, so a write is one block each and no metadata. A visit of
somebody who is let in makes two writes, a failed try one, and a closed door none: `limiter` bounds failed
tries to 116 on the worst of days. Forty visits a day are 80 writes to each file.

Key: HKDF-SHA256(source key, no salt, info = "janusd ledger v1").

Trust boundary: whoever can write both files can put back older copies of both, and nothing here shows that.
They can't make one up, and a file that is gone or spoiled switches face unlock off.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from janusd.core.limiter import Tally
from janusd.errors import InstallerError, LedgerBroken
from janusd.hardening import Secret, keep_in_ram, wipe
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.private import check_private, make_private_folder, sync_folder

SLOT_BYTES = 4096
"""A card's and a file system's block: a slot never shares one with the other."""
_SLOTS = 2
_BLANK = bytes(_SLOTS * SLOT_BYTES)
_MAGIC, _TWINLESS = "janusd ledger 2", "janusd ledger 1"
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

    @property
    def tally(self) -> Tally:
        return Tally(self.spent, self.failed, self.wait_ms / 1000, self.is_off)


@dataclass(frozen=True, slots=True)
class _Copy:
    """What one of the two files says."""

    path: Path
    descriptor: int
    is_new: bool
    """Whether it was made just now."""
    newest: _Entry | None
    """None where no slot can be believed."""
    is_torn: bool
    """Whether the other slot is spoiled."""


class Ledger:
    """An open ledger. For one thread."""

    def __init__(
        self, descriptors: Sequence[int], key: Secret, sequence: int, tally: Tally, alarm: str = ""
    ) -> None:
        self._descriptors = tuple(descriptors)
        self._key = key
        self._sequence = sequence
        self.tally = tally
        """What is on disk."""
        self.alarm = alarm
        """What was wrong with what was found; empty where nothing was."""

    @classmethod
    def open(cls, path: Path, key_source: KeySource, *, may_begin: bool, twin: Path | None = None) -> Ledger:
        """Open the ledger, or begin one where there is none and none is missed.

        A ledger that is missing although there was one, or that is spoiled, begins with face unlock off, and
        so does one without its twin. Raises InstallerError where the disk will not have it, KeyUnavailable,
        LedgerBroken for a file that is open to others.
        """
        source_key = key_source.key()
        key = sealed.derive(source_key, b"", "janusd ledger v1")
        wipe(source_key)
        keep_in_ram(key)
        copies: list[_Copy] = []
        try:
            copies += (_open_copy(one, key) for one in (path, twin) if one is not None)
            sequence, tally, alarm = _judge(copies, may_begin=may_begin)
            ledger = cls([copy.descriptor for copy in copies], key, sequence, tally, alarm)
            if alarm or any(_is_behind(copy, sequence) for copy in copies):
                ledger.write(tally)
                ledger.write(tally)  # all slots hold something from the first moment on
        except BaseException:
            for copy in copies:
                os.close(copy.descriptor)
            raise
        return ledger

    def write(self, tally: Tally) -> None:
        """Make the tally durable. Raises InstallerError where a disk will not."""
        sequence = self._sequence + 1
        entry = msgspec.msgpack.encode(
            _Entry(_MAGIC, sequence, tally.spent, tally.failed, round(tally.wait_s * 1000), tally.is_off)
        )
        head = _LENGTH.pack(len(entry)) + entry
        slot = (head + hmac.digest(self._key, head, hashlib.sha256)).ljust(SLOT_BYTES, b"\0")
        failed = []
        for descriptor in self._descriptors:  # each is tried: a charge in one of them counts
            try:
                if os.pwrite(descriptor, slot, sequence % _SLOTS * SLOT_BYTES) != SLOT_BYTES:
                    failed.append("it was cut short")
                os.fdatasync(descriptor)
            except OSError as e:
                failed.append(e.strerror or str(e))
        if len(failed) < len(self._descriptors):
            self._sequence, self.tally = sequence, tally
        if failed:
            raise InstallerError(f"the ledger of tries cannot be written: {failed[0]}", _REMEDY)

    def close(self) -> None:
        """Let go of the files. May be called twice."""
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)
        if descriptors:
            wipe(self._key)


def _open_copy(path: Path, key: Secret) -> _Copy:
    is_new = not os.path.lexists(path)
    if is_new:
        make_private_folder(path.parent, LedgerBroken)
        _begin(path)
    check_private(path, LedgerBroken)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            raw = os.pread(descriptor, len(_BLANK), 0)
        except OSError:
            os.close(descriptor)
            raise
    except OSError as e:
        raise InstallerError(f"the ledger {path} cannot be read: {e.strerror}", _REMEDY) from e
    newest, is_torn = _latest(raw, key)
    return _Copy(path, descriptor, is_new or raw == _BLANK, newest, is_torn)


def _judge(copies: Sequence[_Copy], *, may_begin: bool) -> tuple[int, Tally, str]:
    """Which sequence and tally are to be believed, and what is wrong with what was found."""
    if may_begin and all(_has_just_begun(copy) for copy in copies):
        return 0, Tally(), ""
    newest = max((c for c in copies if c.newest), key=_newness, default=None)
    if newest is None or newest.newest is None:
        return 0, Tally(is_off=True), f"the tally of tries {copies[0].path} is gone or spoiled"
    entry, tally, alarm = newest.newest, newest.newest.tally, ""
    if newest.is_torn:
        tally = replace(tally, spent=tally.spent + 1, failed=tally.failed + 1)
    had_no_twin = entry.magic == _TWINLESS and newest is copies[0]
    for copy in copies:
        if copy.newest is None and not (had_no_twin and copy.is_new):
            tally = replace(tally, is_off=True)
            alarm = f"the tally of tries {copy.path} is gone or spoiled, and its twin may be an older copy"
    for copy in copies:
        lead = 1 if copy is not copies[0] else 0  # a crash leaves the one written last behind by one
        if not alarm and copy.newest is not None and copy.newest.sequence < entry.sequence - lead:
            alarm = f"the tally of tries {copy.path} is an older copy; what {newest.path} says counts"
    return entry.sequence, tally, alarm


def _has_just_begun(copy: _Copy) -> bool:
    """Also where a kill came between the first writes to the two files."""
    return copy.is_new or (copy.newest is not None and copy.newest.sequence <= _SLOTS)


def _newness(copy: _Copy) -> tuple[int, bool]:
    return (copy.newest.sequence if copy.newest else 0, not copy.is_torn)


def _is_behind(copy: _Copy, sequence: int) -> bool:
    return copy.newest is None or copy.newest.magic != _MAGIC or copy.newest.sequence != sequence


def _begin(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask was
            os.write(descriptor, _BLANK)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    except OSError as e:
        raise InstallerError(f"cannot write the ledger {path}: {e.strerror}", _REMEDY) from e


def _latest(raw: bytes, key: Secret) -> tuple[_Entry | None, bool]:
    """The newest entry that can be believed, and whether the other slot is spoiled."""
    slots = [raw[i * SLOT_BYTES : (i + 1) * SLOT_BYTES] for i in range(_SLOTS)]
    found = [entry for i, slot in enumerate(slots) if (entry := _read(slot, key, i)) is not None]
    return max(found, key=lambda entry: entry.sequence, default=None), len(found) < _SLOTS


def _read(slot: bytes, key: Secret, place: int) -> _Entry | None:
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
    is_here = entry.magic in (_MAGIC, _TWINLESS) and entry.sequence % _SLOTS == place
    return entry if is_here and min(entry.spent, entry.failed, entry.wait_ms) >= 0 else None
