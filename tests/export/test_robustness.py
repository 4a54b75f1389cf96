from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd_export.evaluation import changes, robustness
from janusd_export.evaluation.changes import CURVES, Step
from janusd_export.faces.device import Embedded
from janusd_export.faces.photos import Photo

POINTS = np.array([[50, 60], [90, 60], [70, 80], [54, 102], [86, 102]], np.float32)


@pytest.fixture(scope="module")
def image():
    """A smooth picture with some texture, 140 x 160."""
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (160, 140, 3)), (0, 0), 3)
    return np.clip(3 * (noise - 127) + 127, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("step", [s for kind in CURVES for s in kind.steps], ids=lambda s: s.key)
def test_every_change_changes_the_picture_the_same_way_each_time(image, step):
    before = image.copy()
    changed = step(image, POINTS, 7)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    assert (changed == step(image, POINTS, 7)).all()
    assert (image == before).all()


def test_keys_tell_changes_apart():
    keys = [step.key for kind in CURVES for step in kind.steps]
    assert len(set(keys)) == len(keys)


def test_every_curve_begins_with_the_plain_photograph(image):
    for kind in CURVES:
        if kind.name == "light":
            continue  # its noise is never quite gone
        level, label = kind.levels[0]
        plain = Step(kind.name, level, label)
        if kind.name in ("resolution", "occlusion"):
            continue  # the plain photograph has no step at all
        assert np.abs(plain(image, POINTS, 1).astype(int) - image).max() <= 3, kind.name


def test_less_light_is_darker_once_the_camera_has_done_what_it_can(image):
    means = [Step("light", level, "")(image, POINTS, 1).mean() for level in (0.25, 0.12, 0.06, 0.03)]
    assert means == sorted(means, reverse=True)


def test_a_tilt_turns_the_mouth_about_the_middle_of_the_face():
    image = np.zeros((160, 140, 3), np.uint8)
    cv2.circle(image, (70, 101), 3, (255, 255, 255), -1)  # 20 px under the middle of the points
    turned = Step("rotation", 30.0, "")(image, POINTS, 1)
    y, x = np.argwhere(turned[:, :, 0] > 128).mean(axis=0)
    middle = POINTS.mean(axis=0)
    assert np.hypot(x - middle[0], y - middle[1]) == pytest.approx(np.hypot(0, 101 - middle[1]), abs=1.0)
    assert abs(x - middle[0]) == pytest.approx((101 - middle[1]) * 0.5, abs=1.0)  # sin 30


def test_a_turn_moves_the_nose_and_leaves_what_is_far_from_the_face(image):
    turned = Step("yaw", 30.0, "")(image, POINTS, 1)
    assert (turned[:8] == image[:8]).all()
    assert (turned[150:] == image[150:]).all()
    dot = np.zeros((160, 140, 3), np.uint8)
    cv2.circle(dot, (70, 81), 2, (255, 255, 255), -1)  # the middle of the face: the ellipsoid's pole
    moved = Step("yaw", 30.0, "")(dot, POINTS, 1)
    _, x = np.argwhere(moved[:, :, 0] > 100).mean(axis=0)
    depth = 1.1 * 1.15 * 40  # of the pole, for eyes 40 px apart
    assert abs(x - 70) == pytest.approx(depth * 0.5, abs=2.0)  # sin 30


def test_fewer_pixels_leave_less_detail(image):
    detail = [
        cv2.Laplacian(Step("resolution", px, "")(image, POINTS, 1), cv2.CV_64F).var()
        for px in (32.0, 16.0, 8.0)
    ]
    assert detail == sorted(detail, reverse=True)
    assert (Step("resolution", 80.0, "")(image, POINTS, 1) == image).all()  # there are only 40


def test_dark_glasses_cover_the_eyes_and_nothing_else(image):
    covered = Step("occlusion", 1.0, "")(image, POINTS, 1)
    assert covered[60, 50].tolist() == covered[60, 90].tolist()
    assert (covered[100:] == image[100:]).all()


def side(names, vectors, found):
    return Embedded(
        tuple(Photo(name, f"{name}-{n}", Path("unread")) for n, name in enumerate(names)),
        np.array(vectors, np.float32),
        np.array(found),
    )


def test_friends_are_the_corresponding_rows_and_strangers_all_others():
    enrolled = side(["ann", "ben", "ann"], [[1, 0], [0, 1], [1, 0]], [True] * 3)
    shown = side(["ann", "ben", "ann"], [[1, 0], [1, 0], [0, 0]], [True, True, False])
    point = robustness.compare(enrolled, shown, 0.5, 1.0, "some")
    assert (point.fnmr.hits, point.fnmr.trials) == (2, 3)  # ben looks like ann, the second ann is not found
    # ann against ann is no stranger, a missed face no comparison: ben against ann, ann twice against ben
    assert (point.fmr.hits, point.fmr.trials) == (2, 3)
    assert (point.missed.hits, point.missed.trials) == (1, 3)


def test_kinds_have_a_function_each():
    assert {kind.name for kind in CURVES} == set(changes._KINDS)


def test_a_nod_moves_the_nose_up_or_down_and_not_aside():
    image = np.zeros((160, 140, 3), np.uint8)
    cv2.circle(image, (70, 80), 3, (255, 255, 255), -1)  # the tip of the nose
    moved = []
    for seed in range(8):
        nodded = Step("nod", 20.0, "")(image, POINTS, seed)
        y, x = np.argwhere(nodded[:, :, 0] > 128).mean(axis=0)
        assert abs(x - 70) < 1
        moved.append(y - 80)
    assert min(moved) < -5
    assert max(moved) > 5
