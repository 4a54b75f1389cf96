"""The head that is turned in a training picture: what is drawn goes where the label goes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from janusd.core.detect import REFINER_PX, REFINER_TEMPLATE
from janusd.core.pose import pose_of
from janusd_export.detector.turning import turned

POINTS = REFINER_TEMPLATE.astype(np.float32)


@pytest.mark.parametrize("yaw", [-25.0, 0.0, 25.0])
@pytest.mark.parametrize("pitch", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("which", range(5))
def test_a_dot_on_a_point_is_found_where_the_point_went(yaw, pitch, which):
    scale = 4  # a large picture: where a dot lies is measured to a fraction of a refiner's pixel
    points = POINTS * scale
    picture = np.zeros((REFINER_PX * scale, REFINER_PX * scale, 3), np.uint8)
    cv2.circle(picture, tuple(int(n) for n in np.rint(points[which])), 3, (255, 255, 255), -1)
    bent, moved = turned(picture, points, yaw, pitch)
    rows, columns = np.nonzero(bent[..., 0] > 100)
    assert len(rows)
    off = np.hypot(columns.mean() - moved[which, 0], rows.mean() - moved[which, 1])
    assert off < 1.5  # of four a refiner's pixel


def test_no_turn_changes_nothing():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (REFINER_PX, REFINER_PX, 3), dtype=np.uint8)
    bent, moved = turned(picture, POINTS, 0.0, 0.0)
    assert np.array_equal(bent, picture)
    assert np.allclose(moved, POINTS, atol=1e-4)


def test_the_pose_behind_the_points_turns_the_same_way():
    def pitch(degrees: float) -> float:
        return pose_of(turned(np.zeros((64, 64, 3), np.uint8), POINTS, 0.0, degrees)[1], 640).pitch_deg

    def yaw(degrees: float) -> float:
        return pose_of(turned(np.zeros((64, 64, 3), np.uint8), POINTS, degrees, 0.0)[1], 640).yaw_deg

    assert pitch(-17.0) + 8.0 < pitch(0.0) < pitch(17.0) - 8.0
    assert abs(yaw(20.0) - yaw(-20.0)) > 20.0


def test_points_in_one_place_are_left_alone():
    picture = np.zeros((64, 64, 3), np.uint8)
    same = np.zeros((5, 2), np.float32)
    assert turned(picture, same, 20.0, 20.0)[1] is same
