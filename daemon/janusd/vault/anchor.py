"""The newest state of a vault, remembered outside its file, so that an older copy put back is noticed.

A mark, 100 bytes, or 108 where a counter vouches for it:

    bytes 0-3     "JVA1"; "JVA2" where it is counted
    bytes 4-19    the vault's id
    bytes 20-27   generation, u64 big-endian
    bytes 28-35   floor: no copy from before that generation may be put back, since somebody was forgotten
    bytes 36-67   SHA-256 over the vault's rows
    [bytes 68-75  what the counter stands at once this mark is the newest, u64 big-endian]
    the rest      HMAC-SHA256 over all before; key HKDF-SHA256(KEK, device id, "janusd vault anchor v1")

The vault is changed first and marked second, so a crash in between leaves it exactly one change ahead of its
mark; each state names the one before it, and only that successor of the marked state is believed. The
counter moves last: a crash leaves it one behind the mark, which then is the newest there ever was, and the
next opening moves it on. A counter that is ahead says that vault and mark were put back together.

Trust boundary: whoever has the card may read, remove and put back marks, but can't make one. A file is as
safe as the place it is kept in: on the same card, vault and mark can be put back *together*, unnoticed. A
counter in memory that can't be put back (`janusd.ports.Counter`: a TPM's) ends that, from the moment it is
turned on: a copy of the whole card from before knows nothing of it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from janusd.errors import AnchorLost, InstallerError, VaultRolledBack
from janusd.hardening import Secret
from janusd.ports import Counter
from janusd.vault import format as sealed
from janusd.vault.private import check_private, make_private_folder, write_private

_MAGIC, _MAGIC_COUNTED = b"JVA1", b"JVA2"
_BODY = struct.Struct(">4s16sQQ32s")
_COUNT = struct.Struct(">Q")
_MAC_BYTES = 32
MARK_BYTES = _BODY.size + _MAC_BYTES
COUNTED_BYTES = MARK_BYTES + _COUNT.size
_AS_IT_IS = (
    "take the vault as it is and look who is in it: janusctl vault restore vault.db --accept-older,"
    " janusctl people"
)
_LOST = f"see that its disk is there; if it is gone for good, {_AS_IT_IS}"


class Anchor(Protocol):
    """A memory for one mark outside the vault's file: a file elsewhere."""

    @property
    def name(self) -> str:
        """Where it is, for messages."""
        ...

    @property
    def counter(self) -> Counter | None:
        """What vouches that the mark itself is the newest, if anything does."""
        ...

    def read(self) -> bytes | None:
        """What was written last, None where nothing ever was. Raises AnchorLost, InstallerError."""
        ...

    def write(self, mark: bytes) -> None:
        """Keep the mark, durably: on return, or after a crash before it, either this one or the one before.

        Raises InstallerError.
        """
        ...


@dataclass(frozen=True, slots=True)
class FileAnchor:
    """An anchor in a file. Best on another disk or partition than the vault."""

    path: Path
    counter: Counter | None = None

    @property
    def name(self) -> str:
        """Which file, and what vouches for it."""
        return f"file {self.path}" + (f", counted by {self.counter.name}" if self.counter else "")

    def read(self) -> bytes | None:
        """The file's bytes, if they are ours alone."""
        if not os.path.lexists(self.path):
            return None
        check_private(self.path, AnchorLost)
        try:
            return self.path.read_bytes()[: COUNTED_BYTES + 1]
        except OSError as e:
            raise InstallerError(f"cannot read the anchor {self.path}: {e.strerror}", _LOST) from e

    def write(self, mark: bytes) -> None:
        """Replace the file in one step."""
        make_private_folder(self.path.parent, AnchorLost)
        try:
            write_private(self.path, mark)
        except OSError as e:
            raise InstallerError(
                f"the anchor {self.path} cannot be written: {e.strerror}",
                "see whether its disk is full, read-only or failing",
            ) from e


@dataclass(frozen=True, slots=True)
class State:
    """Which of its states a vault is in."""

    generation: int
    fingerprint: bytes
    """SHA-256 over all rows."""
    previous: bytes
    """The fingerprint one generation before; zeros in a new vault."""
    floor: int
    """The generation of the latest change that took something away for good."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What an anchor remembers of a state."""

    vault_id: bytes
    generation: int
    floor: int
    fingerprint: bytes
    count: int | None
    """What the counter stands at once this mark is the newest; None where none was asked."""


def keep(anchor: Anchor, kek: Secret, device_id: bytes, vault_id: bytes, state: State) -> None:
    """Mark the state in the anchor, whatever it holds, and then move its counter on.

    Raises InstallerError, AnchorLost.
    """
    counter = anchor.counter
    count = None if counter is None else counter.read() + 1
    anchor.write(encode_mark(kek, device_id, vault_id, state, count))
    if counter is not None:
        counter.increment()


def read_mark(anchor: Anchor, keks: tuple[Secret, ...], device_id: bytes) -> Mark | None:
    """What the anchor knows, if its counter vouches for it; makes good what a crash left between the two.

    Raises AnchorLost, InstallerError, and VaultRolledBack where the counter has gone on since.
    """
    raw = anchor.read()
    if raw is None:
        return None
    mark = decode_mark(keks, device_id, raw, anchor.name)
    _check_count(mark, anchor)
    return mark


