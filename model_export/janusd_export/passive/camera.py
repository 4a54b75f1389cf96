"""The camera everything passes, living or not: lens, sensor, development, coding.

A scene is linear light, (H, W, 3) float32 in RGB, 1 about what fills the sensor. What the camera makes of it
is drawn once for a presentation (`Camera.drawn`); noise is new in every frame. Living faces and attacks meet
the same cameras: nothing in here may depend on what is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image

Linear: TypeAlias = NDArray[np.float32]
"""(H, W, 3) linear light."""

Plane: TypeAlias = NDArray[np.float32]
"""(H, W) of anything."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera in one light."""

    exposure: float
    """Where its exposure control puts the middle's mean, linear."""
    balance: tuple[float, float, float]
    grey_world: float
    """How far it takes the scene's mean for grey, 0..1."""
    veil: float
    """Stray light in the lens."""
    blur_px: float
    smear_px: tuple[float, float]
    """Motion during the exposure (x, y)."""
    mosaic: bool
    shot: float
    """Variance per unit of signal."""
    read: float
    smooths: float
    """Sigma of its noise reduction in pixels."""
    gamma: float
    contrast: float
    saturation: float
    sharpen: float
    flicker: tuple[float, float]
    """Bands of a lamp that flickers: depth, rows."""
    quality: tuple[int, ...]
    """JPEG, once or twice; empty: raw pictures."""
    reduce: float
    """It computes its picture from a larger one by this factor, 1 or less."""

    @staticmethod
    def drawn(rng: np.random.Generator) -> Camera:
        """Any camera."""
        chance = rng.random
        turn, length = rng.uniform(0, np.pi), rng.uniform(1.5, 6) if chance() < 0.15 else 0.0
        codings = int(rng.choice(3, p=(0.35, 0.5, 0.15)))
        exposure = float(np.clip(0.21 * np.exp(rng.normal(0, 0.4)), 0.05, 0.55))
        red, green, blue = np.exp(rng.normal(0, 0.07, 3)).tolist()
        return Camera(
            exposure=exposure,
            balance=(red, green, blue),
            grey_world=float(rng.uniform(0, 0.8)),
            veil=float(rng.uniform(0, 0.04)) if chance() < 0.4 else 0.0,
            blur_px=float(np.exp(rng.uniform(np.log(0.25), np.log(1.3)))),
            smear_px=(float(length * np.cos(turn)), float(length * np.sin(turn))),
            mosaic=bool(chance() < 0.6),
            shot=float(np.exp(rng.uniform(np.log(1e-4), np.log(2.5e-3)))),
            read=float(np.exp(rng.uniform(np.log(8e-4), np.log(8e-3)))),
            smooths=float(rng.uniform(0.4, 0.9)) if chance() < 0.35 else 0.0,
            gamma=float(rng.uniform(1.9, 2.5)),
            contrast=float(rng.uniform(-0.1, 0.5)),
            saturation=0.0 if chance() < 0.02 else float(rng.uniform(0.65, 1.3)),
            sharpen=float(rng.uniform(0.2, 1.3)) if chance() < 0.6 else 0.0,
            flicker=(rng.uniform(0.01, 0.08), rng.uniform(30, 300)) if chance() < 0.08 else (0.0, 1.0),
            quality=tuple(int(n) for n in rng.integers(45, 97, codings)),
            reduce=float(rng.uniform(0.55, 0.95)) if chance() < 0.25 else 1.0,
        )  # fmt: skip


def shoot(camera: Camera, scene: Linear, rng: np.random.Generator) -> Image:
    """One frame of this scene."""
    height, width = scene.shape[:2]
    light: Any = scene
    if camera.reduce < 1.0:  # a sensor of more pixels than the frame has
        big = (round(width / camera.reduce), round(height / camera.reduce))
        light = cv2.resize(light, big, interpolation=cv2.INTER_LINEAR)
    light = _through_lens(camera, light)
    light = _exposed(camera, light)
    if camera.flicker[0]:
        depth, rows = camera.flicker
        wave = depth * np.cos(2 * np.pi * (np.arange(light.shape[0]) / rows + rng.random()))
        light = light * (1 + wave.astype(np.float32))[:, None, None]
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    light = light + noise * np.sqrt(
        np.clip(light, 0, 1) * np.float32(camera.shot) + np.float32(camera.read**2)
    )
    return _developed(camera, light, (width, height))


def _through_lens(camera: Camera, light: Any) -> Any:  # noqa: ANN401  # OpenCV's arrays
    light = cv2.GaussianBlur(light, (0, 0), camera.blur_px)
    x, y = camera.smear_px
    length = float(np.hypot(x, y))
    if length > 1.0:
        kernel = np.zeros((9, 9), np.float32)
        for step in np.linspace(-0.5, 0.5, 25):
            kernel[round(4 + step * y), round(4 + step * x)] += 1.0
        light = cv2.filter2D(light, -1, kernel / kernel.sum())
    return light


def _exposed(camera: Camera, light: Any) -> Any:  # noqa: ANN401
    height, width = light.shape[:2]
    middle = light[height // 5 : -height // 5, width // 5 : -width // 5]
    mean = np.maximum(middle.reshape(-1, 3).mean(axis=0), 1e-4)
    gain = np.array(camera.balance) * (mean.mean() / mean) ** camera.grey_world
    gain *= camera.exposure / mean.mean()
    return light * gain.astype(np.float32) + np.float32(camera.veil)


def _developed(camera: Camera, light: Any, size: tuple[int, int]) -> Image:  # noqa: ANN401
    """From what the sensor counted to eight bits."""
    coded = _tones(camera.gamma, camera.contrast)[np.clip(light * 4095, 0, 4095).astype(np.uint16)]
    if camera.mosaic:  # every pixel of a sensor sees one colour
        raw = np.empty(coded.shape[:2], np.uint8)
        raw[0::2, 0::2], raw[1::2, 1::2] = coded[0::2, 0::2, 0], coded[1::2, 1::2, 2]
        raw[0::2, 1::2], raw[1::2, 0::2] = coded[0::2, 1::2, 1], coded[1::2, 0::2, 1]
        coded = cv2.cvtColor(raw, cv2.COLOR_BayerBG2RGB)  # OpenCV names a pattern by its second row
    image: Any = coded
    if camera.smooths:
        image = cv2.GaussianBlur(image, (0, 0), camera.smooths)
    if camera.reduce < 1.0:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if camera.saturation != 1.0:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.addWeighted(image, camera.saturation, grey, 1.0 - camera.saturation, 0)
    if camera.sharpen:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = cv2.addWeighted(image, 1.0 + camera.sharpen, soft, -camera.sharpen, 0)
    for quality in camera.quality:
        image = cv2.imdecode(
            cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR
        )
    return np.asarray(image, np.uint8)


def _tones(gamma: float, contrast: float) -> NDArray[np.uint8]:
    level = (np.arange(4096) / 4095) ** (1 / gamma)
    bent = level + contrast * (level * level * (3 - 2 * level) - level)
    return np.clip(255 * bent + 0.5, 0, 255).astype(np.uint8)


_DECODED: Final = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)


def to_light(image: Image) -> Linear:
    """A photograph's pixels as linear light, 1 its white."""
    return np.asarray(_DECODED[image], np.float32)
