"""The door log's two keys, which follow from the key source's, and what is computed with them."""

from __future__ import annotations

import hashlib
import hmac
import struct

import msgspec

from janusd.errors import JournalBroken, VaultDamaged
from janusd.hardening import Secret, keep_in_ram, wipe
from janusd.journal.tables import REMEDY
from janusd.vault import format as sealed


class Body(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What of an entry is sealed."""

    at: str
    kind: str
    reason: str
    name: str
    note: str
    person_id: str


class Keys:
    """The journal's two keys, and what is computed with them."""

    def __init__(self, source_key: Secret, journal_id: bytes) -> None:
        keys = sealed.derive(source_key, journal_id, "janusd journal v1", 2 * sealed.KEY_BYTES)
        self._chain, self._seal = keys[: sealed.KEY_BYTES], keys[sealed.KEY_BYTES :]
        for key in (self._chain, self._seal):
            keep_in_ram(key)
        wipe(keys)
        self._journal_id = journal_id

    def first_chain(self) -> bytes:
        """What stands before entry 1."""
        return self._hmac("first", self._journal_id)

    def chain(self, before: bytes, number: int, at_us: int, box: bytes, tag: bytes = b"") -> bytes:
        """The chain of an entry; those of version 1 had no tag."""
        tags = (tag,) if tag else ()
        return self._hmac("entry", before, struct.pack(">qq", number, at_us), box, *tags)

    def mark(self, last: int, chain: bytes) -> bytes:
        """The mark of a journal that ends with that entry."""
        return self._hmac("mark", struct.pack(">q", last), chain)

    def seal(self, body: Body, number: int, at_us: int) -> bytes:
        """The body, sealed for that number and time."""
        return sealed.seal(self._seal, msgspec.msgpack.encode(body), self._bound(number, at_us))

    def open(self, box: bytes, number: int, at_us: int) -> Body:
        """What `seal` was given. Raises JournalBroken."""
        try:
            return msgspec.msgpack.decode(
                sealed.unseal(self._seal, box, self._bound(number, at_us)), type=Body
            )
        except (VaultDamaged, msgspec.MsgspecError) as e:
            raise JournalBroken(f"entry {number} of the door log does not open", REMEDY) from e

    def seal_forward(self, key: bytes, last: int, base: int, base_chain: bytes) -> bytes:
        """The next tag's key, sealed for a journal that begins and ends there."""
        return sealed.seal(self._seal, key, self._forward_bound(last, base, base_chain))

    def open_forward(self, box: bytes, last: int, base: int, base_chain: bytes) -> bytes:
        """What `seal_forward` was given. Raises JournalBroken."""
        try:
            return sealed.unseal(self._seal, box, self._forward_bound(last, base, base_chain))
        except VaultDamaged as e:
            raise JournalBroken("the door log's beginning or its forward key was altered", REMEDY) from e

    def _forward_bound(self, last: int, base: int, base_chain: bytes) -> bytes:
        return sealed.binding("janusd forward", self._journal_id, struct.pack(">qq", last, base), base_chain)

    def _hmac(self, label: str, *fields: bytes) -> bytes:
        return hmac.digest(self._chain, sealed.binding(label, *fields), hashlib.sha256)

    def _bound(self, number: int, at_us: int) -> bytes:
        return sealed.binding("janusd entry", self._journal_id, struct.pack(">qq", number, at_us))


def texts(body: Body) -> tuple[str, ...]:
    """All that an entry's tag covers, in order."""
    return (body.at, body.kind, body.reason, body.name, body.note, body.person_id)
