"""A nose that stands out, and sheets of which none may ever be said so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.core import parallax
from janusd.core.parallax import Relief, Sight, assess, sight

HEAD = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], float)
SHEET = HEAD * (1, 1, 0)


def seen(
    points: np.ndarray, yaw_deg: float, *, at_s: float = 0.0, noise_px: float = 0.0, seed: int = 0
) -> Sight:
    yaw = np.radians(yaw_deg)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    at = points @ turn.T + (10, 5, 550)
    pixels = 602 * at[:, :2] / at[:, 2:] + (320, 240)
    pixels = pixels + np.random.default_rng(seed).normal(0, noise_px, (5, 2)) if noise_px else pixels
    found = sight(pixels.astype(np.float32), at_s)
    assert found is not None
    return found


def path(points: np.ndarray, yaws: list[float], noise_px: float = 1.0) -> parallax.Path:
    return assess(tuple(
        seen(points, yaw, at_s=number / 10, noise_px=noise_px, seed=number) for number, yaw in enumerate(yaws)
    ))  # fmt: skip


SWEEP = list(np.concatenate([np.linspace(0, 16, 10), np.linspace(16, -16, 20)]))


def test_the_nose_of_a_sheet_stays_in_its_place_however_it_is_turned() -> None:
    places = [seen(SHEET, yaw).place for yaw in (-50, -20, 0, 35, 60)]
    assert np.ptp(places, axis=0).max() < 1e-3


def test_the_nose_of_a_head_moves_by_about_0_4_sin_of_the_turn() -> None:
    left, right = seen(HEAD, 15).place, seen(HEAD, -15).place
    assert float(np.hypot(*(left - right))) == pytest.approx(2 * 0.4 * np.sin(np.radians(15)), rel=0.2)


def test_a_head_that_turns_stands_out() -> None:
    assert path(HEAD, SWEEP).relief is Relief.STANDS_OUT


def test_a_head_that_keeps_still_is_not_called_anything() -> None:
    assert path(HEAD, [0.0] * 30).relief is Relief.UNSEEN


def test_a_sheet_that_turns_a_lot_is_found_out() -> None:
    yaws = list(np.concatenate([np.zeros(8), np.linspace(0, 50, 20), np.full(8, 50.0)]))
    assert path(SHEET, yaws, noise_px=0.3).relief is Relief.FLAT


def test_two_photographs_exchanged_are_no_path() -> None:
    assert path(HEAD, [16.0] * 12 + [-16.0] * 12).relief is Relief.BROKEN


def test_a_few_frames_say_nothing() -> None:
    assert path(HEAD, SWEEP[:9]).relief is Relief.UNSEEN
    assert assess(()).relief is Relief.UNSEEN


def test_landmarks_in_one_point_or_on_a_line_are_no_sight() -> None:
    assert sight(np.zeros((5, 2), np.float32), 0.0) is None
    assert sight(np.array([[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]], np.float32), 0.0) is None


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(*[st.floats(-1, 1)] * 8), min_size=12, max_size=40
    ),
    st.floats(-0.2, 0.2), st.floats(0.3, 0.9),
)  # fmt: skip
def test_no_still_picture_is_ever_called_live_however_it_is_warped(
    warps: list[tuple[float, ...]], nose_x: float, nose_y: float
) -> None:
    """Pan, zoom, turn, tilt, perspective: any projective map of one picture, anew in each frame."""
    points = np.array([[-0.5, 0], [0.5, 0], [nose_x, nose_y], [-0.4, 1.0], [0.4, 1.0]])
    sights = []
    for number, w in enumerate(warps):
        rows = [
            [60 * (1 + 0.4 * w[0]), 20 * w[1], 320 + 50 * w[2]],
            [20 * w[3], 60 * (1 + 0.4 * w[4]), 200 + 50 * w[5]],
            [0.25 * w[6], 0.25 * w[7], 1.0],
        ]
        h = np.array(rows)
        mapped = np.column_stack([points, np.ones(5)]) @ h.T
        found = sight((mapped[:, :2] / mapped[:, 2:]).astype(np.float32), number / 10)
        assert found is not None
        sights.append(found)
    assert assess(tuple(sights)).relief in (Relief.UNSEEN, Relief.FLAT)
