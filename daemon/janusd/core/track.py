"""Is this the face of the frame before? What was found out about one face must not speak for another.

A face stays on its track while its box overlaps the one before and its embedding stays like those of the
track. Both: two people may pass the same spot, and a picture of somebody may be held up beside them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from janusd.core import match
from janusd.core.types import Box, Embedding


@dataclass(frozen=True, slots=True)
class Follow:
    """When two faces count as one."""

    overlap: float = 0.3
    """Intersection over union of the boxes; at 8 frames a second a head moves by half its width at most."""
    gap_s: float = 1.0
    alike: float = 0.4
    """Score against the track so far, or its newest frame; from the model's calibration."""


@dataclass(frozen=True, slots=True)
class Track:
    """One face over consecutive frames."""

    number: int
    """Counts the faces of a door from 1; another number is another presentation."""
    box_px: Box
    began_s: float
    seen_s: float
    mean: Embedding | None = None
    """Of all embeddings so far, unit length."""
    newest: Embedding | None = None
    count: int = 0


def follow(
    track: Track | None, number: int, box_px: Box, embedding: Embedding | None, now_s: float, how: Follow
) -> Track:
    """The track with this face on it, or a new one of that number.

    A face without an embedding (blurred, turned away) keeps a track alive, and adds nothing to it.
    """
    if track is None or now_s - track.seen_s > how.gap_s or overlap(track.box_px, box_px) < how.overlap:
        return _begin(number, box_px, embedding, now_s)
    if embedding is None:
        return replace(track, box_px=box_px, seen_s=now_s)
    if track.mean is None or track.newest is None:
        return replace(track, box_px=box_px, seen_s=now_s, mean=embedding, newest=embedding, count=1)
    if max(match.verify(embedding, track.mean), match.verify(embedding, track.newest)) < how.alike:
        return _begin(number, box_px, embedding, now_s)
    mean = track.mean * np.float32(track.count) + embedding
    mean = (mean / np.linalg.norm(mean)).astype(np.float32)
    return replace(
        track, box_px=box_px, seen_s=now_s, mean=mean, newest=embedding, count=min(track.count + 1, 30)
    )


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0..1."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0.0) * max(height, 0.0)
    whole = a.width * a.height + b.width * b.height - shared
    return shared / whole if whole > 0 else 0.0


def _begin(number: int, box_px: Box, embedding: Embedding | None, now_s: float) -> Track:
    return Track(number, box_px, now_s, now_s, embedding, embedding, int(embedding is not None))
