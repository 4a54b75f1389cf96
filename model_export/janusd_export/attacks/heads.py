"""Landmarks of heads, sheets and films before a pinhole camera: SIMULATED presentations.

A presentation is (n, 5, 2) float32 pixels, one row a frame. Heads have five points of their own, drawn around
the mean head; a sheet carries the projection of such a head, printed life-size, and is then moved, turned and
bent itself. Landmarks get white noise of `noise_px` and a bias that stays for the presentation.

The species are in two lists. The bounds of `core.parallax` and `core.challenge` were chosen on genuine heads
and `DEVELOPMENT`; nothing was tuned on `HELD_OUT`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Points3: TypeAlias = NDArray[np.float64]
"""(5, 3) millimetres: x to the image's right, y down, z away from the camera."""

Angles: TypeAlias = NDArray[np.float64]
"""(n, 3) radians: yaw (positive: to the image's right), pitch (positive: down), roll, one row a frame."""

Film: TypeAlias = NDArray[np.float32]
"""(n, 5, 2) pixels."""

WIDTH_PX: Final = 640
HEIGHT_PX: Final = 480
FOCAL_PX: Final = 602.0
_MEAN: Final = np.array(
    [[-31.5, -32.0, 28.0], [31.5, -32.0, 28.0], [0.0, 0.0, 0.0], [-25.0, 30.0, 22.0], [25.0, 30.0, 22.0]]
)
_PIVOT_MM: Final = np.array([0.0, 0.0, 95.0])
"""A head turns about its neck, not about its nose."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the camera makes of it."""

    fps: float = 10.0
    seconds: float = 4.0
    noise_px: float = 2.0
    bias_px: float = 1.0

    @property
    def frames(self) -> int:
        """How many."""
        return round(self.fps * self.seconds)


def somebody(rng: np.random.Generator) -> Points3:
    """A head: the mean one, with depth, width and height of its own."""
    scale = np.array([rng.normal(1, 0.05), rng.normal(1, 0.05), rng.normal(1, 0.12)])
    return np.asarray(_MEAN * scale + rng.normal(0, 1.2, (5, 3)))


def natural(rng: np.random.Generator, setting: Setting, reach_deg: float) -> Angles:
    """Somebody who was asked to turn the head: to one side and to the other, by about `reach_deg`."""
    t = np.linspace(0, 1, setting.frames)
    side = -1.0 if rng.random() < 0.5 else 1.0
    left, right = reach_deg * rng.uniform(0.8, 1.25, 2)
    yaw = side * np.where(t < 0.5, left * np.sin(2 * np.pi * t), right * np.sin(2 * np.pi * t))
    pitch = rng.normal(0, 3) + rng.uniform(0, 5) * np.sin(
        2 * np.pi * (t * rng.uniform(0.5, 1.5) + rng.random())
    )
    roll = rng.normal(0, 2) + rng.uniform(0, 3) * np.sin(2 * np.pi * (t + rng.random()))
    return np.radians(np.stack([yaw, pitch, roll], axis=1))


def held(rng: np.random.Generator, setting: Setting, reach_deg: float) -> Angles:
    """A hand that holds something, and waves and tilts it by about `reach_deg` in every way."""
    t = np.linspace(0, setting.seconds, setting.frames)
    waves = [
        rng.normal(0, 4)
        + reach_deg * rng.uniform(0.3, 1.2) * np.sin(rng.uniform(0.8, 3) * t + rng.uniform(0, 6.3))
        for _ in range(2)
    ]
    return np.radians(np.stack([*waves, rng.normal(0, 3) + 3 * np.sin(2 * t)], axis=1))


