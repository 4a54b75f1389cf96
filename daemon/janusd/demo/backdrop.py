"""Paint the street opposite the door: sky, a house, a hedge and a pavement, all procedural.

The camera focuses on visitors, so the street is out of focus; the door frame at the left is nearer, sharper.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Linear: TypeAlias = NDArray[np.float32]
"""(H, W, 3) float32, linear RGB; 1.0 is the sensor's white."""

Field: TypeAlias = NDArray[np.float32]
"""(H, W) float32."""

_ROOF: Final = 0.10  # where things are, as a fraction of the height from the top
_HEDGE: Final = 0.44
_PAVEMENT: Final = 0.72


@lru_cache(maxsize=4)
def backdrop(seed: int, width_px: int, height_px: int) -> Linear:
    """Give the street at noon with nobody in it, (height_px, width_px, 3), write-protected."""
    rng = np.random.default_rng(seed)
    y = np.linspace(0, 1, height_px, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width_px, dtype=np.float32)[None, :]
    shape = (height_px, width_px)

    picture: Linear = _colour((0.62, 0.74, 0.92), shape) * (1.0 - 0.5 * y[..., None])  # sky
    plaster = 1 + 0.05 * noise(rng, shape, (3, 5)) + 0.03 * noise(rng, shape, (24, 32))
    house = _colour((0.50, 0.44, 0.35), shape) * (plaster * (0.85 + 0.3 * x))[..., None]
    picture = _over(picture, house, _step(y, _ROOF, 0.01) + 0 * x)
    picture = _windows(picture, rng)

    leaves = 1 + 0.35 * noise(rng, shape, (40, 64)) + 0.25 * noise(rng, shape, (9, 14))
    hedge = _colour((0.055, 0.115, 0.035), shape) * np.clip(leaves, 0.2, 2)[..., None]
    top = _HEDGE + 0.012 * noise(rng, (1, width_px), (1, 26)) + 0.02 * noise(rng, (1, width_px), (1, 6))
    picture = _over(picture, hedge, _step(y, top, 0.006))

    depth = np.clip((y - _PAVEMENT) / (1 - _PAVEMENT), 0.02, 1)
    grain = 1 + 0.05 * noise(rng, shape, (60, 80)) + 0.08 * noise(rng, shape, (6, 4))
    joints = 1 - 0.25 * (np.abs(((1 / depth * 1.3) % 1) - 0.5) > 0.47) * np.ones_like(x)
    pavement = _colour((0.30, 0.285, 0.26), shape) * (grain * joints * (0.75 + 0.35 * depth))[..., None]
    picture = _over(picture, pavement, _step(y, np.float32(_PAVEMENT), 0.004) + 0 * x)
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 4.5), np.float32)

    frame = _colour((0.075, 0.045, 0.028), shape) * (1 + 0.12 * noise(rng, shape, (2, 60)))[..., None]
    edge = 0.035 + 0.008 * y
    picture = _over(picture, frame, 1 - _step(x, edge, 0.004))
    picture = np.asarray(np.clip(picture, 0, 2), np.float32)
    picture.flags.writeable = False
    return picture


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[int, int]) -> Field:
    """Give smooth noise of that shape with mean 0 and deviation about 0.5, `cells` lumps high and wide."""
    coarse = rng.standard_normal(cells).astype(np.float32) * np.float32(0.6)
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def _colour(rgb: tuple[float, float, float], shape: tuple[int, int]) -> Linear:
    return np.broadcast_to(np.array(rgb, np.float32), (*shape, 3))


def _step(value: Field, edge: Field | np.float32 | float, softness: float) -> Field:
    return np.asarray(np.clip((value - edge) / softness + 0.5, 0, 1), np.float32)


def _over(below: Linear, above: Linear, opacity: Field) -> Linear:
    return np.asarray(below + opacity[..., None] * (above - below), np.float32)


def _windows(picture: Linear, rng: np.random.Generator) -> Linear:
    """Give the house three windows: dark panes in light frames."""
    height, width = picture.shape[:2]
    painted = picture.copy()
    for middle in (0.22, 0.55, 0.87):
        x = int((middle + rng.uniform(-0.02, 0.02)) * width)
        top, bottom, half = int(0.17 * height), int(0.40 * height), int(0.055 * width)
        painted[top - 5 : bottom + 5, x - half - 5 : x + half + 5] = (0.62, 0.60, 0.55)
        painted[top:bottom, x - half : x + half] = (0.06, 0.075, 0.09)
        painted[top:bottom, x - 2 : x + 2] = (0.62, 0.60, 0.55)
    return painted
