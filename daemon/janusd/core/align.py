"""Warp a face onto a fixed template, so that the encoder always sees eyes, nose and mouth at the same place.

A similarity transform (rotation, one scale, shift) is fitted to five landmarks by least squares:
S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
IEEE TPAMI 13(4), 1991, equations 38-43.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Crop, Image, Points
from janusd.core.warp import warp

CROP_PX: Final = 112

TEMPLATE: Final[Points] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)
"""Where the five landmarks come to lie in the crop: the template most published face encoders were trained
on (Deng et al., ArcFace, 2019), so that teachers and students see alike."""


def similarity(source_px: Points, target_px: Points) -> NDArray[np.float64]:
    """Give the (2, 3) matrix that maps `source_px` onto `target_px` with the least squared error.

    Both are (n, 2), n >= 2. Raises ValueError when all source points coincide.
    """
    source, target = source_px.astype(np.float64), target_px.astype(np.float64)
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source, target = source - source_mean, target - target_mean
    variance = (source**2).sum() / len(source)
    if variance < 1e-9:
        raise ValueError("the landmarks coincide: no similarity transform maps them")
    u, singular, vt = np.linalg.svd(target.T @ source / len(source))  # covariance, eq. 38
    mirror = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # eq. 39: never reflect
    rotation = u @ np.diag(mirror) @ vt  # eq. 40
    scale = (singular * mirror).sum() / variance  # eq. 42
    shift = target_mean - scale * rotation @ source_mean  # eq. 41
    return np.column_stack([scale * rotation, shift])


def align(image: Image, landmarks_px: Points, margin_px: int = 0) -> Crop:
    """Warp the face with these landmarks onto `TEMPLATE`. Parts outside the image repeat its border.

    With `margin_px` the crop shows so much more on every side, as training wants it for augmentation.
    """
    template, side = TEMPLATE + np.float32(margin_px), CROP_PX + 2 * margin_px
    return warp(image, similarity(landmarks_px, template), side)
