"""What the tests of the vault share. Real key files throughout: there is nothing to fake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.vault.keys import FileKey, create_key_file

DEVICE = b"d" * 32
MODEL = b"m" * 32


def new_key(path: Path) -> FileKey:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    create_key_file(path)
    return FileKey(path)


def embeddings(seed: int = 0, samples: int = 5, dimensions: int = 128) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((samples, dimensions)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def face(seed: int, samples: int = 5, spread: float = 0.5) -> NDArray[np.float32]:
    """Samples of one face: alike (cosine about 0.8), as `embeddings` are not."""
    rows = embeddings(seed, 1) + spread * embeddings(seed + 1000, samples)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit
