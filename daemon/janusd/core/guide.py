"""Lead a person through the poses of an enrolment: one hint at a time, and the moment to take a sample.

Values in, values out: a `Track` is what is remembered from frame to frame, a `Step` is what is to be said
now. Angles are taken against how this person holds their head when they look at the camera, which their
first sample shows: five landmarks of a mean head read a long face as a lowered one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from janusd.core.pose import Pose
from janusd.core.reason import Reason
from janusd.core.side import Side
from janusd.core.types import Box

GOOD: Final = "good"
WAIT: Final = "wait"
"""The face is fit for comparison, and not yet turned or held as asked."""

HOLD_STILL: Final = "Hold still."

HOLD_S: Final = 0.5
"""For how long a pose is held before a sample is taken: nobody passes through it by chance."""
_HOLD_FRAMES: Final = 3
_LOST_S: Final = 1.0
"""A face that is seen to be out of view for longer may be another one when it comes back."""
_BLIND_S: Final = 3.0
"""The same where no frame came in between: a board that is busy stalls for a moment."""
_SAME_PLACE: Final = 0.2
"""Intersection over union of a face's boxes in two frames, below which it is not the same face moved."""
_STILL_DEG: Final = 8.0
"""How far a head may drift while it is held: twice what landmark noise makes of a still one."""
_NEAR_PX: Final = 32.0
"""Between the eyes, for an enrolment: a third more than what the door compares."""

_FRONT_DEG: Final = 15.0
_FRONT_PITCH_DEG: Final = 30.0
"""Before the person's own zero is known, pitch tells nearly nothing."""
_AGAIN_DEG: Final = 10.0
_YAW_DEG: Final = (10.0, 34.0)
_PITCH_DEG: Final = (5.0, 26.0)
"""From where on a turned head shows another view, and where too little of the face is left. Landmarks of a
turned head are drawn towards the mean face: what reads as 10 degrees is nearer to 15, and a nod that reads as
5 degrees is nearer to 17 (`DETECTOR_CARD.md`)."""
_ASIDE_DEG: Final = 14.0
_ROLL_DEG: Final = 18.0
_BEGUN: Final = 0.4
"""The part of the way from which on the hint says "a little further"."""

_ASK: Final = {
    Side.FRONT: "Look straight at the camera.",
    Side.LEFT: "Turn your head to your left.",
    Side.RIGHT: "Turn your head to your right.",
    Side.UP: "Lift your chin.",
    Side.DOWN: "Lower your chin.",
}
_OTHER_WAY: Final = {
    side: f"The other way. {asked}" for side, asked in _ASK.items() if side is not Side.FRONT
}
WELL_DONE: Final = "Good."
_TOO_FAR: Final = "Not quite so far."
_BACKLIT: Final = "The light is behind you: turn around, or shade it."
_CLOSER: Final = "A little closer."
_UPRIGHT: Final = "Hold your head upright."
_LEVEL: Final = "Keep your chin level."
_FURTHER: Final = {
    Side.LEFT: "A little further to your left.",
    Side.RIGHT: "A little further to your right.",
    Side.UP: "Lift your chin a little more.",
    Side.DOWN: "Lower your chin a little more.",
}


HINTS: Final = (
    HOLD_STILL, WELL_DONE, _TOO_FAR, _BACKLIT, _CLOSER, _UPRIGHT, _LEVEL, *_ASK.values(), *_FURTHER.values(),
    *_OTHER_WAY.values(),
)  # fmt: skip
"""All that may be said here, for whoever translates it."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What one frame says of the face in it."""

    captured_s: float
    refused: Reason | None = None
    """Why the face cannot be compared; None where it can."""
    box: Box | None = None
    """In parts of the picture's width and height."""
    pose: Pose | None = None
    inter_ocular_px: float = 0.0
    is_backlit: bool = False
    """The picture is much brighter than the face."""


@dataclass(frozen=True, slots=True)
class Track:
    """One face, followed from frame to frame."""

    box: Box | None = None
    seen_s: float = 0.0
    is_whole: bool = True
    """Whether it has been in view, in one piece, since it was last known whose face it is."""
    neutral: Pose | None = None
    """How this person holds their head when they look at the camera."""
    held: tuple[Pose, ...] = ()
    """The poses since the head is held as asked."""
    held_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Step:
    """What to say about a frame."""

    reason: str
    """A `Reason` value, "wait" or "good"."""
    hint: str
    steady: float = 0.0
    """How much of `HOLD_S` is over, 0..1."""
    takes: bool = False
    """Whether now is the moment."""


def ask(side: Side) -> str:
    """What to ask for, in plain words."""
    return _ASK[side]


