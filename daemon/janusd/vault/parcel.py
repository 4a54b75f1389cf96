"""People on their way from one door to another: sealed, signed, and of use to one encoder alone.

    bytes 0-3     "JVP1"
    bytes 4-7     length of the header, u32 little-endian
    header        msgpack array: how, salt, key, model, signer
    box           `format.seal`ed msgpack array of people, bound to all bytes before it
    last 64       Ed25519 signature of all before, by the signer

    how 1         the box's key is scrypt(passphrase, salt, N = 2^16, r = 8, p = 2): 64 MiB, RFC 7914
    how 2         ... HKDF-SHA256(X25519(key, the other door's), salt = key || the other door's public key)
    how 3         ... Argon2id(passphrase, salt, t = 3, p = 4, m = 64 MiB), RFC 9106, section 4

How 1 is written where the library has no Argon2id (cryptography 44 over OpenSSL 3.2); both are read.

A door signs with a key of its own; the owner compares it once (`janusctl vault show`), or not at all: whoever
knows the passphrase made the parcel anyway. People are listed as the vault keeps them, but not rotated, and
without their guards: those are of other faces, and of this door.

Trust boundary: every byte is a stranger's until signature and box held, and names and embeddings are checked
like anybody's even then.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

import msgspec
import numpy as np
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from janusd.errors import EnrolmentRefused, InstallerError, VaultDamaged
from janusd.hardening import Secret, wipe
from janusd.vault import format as sealed
from janusd.vault.format import Record

LARGEST_BYTES = 8 * 1024 * 1024
SHORTEST_PASSPHRASE = 12

_MAGIC = b"JVP1"
_LENGTH = struct.Struct("<I")
_SIGNATURE_BYTES = 64
_SCRYPT_N, _SCRYPT_R, _SCRYPT_P = 2**16, 8, 2
_ARGON2_PASSES, _ARGON2_LANES, _ARGON2_KIB = 3, 4, 64 * 1024
_AGAIN = "export the people again at the other door"


class How(IntEnum):
    """What opens a parcel. The value is stored."""

    SCRYPT = 1
    DOOR = 2
    ARGON2ID = 3


class _Header(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    how: int
    salt: bytes
    key: bytes
    model: bytes
    signer: bytes


class _Person(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    name: str
    hours: str
    enrolled_at: str
    samples: int
    dimensions: int
    embeddings: bytes
    conditions: sealed.Conditions = sealed.Conditions()


@dataclass(frozen=True, slots=True)
class Identity:
    """A door's own two key pairs, the same as long as its door log."""

    signing: Ed25519PrivateKey
    receiving: X25519PrivateKey

    @classmethod
    def of(cls, secret: Secret, device_id: bytes) -> Identity:
        """Those that follow from a secret of this door, which is wiped."""
        both = sealed.derive(secret, device_id, "janusd door identity v1", 64)
        wipe(secret)
        signing, receiving = both[:32], both[32:]
        identity = cls(
            Ed25519PrivateKey.from_private_bytes(signing), X25519PrivateKey.from_private_bytes(receiving)
        )
        for key in (both, signing, receiving):
            wipe(key)
        return identity

    @property
    def signs_as(self) -> str:
        """The public key its parcels are signed with, hexadecimal."""
        return self.signing.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    @property
    def address(self) -> str:
        """The public key to which parcels for it are sealed, hexadecimal."""
        return self.receiving.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


@dataclass(frozen=True, slots=True)
class Opened:
    """What was in a parcel."""

    people: tuple[Record, ...]
    signed_by: str


def pack(
    people: tuple[Record, ...], model_digest: bytes, identity: Identity, *, passphrase: str = "", to: str = ""
) -> bytes:
    """A parcel that this passphrase opens, or the door with the address `to`. Raises EnrolmentRefused."""
    if to:
        ephemeral = X25519PrivateKey.generate()
        ours = ephemeral.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        theirs = _public("to", to)
        how, salt, key = How.DOOR, b"", ours
        secret = _agree(ephemeral, theirs, ours + theirs)
    else:
        if len(passphrase) < SHORTEST_PASSPHRASE:
            raise EnrolmentRefused(
                f"a passphrase of {len(passphrase)} characters can be guessed",
                f"give at least {SHORTEST_PASSPHRASE}, better five words drawn by dice",
            )
        how, salt, key = _preferred(), secrets.token_bytes(16), b""
        secret = _stretch(how, passphrase, salt)
    header = msgspec.msgpack.encode(_Header(how, salt, key, model_digest, bytes.fromhex(identity.signs_as)))
    head = _MAGIC + _LENGTH.pack(len(header)) + header
    plaintext = msgspec.msgpack.encode([_person(record) for record in people])
    body = head + sealed.seal(secret, plaintext, sealed.binding("janusd parcel", head))
    return body + identity.signing.sign(body)


