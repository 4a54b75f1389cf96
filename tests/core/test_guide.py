"""The guide leads through the sides of a face; a scenario is a list of sights."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import guide
from janusd.core.guide import Sight, Step, Track
from janusd.core.pose import Pose
from janusd.core.reason import Reason
from janusd.core.side import Side
from janusd.core.types import Box

HERE = Box(0.4, 0.3, 0.2, 0.3)
AWAY = Box(0.05, 0.3, 0.2, 0.3)
FPS = 10

KNOWN = Track(box=HERE, neutral=Pose(2, 12, 0))
"""Somebody with a long face, who looks straight at the camera and reads as looking down."""
TOWARDS = {
    Side.FRONT: Pose(2, 12, 0),
    Side.LEFT: Pose(18, 12, 0),
    Side.RIGHT: Pose(-14, 12, 0),
    Side.UP: Pose(2, 1, 0),
    Side.DOWN: Pose(2, 23, 0),
}


def seen(pose: Pose | None = None, at_s: float = 0.0, **more: object) -> Sight:
    return replace(Sight(at_s, box=HERE, pose=pose or Pose(0, 0, 0), inter_ocular_px=60.0), **more)


def play(side: Side, *sights: Sight, track: Track = KNOWN) -> list[Step]:
    steps = []
    for number, sight in enumerate(sights):
        timed = replace(sight, captured_s=100 + number / FPS)
        track, step = guide.lead(guide.follow(track, timed), timed, side)
        steps.append(step)
    return steps


@pytest.mark.parametrize("side", Side)
def test_each_side_is_taken_once_it_was_held_for_half_a_second(side: Side) -> None:
    steps = play(side, *[seen(TOWARDS[side])] * 7)
    assert [step.takes for step in steps] == [False] * 5 + [True, False]
    assert steps[5].reason == guide.GOOD


@pytest.mark.parametrize("side", Side)
def test_no_side_is_taken_for_another(side: Side) -> None:
    for other, pose in TOWARDS.items():
        if other is not side:
            assert not any(step.takes for step in play(side, *[seen(pose)] * 20))


def test_a_head_that_only_passes_through_a_pose_is_not_taken() -> None:
    sweep = [seen(Pose(2 + yaw, 12, 0)) for yaw in range(-30, 60, 6)]
    assert not any(step.takes for step in play(Side.LEFT, *sweep))


def test_the_first_sample_shows_how_this_person_holds_their_head() -> None:
    track = Track()
    for number in range(6):
        sight = seen(Pose(-4, 21, 1), number / FPS)
        track, step = guide.lead(guide.follow(track, sight), sight, Side.FRONT)
    assert step.takes
    assert track.neutral == Pose(-4, 21, 1)


def test_three_frames_are_the_least_however_slow_the_camera() -> None:
    slow = [seen(TOWARDS[Side.FRONT], at_s) for at_s in (0.0, 0.7, 1.4)]
    track, taken = KNOWN, []
    for sight in slow:
        track, step = guide.lead(guide.follow(track, sight), sight, Side.FRONT)
        taken.append(step.takes)
    assert taken == [False, False, True]


@pytest.mark.parametrize(
    ("side", "sight", "hint"),
    [
        (Side.LEFT, seen(TOWARDS[Side.FRONT]), "Turn your head to your left."),
        (Side.LEFT, seen(Pose(8, 12, 0)), "A little further to your left."),
        (Side.LEFT, seen(TOWARDS[Side.RIGHT]), "The other way. Turn your head to your left."),
        (Side.LEFT, seen(Pose(45, 12, 0)), "Not quite so far."),
        (Side.LEFT, seen(refused=Reason.TOO_FAR_TURNED), "Not quite so far."),
        (Side.RIGHT, seen(Pose(-14, 30, 0)), "Keep your chin level."),
        (Side.UP, seen(TOWARDS[Side.FRONT]), "Lift your chin."),
        (Side.DOWN, seen(TOWARDS[Side.LEFT]), "Look straight at the camera."),
        (Side.FRONT, seen(Pose(2, 12, 30)), "Hold your head upright."),
        (Side.FRONT, seen(TOWARDS[Side.FRONT], inter_ocular_px=25.0), "A little closer."),
        (Side.FRONT, seen(refused=Reason.TOO_DARK), Reason.TOO_DARK.hint),
        (
            Side.FRONT,
            seen(refused=Reason.TOO_DARK, is_backlit=True),
            "The light is behind you: turn around, or shade it.",
        ),
        (Side.FRONT, seen(refused=Reason.TWO_FACES), Reason.TWO_FACES.hint),
    ],
)
def test_one_hint_says_what_is_in_the_way(side: Side, sight: Sight, hint: str) -> None:
    assert [step.hint for step in play(side, sight)] == [hint]


def test_one_bad_frame_begins_the_half_second_anew() -> None:
    good, blurred = seen(TOWARDS[Side.FRONT]), seen(refused=Reason.BLURRED)
    steps = play(Side.FRONT, *[good] * 5, blurred, *[good] * 5)
    assert not any(step.takes for step in steps)


def test_a_face_that_comes_back_or_jumps_is_no_longer_the_same_track() -> None:
    away = Sight(0.0)
    track = KNOWN
    for number in range(15):
        track = guide.follow(track, replace(away, captured_s=number / FPS))
    assert not track.is_whole
    assert guide.follow(KNOWN, seen(at_s=0.1)).is_whole
    assert not guide.follow(KNOWN, seen(at_s=0.1, box=AWAY)).is_whole
    assert not guide.follow(KNOWN, seen(at_s=5.0)).is_whole


boxes = st.builds(Box, st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0.01, 1))


@given(boxes, boxes)
def test_overlap_is_symmetric_and_one_only_for_the_same_box(a: Box, b: Box) -> None:
    assert guide.overlap(a, b) == pytest.approx(guide.overlap(b, a))
    assert 0 <= guide.overlap(a, b) <= 1 + 1e-9
    assert guide.overlap(a, a) == pytest.approx(1)


@given(
    st.sampled_from(Side),
    st.lists(st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 0.3)), max_size=30),
)
def test_nothing_is_ever_taken_of_a_head_that_was_held_for_less(
    side: Side, moves: list[tuple[float, float, float]]
) -> None:
    track, at_s, fits_since = KNOWN, 100.0, None
    for yaw, pitch, wait_s in moves:
        at_s += wait_s
        sight = seen(Pose(yaw, pitch, 0), at_s)
        track, step = guide.lead(guide.follow(track, sight), sight, side)
        if step.hint in (guide.HOLD_STILL, "Good."):
            fits_since = at_s if fits_since is None else fits_since
        else:
            fits_since = None
        if step.takes:
            assert fits_since is not None
            assert at_s - fits_since >= guide.HOLD_S - 1e-9
            fits_since = None
