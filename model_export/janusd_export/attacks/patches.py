"""Printed things that are worn on a face, and how they come to lie on it: SIMULATED, for measuring only.

A patch is as large as an encoder's crop: colours, and where they cover the face. It is laid onto the
photograph by the face's own landmarks, as glasses sit by the eyes, with the printer's colours and nothing
lost on the way: no paper was printed and no camera has seen it, which is the worst case for a door.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX, TEMPLATE, similarity
from janusd.core.types import Image, Points

Mask: TypeAlias = NDArray[np.float32]
"""(112, 112), 0..1: which part of each pixel of the crop is covered."""

DARKEST, LIGHTEST = 0.08, 0.92
"""What ink on paper gives of a camera's range."""
_FINE: Final = 8
_LEFT_EYE, _RIGHT_EYE = TEMPLATE[0], TEMPLATE[1]


@dataclass(frozen=True, slots=True)
class Patch:
    """Something printed, worn on a face."""

    colours: Image
    """(112, 112, 3) uint8, as if the crop were covered whole."""
    mask: Mask

    @property
    def share(self) -> float:
        """The part of the crop it covers."""
        return float(self.mask.mean())


def glasses() -> Mask:
    """Frames alone, without lenses, as wide as large reading glasses (Sharif et al., 2016, used such)."""

    def inside(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        frame = np.zeros(x.shape, np.bool_)
        for eye in (_LEFT_EYE, _RIGHT_EYE):
            frame |= (_oval(x - eye[0], y - eye[1], 17, 13) > 0) & (_oval(x - eye[0], y - eye[1], 12, 8) < 0)
        level = abs(y - _LEFT_EYE[1] + 3) < 2.5
        return frame | (level & ((x < _LEFT_EYE[0] - 15) | (x > _RIGHT_EYE[0] + 15)) & (x > 8) & (x < 104))

    return _drawn(inside)


def sticker() -> Mask:
    """A strip across the forehead, as on the rim of a hat."""
    return _drawn(lambda x, y: (abs(x - 56) < 34) & (y > 14) & (y < 36))


def cheeks() -> Mask:
    """A round plaster on either cheek."""

    def inside(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray((np.hypot(x - 30, y - 76) < 11) | (np.hypot(x - 82, y - 76) < 11))

    return _drawn(inside)


SHAPES: Final[Mapping[str, Callable[[], Mask]]] = {
    "glasses": glasses, "sticker": sticker, "cheeks": cheeks,
}  # fmt: skip


def wear(image: Image, landmarks_px: Points, patch: Patch) -> Image:
    """The photograph with the patch on the face that has these landmarks."""
    onto = similarity(TEMPLATE, landmarks_px)
    size = (image.shape[1], image.shape[0])
    mask = cv2.warpAffine(patch.mask, onto, size, flags=cv2.INTER_LINEAR)[..., np.newaxis]
    colours = cv2.warpAffine(
        patch.colours.astype(np.float32), onto, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.clip(image * (1 - mask) + colours * mask + 0.5, 0, 255), np.uint8)


def filmed(photograph: Image, count: int, rng: np.random.Generator) -> Iterator[Image]:
    """Frames of somebody who stands before a camera: swaying, in a light that changes, with its noise."""
    height, width = photograph.shape[:2]
    for _ in range(count):
        middle, angle, scale = (width / 2, height / 2), rng.normal(0, 2.0), 1 + rng.normal(0, 0.02)
        turn = np.asarray(cv2.getRotationMatrix2D(middle, angle, scale), np.float64)
        turn[:, 2] += rng.normal(0, 0.01 * height, 2)
        moved = cv2.warpAffine(photograph, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        lit = cv2.GaussianBlur(moved, (0, 0), rng.uniform(0.2, 0.8)) * np.exp(rng.normal(0, 0.08))
        yield np.asarray(np.clip(lit + rng.normal(0, 2.0, moved.shape), 0, 255), np.uint8)


def _oval(
    x: NDArray[np.float64], y: NDArray[np.float64], half_wide: float, half_tall: float
) -> NDArray[np.float64]:
    """Above 0 within a rounded rectangle, below outside."""
    return np.asarray(1 - (x / half_wide) ** 4 - (y / half_tall) ** 4)


def _drawn(inside: Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.bool_]]) -> Mask:
    """A shape given in pixels of the crop, drawn finely and averaged over each pixel."""
    places = (np.arange(CROP_PX * _FINE) + 0.5) / _FINE - 0.5
    x, y = np.meshgrid(places, places)
    fine = inside(x, y).astype(np.float32)
    return np.asarray(fine.reshape(CROP_PX, _FINE, CROP_PX, _FINE).mean(axis=(1, 3)), np.float32)
