"""What a teacher detector says of clean pictures: box and landmarks, the mean of several views of each.

The teacher looks at the picture before anything is composed of it, undamaged; what a scene then does to it is
known exactly, so a label stays true where the teacher itself would miss the face. One look is not enough:
over 46 photographs YuNet's landmarks at twelve sizes and mirrorings lay 4-7 % of the inter-ocular distance
from their mean, each by itself. So each picture is seen at several sizes and mirrored, and the mean is the
label; where the views disagree too much the picture is left out. So is one with a second face, which no label
would name.

The teacher is YuNet (W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine
Intelligence Research 20, 2023) through OpenCV's FaceDetectorYN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image, Points
from janusd_export.detector.library import Kind, Labelled, Part, part_of
from janusd_export.errors import ExportError
from janusd_export.faces.photos import decode
from janusd_export.faces.sources import Item, recognise
from janusd_export.faces.stored import read_item

LEAST_SCORE = 0.7  # of every view; a clean face has 0.9
SECOND_SCORE = 0.6  # another face in the picture that is this likely leaves it out
LARGEST_SPREAD = 0.09  # inter-ocular distances, root mean square over views and landmarks
SCALES = (0.6, 0.8, 1.1)
"""Of a photograph whose face is about 95 px wide: small views cost little and err as much as large ones."""
REFERENCE_SCALES = (0.6, 0.7, 0.8, 0.95, 1.1, 1.3)
"""Of pictures that others are measured against."""
ALIGNED_SCALE = 1.2  # a stored face is smaller than one in a photograph
ALIGNED_PAD_PX = 40  # a face that fills its picture is found badly

Row = NDArray[np.float32]
"""(15,) as FaceDetectorYN gives it: x, y, width, height, five points, score."""

_MIRRORED = [1, 0, 2, 4, 3]


class YuNet:
    """OpenCV's YuNet for pictures of any size."""

    def __init__(self, model: Path, least_score: float = SECOND_SCORE) -> None:
        if not model.is_file():
            raise ExportError(f"{model} is not there: give YuNet's .onnx file (Apache-2.0, OpenCV zoo)")
        try:
            self._net = cv2.FaceDetectorYN.create(str(model), "", (320, 320), least_score, 0.3, 100)
        except cv2.error as error:
            raise ExportError(f"{model} is not YuNet's .onnx file: {error}") from error

    def rows(self, image: Image) -> NDArray[np.float32]:
        """(n, 15) what it finds, the most confident first."""
        self._net.setInputSize((image.shape[1], image.shape[0]))
        _, found = self._net.detect(np.ascontiguousarray(image[:, :, ::-1]))
        return np.empty((0, 15), np.float32) if found is None else np.asarray(found, np.float32)


@dataclass(frozen=True, slots=True)
class Label:
    """What the views agree on."""

    points_px: Points
    box_px: tuple[float, float, float, float]
    spread: float


def label(
    teacher: Callable[[Image], NDArray[np.float32]], image: Image, scales: tuple[float, ...]
) -> Label | str:
    """The label of the one face in a picture, or why there is none."""
    points, boxes = [], []
    for scale in scales:
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        sized = (
            image
            if scale == 1.0
            else cv2.resize(image, size, interpolation=cv2.INTER_CUBIC if scale > 1.0 else cv2.INTER_AREA)
        )
        stretch = np.array([size[0] / image.shape[1], size[1] / image.shape[0]], np.float32)
        for is_mirrored in (False, True):
            view = sized[:, ::-1] if is_mirrored else sized
            rows = teacher(np.ascontiguousarray(view).astype(np.uint8, copy=False))
            if not len(rows) or rows[0, 14] < LEAST_SCORE:
                return "no face"
            if len(rows) > 1:
                return "several faces"
            seen, box = rows[0, 4:14].reshape(5, 2).copy(), rows[0, :4].copy()
            if is_mirrored:
                seen[:, 0] = size[0] - 1 - seen[:, 0]
                seen = seen[_MIRRORED]
                box[0] = size[0] - box[0] - box[2]
            points.append((seen + 0.5) / stretch - 0.5)  # pixel centres are the integers
            boxes.append(box / np.tile(stretch, 2))
    views = np.stack(points)  # (views, 5, 2)
    mean = views.mean(axis=0)
    eyes = float(np.hypot(*(mean[1] - mean[0])))
    spread = float(np.sqrt(np.square(views - mean).sum(axis=2).mean())) / max(eyes, 1e-6)
    if spread > LARGEST_SPREAD:
        return "views disagree"
    x, y, width, height = (float(n) for n in np.mean(boxes, axis=0))
    return Label(mean.astype(np.float32), (x, y, width, height), spread)


def label_all(
    teacher: Callable[[Image], NDArray[np.float32]],
    *,
    photos: Path | None,
    aligned: Path | None,
    backgrounds: Path,
    most_photos: int,
    most_aligned: int,
    most_upscale: float = 1.5,
    say: Callable[[str, int, int], None] = lambda part, done, total: None,
    refused: Counter[str] | None = None,
) -> Iterator[Labelled]:
    """Labelled pictures of these sources, an even choice of the larger ones."""
    why = Counter() if refused is None else refused
    for kind, place, most, zoom, pad in (
        (Kind.PHOTO, photos, most_photos, 1.0, 0),
        (Kind.ALIGNED, aligned, most_aligned, ALIGNED_SCALE, ALIGNED_PAD_PX),
    ):
        items = _even(_usable(place, most_upscale), most) if place else []
        for number, item in enumerate(items):
            say(kind.name.lower(), number + 1, len(items))
            image = decode(read_item(item), item.key)
            wide = image
            if pad:
                wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_REPLICATE).astype(
                    np.uint8, copy=False
                )
            group = item.person or item.key
            scales = SCALES if part_of(kind, group) is Part.TRAIN else REFERENCE_SCALES
            found = label(teacher, wide, tuple(zoom * scale for scale in scales))
            if isinstance(found, str):
                why[f"{kind.name.lower()}: {found}"] += 1
                continue
            x, y, width, height = found.box_px
            yield Labelled(
                kind,
                group,
                image,
                found.points_px - np.float32(pad),
                (x - pad, y - pad, width, height),
                found.spread,
            )
    places = _usable(backgrounds, 0.0)
    for number, item in enumerate(places):
        say("backgrounds", number + 1, len(places))
        yield Labelled(Kind.BACKGROUND, item.key, decode(read_item(item), item.key))


def _usable(place: Path, most_upscale: float) -> list[Item]:
    items = [item for item in recognise(str(place)).items() if item.problem is None]
    if not items:
        raise ExportError(f"{place} holds no picture that can be read")
    return [item for item in items if not item.is_aligned or item.upscale <= most_upscale]


def _even(items: list[Item], most: int) -> list[Item]:
    """At most so many, evenly over the whole."""
    if len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
