"""People from the demo's album who turn their heads: a picture warped as though the face stood out of it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from janusd.core.types import Image
from janusd.demo.album import album
from janusd.demo.scene import WIDTH_PX, Light, Stance, compose

POSES = {
    "front": (0.0, 0.0),
    "left": (28.0, 0.0),
    "right": (-28.0, 0.0),
    "up": (0.0, -17.0),
    "down": (0.0, 17.0),
}
"""Yaw and pitch by which it is warped; the detector reads four fifths of the one, a third of the other."""

_VIEW = {"ada": 8, "ben": 0, "chloe": 3}
_ELSEWHERE_PX = 14.0
_EVENLY = 0.7548776662466927
"""Its multiples and those of its square cover a square evenly: no place comes twice."""


@cache
def head(name: str, pose: str, light: Light = Light.NOON, *, further: float = 1.0, showing: int = 0) -> Image:
    """A frame of that person in that pose, (480, 640, 3) RGB, turned so much further than usual.

    Each `showing` has sensor noise of its own, and they stand up to 14 pixels elsewhere, as living people
    do: without that, a pose shown once more is a film played once more, and found out as one.
    """
    across, up = (showing * _EVENLY % 1 - 0.5, showing * _EVENLY**2 % 1 - 0.5) if showing else (0.0, 0.0)
    view = album()[name].street[_VIEW[name]]
    stance = Stance(view, x=2 * _ELSEWHERE_PX * across / (WIDTH_PX / 2), rise_px=2 * _ELSEWHERE_PX * up)
    frame = compose([stance], light, seed=showing)
    x, y = stance.between_eyes_px
    return turned(
        frame,
        (x, y + 0.55 * stance.inter_ocular_px),
        stance.inter_ocular_px,
        further * POSES[pose][0],
        further * POSES[pose][1],
    )


def turned(
    image: Image, nose_px: tuple[float, float], eyes_apart_px: float, yaw_deg: float, pitch_deg: float
) -> Image:
    """The picture with the head in it turned: an ellipsoid seen under another angle.

    Where each pixel comes from is found by fixed-point iteration.
    """
    reach = round(2.2 * eyes_apart_px)
    left, top = max(0, round(nose_px[0]) - reach), max(0, round(nose_px[1]) - reach)
    part = image[top : top + 2 * reach, left : left + 2 * reach]
    x, y = np.meshgrid(
        np.arange(part.shape[1], dtype=np.float32) + (left - nose_px[0]),
        np.arange(part.shape[0], dtype=np.float32) + (top - nose_px[1]),
    )
    radius_x, radius_y = 1.25 * eyes_apart_px, 1.75 * eyes_apart_px
    yaw, pitch = np.radians([yaw_deg, pitch_deg])
    from_x, from_y = x.copy(), y.copy()
    for _ in range(10):
        depth = np.sqrt(np.clip(1 - (from_x / radius_x) ** 2 - (from_y / radius_y) ** 2, 0, None))
        weight, out_px = np.clip(2 * depth, 0, 1), eyes_apart_px * depth
        from_x = x - weight * (np.sin(yaw) * out_px + (np.cos(yaw) - 1) * from_x)
        from_y = y - weight * (np.sin(pitch) * out_px + (np.cos(pitch) - 1) * from_y)
    warped = image.copy()
    warped[top : top + 2 * reach, left : left + 2 * reach] = cv2.remap(
        part,
        (from_x + (nose_px[0] - left)).astype(np.float32),
        (from_y + (nose_px[1] - top)).astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return warped
