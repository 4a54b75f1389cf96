"""Turns of the head, asked for in an order nobody knew before.

Three turns are asked for, one after the other. Each is answered when the head was held so far for `average`
frames; whoever is held to the other side than the one asked for has answered another question, and fails. The
whole must be done within `within_s`. Afterwards the nose must have stood out on the way (`parallax`), a look
at the views must have found a head on it, and every pose has its own mean embedding, all of which must match:
the policy compares them.

There are six orders: each goes to both sides, and none begins with the centre, where everybody begins. A film
that shows the right one passes this test, one time in six where its own was drawn as the door draws: what
stands against films is the passive network, near infrared, and the limiter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from itertools import pairwise, product
from typing import Final, TypeAlias

import numpy as np

from janusd.core import embed, parallax
from janusd.core.parallax import Relief, Sight
from janusd.core.types import Embedding


class Turn(Enum):
    """Which way to turn, as the person does it: their own left is the image's right."""

    LEFT = auto()
    RIGHT = auto()
    CENTRE = auto()


Order: TypeAlias = tuple[Turn, ...]

ORDERS: Final[tuple[Order, ...]] = tuple(
    order
    for order in product(Turn, repeat=3)
    if order[0] is not Turn.CENTRE
    and all(turn is not following for turn, following in pairwise(order))
    and {Turn.LEFT, Turn.RIGHT} <= set(order)
)
"""What may be asked for: each with the same chance."""


class Stage(Enum):
    """How a challenge stands."""

    RUNNING = auto()
    PASSED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked."""

    turn_deg: float = 20.0
    """How far to a side the mean of the frames is turned."""
    centre_deg: float = 10.0
    within_s: float = 4.0
    average: int = 5
    slack_deg: float = 8.0
    """By how much each of the frames may fall short of that: a pose is held, not swept through."""
    stands_out: float = 0.28
    """Eye distances the averaged nose must have moved: 40 degrees from side to side give a head some 0.3,
    SIMULATED sheets that are bent like a face and turned 0.25 at most of a hundred."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame of the face that was asked."""

    at_s: float
    yaw_deg: float
    """Positive: turned to the image's right."""
    embedding: Embedding
    sight: Sight
    found_head: bool = True
    """Whether a look at the track's views (`motion`) found a head by now, as far as anybody looks."""


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
    """Mean embeddings of the answered turns."""
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
    return challenge if seen is None else _look(challenge, seen, terms)


def _look(challenge: Challenge, seen: Seen, terms: Terms) -> Challenge:
    recent = (*challenge.recent, seen)[-terms.average :]
    challenge = replace(challenge, recent=recent, sights=(*challenge.sights, seen.sight))
    asked = challenge.asks
    if asked is None or len(recent) < terms.average:
        return challenge
    if not _is_held(recent, asked, terms):
        return replace(challenge, stage=Stage.FAILED) if _has_erred(challenge, terms) else challenge
    pose = embed.combine([one.embedding for one in recent])
    challenge = replace(challenge, answered=challenge.answered + 1, recent=(), poses=(*challenge.poses, pose))
    if challenge.answered < len(challenge.order):
        return challenge
    has_shown = seen.found_head and _stands_out(challenge, terms)
    return replace(challenge, stage=Stage.PASSED if has_shown else Stage.FAILED)


def _is_held(recent: tuple[Seen, ...], asked: Turn, terms: Terms) -> bool:
    yaws_deg = np.array([one.yaw_deg for one in recent])
    if asked is Turn.CENTRE:  # by how much each frame has more than is asked for
        spare_deg = terms.centre_deg - np.array([abs(float(yaws_deg.mean())), *np.abs(yaws_deg)])
    else:
        side = 1.0 if asked is Turn.LEFT else -1.0
        spare_deg = side * np.array([float(yaws_deg.mean()), *yaws_deg]) - terms.turn_deg
    return float(spare_deg[0]) >= 0 and float(spare_deg.min()) >= -terms.slack_deg


def _has_erred(challenge: Challenge, terms: Terms) -> bool:
    """Whether a side is held that is not asked for, and was not just before."""
    before = challenge.order[challenge.answered - 1] if challenge.answered else None
    others = {Turn.LEFT, Turn.RIGHT} - {challenge.asks, before}
    return any(_is_held(challenge.recent, side, terms) for side in others)


def _stands_out(challenge: Challenge, terms: Terms) -> bool:
    """By landmarks and embeddings: turns so wide and so quick leave few views near enough to be compared."""
    bounds = parallax.Bounds(memory_s=terms.within_s, stands_out=terms.stands_out, average=terms.average)
    seen = tuple(replace(sight, view=None) for sight in challenge.sights)
    return parallax.assess(seen, bounds).relief is Relief.STANDS_OUT
