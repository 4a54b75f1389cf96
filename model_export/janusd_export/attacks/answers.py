"""Who answers a challenge, and how: SIMULATED actors that see the sign and turn, or have something turned.

An actor gives its points in millimetres for each frame, knowing what is asked and for how long. What it shows
is filmed and measured by the door's own code; only the embedding is taken for granted: every actor matches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core import challenge, parallax, pose
from janusd.core.challenge import Challenge, Order, Seen, Stage, Turn
from janusd_export.attacks import heads
from janusd_export.attacks.heads import Setting

Actor: TypeAlias = Callable[[Turn, float, float], NDArray[np.float64]]
"""(what is asked, for how long, since when the challenge runs) -> (5, 3) millimetres."""

_SIDE: Final = {Turn.LEFT: 1.0, Turn.RIGHT: -1.0, Turn.CENTRE: 0.0}


def answered(
    make: Callable[[np.random.Generator], Actor], rng: np.random.Generator, setting: Setting
) -> bool:
    """Whether an actor passes one challenge in a random order."""
    order = _drawn(rng)
    actor, terms = make(rng), challenge.Terms()
    embedding = np.ones(1, np.float32)
    running, asked_s, at_s = Challenge(order, 1, 0.0), 0.0, 0.0
    camera = np.random.default_rng(rng.integers(2**32))
    place, bias = rng.uniform(-40, 40, 3) + np.array([0, 0, 550]), rng.normal(0, setting.bias_px, (5, 2))
    while running.stage is Stage.RUNNING and (asked := running.asks) is not None:
        at_s += 1 / setting.fps
        points = actor(asked, at_s - asked_s, at_s) + place
        pixels = (
            heads.FOCAL_PX * points[:, :2] / points[:, 2:] + np.array([heads.WIDTH_PX, heads.HEIGHT_PX]) / 2
        )
        landmarks = (pixels + bias + camera.normal(0, setting.noise_px, pixels.shape)).astype(np.float32)
        sight = parallax.sight(landmarks, at_s)
        if sight is None:
            continue
        yaw_deg = pose.pose_of(landmarks, heads.WIDTH_PX).yaw_deg
        before = running.answered
        running = challenge.step(running, at_s, 1, Seen(at_s, yaw_deg, embedding, sight), terms)
        if running.answered != before:
            asked_s = at_s
    return running.stage is Stage.PASSED


def _drawn(rng: np.random.Generator) -> Order:
    """As the door draws one."""
    return challenge.ORDERS[rng.integers(len(challenge.ORDERS))]


def resident(rng: np.random.Generator) -> Actor:
    """Somebody who sees the sign after 0.3 to 0.6 s and turns by 24 to 34 degrees within 0.3 to 0.5 s."""
    return _follower(heads.somebody(rng), rng, rng.uniform(24, 34), np.array([0.0, 0.0, 95.0]))


def followed_print(rng: np.random.Generator) -> Actor:
    """A flat print turned by hand the way the sign says, by 20 to 50 degrees."""
    return _follower(heads.printed(heads.somebody(rng), rng), rng, rng.uniform(20, 50), np.zeros(3))


def followed_bent_print(rng: np.random.Generator) -> Actor:
    """The same, bent like a face, radius 60 to 200 mm."""
    sheet = heads.rolled(heads.printed(heads.somebody(rng), rng), rng.uniform(60, 200))
    return _follower(sheet, rng, rng.uniform(20, 50), np.zeros(3))


def chosen_slides(rng: np.random.Generator) -> Actor:
    """Three photographs, left, right and centre: the right one is held up after 0.4 to 0.8 s."""
    head, late_s = heads.somebody(rng), rng.uniform(0.4, 0.8)
    sheets = {turn: heads.printed(head, rng, side * rng.uniform(24, 32)) for turn, side in _SIDE.items()}
    shown = sheets[Turn.CENTRE]

    def act(asked: Turn, for_s: float, _: float) -> NDArray[np.float64]:
        nonlocal shown
        if for_s >= late_s:
            shown = sheets[asked]
        return shown

    return act


def blind_film(rng: np.random.Generator) -> Actor:
    """A film of somebody who answered another challenge: its order is as random as the door's."""
    head = heads.somebody(rng)
    order = [_SIDE[turn] for turn in _drawn(rng)]
    reach, each_s = rng.uniform(24, 34), rng.uniform(1.0, 1.25)

    def act(_: Turn, __: float, since_s: float) -> NDArray[np.float64]:
        steps = np.arange(len(order)) * each_s + 0.25
        yaw = reach * float(np.interp(since_s, np.repeat(steps, 2) + np.tile([0.0, 0.4], 3),
                                      np.repeat(np.concatenate([[0.0], order]), 2)[1:-1]))  # fmt: skip
        return _on_screen(head, yaw)

    return act


def steered_film(rng: np.random.Generator) -> Actor:
    """Somebody plays the fitting film, or a program turns the head of a picture: the sign is followed."""
    follow = _follower(heads.somebody(rng), rng, rng.uniform(24, 34), np.array([0.0, 0.0, 95.0]))

    def act(asked: Turn, for_s: float, since_s: float) -> NDArray[np.float64]:
        seen = follow(asked, for_s, since_s) + np.array([0, 0, 700])
        return np.column_stack([seen[:, :2] / seen[:, 2:] * 700, np.zeros(5)])

    return act


def _on_screen(head: NDArray[np.float64], yaw_deg: float) -> NDArray[np.float64]:
    seen = heads.turned(head, np.radians([[yaw_deg, 0, 0]]), np.array([0.0, 0.0, 95.0]))[0] + np.array(
        [0, 0, 700]
    )
    return np.column_stack([seen[:, :2] / seen[:, 2:] * 700, np.zeros(5)])


def _follower(
    points: NDArray[np.float64], rng: np.random.Generator, reach_deg: float, pivot: NDArray[np.float64]
) -> Actor:
    reacts_s, turns_s = rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.5)
    tilt = rng.normal(0, 3)
    now_deg, from_deg, last = 0.0, 0.0, Turn.CENTRE

    def act(asked: Turn, for_s: float, _: float) -> NDArray[np.float64]:
        nonlocal now_deg, from_deg, last
        if asked is not last:
            last, from_deg = asked, now_deg
        part = float(np.clip((for_s - reacts_s) / turns_s, 0, 1))
        now_deg = from_deg + part * (_SIDE[asked] * reach_deg - from_deg)
        return np.asarray(heads.turned(points, np.radians([[now_deg, tilt, 0]]), pivot)[0])

    return act


GENUINE: Final[Mapping[str, Callable[[np.random.Generator], Actor]]] = {"follows the sign": resident}
DEVELOPMENT: Final[Mapping[str, Callable[[np.random.Generator], Actor]]] = {
    "flat print, turned as asked": followed_print, "bent print, turned as asked": followed_bent_print,
}  # fmt: skip
HELD_OUT: Final[Mapping[str, Callable[[np.random.Generator], Actor]]] = {
    "three photographs, held up as asked": chosen_slides, "film of another challenge": blind_film,
    "film steered to the sign": steered_film,
}  # fmt: skip
