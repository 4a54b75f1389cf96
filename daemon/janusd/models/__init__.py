"""The released models, and the check that a file is the one that was released."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from janusd.core import manifest
from janusd.errors import ModelError

RELEASED = Path(__file__).parent
"""The models that came with this version."""


@dataclass(frozen=True, slots=True)
class Models:
    """A verified set of models. The bytes were hashed here and are the ones to be run."""

    manifest: manifest.Manifest
    encoder: bytes

    @property
    def encoder_digest(self) -> bytes:
        """SHA-256 of the encoder: embeddings of another encoder are not comparable."""
        return bytes.fromhex(self.manifest.encoder.sha256)


def load(directory: Path = RELEASED) -> Models:
    """Read the manifest and the files it names. Raises ModelError when one is not what the manifest says."""
    path = directory / "manifest.json"
    remedy = "reinstall janusd, or point model.directory at a released bundle"
    try:
        described = manifest.parse(path.read_bytes())
        encoder = (directory / described.encoder.file).read_bytes()
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
    return Models(described, encoder)
