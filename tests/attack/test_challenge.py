"""Turns in an order nobody knew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from janusd.core import parallax
from janusd.core.challenge import ORDERS, Challenge, Order, Seen, Stage, Terms, Turn, step

HEAD = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], float)
ORDER: Order = (Turn.LEFT, Turn.CENTRE, Turn.RIGHT)
FRAME_S = 1 / 15


def seen(yaw_deg: float, at_s: float, depth: float = 1.0, axis: int = 0) -> Seen:
    yaw = np.radians(yaw_deg)
    turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    at = (HEAD * (1, 1, depth)) @ turn.T + (0, 0, 550)
    sight = parallax.sight((602 * at[:, :2] / at[:, 2:]).astype(np.float32), at_s)
    assert sight is not None
    vector = np.zeros(4, np.float32)
    vector[axis] = 1
    return Seen(at_s, yaw_deg, vector, sight)


def play(yaws: list[float], *, depth: float = 1.0, order: Order = ORDER) -> Challenge:
    challenge = Challenge(order, track=1, began_s=0.0)
    for number, yaw in enumerate(yaws, start=1):
        at_s = number * FRAME_S
        challenge = step(challenge, at_s, 1, seen(yaw, at_s, depth), Terms())
    return challenge


def sweep(*stops: float) -> list[float]:
    """From stop to stop in six frames, five frames at each."""
    yaws: list[float] = []
    for before, after in zip((0.0, *stops), stops, strict=False):
        yaws += [*np.linspace(before, after, 6), *[after] * 5]
    return yaws


def test_whoever_turns_as_asked_passes_and_leaves_a_mean_embedding_of_each_pose() -> None:
    challenge = play(sweep(26, 0, -26))
    assert challenge.stage is Stage.PASSED
    assert len(challenge.poses) == 3
    assert all(np.linalg.norm(pose) == pytest.approx(1) for pose in challenge.poses)


def test_a_sheet_turned_as_asked_fails_because_nothing_stands_out() -> None:
    assert play(sweep(26, 0, -26), depth=0.1).stage is Stage.FAILED


def test_each_order_goes_to_both_sides_and_begins_with_one_of_them() -> None:
    assert len(set(ORDERS)) == 6
    for order in ORDERS:
        assert {Turn.LEFT, Turn.RIGHT} <= set(order)
        assert order[0] is not Turn.CENTRE
        assert order[0] is not order[1] is not order[2]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_can_be_followed_and_is_passed_by_no_other(order: Order) -> None:
    stops = {Turn.LEFT: 26.0, Turn.CENTRE: 0.0, Turn.RIGHT: -26.0}
    for asked in ORDERS:
        stage = play(sweep(*[stops[turn] for turn in order]), order=asked).stage
        assert (stage is Stage.PASSED) == (asked == order), asked


def test_turning_to_the_wrong_side_ends_it_at_once() -> None:
    assert play(sweep(-26)).stage is Stage.FAILED
    assert play(sweep(26, -26), order=(Turn.LEFT, Turn.CENTRE, Turn.RIGHT)).stage is Stage.FAILED


def test_staying_where_one_was_asked_to_turn_before_is_no_mistake() -> None:
    assert play([*sweep(26), *[26.0] * 10]).stage is Stage.RUNNING


def test_passing_the_centre_on_the_way_is_not_looking_there() -> None:
    swept = play([*sweep(26), *np.linspace(20, -20, 5)])
    assert swept.answered == 1


def test_a_sheet_bent_like_a_face_fails_too() -> None:
    assert play(sweep(26, 0, -26), depth=0.5).stage is Stage.FAILED


def test_where_no_look_found_a_head_nothing_is_passed() -> None:
    challenge, yaws = Challenge(ORDER, track=1, began_s=0.0), sweep(26, 0, -26)
    for number, yaw in enumerate(yaws, start=1):
        sheet = replace(seen(yaw, number * FRAME_S), found_head=False)
        challenge = step(challenge, number * FRAME_S, 1, sheet, Terms())
    assert (challenge.answered, challenge.stage) == (3, Stage.FAILED)


def test_three_pictures_exchanged_do_not_pass() -> None:
    assert play([0.0] * 3 + [26.0] * 8 + [0.0] * 8 + [-26.0] * 8).stage is Stage.FAILED


def test_less_than_twenty_degrees_is_not_a_turn() -> None:
    assert play(sweep(18, 0, -18)).answered == 0


def test_one_frame_far_enough_is_not_a_turn() -> None:
    assert play([0, 0, 0, 0, 60, 0, 0, 0, 0]).answered == 0


def test_after_four_seconds_it_is_over() -> None:
    challenge = Challenge(ORDER, track=1, began_s=0.0)
    assert step(challenge, 3.9, 1, None, Terms()).stage is Stage.RUNNING
    assert step(challenge, 4.1, 1, None, Terms()).stage is Stage.FAILED


def test_another_face_cannot_answer() -> None:
    challenge = Challenge(ORDER, track=1, began_s=0.0)
    assert step(challenge, 0.1, 2, seen(26, 0.1), Terms()).stage is Stage.FAILED


def test_what_is_over_stays_as_it_is() -> None:
    challenge = play(sweep(26, 0, -26))
    assert challenge.asks is None
    assert step(challenge, 99.0, 7, None, Terms()) is challenge
