"""What weather, hour, camera and hats do to a photograph: SIMULATED, for robustness curves.

Each change is applied to the whole photograph before the detector sees it, so a face that is not found any
more counts against it. Simulations are not measurements: `yaw` turns an ellipsoid with the photograph painted
on, which has no nose to hide a cheek; `light` scales a photograph that was developed for daylight. They rank
encoders and show where one falls off; how a camera at a door does is for a camera at a door to say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image, Points
from janusd_export.detector.turning import turned


@dataclass(frozen=True, slots=True)
class Step:
    """One kind of change at one strength."""

    kind: str
    level: float
    label: str

    @property
    def key(self) -> str:
        """Part of the cache's key."""
        return f"{self.kind}={self.level:g}"

    def __call__(self, image: Image, landmarks_px: Points, seed: int) -> Image:
        """The changed photograph; `seed` draws noise, the same for the same photograph."""
        changed = _KINDS[self.kind](image, landmarks_px, self.level, np.random.default_rng(seed))
        return np.ascontiguousarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Kind:
    """One curve: a kind of change and the strengths at which it is looked at, the plain photograph first."""

    name: str
    axis: str
    what: str
    levels: tuple[tuple[float, str], ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All but the plain one."""
        return tuple(Step(self.name, level, label) for level, label in self.levels[1:])


def _same(values: tuple[float, ...], unit: str = "") -> tuple[tuple[float, str], ...]:
    return tuple((v, f"{v:g}{unit}") for v in values)


CURVES: Final = (
    Kind(
        "light",
        "light that is left",
        "exposure falls from daylight to dusk, sensor noise stays: photons are counted, the darkest are few",
        ((1.0, "all"), (0.5, "1/2"), (0.25, "1/4"), (0.12, "1/8"), (0.06, "1/16"), (0.03, "1/32")),
    ),
    Kind(
        "backlight",
        "glare from behind",
        "the surroundings burn out, the face lies in shade and a veil of stray light lowers its contrast",
        _same((0.0, 0.25, 0.5, 0.75, 0.9)),
    ),
    Kind(
        "blur",
        "length of the smear, in eye distances",
        "the head moves sideways while the shutter is open",
        _same((0.0, 0.1, 0.2, 0.3, 0.45, 0.6)),
    ),
    Kind(
        "resolution",
        "pixels between the eyes",
        "the person stands further back, or the camera is a cheap one",
        ((0.0, "full"), (32.0, "32"), (24.0, "24"), (16.0, "16"), (12.0, "12"), (8.0, "8")),
    ),
    Kind(
        "yaw",
        "degrees of turn",
        "the head turns away; an ellipsoid with the photograph painted on",
        _same((0.0, 10.0, 20.0, 30.0, 45.0)),
    ),
    Kind(
        "nod",
        "degrees up or down",
        "the head nods, up or down by chance; the face bent as though it stood out of the photograph",
        _same((0.0, 10.0, 20.0, 30.0)),
    ),
    Kind(
        "rotation",
        "degrees of tilt",
        "the head, or the camera, is tilted in the picture's plane",
        _same((0.0, 10.0, 20.0, 30.0, 45.0)),
    ),
    Kind(
        "occlusion",
        "what covers the face",
        "a flat patch of one dark colour where the thing would be",
        ((0.0, "nothing"), (1.0, "dark glasses"), (2.0, "cap"), (3.0, "scarf"), (4.0, "one side")),
    ),
)
"""In the order in which they are drawn."""

_Real = NDArray[np.float64]


def _light(image: Image, _: Points, level: float, rng: np.random.Generator) -> _Real:
    """Linear light scaled down, shot and read noise added, a camera's gain brought back up to a fourth."""
    full_well, read = 2000.0, 4.0  # electrons at white, and of read noise: a small sensor at low gain
    linear = (image / 255.0) ** 2.2
    electrons = linear * level * full_well
    noisy = electrons + rng.standard_normal(image.shape) * np.sqrt(electrons + read**2)
    gain = min(4.0, 1.0 / level)  # an automatic exposure goes only so far
    return np.asarray(255.0 * np.clip(noisy / full_well * gain, 0.0, 1.0) ** (1.0 / 2.2))


def _backlight(image: Image, points: Points, level: float, _: np.random.Generator) -> _Real:
    inside = _oval(image, points, 1.6)[:, :, None]
    linear = (image / 255.0) ** 2.2
    face = linear * (1.0 - 0.92 * level) + 0.12 * level  # shade, and stray light in the lens
    around = linear * (1.0 + 4.0 * level) + 0.6 * level
    return np.asarray(255.0 * np.clip(inside * face + (1.0 - inside) * around, 0.0, 1.0) ** (1.0 / 2.2))


def _blur(image: Image, points: Points, level: float, _: np.random.Generator) -> _Real:
    length = max(1.0, level * _between_eyes(points))
    taps = int(np.ceil(length)) | 1
    kernel = np.zeros((1, taps))
    kernel[0, :] = 1.0
    edge = (taps - length) / 2.0  # fractional lengths: the outermost taps count in part
    kernel[0, 0] = kernel[0, -1] = max(0.0, 1.0 - edge) if taps > 1 else 1.0
    blurred = cv2.filter2D(
        image.astype(np.float64), -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(blurred)


def _resolution(image: Image, points: Points, level: float, _: np.random.Generator) -> _Real:
    """Down to `level` pixels between the eyes, and back up, as a detector that needs some size would."""
    scale = level / _between_eyes(points)
    if scale >= 1.0:
        return image.astype(np.float64)
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    back = cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return back.astype(np.float64)


def _yaw(image: Image, points: Points, level: float, rng: np.random.Generator) -> _Real:
    """Turn an ellipsoid about its upright axis, to a side drawn for each photograph.

    Seen along z (orthographic), the ellipsoid's cross-section at a height is an ellipse with half-axes a
    across and c in depth. Where a ray of the turned ellipse meets its front is found by a quadratic; turning
    that point back tells from which column of the photograph it was painted.
    """
    turn = np.deg2rad(level) * (1 if rng.random() < 0.5 else -1)
    across, down, centre = _axes(points)
    wide, tall = 1.15 * _between_eyes(points), 1.65 * _between_eyes(points)
    deep = 1.1 * wide
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float64)
    dx, dy = columns - centre[0], rows - centre[1]
    u, v = dx * across[0] + dy * across[1], dx * down[0] + dy * down[1]
    shrink = np.sqrt(np.clip(1.0 - (v / tall) ** 2, 0.0, None))
    a, c = np.maximum(wide * shrink, 1e-6), np.maximum(deep * shrink, 1e-6)
    sin, cos = np.sin(turn), np.cos(turn)
    # x = u cos - z sin, depth = u sin + z cos on (x/a)^2 + (depth/c)^2 = 1, solved for z, the nearer one
    p = (sin / a) ** 2 + (cos / c) ** 2
    q = u * sin * cos * (1.0 / c**2 - 1.0 / a**2)
    r = u**2 * ((cos / a) ** 2 + (sin / c) ** 2) - 1.0
    under = q**2 - p * r
    is_face = (under > 0.0) & (shrink > 0.0)
    z = (-q + np.sqrt(np.clip(under, 0.0, None))) / p
    x = u * cos - z * sin
    source_u = np.where(is_face, np.clip(x, -a, a), u)  # the far cheek was never photographed
    map_x = (centre[0] + source_u * across[0] + v * down[0]).astype(np.float32)
    map_y = (centre[1] + source_u * across[1] + v * down[1]).astype(np.float32)
    painted = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return painted.astype(np.float64)


def _nod(image: Image, points: Points, level: float, rng: np.random.Generator) -> _Real:
    side = 1 if rng.random() < 0.5 else -1
    return turned(image, points, 0.0, side * level)[0].astype(np.float64)


def _rotation(image: Image, points: Points, level: float, rng: np.random.Generator) -> _Real:
    side = 1 if rng.random() < 0.5 else -1
    centre = points.mean(axis=0).astype(np.float64)
    matrix = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), side * level, 1.0)
    tilted = cv2.warpAffine(
        image,
        matrix,
        (image.shape[1], image.shape[0]),
        borderMode=cv2.BORDER_REPLICATE,
        flags=cv2.INTER_LINEAR,
    )
    return tilted.astype(np.float64)


