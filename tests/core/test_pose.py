"""Head pose from five landmarks, against a head whose pose is known."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import pose
from janusd.core.pose import Pose, head_pose
from janusd.core.types import Box, Face, Points

SIZE = (640, 480)
HEAD_MM = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], np.float64)


def landmarks(turned: Pose, distance_mm: float = 600.0, at_px: tuple[float, float] = (320, 240)) -> Points:
    """A mean head before a camera of 56 degrees, turned so and moved to that place."""
    yaw, pitch, roll = np.radians([turned.yaw_deg, turned.pitch_deg, turned.roll_deg])
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    points = HEAD_MM @ (about_z @ about_y @ about_x).T + [0, 0, distance_mm]
    focal = SIZE[0] / 2 / np.tan(np.radians(28))
    return (points[:, :2] / points[:, 2:] * focal + at_px).astype(np.float32)


def seen(points: Points) -> Face:
    return Face(Box(0, 0, 100, 120), points, 1.0)


def gap_deg(a: Pose, b: Pose) -> float:
    return max(abs(a.yaw_deg - b.yaw_deg), abs(a.pitch_deg - b.pitch_deg), abs(a.roll_deg - b.roll_deg))


@given(st.floats(-35, 35), st.floats(-25, 25), st.floats(300, 1500))
def test_a_turned_head_is_found_as_it_was_turned(yaw: float, pitch: float, distance_mm: float) -> None:
    found = head_pose(seen(landmarks(Pose(yaw, pitch, 0), distance_mm)), SIZE)
    assert abs(found.yaw_deg - yaw) < 4  # the landmarks' middle is not the nose: a small parallax is left
    assert abs(found.pitch_deg - pitch) < 4


@given(st.floats(-35, 35), st.floats(-25, 25), st.floats(-25, 25))
def test_the_mirror_image_is_turned_the_other_way(yaw: float, pitch: float, roll: float) -> None:
    points = landmarks(Pose(yaw, pitch, roll))
    mirrored = points[[1, 0, 2, 4, 3]] * np.float32([-1, 1]) + np.float32([639, 0])
    there, back = head_pose(seen(points), SIZE), head_pose(seen(mirrored), SIZE)
    assert gap_deg(there, Pose(-back.yaw_deg, back.pitch_deg, -back.roll_deg)) < 1


@given(st.floats(-30, 30), st.floats(100, 540), st.floats(100, 380))
def test_where_in_the_picture_a_face_is_does_not_turn_it(yaw: float, x: float, y: float) -> None:
    here, there = (head_pose(seen(landmarks(Pose(yaw, 0, 0), at_px=at)), SIZE) for at in ((320, 240), (x, y)))
    assert gap_deg(here, there) < 0.5


@given(st.floats(-20, 20))
def test_tilting_the_picture_tilts_the_head_alone(angle_deg: float) -> None:
    points = landmarks(Pose(10, 5, 0))
    middle = points.mean(axis=0)
    spin = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), -angle_deg, 1)
    tilted = (points @ spin[:, :2].T + spin[:, 2]).astype(np.float32)
    turn = head_pose(seen(tilted), SIZE).roll_deg - head_pose(seen(points), SIZE).roll_deg
    assert abs(turn - angle_deg) < 1


def test_yaw_is_as_good_as_the_docstring_says() -> None:
    rng = np.random.default_rng(0)
    errors = {}
    for noise_px in (1, 2, 3):
        found = [
            head_pose(seen((p + rng.normal(0, noise_px, (5, 2))).astype(np.float32)), SIZE).yaw_deg - yaw
            for yaw in np.linspace(-30, 30, 13)
            for p in [landmarks(Pose(float(yaw), 0, 0))]
            for _ in range(20)
        ]
        errors[noise_px] = float(np.mean(np.abs(found)))
    assert errors[1] < 2.5
    assert errors[2] < 4.5
    assert errors[3] < 6.5


def test_landmarks_in_one_point_are_turned_away_as_far_as_can_be() -> None:
    assert head_pose(seen(np.full((5, 2), 7, np.float32)), SIZE) == pose.UNKNOWN
