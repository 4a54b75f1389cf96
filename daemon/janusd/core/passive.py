"""The attack detection network: a wide crop around a face, and a close one, -> how genuine it looks.

The network sees more than the face, because what gives a print or a screen away is often its edge; and it
sees the face itself as large as it can, because what else gives it away is its surface. Both crops are one
picture to it, the wide one above. What its tensors mean stands in the manifest (`manifest.AttackNet`); a door
whose manifest names none has no such layer.
"""

from __future__ import annotations

import cv2
import numpy as np

from janusd.core.manifest import AttackNet, TensorSpec
from janusd.core.tensors import real
from janusd.core.types import Face, Image, Tensor


def looks(image: Image, face: Face, net: AttackNet) -> Image:
    """What the network sees of a face: the wide crop and, where it wants one, the close one below it."""
    height, width = net.input.shape[1:3]
    if not net.near:
        return crop(image, face, net.context, height)
    return np.concatenate([crop(image, face, context, width) for context in (net.context, net.near)])


def crop(image: Image, face: Face, context: float, side_px: int) -> Image:
    """The square of `context` face heights around a face, reduced by areas; black past its borders."""
    box = face.box_px
    side = max(2, round(box.height * context))
    left, top = round(box.x + box.width / 2 - side / 2), round(box.y + box.height / 2 - side / 2)
    height, width = image.shape[:2]
    square = np.zeros((side, side, 3), np.uint8)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(width, left + side), min(height, top + side)
    if x1 > x0 and y1 > y0:
        square[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    if side >= 2 * side_px:  # halving is quick, and leaves a quarter to the slower mean over any area
        half = side // 2
        halved = cv2.resize(square[: 2 * half, : 2 * half], (half, half), interpolation=cv2.INTER_AREA)
        square = np.asarray(halved, np.uint8)
    way = cv2.INTER_AREA if side > side_px else cv2.INTER_LINEAR
    return cv2.resize(square, (side_px, side_px), interpolation=way).astype(np.uint8, copy=False)


def from_tensor(output: Tensor, spec: TensorSpec) -> float:
    """How genuine, 0..1: the network ends in two logits, attack and genuine."""
    attack, genuine = real(output, spec).ravel()
    return float(1.0 / (1.0 + np.exp(attack - genuine)))
