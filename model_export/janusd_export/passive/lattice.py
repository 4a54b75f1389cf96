"""Periodic surfaces as a camera's pixels see them: a period drawn finely, averaged over apertures, looked up.

    tile (T, T, C)  one period, T samples a side, wrapping at its borders

A camera's pixel takes in the light of its aperture. That is a product in the tile's spectrum, so each tile is
averaged once and then looked up where a pixel lies; what the aperture leaves of a period near the pixel's own
beats with the pixels, as it does before a real screen.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np

from janusd_export.passive.camera import Plane

T: Final = 48
APERTURE: Final = 0.9
"""Side of what a pixel takes in, in its pitches: sensors have lenses that leave little out."""


def averaged(tile: Any, pitch_px: float) -> Any:  # noqa: ANN401  # any channels
    """The tile as pixels see it whose pitch is 1 where the tile's period is `pitch_px`."""
    cycles = np.fft.fftfreq(tile.shape[0], 1.0 / tile.shape[0])  # a tile
    left = np.sinc(APERTURE * cycles / pitch_px)
    keep = (left[:, None] * left[None, :]).reshape(left.size, left.size, *(1,) * (tile.ndim - 2))
    return np.fft.ifft2(np.fft.fft2(tile, axes=(0, 1)) * keep, axes=(0, 1)).real.astype(np.float32)


def turned(x: Plane, y: Plane, pitch_px: float, angle: float) -> tuple[Plane, Plane]:
    """Where pixels lie on a turned lattice, in periods."""
    cos, sin = np.float32(np.cos(angle) / pitch_px), np.float32(np.sin(angle) / pitch_px)
    return x * cos + y * sin, y * cos - x * sin


def looked_up(tile: Any, u: Plane, v: Plane) -> Any:  # noqa: ANN401
    """(H, W, C) the tile at so many periods."""
    column, row = (np.asarray(n % 1.0, np.float32) * np.float32(tile.shape[0]) for n in (u, v))
    return cv2.remap(tile, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def levels_looked_up(tiles: Any, level: Plane, u: Plane, v: Plane) -> Plane:  # noqa: ANN401
    """(H, W) from a stack of tiles (L, T, T), one for each level 0..1, or from between two of them."""
    count, size = tiles.shape[:2]
    column = ((u % 1.0) * np.float32(size)).astype(np.int32) % size
    row = ((v % 1.0) * np.float32(size)).astype(np.int32) % size
    place = row * size + column
    exact = np.clip(level, 0, 1) * np.float32(count - 1)
    below = np.minimum(exact.astype(np.int32), count - 2)
    share = exact - below
    flat, at = tiles.reshape(-1), below * (size * size) + place
    return np.asarray(flat[at] * (1 - share) + flat[at + size * size] * share, np.float32)