def turned(points: NDArray[np.float64], angles: Angles, pivot: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k, 3): points turned about a pivot, once a frame."""
    frames = []
    for yaw, pitch, roll in angles:
        y = np.array([[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]])
        x = np.array(
            [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
        )
        z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
        frames.append((points - pivot) @ (y @ x @ z).T + pivot)
    return np.stack(frames)


def filmed(
    points: NDArray[np.float64], rng: np.random.Generator, setting: Setting, distance_mm: float = 0.0
) -> Film:
    """(n, 5, 2): what the camera sees of points that are already turned, and a detector finds."""
    n = len(points)
    z_mm = distance_mm or rng.uniform(420, 700)
    t = np.linspace(0, 2 * np.pi, n)
    drift = np.stack([rng.uniform(5, 25) * np.sin(t + rng.uniform(0, 6)), rng.uniform(3, 12) * np.cos(t),
                      rng.uniform(5, 40) * np.sin(t / 2)], axis=1)  # fmt: skip
    at = points + np.array([rng.uniform(-60, 60), rng.uniform(-30, 30), z_mm]) + drift[:, np.newaxis]
    pixels = FOCAL_PX * at[..., :2] / at[..., 2:] + np.array([WIDTH_PX / 2, HEIGHT_PX / 2])
    bias = rng.normal(0, setting.bias_px, (1, 5, 2))
    return np.asarray(pixels + bias + rng.normal(0, setting.noise_px, pixels.shape), np.float32)


def printed(head: Points3, rng: np.random.Generator, yaw_deg: float = 0.0) -> NDArray[np.float64]:
    """(5, 3): a head's points on a flat sheet, life-size, photographed from 1 to 2 m."""
    pose = np.radians([[yaw_deg + rng.normal(0, 3), rng.normal(0, 3), 0]])
    at = turned(head, pose, _PIVOT_MM)[0] + np.array([0, 0, rng.uniform(900, 2000)])
    flat = at[:, :2] / at[:, 2:] * at[2, 2]
    return np.column_stack([flat - flat[2], np.zeros(5)])


def genuine(rng: np.random.Generator, setting: Setting) -> Film:
    """Somebody who turns the head by about 15 degrees to either side, as they were asked."""
    return filmed(turned(somebody(rng), natural(rng, setting, rng.uniform(12, 22)), _PIVOT_MM), rng, setting)


def standing(rng: np.random.Generator, setting: Setting) -> Film:
    """Somebody who stands still and smiles or speaks now and then."""
    head = somebody(rng)
    film = turned(head, held(rng, setting, 2.0), _PIVOT_MM)
    film[:, 3:, 1] += (
        rng.uniform(2, 9) * np.abs(np.sin(np.linspace(0, rng.uniform(3, 12), len(film))))[:, np.newaxis]
    )
    return filmed(film, rng, setting)


def flat_print(rng: np.random.Generator, setting: Setting) -> Film:
    """A flat print, waved and tilted by up to some 35 degrees."""
    sheet = printed(somebody(rng), rng)
    return filmed(turned(sheet, held(rng, setting, rng.uniform(3, 35)), np.zeros(3)), rng, setting)


def bent_print(rng: np.random.Generator, setting: Setting) -> Film:
    """A print bent about an upright axis like a face, radius 60 to 200 mm, and waved."""
    sheet = rolled(printed(somebody(rng), rng), rng.uniform(60, 200))
    return filmed(turned(sheet, held(rng, setting, rng.uniform(3, 30)), np.zeros(3)), rng, setting)


def still_in_a_film(rng: np.random.Generator, setting: Setting) -> Film:
    """A still picture in a film: panned, zoomed and turned in its own plane, as programs animate them."""
    sheet = printed(somebody(rng), rng)
    t = np.linspace(0, 1, setting.frames)[:, np.newaxis, np.newaxis]
    zoom = 1 + rng.uniform(0.0, 0.6) * t
    angles = np.zeros((setting.frames, 3))
    angles[:, 2] = np.radians(rng.uniform(-15, 15)) * t[:, 0, 0]
    pan = np.array([rng.uniform(-60, 60), rng.uniform(-30, 30), 0])
    return filmed(turned(sheet, angles, np.zeros(3)) * zoom + pan * t, rng, setting, 550)


