"""Two photographs put together are no head that turns, nor is one that is tilted."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from janusd.core import motion, parallax
from janusd.core.align import align
from janusd.core.motion import Kind, Piece, View
from janusd.core.parallax import Relief, Sight
from janusd.core.types import Image
from janusd_export.detector import turning
from support.heads import head

EYES_APART = 70.0
POINTS = EYES_APART * np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1], [0.4, 1]]) + (320, 205)


def portrait() -> Image:
    """A face of nobody."""
    return head("ben", "front")


@cache
def turned(yaw_deg: float) -> tuple[Image, np.ndarray]:
    """The portrait with its head turned, and where eyes, nose and mouth corners then are."""
    frame = portrait().copy()
    part, points = turning.turned(
        frame[60:420, 140:500], (POINTS - (140, 60)).astype(np.float32), yaw_deg, 0.0
    )
    frame[60:420, 140:500] = part
    return frame, np.add(points, (140, 60))


def posed(yaw_deg: float) -> Image:
    return turned(yaw_deg)[0]


def landmarks(yaw_deg: float, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    return (turned(yaw_deg)[1] + at).astype(np.float32)


def noisy(image: np.ndarray, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image.astype(np.float32) + noise, 0, 255).astype(np.uint8)


def played(pictures: list[np.ndarray], yaws: list[float], shift: float = 0.0) -> tuple[Sight, ...]:
    """What is seen of pictures whose landmarks a detector finds where those of that turn lie."""
    sights = []
    for number, (picture, yaw) in enumerate(zip(pictures, yaws, strict=True)):
        moved = np.array([[1, 0, shift * number], [0, 1, 0]], np.float32)
        shown = cv2.warpAffine(picture, moved, (picture.shape[1], picture.shape[0])).astype(np.uint8)
        points = landmarks(yaw, (shift * number, 0.0))
        found = parallax.sight(points, number / 10, None, noisy(align(shown, points), number))
        assert found is not None
        sights.append(found)
    return tuple(sights)


PARTS = [*[0.0] * 6, *np.linspace(0, 1, 18), *[1.0] * 6]
YAWS = [24 * (2 * part - 1) for part in PARTS]


def said(sights: tuple[Sight, ...]) -> set[Relief]:
    """All that is said while they come in, as a door asks after every frame."""
    return {parallax.assess(sights[:until]).relief for until in range(12, len(sights) + 1, 3)}


def mixed(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Two photographs in two poses; a weight says how much of the second is seen in each place."""
    first, last = posed(-24).astype(np.float32), posed(24).astype(np.float32)
    several = (one.astype(np.float32)[..., None] for one in weights)
    return [((1 - one) * first + one * last).astype(np.uint8) for one in several]


def dissolving(part: float) -> np.ndarray:
    return np.full((480, 640), part)


def wiping(part: float, angle: float, soft_px: float) -> np.ndarray:
    y, x = np.mgrid[0:480, 0:640]
    along = (x - 320) * np.cos(angle) + (y - 275) * np.sin(angle)
    return np.clip((130 * (2 * part - 1) - along) / soft_px + 0.5, 0, 1)


def in_blocks(part: float) -> np.ndarray:
    due = np.random.default_rng(5).random((20, 27))
    return (np.kron(due, np.ones((24, 24)))[:480, :640] < part).astype(float)


def test_a_head_that_turns_is_on_its_way() -> None:
    assert Relief.STANDS_OUT in said(played([posed(yaw) for yaw in YAWS], YAWS))


FILMS = {
    "dissolved": dissolving,
    "wiped across": lambda part: wiping(part, 0.0, 2.0),
    "wiped aslant and softly": lambda part: wiping(part, 0.7, 70.0),
    "block by block": in_blocks,
}


@pytest.mark.parametrize(("name", "shift"), [*((name, 0.0) for name in FILMS), ("dissolved", 2.0)])
def test_two_photographs_put_together_are_found_out(name: str, shift: float) -> None:
    sights = played(mixed([FILMS[name](part) for part in PARTS]), YAWS, shift)
    assert Relief.STANDS_OUT not in said(sights)
    assert parallax.assess(sights).relief is Relief.BROKEN
    blind = tuple(replace(one, view=None) for one in sights)
    assert parallax.assess(blind).relief is Relief.STANDS_OUT  # by its landmarks alone it is a head


def tilted(yaw_deg: float) -> Image:
    """The portrait as a plane shows it."""
    yaw = np.radians(yaw_deg)
    to = np.array([[np.cos(yaw), 0, 0], [0, 1, 0], [np.sin(yaw) / 500, 0, 1]])
    middle = np.array([[1, 0, -320.0], [0, 1, -275], [0, 0, 1]])
    shown = cv2.warpPerspective(portrait(), np.linalg.inv(middle) @ to @ middle, (640, 480))
    return np.asarray(shown, np.uint8)


def test_one_picture_tilted_is_flat_even_where_landmarks_err() -> None:
    sights = played([tilted(yaw) for yaw in YAWS], YAWS)
    assert Relief.STANDS_OUT not in said(sights)
    assert parallax.assess(tuple(replace(one, view=None) for one in sights)).relief is Relief.STANDS_OUT


def test_nothing_is_said_to_stand_out_where_nobody_looks() -> None:
    sights = played([posed(yaw) for yaw in YAWS], YAWS)
    assert parallax.assess(sights, looks=False).relief is Relief.UNSEEN


def test_one_view_again_and_again_is_no_head() -> None:
    empty, face = motion.view(np.zeros((112, 112, 3), np.uint8)), seen(0.0)
    assert motion.judge([Piece(empty, ((empty, 0.5),), empty)]) is not Kind.TURNED
    assert motion.judge([Piece(face, ((face, 0.5),), face)]) is not Kind.TURNED


def test_a_way_without_a_view_between_is_a_picture_put_after_another() -> None:
    assert motion.judge([Piece(seen(-16.0), (), seen(16.0))]) is Kind.MIXED


def seen(yaw_deg: float) -> View:
    return motion.view(noisy(align(posed(yaw_deg), landmarks(yaw_deg)), 1))
