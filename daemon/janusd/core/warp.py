"""Warp a part of a picture onto a small square without aliasing, and mirror it, quickly."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Image

_AROUND_PX = 2
"""Beside what the square shows: bilinear samples look at their neighbours."""

_LEAST = 1e-6
"""Points that fit no face at all ask for a scale of nearly nothing: there is no part to halve."""


def warp(image: Image, matrix: NDArray[np.float64], side_px: int) -> Image:
    """(side_px, side_px, 3): the picture under a (2, 3) similarity; past its border, its border.

    Bilinear sampling alone would alias where a near face shrinks a lot, so the part that is seen is halved
    first, as long as it stays no smaller than it is to be. Halving is the mean of four pixels and runs at the
    memory's pace; the mean over any other area took twenty times as long.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if _LEAST < scale <= 0.5:
        image, matrix = _halved(image, matrix, side_px, scale)
    square = cv2.warpAffine(
        image, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return square.astype(np.uint8, copy=False)


def mirrored(image: Image) -> Image:
    """Left and right exchanged, in memory of its own: a view back to front is slow to read."""
    return cv2.flip(image, 1).astype(np.uint8, copy=False)


def _halved(
    image: Image, matrix: NDArray[np.float64], side_px: int, scale: float
) -> tuple[Image, NDArray[np.float64]]:
    """The part of the picture that the square shows, halved, and the matrix from there."""
    back = cv2.invertAffineTransform(matrix)
    corners = np.array([[0, 0], [side_px, 0], [0, side_px], [side_px, side_px]], np.float64)
    reach = corners @ back[:, :2].T + back[:, 2]
    around = _AROUND_PX / scale
    # The same pixels are averaged whatever part is seen: it begins at a multiple of the last halving's.
    grid = 2 ** int(np.ceil(-np.log2(scale)))
    x1, y1 = (max(0, int(n)) // grid * grid for n in np.floor(reach.min(axis=0) - around))
    x2, y2 = (max(0, int(n)) for n in np.ceil(reach.max(axis=0) + around))
    part, size = image[y1:y2, x1:x2], 1
    while scale <= 0.5 and min(part.shape[:2]) >= 2:  # a row of one pixel has no half
        height, width = part.shape[0] // 2, part.shape[1] // 2
        half = cv2.resize(part[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)
        part, size, scale = half.astype(np.uint8, copy=False), 2 * size, 2 * scale
    if size == 1:  # nothing of the picture is in the square, or a line of it
        return image, matrix
    # Integers are pixel centres: a halved pixel q lies at p = (q + 0.5) * size - 0.5 + first.
    shift = matrix[:, :2] @ (0.5 * size - 0.5 + np.array([x1, y1])) + matrix[:, 2]
    return part, np.column_stack([matrix[:, :2] * size, shift])
