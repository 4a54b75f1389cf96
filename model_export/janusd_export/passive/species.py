"""Attacks that training shows: what a print, a screen or a mask makes of a photograph.

A species is one function: (light, where, rng) -> light. It is given the photograph as linear light as it lies
before the camera, undamaged, and where each pixel lies on the sheet; it gives what leaves the sheet towards
the camera. Geometry, edges, hands and the camera are `pictures`' and `camera`'s and the same for all.

What distinguishes media is drawn here: the range of colours and of blacks, the screen of a printer or the
grid of a display (as the wave that is left after a camera's pixel averaged over it, sampled where the pixel
lies: moire comes of itself), glare, the light that a flat surface takes as a whole, bands of a refresh.
No species of `janusd_export.attacks` is made by any of this code: those are for measuring only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from janusd_export.passive.camera import Linear, Plane


@dataclass(frozen=True, slots=True)
class Where:
    """Where the camera's pixels lie on a sheet."""

    x: Plane
    y: Plane
    """(H, W) camera pixels along the sheet's axes, the middle of the face in 0, 0."""
    slope: Plane
    """(H, W) how much brighter the sheet is there for being bent, 1 where it is flat."""
    face_px: float


Medium: TypeAlias = Callable[[Linear, Where, np.random.Generator], Linear]


