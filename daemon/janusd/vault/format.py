"""The vault's bytes: how one person's record is sealed and opened. No file, clock or database here.

A sealed box, the same for records, wrapped keys, the canary and the roster:

    byte 0        format version, 1
    byte 1        algorithm: 1 AES-256-GCM-SIV (RFC 8452), 2 AES-256-GCM (SP 800-38D)
    bytes 2-13    nonce, random
    bytes 14-     ciphertext, then the 16-byte tag

Its associated data is bytes 0-1, then a label and fields, each after its length (u32 big-endian):

    record        "janusd turned record"  device person template model generation    under the data key
    crops         "janusd crops"          device person template model generation    under the data key
    wrapped key   "janusd key"            device person                              under the KEK

    (A vault of version 1 kept embeddings as the encoder gave them, under the label "janusd record".)

A record's plaintext:

    bytes 0-3     length of the header, u32 little-endian
    header        msgpack array: name, hours, enrolled_at, n, D, g, terms, c
    rest          (n + g, D) float32 little-endian: embeddings, then guards, row by row, rotated by the
                  vault's own rotation
    terms         msgpack array: role, suspended, from, until, second factor, code, whether two people,
                  duress, its code
    c             of how many samples the crops are kept, in a box beside the record (see `crops`)

    (Up to version 2 of the vault a header ended with D: no guards, and nobody had terms. Up to version 3 it
    ended with the terms, which up to version 4 ended with whether two people.)

Keys: KEK = HKDF-SHA256(source key, salt = device id, info = "janusd vault kek v1"); one random data key
a person, so that forgetting a person can destroy the one key that opens what is kept of them. A data key
seals one record and one box of crops, the KEK at most a few boxes a change: random 96-bit nonces stay far
below their 2^32 bound.

Trust boundary: every byte that comes in may be an attacker's until its tag was checked; what follows the
tag was written by a holder of the key. A record moved to another device, person, template, model or
generation does not open. Leaving out or restoring whole rows is for `store` to notice.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

import msgspec
import numpy as np
from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import aead
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from janusd.core.terms import ALWAYS, Duress, Role, Second, Terms, parse_moment
from janusd.errors import InstallerError, VaultDamaged
from janusd.hardening import Secret, keep_in_ram, wipe

FORMAT_VERSION = 1
KEY_BYTES = 32
ID_BYTES = 16
DIGEST_BYTES = 32

_NONCE_BYTES = 12
_HEAD_BYTES = 2 + _NONCE_BYTES
_TAG_BYTES = 16
_LENGTH = struct.Struct("<I")
_RESTORE = "somebody or a failing card changed it: restore a backup, or forget and enrol anew"


class Algorithm(IntEnum):
    """How a box is sealed. The value is stored."""

    AES_256_GCM_SIV = 1
    """Survives a repeated nonce: it then only shows that two equal plaintexts are equal."""
    AES_256_GCM = 2
    """For cryptography before 42 or an OpenSSL without SIV."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: Secret, associated_data: bytes | None) -> bytes: ...

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record belongs; it opens nowhere else."""

    device_id: bytes
    person_id: bytes
    template_id: bytes
    model_digest: bytes
    """What made the embeddings: encoder and detector, see `manifest.bound_to`."""
    generation: int
    """The vault's generation when the record was written."""
    is_turned: bool = True
    """Whether the embeddings lie rotated (see `transform`); not so in a vault of version 1."""

    def binding(self, label: str = "") -> bytes:
        """The place as associated data: of the record, or of what has another label."""
        return binding(
            label or ("janusd turned record" if self.is_turned else "janusd record"),
            self.device_id,
            self.person_id,
            self.template_id,
            self.model_digest,
            struct.pack(">Q", self.generation),
        )


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of one person."""

    name: str
    hours: str
    """Schedule text; empty means always."""
    enrolled_at: str
    """ISO 8601, UTC."""
    embeddings: NDArray[np.float32]
    """(n, D) float32, rows of about unit length."""
    terms: Terms = ALWAYS
    guards: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """(g, D) float32, rows of about unit length: tries that were let in as this person, and were not."""
    crops: int = 0
    """Of how many of the samples the crops are kept too; see `crops`."""


class Conditions(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Terms as they are stored."""

    role: str = "resident"
    is_suspended: bool = False
    valid_from: str = ""
    """ISO 8601, UTC; empty for none."""
    valid_until: str = ""
    second: str = "none"
    code: str = ""
    needs_two: bool = False
    duress: str = "none"
    duress_code: str = ""

    @classmethod
    def of(cls, terms: Terms) -> Conditions:
        """Those terms."""
        return cls(
            terms.role.value,
            terms.is_suspended,
            _iso(terms.valid_from),
            _iso(terms.valid_until),
            terms.second.value,
            terms.code,
            terms.needs_two,
            terms.duress.value,
            terms.duress_code,
        )

    @property
    def terms(self) -> Terms:
        """What they stand for. Raises ValueError."""
        return Terms(
            Role(self.role),
            self.is_suspended,
            parse_moment(self.valid_from),
            parse_moment(self.valid_until),
            Second(self.second),
            self.code,
            self.needs_two,
            Duress(self.duress),
            self.duress_code,
        ).check()


