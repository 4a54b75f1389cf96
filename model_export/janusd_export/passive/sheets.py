"""Sheets: the photograph an attacker has, how it is cut, held and bent, and the hand that holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd_export.passive.camera import Plane, to_light
from janusd_export.passive.places import Pixels, lay, view_of
from janusd_export.passive.portraits import Gathering, Portrait
from janusd_export.passive.species import Where


def content_of(
    people: Gathering,
    portrait: Portrait,
    side: int,
    face_px: float,
    rng: np.random.Generator,
    *,
    is_elsewhere: bool,
) -> tuple[Any, NDArray[np.uint8]]:
    """The photograph an attacker has: taken anywhere, reduced, sharpened and coded by somebody before."""
    pixels, outline = lay(portrait, side, face_px, rng)
    picture: Any = pixels
    if is_elsewhere:
        share = outline.astype(np.float32)[..., None] / 255
        behind = view_of(people.somewhere(rng), side, rng)
        if rng.random() < 0.4:
            behind = np.broadcast_to(rng.integers(100, 256, 3).astype(np.uint8), behind.shape)
        picture = (picture * share + behind * (1 - share)).astype(np.uint8)
    if rng.random() < 0.4:
        small = rng.uniform(0.45, 0.95)
        picture = cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.4:
        picture = cv2.addWeighted(picture, 1.6, cv2.GaussianBlur(picture, (0, 0), 1.0), -0.6, 0)
    if rng.random() < 0.4:
        coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 92))])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return picture, outline


def _fills(
    content: Pixels, outline: Pixels, face_px: float, is_screen: bool, rng: np.random.Generator
) -> tuple[Pixels, Pixels, Pixels]:
    del outline, face_px, is_screen, rng
    whole = np.ones(content.shape[:2], np.float32)
    return whole, whole, content


def _sheet(
    content: Pixels, outline: Pixels, face_px: float, is_screen: bool, rng: np.random.Generator
) -> tuple[Pixels, Pixels, Pixels]:
    """A rectangle about the face: paper with or without a white margin, a screen in its case."""
    del outline
    side = content.shape[0]
    left, right = rng.uniform(0.42, 1.15, 2) * face_px
    top, bottom = rng.uniform(0.55, 1.1) * face_px, rng.uniform(0.55, 1.3) * face_px
    middle = side / 2
    edge = (rng.uniform(0.02, 0.22) if is_screen else max(0.0, rng.uniform(-0.05, 0.12))) * face_px
    chin = edge * (rng.uniform(1, 2.2) if is_screen and rng.random() < 0.4 else 1.0)
    alpha, inner = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    outer = (middle - left - edge, middle - top - chin, middle + right + edge, middle + bottom + chin)
    _rounded(alpha, outer, rng.uniform(0, 0.15) * face_px if is_screen else 0.0)
    _rounded(inner, (middle - left, middle - top, middle + right, middle + bottom), 0.0)
    if not is_screen:
        content = np.where(inner[..., None] > 0.5, content, np.uint8(250))
    return alpha, inner, content


def _page(
    content: Pixels, outline: Pixels, face_px: float, is_screen: bool, rng: np.random.Generator
) -> tuple[Pixels, Pixels, Pixels]:
    """A photograph among other things on a larger sheet: lines of text, bars, buttons."""
    alpha, inner, _ = _sheet(content, outline, face_px, is_screen, rng)
    grown = max(1, round(rng.uniform(0.05, 0.6) * face_px))
    photograph = inner > 0.5
    away = np.ones((2 * grown + 1, 2 * grown + 1), np.uint8)
    inner = cv2.dilate(inner, away)
    alpha = np.maximum(cv2.dilate(alpha, away), inner)
    page = np.empty_like(content)
    page[:] = rng.integers(200, 256, 3) if rng.random() < 0.7 else rng.integers(0, 256, 3)
    side, line = content.shape[0], max(2, round(rng.uniform(0.03, 0.12) * face_px))
    ink = tuple(
        int(n) for n in (rng.integers(0, 90, 3) if page[0, 0].mean() > 128 else rng.integers(160, 256, 3))
    )
    if rng.random() < 0.7:
        for y in range(0, side, 2 * line):
            x = 0
            while x < side:
                word = max(1, round(line * rng.uniform(1, 6)))
                cv2.rectangle(page, (x, y), (min(side, x + word), y + max(1, line // 2)), ink, -1)
                x += word + line
    for _ in range(int(rng.integers(0, 5))):
        (x, y), (w, h) = rng.integers(0, side, 2), (rng.uniform(0.1, 0.8, 2) * face_px).astype(int)
        colour = tuple(int(n) for n in rng.integers(0, 256, 3))
        cv2.rectangle(page, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return alpha, inner, np.where(photograph[..., None], content, page)


def _rounded(mask: Pixels, corners: tuple[float, float, float, float], radius: float) -> None:
    x0, y0, x1, y1 = (round(n) for n in corners)
    r = round(radius)
    cv2.rectangle(mask, (x0 + r, y0), (x1 - r, y1), 1.0, -1)
    cv2.rectangle(mask, (x0, y0 + r), (x1, y1 - r), 1.0, -1)
    for x in (x0 + r, x1 - r):
        for y in (y0 + r, y1 - r):
            cv2.circle(mask, (x, y), r, 1.0, -1)


def _cut_out(
    content: Pixels, outline: Pixels, face_px: float, is_screen: bool, rng: np.random.Generator
) -> tuple[Pixels, Pixels, Pixels]:
    """Cut along the head with scissors: some of the ground or a white rim stays."""
    del is_screen
    rim = max(1, round(rng.uniform(0.01, 0.09) * face_px))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    shape = (outline > 127).astype(np.uint8)
    if rng.random() < 0.4:  # the head alone
        side = content.shape[0]
        oval = np.zeros_like(shape)
        axes = (round(rng.uniform(0.45, 0.6) * face_px), round(rng.uniform(0.6, 0.75) * face_px))
        cv2.ellipse(oval, (side // 2, round(side / 2 - 0.08 * face_px)), axes, 0, 0, 360, 1, -1)
        shape = oval if rng.random() < 0.5 else shape & oval
    wide = cv2.dilate(shape, kernel)
    if rng.random() < 0.5:
        content = np.where(shape[..., None] > 0, content, np.uint8(245))
    return wide.astype(np.float32), wide.astype(np.float32), content


def _mask(
    content: Pixels, outline: Pixels, face_px: float, is_screen: bool, rng: np.random.Generator
) -> tuple[Pixels, Pixels, Pixels]:
    """The face alone, worn before another, sometimes with holes for the eyes."""
    del outline, is_screen
    side = content.shape[0]
    alpha = np.zeros((side, side), np.float32)
    axes = (round(rng.uniform(0.36, 0.46) * face_px), round(rng.uniform(0.48, 0.6) * face_px))
    cv2.ellipse(alpha, (side // 2, side // 2), axes, 0, 0, 360, 1.0, -1)
    if rng.random() < 0.4:
        for x in (-0.19, 0.19):
            eye = (round(side / 2 + x * face_px), round(side / 2 - 0.13 * face_px))
            cv2.ellipse(
                alpha, eye, (max(1, round(0.07 * face_px)), max(1, round(0.04 * face_px))), 0, 0, 360, 0.0, -1
            )
    return alpha, alpha, content


CUTS: Final[dict[str, Callable[..., tuple[Pixels, Pixels, Pixels]]]] = {
    "fills": _fills, "sheet": _sheet, "page": _page, "cut out": _cut_out, "mask": _mask,
}  # fmt: skip


def bend_of(way: str, rng: np.random.Generator) -> float:
    """Curvature of paper in one over face heights."""
    if way == "mask":
        return float(rng.uniform(0.6, 1.6))
    return float(rng.uniform(0.05, 0.7)) if rng.random() < 0.45 else 0.0


def held(
    side: int, raster: int, face_px: float, rng: np.random.Generator, *, bend: float
) -> tuple[Where, tuple[Any, Any]]:
    """A sheet held somehow: where each of the camera's pixels lies on it."""
    yaw, pitch, roll = np.radians(np.clip(rng.normal(0, 1, 3) * (11, 9, 4), -30, 30))
    turn = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0] @ cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))[0]
    turn = turn @ cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0]
    away = rng.uniform(3.0, 8.0) * face_px
    corners = face_px * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) @ turn.T
    seen = away * corners[:, :2] / (away + corners[:, 2:]) + side / 2
    flat = face_px * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    back = cv2.getPerspectiveTransform(seen.astype(np.float32), flat.astype(np.float32))
    v, u = np.mgrid[0:side, 0:side].astype(np.float32)
    down = back[2, 0] * u + back[2, 1] * v + back[2, 2]
    x = ((back[0, 0] * u + back[0, 1] * v + back[0, 2]) / down).astype(np.float32)
    y = ((back[1, 0] * u + back[1, 1] * v + back[1, 2]) / down).astype(np.float32)
    slope = np.ones_like(x)
    if bend:
        lean = rng.normal(0, 0.5)
        along = (x * np.cos(lean) + y * np.sin(lean)) / face_px
        limited = np.clip(along * bend, -0.95, 0.95)
        longer = (np.arcsin(limited) / bend - along) * face_px
        x, y = (x + longer * np.cos(lean)).astype(np.float32), (y + longer * np.sin(lean)).astype(np.float32)
        slope = np.clip(1 + rng.uniform(-0.6, 0.6) * limited, 0.3, 1.6).astype(np.float32)
    maps = (x + np.float32(raster / 2), y + np.float32(raster / 2))
    return Where(x, y, slope, face_px), maps


