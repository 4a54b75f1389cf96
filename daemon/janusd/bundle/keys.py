"""Whose signature on a model counts at this device.

The project's public key comes with the package. An owner who trains models of their own puts further ones,
as PEM files named *.pub, into /etc/janus/model-keys: whoever may write there decides what the door believes,
so a key that others could have changed is refused.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from janusd.bundle.format import key_id
from janusd.errors import ModelError
from janusd.vault.private import why_not_private

PROJECT_KEY: Final = Path(__file__).parents[1] / "models" / "janusd.pub"
OWNERS_FOLDER: Final = Path("/etc/janus/model-keys")

_MAX_KEY_BYTES = 4096
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key whose signatures count."""

    name: str
    """"janusd" for the project's own, else the file's path."""
    public: bytes
    """The raw 32 bytes."""

    @property
    def id(self) -> bytes:
        """Its name in a bundle."""
        return key_id(self.public)

    def __str__(self) -> str:
        return f"{self.name} (key {self.id.hex()[:16]})"


def trusted_keys(owners: Path = OWNERS_FOLDER, project: Path = PROJECT_KEY) -> tuple[TrustedKey, ...]:
    """The project's key and the owner's. Raises ModelError for a file that is no key, or open to others."""
    keys = [TrustedKey("janusd", read_public_key(project))]
    try:
        found = sorted(path for path in owners.iterdir() if path.suffix == ".pub")
    except (FileNotFoundError, NotADirectoryError):
        return tuple(keys)
    except OSError as error:
        raise ModelError(
            f"{owners}: cannot be read ({error.strerror})", "let the daemon's user read it: chmod 755"
        ) from error
    for path in (owners, *found):
        trouble = why_not_private(path.stat(), _WRITABLE_BY_OTHERS)
        if trouble is not None:
            raise ModelError(f"{path} {trouble[0]}: its keys are not believed", trouble[1])
    return (*keys, *(TrustedKey(str(path), read_public_key(path)) for path in found))


def read_public_key(path: Path) -> bytes:
    """The raw bytes of an Ed25519 public key in PEM. Raises ModelError."""
    try:
        with path.open("rb") as file:
            key = load_pem_public_key(file.read(_MAX_KEY_BYTES))
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})", "restore it, or remove it") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ModelError(
            f"{path}: is not a public key in PEM", "give the .pub file that janus-export keygen wrote"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ModelError(f"{path}: is a public key, but not of Ed25519", "make one: janus-export keygen")
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def find(keys: Sequence[TrustedKey], wanted: bytes) -> TrustedKey | None:
    """The trusted key of that id."""
    return next((key for key in keys if key.id == wanted), None)
