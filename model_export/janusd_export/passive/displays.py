"""More screens that training shows: panels whose sub-pixels are drawn; light leaks in them, rooms mirror.

A display is put together from parts, each drawn anew: the file's tone curve and colours, the panel's own
primaries, a raster of sub-pixels, uneven backlight, the shutter against the refresh, the room in the glass.
Other code than `species` on purpose, so that nothing rests on one way of drawing a grid. Layouts in diamonds,
projectors and films coded for them are left to those who measure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np

from janusd_export.passive import lattice
from janusd_export.passive.camera import Linear
from janusd_export.passive.species import Medium, Where

Tile = Any
"""(T, T, 3) what one period emits."""


def panel_in_stripes(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A liquid crystal panel: columns or rows of three colours, backlight that is uneven and leaks."""
    shown = _reproduced(light, rng, gamut=0.16, vivid=(0.75, 1.25))
    shown = _leaking(shown, where, rng, most=0.03)
    shown = _rastered(shown, where, rng, stripes, pitch_px=(0.3, 3.5))
    shown = _seen_aslant(shown, where, rng)
    return _mirroring(_scanned(shown, rng, 0.35) * _bright(rng, 0.0), where, rng, most=0.08)


def panel_in_chevrons(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A panel whose sub-pixels lean, every second row the other way, as wide viewing angles need it."""
    shown = _reproduced(light, rng, gamut=0.1, vivid=(0.9, 1.3))
    shown = _leaking(shown, where, rng, most=0.015)
    shown = _rastered(shown, where, rng, chevrons, pitch_px=(0.3, 2.5))
    return _mirroring(_scanned(shown, rng, 0.25) * _bright(rng, 0.2), where, rng, most=0.06)


def panel_in_quads(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Red, green, blue and white in squares: the brighter a colour, the paler."""
    shown = _reproduced(light, rng, gamut=0.1, vivid=(0.8, 1.3))
    white = shown.min(axis=2, keepdims=True)
    shown = shown + np.float32(rng.uniform(0, 0.4)) * white * white
    shown = _rastered(shown, where, rng, quads, pitch_px=(0.3, 3.0))
    return _mirroring(_scanned(shown, rng, 0.5) * _bright(rng, 0.3), where, rng, most=0.05)


def picture_tube(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A tube or a plasma panel: slots or triads, a bright band that runs, light that spreads in the glass."""
    shown = _reproduced(light, rng, gamut=0.2, vivid=(0.8, 1.2))
    halo: Any = cv2.GaussianBlur(shown, (0, 0), rng.uniform(0.03, 0.15) * where.face_px)
    spread = np.float32(rng.uniform(0.02, 0.2))
    shown = shown * (1 - spread) + halo * spread
    shown = _rastered(shown, where, rng, triads, pitch_px=(0.5, 4.0))
    return _mirroring(_scanned(shown, rng, 0.85) * _bright(rng, -0.3), where, rng, most=0.06)


def call_on_a_screen(light: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """A face in a call: few pixels, much compression, enlarged on whatever screen there is."""
    return panel_in_stripes(streamed(light, rng), where, rng)


# ----------------------------------------------------------------------------------------------------
# One period of sub-pixels


def stripes(rng: np.random.Generator) -> Tile:
    """Three bars side by side in dark surrounds."""
    x, y = _unit()
    gap, rest = rng.uniform(0.02, 0.12), rng.uniform(0.03, 0.3)
    bars = [(np.abs(x - (k + 0.5) / 3) < 1 / 6 - gap / 2) & (y > rest) for k in range(3)]
    if rng.random() < 0.3:
        bars.reverse()
    tile = _even(np.stack(bars, axis=2))
    return tile.transpose(1, 0, 2) if rng.random() < 0.25 else tile


def chevrons(rng: np.random.Generator) -> Tile:
    """Two rows of bars that lean to either side."""
    x, y = _unit()
    lean, gap, rest = rng.uniform(0.05, 0.25), rng.uniform(0.02, 0.1), rng.uniform(0.03, 0.2)
    shifted = (x + lean * np.abs(2 * y - 1)) % 1.0
    open_ = np.minimum(y % 0.5, 0.5 - y % 0.5) > rest / 4
    return _even(
        np.stack([(np.abs(shifted - (k + 0.5) / 3) < 1 / 6 - gap / 2) & open_ for k in range(3)], axis=2)
    )


def quads(rng: np.random.Generator) -> Tile:
    """Four squares of which one is white."""
    x, y = _unit()
    gap = rng.uniform(0.03, 0.15)
    cells = [
        (np.abs(x - cx) < 0.25 - gap / 2) & (np.abs(y - cy) < 0.25 - gap / 2)
        for cx, cy in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
    ]
    share = rng.uniform(0.2, 0.9)
    return _even(np.stack([cells[k] + share * cells[3] for k in range(3)], axis=2))


def triads(rng: np.random.Generator) -> Tile:
    """Spots or slots of three colours, every second row shifted by half a triad."""
    x, y = _unit()
    wide, tall = rng.uniform(0.1, 0.15), rng.uniform(0.16, 0.24)
    spots = []
    for k in range(3):
        spot = np.zeros_like(x)
        for row in (0, 1):
            across = np.abs((x - (k + 0.5) / 3 - 0.5 * row + 0.5) % 1.0 - 0.5) / wide
            along = np.abs(y - 0.25 - 0.5 * row) / tall
            spot += np.exp(-(across**4)) * np.exp(-(along**4))
        spots.append(spot)
    return _even(np.stack(spots, axis=2))


def _unit() -> tuple[Any, Any]:
    y, x = (np.mgrid[0 : lattice.T, 0 : lattice.T] + 0.5) / lattice.T
    return x, y


def _even(tile: Tile) -> Tile:
    """As bright as its picture in the mean."""
    return tile / np.maximum(tile.mean(axis=(0, 1)), 1e-3)


# ----------------------------------------------------------------------------------------------------
# Parts of a display


def _reproduced(
    light: Linear, rng: np.random.Generator, *, gamut: float, vivid: tuple[float, float]
) -> Linear:
    """The file through somebody's picture settings and the panel's primaries."""
    signal = np.clip(light, 0, 1) ** np.float32(1 / 2.2)
    if rng.random() < 0.4:  # televisions draw edges
        soft = cv2.GaussianBlur(signal, (0, 0), rng.uniform(0.8, 2.5))
        signal = signal + np.float32(rng.uniform(0.2, 1.2)) * (signal - soft)
    steep, middle = rng.uniform(0.85, 1.35), rng.uniform(0.4, 0.6)
    signal = np.clip((signal - middle) * np.float32(steep) + np.float32(middle), 0, 1)
    if rng.random() < 0.3:  # coarse steps
        steps = np.float32(rng.integers(20, 80))
        signal = np.round(signal * steps) / steps
    emitted = signal ** np.float32(rng.uniform(1.8, 2.6))
    grey = emitted.mean(axis=2, keepdims=True)
    emitted = np.clip(grey + np.float32(rng.uniform(*vivid)) * (emitted - grey), 0, None)
    primaries = np.eye(3) + rng.uniform(0, gamut, (3, 3)) * (1 - np.eye(3))
    warm = rng.normal(0, 0.12) - (0.35 if rng.random() < 0.12 else 0.0)  # a filter against blue light
    white = np.exp([-0.5 * warm, rng.normal(0, 0.03), warm])
    return np.asarray(
        emitted @ (primaries / primaries.sum(axis=1, keepdims=True)).T.astype(np.float32)
        * white.astype(np.float32),
        np.float32,
    )  # fmt: skip


def _leaking(shown: Linear, where: Where, rng: np.random.Generator, *, most: float) -> Linear:
    """Blacks that glow, more in a corner; a backlight of zones glows about what is bright."""
    even = rng.uniform(0, most) * np.exp(rng.normal(0, 0.15, 3))
    corner = rng.choice((-1.2, 1.2), 2) * where.face_px
    off = ((where.x - corner[0]) ** 2 + (where.y - corner[1]) ** 2) / (1.2 * where.face_px) ** 2
    glow = np.float32(rng.uniform(0, 2 * most)) * np.exp(-off)
    if rng.random() < 0.2:
        zone = cv2.GaussianBlur(shown.max(axis=2), (0, 0), rng.uniform(0.15, 0.5) * where.face_px)
        glow = glow + np.float32(rng.uniform(0.005, 0.04)) * zone
    uneven = 1 + np.float32(rng.uniform(0, 0.15)) * lattice_cloud(where, rng)
    return np.asarray((shown + even.astype(np.float32) + glow[..., None]) * uneven[..., None], np.float32)


def lattice_cloud(where: Where, rng: np.random.Generator) -> Any:  # noqa: ANN401
    """(H, W) smooth and about -1..1: what is uneven over a surface as large as a face."""
    coarse = rng.normal(0, 0.6, (6, 6)).astype(np.float32)
    scale = np.float32(5 / (3.6 * where.face_px))
    return cv2.remap(
        coarse, where.x * scale + 2.5, where.y * scale + 2.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def _rastered(
    shown: Linear,
    where: Where,
    rng: np.random.Generator,
    layout: Callable[[np.random.Generator], Tile],
    *,
    pitch_px: tuple[float, float],
) -> Linear:
    """Through the panel's raster, which is a camera pixel's size or so."""
    pitch = float(np.exp(rng.uniform(*np.log(pitch_px))))
    angle = 0.0 if rng.random() < 0.8 else np.pi / 2
    if pitch > 1.3 and rng.random() < 0.6:
        shown = _blocky(shown, where, pitch)
    depth = np.float32(rng.uniform(0.4, 1.0))
    tile = lattice.averaged(layout(rng), pitch).astype(np.float32)
    pattern = lattice.looked_up(tile, *lattice.turned(where.x, where.y, pitch, angle))
    return np.asarray(np.clip(shown * (1 + depth * (pattern - 1)), 0, None), np.float32)


def _blocky(shown: Linear, where: Where, pitch: float) -> Linear:
    """Each of the display's pixels has one colour."""
    v, u = np.mgrid[0 : shown.shape[0], 0 : shown.shape[1]].astype(np.float32)
    off_x = (np.floor(where.x / pitch) + 0.5) * pitch - where.x
    off_y = (np.floor(where.y / pitch) + 0.5) * pitch - where.y
    m = shown.shape[0] // 2
    to_sheet = np.array(
        [
            [where.x[m, m + 1] - where.x[m, m], where.x[m + 1, m] - where.x[m, m]],
            [where.y[m, m + 1] - where.y[m, m], where.y[m + 1, m] - where.y[m, m]],
        ]
    )
    (a, b), (c, d) = np.linalg.inv(to_sheet).astype(np.float32)
    maps = (np.asarray(u + a * off_x + b * off_y), np.asarray(v + c * off_x + d * off_y))
    return np.asarray(cv2.remap(shown, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _seen_aslant(shown: Linear, where: Where, rng: np.random.Generator) -> Linear:
    """Darker and of another colour to one side."""
    if rng.random() < 0.4:
        return shown
    angle = rng.uniform(0, 2 * np.pi)
    along = (where.x * np.float32(np.cos(angle)) + where.y * np.float32(np.sin(angle))) / where.face_px
    slopes = rng.uniform(0, 0.35) + rng.normal(0, 0.06, 3)
    return np.asarray(shown * np.clip(1 + along[..., None] * slopes, 0.3, 1.8).astype(np.float32), np.float32)


def _scanned(shown: Linear, rng: np.random.Generator, chance: float) -> Linear:
    """Dimming by pulses, a refresh caught half way, its bands coloured where colours come one by one."""
    if rng.random() >= chance:
        return shown
    rows = np.arange(shown.shape[0], dtype=np.float32) / shown.shape[0]
    cycles = np.exp(rng.uniform(np.log(0.5), np.log(14.0)))
    shift = rng.random() + (rng.normal(0, 0.15, 3) if rng.random() < 0.3 else np.zeros(3))
    phase = (rows[:, None] * cycles + shift[None, :]) % 1.0
    share, soft = rng.uniform(0.15, 0.85), rng.uniform(0.02, 0.3)
    gate = 1 / (1 + np.exp(np.clip((np.abs(phase - 0.5) - share / 2) / (0.25 * soft), -30, 30)))
    depth = rng.uniform(0.03, 0.35)
    return np.asarray(shown * (1 - depth * gate).astype(np.float32)[:, None, :], np.float32)


def _bright(rng: np.random.Generator, centre: float) -> np.float32:
    return np.float32(np.exp(np.clip(rng.normal(centre, 0.5), -1.2, 1.4)))


def _mirroring(shown: Linear, where: Where, rng: np.random.Generator, *, most: float) -> Linear:
    """The room in the glass: a veil, panes of windows, lamps, somebody's dark shape before all of it."""
    tint = np.exp(rng.normal(0, 0.12, 3)).astype(np.float32)
    veil = np.full(where.x.shape, rng.uniform(0.0, most), np.float32)
    if rng.random() < 0.5:
        room: Any = np.zeros((64, 64), np.float32)
        for _ in range(int(rng.integers(1, 6))):
            (x, y), (w, h) = rng.integers(0, 64, 2), rng.integers(2, 30, 2)
            cv2.rectangle(room, (int(x), int(y)), (int(x + w), int(y + h)), float(rng.uniform(0.1, 1.0)), -1)
        if rng.random() < 0.4:
            cv2.ellipse(room, (32, 40), (14, 20), 0, 0, 360, 0.0, -1)
        room = cv2.GaussianBlur(room, (0, 0), rng.uniform(0.5, 4.0))
        scale, off = np.float32(64 / (rng.uniform(1.5, 4.0) * where.face_px)), rng.uniform(16, 48, 2)
        seen: Any = cv2.remap(
            room, where.x * scale + np.float32(off[0]), where.y * scale + np.float32(off[1]),
            cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101,
        )  # fmt: skip
        veil = veil + np.float32(np.exp(rng.uniform(np.log(0.01), np.log(0.4)))) * seen
    return np.asarray(shown + veil[..., None] * tint, np.float32)


def streamed(light: Linear, rng: np.random.Generator) -> Linear:
    """Made small, coded in blocks, smoothed and enlarged again."""
    side = light.shape[0]
    small = max(24, round(side * rng.uniform(0.25, 0.7)))
    picture: Any = cv2.resize(
        np.clip(light, 0, 1) ** np.float32(1 / 2.2), (small, small), interpolation=cv2.INTER_AREA
    )
    coded = cv2.imencode(
        ".jpg", (255 * picture).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 55))]
    )[1]
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if rng.random() < 0.5:
        picture = cv2.bilateralFilter(picture, 5, float(rng.uniform(10, 50)), 2.0)
    way = int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST], p=(0.5, 0.4, 0.1)))
    large = cv2.resize(picture, (side, side), interpolation=way).astype(np.float32) / 255
    return np.asarray(large ** np.float32(2.2), np.float32)


DISPLAYS: Final[dict[str, Medium]] = {
    "panel in stripes": panel_in_stripes, "panel in chevrons": panel_in_chevrons,
    "panel in quads": panel_in_quads, "call on a screen": call_on_a_screen,
}  # fmt: skip
LEFT_OUT: Final[dict[str, Medium]] = {"picture tube": picture_tube}
"""To choose by: never learnt from."""
