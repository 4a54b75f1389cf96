"""Raw output to embedding: all the meaning of an encoder's answer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from janusd.core.manifest import TensorSpec
from janusd.core.tensors import real
from janusd.core.types import Embedding, Tensor


def from_tensor(raw: Tensor, spec: TensorSpec) -> Embedding:
    """The unit vector behind an encoder's int8 output (1, D)."""
    return _unit(real(raw.reshape(-1), spec))


def combine(embeddings: Sequence[Embedding]) -> Embedding:
    """The unit vector between embeddings of several views of one face."""
    return embeddings[0] if len(embeddings) == 1 else _unit(np.sum(embeddings, axis=0, dtype=np.float32))


def _unit(vector: Embedding) -> Embedding:
    norm = np.float32(np.linalg.norm(vector))
    # A dead output resembles nobody: any unit vector would lie, so all zeros it is.
    return vector / norm if norm > 0 else vector
