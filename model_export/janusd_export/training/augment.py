"""Make one face look as it might at a door: another light, a cheap camera, a detector that missed by a pixel.

Everything works on one uint8 crop with OpenCV and numpy: about a quarter of a millisecond a face, a few
percent of a training step. The first operation resamples the stored 144 px face onto the 112 px template, so
that landmark jitter costs no second interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX, TEMPLATE, similarity
from janusd.core.types import Crop, Image, Points
from janusd_export.faces.layout import stored_template


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """Probabilities are of one face in one epoch; sigmas are of normal distributions."""

    detector_mix: float = 0.3
    """Faces whose landmarks move a random part of the way to the other detector's (the shards' own YuNet)."""
    landmark_px: float = 0.8
    """Sigma of each landmark coordinate, in template pixels (the eyes are 35 apart)."""
    scale: float = 0.025
    shift_px: float = 1.0
    rotation_deg: float = 2.0
    low_resolution: float = 0.2
    light: float = 0.7
    gradient: float = 0.2
    blur: float = 0.15
    noise: float = 0.2
    jpeg: float = 0.15
    grey: float = 0.1
    infrared: float = 0.0
    backlight: float = 0.0
    glasses: float = 0.0
    cap: float = 0.0
    erase: float = 0.2


def plain_crop(face: Image, landmarks_px: Points) -> Crop:
    """The crop as a door would make it, without augmentation."""
    return _warp(face, similarity(landmarks_px, TEMPLATE), CROP_PX)


class Augment:
    """Draws augmented crops. One instance a process: it owns its random numbers."""

    def __init__(self, recipe: AugmentRecipe, seed: int, margin_px: int = 16) -> None:
        """Prepare for faces stored with this margin around the crop."""
        self.recipe = recipe
        self._rng = np.random.default_rng(seed)
        self._other = stored_template(margin_px)
        # Drawing noise anew for each face would cost more than all else: random windows of a fixed sheet
        # instead.
        self._noise = self._rng.standard_normal((256, 256, 3)).astype(np.float32)

    def __call__(self, face: Image, landmarks_px: Points) -> Crop:
        """Give a random view of the stored face whose detected landmarks are these."""
        return self.view(face, landmarks_px)[0]

    def view(self, face: Image, landmarks_px: Points) -> tuple[Crop, bool]:
        """Give a random view, and whether it is mirrored."""
        recipe, chance = self.recipe, self._rng.random
        crop = self._place(face, landmarks_px)
        is_mirrored = chance() < 0.5
        if is_mirrored:
            crop = crop[:, ::-1]
        crop = np.ascontiguousarray(crop)
        if chance() < recipe.glasses:
            crop = self._glasses(crop)
        if chance() < recipe.cap:
            crop = self._cap(crop)
        if chance() < recipe.backlight:
            crop = self._backlight(crop)
        if chance() < recipe.light:
            crop = self._light(crop)
        if chance() < recipe.gradient:
            crop = self._gradient(crop)
        if chance() < recipe.infrared:
            crop = self._infrared(np.ascontiguousarray(crop))
        elif chance() < recipe.grey:
            luma = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
            crop = cv2.cvtColor(luma, cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        if chance() < recipe.blur:
            crop = self._blur(np.ascontiguousarray(crop))
        if chance() < recipe.noise:
            crop = self._grain(crop)
        if chance() < recipe.jpeg:
            crop = self._compress(np.ascontiguousarray(crop))
        if chance() < recipe.erase:
            crop = self._erase(crop)
        return np.ascontiguousarray(crop), is_mirrored

    def _place(self, face: Image, landmarks_px: Points) -> Crop:
        recipe, rng = self.recipe, self._rng
        points = landmarks_px.astype(np.float64)
        if rng.random() < recipe.detector_mix:
            points = points + rng.random() * (self._other - points)
        points = points + rng.normal(0.0, recipe.landmark_px, points.shape)
        matrix = similarity(points.astype(np.float32), TEMPLATE)  # stored face -> template
        angle = np.deg2rad(rng.normal(0.0, recipe.rotation_deg))
        scale = float(np.exp(rng.normal(0.0, recipe.scale)))
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.full(2, (CROP_PX - 1) / 2)
        matrix = turn @ matrix
        matrix[:, 2] += centre - turn @ centre + rng.normal(0.0, recipe.shift_px, 2)
        if rng.random() >= recipe.low_resolution:
            return _warp(face, matrix, CROP_PX)
        side = int(rng.integers(32, 90))  # as if the face had been this small in the frame
        # Sample at the small scale after smoothing away what that scale cannot hold.
        sigma = 0.45 * max(0.0, CROP_PX / side - 1.0)
        if sigma > 0.2:
            face = cv2.GaussianBlur(face, (0, 0), sigma).astype(np.uint8, copy=False)
        shrink = side / CROP_PX
        matrix = shrink * matrix
        matrix[:, 2] += 0.5 * shrink - 0.5  # integers are pixel centres: x' = (x + 0.5) * shrink - 0.5
        small = _warp(face, matrix, side)
        way = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        return cv2.resize(small, (CROP_PX, CROP_PX), interpolation=way).astype(np.uint8, copy=False)

    def _light(self, crop: Crop) -> Crop:
        """Exposure, contrast, gamma, and one gain a colour channel, as one table look-up."""
        rng = self._rng
        level = np.arange(256, dtype=np.float32) / 255.0
        level = level ** np.float32(np.exp(rng.normal(0.0, 0.3)))  # gamma
        level = (level - 0.5) * np.float32(np.exp(rng.normal(0.0, 0.2))) + 0.5  # contrast
        level = level * np.float32(np.exp(rng.normal(0.0, 0.2))) + np.float32(rng.normal(0.0, 0.05))
        gain = np.exp(rng.normal(0.0, 0.07, 3)).astype(np.float32)  # colour of the light
        table = np.clip(level[:, None] * gain * 255.0, 0, 255).astype(np.uint8)  # (256, 3)
        table = np.ascontiguousarray(table[:, None, :].transpose(1, 0, 2))
        return cv2.LUT(np.ascontiguousarray(crop), table).astype(np.uint8, copy=False)

    def _gradient(self, crop: Crop) -> Crop:
        """Light from one side: a ramp across the face at a random angle."""
        angle = self._rng.uniform(0.0, 2.0 * np.pi)
        strength = self._rng.uniform(0.15, 0.6)
        axis = np.linspace(-1.0, 1.0, CROP_PX, dtype=np.float32)
        ramp = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
        return _clip(crop * (1.0 + strength * ramp[:, :, None]))

    def _backlight(self, crop: Crop) -> Crop:
        """A bright doorway behind: the face sinks into shadow, light eats its outline."""
        rng = self._rng
        middle = (CROP_PX - 1) / 2
        axis = (np.arange(CROP_PX, dtype=np.float32) - np.float32(middle)) / np.float32(middle)
        radius = np.hypot(axis[None, :] * 1.15, axis[:, None] * 0.95)
        glare = np.clip((radius - rng.uniform(0.75, 0.95)) * 4.0, 0.0, 1.0)[:, :, None]
        shade = np.float32(rng.uniform(0.3, 0.7))
        return _clip(crop * shade * (1.0 - glare) + 255.0 * rng.uniform(0.8, 1.0) * glare)

    def _infrared(self, crop: Crop) -> Crop:
        """As a camera without infrared filter under an 850 nm lamp: skin bright and even, eyes dark."""
        rng = self._rng
        seen = (crop / np.float32(255.0)) @ np.array([0.75, 0.25, 0.0], np.float32)  # skin: infrared as red
        seen = seen ** np.float32(rng.uniform(0.6, 0.9))
        axis = np.linspace(-1.0, 1.0, CROP_PX, dtype=np.float32)
        lamp = 1.0 - rng.uniform(0.1, 0.5) * (axis[None, :] ** 2 + axis[:, None] ** 2)
        return _clip(np.repeat((255.0 * seen * lamp)[:, :, None], 3, axis=2))

    def _glasses(self, crop: Crop) -> Crop:
        """Two lenses around the template's eyes, a bridge and temples; sometimes tinted."""
        rng = self._rng
        crop = np.array(crop)
        colour = tuple(int(c) for c in rng.integers(0, 110, 3))
        thick, tint = int(rng.integers(1, 4)), rng.random() * (0.75 if rng.random() < 0.3 else 0.15)
        width, height = int(rng.integers(11, 17)), int(rng.integers(8, 14))
        eyes = [
            (round(float(x + rng.normal(0, 1))), round(float(y + rng.normal(1, 1)))) for x, y in TEMPLATE[:2]
        ]
        worn = np.array(crop)
        for eye in eyes:
            if rng.random() < 0.5:
                cv2.ellipse(worn, eye, (width, height), 0, 0, 360, colour, -1)
            else:
                corner = (eye[0] - width, eye[1] - height), (eye[0] + width, eye[1] + height)
                cv2.rectangle(worn, *corner, colour, -1)
        crop = _clip(crop * np.float32(1.0 - tint) + worn.astype(np.float32) * np.float32(tint))
        for eye, outwards in zip(eyes, (-1, 1), strict=True):
            cv2.ellipse(crop, eye, (width, height), 0, 0, 360, colour, thick)
            side = (eye[0] + outwards * width, eye[1])
            cv2.line(crop, side, (side[0] + outwards * 30, eye[1] - 2), colour, thick)
        cv2.line(crop, (eyes[0][0] + width, eyes[0][1]), (eyes[1][0] - width, eyes[1][1]), colour, thick)
        return crop

    def _cap(self, crop: Crop) -> Crop:
        """A brim across the forehead, and what it shades."""
        rng = self._rng
        crop = np.array(crop)
        left, right = (int(y) for y in rng.normal(34, 4, 2).clip(22, 42))
        brim = np.array(
            [[0, 0], [CROP_PX, 0], [CROP_PX, right], [CROP_PX // 2, (left + right) // 2 + 4], [0, left]]
        )
        shaded = np.array(crop)
        cv2.fillPoly(shaded, [brim + np.array([0, rng.integers(4, 14)])], (0, 0, 0))
        crop = _clip(crop * 0.6 + shaded.astype(np.float32) * 0.4)
        cv2.fillPoly(crop, [brim], tuple(int(c) for c in rng.integers(0, 256, 3)))
        return crop

    def _blur(self, crop: Crop) -> Crop:
        rng = self._rng
        if rng.random() < 0.5:
            return cv2.GaussianBlur(crop, (0, 0), rng.uniform(0.5, 1.8)).astype(np.uint8, copy=False)
        length = int(rng.integers(3, 8))  # motion: a line kernel
        kernel = np.zeros((length, length), np.float32)
        middle, angle = (length - 1) / 2, rng.uniform(0.0, np.pi)
        for step in np.linspace(-middle, middle, 2 * length):
            kernel[round(middle + step * np.sin(angle)), round(middle + step * np.cos(angle))] = 1.0
        return cv2.filter2D(crop, -1, kernel / kernel.sum()).astype(np.uint8, copy=False)

    def _grain(self, crop: Crop) -> Crop:
        x, y = self._rng.integers(0, 256 - CROP_PX, 2)
        sheet = self._noise[y : y + CROP_PX, x : x + CROP_PX]
        return _clip(crop + sheet * np.float32(self._rng.uniform(2.0, 14.0)))

    def _compress(self, crop: Crop) -> Crop:
        quality = int(self._rng.integers(25, 80))
        _, coded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return crop if decoded is None else decoded.astype(np.uint8, copy=False)

    def _erase(self, crop: Crop) -> Crop:
        """Hide a rectangle: a cap's brim, a hand, a scarf."""
        rng = self._rng
        crop = np.array(crop)
        height, width = rng.integers(12, 48, 2)
        y, x = rng.integers(0, CROP_PX - height), rng.integers(0, CROP_PX - width)
        crop[y : y + height, x : x + width] = rng.integers(0, 256, 3)
        return crop


def _warp(face: Image, matrix: NDArray[np.float64], side: int) -> Crop:
    return cv2.warpAffine(
        face, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)


def _clip(crop: NDArray[np.float32]) -> Crop:
    return np.clip(crop, 0, 255).astype(np.uint8)
