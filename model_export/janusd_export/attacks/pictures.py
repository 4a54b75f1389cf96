"""Frames of the demo's generated people, living or held up: SIMULATED presentations for the whole pipeline.

A living head is a portrait laid over a simple relief (a half ellipsoid with a nose), turned, and stands cut
out before the demo's street; a picture is the same portrait on a plane with its ground, seen in perspective
there. Both get the noise of a sensor. Of the attacks that are held still, some are drawn on a medium
(`recaptures`); on the others a camera would see none: they are for geometry and freshness, and a network that
refuses them does so for their edge.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Frame, Image
from janusd.demo.album import Person, View, album
from janusd.demo.scene import HEIGHT_PX, WIDTH_PX, compose
from janusd_export.attacks import recaptures
from janusd_export.attacks.recaptures import Recapture

FPS: Final = 10.0
FRAMES: Final = 36
_NOISE: Final = 2.5
"""Standard deviation, levels: a small sensor indoors."""
_FOCAL_PX: Final = 602.0
_PRINT_MM: Final = 250.0
"""Side of a portrait, printed so that its head is life-size."""

Shots: TypeAlias = Callable[[Person, np.random.Generator], Iterator[Image]]


def living(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """Somebody who turns the head to one side and the other."""
    view, reach = person.street[0], rng.uniform(16, 24) * (-1 if rng.random() < 0.5 else 1)
    for t in np.linspace(0, 1, FRAMES):
        yaw = reach * math.sin(2 * math.pi * t)
        opacity = np.repeat(view.cutout()[..., 3:], 3, axis=2)
        yield _shown(
            relief(_colours(view), view, yaw), _hold(rng, t, 0.0), rng, opacity=relief(opacity, view, yaw)
        )


def standing(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """Somebody who looks at the door and does not turn: no relief is shown, and none is asked for."""
    view = person.street[0]
    opacity = np.repeat(view.cutout()[..., 3:], 3, axis=2)
    for t in np.linspace(0, 1, FRAMES):
        yaw = 2.0 * math.sin(7 * t)
        yield _shown(
            relief(_colours(view), view, yaw), _hold(rng, t, 0.0), rng, opacity=relief(opacity, view, yaw)
        )


def looped_still(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """One frame, to the byte, again and again."""
    still = _shown(_flat(person.street[0]), np.zeros(6), rng)
    for _ in range(FRAMES):
        yield still.copy()


def noisy_still(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """One photograph, filmed from a tripod: only the noise is new."""
    for _ in range(FRAMES):
        yield _shown(_flat(person.street[0]), np.zeros(6), rng)


def panned_still(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """One photograph in a film that zooms and pans across it."""
    for t in np.linspace(0, 1, FRAMES):
        yield _shown(_flat(person.street[0]), np.array([0, 0, 8 * t, 60 * t, 20 * t, -120 * t]), rng)


def waved_print(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """A print, turned and tilted by hand."""
    reach, speed = rng.uniform(10, 32), rng.uniform(4, 9)
    for t in np.linspace(0, 1, FRAMES):
        tilt = np.array(
            [reach * math.sin(speed * t), 0.6 * reach * math.cos(0.7 * speed * t), 3 * t, 0, 0, 0]
        )
        yield _shown(_flat(person.street[0]), tilt + _hold(rng, t, 0.0), rng)


def two_photographs(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """Photographs of one person in different poses, exchanged by a swipe."""
    views = person.street[:3]
    for number, t in enumerate(np.linspace(0, 1, FRAMES)):
        yield _shown(_flat(views[number * len(views) // FRAMES]), _hold(rng, t, 2.0), rng)


def relief_on_a_screen(person: Person, rng: np.random.Generator) -> Iterator[Image]:
    """A film of a turning head on a tablet that is held in a hand."""
    view, reach = person.street[0], rng.uniform(15, 22)
    for t in np.linspace(0, 1, FRAMES):
        turned = relief(_flat(view), view, reach * math.sin(2 * math.pi * t))
        yield _shown(turned, _hold(rng, t, 3.0), rng, frame=True)


def held_still(medium: Recapture) -> Shots:
    """A photograph on this medium, held as still as a hand can."""

    def shots(person: Person, rng: np.random.Generator) -> Iterator[Image]:
        view, face_px = person.street[0], rng.uniform(100, 150)
        square, at = round(2.7 * face_px), (WIDTH_PX // 2, 230)
        photograph = _about_face(view, round(3.4 * face_px), face_px)
        corner = (max(0, at[0] - square // 2), max(0, at[1] - square // 2))
        place = _street()[corner[1] : corner[1] + square, corner[0] : corner[0] + square]
        square = min(place.shape[:2])
        place = np.ascontiguousarray(place[:square, :square])
        shown = medium(photograph, place, face_px, rng)
        coded = 255 * np.clip(shown, 0, 1) ** (1 / 2.2)
        for _ in range(FRAMES):
            frame = _street().astype(np.float32)
            x, y = (int(n) for n in rng.integers(-1, 2, 2))
            frame[corner[1] : corner[1] + square, corner[0] : corner[0] + square] = np.roll(
                coded, (y, x), (0, 1)
            )
            noise = rng.normal(0, _NOISE, frame.shape)
            yield np.asarray(np.clip(cv2.GaussianBlur(frame, (0, 0), 0.6) + noise, 0, 255), np.uint8)

    return shots


GENUINE: Final[Mapping[str, Shots]] = {"turns the head": living, "stands still": standing}
HELD_OUT: Final[Mapping[str, Shots]] = {
    "still, looped to the byte": looped_still, "still, with a sensor's noise": noisy_still,
    "still, panned and zoomed": panned_still, "print, waved": waved_print,
    "photographs exchanged": two_photographs, "film of a turning head": relief_on_a_screen,
    **{f"{name}, held still": held_still(medium) for name, medium in recaptures.HELD_OUT.items()},
}  # fmt: skip


def presentation(shots: Shots, index: int, seed: int) -> Iterator[Frame]:
    """The frames of one presentation; people of the album come in turn."""
    people = list(album().values())
    rng = np.random.default_rng((seed, index))
    for number, image in enumerate(shots(people[index % len(people)], rng)):
        yield Frame(image, 1.0 + number / FPS, number)


def _hold(rng: np.random.Generator, t: float, reach_deg: float) -> NDArray[np.float64]:
    """Yaw, pitch, roll in degrees and a shift in millimetres: nothing is held quite still."""
    sway = np.array([math.sin(5 * t), math.cos(4 * t), math.sin(3 * t)]) * reach_deg
    return np.concatenate(
        [sway, 4 * np.array([math.sin(6 * t), math.cos(5 * t), 0.0]) + rng.normal(0, 0.3, 3)]
    )


def _flat(view: View) -> Image:
    """A portrait before a plain ground, (320, 320, 3)."""
    rgba = view.cutout().astype(np.float32)
    opacity = rgba[..., 3:] / 255
    return np.asarray(rgba[..., :3] * opacity + 150 * (1 - opacity), np.uint8)


def _colours(view: View) -> Image:
    """A portrait's colours, (320, 320, 3); what they are beyond its outline is not defined."""
    return np.ascontiguousarray(view.cutout()[..., :3])


