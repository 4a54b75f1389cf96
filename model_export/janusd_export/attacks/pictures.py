"""Frames of the demo's generated people, living or held up: SIMULATED presentations for the whole pipeline.

A living head is a portrait laid over a simple relief (a half ellipsoid with a nose) and turned; a picture is
the same portrait on a plane, seen in perspective before the demo's street. Both get the noise of a sensor.
What a real print, screen or camera would add (halftone, moire, glare, rolling bands) is not drawn here.
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
        yield _shown(_relief(view, yaw), _hold(rng, t, 0.0), rng)


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
        turned = _relief(view, reach * math.sin(2 * math.pi * t))
        yield _shown(turned, _hold(rng, t, 3.0), rng, frame=True)


GENUINE: Final[Mapping[str, Shots]] = {"turns the head": living}
HELD_OUT: Final[Mapping[str, Shots]] = {
    "still, looped to the byte": looped_still, "still, with a sensor's noise": noisy_still,
    "still, panned and zoomed": panned_still, "print, waved": waved_print,
    "photographs exchanged": two_photographs, "film of a turning head": relief_on_a_screen,
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


def _relief(view: View, yaw_deg: float) -> Image:
    """The portrait over a relief, turned by so much about an axis behind the face."""
    image = _flat(view)
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
    picture: Image, held: NDArray[np.float64], rng: np.random.Generator, *, frame: bool = False
) -> Image:
    """A frame with this picture on a plane before the street; `frame` draws a tablet's edge around it."""
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
    inside = cv2.warpPerspective(np.ones((height, width), np.float32), h, (WIDTH_PX, HEIGHT_PX))[..., None]
    noise = rng.normal(0, _NOISE, (HEIGHT_PX, WIDTH_PX, 3))
    return np.asarray(np.clip(street * (1 - inside) + warped * inside + noise, 0, 255), np.uint8)
