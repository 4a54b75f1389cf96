"""A rotation of the embedding space that only this vault knows (ISO/IEC 24745: unlinkable, renewable).

Embeddings are turned before they are sealed and turned back when they are opened, so lengths and angles, and
with them every score, stay what they were. Records of one person at two doors, opened but without the two
seeds, have nothing in common; nor have a door's records of before and after `janusctl vault renew`.

The rotation is drawn evenly from all orthogonal matrices (Stewart 1980, a product of Householder reflections
of shrinking vectors), from a 32-byte seed through SHAKE-256 and Box-Muller: no library's random stream, which
may change with its version and would lose everybody.

What it does not do: the seed is sealed in the vault under the same KEK. Whoever holds the key opens both.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SEED_BYTES = 32


def turn(seed: bytes, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (n, D) rows as they are sealed."""
    turned: NDArray[np.float32] = (
        embeddings.astype(np.float64) @ _rotation(seed, embeddings.shape[1]).T
    ).astype(np.float32)
    return turned


def turn_back(seed: bytes, turned: NDArray[np.float32]) -> NDArray[np.float32]:
    """The (n, D) rows as they were, to float32's last digit."""
    rows: NDArray[np.float32] = (turned.astype(np.float64) @ _rotation(seed, turned.shape[1])).astype(
        np.float32
    )
    return rows


@lru_cache(maxsize=4)
def _rotation(seed: bytes, dimensions: int) -> NDArray[np.float64]:
    """(D, D) orthogonal."""
    normal = _normal(seed, dimensions * (dimensions + 1) // 2 + dimensions)
    matrix = np.diag(np.where(normal[:dimensions] < 0, -1.0, 1.0))  # a reflection alone never keeps its sign
    used = dimensions
    for size in range(dimensions, 1, -1):
        vector = normal[used : used + size]
        used += size
        vector = vector / np.linalg.norm(vector)
        vector[0] += np.copysign(1.0, vector[0])  # the reflection that takes e1 to this direction
        block = matrix[dimensions - size :]
        block -= np.outer(vector, (2.0 / (vector @ vector)) * (vector @ block))
    matrix.setflags(write=False)
    return matrix


def _normal(seed: bytes, count: int) -> NDArray[np.float64]:
    """(count,) from the standard normal distribution."""
    pairs = (count + 1) // 2
    stream = hashlib.shake_256(b"janusd rotation v1" + seed).digest(16 * pairs)
    words = np.frombuffer(stream, dtype="<u8").reshape(2, pairs)
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53  # never 0
    radius = np.sqrt(-2.0 * np.log(uniform[0]))
    angle = 2.0 * np.pi * uniform[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
