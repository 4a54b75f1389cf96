"""Compose pictures of known faces: before backgrounds, near and far, tilted, lit and covered somehow.

A face is cut out of its source by a soft oval or a rectangle and warped once onto the scene, together with
its box and points. Pieces of backgrounds are pasted in the same ways: an edge by itself must not mean a face.

All randomness comes from the generator that is given: the same one composes the same scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image, Points
from janusd_export.detector.library import Kind, Library, Part
from janusd_export.errors import ExportError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What scenes are to be like. Probabilities are of one scene or one face."""

    height: int = 240
    width: int = 320
    faces: tuple[float, ...] = (0.12, 0.48, 0.24, 0.10, 0.06)
    """How likely none, one, two ... faces are."""
    smallest_px: float = 11.0
    """Root of a face's width times height."""
    largest_px: float = 210.0
    tilt_deg: tuple[float, float] | None = None
    """Between these, to either side; None: mostly upright, a quarter of the faces up to 45."""
    fills: float = 0.15
    """A photograph fills the scene instead of a background."""
    plain: float = 0.15
    """Drawn walls and gradients instead of a photograph."""
    pieces: float = 0.5
    covered: float = 0.25
    """A mask, dark glasses, or something before the face."""
    squeezed: float = 0.25
    """Narrowed, as a turned head is."""
    damage: float = 1.0
    """Scales the probability of every change of light, focus and coding."""
    bordered: float = 0.08
    """The lowest part is the grey that `core.detect.fit` leaves."""
    is_frontal: bool = False
    """Only sources whose nose is about under the middle between the eyes."""
    is_centred: bool = False
    """The one face stands in the middle, as a refiner sees it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and its faces."""

    image: Image
    box_px: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    """(n, 4) x, y, width, height."""
    points_px: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 5, 2), np.float32))


_MIRRORED = [1, 0, 2, 4, 3]