def _about_face(view: View, side: int, face_px: float) -> Image:
    """The portrait before its plain ground with its face, so many pixels high, in the middle."""
    (left_x, left_y), (right_x, right_y) = view.eyes_px
    apart = math.hypot(right_x - left_x, right_y - left_y)
    scale = face_px / (2.1 * apart)  # a detector's box is about so high
    middle = np.array([(left_x + right_x) / 2, (left_y + right_y) / 2 + 0.55 * apart])
    matrix = np.column_stack([scale * np.eye(2), side / 2 - scale * middle])
    laid = cv2.warpAffine(_flat(view), matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.uint8)


def relief(image: Image, view: View, yaw_deg: float) -> Image:
    """A portrait's picture over a relief, turned by so much about an axis behind the face."""
    (left_x, left_y), (right_x, right_y) = view.eyes_px
    apart = math.hypot(right_x - left_x, right_y - left_y)
    middle_x, middle_y = (left_x + right_x) / 2, (left_y + right_y) / 2
    height, width = image.shape[:2]
    x = (np.arange(width)[None, :] - middle_x) / apart + np.zeros((height, 1))
    y = (np.arange(height)[:, None] - middle_y) / apart + np.zeros((1, width))
    yaw, from_x = math.radians(yaw_deg), x
    for _ in range(4):  # where a pixel comes from depends on how deep it lies there
        from_x = (x - _depth(from_x, y) * math.sin(yaw)) / math.cos(yaw)
    maps = (from_x * apart + middle_x).astype(np.float32), (y * apart + middle_y).astype(np.float32)
    return np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _depth(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eye distances towards the camera, about 0 in the eyes' plane."""
    ball = np.sqrt(np.clip(1 - (x / 1.25) ** 2 - ((y - 0.45) / 1.7) ** 2, 0, 1))
    nose = np.exp(-((x / 0.20) ** 2) - ((y - 0.52) / 0.30) ** 2)
    return np.asarray(0.75 * ball + 0.28 * nose - 0.6)


@cache
def _street() -> Image:
    return compose([], seed=0)


def _shown(
    picture: Image,
    held: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    frame: bool = False,
    opacity: Image | None = None,
) -> Image:
    """A frame with this picture on a plane before the street; `frame` draws a tablet's edge around it.

    With `opacity` only what is opaque is seen, and no plane.
    """
    if frame:
        edged = cv2.copyMakeBorder(picture, 14, 14, 14, 14, cv2.BORDER_CONSTANT, value=(12, 12, 14))
        picture = np.asarray(edged, np.uint8)
    yaw, pitch, roll = np.radians(held[:3])
    turn = cv2.Rodrigues(np.array([0.0, yaw, 0.0]))[0] @ cv2.Rodrigues(np.array([pitch, 0.0, 0.0]))[0]
    turn = turn @ cv2.Rodrigues(np.array([0.0, 0.0, roll]))[0]
    half = _PRINT_MM / 2
    corners = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])
    at = corners @ turn.T + held[3:] + np.array([0, 15, 560.0])
    onto = _FOCAL_PX * at[:, :2] / at[:, 2:] + np.array([WIDTH_PX / 2, HEIGHT_PX / 2])
    height, width = picture.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    h = cv2.getPerspectiveTransform(source, onto.astype(np.float32))
    street = _street().astype(np.float32)
    warped = cv2.warpPerspective(picture, h, (WIDTH_PX, HEIGHT_PX), flags=cv2.INTER_LINEAR)
    covers = (
        np.ones((height, width), np.float32) if opacity is None else opacity[..., 0].astype(np.float32) / 255
    )
    inside = cv2.warpPerspective(covers, h, (WIDTH_PX, HEIGHT_PX))[..., None]
    noise = rng.normal(0, _NOISE, (HEIGHT_PX, WIDTH_PX, 3))
    return np.asarray(np.clip(street * (1 - inside) + warped * inside + noise, 0, 255), np.uint8)