def plain_print(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """An office printer's ink or toner on plain paper: dull colours, grey blacks, a screen of dots, bands."""
    inked = _ink(light, rng, black=(0.02, 0.11), white=(0.65, 0.92), dull=(0.55, 1.05))
    inked = _dots(inked, where, rng, depth=rng.uniform(0.0, 0.5))
    if rng.random() < 0.4:  # a print head's passes
        wave = _wave(where.y, 1.0 / rng.uniform(3, 25), rng)
        inked = inked * (1 + np.float32(rng.uniform(0.01, 0.06)) * wave)[..., None]
    fibre = rng.uniform(0.004, 0.03) * _cloth(where.x.shape, rng, rng.uniform(0.6, 1.5))
    return _paper(inked * (1 + fibre)[..., None], where, rng)


def glossy_photograph(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A photograph from a laboratory: almost the colours of a screen, but it shines."""
    inked = _ink(light, rng, black=(0.012, 0.05), white=(0.75, 0.95), dull=(0.8, 1.1))
    return _glare(_paper(inked, where, rng), where, rng, much=rng.uniform(0.05, 0.9))


def magazine_page(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Offset print: coarser dots in four angles on paper that shines a little."""
    inked = _ink(light, rng, black=(0.025, 0.1), white=(0.6, 0.88), dull=(0.65, 1.0))
    inked = _dots(inked, where, rng, depth=rng.uniform(0.3, 1.0))
    return _glare(_paper(inked, where, rng), where, rng, much=rng.uniform(0.0, 0.3))


def phone_screen(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A bright phone: vivid, deep blacks lifted by what the glass mirrors, bands of its dimming."""
    shown = _display(light, rng, vivid=(1.0, 1.45), gamma=(0.9, 1.25), bits=8)
    shown = _grid(shown, where, rng, period_px=(0.25, 1.6), depth=(0.05, 0.5))
    shown = _refreshed(shown, rng, chance=0.4)
    return _glass(shown * np.float32(np.exp(rng.uniform(-0.4, 1.1))), where, rng, mirrors=(0.004, 0.06))


def tablet_or_monitor(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A larger liquid crystal screen: bluish or greenish, grey blacks, darker seen from the side."""
    shown = _display(light, rng, vivid=(0.8, 1.15), gamma=(0.8, 1.15), bits=6 if rng.random() < 0.3 else 8)
    leak = rng.uniform(0.002, 0.02)
    shown = shown * np.float32(1 - leak) + np.float32(leak)
    shown = _grid(shown, where, rng, period_px=(0.4, 4.5), depth=(0.1, 0.8))
    side, angle = rng.uniform(0, 0.35), rng.uniform(0, 2 * np.pi)
    along = (where.x * float(np.cos(angle)) + where.y * float(np.sin(angle))) / where.face_px
    shown = shown * np.clip(1 + side * along, 0.4, 1.6).astype(np.float32)[..., None]
    shown = _refreshed(shown, rng, chance=0.3)
    return _glass(shown * np.float32(np.exp(rng.uniform(-0.8, 0.7))), where, rng, mirrors=(0.005, 0.08))


SPECIES: Final[dict[str, Medium]] = {
    "plain print": plain_print, "glossy photograph": glossy_photograph, "magazine page": magazine_page,
    "phone": phone_screen, "tablet or monitor": tablet_or_monitor,
}  # fmt: skip

SCREENS: Final = frozenset({"phone", "tablet or monitor"})


# ----------------------------------------------------------------------------------------------------
# What media are made of


def _ink(
    light: Linear,
    rng: np.random.Generator,
    *,
    black: tuple[float, float],
    white: tuple[float, float],
    dull: tuple[float, float],
) -> Linear:
    """Reflectance: from the darkest ink to bare paper, duller colours, inks that are not pure."""
    grey = light.mean(axis=2, keepdims=True)
    colours = grey + np.float32(rng.uniform(*dull)) * (light - grey)
    impure = np.eye(3) + rng.uniform(0, 0.12, (3, 3)) * (1 - np.eye(3))
    impure /= impure.sum(axis=1, keepdims=True)
    colours = np.clip(colours @ impure.T.astype(np.float32), 0, 1) ** np.float32(rng.uniform(0.75, 1.2))
    darkest = rng.uniform(*black) * np.exp(rng.normal(0, 0.1, 3))
    paper = rng.uniform(*white) * np.exp(rng.normal(0, 0.04, 3))
    return np.asarray(darkest + colours * (paper - darkest), np.float32)


def _dots(light: Linear, where: Where, rng: np.random.Generator, *, depth: float) -> Linear:
    """Four screens at their usual angles; dots are strongest where half the paper is inked."""
    cycles = 1.0 / np.exp(rng.uniform(np.log(0.5), np.log(6.0)))
    turned = rng.uniform(0, np.pi)
    middling = 4 * np.clip(light, 0, 1) * (1 - np.clip(light, 0, 1))
    waves = []
    for degrees in (15.0, 75.0, 0.0):
        angle = np.radians(degrees) + turned
        u = where.x * np.float32(np.cos(angle)) + where.y * np.float32(np.sin(angle))
        v = where.y * np.float32(np.cos(angle)) - where.x * np.float32(np.sin(angle))
        waves.append(_wave(u, cycles, rng) * _wave(v, cycles, rng))
    pattern = np.stack(waves, axis=2) * np.float32(_left(cycles) ** 2)
    return np.asarray(np.clip(light + np.float32(0.35 * depth) * middling * pattern, 0, None), np.float32)


def _grid(
    light: Linear,
    where: Where,
    rng: np.random.Generator,
    *,
    period_px: tuple[float, float],
    depth: tuple[float, float],
) -> Linear:
    """Columns of red, green and blue, and the dark lines between rows."""
    cycles = 1.0 / np.exp(rng.uniform(*np.log(period_px)))
    much, left, phase = rng.uniform(*depth), _left(cycles), rng.uniform(0, 2 * np.pi)
    across = np.stack(
        [np.cos(float(2 * np.pi * cycles) * where.x + (phase + 2 * np.pi * k / 3)) for k in range(3)], axis=2
    )
    down = np.cos(float(2 * np.pi * cycles) * where.y + phase)[..., None]
    pattern = 1 + much * left * (across + 0.6 * down)
    return np.asarray(light * np.clip(pattern, 0, None), np.float32)


def _left(cycles: float) -> float:
    """What a pixel's aperture leaves of a wave of so many cycles a pixel, with a little of the sidelobes."""
    return float(abs(np.sinc(0.9 * cycles)) + 0.04 / (1 + cycles))


def _wave(along: Plane, cycles: float, rng: np.random.Generator) -> Plane:
    return np.asarray(np.cos(float(2 * np.pi * cycles) * along + rng.uniform(0, 2 * np.pi)), np.float32)


def _cloth(shape: tuple[int, ...], rng: np.random.Generator, sigma: float) -> Plane:
    """Smooth noise of deviation 1."""
    noise: Any = cv2.GaussianBlur(rng.standard_normal(shape, dtype=np.float32), (0, 0), sigma)
    return np.asarray(noise / (noise.std() + 1e-6), np.float32)


def _paper(reflects: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Light from one side on a sheet: all of it alike but where it is bent."""
    angle, much = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    along = (where.x * float(np.cos(angle)) + where.y * float(np.sin(angle))) / where.face_px
    falls = np.clip(1 + much * along, 0.3, 1.7).astype(np.float32) * where.slope
    tint = np.exp(rng.normal(0, 0.06, 3)).astype(np.float32) * np.float32(np.exp(rng.normal(0, 0.25)))
    return np.asarray(reflects * falls[..., None] * tint, np.float32)


def _glare(light: Linear, where: Where, rng: np.random.Generator, *, much: float) -> Linear:
    """Lamps and windows that a shining surface mirrors as soft spots and streaks."""
    if rng.random() < 0.25:
        return light
    shine = np.zeros(where.x.shape, np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        x, y = (rng.uniform(-1.2, 1.2, 2) * where.face_px).tolist()
        long, wide = (np.exp(rng.uniform(np.log(0.1), np.log(1.2), 2)) * where.face_px).tolist()
        u = ((where.x - x) * cos + (where.y - y) * sin) / long
        v = ((where.y - y) * cos - (where.x - x) * sin) / wide
        reach = u * u + v * v if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v)) ** rng.uniform(2, 8)
        shine += np.float32(rng.uniform(0.3, 1.0)) * np.exp(-reach).astype(np.float32)
    tint = np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    return np.asarray(light + np.float32(much) * shine[..., None] * tint, np.float32)


def _display(
    light: Linear,
    rng: np.random.Generator,
    *,
    vivid: tuple[float, float],
    gamma: tuple[float, float],
    bits: int,
) -> Linear:
    """What a display makes of a file: its own primaries, curve and white, in so many steps."""
    grey = light.mean(axis=2, keepdims=True)
    shown = np.clip(grey + np.float32(rng.uniform(*vivid)) * (light - grey), 0, 1)
    shown = shown ** np.float32(rng.uniform(*gamma))
    if bits < 8:
        steps = np.float32(2**bits - 1)
        shown = (np.round(np.sqrt(shown) * steps) / steps) ** 2
    white = np.exp([rng.normal(-0.03, 0.06), rng.normal(0, 0.03), rng.normal(0.12, 0.12)])
    return np.asarray(shown * white.astype(np.float32), np.float32)


def _refreshed(light: Linear, rng: np.random.Generator, *, chance: float) -> Linear:
    """Dark bands where the shutter met the display between two pictures."""
    if rng.random() >= chance:
        return light
    rows = np.arange(light.shape[0], dtype=np.float32)
    wave = np.cos(2 * np.pi * (rows / rng.uniform(0.2, 1.5) / len(rows) + rng.random()))
    sharp = np.tanh(rng.uniform(1, 5) * wave)
    return np.asarray(light * (1 + rng.uniform(0.02, 0.2) * sharp)[:, None, None], np.float32)


def _glass(light: Linear, where: Where, rng: np.random.Generator, *, mirrors: tuple[float, float]) -> Linear:
    """The room in the glass: an even veil, and spots."""
    tint = np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
    veiled = light + np.float32(rng.uniform(*mirrors)) * tint
    return _glare(veiled, where, rng, much=rng.uniform(0.0, 0.35) if rng.random() < 0.6 else 0.0)
