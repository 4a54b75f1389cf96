"""Bundles for tests: the maker of tests/vectors/bundles, and whom its key is trusted by."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from janusd.bundle.keys import TrustedKey

VECTORS = Path(__file__).parents[1] / "vectors"

_spec = importlib.util.spec_from_file_location("make_bundles", VECTORS / "make_bundles.py")
assert _spec is not None
assert _spec.loader is not None
maker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(maker)

KEYS = (TrustedKey("test", maker.public_of(maker.KEY)),)


def write_bundle(path: Path, version: str = "1", *, another_encoder: bool = False, padding: int = 0) -> Path:
    """A good bundle of that version."""
    encoder = maker.flipped(maker.ENCODER, 900) if another_encoder else maker.ENCODER
    content = maker.files(maker.manifest(version, encoder), encoder)
    content["MODEL_CARD.md"] += b"." * padding
    path.write_bytes(maker.signed(content))
    return path


def write_folder(folder: Path, version: str = "1") -> Path:
    """The same as a signed model folder."""
    folder.mkdir()
    content = maker.files(maker.manifest(version))
    for name, raw in content.items():
        (folder / name).write_bytes(raw)
    head = maker.layout.make_head(content, maker.public_of(maker.KEY), maker.KEY.sign)
    (folder / maker.layout.SIGNATURE_FILE).write_bytes(head)
    return folder


def write_public_key(folder: Path, name: str = "owner.pub") -> Path:
    """A folder of owners' keys with the test key in it."""
    folder.mkdir(mode=0o755)
    pem = maker.KEY.public_key().public_bytes(maker.Encoding.PEM, maker.PublicFormat.SubjectPublicKeyInfo)
    (folder / name).write_bytes(pem)
    (folder / name).chmod(0o644)
    return folder
