"""Pictures as the int8 networks take them, and their answers as numbers.

All of our networks were trained on (pixel - 127.5) / 127.5; how integers stand for that is in the manifest.
"""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.manifest import TensorSpec
from janusd.core.types import Image, Tensor

Reals: TypeAlias = NDArray[np.float32]

_PIXEL_ZERO = 127.5
_PIXEL_SCALE = 127.5


def to_tensor(picture: Image, spec: TensorSpec) -> Tensor:
    """Quantize a picture: (H, W, 3) uint8 -> (1, H, W, 3) int8."""
    stored = np.asarray(cv2.LUT(picture, quantization_table(spec).view(np.uint8)), np.uint8)
    return stored.view(np.int8)[np.newaxis]


def real(raw: Tensor, spec: TensorSpec) -> Reals:
    """The numbers behind an int8 output."""
    numbers: Reals = (raw.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)
    return numbers


@cache
def quantization_table(spec: TensorSpec) -> Tensor:
    """(256,) int8: the tensor value of each pixel value, rounded half to even and saturated."""
    values = (np.arange(256, dtype=np.float64) - _PIXEL_ZERO) / _PIXEL_SCALE
    return np.clip(np.round(values / spec.scale) + spec.zero_point, -128, 127).astype(np.int8)
