"""Turns of the head, asked for in an order nobody knew before.

Left, right and centre are asked for in a random order. Each is answered when the mean of `average` frames is
turned so far; the whole must be done within `within_s`. Afterwards the nose must have stood out on the way
(`parallax`), and every pose has its own mean embedding, all of which must match: the policy compares them.

There are six orders. A film that shows the right one passes this test as often as it happens to: what stands
against films is the passive network, near infrared, and the limiter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, TypeAlias

import numpy as np

from janusd.core import parallax
from janusd.core.parallax import Relief, Sight
from janusd.core.types import Embedding


class Turn(Enum):
    """Which way to turn, as the person does it: their own left is the image's right."""

    LEFT = auto()
    RIGHT = auto()
    CENTRE = auto()


Order: TypeAlias = tuple[Turn, ...]

TURNS: Final[Order] = (Turn.LEFT, Turn.RIGHT, Turn.CENTRE)


class Stage(Enum):
    """How a challenge stands."""

    RUNNING = auto()
    PASSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked."""

    turn_deg: float = 20.0
    centre_deg: float = 10.0
    within_s: float = 4.0
    average: int = 5
    stands_out: float = 0.18
    """Eye distances the averaged nose must have moved: 40 degrees from side to side give some 0.27."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of the face that was asked."""

    at_s: float
    yaw_deg: float
    """Positive: turned to the image's right."""
    embedding: Embedding
    sight: Sight


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge to one track."""

    order: Order
    track: int
    began_s: float
    answered: int = 0
    recent: tuple[Seen, ...] = ()
    """Of the turn that is asked for, the newest."""
    sights: tuple[Sight, ...] = ()
    poses: tuple[Embedding, ...] = ()
    """Mean embeddings of the answered turns, unit length."""
    stage: Stage = Stage.RUNNING

    @property
    def asks(self) -> Turn | None:
        """Which turn is asked for now."""
        return self.order[self.answered] if self.stage is Stage.RUNNING else None


def step(challenge: Challenge, now_s: float, track: int, seen: Seen | None, terms: Terms) -> Challenge:
    """The challenge after one frame; `seen` is None where the frame shows nothing fit for comparison."""
    if challenge.stage is not Stage.RUNNING:
        return challenge
    if track != challenge.track or now_s - challenge.began_s > terms.within_s:
        return replace(challenge, stage=Stage.FAILED)
    if seen is None:
        return challenge
    recent = (*challenge.recent, seen)[-terms.average :]
    challenge = replace(challenge, recent=recent, sights=(*challenge.sights, seen.sight))
    asked = challenge.asks
    if asked is None or len(recent) < terms.average or not _is_turned(recent, asked, terms):
        return challenge
    mean = np.mean([one.embedding for one in recent], axis=0)
    pose = (mean / np.linalg.norm(mean)).astype(np.float32)
    challenge = replace(challenge, answered=challenge.answered + 1, recent=(), poses=(*challenge.poses, pose))
    if challenge.answered < len(challenge.order):
        return challenge
    return replace(challenge, stage=Stage.PASSED if _stands_out(challenge, terms) else Stage.FAILED)


def _is_turned(recent: tuple[Seen, ...], asked: Turn, terms: Terms) -> bool:
    yaw_deg = float(np.mean([one.yaw_deg for one in recent]))
    match asked:
        case Turn.LEFT:
            return yaw_deg >= terms.turn_deg
        case Turn.RIGHT:
            return yaw_deg <= -terms.turn_deg
        case Turn.CENTRE:
            return abs(yaw_deg) <= terms.centre_deg


def _stands_out(challenge: Challenge, terms: Terms) -> bool:
    bounds = parallax.Bounds(memory_s=terms.within_s, stands_out=terms.stands_out, average=terms.average)
    return parallax.assess(challenge.sights, bounds).relief is Relief.STANDS_OUT
