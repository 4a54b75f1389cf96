"""Who answers a challenge before the camera: SIMULATED actors whose frames are drawn, for the whole pipeline.

`answers` tries the geometry of many on landmarks alone. Here every frame goes through detector, encoder and
attack detection, so that what looks at pictures on the way (`core.motion`) and at the embedding in each pose
counts. A film steered to the sign is not among the species: its frames are those of the head itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import cv2
import numpy as np

from janusd.core import challenge
from janusd.core.challenge import Turn
from janusd.core.types import Image
from janusd_export.attacks import films
from janusd_export.attacks.films import Sitter

FPS: Final = 15.0

Actor: TypeAlias = Callable[[Turn | None, float], Image]
"""(what is asked, for how long) -> the next frame. Nothing is asked before the door has seen a face."""

Aim: TypeAlias = Callable[[float], float]
"""Degrees that the door would measure -> degrees by which a portrait is turned for it, as near as it gets: a
portrait looks a little aside itself, and a relief shows less of a turn than a head does."""

Casting: TypeAlias = Callable[[Sitter, Aim, np.random.Generator], Actor]
"""(who, how they aim, draws) -> an actor."""

_SIDE: Final = {Turn.LEFT: 1.0, Turn.RIGHT: -1.0, Turn.CENTRE: 0.0, None: 0.0}


def resident(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """Somebody who sees the sign after 0.3 to 0.6 s, and turns by 23 to 32 degrees."""
    follow, sway = _followed(rng, rng.uniform(60, 120), rng.uniform(23, 32)), _swaying(rng)
    return lambda asked, for_s: films.sensed(cast.head(aim(follow(asked, for_s)), sway()), rng)


def turned_print(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """A flat photograph, turned by hand the way the sign says."""
    still, follow = cast.head(aim(0.0)), _followed(rng, rng.uniform(60, 120), rng.uniform(40, 60))
    pitch_deg = rng.normal(0, 4)
    return lambda asked, for_s: films.sensed(
        films.warped(still, films.aslant(follow(asked, for_s), pitch_deg, 602.0)), rng
    )


def bent_print(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """The same, bent about an upright axis with a radius of 1 to 3 eye distances."""
    still, follow = cast.head(aim(0.0)), _followed(rng, rng.uniform(60, 120), rng.uniform(30, 50))
    radius_px = rng.uniform(1.0, 3.0) * cast.apart_px
    return lambda asked, for_s: films.sensed(
        films.rolled(still, cast.nose_px, radius_px, 0.0, follow(asked, for_s)), rng
    )


def exchanged_photographs(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """Three photographs, of which the right one is held up after 0.4 to 0.8 s."""
    return _album(cast, aim, rng, over_s=0.0)


def dissolved_photographs(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """Three photographs on a screen, each dissolved into the next within 0.2 to 0.6 s."""
    return _album(cast, aim, rng, over_s=rng.uniform(0.2, 0.6))


def blind_film(cast: Sitter, aim: Aim, rng: np.random.Generator) -> Actor:
    """A film of somebody who answered another challenge: its order was drawn as the door draws."""
    order, sway = challenge.ORDERS[rng.integers(len(challenge.ORDERS))], _swaying(rng)
    reach_deg, each_s = rng.uniform(23, 32), rng.uniform(1.0, 1.25)
    since_s = 0.0

    def act(asked: Turn | None, _: float) -> Image:
        nonlocal since_s
        since_s += 1 / FPS if asked is not None else 0.0
        at = np.repeat(np.arange(3) * each_s + 0.25, 2) + np.tile([0.0, 0.4], 3)
        stops = np.repeat([0.0, *[_SIDE[turn] for turn in order]], 2)[1:-1]
        return films.sensed(cast.head(aim(reach_deg * float(np.interp(since_s, at, stops))), sway()), rng)

    return act


def _album(cast: Sitter, aim: Aim, rng: np.random.Generator, *, over_s: float) -> Actor:
    late_s, reach_deg = rng.uniform(0.4, 0.8), rng.uniform(23, 32)
    stills = {side: cast.head(aim(side * reach_deg)) for side in (-1.0, 0.0, 1.0)}
    shown = following = 0.0
    clock_s, sway = 0.0, _swaying(rng)

    def act(asked: Turn | None, for_s: float) -> Image:
        nonlocal shown, following, clock_s
        clock_s += 1 / FPS
        if for_s >= late_s and following != _SIDE[asked]:
            shown, following, clock_s = following, _SIDE[asked], 0.0
        part = min(1.0, clock_s / over_s) if over_s else 1.0
        mixed = cv2.addWeighted(stills[following], part, stills[shown], 1 - part, 0.0)
        return films.sensed(films.warped(np.asarray(mixed, np.uint8), sway()), rng)

    return act


def _swaying(rng: np.random.Generator) -> Callable[[], films.Map]:
    """Nothing is held quite still, and nothing comes back to where it was: the next frame's place."""
    reach, pace, phase = rng.uniform(0.3, 1.0, 4), rng.uniform(1.0, 4.0, 4), rng.uniform(0, 6.3, 4)
    now_s = 0.0

    def sway() -> films.Map:
        nonlocal now_s
        now_s += 1 / FPS
        zoom, turn_deg, right, down = reach * np.sin(pace * now_s + phase)
        return films.similar(1 + 0.03 * zoom, 3 * turn_deg, 10 * right, 6 * down)

    return sway


def _followed(
    rng: np.random.Generator, speed_deg_s: float, most_deg: float
) -> Callable[[Turn | None, float], float]:
    """How far it is turned in the next frame: towards what is asked, as far as it goes."""
    reacts_s, now_deg = rng.uniform(0.3, 0.6), 0.0

    def follow(asked: Turn | None, for_s: float) -> float:
        nonlocal now_deg
        if for_s >= reacts_s:
            way_deg = _SIDE[asked] * most_deg - now_deg
            now_deg += math.copysign(min(abs(way_deg), speed_deg_s / FPS), way_deg)
        return now_deg

    return follow


GENUINE: Final[Mapping[str, Casting]] = {"follows the sign": resident}
ATTACKS: Final[Mapping[str, Casting]] = {
    "flat print, turned as asked": turned_print, "bent print, turned as asked": bent_print,
    "three photographs, exchanged": exchanged_photographs,
    "three photographs, dissolved": dissolved_photographs,
    "film of another challenge": blind_film,
}  # fmt: skip
