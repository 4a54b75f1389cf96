"""The models a door runs, and the check that their bytes are the ones that were released."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from janusd.bundle import check
from janusd.bundle.install import INSTALLED, SHIPPED, present
from janusd.bundle.keys import OWNERS_FOLDER, trusted_keys
from janusd.core import manifest
from janusd.errors import ModelError

RELEASED = SHIPPED
"""The models that came with this version."""


@dataclass(frozen=True, slots=True)
class Models:
    """A verified set of models. The bytes were hashed here and are the ones to be run."""

    manifest: manifest.Manifest
    encoder: bytes
    signed_by: str = ""
    """Whose signature held, in words; empty where none was asked for."""
    attack: bytes = b""
    """The attack detection network; empty where the manifest names none."""
    variants: Mapping[str, bytes] = field(default_factory=dict)
    """The same encoder for accelerators, by the name of its file; signed like it."""

    @property
    def encoder_digest(self) -> bytes:
        """SHA-256 of the encoder: embeddings of another encoder are not comparable."""
        return bytes.fromhex(self.manifest.encoder.sha256)


def for_door(place: str = "", owners_keys: Path = OWNERS_FOLDER, installed: Path = INSTALLED) -> Models:
    """The models a door runs: read once, signature and digests verified, and given as those very bytes.

    `place` is a bundle or a folder; empty takes the installed bundle, else what came with this version.
    Raises ModelError.
    """
    keys = trusted_keys(owners_keys)
    signed = check.verify(Path(place), keys, whole=False) if place else present(keys, installed)
    variants = {name: raw for name, raw in signed.files.items() if name.endswith(check.VARIANTS)}
    return Models(signed.manifest, signed.encoder, str(signed.signer), signed.attack, variants)


def load(directory: Path = RELEASED) -> Models:
    """Read a model folder for measuring: digests are checked, signatures not, for nobody has signed yet.

    Raises ModelError when a file is not what the manifest says.
    """
    path = directory / "manifest.json"
    remedy = "reinstall janusd, or point model.directory at a released bundle"
    try:
        described = manifest.parse(path.read_bytes())
        encoder = (directory / described.encoder.file).read_bytes()
        attack = (directory / described.attack.file).read_bytes() if described.attack else b""
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})", remedy) from error
    except ValueError as error:
        raise ModelError(f"{path}: not a manifest this version reads: {error}", remedy) from error
    digest = hashlib.sha256(encoder).hexdigest()
    if digest != described.encoder.sha256:
        raise ModelError(
            f"{directory / described.encoder.file}: is not the released model: its SHA-256 is "
            f"{digest[:16]}..., the manifest says {described.encoder.sha256[:16]}...",
            remedy,
        )
    if described.attack and hashlib.sha256(attack).hexdigest() != described.attack.sha256:
        raise ModelError(f"{directory / described.attack.file}: is not what the manifest says", remedy)
    return Models(described, encoder, attack=attack)
