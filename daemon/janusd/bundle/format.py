"""A signed set of model files, as bytes.

Layout of NAME.janus:

    0      16  magic
    16     32  who signed: SHA-256 of the raw Ed25519 public key; zeros where nobody did
    48     64  Ed25519 signature of CONTEXT followed by the index
    112     4  length of the index in bytes, big-endian
    116        index: {"files": [{"name", "sha256", "size"}, ...], "interface": 1} in JSON
    ...        the files in the order of the index, nothing between them and nothing behind

The part before the files, alone, is the file `model.sig` of a model directory: one signature serves both.

Trust boundary: every byte is hostile. Of what a signature covers, nothing is parsed before the signature held
(`check.py`); lengths are bounded before anything is read. The same files and key give the same bundle, byte
for byte: the index is canonical JSON and Ed25519 has no randomness (RFC 8032).
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from janusd.core.manifest import INTERFACE
from janusd.errors import ModelError

ENDING: Final = ".janus"
SIGNATURE_FILE: Final = "model.sig"
MANIFEST_FILE: Final = "manifest.json"

MAX_BYTES: Final = 64 << 20
"""Of a whole bundle: a door has little memory, and an encoder, its float twin and a report are 20 MB."""
MAX_INDEX_BYTES: Final = 64 << 10
KEY_ID_BYTES: Final = 32

_MAGIC: Final = b"janus model 1\r\n\0"  # \r\n: a transfer that changes line ends shows at once
_CONTEXT: Final = b"janusd signed model index v1\0"  # a signature made for anything else does not fit here
_HEAD: Final = struct.Struct(">16s32s64sI")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOBODY: Final = bytes(KEY_ID_BYTES)

Sign = Callable[[bytes], bytes]
"""Gives the 64-byte Ed25519 signature of a message."""


class _Interface(msgspec.Struct, frozen=True):
    """What every index says, of whatever time: unknown fields are left for the strict reading."""

    interface: int


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a bundle."""

    name: str
    sha256: str
    size: int


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was signed: the files, and the interface between model and daemon they are made for."""

    files: tuple[Entry, ...]
    interface: int


@dataclass(frozen=True, slots=True)
class Head:
    """A bundle's first part, cut apart but not believed."""

    key_id: bytes
    signature: bytes
    index: bytes
    length: int
    """Bytes the head takes up; the files follow."""

    @property
    def message(self) -> bytes:
        """What the signature is over."""
        return _CONTEXT + self.index

    @property
    def is_signed(self) -> bool:
        """Whether anybody claims to have signed."""
        return self.key_id != _NOBODY


def key_id(public: bytes) -> bytes:
    """The name of a raw 32-byte public key in a bundle."""
    return hashlib.sha256(public).digest()


def make_head(files: Mapping[str, bytes], signer: bytes, sign: Sign) -> bytes:
    """The signed first part for these files; `signer` is the raw public key. Raises ValueError for a name."""
    for name in files:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name a bundle may hold")
    entries = [
        {"name": name, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
        for name, content in sorted(files.items())
    ]
    index = json.dumps(
        {"files": entries, "interface": INTERFACE}, sort_keys=True, separators=(",", ":")
    ).encode()
    return pack_head(key_id(signer), sign(_CONTEXT + index), index)


def pack_head(signer_id: bytes, signature: bytes, index: bytes) -> bytes:
    """Join a head's parts."""
    return _HEAD.pack(_MAGIC, signer_id, signature, len(index)) + index


def make_bundle(files: Mapping[str, bytes], signer: bytes, sign: Sign) -> bytes:
    """The whole bundle. Raises ValueError when it is larger than a door reads."""
    bundle = make_head(files, signer, sign) + b"".join(content for _, content in sorted(files.items()))
    if len(bundle) > MAX_BYTES:
        raise ValueError(f"{len(bundle):,} bytes are more than the {MAX_BYTES:,} a door reads")
    return bundle


def cut_head(raw: bytes, name: str) -> Head:
    """Cut the first part off. Raises ModelError, which calls the file `name`."""
    if len(raw) < _HEAD.size or raw[: len(_MAGIC)] != _MAGIC:
        raise ModelError(f"{name}: is not a janusd model bundle", "give the .janus file of a release")
    _, signer, signature, length = _HEAD.unpack_from(raw)
    index = raw[_HEAD.size : _HEAD.size + length]
    if length > MAX_INDEX_BYTES or len(index) != length:
        raise ModelError(f"{name}: is cut off or damaged: its index is not whole", "fetch it again")
    return Head(signer, signature, index, _HEAD.size + length)


def read_index(head: Head, name: str) -> Index:
    """Read an index whose signature held. Raises ModelError for what this version does not understand."""
    try:
        interface = msgspec.json.decode(head.index, type=_Interface).interface
        if interface != INTERFACE:
            raise ModelError(
                f"{name}: is made for interface {interface} between model and daemon, and this janusd "
                f"speaks {INTERFACE}",
                "update janusd" if interface > INTERFACE else "fetch a bundle of this janusd's time",
            )
        index = msgspec.json.decode(head.index, type=Index)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{name}: its index is not one this janusd reads: {error}", "ask whoever signed it"
        ) from error
    names = [entry.name for entry in index.files]
    for file in names:
        if not _NAME.fullmatch(file):
            raise ModelError(
                f"{name}: names the file {file!r}, which would lie outside its folder",
                "do not use it, and tell whoever signed it",
            )
    if len(set(names)) != len(names):
        raise ModelError(f"{name}: names a file twice", "ask whoever signed it for another")
    return index


def cut_files(raw: bytes, head: Head, index: Index, name: str) -> Iterator[tuple[Entry, bytes]]:
    """Each file's bytes, not yet hashed. Raises ModelError when there are more or fewer bytes than signed."""
    if head.length + sum(entry.size for entry in index.files) != len(raw) or any(
        entry.size < 0 for entry in index.files
    ):
        raise ModelError(f"{name}: is cut off, or has something behind its end", "fetch it again")
    start = head.length
    for entry in index.files:
        yield entry, raw[start : start + entry.size]
        start += entry.size
