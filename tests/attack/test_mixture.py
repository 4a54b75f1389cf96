"""Two photographs dissolved into each other are no head that turns."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from janusd.core import mixture, parallax
from janusd.core.align import align
from janusd.core.parallax import Relief, Sight
from janusd.core.types import Image
from support.heads import head, turned

HEAD = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], float)


def portrait() -> Image:
    """A face of nobody."""
    return head("ben", "front")


def landmarks(yaw_deg: float, at: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """Eyes and mouth stay, the nose moves as that of a head does."""
    points = HEAD[:, :2] * (70.0 / 63.0) + (320, 243)
    points[2, 0] += 28 * np.sin(np.radians(yaw_deg))
    return (points + at).astype(np.float32)


def noisy(image: np.ndarray, seed: int) -> Image:
    noise = np.random.default_rng(seed).normal(0, 2, image.shape)
    return np.clip(image.astype(np.float32) + noise, 0, 255).astype(np.uint8)


@cache
def posed(yaw_deg: float) -> Image:
    """The portrait turned, and moved back so that its eyes stay where they were."""
    shown = turned(portrait(), (320.0, 243.0), 70.0, yaw_deg, 0.0)
    back = np.array([[1, 0, -0.87 * 70 * np.sin(np.radians(yaw_deg))], [0, 1, 0]], np.float32)
    return cv2.warpAffine(shown, back, (shown.shape[1], shown.shape[0]))


def played(pictures: list[np.ndarray], yaws: list[float], shift: float = 0.0) -> tuple[Sight, ...]:
    """What is seen of pictures whose landmarks a detector finds where those of that turn lie."""
    sights = []
    for number, (picture, yaw) in enumerate(zip(pictures, yaws, strict=True)):
        moved = np.array([[1, 0, shift * number], [0, 1, 0]], np.float32)
        shown = noisy(cv2.warpAffine(picture, moved, (picture.shape[1], picture.shape[0])), number)
        points = landmarks(yaw, (shift * number, 0.0))
        found = parallax.sight(points, number / 10, None, align(shown, points))
        assert found is not None
        sights.append(found)
    return tuple(sights)


PARTS = [*[0.0] * 6, *np.linspace(0, 1, 18), *[1.0] * 6]
YAWS = [24 * (2 * part - 1) for part in PARTS]


def dissolved() -> list[np.ndarray]:
    first, last = posed(-24).astype(np.float32), posed(24).astype(np.float32)
    return [(1 - part) * first + part * last for part in PARTS]


def test_a_head_that_turns_is_no_mixture() -> None:
    assert parallax.assess(played([posed(yaw) for yaw in YAWS], YAWS)).relief is Relief.STANDS_OUT


@pytest.mark.parametrize("shift", [0.0, 2.0], ids=["held still", "panned"])
def test_two_photographs_dissolved_into_each_other_are_found_out(shift: float) -> None:
    sights = played(dissolved(), YAWS, shift)
    assert parallax.assess(sights).relief is Relief.BROKEN
    blind = tuple(replace(one, view=None) for one in sights)
    assert parallax.assess(blind).relief is Relief.STANDS_OUT  # by its landmarks alone it is a head


def test_nothing_between_two_views_is_no_mixture() -> None:
    one = mixture.view(np.zeros((112, 112, 3), np.uint8))
    assert not mixture.is_mixed(one, [], one)
    assert not mixture.is_mixed(one, [one], one)
