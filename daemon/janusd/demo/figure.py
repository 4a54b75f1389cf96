"""Turn a portrait that ends at the shoulders into a figure that stands in a street.

A portrait shows head and neck; everything below is a painted coat with a collar, the same in every view of a
person, down to the lower border, so that somebody far from the camera neither floats nor changes clothes.
Lengths here are in eye distances (63 mm) from the middle between the eyes, x to the right, y down.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.demo.album import Point, View

Figure: TypeAlias = NDArray[np.uint8]
"""(H, W, 4) uint8, RGB *multiplied by* the opacity, and the opacity; its last row may be repeated."""

Plane: TypeAlias = NDArray[np.float32]
"""(H, W) or (H, W, C) float32, 0..1."""

EYES_APART_PX: Final = 80
"""How far apart the eyes are on every figure."""

EYES_MIDDLE_PX: Final = (304.0, 184.0)
"""Where the middle between the eyes is on every figure (x, y)."""

_SIZE_PX: Final = (608, 752)  # width, height: 3.8 eye distances to either side, 2.3 up and 7.1 down

_SHOULDERS: Final = (
    (0.60, 1.72),
    (1.05, 1.95),
    (1.90, 2.25),
    (2.55, 2.50),
    (3.00, 2.85),
    (3.25, 3.40),
    (3.38, 4.30),
    (3.45, 9.00),
)
"""The coat's outline from the collar to the arm, right half: shoulders 41 cm wide."""

_OPENING: Final = ((0.0, 3.0), (0.42, 2.3), (0.60, 1.72))
"""The collar's opening, right half: what is above it is the portrait's neck."""

_CLOTHS: Final = (
    (58, 66, 82),
    (96, 48, 44),
    (64, 82, 62),
    (112, 100, 82),
    (44, 46, 50),
    (74, 62, 92),
    (128, 120, 108),
    (50, 84, 98),
)
"""sRGB colours of the coats; a person's name chooses."""

_SHIRTS: Final = ((104, 110, 122), (128, 118, 104), (58, 60, 68), (120, 84, 78))


@lru_cache(maxsize=32)
def figure(view: View) -> Figure:
    """Give the whole figure, write-protected: eyes at `EYES_MIDDLE_PX`, `EYES_APART_PX` apart."""
    cutout = view.cutout()
    (left_x, left_y), (right_x, right_y) = view.eyes_px
    scale = EYES_APART_PX / float(np.hypot(right_x - left_x, right_y - left_y))
    middle = np.array([left_x + right_x, left_y + right_y]) / 2
    shift = np.array(EYES_MIDDLE_PX) - scale * middle
    onto = np.column_stack([np.eye(2) * scale, shift])  # (2, 3)
    colours = cv2.warpAffine(cutout[..., :3], onto, _SIZE_PX, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(_soft_borders(cutout[..., 3]), onto, _SIZE_PX)

    shirt, coat, neckline = _clothes(view.path.parent.name)
    canvas = shirt.astype(np.float32)
    head = (opacity.astype(np.float32) * neckline / 255)[..., None]
    canvas *= 1 - head
    canvas[..., :3] += colours * head
    canvas[..., 3:] += 255 * head
    canvas *= 1 - coat[..., 3:].astype(np.float32) / 255
    canvas += coat
    pixels: Figure = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def _soft_borders(opacity: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fade a portrait out at its upper and lower border, where hair and shoulders are cut off."""
    height = opacity.shape[0]
    row = np.arange(height, dtype=np.float32)[:, None] / height
    fade = np.clip((1 - row) / 0.06, 0, 1) * np.clip(row / 0.025, 0, 1)
    return np.asarray(opacity * fade + 0.5, np.uint8)


@lru_cache(maxsize=16)
def _clothes(name: str) -> tuple[Figure, Figure, Plane]:
    """Give a person's shirt, coat, and how much of the portrait is kept (no shoulders) at each pixel."""
    who = zlib.crc32(name.encode())
    width, height = _SIZE_PX
    x: Plane = ((np.arange(width) - EYES_MIDDLE_PX[0]) / EYES_APART_PX).astype(np.float32)[None, :]
    y: Plane = ((np.arange(height) - EYES_MIDDLE_PX[1]) / EYES_APART_PX).astype(np.float32)[:, None]
    neckline = 1 - _smooth((np.abs(x) - 1.05) / 0.25) * _smooth((y - 1.25) / 0.25)
    cloth = _shaded(x, y, 1.0) * _folds(who, height, width)
    shirt = _cut(_SHIRTS[who % len(_SHIRTS)], _shaded(x, y, 0.0), _BODICE)
    coat = _cut(_CLOTHS[who // 7 % len(_CLOTHS)], cloth, _COAT)
    return shirt, coat, np.asarray(neckline, np.float32)


_BODICE: Final = [
    (0.56, 1.30),
    (0.72, 1.75),
    (0.95, 2.1),
    (0.95, 4.0),
    (-0.95, 4.0),
    (-0.95, 2.1),
    (-0.72, 1.75),
    (-0.56, 1.30),
]
_COAT: Final = [
    *_OPENING,
    *_SHOULDERS[1:],
    *((-x, y) for x, y in reversed(_SHOULDERS[1:])),
    *((-x, y) for x, y in reversed(_OPENING[1:])),
]


def _cut(rgb: tuple[int, int, int], shading: Plane, outline: Sequence[Point]) -> Figure:
    """Give a garment: a rounded polygon given in eye distances, of one shaded colour."""
    width, height = _SIZE_PX
    mask = np.zeros((height, width), np.uint8)
    corners = np.array(outline) * EYES_APART_PX + EYES_MIDDLE_PX
    cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.05 * EYES_APART_PX).astype(np.float32) / 255
    opacity = np.clip((soft - 0.5) * 2.2 + 0.5, 0, 1)[..., None]
    colours = np.clip(shading[..., None] * np.array(rgb, np.float32), 0, 255)
    return np.concatenate([colours * opacity, 255 * opacity], axis=2).astype(np.uint8)


def _shaded(x: Plane, y: Plane, sleeves: float) -> Plane:
    """Give how light falls on a body: darker towards the arms and downwards, with a seam at each sleeve."""
    round_body = 1.06 - 0.030 * x * x
    downwards = 1.04 - 0.035 * np.clip(y - 2, 0, 6)
    sleeve = np.exp(-(((np.abs(x) - 2.35 - 0.02 * y) / 0.07) ** 2)) * _smooth((y - 3.0) / 0.8)
    front = np.exp(-((x / 0.035) ** 2)) * _smooth((y - 2.95) / 0.1)
    lapel = np.exp(-(((np.abs(x) - 0.75 + 0.25 * (y - 1.7)) / 0.05) ** 2)) * _smooth((3.3 - y) / 0.3)
    seams = 1 - sleeves * (0.28 * sleeve + 0.35 * front + 0.20 * lapel)
    return np.asarray(round_body * downwards * seams, np.float32)


def _folds(seed: int, rows: int, columns: int) -> Plane:
    """Give the cloth's folds and weave as a factor around 1."""
    rng = np.random.default_rng(seed)
    large = cv2.resize(
        rng.standard_normal((6, 14)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC
    )
    weave = rng.standard_normal((rows, columns)).astype(np.float32)
    return np.asarray(1 + 0.06 * large + 0.035 * weave, np.float32)


def _smooth(values: NDArray[np.floating[Any]]) -> Plane:
    t = np.clip(values, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