class Composer:
    """Composes scenes from one part of a library."""

    def __init__(self, library: Library, part: Part, wanted: Wanted) -> None:
        self._library = library
        self._wanted = wanted
        photos, aligned = library.rows(part, Kind.PHOTO), library.rows(part, Kind.ALIGNED)
        if wanted.is_frontal:
            photos, aligned = (rows[_turn(library.points_px[rows]) < 0.12] for rows in (photos, aligned))
        self._photos, self._aligned = photos, aligned
        self._backgrounds = library.rows(part, Kind.BACKGROUND)
        if not len(self._backgrounds) or not len(photos) + len(aligned):
            raise ExportError(
                f"the library has {len(photos) + len(aligned)} faces and {len(self._backgrounds)} "
                f"backgrounds for {part.name.lower()}: label more pictures"
            )
        sheet = np.random.default_rng(0).standard_normal((wanted.height + 64, wanted.width + 64, 3))
        self._noise = (24.0 * sheet).clip(-127, 127).astype(np.int8)

    def compose(self, rng: np.random.Generator, face_px: float | None = None) -> Scene:
        """One scene; with `face_px`, of exactly one face of that size."""
        wanted = self._wanted
        count = int(rng.choice(len(wanted.faces), p=wanted.faces)) if face_px is None else 1
        boxes: list[NDArray[np.float32]] = []
        points: list[Points] = []
        size = self._size(rng) if face_px is None else face_px
        if count and len(self._photos) and size > 45 and rng.random() < wanted.fills:
            sheet = np.zeros((wanted.height, wanted.width, 3), np.uint8)
            self._paste(rng, sheet, size, boxes, points, fills=True)
            count -= len(boxes)
        else:
            sheet = self._background(rng)
        if rng.random() < wanted.pieces:
            for _ in range(int(rng.integers(1, 4))):
                self._piece(rng, sheet, boxes)
        for number in range(count):
            chosen = size if number == 0 and not boxes else self._size(rng)
            self._paste(rng, sheet, chosen, boxes, points)
        image = self._damaged(rng, sheet)
        if wanted.bordered and rng.random() < wanted.bordered:
            border = int(rng.integers(20, 80))
            image[-border:] = 128
            seen = [k for k, box in enumerate(boxes) if box[1] + 0.75 * box[3] < wanted.height - border]
            boxes, points = [boxes[k] for k in seen], [points[k] for k in seen]
        if not boxes:
            return Scene(image)
        return Scene(image, np.stack(boxes).astype(np.float32), np.stack(points).astype(np.float32))

    def _size(self, rng: np.random.Generator) -> float:
        wanted = self._wanted
        return float(np.exp(rng.uniform(np.log(wanted.smallest_px), np.log(wanted.largest_px))))

    def _background(self, rng: np.random.Generator) -> Image:
        height, width = self._wanted.height, self._wanted.width
        if rng.random() < self._wanted.plain:
            return _plain(rng, height, width)
        picture = self._library.pixels(int(rng.choice(self._backgrounds)))
        zoom = float(np.exp(rng.uniform(0.0, np.log(2.5))))
        cover = max(height / picture.shape[0], width / picture.shape[1])
        # the part of the picture that is to be seen, in its own pixels
        tall, wide = (max(2, int(n / (cover * zoom))) for n in (height, width))
        y, x = (
            int(rng.integers(0, max(1, a - b + 1)))
            for a, b in zip(picture.shape[:2], (tall, wide), strict=True)
        )
        view = picture[y : y + tall, x : x + wide]
        if rng.random() < 0.5:
            view = view[:, ::-1]
        way = cv2.INTER_AREA if cover * zoom < 1.0 else cv2.INTER_LINEAR
        return cv2.resize(np.ascontiguousarray(view), (width, height), interpolation=way).astype(
            np.uint8, copy=False
        )

    def _piece(self, rng: np.random.Generator, sheet: Image, boxes: Sequence[NDArray[np.float32]]) -> None:
        """Paste part of a background, or a skin-coloured oval, the way faces are pasted."""
        side = int(min(self._size(rng) * 1.4, 0.7 * self._wanted.height))
        if side < 8:
            return
        tall = int(side * rng.uniform(1.0, 1.5))
        if rng.random() < 0.25:
            skin = np.array([rng.uniform(60, 240), rng.uniform(0.6, 0.9), rng.uniform(0.5, 0.95)])
            colour = np.array([skin[0], skin[0] * skin[1], skin[0] * skin[1] * skin[2]])
            patch = np.empty((tall, side, 3), np.uint8)
            ramp = np.linspace(rng.uniform(0.7, 1.0), rng.uniform(0.7, 1.1), tall)[:, None, None]
            patch[:] = np.clip(colour * ramp, 0, 255)
        else:
            picture = self._library.pixels(int(rng.choice(self._backgrounds)))
            high, wide = picture.shape[:2]
            cut = int(rng.integers(min(24, high - 1), min(high, wide)))
            y, x = int(rng.integers(0, high - cut + 1)), int(rng.integers(0, wide - cut + 1))
            view = picture[y : y + cut, x : x + cut]
            patch = np.asarray(cv2.resize(view, (side, tall), interpolation=cv2.INTER_AREA), np.uint8)
        mask = _mask(rng, tall, side, np.array([side / 2, tall / 2]), np.array([side / 2.6, tall / 2.6]))
        x = int(rng.integers(-side // 3, max(1, self._wanted.width - side // 2)))
        y = int(rng.integers(-tall // 3, max(1, self._wanted.height - tall // 2)))
        if any(_overlap(np.array([x, y, side, tall], np.float32), box) > 0.02 for box in boxes):
            return
        _blend(sheet, patch, mask, x, y)

    def _paste(  # one journey from source to scene
        self,
        rng: np.random.Generator,
        sheet: Image,
        size: float,
        boxes: list[NDArray[np.float32]],
        points: list[Points],
        *,
        fills: bool = False,
    ) -> None:
        """Put one face on the sheet, if there is room for it."""
        wanted, library = self._wanted, self._library
        is_photo = fills or (len(self._photos) > 0 and (not len(self._aligned) or rng.random() < 0.6))
        row = int(rng.choice(self._photos if is_photo else self._aligned))
        source, known, box = library.pixels(row), library.points_px[row], library.box_px[row]
        scale = size / float(np.sqrt(box[2] * box[3]))
        centre = box[:2] + box[2:] / 2  # corner coordinates
        # 1. From the source, about the face's centre: mirror, narrow, tilt, scale.
        is_mirrored = rng.random() < 0.5
        narrow = rng.uniform(0.7, 1.0) if rng.random() < wanted.squeezed else rng.uniform(0.95, 1.05)
        tilt = np.deg2rad(self._tilt(rng))
        turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
        linear = scale * turn @ np.diag([-narrow if is_mirrored else narrow, 1.0])
        half = scale * 0.5 * np.array([box[2] * narrow, box[3]], np.float64)
        reach = np.hypot(turn[:, 0] * half[0], turn[:, 1] * half[1])  # of the turned oval
        place = self._place(rng, reach, boxes, fills=fills)
        if place is None:
            return
        # 2. Reduce the source by the area rule where bilinear sampling alone would alias.
        stretch = np.ones(2)
        if scale < 0.5:
            small = (max(2, round(source.shape[1] * 2 * scale)), max(2, round(source.shape[0] * 2 * scale)))
            stretch = np.array([source.shape[1] / small[0], source.shape[0] / small[1]])
            source = cv2.resize(source, small, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        about = centre / stretch
        matrix = linear * stretch  # reduced source -> scene, corner coordinates, about the face's centre
        # 3. Where it lands, and how it is cut out.
        if fills:
            x0, y0, wide, tall = 0, 0, wanted.width, wanted.height
        else:
            corners = np.array(
                [[0, 0], [source.shape[1], 0], [0, source.shape[0]], [source.shape[1], source.shape[0]]]
            )
            landed = (corners - about) @ matrix.T + place
            x0, y0 = (int(n) for n in np.floor(np.maximum(landed.min(axis=0), 0)))
            x1, y1 = (int(n) for n in np.ceil(np.minimum(landed.max(axis=0), (wanted.width, wanted.height))))
            wide, tall = x1 - x0, y1 - y0
            if wide < 2 or tall < 2:
                return
        shift = place - matrix @ about - np.array([x0, y0])
        shift += matrix @ np.array([0.5, 0.5]) - 0.5  # pixel centres are OpenCV's integers
        affine = np.column_stack([matrix, shift])
        # Streaks beyond the photograph: its reflection would hold a face that no label names.
        patch = np.asarray(
            cv2.warpAffine(
                source, affine, (wide, tall), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            ),
            np.uint8,
        )
        patch = np.asarray(cv2.LUT(patch, _light(rng, 0.12)), np.uint8)
        if fills:
            sheet[:] = patch
        else:
            radii = box[2:] / stretch * (1.0 if is_photo else 0.85) * 0.5
            mask = _mask(rng, source.shape[0], source.shape[1], about, radii)
            _blend(sheet, patch, cv2.warpAffine(mask, affine, (wide, tall), flags=cv2.INTER_LINEAR), x0, y0)
        moved = ((known + 0.5 - centre) @ linear.T + place - 0.5).astype(np.float32)
        if is_mirrored:
            moved = moved[_MIRRORED]
        boxes.append(np.array([*(place - reach), *(2 * reach)], np.float32))
        points.append(moved)
        if rng.random() < wanted.covered:
            _cover(rng, sheet, moved, boxes[-1])

    def _tilt(self, rng: np.random.Generator) -> float:
        side = 1.0 if rng.random() < 0.5 else -1.0
        if self._wanted.tilt_deg is not None:
            return side * float(rng.uniform(*self._wanted.tilt_deg))
        return float(rng.normal(0.0, 9.0)) if rng.random() < 0.75 else side * float(rng.uniform(10.0, 48.0))

    def _place(
        self,
        rng: np.random.Generator,
        reach: NDArray[np.float64],
        boxes: Sequence[NDArray[np.float32]],
        *,
        fills: bool,
    ) -> NDArray[np.float64] | None:
        """The centre of a face of this half size that overlaps no other; None where there is no room."""
        limits = np.array([self._wanted.width, self._wanted.height], np.float64)
        if self._wanted.is_centred:
            return limits / 2 + rng.uniform(-4.0, 4.0, 2)
        inset = np.minimum(reach * (0.9 if fills else 0.75), 0.5 * limits)
        for _ in range(6):
            place = rng.uniform(inset, limits - inset + 1e-6)
            box = np.array([*(place - reach), *(2 * reach)], np.float32)
            if all(_overlap(box, other) < 0.02 for other in boxes):
                return place
        return None

    def _damaged(self, rng: np.random.Generator, sheet: Image) -> Image:
        """Light, focus, motion, noise and coding of a camera, together at most a millisecond or two."""
        chance, much = rng.random, self._wanted.damage
        image: Any = sheet
        if chance() < 0.7 * much:
            image = cv2.LUT(image, _light(rng, 0.3))
        if chance() < 0.25 * much:
            image = _ramp(rng, image)
        if chance() < 0.25 * much:
            image = _blurred(rng, image)
        if chance() < 0.15 * much:
            small = rng.uniform(0.4, 0.8)
            image = cv2.resize(
                cv2.resize(image, None, fx=small, fy=small, interpolation=cv2.INTER_AREA),
                image.shape[1::-1],
                interpolation=cv2.INTER_LINEAR,
            )
        if chance() < 0.12 * much:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        if chance() < 0.35 * much:
            y, x = (int(n) for n in rng.integers(0, 64, 2))
            sheet_part = self._noise[y : y + image.shape[0], x : x + image.shape[1]]
            image = cv2.scaleAdd(
                sheet_part.astype(np.float32), float(rng.uniform(0.05, 0.5)), image.astype(np.float32)
            )
            image = cv2.convertScaleAbs(np.maximum(image, 0.0))
        if chance() < 0.25 * much:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])[1]
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return np.array(image, np.uint8)


def _turn(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n,) how far the nose is from the line under the middle of the eyes, in distances of the eyes."""
    across = points[:, 1] - points[:, 0]
    length = np.hypot(across[:, 0], across[:, 1])
    from_middle = points[:, 2] - (points[:, 0] + points[:, 1]) / 2
    along: NDArray[np.float32] = np.abs((from_middle * across).sum(axis=1)) / np.maximum(length, 1e-6) ** 2
    return along


def _mask(
    rng: np.random.Generator, height: int, width: int, centre: NDArray[np.float64], radii: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """A cut-out around a face of these radii: an oval about the head, or a rectangle, with a soft edge."""
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.6:
        across, down = rng.uniform(1.1, 1.7), rng.uniform(1.15, 1.6)
        axes = (max(1, round(radii[0] * across)), max(1, round(radii[1] * down)))
        cv2.ellipse(mask, (round(centre[0]), round(centre[1] - 0.05 * radii[1])), axes, 0, 0, 360, 255, -1)
    else:
        left, right = rng.uniform(1.2, 2.6, 2) * radii[0]
        above, below = rng.uniform(1.2, 1.8) * radii[1], rng.uniform(1.2, 2.4) * radii[1]
        first = (round(centre[0] - left), round(centre[1] - above))
        cv2.rectangle(mask, first, (round(centre[0] + right), round(centre[1] + below)), 255, -1)
    mask[0], mask[-1], mask[:, 0], mask[:, -1] = 0, 0, 0, 0
    soft = 2 * int(rng.uniform(0.0, 0.18) * radii[0]) + 1
    return cv2.blur(mask, (soft, soft)).astype(np.uint8, copy=False) if soft > 1 else mask


def _blend(sheet: Image, patch: Image, mask: Any, x: int, y: int) -> None:  # noqa: ANN401  # OpenCV's arrays
    """Lay a patch over the sheet where its mask is white; what reaches over the border is lost."""
    top, left = max(0, -y), max(0, -x)
    place = sheet[y + top : y + patch.shape[0], x + left : x + patch.shape[1]]
    patch, mask = patch[top:, left:][: place.shape[0], : place.shape[1]], mask[top:, left:]
    share = mask[: place.shape[0], : place.shape[1], None].astype(np.uint16)
    place[:] = ((patch * share + place * (255 - share) + 127) // 255).astype(np.uint8)


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Of two boxes x, y, width, height: what they share of the smaller one."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    return float(np.clip(sides, 0, None).prod() / max(1e-6, min(a[2:].prod(), b[2:].prod())))


def _light(rng: np.random.Generator, much: float) -> NDArray[np.uint8]:
    """A table for cv2.LUT: exposure, contrast, gamma, and a gain for each colour."""
    level = np.linspace(0.0, 1.0, 256) ** np.exp(rng.normal(0.0, 1.3 * much))
    level = (level - 0.5) * np.exp(rng.normal(0.0, 0.7 * much)) + 0.5
    level = level * np.exp(rng.normal(0.0, much)) + rng.normal(0.0, 0.2 * much)
    gain = np.exp(rng.normal(0.0, 0.3 * much, 3))
    return np.clip(255.0 * level[:, None] * gain, 0, 255).astype(np.uint8)[None]


def _ramp(rng: np.random.Generator, image: Any) -> Any:  # noqa: ANN401
    """Light from one side."""
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.7)
    across = np.linspace(-1, 1, image.shape[1], dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, image.shape[0], dtype=np.float32)[:, None]
    gain = (1.0 + strength * (np.cos(angle) * across + np.sin(angle) * down)).astype(np.float32)
    return cv2.multiply(image, cv2.merge([gain] * 3), dtype=cv2.CV_8U)


def _blurred(rng: np.random.Generator, image: Any) -> Any:  # noqa: ANN401
    """Out of focus, or smeared along a line."""
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 1.6))
    length, angle = int(rng.integers(3, 8)), rng.uniform(0, np.pi)
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    for step in np.linspace(-middle, middle, 2 * length):
        kernel[round(middle + step * np.sin(angle)), round(middle + step * np.cos(angle))] = 1.0
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _plain(rng: np.random.Generator, height: int, width: int) -> Image:
    """A wall: a few flat rectangles and a gradient, as behind many doors."""
    sheet = np.empty((height, width, 3), np.uint8)
    sheet[:] = rng.integers(0, 256, 3)
    for _ in range(int(rng.integers(0, 7))):
        x, y = int(rng.integers(-40, width)), int(rng.integers(-40, height))
        corner = (x + int(rng.integers(10, width)), y + int(rng.integers(10, height)))
        colour = tuple(int(n) for n in rng.integers(0, 256, 3))
        if rng.random() < 0.75:
            cv2.rectangle(sheet, (x, y), corner, colour, -1)
        else:
            cv2.ellipse(
                sheet, (x, y), (abs(corner[0] - x) // 2, abs(corner[1] - y) // 2), 0, 0, 360, colour, -1
            )
    return np.asarray(_ramp(rng, sheet), np.uint8)


def _cover(rng: np.random.Generator, sheet: Image, points: Points, box: NDArray[np.float32]) -> None:
    """A mask over nose and mouth, dark glasses, or a patch before a third of the face."""
    across = points[1] - points[0]
    down = np.array([-across[1], across[0]], np.float32)
    eyes, mouth = (points[0] + points[1]) / 2, (points[3] + points[4]) / 2
    colour = tuple(int(n) for n in rng.integers(0, 256, 3))
    kind = rng.random()
    if kind < 0.45:
        top = points[2] - (0.25 + 0.15 * rng.random()) * (mouth - eyes)
        chin = mouth + (0.75 + 0.3 * rng.random()) * down
        wide = 0.85 + 0.25 * rng.random()
        corners = [top, top + wide * across, chin + 0.45 * across, chin - 0.45 * across, top - wide * across]
        cv2.fillConvexPoly(sheet, np.rint(np.array(corners)).astype(np.int32), colour, cv2.LINE_AA)
    elif kind < 0.8:
        dark = tuple(int(n) for n in rng.integers(0, 70, 3))
        length = float(np.hypot(*across))
        axes = (
            max(1, round(length * rng.uniform(0.32, 0.45))),
            max(1, round(length * rng.uniform(0.24, 0.36))),
        )
        angle = float(np.rad2deg(np.arctan2(across[1], across[0])))
        for eye in points[:2]:
            cv2.ellipse(
                sheet,
                (round(float(eye[0])), round(float(eye[1]))),
                axes,
                angle,
                0,
                360,
                dark,
                -1,
                cv2.LINE_AA,
            )
        first, second = (tuple(int(n) for n in np.rint(eye)) for eye in points[:2])
        cv2.line(sheet, first, second, dark, max(1, round(0.06 * length)))
    else:
        x, y = box[:2] + box[2:] * rng.uniform(-0.1, 0.7, 2)
        wide, tall = box[2:] * rng.uniform(0.2, 0.5, 2)
        cv2.rectangle(sheet, (int(x), int(y)), (int(x + wide), int(y + tall)), colour, -1)
