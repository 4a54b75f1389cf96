"""Crop to tensor, raw output to embedding: all the meaning of an encoder's numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from janusd.core.manifest import TensorSpec
from janusd.core.types import Crop, Embedding, Tensor

_PIXEL_ZERO = 127.5
_PIXEL_SCALE = 127.5
"""The encoder was trained on (pixel - 127.5) / 127.5."""


def to_tensor(crop: Crop, spec: TensorSpec) -> Tensor:
    """Quantize a crop for the encoder: (112, 112, 3) uint8 -> (1, 112, 112, 3) int8."""
    return quantization_table(spec)[crop][np.newaxis]


def from_tensor(raw: Tensor, spec: TensorSpec) -> Embedding:
    """The unit vector behind an encoder's int8 output (1, D)."""
    return _unit((raw.reshape(-1).astype(np.float32) - spec.zero_point) * np.float32(spec.scale))


def combine(embeddings: Sequence[Embedding]) -> Embedding:
    """The unit vector between embeddings of several views of one face."""
    return embeddings[0] if len(embeddings) == 1 else _unit(np.sum(embeddings, axis=0, dtype=np.float32))


def quantization_table(spec: TensorSpec) -> Tensor:
    """(256,) int8: the tensor value of each pixel value, rounded half to even and saturated."""
    real = (np.arange(256, dtype=np.float64) - _PIXEL_ZERO) / _PIXEL_SCALE
    return np.clip(np.round(real / spec.scale) + spec.zero_point, -128, 127).astype(np.int8)


def _unit(vector: Embedding) -> Embedding:
    norm = np.float32(np.linalg.norm(vector))
    # A dead output resembles nobody: any unit vector would lie, so all zeros it is.
    return vector / norm if norm > 0 else vector
