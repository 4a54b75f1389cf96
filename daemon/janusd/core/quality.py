"""Is this face fit for comparison, and if not, what could the person do about it?

Each floor costs a resident a moment and saves them a wrong answer; the first one that fails is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from janusd.core.pose import pose_of
from janusd.core.reason import Reason
from janusd.core.types import Crop, Face, Image, Quality


@dataclass(frozen=True, slots=True)
class Floors:
    """What a face must reach to be compared."""

    inter_ocular_px: float = 24.0
    """Below it the encoder sees mostly interpolation: the crop enlarges the face by more than 1.5."""
    face_over_image: float = 0.95
    """A face higher than this part of the image is cut off or shows no context."""
    yaw_deg: float = 40.0
    pitch_deg: float = 35.0
    roll_deg: float = 40.0
    dark: float = 40.0
    """Mean luma of the crop, 0..255."""
    bright: float = 225.0
    sharpness: float = 0.010
    """Variance of the Laplacian of the crop scaled to unit contrast and reduced to 56 px, so that noise does
    not pass for detail. Of 477 photographs none falls below it; blurred by a Gaussian of 2, 3, 4 and 6 px
    of the crop, 0.4, 21, 76 and 97 % do."""


def assess(image: Image, face: Face, crop: Crop, floors: Floors) -> Quality:
    """Measure a face and name the first floor it fails."""
    pose = pose_of(face.landmarks_px, image.shape[1])
    eyes = face.landmarks_px[1] - face.landmarks_px[0]
    inter_ocular_px = float(np.hypot(eyes[0], eyes[1]))
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    brightness = float(luma.mean())
    measured = Quality(
        inter_ocular_px, pose.yaw_deg, pose.pitch_deg, pose.roll_deg, brightness, sharpness(crop), None,
    )  # fmt: skip
    return Quality(*_values(measured), _first_failure(measured, face, image, floors))


def sharpness(crop: Crop) -> float:
    """Variance of the Laplacian, independent of light: contrast is normalised first."""
    luma = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, (56, 56), interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(small.std())
    if contrast < 1.0:
        return 0.0
    return float(cv2.Laplacian(small / contrast, cv2.CV_32F).var())


def _values(quality: Quality) -> tuple[float, float, float, float, float, float]:
    return (
        quality.inter_ocular_px, quality.yaw_deg, quality.pitch_deg, quality.roll_deg,
        quality.brightness, quality.sharpness,
    )  # fmt: skip


def _first_failure(quality: Quality, face: Face, image: Image, floors: Floors) -> Reason | None:
    height, width = image.shape[:2]
    checks = (
        (quality.inter_ocular_px < floors.inter_ocular_px, Reason.TOO_SMALL),
        (face.box_px.height > floors.face_over_image * height, Reason.TOO_NEAR),
        (face.box_px.width > floors.face_over_image * width, Reason.TOO_NEAR),
        (quality.brightness < floors.dark, Reason.TOO_DARK),
        (quality.brightness > floors.bright, Reason.TOO_BRIGHT),
        (abs(quality.yaw_deg) > floors.yaw_deg, Reason.TOO_FAR_TURNED),
        (abs(quality.pitch_deg) > floors.pitch_deg, Reason.TOO_FAR_TURNED),
        (abs(quality.roll_deg) > floors.roll_deg, Reason.TOO_FAR_TURNED),
        (quality.sharpness < floors.sharpness, Reason.BLURRED),
    )
    return next((reason for fails, reason in checks if fails), None)
