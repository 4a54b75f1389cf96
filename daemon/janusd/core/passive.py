"""The attack detection network: a wide crop around a face -> how genuine it looks.

The network sees more than the face, because what gives a print or a screen away is often its edge. What its
tensors mean stands in the manifest (`manifest.AttackNet`); a door whose manifest names none has no such
layer.
"""

from __future__ import annotations

import cv2
import numpy as np

from janusd.core.manifest import AttackNet, TensorSpec
from janusd.core.types import Face, Image, Tensor


def wide_crop(image: Image, face: Face, net: AttackNet) -> Image:
    """The square of `net.context` face heights around a face, at the network's size; black past borders."""
    box, side = face.box_px, face.box_px.height * net.context
    height, width = net.input.shape[1:3]
    left = box.x + box.width / 2 - side / 2
    top = box.y + box.height / 2 - side / 2
    scale = np.array([width / side, height / side])
    matrix = np.array([[scale[0], 0, -left * scale[0]], [0, scale[1], -top * scale[1]]])
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_AREA)
    return crop.astype(np.uint8, copy=False)


def to_tensor(crop: Image, spec: TensorSpec) -> Tensor:
    """A crop as the network's input: pixels are 0..1, quantized as the manifest says."""
    real = crop.astype(np.float32) / 255.0
    quantized = np.round(real / spec.scale) + spec.zero_point
    tensor: Tensor = np.clip(quantized, -128, 127).astype(np.int8)[np.newaxis]
    return tensor


def from_tensor(output: Tensor, spec: TensorSpec) -> float:
    """How genuine, 0..1: the network ends in two logits, attack and genuine."""
    attack, genuine = (output.astype(np.float32).ravel() - spec.zero_point) * spec.scale
    return float(1.0 / (1.0 + np.exp(attack - genuine)))
