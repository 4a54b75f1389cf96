"""Compose what the door's camera sees: people from the album before a procedural street.

The camera is 640 x 480 with a horizontal field of view of 56 degrees, at eye height. Light is put together
linearly (sRGB decoded to 0..1), because that is where lamps add, haze veils and sensors count photons; noise
comes last. The same arguments give the same pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image
from janusd.demo.album import View
from janusd.demo.backdrop import Field, Linear, backdrop
from janusd.demo.figure import EYES_APART_PX, EYES_MIDDLE_PX, figure

WIDTH_PX: Final = 640
HEIGHT_PX: Final = 480
FOCAL_PX: Final = WIDTH_PX / 2 / math.tan(math.radians(56 / 2))
EYES_APART_M: Final = 0.063  # adult mean (Dodgson 2004)
_EYE_LEVEL_PX: Final = 205.0


class Light(StrEnum):
    """The light at the door."""

    NOON = "noon"
    OVERCAST = "overcast"
    DUSK = "dusk"
    LAMP = "lamp"
    """After dark, under the lamp over the door."""
    BACKLIGHT = "backlight"
    """A bright street behind a shaded visitor."""
    NIGHT = "night"
    """After dark without the lamp: too dark for any face."""


@dataclass(frozen=True, slots=True)
class Stance:
    """One person before the camera in one frame."""

    view: View
    distance_m: float = 0.6
    x: float = 0.0
    """Where the face is: -1 the frame's left border, 0 its middle, 1 its right border."""
    rise_px: float = 0.0
    """How far the eyes are above the camera's eye level."""
    tilt_deg: float = 0.0
    """Positive: the head is tilted clockwise in the image, on top of the portrait's own tilt."""
    smear_px: float = 0.0
    """Sideways motion during the exposure."""

    @property
    def inter_ocular_px(self) -> float:
        """How far apart the eyes are in the frame."""
        return FOCAL_PX * EYES_APART_M / self.distance_m

    @property
    def between_eyes_px(self) -> tuple[float, float]:
        """Where the middle between the eyes is in the frame (x, y)."""
        return WIDTH_PX / 2 * (1 + self.x), _EYE_LEVEL_PX - self.rise_px


@dataclass(frozen=True, slots=True)
class _Shine:
    """What a `Light` does to people, street and sensor. Gains are linear."""

    person: float
    street: float
    tint: tuple[float, float, float]
    side: float
    """How much brighter a face gets towards the right, per eye distance."""
    veil: float
    """Stray light, added everywhere."""
    read_noise: float
    """Standard deviation, linear."""


_SHINE: Final = {
    Light.NOON: _Shine(1.08, 1.0, (1.02, 1.0, 0.96), 0.10, 0.0, 0.0012),
    Light.OVERCAST: _Shine(0.86, 0.74, (0.96, 1.0, 1.05), 0.0, 0.010, 0.0020),
    Light.DUSK: _Shine(0.52, 0.22, (1.14, 0.98, 0.80), -0.10, 0.004, 0.0040),
    Light.LAMP: _Shine(0.66, 0.035, (1.20, 0.98, 0.72), 0.05, 0.003, 0.0040),
    Light.BACKLIGHT: _Shine(0.52, 1.7, (1.02, 1.0, 0.98), -0.06, 0.030, 0.0020),
    Light.NIGHT: _Shine(0.014, 0.010, (0.90, 1.0, 1.12), 0.0, 0.0005, 0.0022),
}
_SHOT_NOISE: Final = (
    0.0004  # variance per unit of signal: a full well of 2,500 electrons, a small sensor at gain
)


def compose(
    people: Sequence[Stance], light: Light = Light.NOON, *, seed: int = 0, street_seed: int = 0
) -> Image:
    """Give one frame, (480, 640, 3) RGB: these people, the nearest in front, or nobody.

    `seed` draws the sensor's noise; `street_seed` the house and the hedge, which stay as they are between
    frames.
    """
    shine = _SHINE[light]
    picture = backdrop(street_seed, WIDTH_PX, HEIGHT_PX) * np.float32(shine.street)
    for stance in sorted(people, key=lambda person: -person.distance_m):
        colours, opacity = _placed(stance)
        columns = np.arange(WIDTH_PX, dtype=np.float32) - np.float32(stance.between_eyes_px[0])
        across = np.clip(1 + shine.side * columns / stance.inter_ocular_px, 0.6, 1.5)
        lit = colours * (across * np.float32(shine.person))[None, :, None]
        picture = picture + opacity[..., None] * (lit - picture)
    picture = (picture + _glare(picture)) * np.array(shine.tint, np.float32) + np.float32(shine.veil)
    return _encode(_sensed(picture, shine.read_noise, np.random.default_rng(seed)))


def _placed(stance: Stance) -> tuple[Linear, Field]:
    """Give a person's linear colours and opacity on the whole frame."""
    canvas = figure(stance.view)
    scale, eyes = stance.inter_ocular_px / EYES_APART_PX, np.array(EYES_MIDDLE_PX)
    if scale < 1:  # warpAffine does not average: make the picture small enough first
        height, width = canvas.shape[:2]
        size = (round(width * scale), round(height * scale))
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
        eyes = eyes * (size[0] / width, size[1] / height)
        scale = 1.0
    turn = cv2.getRotationMatrix2D((float(eyes[0]), float(eyes[1])), -stance.tilt_deg, scale)  # (2, 3)
    turn[:, 2] += np.array(stance.between_eyes_px) - eyes
    frame = cv2.warpAffine(
        canvas, turn, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if stance.smear_px >= 2:
        frame = cv2.blur(frame, (round(stance.smear_px), 1))
    opacity = frame[..., 3].astype(np.float32) / 255
    colours = frame[..., :3].astype(np.float32) / np.maximum(opacity, 1 / 255)[..., None]
    pixels = np.clip(colours + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, _TO_LINEAR), np.float32), opacity.astype(np.float32)


def _glare(picture: Linear) -> Linear:
    """Give the halo that the lens spreads from overexposed places."""
    height, width = picture.shape[:2]
    small = cv2.resize(
        np.clip(picture - 0.8, 0, None), (width // 8, height // 8), interpolation=cv2.INTER_AREA
    )
    return np.asarray(0.25 * cv2.resize(cv2.GaussianBlur(small, (0, 0), 4), (width, height)), np.float32)


def _sensed(picture: Linear, read_noise: float, rng: np.random.Generator) -> Linear:
    """Add what a sensor adds: shot noise that grows with the light, and read noise."""
    deviation = np.sqrt(np.clip(picture, 0, 1) * np.float32(_SHOT_NOISE) + np.float32(read_noise**2))
    return np.asarray(picture + deviation * rng.standard_normal(picture.shape, dtype=np.float32), np.float32)


def _encode(picture: Linear) -> Image:
    """Encode linear light as 8-bit sRGB."""
    return np.asarray(_FROM_LINEAR[np.clip(picture * 4095 + 0.5, 0, 4095).astype(np.uint16)], np.uint8)


def _decoding() -> NDArray[np.float32]:
    """IEC 61966-2-1: 8-bit sRGB to linear light."""
    v = np.arange(256) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _encoding() -> NDArray[np.uint8]:
    """IEC 61966-2-1: linear light in 4,096 steps to 8-bit sRGB."""
    v = np.arange(4096) / 4095
    encoded = np.where(v <= 0.0031308, v * 12.92, 1.055 * v ** (1 / 2.4) - 0.055)
    return (encoded * 255 + 0.5).astype(np.uint8)


_TO_LINEAR: Final = _decoding()
_FROM_LINEAR: Final = _encoding()