def seen(picture: Pixels, maps: tuple[Any, Any]) -> Plane:
    """A sheet's raster as the camera sees it there."""
    border = cv2.BORDER_REFLECT_101 if picture.ndim == 3 else cv2.BORDER_CONSTANT
    if picture.ndim == 2 and picture.min() == 1.0:
        border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=border), np.float32)


def shadow(share: Pixels, face_px: float, rng: np.random.Generator) -> Pixels:
    """0..1 where a sheet keeps the light from what is behind it."""
    moved = np.roll(share[..., 0], tuple(int(n) for n in rng.normal(0, 0.08, 2) * face_px), (0, 1))
    return cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.03, 0.12) * face_px)[..., None]


def hand(
    light: Pixels, share: Pixels, portrait: Portrait, face_px: float, rng: np.random.Generator
) -> Pixels:
    """Fingers or a thumb over the sheet's edge."""
    edge = np.argwhere(
        cv2.morphologyEx((share > 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    )
    if not len(edge):
        return light
    y, x = edge[int(rng.integers(len(edge)))]
    inwards = np.array([light.shape[1] / 2 - x, light.shape[0] / 2 - y])
    angle = float(np.degrees(np.arctan2(inwards[1], inwards[0])))
    cover = np.zeros(light.shape[:2], np.float32)
    for k in range(int(rng.integers(1, 5))):
        at = (round(float(x)), round(float(y) + k * 0.2 * face_px))
        axes = (round(rng.uniform(0.15, 0.35) * face_px), round(rng.uniform(0.07, 0.11) * face_px))
        cv2.ellipse(cover, at, axes, angle + rng.normal(0, 8), 0, 360, 1.0, -1)
    cx, cy = (int(n) for n in portrait.centre_px)
    skin = to_light(portrait.pixels[cy - 8 : cy + 8, cx - 8 : cx + 8]).reshape(-1, 3).mean(axis=0)
    skin = skin * np.exp(rng.normal(0, 0.3))
    rounded: Any = cv2.GaussianBlur(cover, (0, 0), 0.05 * face_px)[..., None]
    share = cv2.GaussianBlur(cover, (0, 0), 0.8)[..., None]
    return np.asarray(light * (1 - share) + skin.astype(np.float32) * (0.45 + 0.65 * rounded) * share)
