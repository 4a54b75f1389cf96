"""Networks that see only painted faces: for tests of everything around them.

A painted face is a square of one strong colour on a grey ground; its colour is the person. Detector and
encoder behave like real ones (landmarks, int8 tensors, unit embeddings) at no cost, and count their calls.
"""

from __future__ import annotations

import colorsys
import hashlib

import cv2
import numpy as np

from janusd.core.align import TEMPLATE
from janusd.core.manifest import Calibration, Encoder, Tail, TensorSpec, Threshold
from janusd.core.types import Box, Face, Image, Tensor

PEOPLE = "abcdefgh"
"""Who can be painted, one hue each; all others are strangers with hues in between."""

_DIMENSIONS = 32
_SATURATION = 90

SPEC = Encoder(
    name="painted",
    file="painted",
    sha256="00" * 32,
    version="0",
    input=TensorSpec((1, 112, 112, 3), scale=1 / 127.5, zero_point=-1),
    output=TensorSpec((1, _DIMENSIONS), scale=1 / 127, zero_point=0),
    template="arcface-112",
    detector="painted",
    calibration=Calibration(
        description="painted faces, not measured",
        impostor_comparisons=1,
        genuine_comparisons=1,
        table=(Threshold(1e-1, 0.6, 0.6, 0.6), Threshold(1e-6, 0.7, 0.7, 0.7)),
        tail=Tail(location=0.6, scale=0.01, shape=-0.1, exceed_rate=1e-1),
    ),
)


def paint(people: str = "", *, width: int = 320, height: int = 240, side: int = 120, seed: int = 0) -> Image:
    """Draw a frame with these people side by side; "" is an empty doorway, "?" somebody new."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 110, np.uint8)
    for index, person in enumerate(people):
        left = (index + 1) * width // (len(people) + 1) - side // 2 + int(rng.integers(-3, 4))
        top = (height - side) // 2 + int(rng.integers(-3, 4))
        # Coarse speckle gives the crop the detail that the blur check asks for, without changing the hue.
        speckle = cv2.resize(rng.uniform(0.55, 1.0, (30, 30, 1)), (side, side))[..., None]
        image[top : top + side, left : left + side] = (speckle * _colour(person)).astype(np.uint8)
    return image


class PaintedDetector:
    """Finds painted faces."""

    name = "painted"

    def __init__(self) -> None:
        self.calls = 0

    def detect(self, image: Image) -> tuple[Face, ...]:
        """Find each strongly coloured square."""
        self.calls += 1
        spread = image.max(axis=2).astype(np.int16) - image.min(axis=2)
        _, _, boxes, _ = cv2.connectedComponentsWithStats((spread > _SATURATION).astype(np.uint8))
        faces = []
        for x, y, width, height, area in boxes[1:]:
            if area > 400:
                scale, corner = np.array([[width, height], [x, y]], np.float32)
                landmarks_px = (TEMPLATE * scale / 112 + corner).astype(np.float32)
                faces.append(Face(Box(x, y, width, height), landmarks_px, 1.0))
        return tuple(faces)


class PaintedEncoder:
    """Maps a painted face to the unit vector of its colour, with a little noise from its speckle."""

    accelerator = "painted"

    def __init__(self) -> None:
        self.calls = 0

    def run(self, tensor: Tensor) -> Tensor:
        """Embed one crop: (1, 112, 112, 3) int8 -> (1, 32) int8."""
        self.calls += 1
        r, g, b = tensor[0].astype(np.float32).mean(axis=(0, 1)) + 128
        hue = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)[0]
        person = np.random.default_rng(round(hue * 24) % 24 + 1).normal(size=_DIMENSIONS)
        noise_seed = int.from_bytes(hashlib.sha256(tensor.tobytes()).digest()[:8])
        noise = np.random.default_rng(noise_seed).normal(size=_DIMENSIONS)
        mixed = person / np.linalg.norm(person) + 0.25 * noise / np.linalg.norm(noise)
        embedding: Tensor = np.round(127 * mixed / np.linalg.norm(mixed)).astype(np.int8)
        return embedding[np.newaxis]


def _colour(person: str) -> tuple[float, float, float]:
    index = PEOPLE.find(person)
    step = 3 * index if index >= 0 else 3 * (ord(person) % len(PEOPLE)) + 1
    r, g, b = colorsys.hsv_to_rgb(step / 24, 0.95, 1.0)
    return 255 * r, 255 * g, 255 * b
