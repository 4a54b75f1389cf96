"""What the detector's numbers mean: written and read again, for any face and any picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import detect
from janusd.core.types import Box, Face

CELLS = detect.grid(240, 320)
UPRIGHT = np.array([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.05], [-0.15, 0.3], [0.15, 0.3]], np.float32)


def nobody() -> np.ndarray:
    answers = np.zeros((len(CELLS.face_px), detect.CHANNELS), np.float32)
    answers[:, 0] = -2.0
    return answers


def write(answers: np.ndarray, cell: int, x: float, y: float, side: float, score: float) -> np.ndarray:
    """Let a cell answer for a square face; give its points in corner coordinates."""
    centre, size = CELLS.centre_px[cell], float(CELLS.face_px[cell, 0])
    unit = detect.LENGTH_UNIT * size
    points = np.array([x, y], np.float32) + side * UPRIGHT
    answers[cell, 0] = np.log(score / (1 - score)) / detect.SCORE_GAIN
    answers[cell, 1:3] = (np.array([x, y]) - centre) / unit
    answers[cell, 3:5] = np.log(side / size) / detect.LENGTH_UNIT
    answers[cell, 5:] = ((points - centre) / unit).reshape(-1)
    return points


def test_there_is_a_cell_for_every_place_of_every_grid() -> None:
    assert len(CELLS.face_px) == 30 * 40 + 15 * 20 + 8 * 10
    assert CELLS.centre_px[0].tolist() == [4, 4]
    assert CELLS.centre_px[41].tolist() == [12, 12]
    assert CELLS.centre_px[1200].tolist() == [8, 8]
    assert sorted(set(CELLS.face_px[:, 0].tolist())) == list(detect.FACE_PX)


@given(
    st.integers(0, 1579), st.floats(-20, 340), st.floats(-20, 260), st.floats(9, 230), st.floats(0.3, 0.999),
    st.floats(0.2, 3.0),
)  # fmt: skip
def test_a_face_is_read_as_it_was_written(
    cell: int, x: float, y: float, side: float, score: float, scale: float
) -> None:
    answers = nobody()
    points = write(answers, cell, x, y, side, score)
    (face,) = detect.faces(answers, CELLS, 0.25, 0.4, scale)
    assert face.score == pytest.approx(score, abs=1e-4)
    tolerance = 2e-3 * max(1.0, 1 / scale)
    assert [face.box_px.x, face.box_px.y] == pytest.approx(
        [(x - side / 2) / scale, (y - side / 2) / scale], abs=tolerance + 1e-4 * side / scale
    )
    assert face.box_px.width == pytest.approx(side / scale, rel=1e-3)
    assert np.abs(face.landmarks_px - (points / scale - 0.5)).max() < tolerance + 1e-4 * side / scale


def test_nobody_is_nobody() -> None:
    assert detect.faces(nobody(), CELLS, 0.25, 0.4) == ()


def test_answers_that_overlap_speak_of_one_face_and_the_surest_counts_most() -> None:
    answers = nobody()
    for cell, x, score in ((500, 100, 0.9), (501, 104, 0.3)):
        write(answers, cell, x, 100, 40, score)
    (face,) = detect.faces(answers, CELLS, 0.25, 0.4)
    assert face.score == pytest.approx(0.9, abs=1e-4)
    assert face.box_px.x + face.box_px.width / 2 == pytest.approx((0.9 * 100 + 0.3 * 104) / 1.2, abs=0.01)


def test_faces_side_by_side_stay_two_and_the_surer_comes_first() -> None:
    answers = nobody()
    write(answers, 500, 100, 100, 40, 0.6)
    write(answers, 700, 150, 100, 40, 0.8)
    first, second = detect.faces(answers, CELLS, 0.25, 0.4)
    assert first.score > second.score
    assert first.box_px.x > second.box_px.x


def test_wallpaper_full_of_faces_costs_bounded_work() -> None:
    answers = np.random.default_rng(0).normal(size=(1580, 15)).astype(np.float32)
    answers[:, 0] = 3.0
    answers[:, 3:5] = -4.0
    assert len(detect.faces(answers, CELLS, 0.25, 0.4)) <= 256


@pytest.mark.parametrize(
    "shape", [(480, 640), (720, 1280), (640, 480), (250, 250), (1, 1), (240, 320), (3, 900)]
)
def test_pictures_of_any_shape_fit_and_the_rest_is_grey(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 7, np.uint8)
    sheet, scale = detect.fit(image, 240, 320)
    assert sheet.shape == (240, 320, 3)
    tall, wide = max(1, min(240, round(shape[0] * scale))), max(1, min(320, round(shape[1] * scale)))
    assert (sheet[:tall, :wide] == 7).all()
    assert (sheet[tall:] == 128).all()
    assert (sheet[:, wide:] == 128).all()


def picture_with(points: np.ndarray, side: int) -> np.ndarray:
    """White discs on black."""
    image = np.zeros((side, side, 3), np.uint8)
    eyes = float(np.hypot(*(points[1] - points[0])))
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), max(1, round(eyes / 10)), (255, 255, 255), -1)
    return image


@pytest.mark.parametrize("eyes", [9, 17, 60, 200])
@pytest.mark.parametrize("angle", [0.0, 40.0])
def test_the_closer_look_brings_the_points_onto_the_template(eyes: float, angle: float) -> None:
    turn = np.deg2rad(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    template = detect.REFINER_TEMPLATE - detect.REFINER_TEMPLATE.mean(axis=0)
    points = (template @ matrix.T * eyes / 17.6 + 450).astype(np.float32)
    crop, back = detect.closer(picture_with(points, 900), points)
    assert crop.shape == (64, 64, 3)
    for x, y in detect.REFINER_TEMPLATE:
        around = crop[round(float(y)) - 1 : round(float(y)) + 2, round(float(x)) - 1 : round(float(x)) + 2]
        assert around.mean() > 90
    assert np.allclose(points @ back[:, :2].T + back[:, 2], detect.REFINER_TEMPLATE, atol=1e-3)


def test_what_the_refiner_answers_lands_in_the_picture() -> None:
    points = (detect.REFINER_TEMPLATE * 3 + 50).astype(np.float32)
    _, matrix = detect.closer(np.zeros((400, 400, 3), np.uint8), points)
    answer = np.zeros(11, np.float32)
    answer[0] = 3.0
    answer[1:3] = 0.5  # the first eye, three crop pixels right and down
    face = detect.refined(Face(Box(0, 0, 9, 9), points, 0.81), answer, matrix)
    assert face.landmarks_px - points == pytest.approx(np.array([[9, 9], *[[0, 0]] * 4]), abs=0.01)
    assert face.score == pytest.approx(0.9, abs=1e-3)


def test_points_in_one_place_are_no_face() -> None:
    with pytest.raises(ValueError, match="coincide"):
        detect.closer(np.zeros((64, 64, 3), np.uint8), np.ones((5, 2), np.float32))