class _Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    name: str
    hours: str
    enrolled_at: str
    samples: int
    dimensions: int
    guards: int = 0
    conditions: Conditions = Conditions()
    crops: int = 0


def preferred_algorithm() -> Algorithm:
    """The best algorithm this machine's library has."""
    try:
        _aead(Algorithm.AES_256_GCM_SIV, bytes(KEY_BYTES))
    except InstallerError:
        return Algorithm.AES_256_GCM
    return Algorithm.AES_256_GCM_SIV


def binding(label: str, *fields: bytes) -> bytes:
    """Label and fields as one byte string that no other label and fields give."""
    parts = (label.encode(), *fields)
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def derive(source_key: Secret, salt: bytes, info: str, length: int = KEY_BYTES) -> bytearray:
    """HKDF-SHA256 (RFC 5869)."""
    hkdf, derived = HKDF(algorithm=SHA256(), length=length, salt=salt, info=info.encode()), bytearray(length)
    if hasattr(hkdf, "derive_into"):
        hkdf.derive_into(source_key, derived)
    else:  # an older library: a copy stays with the allocator
        derived[:] = hkdf.derive(source_key)
    return derived


def kek(source_key: Secret, device_id: bytes) -> bytearray:
    """The key-encryption key of this device's vault, locked into memory; the source key is wiped."""
    derived = derive(source_key, device_id, "janusd vault kek v1")
    wipe(source_key)
    keep_in_ram(derived)
    return derived


def seal(key: Secret, plaintext: Secret, bound: bytes, algorithm: Algorithm | None = None) -> bytes:
    """A box that only `key` opens, and only where `bound` is the same."""
    chosen = preferred_algorithm() if algorithm is None else algorithm
    head = bytes((FORMAT_VERSION, chosen))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return head + nonce + _aead(chosen, key).encrypt(nonce, plaintext, head + bound)


def unseal(key: Secret, box: bytes, bound: bytes) -> bytes:
    """What `seal` put into the box.

    Raises VaultDamaged for any other key, binding or bit, and for a format this version does not know;
    InstallerError where the library lacks the box's algorithm.
    """
    algorithm = _checked(box)
    nonce, ciphertext = box[2:_HEAD_BYTES], box[_HEAD_BYTES:]
    try:
        return _aead(algorithm, key).decrypt(nonce, ciphertext, box[:2] + bound)
    except (InvalidTag, ValueError) as e:  # some releases call a ciphertext shorter than its tag a ValueError
        raise VaultDamaged("a sealed box is not the one that was written here", _RESTORE) from e


def unseal_key(key: Secret, box: bytes, bound: bytes) -> bytearray:
    """A key that `seal` put into the box, where it can be wiped. Raises what `unseal` raises."""
    aead, opened = _aead(_checked(box), key), bytearray(max(len(box) - _HEAD_BYTES - _TAG_BYTES, 0))
    if not hasattr(aead, "decrypt_into"):  # an older library: a copy stays with the allocator
        return bytearray(unseal(key, box, bound))
    try:
        aead.decrypt_into(box[2:_HEAD_BYTES], box[_HEAD_BYTES:], box[:2] + bound, opened)
    except (InvalidTag, ValueError) as e:
        raise VaultDamaged("a sealed box is not the one that was written here", _RESTORE) from e
    return opened