def follow(track: Track, sight: Sight) -> Track:
    """The track after this frame: broken once the face was away for too long, or jumped."""
    if sight.box is None:
        is_lost = track.box is not None and sight.captured_s - track.seen_s > _LOST_S
        return replace(track, held=(), is_whole=track.is_whole and not is_lost)
    jumped = track.box is not None and (
        overlap(track.box, sight.box) < _SAME_PLACE or sight.captured_s - track.seen_s > _BLIND_S
    )
    return replace(
        track,
        box=sight.box,
        seen_s=sight.captured_s,
        is_whole=track.is_whole and not jumped,
        held=() if jumped else track.held,
    )


def lead(track: Track, sight: Sight, side: Side) -> tuple[Track, Step]:
    """Look whether the head is turned to that side, and for how long by now."""
    hint, reason = _obstacle(track, sight, side)
    if hint or sight.pose is None:
        return replace(track, held=()), Step(reason, hint)
    held = (*track.held, sight.pose)
    if len(held) == 1 or _gap_deg(held[0], sight.pose) > _STILL_DEG:
        return (
            replace(track, held=(sight.pose,), held_since_s=sight.captured_s),
            Step(WAIT, HOLD_STILL),
        )
    over_s = sight.captured_s - track.held_since_s
    steady = min(over_s / HOLD_S, len(held) / _HOLD_FRAMES, 1.0)
    if steady < 1.0:
        return replace(track, held=held), Step(WAIT, HOLD_STILL, steady)
    neutral = mean(held) if side is Side.FRONT else track.neutral
    return replace(track, held=(), neutral=neutral), Step(GOOD, WELL_DONE, 1.0, takes=True)


def mean(poses: Sequence[Pose]) -> Pose:
    """The pose in the middle of several."""
    n = len(poses)
    return Pose(
        sum(p.yaw_deg for p in poses) / n,
        sum(p.pitch_deg for p in poses) / n,
        sum(p.roll_deg for p in poses) / n,
    )


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    common = max(0.0, width) * max(0.0, height)
    return common / (a.width * a.height + b.width * b.height - common) if common else 0.0


def relative(track: Track, pose: Pose) -> Pose:
    """The pose against how this person looks at the camera."""
    zero = track.neutral or Pose(0.0, 0.0, 0.0)
    return Pose(pose.yaw_deg - zero.yaw_deg, pose.pitch_deg - zero.pitch_deg, pose.roll_deg - zero.roll_deg)


def _obstacle(track: Track, sight: Sight, side: Side) -> tuple[str, str]:
    """What is in the way of a sample (its hint and reason), or empty hint."""
    refused = sight.refused
    if refused is Reason.TOO_FAR_TURNED and track.neutral is not None and side is not Side.FRONT:
        return _TOO_FAR, refused.value
    if refused is Reason.TOO_DARK and sight.is_backlit:
        return _BACKLIT, refused.value
    if refused is not None or sight.pose is None:
        refused = refused or Reason.NO_FACE
        return refused.hint, refused.value
    if sight.inter_ocular_px < _NEAR_PX:
        return _CLOSER, Reason.TOO_SMALL.value
    turned = relative(track, sight.pose)
    is_tilted = abs(turned.roll_deg) > _ROLL_DEG
    return _UPRIGHT if is_tilted else _turn_hint(track, turned, side), WAIT


def _turn_hint(track: Track, turned: Pose, side: Side) -> str:
    """How to turn on, or empty when it is well."""
    if side is Side.FRONT:
        yaw_deg, pitch_deg = (
            (_AGAIN_DEG, _AGAIN_DEG) if track.neutral is not None else (_FRONT_DEG, _FRONT_PITCH_DEG)
        )
        is_straight = abs(turned.yaw_deg) <= yaw_deg and abs(turned.pitch_deg) <= pitch_deg
        return "" if is_straight else _ASK[side]
    if side in (Side.LEFT, Side.RIGHT):
        towards = turned.yaw_deg if side is Side.LEFT else -turned.yaw_deg  # their left is the image's right
        aside, (least, most) = abs(turned.pitch_deg), _YAW_DEG
    else:
        towards = turned.pitch_deg if side is Side.DOWN else -turned.pitch_deg
        aside, (least, most) = abs(turned.yaw_deg), _PITCH_DEG
    if towards > most:
        return _TOO_FAR
    if aside > _ASIDE_DEG:
        return _LEVEL if side in (Side.LEFT, Side.RIGHT) else _ASK[Side.FRONT]
    if towards >= least:
        return ""
    if towards <= -least:
        return _OTHER_WAY[side]
    return _FURTHER[side] if towards >= _BEGUN * least else _ASK[side]


def _gap_deg(a: Pose, b: Pose) -> float:
    return max(abs(a.yaw_deg - b.yaw_deg), abs(a.pitch_deg - b.pitch_deg), abs(a.roll_deg - b.roll_deg))