def unpack(
    parcel: bytes, model_digest: bytes, identity: Identity, *, passphrase: str = "", signed_by: str = ""
) -> Opened:
    """The people in a parcel.

    Raises VaultDamaged for altered bytes or a wrong passphrase, EnrolmentRefused for another encoder's, or
    another signer than the one asked for, InstallerError where the library can't stretch the passphrase.
    """
    header, head, box = _split(parcel)
    body, signature = parcel[:-_SIGNATURE_BYTES], parcel[-_SIGNATURE_BYTES:]
    try:
        Ed25519PublicKey.from_public_bytes(header.signer).verify(signature, body)
    except (InvalidSignature, ValueError) as e:
        raise VaultDamaged("the parcel is not as its door signed it", _AGAIN) from e
    if signed_by and header.signer != _public("from", signed_by):
        raise EnrolmentRefused(
            f"the parcel was signed by the door {header.signer.hex()}, not by the one you named",
            "ask for that door's key (janusctl vault show), and where this parcel comes from",
        )
    if header.model != model_digest:
        raise EnrolmentRefused(
            "the parcel's people were enrolled with another encoder or detector than this door's",
            "install the same model at both doors, or enrol them here",
        )
    try:
        how = How(header.how)
        if how is How.DOOR:
            address = bytes.fromhex(identity.address)
            secret = _agree(identity.receiving, header.key, header.key + address)
        else:
            secret = _stretch(how, passphrase, header.salt)
        plaintext = sealed.unseal(secret, box, sealed.binding("janusd parcel", head))
        people = msgspec.msgpack.decode(plaintext, type=list[_Person])
        return Opened(tuple(_record(person) for person in people), header.signer.hex())
    except (VaultDamaged, ValueError, msgspec.MsgspecError) as e:
        if isinstance(e, EnrolmentRefused):
            raise
        raise VaultDamaged(
            "the parcel does not open: the passphrase is another, it is for another door, or it was altered",
            "type the passphrase again; see for which door it was exported",
        ) from e


def _split(parcel: bytes) -> tuple[_Header, bytes, bytes]:
    try:
        if parcel[:4] != _MAGIC or not 8 + _SIGNATURE_BYTES < len(parcel) <= LARGEST_BYTES:
            raise ValueError("no parcel")
        (length,) = _LENGTH.unpack_from(parcel, 4)
        head = parcel[: 8 + length]
        header = msgspec.msgpack.decode(head[8:], type=_Header)
    except (ValueError, struct.error, msgspec.MsgspecError) as e:
        raise VaultDamaged("this is not a parcel of people that a janusd exported", _AGAIN) from e
    return header, head, parcel[len(head) : -_SIGNATURE_BYTES]


def _preferred() -> How:
    """How a passphrase is stretched here."""
    try:
        _argon2id(bytes(16))
    except InstallerError:
        return How.SCRYPT
    return How.ARGON2ID


def _stretch(how: How, passphrase: str, salt: bytes) -> Secret:
    if len(salt) != 16:
        raise ValueError("a salt of another size")
    if how is How.ARGON2ID:
        return _argon2id(salt).derive(passphrase.encode())
    kdf = Scrypt(salt=salt, length=sealed.KEY_BYTES, n=_SCRYPT_N, r=_SCRYPT_R, p=_SCRYPT_P)
    return kdf.derive(passphrase.encode())


class _Stretcher(Protocol):
    def derive(self, key_material: bytes) -> bytes: ...


def _argon2id(salt: bytes) -> _Stretcher:
    try:
        from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415  # not in older ones

        return Argon2id(
            salt=salt,
            length=sealed.KEY_BYTES,
            iterations=_ARGON2_PASSES,
            lanes=_ARGON2_LANES,
            memory_cost=_ARGON2_KIB,
        )
    except (ImportError, UnsupportedAlgorithm) as e:  # an old library; a library over an old OpenSSL
        raise InstallerError(
            "the parcel is sealed with Argon2id, which the installed cryptography library lacks",
            "install cryptography 44 or newer, or export the people at a door that lacks it too",
        ) from e


def _agree(private: X25519PrivateKey, public: bytes, salt: bytes) -> Secret:
    shared = private.exchange(
        X25519PublicKey.from_public_bytes(public)
    )  # ValueError for a point of small order
    return sealed.derive(shared, salt, "janusd parcel x25519 v1")


def _public(what: str, text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 32:
        raise EnrolmentRefused(
            f"--{what} {text[:80]!r} is no door's key", "give its 64 digits from janusctl vault show"
        )
    return raw


def _person(record: Record) -> _Person:
    matrix = np.ascontiguousarray(record.embeddings, dtype="<f4")
    samples, dimensions = matrix.shape
    return _Person(
        record.name,
        record.hours,
        record.enrolled_at,
        samples,
        dimensions,
        matrix.tobytes(),
        sealed.Conditions.of(record.terms),
    )


def _record(person: _Person) -> Record:
    flat = np.frombuffer(person.embeddings, dtype="<f4")
    if min(person.samples, person.dimensions) < 1:
        raise ValueError("a shape that cannot be")
    matrix = flat.reshape(person.samples, person.dimensions).astype(np.float32)
    return Record(person.name, person.hours, person.enrolled_at, matrix, person.conditions.terms)
