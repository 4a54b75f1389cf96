"""Turn the head in a picture a little, and its points with it: what the labels do not show enough of.

The teacher's points hardly move when a head nods: on photographs their pitch spreads over 3 degrees, where
MTCNN's spreads over 11. A network that learns such labels learns a mean face. Here the picture itself is bent
as though the face stood out of it, so that the nose goes where the turn takes it and the label goes along.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image, Points

YAW_DEG, PITCH_DEG = 10.0, 14.0  # standard deviations
_HEAD, _NOSE = 0.9, 0.25  # how far they stand out, in distances of the eyes
_WIDE, _TALL, _TIP = 1.25, 1.6, 0.25
_ROUNDS = 4  # of the fixed point; the bends are mild enough that each leaves less than a third of the error


def turned(image: Image, points_px: Points, yaw_deg: float, pitch_deg: float) -> tuple[Image, Points]:
    """The picture (H, W, 3) of one face and its five points (5, 2), its head turned further by so much."""
    across = (points_px[1] - points_px[0]).astype(np.float64)
    eyes = float(np.hypot(*across))
    if eyes < 1e-3:
        return image, points_px
    axes = np.array([across, [-across[1], across[0]]]) / eyes**2  # picture -> face, in distances of the eyes
    centre = (points_px[0] + points_px[1] + points_px[3] + points_px[4]).astype(np.float64) / 4.0
    nose = (points_px[2] - centre) @ axes.T
    sines = np.sin(np.deg2rad([yaw_deg, pitch_deg]))
    shrunk = np.cos(np.deg2rad([yaw_deg, pitch_deg])) - 1.0

    def moves(face: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far places (..., 2) of the face move."""
        head = np.exp(-((face[..., 0] / _WIDE) ** 2) - (face[..., 1] / _TALL) ** 2)
        tip = np.exp(-((face - nose) ** 2).sum(axis=-1) / (2.0 * _TIP**2))
        out = (_HEAD * head + _NOSE * tip)[..., np.newaxis]
        return np.asarray(out * sines + head[..., np.newaxis] * face * shrunk, np.float64)

    height, width = image.shape[:2]
    places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)
    wanted = (places - centre) @ axes.T
    source = wanted
    for _ in range(_ROUNDS):
        source = wanted - moves(source)
    back = np.linalg.inv(axes)
    maps = (source @ back.T + centre).astype(np.float32)
    bent = cv2.remap(image, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    face = (points_px - centre) @ axes.T
    moved = (face + moves(face)) @ back.T + centre
    return np.asarray(bent, np.uint8), np.asarray(moved, np.float32)


def turn_somehow(rng: np.random.Generator, image: Image, points_px: Points) -> tuple[Image, Points]:
    """The head turned by angles drawn at random."""
    return turned(image, points_px, rng.normal(0.0, YAW_DEG), rng.normal(0.0, PITCH_DEG))
