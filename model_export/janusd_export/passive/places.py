"""People and places as linear light: where they were photographed, or cut out and put somewhere else."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image
from janusd_export.passive.camera import Linear, to_light
from janusd_export.passive.portraits import Gathering, Portrait

Pixels: TypeAlias = NDArray[Any]
"""An array of OpenCV's."""


def lay(
    portrait: Portrait, side: int, face_px: float, rng: np.random.Generator
) -> tuple[Image, NDArray[np.uint8]]:
    """The photograph on a square with its face in the middle, and the person's outline there."""
    scale, turn = face_px / portrait.face_px, np.radians(rng.normal(0, 4))
    flip = -1.0 if rng.random() < 0.5 else 1.0
    linear = (
        scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([flip, 1.0])
    )
    pixels, outline, centre = portrait.pixels, portrait.outline, np.array(portrait.centre_px)
    if scale < 0.7:  # warpAffine does not average
        size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        outline = np.asarray(cv2.resize(outline, size, interpolation=cv2.INTER_AREA), np.uint8)
        centre, linear = centre * scale, linear / scale
    matrix = np.column_stack([linear, side / 2 - linear @ centre])
    way = {"flags": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    laid: Any = cv2.warpAffine(pixels, matrix, (side, side), **way)  # type: ignore[call-overload]  # flags by name
    person: Any = cv2.warpAffine(outline, matrix, (side, side), **way)  # type: ignore[call-overload]  # likewise
    return np.asarray(laid, np.uint8), np.asarray(person, np.uint8)


def ground(
    people: Gathering, side: int, face_px: float, rng: np.random.Generator, *, about_head: bool
) -> Linear:
    """A place: photographed or drawn, with frames, windows, posters and screens in it."""
    picture: Any
    if rng.random() < 0.65:
        picture = view_of(people.somewhere(rng), side, rng)
    else:
        picture = np.empty((side, side, 3), np.uint8)
        picture[:] = rng.integers(15, 250, 3)
        fall = np.linspace(rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2), side)[:, None, None]
        picture = np.clip(picture * (fall if rng.random() < 0.5 else fall.transpose(1, 0, 2)), 0, 255).astype(
            np.uint8
        )
    for number in range(int(rng.integers(0, 4))):
        if number == 0 and about_head and rng.random() < 0.6:  # a poster or a window just behind the head
            half = rng.uniform(0.55, 1.3, 2) * face_px
            middle = side / 2 + rng.normal(0, 0.25, 2) * face_px
        else:
            half = rng.uniform(0.1, 1.0, 2) * face_px
            middle = rng.uniform(0, side, 2)
        _thing(people, picture, middle, half, rng)
    return to_light(picture)


def _thing(
    people: Gathering,
    picture: Pixels,
    middle: NDArray[np.float64],
    half: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """A rectangle with a frame: a picture, a bright window, a dark screen, a plain board."""
    side = picture.shape[0]
    (x0, y0), (x1, y1) = (np.clip(n, 0, side - 1).astype(int) for n in (middle - half, middle + half))
    if x1 - x0 < 6 or y1 - y0 < 6:
        return
    colour = tuple(
        int(n)
        for n in rng.choice([rng.integers(0, 60, 3), rng.integers(180, 256, 3), rng.integers(0, 256, 3)])
    )
    cv2.rectangle(picture, (int(x0), int(y0)), (int(x1), int(y1)), colour, -1)
    edge = int(rng.uniform(0.01, 0.12) * min(x1 - x0, y1 - y0))
    inside = picture[y0 + edge : y1 - edge, x0 + edge : x1 - edge]
    if inside.shape[0] < 4 or inside.shape[1] < 4 or rng.random() < 0.3:
        return
    view = view_of(people.somewhere(rng), max(inside.shape[:2]), rng)[: inside.shape[0], : inside.shape[1]]
    inside[:] = cv2.convertScaleAbs(view, alpha=float(rng.uniform(0.3, 1.6)), beta=float(rng.uniform(0, 40)))


def view_of(photograph: Image, side: int, rng: np.random.Generator) -> Image:
    """A square part of a photograph at this size."""
    cut = int(rng.uniform(0.35, 1.0) * min(photograph.shape[:2]))
    y, x = (int(rng.integers(0, n - cut + 1)) for n in photograph.shape[:2])
    view = photograph[y : y + cut, x : x + cut]
    view = view[:, ::-1] if rng.random() < 0.5 else view
    way = cv2.INTER_AREA if cut > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(np.ascontiguousarray(view), (side, side), interpolation=way), np.uint8)


def defocused(light: Linear, rng: np.random.Generator) -> Linear:
    """As sharp as it was, or behind what the lens is focused on."""
    if rng.random() < 0.5:
        return light
    return np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 4.0)), np.float32)


def lit_anew(light: Linear, rng: np.random.Generator) -> Linear:
    """Light that falls on all of the scene from one side."""
    if rng.random() < 0.4:
        return light
    angle, much = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.6)
    ramp = np.linspace(-1, 1, light.shape[0], dtype=np.float32)
    gain = 1 + np.float32(much) * (
        np.float32(np.cos(angle)) * ramp[None, :] + np.float32(np.sin(angle)) * ramp[:, None]
    )
    return np.asarray(light * gain[..., None], np.float32)


def lit_hard(light: Linear, rng: np.random.Generator) -> Linear:
    """Somebody in light that media have too: a shadow's edge, a coloured lamp, a haze, a patch of sun."""
    side = light.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    angle, off = rng.uniform(0, 2 * np.pi), rng.uniform(-0.15, 0.15)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) - np.float32(off)
    soft = np.float32(np.exp(rng.uniform(np.log(0.004), np.log(0.15))))
    edge = 1 / (1 + np.exp(np.clip(-along / soft, -30, 30)))
    lamp = np.exp(rng.normal(0, 0.25, 3)) * rng.uniform(0.15, 1.6)
    lit = light * (1 + edge[..., None] * (lamp - 1)).astype(np.float32)
    if rng.random() < 0.3:  # haze, a dirty lens, a fogged pane
        lit = lit + np.float32(rng.uniform(0.01, 0.12)) * np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
    if rng.random() < 0.3:
        middle, wide = rng.uniform(-0.35, 0.35, 2), rng.uniform(0.05, 0.3)
        patch = np.exp(-((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / np.float32(wide**2))
        lit = lit * (1 + np.float32(rng.uniform(0.3, 2.0)) * patch)[..., None]
    return np.asarray(lit, np.float32)
