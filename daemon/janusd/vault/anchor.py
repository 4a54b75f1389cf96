"""The newest state of a vault, remembered outside its file, so that an older copy put back is noticed.

A mark, 100 bytes:

    bytes 0-3     "JVA1"
    bytes 4-19    the vault's id
    bytes 20-27   generation, u64 big-endian
    bytes 28-35   floor: no copy from before that generation may be put back, since somebody was forgotten
    bytes 36-67   SHA-256 over the vault's rows
    bytes 68-99   HMAC-SHA256 over all before; key HKDF-SHA256(KEK, device id, "janusd vault anchor v1")

The vault is changed first and marked second, so a crash in between leaves it exactly one change ahead of its
mark; each state names the one before it, and only that successor of the marked state is believed.

Trust boundary: whoever has the card may read, remove and put back marks, but can't make one. A file is as
safe as the place it is kept in: on the same card, vault and mark can be put back *together*, unnoticed. Only
memory that can't be put back ends that (a TPM's NV index with a counter); it fulfils `Anchor` too.
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
from janusd.vault import format as sealed
from janusd.vault.private import check_private, make_private_folder, write_private

_MAGIC = b"JVA1"
_BODY = struct.Struct(">4s16sQQ32s")
MARK_BYTES = _BODY.size + 32
_LOST = (
    "see that its disk is there; if it is gone for good, look through the people in the vault and take it as"
    " it is: janusctl vault restore vault.db --accept-older"
)


class Anchor(Protocol):
    """A memory for `MARK_BYTES` bytes outside the vault's file: a file elsewhere, a TPM's NV index."""

    @property
    def name(self) -> str:
        """Where it is, for messages."""
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

    @property
    def name(self) -> str:
        """Which file."""
        return f"file {self.path}"

    def read(self) -> bytes | None:
        """The file's bytes, if they are ours alone."""
        if not os.path.lexists(self.path):
            return None
        check_private(self.path, AnchorLost)
        try:
            return self.path.read_bytes()[: MARK_BYTES + 1]
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


def encode_mark(kek: Secret, device_id: bytes, vault_id: bytes, state: State) -> bytes:
    """The mark of that state."""
    body = _BODY.pack(_MAGIC, vault_id, state.generation, state.floor, state.fingerprint)
    return body + _mac(kek, device_id, body)


def decode_mark(keks: tuple[Secret, ...], device_id: bytes, mark: bytes, where: str) -> Mark:
    """The mark, if one of these keys made it. Raises AnchorLost."""
    body, tag = mark[: _BODY.size], mark[_BODY.size :]
    if len(mark) != MARK_BYTES or not any(
        hmac.compare_digest(tag, _mac(kek, device_id, body)) for kek in keks
    ):
        raise AnchorLost(f"the anchor in {where} is not one this vault's key made", _LOST)
    _, vault_id, generation, floor, fingerprint = _BODY.unpack(body)
    return Mark(vault_id, generation, floor, fingerprint)


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


_PUT_BACK = (
    "find out who put it there; somebody forgotten since may be in it. Restore a backup that is new enough:"
    " janusctl vault restore"
)


def _mac(kek: Secret, device_id: bytes, body: bytes) -> bytes:
    return hmac.digest(sealed.derive(kek, device_id, "janusd vault anchor v1"), body, hashlib.sha256)
