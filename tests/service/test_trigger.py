"""What wakes recognition: frames are numbers on a line of time here, edges are calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.config import Config, IdleSection, parse
from janusd.core.types import Frame
from janusd.errors import ConfigError
from janusd.service.trigger import Trigger
from janusd_hw.fakes import paint

STILL = np.full((120, 160, 3), 90, np.uint8)


def frames_looked_at(trigger: Trigger, seconds: range, pulls: tuple[int, ...] = ()) -> list[int]:
    """One frame a second of a doorway where nothing moves."""
    looked_at = []
    for at_s in seconds:
        if at_s in pulls:
            trigger.pull("pir")
        if trigger.is_open(Frame(STILL, float(at_s), at_s)):
            looked_at.append(at_s)
    return looked_at


def made(mode: str, window_s: float = 3.0) -> Trigger:
    return Trigger(IdleSection(trigger=mode, window_s=window_s, linger_s=0.5))  # type: ignore[arg-type]  # four words


def test_always_looks_at_every_frame() -> None:
    assert frames_looked_at(made("always"), range(5)) == [0, 1, 2, 3, 4]


def test_motion_looks_at_a_doorway_that_changed_and_at_no_edge() -> None:
    trigger = made("motion")
    assert frames_looked_at(trigger, range(20), pulls=(10,)) == [0]  # the first frame always
    assert trigger.is_open(Frame(paint("a", width=160, height=120, side=60), 30.0, 30))


def test_an_edge_opens_a_window_that_begins_with_the_next_frame() -> None:
    assert frames_looked_at(made("gpio"), range(20), pulls=(10,)) == [10, 11, 12, 13]


def test_an_edge_within_the_window_prolongs_it() -> None:
    assert frames_looked_at(made("gpio"), range(20), pulls=(10, 12)) == [10, 11, 12, 13, 14, 15]


def test_a_poster_in_view_does_not_keep_a_door_awake_that_was_asked_once() -> None:
    trigger = made("gpio")
    trigger.pull("bell")
    looked_at = 0
    for at_s in range(60):
        if trigger.is_open(Frame(paint("a", width=160, height=120, side=60, seed=at_s), float(at_s), at_s)):
            looked_at += 1
            trigger.hold_open(float(at_s))
    assert looked_at == 4


def test_both_looks_at_motion_and_after_an_edge() -> None:
    trigger = made("both")
    assert frames_looked_at(trigger, range(20), pulls=(10,)) == [0, 10, 11, 12, 13]
    assert trigger.is_open(Frame(paint("a", width=160, height=120, side=60), 30.0, 30))


@given(pulls=st.sets(st.integers(0, 99)), window_s=st.integers(1, 30))
def test_every_edge_wakes_within_one_frame_and_no_frame_is_looked_at_unasked(
    pulls: set[int], window_s: int
) -> None:
    looked_at = frames_looked_at(made("gpio", window_s), range(100), tuple(pulls))
    assert set(looked_at) == {at for pull in pulls for at in range(pull, min(pull + window_s, 99) + 1)}


def test_it_tells_the_owner_what_it_waits_for() -> None:
    trigger = made("gpio")
    assert str(trigger) == "an input wakes recognition for 3 s; none came"
    trigger.pull("radar")
    assert str(trigger).endswith("the last was radar")
    assert str(made("motion")) == "motion wakes recognition"


def test_an_idle_gate_that_is_off_looks_at_every_frame() -> None:
    assert Trigger(parse("[idle]\ngate = false").idle).mode == "always"
    assert Trigger(Config().idle).mode == "motion"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[idle]\ntrigger = "gpio"', 'idle.trigger: "gpio" needs latch.driver = "latchd"'),
        ('[idle]\ntrigger = "both"\n[latch]\ndriver = "gpiod"', "its process holds the trigger inputs"),
        ('[idle]\ntrigger = "gpio"\ngate = false\n[latch]\ndriver = "latchd"', "idle.gate: false looks at"),
        ("[idle]\nwindow_s = 0", "idle.window_s: must be a number from 1 to 120"),
    ],
)
def test_a_trigger_that_can_never_come_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text)
