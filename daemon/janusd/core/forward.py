"""Tags under a key that only goes forward: who steals today's key can't make yesterday's tags.

    next key     HKDF-Expand-SHA256(key, "janusd log next"), one step an entry (RFC 5869 2.3, L = 32)
    tag          HMAC-SHA256(key of that number, "janusd log entry", number, time, every text), each after its
                 length

A checkpoint is the key of the entry after `number`, carried away from the door: with it every later entry can
be checked anywhere, with the standard library alone. docs/adr/0009 says what that stops.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass

KEY_BYTES = 32
_PREFIX = "janus-log-1:"
_ID_BYTES = 16


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it is exported: all that its tag covers, and the tag."""

    number: int
    at_us: int
    """Microseconds since 1970."""
    texts: tuple[str, ...]
    """at, kind, reason, name, note, person id."""
    tag: bytes
    """Empty for entries older than their journal's tags."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What an owner carries away. Secret: its holder can make tags after `number`, none before."""

    journal_id: bytes
    number: int
    key: bytes

    def __str__(self) -> str:
        raw = self.journal_id + struct.pack(">q", self.number) + self.key
        return _PREFIX + base64.urlsafe_b64encode(raw + hashlib.sha256(raw).digest()[:4]).decode()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read it back. Raises ValueError for anything else."""
        try:
            raw = base64.b64decode(text.strip().removeprefix(_PREFIX), altchars=b"-_", validate=True)
        except binascii.Error as e:
            raise ValueError("this is no checkpoint of a door log") from e
        body, check = raw[:-4], raw[-4:]
        is_whole = len(body) == _ID_BYTES + 8 + KEY_BYTES and hashlib.sha256(body).digest()[:4] == check
        if not text.strip().startswith(_PREFIX) or not is_whole:
            raise ValueError("this is no checkpoint of a door log, or not all of it")
        (number,) = struct.unpack(">q", body[_ID_BYTES : _ID_BYTES + 8])
        return cls(body[:_ID_BYTES], number, body[_ID_BYTES + 8 :])


def next_key(key: bytes) -> bytes:
    """The key of the entry after."""
    return hmac.digest(key, b"janusd log next\x01", hashlib.sha256)


def tag(key: bytes, number: int, at_us: int, texts: Iterable[str]) -> bytes:
    """The tag of an entry."""
    parts = (b"janusd log entry", struct.pack(">qq", number, at_us), *(text.encode() for text in texts))
    told = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hmac.digest(key, told, hashlib.sha256)


def first_wrong(checkpoint: Checkpoint, lines: Iterable[Line]) -> tuple[int, str]:
    """Follow the entries after a checkpoint: how many are good, and what is wrong with the next, if anything.

    Lines up to the checkpoint are passed over. The first line after it may have any number: older ones may
    have been dropped by retention; from then on none may be missing.
    """
    key, at, good, last = checkpoint.key, checkpoint.number + 1, 0, 0
    for line in lines:
        if last and line.number != last + 1:
            return good, f"entry {last + 1} is missing"
        last = line.number
        if line.number < at:
            continue
        while at < line.number:
            key, at = next_key(key), at + 1
        if not hmac.compare_digest(tag(key, line.number, line.at_us, line.texts), line.tag):
            return good, f"entry {line.number} was altered, or written by somebody else"
        good += 1
    if last < checkpoint.number:
        return good, f"the log ends at entry {last}, but it had {checkpoint.number}"
    return good, ""
