"""Align, quality and the idle gate, on pictures drawn here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import align, quality
from janusd.core.pose import head_pose
from janusd.core.quality import Floors
from janusd.core.reason import Reason
from janusd.core.types import Box, Face, Frame, Points
from janusd.service.gate import IdleGate


def turned(scale: float, angle_deg: float, dx: float, dy: float) -> Points:
    """The template's landmarks under a similarity transform."""
    a = np.radians(angle_deg)
    rotation = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return (align.TEMPLATE @ rotation.T + [dx, dy]).astype(np.float32)


similarities = st.tuples(st.floats(0.2, 6), st.floats(-179, 179), st.floats(-200, 200), st.floats(-200, 200))


@given(similarities)
def test_umeyama_finds_the_transform_that_was_applied(how: tuple[float, float, float, float]) -> None:
    points = turned(*how)
    matrix = align.similarity(points, align.TEMPLATE)
    back = points @ matrix[:, :2].T + matrix[:, 2]
    assert np.abs(back - align.TEMPLATE).max() < 1e-2


def test_a_mirrored_face_is_never_reflected() -> None:
    mirrored = align.TEMPLATE * np.float32([-1, 1])
    assert np.linalg.det(align.similarity(mirrored, align.TEMPLATE)[:, :2]) > 0


def test_landmarks_in_one_point_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        align.similarity(np.zeros((5, 2), np.float32), align.TEMPLATE)


def dots(points: Points, size: tuple[int, int] = (480, 640), radius: int = 4) -> np.ndarray:
    """A grey picture with a bright dot on each landmark."""
    image = np.full((*size, 3), 90, np.uint8)
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), radius, (230, 230, 230), -1)
    return image


@pytest.mark.parametrize(("scale", "radius"), [(1.0, 3), (2.5, 8), (4.0, 12)])
def test_each_landmark_lands_on_the_template_at_any_scale(scale: float, radius: int) -> None:
    points = turned(scale, 12, 60, 10)
    crop = align.align(dots(points, radius=radius), points)
    assert crop.shape == (112, 112, 3)
    for x, y in align.TEMPLATE:
        patch = crop[round(float(y)) - 1 : round(float(y)) + 2, round(float(x)) - 1 : round(float(x)) + 2]
        assert patch.mean() > 180


def face(scale: float = 2.0, angle_deg: float = 0.0, shift: Points | None = None) -> Face:
    points = turned(scale, angle_deg, 150, 100)
    if shift is not None:
        points = points + shift
    x, y = points.min(axis=0) - 30 * scale
    width, height = np.ptp(points, axis=0) + 60 * scale
    return Face(Box(float(x), float(y), float(width), float(height)), points, 0.99)


def noisy(level: float, contrast: float = 40.0, detail: int = 120) -> np.ndarray:
    """A cloudy picture whose finest structures are 480 / `detail` pixels wide."""
    rng = np.random.default_rng(1)
    coarse = rng.normal(level, contrast, (detail, detail * 4 // 3, 3))
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def reason_for(image: np.ndarray, someone: Face) -> Reason | None:
    return quality.assess(image, someone, align.align(image, someone.landmarks_px), Floors()).reason


def test_a_plain_good_face_is_fit() -> None:
    assert reason_for(noisy(120), face()) is None


@pytest.mark.parametrize(
    ("image", "someone", "reason"),
    [
        (noisy(120), face(scale=0.5), Reason.TOO_SMALL),
        (noisy(120), face(scale=5.0), Reason.TOO_NEAR),
        (noisy(15, 5), face(), Reason.TOO_DARK),
        (noisy(250, 5), face(), Reason.TOO_BRIGHT),
        (noisy(120), face(angle_deg=55), Reason.TOO_FAR_TURNED),
        (np.full((480, 640, 3), 120, np.uint8), face(), Reason.BLURRED),
        (noisy(120, detail=6), face(), Reason.BLURRED),
    ],
)
def test_an_unfit_face_names_its_reason(image: np.ndarray, someone: Face, reason: Reason) -> None:
    assert reason_for(image, someone) is reason


def test_a_nose_beside_the_eyes_means_the_head_is_turned() -> None:
    to_the_right = np.zeros((5, 2), np.float32)
    to_the_right[2, 0] = 30
    yaw = head_pose(face(shift=to_the_right), (640, 480)).yaw_deg
    mirrored_yaw = head_pose(face(shift=-to_the_right), (640, 480)).yaw_deg
    assert yaw > 25
    assert mirrored_yaw < -25


def test_a_straight_face_has_hardly_any_yaw_or_roll_and_a_tilted_one_its_tilt() -> None:
    pose = head_pose(face(), (640, 480))
    assert abs(pose.yaw_deg) < 5
    assert abs(pose.pitch_deg) < 20
    assert abs(pose.roll_deg) < 3
    assert head_pose(face(angle_deg=20), (640, 480)).roll_deg == pytest.approx(20, abs=3)


def still(value: int, captured_s: float) -> Frame:
    return Frame(np.full((480, 640, 3), value, np.uint8), captured_s, 0)


def test_the_gate_closes_over_a_still_picture_and_opens_when_somebody_comes() -> None:
    gate = IdleGate(linger_s=1.0)
    assert gate.is_open(still(100, 0.0))
    assert not gate.is_open(still(100, 2.0))
    somebody = still(100, 2.1)
    somebody.image[100:400, 200:400] = 180
    assert gate.is_open(somebody)
    assert gate.is_open(still(100, 3.0))


def test_a_passing_cloud_wakes_nothing() -> None:
    gate = IdleGate(linger_s=0.5)
    gate.is_open(still(100, 0.0))
    assert not gate.is_open(still(160, 1.0))


def test_the_gate_stays_open_while_somebody_stands_still_in_view() -> None:
    gate = IdleGate(linger_s=1.0)
    gate.is_open(still(100, 0.0))
    gate.hold_open(0.9)
    assert gate.is_open(still(100, 1.8))
    assert not gate.is_open(still(100, 2.5))
