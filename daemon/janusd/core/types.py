"""The values that travel from a camera frame to a decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.reason import Reason

Image: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8, RGB, rows from the top."""

Points: TypeAlias = NDArray[np.float32]
"""(5, 2) float32 pixels (x, y): the eye on the image's left, the other eye, nose tip, and the mouth
corners on the image's left and right. Pixel (0, 0) is the centre of the top left pixel."""

Crop: TypeAlias = NDArray[np.uint8]
"""(112, 112, 3) uint8, RGB: a face warped onto the template of `janusd.core.align`."""

Embedding: TypeAlias = NDArray[np.float32]
"""(D,) float32, about of unit Euclidean length; see `core.embed`."""

Tensor: TypeAlias = NDArray[np.int8]
"""A quantized network's input or output, int8, of the shape its manifest entry states."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the door, and when it was taken."""

    image: Image
    captured_s: float
    """Capture time on the camera's monotonic clock, seconds."""
    sequence: int
    """Counts frames of one camera from 0, gaps where frames were dropped."""
    luma: NDArray[np.uint8] | None = None
    """(h, w) uint8: the same moment, small and grey, where the camera gives that for nothing."""
    nir: Image | None = None
    """What the second camera of a pair saw in near infrared at that moment, grey in all three channels."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in pixels of the frame; it may reach over the frame's border."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Face:
    """One detected face."""

    box_px: Box
    landmarks_px: Points
    score: float
    """The detector's confidence, 0..1."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How fit a face is for comparison."""

    inter_ocular_px: float
    yaw_deg: float
    """Positive: the face is turned to the image's right."""
    pitch_deg: float
    """Positive: the face looks down."""
    roll_deg: float
    """Positive: the head is tilted clockwise in the image."""
    brightness: float
    """Mean luma of the crop, 0..255."""
    sharpness: float
    """Variance of the Laplacian of the contrast-normalised crop."""
    reason: Reason | None
    """The first floor the face fails, or None where it is fit."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An enrolled person and their score against a probe."""

    person_id: str
    score: float
    """As `match.verify` gives it, about -1..1; higher is more alike."""
    guard: float = -1.0
    """The best score against a try of which it was said that it was not this person."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """What attack detection makes of the face in a frame, over the frames of its track (ISO/IEC 30107-3)."""

    track: int
    """Which face at this door it is; nothing said of one speaks for another."""
    score: float = 0.5
    """0 speaks of an attack, 1 of a living face, 0.5 of neither."""
    reason: Reason | None = None
    """What gives an attack away, if anything does."""
    is_live: bool = False
    """The face showed what no still picture can, on this track."""
    is_challenged: bool = False
    """It answered a challenge, on this track and not long ago."""
    is_doubtful: bool = False
    """Something spoke of an attack a moment ago, whichever face it was."""
    lasts_s: float = 0.0
    """For how long this face has been looked at."""
    poses: tuple[Embedding, ...] = ()
    """Of a face that answered a challenge: its mean embedding in each pose."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one frame says, before any threshold is applied.

    Either `refused` names why the frame says nothing, or `best` holds the most similar person.
    """

    captured_s: float
    refused: Reason | None = None
    best: Candidate | None = None
    second: Candidate | None = None
    """The most similar *other* person."""
    presentation: Presentation | None = None
    """None where nobody asked for attack detection."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the door does about a frame."""

    captured_s: float
    reason: Reason
    person_id: str | None = None
    """Whom the reason speaks of; never set for an unknown face."""
    score: float | None = None
    hold_s: float = 0.0
    """For how long the latch is to be released; 0 keeps it locked."""
    is_duress: bool = False
    """Whether that person calls for help. Nothing at the door may differ by it."""

    @property
    def unlocks(self) -> bool:
        """Whether the latch is to be released."""
        return self.reason is Reason.MATCHED
