"""What the trials share: keys and vaults that are real files, and people who are rows of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.vault.anchor import FileAnchor
from janusd.vault.keys import FileKey, create_key_file
from janusd.vault.store import StoredPerson, Vault

DEVICE = b"d" * 32
MODEL = b"m" * 32


def new_key(path: Path) -> FileKey:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_key_file(path)
    return FileKey(path)


def embeddings(seed: int, samples: int = 2, dimensions: int = 32) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((samples, dimensions)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


class SmallVault:
    """A vault of three, closed, and everything that is needed to look into it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "janus" / "vault.db"
        self.key = new_key(self.path.with_name("key"))
        self.anchor = FileAnchor(folder / "anchor" / "vault")
        Vault.create(self.path, self.key, DEVICE, self.anchor)
        vault = self.open()
        for seed, name in enumerate(("Ada", "Bob", "Eve")):
            vault.add(name, embeddings(seed))
        self.people: list[StoredPerson] = vault.people()
        vault.close()
        self.content = self.path.read_bytes()
        self.mark = self.anchor.path.read_bytes()

    def open(self) -> Vault:
        return Vault.open(self.path, self.key, DEVICE, MODEL, anchor=self.anchor)

    def mend(self) -> None:
        """As it was."""
        for left in self.path.parent.glob("vault.db-*"):
            left.unlink()
        self.path.write_bytes(self.content)
        self.anchor.path.write_bytes(self.mark)
