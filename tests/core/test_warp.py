"""Warp: in the right place to a fraction of a pixel, without aliasing, at any scale, and past the border."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from janusd.core.types import Image
from janusd.core.warp import mirrored, warp

SIDE = 64
HEIGHT, WIDTH = 480, 640


def waves(x: NDArray[np.float64], y: NDArray[np.float64], period_px: float) -> NDArray[np.float64]:
    """A smooth pattern in both directions, 40 to 210."""
    return 125 + 85 * np.sin(2 * np.pi * (x + 0.3 * y) / period_px) * np.cos(
        2 * np.pi * y / (1.3 * period_px)
    )


def picture(period_px: float) -> Image:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    return np.repeat(np.rint(waves(x, y, period_px))[:, :, None], 3, axis=2).astype(np.uint8)


def similarity(scale: float, angle_deg: float, x: float, y: float) -> NDArray[np.float64]:
    """From the picture to a square whose middle shows (x, y)."""
    a, middle = np.radians(angle_deg), (SIDE - 1) / 2
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.column_stack([turn, np.array([middle, middle]) - turn @ np.array([x, y])])


@given(st.floats(0.14, 3.0), st.floats(-180, 180), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_each_pixel_shows_its_place(scale: float, angle_deg: float, across: float, down: float) -> None:
    matrix = similarity(scale, angle_deg, across * WIDTH, down * HEIGHT)
    v, u = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    back = cv2.invertAffineTransform(matrix)
    x, y = (back[k, 0] * u + back[k, 1] * v + back[k, 2] for k in (0, 1))
    assume(x.min() > 8 and y.min() > 8 and x.max() < WIDTH - 9 and y.max() < HEIGHT - 9)
    period = 24 / min(scale, 1.0)  # in the square a period is 24 pixels or longer: halving dims it little
    found = warp(picture(period), matrix, SIDE)[:, :, 0].astype(np.float64)
    assert np.abs(found - waves(x, y, period)).max() < 6  # a pixel aside would be 22
    assert abs((found - waves(x, y, period)).mean()) < 1


@pytest.mark.parametrize("scale", [0.5, 0.37, 0.26, 0.12])
def test_what_is_finer_than_a_pixel_becomes_grey(scale: float) -> None:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    chess = np.repeat((((x + y) % 2) * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    assert warp(chess, similarity(scale, 0, 320, 240), SIDE).std() < 2


@given(st.floats(0.01, 4), st.floats(-180, 180), st.floats(-3, 4), st.floats(-3, 4))
def test_past_the_border_is_the_border(scale: float, angle_deg: float, across: float, down: float) -> None:
    plain = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    found = warp(plain, similarity(scale, angle_deg, across * WIDTH, down * HEIGHT), SIDE)
    assert found.shape == (SIDE, SIDE, 3)
    assert (found == 77).all()


@given(st.integers(1, 5), st.integers(1, 700), st.floats(0.02, 2))
def test_a_picture_of_a_line_is_no_fault(height: int, width: int, scale: float) -> None:
    assert (warp(np.full((height, width, 3), 5, np.uint8), similarity(scale, 30, 2, 2), SIDE) == 5).all()


def test_mirrored_twice_is_the_same() -> None:
    one = np.random.default_rng(0).integers(0, 256, (11, 7, 3)).astype(np.uint8)
    assert np.array_equal(mirrored(one), one[:, ::-1])
    assert mirrored(one).flags.c_contiguous
    assert np.array_equal(mirrored(mirrored(one)), one)


@given(st.floats(0.05, 0.5), st.floats(-180, 180), st.floats(0.3, 0.7), st.floats(0.3, 0.7))
def test_a_larger_square_shows_the_same_in_its_middle(
    scale: float, angle_deg: float, across: float, down: float
) -> None:
    fine = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    matrix = similarity(scale, angle_deg, across * WIDTH, down * HEIGHT)
    wide = matrix + np.array([[0, 0, 8], [0, 0, 8]])
    small, large = (warp(fine, m, side).astype(int) for m, side in ((matrix, SIDE), (wide, SIDE + 16)))
    assert np.abs(large[8:-8, 8:-8] - small).max() <= 12  # places are rounded to a 32nd of a pixel


@pytest.mark.parametrize("scale", [0.0, 1e-300, 1e-12, 1e-5])
def test_a_scale_of_nothing_is_no_fault(scale: float) -> None:
    assert (warp(np.full((HEIGHT, WIDTH, 3), 9, np.uint8), similarity(scale, 20, 320, 240), SIDE) == 9).all()
