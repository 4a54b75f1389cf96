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
    """The same networks for accelerators, by the name of their file; signed like them."""
    detector: bytes = b""
    """The face detector; empty where the manifest names none."""
    refiner: bytes = b""
    """The network that looks at each face again; empty where the manifest names none."""


def for_door(place: str = "", owners_keys: Path = OWNERS_FOLDER, installed: Path = INSTALLED) -> Models:
    """The models a door runs: read once, signature and digests verified, and given as those very bytes.

    `place` is a bundle or a folder; empty takes the installed bundle, else what came with this version.
    Raises ModelError.
    """
    keys = trusted_keys(owners_keys)
    signed = check.verify(Path(place), keys, whole=False) if place else present(keys, installed)
    variants = {name: raw for name, raw in signed.files.items() if name.endswith(check.VARIANTS)}
    return Models(
        signed.manifest, signed.encoder, str(signed.signer), signed.attack, variants,
        signed.detector, signed.refiner,
    )  # fmt: skip


def load(directory: Path = RELEASED) -> Models:
    """Read a model folder for measuring: digests are checked, signatures not, for nobody has signed yet.

    Raises ModelError when a file is not what the manifest says.
    """
    path = directory / "manifest.json"
    remedy = "reinstall janusd, or point model.directory at a released bundle"
    try:
        described = manifest.parse(path.read_bytes())
        read = {file: (directory / file).read_bytes() for file in described.files}
    except OSError as error:
        raise ModelError(f"{error.filename}: cannot be read ({error.strerror})", remedy) from error
    except ValueError as error:
        raise ModelError(f"{path}: not a manifest this version reads: {error}", remedy) from error
    for file, sha256 in described.files.items():
        digest = hashlib.sha256(read[file]).hexdigest()
        if digest != sha256:
            raise ModelError(
                f"{directory / file}: is not the released model: its SHA-256 is "
                f"{digest[:16]}..., the manifest says {sha256[:16]}...",
                remedy,
            )
    attack, detector = described.attack, described.detector
    return Models(
        described,
        read[described.encoder.file],
        attack=read[attack.file] if attack else b"",
        detector=read[detector.file] if detector else b"",
        refiner=read[detector.refiner.file] if detector and detector.refiner else b"",
    )