def begin_count(anchor: Anchor, keks: tuple[Secret, ...], device_id: bytes) -> bool:
    """Let the counter vouch for a mark of before there was one, from now on; whether it did not yet.

    Only at the installer's word: who can put back a card could put back such a mark. Raises what `keep` does.
    """
    raw = anchor.read()
    mark = None if raw is None else decode_mark(keks, device_id, raw, anchor.name)
    if anchor.counter is None or mark is None or mark.count is not None:
        return False
    state = State(mark.generation, mark.fingerprint, b"", mark.floor)
    keep(anchor, keks[0], device_id, mark.vault_id, state)
    return True


def encode_mark(
    kek: Secret, device_id: bytes, vault_id: bytes, state: State, count: int | None = None
) -> bytes:
    """The mark of that state."""
    magic = _MAGIC if count is None else _MAGIC_COUNTED
    body = _BODY.pack(magic, vault_id, state.generation, state.floor, state.fingerprint)
    if count is not None:
        body += _COUNT.pack(count)
    return body + _mac(kek, device_id, body)


def decode_mark(keks: tuple[Secret, ...], device_id: bytes, mark: bytes, where: str) -> Mark:
    """The mark, if one of these keys made it. Raises AnchorLost."""
    sizes = {_MAGIC: MARK_BYTES, _MAGIC_COUNTED: COUNTED_BYTES}
    body, tag = mark[:-_MAC_BYTES], mark[-_MAC_BYTES:]
    if len(mark) != sizes.get(mark[:4]) or not any(
        hmac.compare_digest(tag, _mac(kek, device_id, body)) for kek in keks
    ):
        raise AnchorLost(f"the anchor in {where} is not one this vault's key made", _LOST)
    _, vault_id, generation, floor, fingerprint = _BODY.unpack_from(body)
    count = _COUNT.unpack_from(body, _BODY.size)[0] if len(mark) == COUNTED_BYTES else None
    return Mark(vault_id, generation, floor, fingerprint, count)


def check(mark: Mark | None, vault_id: bytes, state: State, where: str) -> bool:
    """Whether the state is the marked one; false where it is the one change after it that a crash leaves.

    Raises VaultRolledBack for an older copy or another history, AnchorLost where the anchor is missing or
    itself the older one. A vault without people and changes needs no mark: it lets nobody in.
    """
    if mark is None:
        if state.generation == 0:
            return False
        raise AnchorLost(f"the vault has seen {state.generation} changes, but {where} holds no anchor", _LOST)
    if mark.vault_id != vault_id:
        raise VaultRolledBack(f"this is another vault than the one anchored in {where}", _PUT_BACK)
    if (state.generation, state.fingerprint) == (mark.generation, mark.fingerprint):
        return True
    if (state.generation, state.previous) == (mark.generation + 1, mark.fingerprint):
        return False
    if state.generation > mark.generation + 1:
        raise AnchorLost(
            f"the anchor in {where} is older (change {mark.generation}) than the vault"
            f" (change {state.generation})",
            _LOST,
        )
    raise VaultRolledBack(
        f"the vault is an older copy: change {state.generation},"
        f" while {where} knows change {mark.generation}",
        _PUT_BACK,
    )


def what_it_stops(anchor: FileAnchor, vault: Path) -> tuple[bool, str]:
    """Whether it tells an older vault that is put back with its anchor, in words for `janusctl doctor`."""
    if anchor.counter is not None:
        return True, f"{anchor.name}: tells an older vault, also one put back with its anchor"
    try:
        is_apart = anchor.path.parent.stat().st_dev != vault.parent.stat().st_dev
    except OSError:
        is_apart = False
    if is_apart:
        return True, f"{anchor.name}, on another disk: tells an older vault unless both disks are put back"
    return False, f"{anchor.name}, on the vault's own disk: tells an older vault, not an older disk"


def _check_count(mark: Mark, anchor: Anchor) -> None:
    """Raise unless the mark is the newest that the counter knows of, or the one it was about to count."""
    counter, where = anchor.counter, anchor.name
    if counter is None:
        if mark.count is not None:
            raise AnchorLost(
                f"the anchor in {where} is counted, and janus.toml names no counter",
                f"set vault.counter again; if its TPM is gone for good, {_AS_IT_IS}",
            )
        return
    if mark.count is None:
        raise AnchorLost(
            f"the anchor in {where} was made before there was a counter",
            "if you turned vault.counter on just now: sudo janusctl setup --step keys; else somebody put an"
            " older card back",
        )
    counted = counter.read()
    if mark.count == counted + 1:
        counter.increment()  # killed, or cut off, just before that
    elif mark.count < counted:
        raise VaultRolledBack(
            f"vault and anchor are older copies, put back together: {counter.name} stands at {counted},"
            f" they are from {mark.count}",
            "find out who put them there; somebody forgotten since may be in them. Where nobody did, and"
            " another program moved the counter, take one of the copies and look who is in it: janusctl vault"
            " show, janusctl vault restore NAME --accept-older, janusctl people",
        )
    elif mark.count > counted:
        raise AnchorLost(
            f"{counter.name} stands at {counted}, and {where} knows of {mark.count}: that is another TPM",
            f"give the old one back; if it is gone for good, {_AS_IT_IS}",
        )


_PUT_BACK = (
    "find out who put it there; somebody forgotten since may be in it. Restore a backup that is new enough:"
    " janusctl vault restore"
)


def _mac(kek: Secret, device_id: bytes, body: bytes) -> bytes:
    return hmac.digest(sealed.derive(kek, device_id, "janusd vault anchor v1"), body, hashlib.sha256)
