"""Prints, screens and projections that no training ever showed: SIMULATED, for measuring only.

Each species draws its medium much finer than the camera sees it, dot by dot and subpixel by subpixel, and
lets areas do the averaging; training's species (`janusd_export.passive.species`) write down the wave that is
left. They share no code, neither for media nor for how a sheet is held; `tests/export/test_passive.py` holds
that.

A species is (photograph, place, face_px, rng) -> light: the photograph is a square of 8 bits with the face,
so many pixels high, in its middle; the place another, smaller square of what is around; light is linear, as
large as the place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image

Light: TypeAlias = NDArray[np.float32]
Recapture: TypeAlias = Callable[[Image, Image, float, np.random.Generator], Light]

_FINE: Final = 3
"""Fine pixels to a side of a camera's."""


def newsprint(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """Ink spots thrown at random on greyish paper, torn from a page."""
    fine = _enlarged(photograph)
    if rng.random() < 0.5:
        fine = cv2.cvtColor(cv2.cvtColor(fine, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    wanted = (fine.astype(np.float32) / 255) ** 2.2
    spot = int(rng.integers(1, 4))
    size = (fine.shape[1] // spot + 1, fine.shape[0] // spot + 1)
    lots: Any = cv2.resize(
        rng.random((size[1], size[0], 3), np.float32), None, fx=spot, fy=spot, interpolation=cv2.INTER_NEAREST
    )
    inked = np.where(wanted < lots[: fine.shape[0], : fine.shape[1]], 0.07, 1.0)
    inked = 0.6 * inked + 0.4 * (0.07 + 0.93 * wanted)  # ink spreads
    page = inked * np.array([0.68, 0.66, 0.58]) * rng.uniform(0.8, 1.15)
    ragged = [rng.uniform(0.5, 1.2) for _ in range(4)]
    jag = 0.02 * np.cumsum(rng.normal(0, 1, 64))
    corner = _quad(face_px, ragged, rng, tilt=0.2)
    outline = np.concatenate([_between(corner[k], corner[(k + 1) % 4], 16) for k in range(4)])
    outline += (jag[:, None] * rng.normal(0, 0.3, (64, 2))) * face_px
    return _over(_turned(page, rng, 7), _polygon(outline, place), place, rng, fills=rng.random() < 0.3)


def diamond_phone(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """A phone whose red and blue subpixels are half as many as its green ones, one by one."""
    fine = _enlarged(photograph)
    shown = (fine.astype(np.float32) / 255) ** 2.2
    pitch = int(rng.integers(2, 6))
    y, x = np.mgrid[0 : fine.shape[0], 0 : fine.shape[1]] // pitch
    lamp = np.empty_like(shown)
    lamp[..., 1] = np.where((x + y) % 2 == 0, 1.6, 0.4)
    lamp[..., 0] = np.where(((x + y) % 2 == 1) & (y % 2 == 0), 3.0, 0.33)
    lamp[..., 2] = np.where(((x + y) % 2 == 1) & (y % 2 == 1), 3.0, 0.33)
    glow = shown * lamp * rng.uniform(0.7, 2.2) * np.array([1.0, 0.98, 1.1]) + rng.uniform(0.003, 0.03)
    if rng.random() < 0.5:  # it dims by switching off line after line
        rows = np.arange(fine.shape[0]) / fine.shape[0]
        off = (rows * rng.uniform(1, 4) + rng.random()) % 1.0 < rng.uniform(0.08, 0.3)
        glow[off] *= rng.uniform(0.6, 0.9)
    screen = _turned(glow, rng, 6)
    if rng.random() < 0.35:
        return _down(screen, place)
    half = (rng.uniform(0.5, 0.85) * face_px, rng.uniform(0.8, 1.15) * face_px)
    case = _polygon(_box(half[0] + 0.06 * face_px, half[1] + rng.uniform(0.05, 0.2) * face_px, rng), place)
    glass = _polygon(_box(*half, rng=None), place)
    screen = screen[
        (n := (screen.shape[0] - glass.shape[0]) // 2) : n + glass.shape[0], n : n + glass.shape[0]
    ]
    held = screen * glass[..., None] + rng.uniform(0.005, 0.05) * (1 - glass[..., None])
    return _over(held, case, place, rng, fills=False)


def projected(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """A beam on a wall: what should be black is as bright as the wall, and the beam's edge is soft."""
    del face_px
    fine = _enlarged(photograph)
    beam = (fine.astype(np.float32) / 255) ** 2.0
    cell = int(rng.integers(3, 7))
    y, x = np.mgrid[0 : fine.shape[0], 0 : fine.shape[1]]
    beam[(x % cell == 0) | (y % cell == 0)] *= rng.uniform(0.5, 0.9)
    for channel in range(3):  # its colours do not meet exactly
        beam[..., channel] = np.roll(
            beam[..., channel], tuple(int(n) for n in rng.integers(-2, 3, 2)), (0, 1)
        )
    plaster: Any = cv2.GaussianBlur(rng.standard_normal(fine.shape[:2], dtype=np.float32), (0, 0), 4)
    wall = rng.uniform(0.4, 0.8) * (1 + 0.6 * plaster[..., None]) * np.exp(rng.normal(0, 0.08, 3))
    ambient = rng.uniform(0.05, 0.3)
    return _down(_turned(wall * (beam * rng.uniform(0.6, 1.4) + ambient), rng, 8), place)


def laminated_card(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """A badge in plastic: soft dyes, coloured bars, and a lamp's long reflection."""
    fine: Any = cv2.GaussianBlur(_enlarged(photograph), (0, 0), rng.uniform(1.5, 4.0))
    dyed = 0.04 + 0.8 * (fine.astype(np.float32) / 255) ** rng.uniform(1.8, 2.4)
    side, middle = dyed.shape[0], dyed.shape[0] / 2
    for _ in range(3):
        row = int(middle + rng.choice([-1, 1]) * rng.uniform(0.6, 1.1) * face_px * _FINE)
        dyed[max(0, row) : row + int(0.12 * face_px * _FINE)] = rng.uniform(0, 0.8, 3)
    y, x = (np.mgrid[0:side, 0:side] - middle) / (face_px * _FINE)
    lamp = np.abs(x * np.cos(t := rng.uniform(0, np.pi)) + y * np.sin(t) - rng.uniform(-0.5, 0.5))
    dyed = (
        dyed * rng.uniform(0.7, 1.2)
        + (rng.uniform(0.1, 0.9) * np.exp(-((lamp / rng.uniform(0.05, 0.3)) ** 4)))[..., None]
    )
    half = (rng.uniform(0.55, 0.9) * face_px, rng.uniform(0.7, 1.1) * face_px)
    return _over(
        _turned(dyed, rng, 10), _polygon(_box(*half, rng=rng), place), place, rng, fills=rng.random() < 0.3
    )


def crumpled_poster(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """A large print that was folded and unfolded: facets take the light differently and shift the picture."""
    fine = _enlarged(photograph)
    side = fine.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    relief = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(4, 10))):
        t, off = rng.uniform(0, np.pi), rng.uniform(0.2, 0.8) * side
        relief += np.float32(rng.normal(0, 0.12)) * np.abs(
            x * np.float32(np.cos(t)) + y * np.float32(np.sin(t)) - np.float32(off)
        )
    lean_y, lean_x = np.gradient(relief)
    moved: Any = cv2.remap(
        fine,
        x + 8 * lean_x.astype(np.float32),
        y + 8 * lean_y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )
    light = rng.normal(0, 1, 2)
    shade = np.clip(1 + 1.2 * (light[0] * lean_x + light[1] * lean_y), 0.4, 1.7)[..., None]
    coloured = moved.astype(np.float32) / 255
    grey = coloured.mean(axis=2, keepdims=True)
    poster = (
        0.03 + rng.uniform(0.6, 0.8) * (grey + rng.uniform(0.6, 1.0) * (coloured - grey)).clip(0, 1) ** 2.1
    ) * shade
    shape = _polygon(_quad(face_px, [1.0, 1.0, 1.1, 1.1], rng, tilt=0.1), place)
    return _over(_turned(poster, rng, 6), shape, place, rng, fills=rng.random() < 0.6)


def film_on_a_laptop(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """A small film, coded hard and enlarged to the whole of a dull screen."""
    small = rng.uniform(0.4, 0.7)
    film: Any = cv2.resize(photograph, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
    film = cv2.imdecode(
        cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(14, 40))])[1], cv2.IMREAD_COLOR
    )
    fine: Any = cv2.resize(
        film, (photograph.shape[1] * _FINE, photograph.shape[0] * _FINE), interpolation=cv2.INTER_LINEAR
    )
    shown = (fine.astype(np.float32) / 255) ** rng.uniform(1.7, 2.2) * 0.92 + rng.uniform(0.01, 0.05)
    pitch, stripes = int(rng.integers(3, 7)), np.full(fine.shape[1], 0)
    stripes = (np.arange(fine.shape[1]) * 3 // pitch) % 3
    for channel in range(3):
        shown[..., channel] *= np.where(stripes == channel, 2.2, 0.4)
    shown *= rng.uniform(0.4, 1.4) * np.array([0.95, 1.0, rng.uniform(0.95, 1.2)])
    screen = _turned(shown, rng, 9)
    if rng.random() < 0.5:
        return _down(screen, place)
    low = rng.uniform(0.55, 0.95) * face_px
    corners = np.array([[-3, -3], [3, -3], [3, low / face_px], [-3, low / face_px]]) * face_px
    return _over(screen, _polygon(corners, place), (place * 0.3).astype(np.uint8), rng, fills=False)


def photocopy(photograph: Image, place: Image, face_px: float, rng: np.random.Generator) -> Light:
    """Toner in few greys, with streaks of the drum."""
    grey: Any = cv2.cvtColor(_enlarged(photograph), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    hard = 1 / (1 + np.exp(-rng.uniform(5, 10) * (grey - rng.uniform(0.35, 0.55))))
    streak = 1 - 0.25 * (rng.random(grey.shape[1]) < 0.02).astype(np.float32)
    sheet = (0.04 + 0.75 * hard * streak)[..., None] * np.array([1.0, 1.0, rng.uniform(0.9, 1.05)])
    shape = _polygon(_quad(face_px, [0.7, 0.7, 0.9, 0.9], rng, tilt=0.1), place)
    turned = _turned(sheet * rng.uniform(0.7, 1.2), rng, 9)
    return _over(turned, shape, place, rng, fills=rng.random() < 0.4)


HELD_OUT: Final[Mapping[str, Recapture]] = {
    "newsprint, torn out": newsprint, "phone, diamond pixels": diamond_phone,
    "projected on a wall": projected,
    "laminated card": laminated_card, "crumpled poster": crumpled_poster,
    "coded film on a laptop": film_on_a_laptop, "photocopy": photocopy,
}  # fmt: skip


def _enlarged(photograph: Image) -> Any:  # noqa: ANN401  # OpenCV's arrays
    size = (photograph.shape[1] * _FINE, photograph.shape[0] * _FINE)
    return cv2.resize(photograph, size, interpolation=cv2.INTER_CUBIC)


def _turned(fine: Any, rng: np.random.Generator, degrees: float) -> Any:  # noqa: ANN401
    """The fine sheet tilted, still fine: its corners move as those of a plane that leans do."""
    side = fine.shape[0]
    corners = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
    lean = np.tan(np.radians(rng.normal(0, degrees, 2)))
    centred = (corners / side - 0.5).astype(np.float64)
    depth = 1 + 0.35 * (centred @ lean)
    t = np.radians(rng.normal(0, 3))
    spun = centred @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]])
    moved = (spun / depth[:, None] + 0.5) * side
    h = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return cv2.warpPerspective(
        fine.astype(np.float32), h, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def _down(fine: Any, place: Image) -> Light:  # noqa: ANN401
    """The middle of the fine picture at the camera's resolution, each pixel the mean of an area."""
    side = place.shape[0] * _FINE
    start = (fine.shape[0] - side) // 2
    part = np.ascontiguousarray(fine[start : start + side, start : start + side], np.float32)
    return np.asarray(cv2.resize(part, place.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32)


def _over(fine: Any, shape: Any, place: Image, rng: np.random.Generator, *, fills: bool) -> Light:  # noqa: ANN401
    """The sheet before the place, or nothing but the sheet."""
    if fills:
        return _down(fine, place)
    start = (fine.shape[0] - shape.shape[0]) // 2
    part = (
        fine[start : start + shape.shape[0], start : start + shape.shape[0]]
        if fine.shape != shape.shape
        else fine
    )
    share = shape[..., None]
    around: Any = cv2.resize(place, (shape.shape[1], shape.shape[0]), interpolation=cv2.INTER_LINEAR)
    around = (around.astype(np.float32) / 255) ** 2.2 * np.exp(rng.normal(0, 0.3))
    both = part * share + around * (1 - share)
    return np.asarray(
        cv2.resize(both.astype(np.float32), place.shape[1::-1], interpolation=cv2.INTER_AREA), np.float32
    )


def _polygon(corners: NDArray[np.float64], place: Image) -> Any:  # noqa: ANN401
    """1 inside, on the fine grid of the place; corners are camera pixels about the middle."""
    side = place.shape[0] * _FINE
    mask = np.zeros((side, side), np.float32)
    cv2.fillPoly(mask, [np.rint(corners * _FINE + side / 2).astype(np.int32)], 1.0)
    return mask


def _quad(
    face_px: float, reach: list[float], rng: np.random.Generator, *, tilt: float
) -> NDArray[np.float64]:
    left, right, top, bottom = reach
    corners = np.array([[-left, -top], [right, -top], [right, bottom], [-left, bottom]])
    return (corners * rng.uniform(0.8, 1.15) + rng.normal(0, tilt / 3, (4, 2))) * face_px


def _box(half_wide: float, half_tall: float, rng: np.random.Generator | None) -> NDArray[np.float64]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * (half_wide, half_tall)
    return corners if rng is None else corners + rng.normal(0, 0.02 * half_wide, (4, 2))


def _between(a: NDArray[np.float64], b: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return a + (b - a) * (np.arange(count) / count)[:, None]