def wrapped_sheet(rng: np.random.Generator, setting: Setting) -> Film:
    """A sheet bent about a slanted axis, more on one side than on the other, and bent further while waved."""
    sheet = printed(somebody(rng), rng)
    slant = rng.uniform(-0.8, 0.8)
    along = sheet[:, 0] * math.cos(slant) + sheet[:, 1] * math.sin(slant)
    waves = 1 + 0.4 * np.sin(np.linspace(0, rng.uniform(2, 9), setting.frames))
    depth = along**2 / (2 * rng.uniform(90, 300)) + 2e-4 * rng.normal() * along**2
    bent = np.repeat(sheet[np.newaxis], setting.frames, axis=0)
    bent[..., 2] += waves[:, np.newaxis] * depth
    angles = held(rng, setting, rng.uniform(3, 30))
    return filmed(_waved(bent, angles), rng, setting)  # fmt: skip


def crumpled_sheet(rng: np.random.Generator, setting: Setting) -> Film:
    """A sheet with a fold through the nose that opens and closes like a book, and is turned."""
    sheet = printed(somebody(rng), rng)
    fold = np.radians(rng.uniform(5, 20)) * (
        1 + 0.5 * np.sin(np.linspace(0, rng.uniform(2, 8), setting.frames))
    )
    frames = np.repeat(sheet[np.newaxis], setting.frames, axis=0)
    frames[..., 2] += np.abs(sheet[:, 0]) * np.tan(fold)[:, np.newaxis]
    angles = held(rng, setting, rng.uniform(3, 25))
    return filmed(_waved(frames, angles), rng, setting)  # fmt: skip


def spun_tablet(rng: np.random.Generator, setting: Setting) -> Film:
    """A tablet with one picture on it, swung about its edge by up to 50 degrees, near the camera."""
    sheet = printed(somebody(rng), rng) * rng.uniform(0.5, 1.0)
    angles = np.zeros((setting.frames, 3))
    swing = np.radians(rng.uniform(20, 50)) * np.sin(np.linspace(0, rng.uniform(2, 8), setting.frames))
    angles[:, 0 if rng.random() < 0.6 else 1] = swing
    edge = np.array([rng.choice([-90.0, 90.0]), rng.choice([-60.0, 60.0]), 0.0])
    return filmed(turned(sheet, angles, edge), rng, setting, float(rng.uniform(280, 500)))


def replayed_turn(rng: np.random.Generator, setting: Setting) -> Film:
    """A film of a head that turns, played on a screen: together its pictures have relief."""
    head = somebody(rng)
    views = turned(head, natural(rng, setting, rng.uniform(15, 28)), _PIVOT_MM) + np.array([0, 0, 700.0])
    flat = views[..., :2] / views[..., 2:] * 700.0
    screen = np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)
    angles = held(rng, setting, 3.0)
    return filmed(_waved(screen, angles), rng, setting)  # fmt: skip


def _waved(frames: NDArray[np.float64], angles: Angles) -> NDArray[np.float64]:
    """A sheet that has another shape in each frame, turned about its middle."""
    nowhere = np.zeros(3)
    return np.stack([turned(f, a[np.newaxis], nowhere)[0] for f, a in zip(frames, angles, strict=True)])


def rolled(sheet: NDArray[np.float64], radius_mm: float) -> NDArray[np.float64]:
    """A sheet bent about an upright axis, its middle nearest to the camera."""
    bent = sheet.copy()
    angle = sheet[:, 0] / radius_mm
    bent[:, 0] = radius_mm * np.sin(angle)
    bent[:, 2] += radius_mm * (1 - np.cos(angle))
    return bent


Species: TypeAlias = Callable[[np.random.Generator, Setting], Film]

GENUINE: Final[Mapping[str, Species]] = {"turns the head": genuine}
DEVELOPMENT: Final[Mapping[str, Species]] = {
    "flat print, waved": flat_print, "bent print, waved": bent_print, "still in a film": still_in_a_film,
}  # fmt: skip
HELD_OUT: Final[Mapping[str, Species]] = {
    "sheet bent while waved": wrapped_sheet, "sheet folded at the nose": crumpled_sheet,
    "tablet swung about its edge": spun_tablet,
    "film of a turning head": replayed_turn,
}  # fmt: skip