def _checked(box: bytes) -> Algorithm:
    """How the box is sealed, where it is whole enough to say."""
    if len(box) < _HEAD_BYTES:
        raise VaultDamaged(f"a sealed box is cut to {len(box)} bytes", _RESTORE)
    if box[0] != FORMAT_VERSION:
        raise VaultDamaged(
            f"a sealed box says format {box[0]}, this janusd reads {FORMAT_VERSION}",
            "if a newer janusd wrote it, install that one again; else restore a backup",
        )
    if box[1] not in set(Algorithm):
        raise VaultDamaged(f"a sealed box names an unknown algorithm, {box[1]}", _RESTORE)
    return Algorithm(box[1])


def wrap_key(kek: Secret, data_key: Secret, device_id: bytes, person_id: bytes) -> bytes:
    """A person's data key, sealed under the KEK."""
    return seal(kek, data_key, binding("janusd key", device_id, person_id))


def unwrap_key(kek: Secret, wrapped: bytes, device_id: bytes, person_id: bytes) -> bytearray:
    """A person's data key, for the caller to wipe. Raises VaultDamaged."""
    return unseal_key(kek, wrapped, binding("janusd key", device_id, person_id))


def seal_record(data_key: Secret, record: Record, place: Place, algorithm: Algorithm | None = None) -> bytes:
    """The record in a box that opens with that data key at that place alone."""
    return seal(data_key, encode_record(record), place.binding(), algorithm)


def open_record(data_key: Secret, box: bytes, place: Place) -> Record:
    """What `seal_record` put into the box. Raises VaultDamaged."""
    return decode_record(unseal(data_key, box, place.binding()))


def encode_record(record: Record) -> bytes:
    """The record's plaintext."""
    matrix = np.ascontiguousarray(record.embeddings, dtype="<f4")
    guards = np.ascontiguousarray(record.guards, dtype="<f4")
    samples, dimensions = matrix.shape
    header = msgspec.msgpack.encode(
        _Header(
            record.name,
            record.hours,
            record.enrolled_at,
            samples,
            dimensions,
            len(guards),
            Conditions.of(record.terms),
            record.crops,
        )
    )
    return _LENGTH.pack(len(header)) + header + matrix.tobytes() + guards.tobytes()


def decode_record(plaintext: bytes) -> Record:
    """The record of that plaintext. Raises VaultDamaged where it is none."""
    try:
        (length,) = _LENGTH.unpack_from(plaintext)
        body = plaintext[_LENGTH.size :]
        header = msgspec.msgpack.decode(body[:length], type=_Header)
        if min(header.samples, header.dimensions, header.guards, header.crops) < 0:
            raise ValueError("a negative shape")
        flat = np.frombuffer(body[length:], dtype="<f4")
        rows = flat.reshape(header.samples + header.guards, header.dimensions).astype(np.float32)
        terms = header.conditions.terms
    except (struct.error, msgspec.MsgspecError, ValueError) as e:
        raise VaultDamaged(f"a record does not read: {e}", "install the janusd that wrote it") from e
    matrix, guards = rows[: header.samples], rows[header.samples :]
    return Record(header.name, header.hours, header.enrolled_at, matrix, terms, guards, header.crops)


def _iso(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat()


def _aead(algorithm: Algorithm, key: Secret) -> _Aead:
    if algorithm is Algorithm.AES_256_GCM:
        return aead.AESGCM(key)
    try:
        return aead.AESGCMSIV(key)
    except (AttributeError, UnsupportedAlgorithm) as e:  # an old library; a library over an old OpenSSL
        raise InstallerError(
            "the vault is sealed with AES-256-GCM-SIV, which the installed cryptography library lacks",
            "install cryptography 42 or newer",
        ) from e
