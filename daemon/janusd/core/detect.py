"""Picture to tensor, raw output to faces: all the meaning of the detector's numbers.

The detector sees the whole picture once, reduced to its input; the part that the picture does not fill is
grey. It answers 15 numbers v at each cell of three grids (strides 8, 16, 32; rows from the top, the finest
grid first). With c the cell's centre and r the size of face its grid is for, all in pixels of the input:

    v[0]       score = sigmoid(4 v)
    v[1:3]     centre of the box = c + r v / 2
    v[3:5]     width, height     = r exp(v / 2)
    v[5:15]    five points       = c + r v / 2

The refiner sees each found face again, cut from the full picture by a similarity transform that brings the
detector's five points as near as it can to `REFINER_TEMPLATE`. It answers 11 numbers:

    v[0]       score = sigmoid(4 v)
    v[1:11]    five points = template + 6 px v

The factors bring all numbers to about the same size: an int8 output has one scale for all of them.

The shape of the answers follows YuNet (Wu et al. 2023) and BlazeFace (Bazarevsky et al. 2019, whose blending
of overlapping answers is used too); refining from a closer look follows MTCNN (Zhang et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.align import TEMPLATE, similarity
from janusd.core.tensors import Reals
from janusd.core.types import Box, Face, Image, Points
from janusd.core.warp import warp

CHANNELS: Final = 15
STRIDES: Final = (8, 16, 32)
FACE_PX: Final = (20.0, 50.0, 125.0)
"""Of each grid: the size of face (root of width times height) that it is for."""
SCORE_GAIN: Final = 4.0
LENGTH_UNIT: Final = 0.5

REFINER_PX: Final = 64
REFINER_OUTPUTS: Final = 11
REFINER_UNIT_PX: Final = 6.0
REFINER_TEMPLATE: Final[Points] = (
    (TEMPLATE - TEMPLATE.mean(axis=0)) * np.float32(0.5) + np.float32((REFINER_PX - 1) / 2)
).astype(np.float32)
"""Half the size of the encoder's template, about the crop's centre: the eyes 17.6 px apart."""

_GREY = 128
_MOST_CELLS = 256
"""A picture full of faces may not cost unbounded work; one face answers in about ten cells."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of all levels, in the order of the output."""

    centre_px: Reals
    """(N, 2)."""
    face_px: Reals
    """(N, 1)."""


def grid(height: int, width: int) -> Grid:
    """The cells of an input of this size."""
    centres, sizes = [], []
    for stride, face_px in zip(STRIDES, FACE_PX, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        y, x = np.mgrid[0:rows, 0:columns]
        centres.append((np.stack([x, y], axis=-1).reshape(-1, 2) + 0.5) * stride)
        sizes.append(np.full((rows * columns, 1), face_px))
    return Grid(np.concatenate(centres).astype(np.float32), np.concatenate(sizes).astype(np.float32))


def fit(image: Image, height: int, width: int) -> tuple[Image, float]:
    """The picture at the top left of a grey sheet of that size, and how much it was enlarged for that."""
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (
        min(width, max(1, round(image.shape[1] * scale))),
        min(height, max(1, round(image.shape[0] * scale))),
    )
    way = cv2.INTER_AREA if scale < 1.0 else cv2.INTER_LINEAR
    small = image if size == image.shape[1::-1] else cv2.resize(image, size, interpolation=way)
    if size == (width, height):
        return np.ascontiguousarray(small).astype(np.uint8, copy=False), scale
    sheet = np.full((height, width, 3), _GREY, np.uint8)
    sheet[: size[1], : size[0]] = small
    return sheet, scale


def score(value: Reals) -> Reals:
    """0..1 of the first number of an answer."""
    probability: Reals = (1.0 / (1.0 + np.exp(-SCORE_GAIN * value))).astype(np.float32)
    return probability


def faces(answers: Reals, cells: Grid, least: float, overlap: float, scale: float = 1.0) -> tuple[Face, ...]:
    """Faces of at least this score, the most confident first, in a picture that was enlarged by `scale`.

    `answers` is (N, 15). Answers whose boxes overlap speak of one face: their mean, weighted by score, is
    given, with the highest of their scores.
    """
    lowest = -np.log(1.0 / least - 1.0) / SCORE_GAIN
    chosen = np.flatnonzero(answers[:, 0] >= lowest)
    chosen = chosen[np.argsort(-answers[chosen, 0], kind="stable")][:_MOST_CELLS]
    answers, centre, unit = answers[chosen], cells.centre_px[chosen], LENGTH_UNIT * cells.face_px[chosen]
    scores = score(answers[:, 0])
    middle = centre + unit * answers[:, 1:3]
    size = cells.face_px[chosen] * np.exp(np.clip(LENGTH_UNIT * answers[:, 3:5], -4.0, 4.0))
    points = centre[:, np.newaxis] + unit[:, np.newaxis] * answers[:, 5:].reshape(-1, 5, 2)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)  # (n, 4)
    found, is_left = [], np.ones(len(chosen), np.bool_)
    for best in range(len(chosen)):
        if not is_left[best]:
            continue
        same = is_left & (shared(boxes[best], boxes) > overlap)
        same[best] = True
        is_left &= ~same
        weight = scores[same] / scores[same].sum()
        x1, y1, x2, y2 = (float(n) for n in weight @ boxes[same] / scale)
        mean = np.tensordot(weight, points[same], axes=1) / scale - 0.5  # integers are pixel centres
        found.append(Face(Box(x1, y1, x2 - x1, y2 - y1), mean.astype(np.float32), float(scores[best])))
    return tuple(found)


def shared(box: Reals, boxes: Reals) -> Reals:
    """What a box (x1, y1, x2, y2) shares with each of (n, 4), as a part of their union."""
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    common = np.clip(sides, 0.0, None).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    part: Reals = common / np.maximum(area - common, 1e-9)
    return part


def closer(image: Image, points_px: Points) -> tuple[Image, NDArray[np.float64]]:
    """The refiner's crop of the face with these points, and the (2, 3) matrix from the picture to it.

    Raises ValueError when the points coincide.
    """
    matrix = similarity(points_px, REFINER_TEMPLATE)
    return warp(image, matrix, REFINER_PX), matrix


def refined(face: Face, answer: Reals, matrix: NDArray[np.float64]) -> Face:
    """The face with the points that the refiner saw; its score is the geometric mean of both networks'.

    `answer` is (11,), `matrix` what `closer` gave.
    """
    inside = REFINER_TEMPLATE + REFINER_UNIT_PX * answer[1:].reshape(5, 2)
    back = cv2.invertAffineTransform(matrix)
    points = inside @ back[:, :2].T + back[:, 2]
    both = float(np.sqrt(face.score * score(answer[:1])[0]))
    return Face(face.box_px, points.astype(np.float32), both)
