"""More prints that training shows: ink set dot by dot, grained surfaces, folds, fading, and media of no name.

Dots are thresholds: where the ink wanted is above the tile's value there, ink lies (Ulichney 1987, chapters
5 and 8). A clustered tile gives offset print's screen, one of noise a printer's scattered droplets. Other
code than `species` on purpose. Torn, crumpled and laminated paper and copies of copies are left to those who
measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np

from janusd_export.passive import displays, lattice
from janusd_export.passive.camera import Linear, Plane
from janusd_export.passive.species import Medium, Where

_LEVELS: Final = 9


def screened_print(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Four inks, each on its own turned screen of dots that grow."""
    inked = _inked(_corrected(light, rng), where, rng, _clustered(rng), period_px=(0.6, 5.0))
    return _lit_sheet(_on_paper(inked, rng), where, rng)


def sprayed_print(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Droplets scattered as noise, stripes of the head's passes, sometimes one ink nearly empty."""
    tile = _scattered(rng)
    inked = _inked(_corrected(light, rng), where, rng, _of(tile), period_px=(6.0, 40.0))
    if rng.random() < 0.5:
        angle = rng.choice((0.0, np.pi / 2))
        along, _ = lattice.turned(where.x, where.y, rng.uniform(2, 30), angle)
        stripes = 1 + np.float32(rng.uniform(0.01, 0.08)) * np.cos(2 * np.pi * along)
        inked = inked * stripes[..., None]
    if rng.random() < 0.25:
        inked[..., int(rng.integers(3))] += np.float32(rng.uniform(0.05, 0.25))
    return _lit_sheet(_on_paper(np.clip(inked, 0, 1), rng), where, rng)


def black_print(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Black ink or toner alone, by either kind of dots; brown and grey ones too."""
    grey = light @ np.array([0.3, 0.55, 0.15], np.float32)
    grey = grey[..., None].repeat(3, axis=2)
    if rng.random() < 0.5:
        tile, period = _clustered(rng), (0.8, 4.0)
    else:
        tile, period = _of(_scattered(rng)), (6.0, 30.0)
    inked = _inked(_corrected(grey, rng), where, rng, tile, period_px=period, only_black=True)
    tone = np.exp(rng.normal(0, 0.08, 3) + (np.array([0.15, 0.0, -0.2]) if rng.random() < 0.25 else 0))
    return _lit_sheet(_on_paper(np.clip(inked * tone.astype(np.float32), 0, 1), rng), where, rng)


def grained_photograph(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Without dots, on a surface of silk, canvas or linen that catches the light; fresh or faded."""
    toned = _corrected(light, rng)
    if rng.random() < 0.4:  # a dye that went first
        lost = np.ones(3)
        lost[int(rng.integers(3))] = rng.uniform(0.4, 0.9)
        toned = toned ** lost.astype(np.float32)
    lit = _lit_sheet(_on_paper(toned, rng), where, rng)
    return _embossed(lit, where, rng)


def folded_sheet(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Any of these after somebody had it folded in a pocket."""
    kind = (screened_print, sprayed_print, black_print, grained_photograph)[int(rng.integers(4))]
    lit = kind(light, where, rng)
    for _ in range(int(rng.integers(1, 4))):
        angle, off = (
            rng.choice((0.0, np.pi / 2)) + rng.normal(0, 0.03),
            rng.uniform(-0.9, 0.9) * where.face_px,
        )
        across = where.x * np.float32(np.cos(angle)) + where.y * np.float32(np.sin(angle)) - np.float32(off)
        wide = np.float32(rng.uniform(0.005, 0.02) * where.face_px + 0.4)
        lean = np.float32(rng.uniform(-0.2, 0.2))
        bent = 1 + lean * np.tanh(across / (3 * wide)) * np.exp(-np.abs(across) / (0.8 * where.face_px))
        line = np.float32(rng.uniform(-0.35, 0.5)) * np.exp(-((across / wide) ** 2))
        lit = lit * np.clip(bent + line, 0.2, 2.0)[..., None].astype(np.float32)
    return np.asarray(lit, np.float32)


def nameless(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """No medium there is: any curve, colours, lattice, grain and light, so that none is learnt by heart."""
    shown = np.clip(light, 0, 1)
    if rng.random() < 0.3:
        shown = displays.streamed(shown, rng)
    mixed = np.eye(3) + rng.normal(0, 0.12, (3, 3))
    shown = np.clip(shown @ mixed.T.astype(np.float32), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.25)))
    low, high = rng.uniform(0, 0.15), rng.uniform(0.5, 1.1)
    shown = np.float32(low) + np.float32(high - low) * shown
    if rng.random() < 0.75:
        tile = _spectrum(rng)
        pitch, angle = float(np.exp(rng.uniform(np.log(0.5), np.log(12.0)))), rng.uniform(0, np.pi)
        pattern = lattice.looked_up(
            lattice.averaged(tile, pitch).astype(np.float32), *lattice.turned(where.x, where.y, pitch, angle)
        )
        depth = np.float32(np.exp(rng.uniform(np.log(0.03), np.log(0.6))))
        where_strong = 1.0 if rng.random() < 0.5 else 4 * np.clip(shown, 0, 1) * (1 - np.clip(shown, 0, 1))
        shown = np.clip(shown * (1 + depth * where_strong * pattern[..., None]), 0, None)
    if rng.random() < 0.4:
        soft = cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.6, 2.0))
        shown = shown + np.float32(rng.uniform(-0.9, 0.9)) * (shown - soft)
    shown = np.asarray(np.clip(shown, 0, None), np.float32)
    if rng.random() < 0.5:
        shown = _embossed(shown, where, rng)
    cloud = displays.lattice_cloud(where, rng)[..., None] * rng.normal(0.15, 0.08, 3).astype(np.float32)
    return _shining(np.asarray(shown * np.clip(1 + cloud, 0.2, 2), np.float32), where, rng, most=0.3)


def woven_cloth(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Printed on cloth: threads that cross, soft wrinkles."""
    x, y = (np.mgrid[0 : lattice.T, 0 : lattice.T] + 0.5) / lattice.T
    over = ((x > 0.5) ^ (y > 0.5)).astype(float)
    threads = over * np.sin(np.pi * ((2 * x) % 1.0)) + (1 - over) * np.sin(np.pi * ((2 * y) % 1.0))
    pitch = float(np.exp(rng.uniform(np.log(0.8), np.log(6.0))))
    tile = lattice.averaged((threads / threads.mean())[..., None], pitch).astype(np.float32)
    pattern = lattice.looked_up(tile, *lattice.turned(where.x, where.y, pitch, rng.normal(0, 0.1)))
    cloth = (
        _on_paper(_corrected(light, rng), rng)
        * (1 + np.float32(rng.uniform(0.15, 0.6)) * (pattern - 1))[..., None]
    )
    wrinkles = 1 + np.float32(rng.uniform(0.05, 0.3)) * displays.lattice_cloud(where, rng)
    return _lit_sheet(np.asarray(cloth * wrinkles[..., None], np.float32), where, rng)


# ----------------------------------------------------------------------------------------------------
# Ink


def _corrected(light: Linear, rng: np.random.Generator) -> Linear:
    """What a driver makes of a file before it prints: contrast, colours that inks cannot reach."""
    grey = light.mean(axis=2, keepdims=True)
    inside = grey + np.float32(rng.uniform(0.5, 1.15)) * (light - grey)
    return np.asarray(np.clip(inside, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2))), np.float32)


def _clustered(rng: np.random.Generator) -> Callable[[int], Any]:
    """Thresholds that grow from the middle of a cell: round, of diamonds' or of lines' shape."""
    x, y = (np.mgrid[0 : lattice.T, 0 : lattice.T] + 0.5) / lattice.T
    shape = rng.random()
    if shape < 0.6:
        value = np.cos(2 * np.pi * x) + np.cos(2 * np.pi * y)
    elif shape < 0.85:
        value = np.cos(2 * np.pi * x) + rng.uniform(0, 0.6) * np.cos(2 * np.pi * y)
    else:
        value = -np.maximum(np.abs(x - 0.5), np.abs(y - 0.5))
    return _of(_ranked(value))


def _scattered(rng: np.random.Generator) -> Any:  # noqa: ANN401
    """Noise without its low frequencies: droplets keep their distance."""
    white = rng.standard_normal((lattice.T, lattice.T))
    cycles = np.fft.fftfreq(lattice.T, 1.0 / lattice.T)
    radius = np.hypot(cycles[:, None], cycles[None, :])
    keep = 1 - np.exp(-((radius / rng.uniform(6, 20)) ** 2))
    return _ranked(np.fft.ifft2(np.fft.fft2(white) * keep).real)


def _ranked(value: Any) -> Any:  # noqa: ANN401
    """The same order, evenly from 0 to 1."""
    order = np.empty(value.size)
    order[np.argsort(value, axis=None, kind="stable")] = (np.arange(value.size) + 0.5) / value.size
    return order.reshape(value.shape)


def _of(tile: Any) -> Callable[[int], Any]:  # noqa: ANN401
    return lambda _: tile


def _inked(
    light: Linear,
    where: Where,
    rng: np.random.Generator,
    tile_of: Callable[[int], Any],
    *,
    period_px: tuple[float, float],
    only_black: bool = False,
) -> Linear:
    """(H, W, 3) reflectance 0..1 relative to paper: cyan, magenta and yellow with black in their place."""
    period = float(np.exp(rng.uniform(*np.log(period_px))))
    wanted = 1 - np.clip(light, 0, 1) ** np.float32(1 / rng.uniform(1.6, 2.4))
    black = wanted.min(axis=2) * np.float32(1.0 if only_black else rng.uniform(0.2, 0.9))
    rest = np.clip((wanted - black[..., None]) / np.maximum(1 - black[..., None], 0.02), 0, 1)
    left, start = np.ones(light.shape, np.float32), rng.uniform(0, np.pi)
    inks: list[tuple[Plane, tuple[int, ...], float]] = [(black, (0, 1, 2), 45.0)]
    if not only_black:
        inks += [(rest[..., k], (k,), degrees) for k, degrees in enumerate((15.0, 75.0, 0.0))]
    gain, soak = rng.uniform(0.0, 0.25), rng.uniform(0.03, 0.15)
    for number, (ink, channels, degrees) in enumerate(inks):
        grown = ink + np.float32(4 * gain * 0.5) * ink * (1 - ink)
        tile = tile_of(number)
        steps = np.linspace(0, 1, _LEVELS)[:, None, None] > tile[None]
        tiles = np.stack([lattice.averaged(step.astype(float), period) for step in steps])
        u, v = lattice.turned(where.x, where.y, period, start + np.radians(degrees))
        covered = lattice.levels_looked_up(
            tiles, grown, u + np.float32(rng.random()), v + np.float32(rng.random())
        )
        for channel in channels:
            left[..., channel] *= 1 - np.float32(rng.uniform(0.88, 0.985)) * covered
        if not only_black and len(channels) == 1:  # no ink is pure
            for channel in {0, 1, 2} - set(channels):
                left[..., channel] *= 1 - np.float32(soak) * covered
    return np.clip(left, 0, 1)


def _on_paper(reflects: Linear, rng: np.random.Generator) -> Linear:
    """Bare paper where there is no ink, never quite black where there is most."""
    white = rng.uniform(0.55, 0.95) * np.exp(rng.normal(0, 0.04, 3) - np.array([0, 0, rng.exponential(0.06)]))
    black = rng.uniform(0.01, 0.09) * np.exp(rng.normal(0, 0.1, 3))
    return np.asarray(black + reflects * (white - black), np.float32)


# ----------------------------------------------------------------------------------------------------
# A surface in the light


def _lit_sheet(reflects: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A lamp somewhere, nearer or farther; bends that it shows; shine if there is any."""
    lamp = rng.normal(0, 1.5, 2) * where.face_px
    far = rng.uniform(1.2, 6.0) * where.face_px
    fall = 1 / (1 + ((where.x - lamp[0]) ** 2 + (where.y - lamp[1]) ** 2) / far**2) ** 1.5
    fall = fall / fall.mean() * where.slope
    tint = np.exp(rng.normal(0, 0.08, 3)) * np.exp(rng.normal(0, 0.3))
    lit = reflects * fall[..., None].astype(np.float32) * tint.astype(np.float32)
    return _shining(np.asarray(lit, np.float32), where, rng, most=float(rng.choice((0.0, 0.1, 0.6))))


def _shining(lit: Linear, where: Where, rng: np.random.Generator, *, most: float) -> Linear:
    """Streaks and patches of light on varnish, wavy as the sheet is."""
    much = rng.uniform(0, most)
    if much < 0.01:
        return lit
    angle, off = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8) * where.face_px
    across = where.x * np.float32(np.cos(angle)) + where.y * np.float32(np.sin(angle)) - np.float32(off)
    across = across + np.float32(0.25 * where.face_px) * displays.lattice_cloud(where, rng)
    wide = np.float32(np.exp(rng.uniform(np.log(0.05), np.log(0.7))) * where.face_px)
    patch = np.exp(-(np.abs(across / wide) ** np.float32(rng.uniform(1.0, 6.0))))
    patch = patch * np.clip(0.6 + displays.lattice_cloud(where, rng), 0, 1.2)
    return np.asarray(lit + (np.float32(much) * patch)[..., None], np.float32)


def _embossed(lit: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Light across a grain, from one side: a relief of noise, or of threads."""
    tile = _spectrum(rng)
    pitch = float(np.exp(rng.uniform(np.log(4.0), np.log(40.0))))
    slope = lattice.averaged(tile - np.roll(tile, (1, 1), (0, 1)), pitch).astype(np.float32)
    slope /= max(float(slope.std()), 1e-4)
    u, v = lattice.turned(where.x, where.y, pitch, rng.uniform(0, np.pi))
    relief = np.float32(rng.uniform(0.005, 0.06)) * lattice.looked_up(slope, u, v)
    return np.asarray(lit * np.clip(1 + relief.reshape(*lit.shape[:2], 1), 0.3, 2), np.float32)


def _spectrum(rng: np.random.Generator) -> Any:  # noqa: ANN401
    """(T, T) a tile of deviation 1: a few waves that fit it, or noise of one roughness."""
    if rng.random() < 0.5:
        x, y = np.mgrid[0 : lattice.T, 0 : lattice.T] / lattice.T
        tile = np.zeros_like(x)
        for _ in range(int(rng.integers(1, 5))):
            i, j = rng.integers(-3, 4, 2)
            tile += rng.uniform(0.3, 1.0) * np.cos(2 * np.pi * (i * x + j * y + rng.random()))
    else:
        cycles = np.fft.fftfreq(lattice.T, 1.0 / lattice.T)
        radius = np.maximum(np.hypot(cycles[:, None], cycles[None, :]), 1.0)
        white = np.fft.fft2(rng.standard_normal((lattice.T, lattice.T)))
        tile = np.fft.ifft2(white * radius ** -rng.uniform(0.0, 1.5)).real
    tile = tile - tile.mean()
    return tile / max(float(tile.std()), 1e-3)


PRESSES: Final[dict[str, Medium]] = {
    "screened print": screened_print, "sprayed print": sprayed_print, "black print": black_print,
    "grained photograph": grained_photograph, "folded sheet": folded_sheet, "nameless": nameless,
}  # fmt: skip
LEFT_OUT: Final[dict[str, Medium]] = {"woven cloth": woven_cloth}
"""To choose by: never learnt from."""
