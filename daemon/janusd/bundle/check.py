"""From a file or folder of unknown origin to model files whose signature held.

The steps, and why each is there:

1. Read once, bounded. What is checked below are these bytes in memory, and the same bytes go to the runtime:
   a file exchanged afterwards changes nothing.
2. The signature names a key this device trusts, and fits the index. Before that nothing signed is parsed.
3. The index is for this interface between model and daemon, and its names stay inside their folder.
4. Every file has the size and SHA-256 that were signed; nothing stands behind the last one.
5. The manifest is one this version reads, names an encoder that is there, and its calibration can carry a
   promise: an encoder without measured impostor scores gives no threshold.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from janusd.bundle import format as layout
from janusd.bundle.format import MANIFEST_FILE, SIGNATURE_FILE, Head, Index
from janusd.bundle.keys import TrustedKey, find
from janusd.core import manifest
from janusd.errors import ModelError

VARIANTS = ("_edgetpu.tflite", "model.onnx")
"""How files end that hold a network for an accelerator."""
_DO_NOT_USE = "do not use it; fetch the released bundle again"


@dataclass(frozen=True, slots=True)
class Signed:
    """Model files whose signature held. The bytes are the ones that were hashed."""

    manifest: manifest.Manifest
    files: Mapping[str, bytes]
    """By name; of a folder only the manifest and its networks, unless the whole was asked for."""
    signer: TrustedKey
    raw: bytes
    """The bundle itself; empty for a folder."""

    @property
    def encoder(self) -> bytes:
        """The encoder's .tflite file."""
        return self.files[self.manifest.encoder.file]

    @property
    def attack(self) -> bytes:
        """The attack detection network's .tflite file; empty where the manifest names none."""
        return self.files[self.manifest.attack.file] if self.manifest.attack else b""

    @property
    def detector(self) -> bytes:
        """The face detector's .tflite file; empty where the manifest names none."""
        return self.files[self.manifest.detector.file] if self.manifest.detector else b""

    @property
    def refiner(self) -> bytes:
        """The .tflite file of the detector's second look; empty where the manifest names none."""
        described = self.manifest.detector
        return self.files[described.refiner.file] if described and described.refiner else b""

    @property
    def version(self) -> tuple[int, ...]:
        """The release's number, to be compared."""
        return manifest.release_number(self.manifest.encoder.version)

    @property
    def title(self) -> str:
        """Name and version in words."""
        return f"{self.manifest.encoder.name} version {self.manifest.encoder.version}"


def verify(place: Path, keys: Sequence[TrustedKey], *, whole: bool = True) -> Signed:
    """Check a bundle file or a model folder. Raises ModelError: what is wrong, and the next step."""
    if place.is_dir():
        return _verify_folder(place, keys, whole=whole)
    return verify_bytes(read_bounded(place, layout.MAX_BYTES), keys, str(place))


def verify_bytes(raw: bytes, keys: Sequence[TrustedKey], name: str) -> Signed:
    """Check a whole bundle in memory; messages call it `name`."""
    head = layout.cut_head(raw, name)
    signer, index = _believe(head, keys, name)
    files = {}
    for entry, content in layout.cut_files(raw, head, index, name):
        _check_content(content, entry, f"{name}: {entry.name}")
        files[entry.name] = content
    return Signed(_read_manifest(files.get(MANIFEST_FILE), index, name), files, signer, raw)


def read_bounded(path: Path, most: int) -> bytes:
    """The bytes of a regular file of at most that size. Raises ModelError."""
    try:
        # O_NONBLOCK: a FIFO must not hang us before fstat can refuse it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ModelError(f"{path}: is not a regular file", "give a file on a disk")
            raw = file.read(most + 1)
    except ModelError:
        raise
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})", "check the path") from error
    if len(raw) > most:
        raise ModelError(f"{path}: is larger than the {most:,} bytes a door reads", _DO_NOT_USE)
    return raw


def _verify_folder(folder: Path, keys: Sequence[TrustedKey], *, whole: bool) -> Signed:
    path = folder / SIGNATURE_FILE
    if not (folder / MANIFEST_FILE).exists():
        raise ModelError(
            f"{folder / MANIFEST_FILE}: cannot be read (there is none)",
            "name a released bundle or its folder",
        )
    if not path.exists():
        raise ModelError(
            f"{folder}: is not signed: there is no {SIGNATURE_FILE}",
            "sign it: janus-export release; or install a signed bundle: janusctl model install FILE",
        )
    raw = read_bounded(path, layout.MAX_INDEX_BYTES * 2)
    head = layout.cut_head(raw, str(path))
    signer, index = _believe(head, keys, str(path))
    if head.length != len(raw):
        raise ModelError(f"{path}: has something behind its end", "fetch it again")

    def read(name: str) -> bytes:
        entry = next((entry for entry in index.files if entry.name == name), None)
        if entry is None:
            raise ModelError(f"{folder / name}: was not signed with the others", _DO_NOT_USE)
        content = read_bounded(folder / name, layout.MAX_BYTES)
        _check_content(content, entry, str(folder / name))
        return content

    files = {MANIFEST_FILE: read(MANIFEST_FILE)}
    described = _read_manifest(files[MANIFEST_FILE], index, str(folder))
    names = [entry.name for entry in index.files]
    wanted = (
        names if whole else [name for name in names if name in described.files or name.endswith(VARIANTS)]
    )
    files |= {name: read(name) for name in wanted if name not in files}
    return Signed(described, files, signer, b"")


def _believe(head: Head, keys: Sequence[TrustedKey], name: str) -> tuple[TrustedKey, Index]:
    """Who signed, and what. Raises ModelError unless it is a trusted key and its signature fits."""
    if not head.is_signed:
        raise ModelError(
            f"{name}: is not signed", "fetch a released bundle, or sign it: janus-export release"
        )
    signer = find(keys, head.key_id)
    if signer is None:
        raise ModelError(
            f"{name}: is signed with key {head.key_id.hex()[:16]}, which this device does not trust",
            "if it is your own, put its .pub file into /etc/janus/model-keys; else do not use it",
        )
    try:
        Ed25519PublicKey.from_public_bytes(signer.public).verify(head.signature, head.message)
    except InvalidSignature as error:
        raise ModelError(
            f"{name}: the signature does not fit: it was changed after it was signed", _DO_NOT_USE
        ) from error
    return signer, layout.read_index(head, name)


def _check_content(content: bytes, entry: layout.Entry, name: str) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry.sha256 or len(content) != entry.size:
        raise ModelError(
            f"{name}: is not the released model's file: its SHA-256 is {digest[:16]}..., "
            f"signed was {entry.sha256[:16]}...",
            _DO_NOT_USE,
        )


def _read_manifest(raw: bytes | None, index: Index, name: str) -> manifest.Manifest:
    if raw is None:
        raise ModelError(f"{name}: holds no {MANIFEST_FILE}", "ask whoever signed it for another")
    try:
        described = manifest.parse(raw)
    except ValueError as error:
        raise ModelError(
            f"{name}: its manifest is not one this janusd reads: {error}",
            "update janusd, or ask whoever signed it",
        ) from error
    flaw = manifest.flaw(described)
    if flaw:
        raise ModelError(f"{name}: {flaw}", "ask whoever signed it to calibrate and release it again")
    for file, sha256 in described.files.items():
        digest = next((entry.sha256 for entry in index.files if entry.name == file), None)
        if digest != sha256:
            raise ModelError(
                f"{name}: its manifest describes another {file} than the one signed beside it",
                "release it anew: janus-export release",
            )
    return described