def _occlusion(image: Image, points: Points, level: float, rng: np.random.Generator) -> _Real:
    """1 dark glasses, 2 a cap down to the brows, 3 a scarf up to the nose, 4 one half of the face."""
    across, down, centre = _axes(points)
    eyes = points[:2].mean(axis=0).astype(np.float64)
    eye = _between_eyes(points)
    away = centre - eyes
    height = float(away @ down)  # of the middle of the face under the eyes' line
    spans = {
        1: (-1.05, 1.05, -0.32 * eye, 0.36 * eye),
        2: (-1.5, 1.5, -2.2 * eye, -0.38 * eye),
        3: (-1.5, 1.5, 0.75 * eye, 2.4 * eye),
        4: ((-1.5, 0.0) if rng.random() < 0.5 else (0.0, 1.5)) + (height - 1.8 * eye, height + 1.8 * eye),
    }
    left, right, top, bottom = spans[int(level)]
    corners = [
        eyes + across * x * eye + down * y
        for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))
    ]
    covered = image.astype(np.float64)
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.rint(np.array(corners)).astype(np.int32), 1)
    covered[mask == 1] = rng.uniform(10.0, 70.0, 3)
    return covered


_KINDS: Final[dict[str, Callable[[Image, Points, float, np.random.Generator], _Real]]] = {
    "light": _light,
    "backlight": _backlight,
    "blur": _blur,
    "resolution": _resolution,
    "yaw": _yaw,
    "nod": _nod,
    "rotation": _rotation,
    "occlusion": _occlusion,
}


def _between_eyes(points: Points) -> float:
    return max(4.0, float(np.hypot(*(points[1] - points[0]))))


def _axes(points: Points) -> tuple[_Real, _Real, _Real]:
    """Unit vectors across and down the face, and its centre: between the eyes and the mouth."""
    across = (points[1] - points[0]).astype(np.float64)
    across /= max(1e-6, float(np.hypot(*across)))
    down = np.array([-across[1], across[0]])
    centre = (points[:2].mean(axis=0) + points[3:].mean(axis=0)).astype(np.float64) / 2.0
    return across, down, centre


def _oval(image: Image, points: Points, size: float) -> _Real:
    """(H, W) 1 within an oval around the face, falling softly to 0 outside."""
    across, down, centre = _axes(points)
    rows, columns = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float64)
    dx, dy = columns - centre[0], rows - centre[1]
    eye = size * _between_eyes(points)
    radius = np.hypot((dx * across[0] + dy * across[1]) / eye, (dx * down[0] + dy * down[1]) / (1.4 * eye))
    return np.asarray(1.0 / (1.0 + np.exp(8.0 * (radius - 1.0))))
