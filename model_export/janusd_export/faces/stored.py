"""One picture becomes a face as a cache stores it, or is refused with a reason.

A photograph goes through the door's detector and `core.align`; a face that is aligned already is only looked
at, for its landmarks. Both are measured by `core.quality`, so that `fails` names what a door would have said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core.align import CROP_PX, align, similarity
from janusd.core.quality import Floors, assess
from janusd.core.reason import Reason
from janusd.core.types import Box, Face, Image, Points, Quality
from janusd_export.errors import ExportError
from janusd_export.faces.device import central_face, open_detector
from janusd_export.faces.layout import PAD_PX, padded, stored_template
from janusd_export.faces.photos import decode
from janusd_export.faces.sources import LARGEST_BYTES, Item, Refusal

Finder = Callable[[Image], Sequence[Face]]
"""All faces in a picture."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How faces are to be stored. All faces of a cache are stored alike."""

    margin_px: int = 16
    """Around the 112 px crop, for augmentation."""
    is_grey: bool = False
    fewest_eyes_px: float = 16.0
    """Photographs with less between the eyes are refused: their crop would be enlarged more than twice."""

    @property
    def side(self) -> int:
        """Of a stored face, in pixels."""
        return CROP_PX + 2 * self.margin_px


@dataclass(frozen=True, slots=True)
class Finders:
    """The door's detector, for whole photographs and for faces that are aligned already."""

    photo: Finder
    aligned: Finder
    name: str

    @staticmethod
    def of_the_door() -> Finders:
        """Those the daemon runs."""
        released = models.load()
        detector = open_detector(released)
        return Finders(detector.detect, detector.detect, detector.name)


class Refused(Exception):
    """A picture becomes no face."""

    def __init__(self, reason: Refusal, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(frozen=True, slots=True)
class Stored:
    """A face, and what was measured of it."""

    pixels: NDArray[np.uint8]
    landmarks_px: Points
    measured: tuple[str, ...]
    """`FACE_COLUMNS` from detector_score on."""


def look(item: Item, content: str, finders: Finders, wanted: Wanted) -> Stored:
    """The face of one picture, as it is stored. Raises Refused."""
    if item.problem:
        raise Refused(item.problem, item.detail)
    try:
        coded = read_item(item)
    except OSError as error:
        raise Refused(Refusal.UNREADABLE, error.strerror or str(error)) from error
    if len(coded) > LARGEST_BYTES:
        raise Refused(Refusal.TOO_LARGE)
    if hashlib.sha256(coded).hexdigest() != content:
        raise Refused(Refusal.UNREADABLE, "it changed while it was read: import once more")
    try:
        image = decode(coded, item.key)
    except (ExportError, cv2.error) as error:
        raise Refused(Refusal.UNREADABLE) from error
    stored = (
        _aligned(image, item, finders, wanted)
        if item.is_aligned
        else photographed(image, finders.photo, wanted)
    )
    if wanted.is_grey:
        luma = cv2.cvtColor(stored.pixels, cv2.COLOR_RGB2GRAY)
        return replace(stored, pixels=cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False))
    return stored


def photographed(image: Image, finder: Finder, wanted: Wanted) -> Stored:
    """The face of a photograph, aligned. Raises Refused."""
    face = obvious_face(image, finder)
    eyes_px = float(np.hypot(*(face.landmarks_px[1] - face.landmarks_px[0])))
    if eyes_px < wanted.fewest_eyes_px:
        raise Refused(
            Refusal.TOO_SMALL, f"{eyes_px:.1f} px between the eyes, fewest {wanted.fewest_eyes_px:g}"
        )
    margin = wanted.margin_px
    try:
        pixels = align(image, face.landmarks_px, margin)
        matrix = similarity(face.landmarks_px, stored_template(margin))
    except ValueError as error:
        raise Refused(Refusal.NO_FACE, str(error)) from error
    points = face.landmarks_px @ matrix[:, :2].T + matrix[:, 2]
    crop = np.ascontiguousarray(pixels[margin : margin + CROP_PX, margin : margin + CROP_PX])
    found = assess(image, face, crop, Floors())
    return Stored(
        pixels,
        points.astype(np.float32),
        _measured(face, found),
    )


def obvious_face(image: Image, finder: Finder) -> Face:
    """The face a photograph is of. Raises Refused where there is none, or where it could be another.

    Faces less than half as tall as the tallest are passers-by. Of several others the one that covers the
    photograph's centre counts, if it is the only one that does.
    """
    faces = finder(image)
    if not faces:  # a detector wants to see more than the face: look once more with grey around it
        pad = max(image.shape[:2]) // 4
        wide = cv2.copyMakeBorder(image, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(127, 127, 127))
        faces = [_shifted(face, -pad) for face in finder(wide.astype(np.uint8, copy=False))]
    if not faces:
        raise Refused(Refusal.NO_FACE)
    tallest = max(face.box_px.height for face in faces)
    tall = [face for face in faces if face.box_px.height >= 0.5 * tallest]
    if len(tall) == 1:
        return tall[0]
    y, x = image.shape[0] / 2, image.shape[1] / 2
    central = [
        face
        for face in tall
        if 0 <= x - face.box_px.x <= face.box_px.width and 0 <= y - face.box_px.y <= face.box_px.height
    ]
    if len(central) != 1:
        raise Refused(Refusal.SEVERAL_FACES, f"{len(tall)} of similar size")
    return central[0]


def _shifted(face: Face, by_px: int) -> Face:
    box = face.box_px
    return Face(
        Box(box.x + by_px, box.y + by_px, box.width, box.height),
        face.landmarks_px + np.float32(by_px),
        face.score,
    )


def _aligned(image: Image, item: Item, finders: Finders, wanted: Wanted) -> Stored:
    height, width = image.shape[:2]
    if (height, width) != (wanted.side, wanted.side):
        raise Refused(
            Refusal.WRONG_SIZE, f"{width} x {height} px, not {wanted.side} x {wanted.side}: see --margin"
        )
    wide = padded(image)
    face = central_face(wide, finders.aligned(wide))
    points = face.landmarks_px - np.float32(PAD_PX) if face else stored_template(wanted.margin_px)
    seen = face or Face(Box(PAD_PX, PAD_PX, width, height), points + np.float32(PAD_PX), 0.0)
    found = assess(wide, seen, align(image, points), Floors())
    measured = _measured(seen, found)
    if face is None:
        unknown = ("",) * 5  # the pose of a template says nothing
        return Stored(image, np.full((5, 2), np.nan, np.float32), (*unknown, *measured[5:7], "no_face"))
    if item.upscale:
        found = replace(found, inter_ocular_px=found.inter_ocular_px / item.upscale)
        measured = _measured(seen, found)
        if found.inter_ocular_px < Floors().inter_ocular_px:
            measured = (*measured[:-1], Reason.TOO_SMALL.value)
    return Stored(image, points, measured)


def _measured(face: Face, found: Quality) -> tuple[str, ...]:
    return (
        f"{face.score:.3f}",
        f"{found.inter_ocular_px:.1f}",
        f"{found.yaw_deg:.1f}",
        f"{found.pitch_deg:.1f}",
        f"{found.roll_deg:.1f}",
        f"{found.brightness:.1f}",
        f"{found.sharpness:.4f}",
        found.reason.value if found.reason else "",
    )


def read_item(item: Item) -> bytes:
    """At most one byte more than a photograph may have."""
    with item.path.open("rb") as file:
        if item.offset < 0:
            return file.read(LARGEST_BYTES + 1)
        file.seek(item.offset)
        return file.read(min(item.size, LARGEST_BYTES + 1))
