"""The bounded release that both latches share."""

from __future__ import annotations

import threading
import time

import pytest
from hand_timers import HandTimers
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.errors import LatchError
from janusd_hw.pulse import Pulse


class Line:
    """Remembers levels; refuses while `broken`."""

    def __init__(self) -> None:
        self.released = False
        self.history: list[tuple[bool, str]] = []
        self.broken = False

    def drive(self, released: bool, why: str) -> None:
        if self.broken:
            raise LatchError("the line is broken")
        self.released = released
        self.history.append((released, why))


def a_pulse(max_hold_s: float = 10.0) -> tuple[Pulse, Line, HandTimers]:
    line, timers = Line(), HandTimers()
    return Pulse(line.drive, max_hold_s=max_hold_s, now_s=timers.now_s, timer=timers.timer), line, timers


def test_a_release_ends_by_itself() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    timers.pass_s(2.99)
    assert line.released
    assert pulse.is_released
    timers.pass_s(0.01)
    assert not line.released
    assert not pulse.is_released
    assert line.history == [(True, "alice"), (False, "hold over")]


def test_no_hold_is_longer_than_the_bound() -> None:
    pulse, line, timers = a_pulse(max_hold_s=5)
    pulse.release(3600, "alice")
    timers.pass_s(5)
    assert not line.released


def test_a_second_release_restarts_the_hold() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    timers.pass_s(2)
    pulse.release(3, "bob")
    timers.pass_s(2)
    assert line.released
    timers.pass_s(1)
    assert not line.released


def test_a_shorter_second_release_ends_sooner() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(8, "alice")
    pulse.release(1, "bob")
    timers.pass_s(1)
    assert not line.released
    timers.pass_s(10)
    assert line.history[-1] == (False, "hold over")
    assert len(line.history) == 3


def test_lock_ends_a_release_at_once_and_leaves_no_timer() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    pulse.lock()
    assert not line.released
    assert not timers.armed


def test_locking_a_locked_latch_does_nothing() -> None:
    pulse, line, _ = a_pulse()
    pulse.lock()
    assert line.history == []


def test_after_close_nothing_is_released() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    pulse.close()
    pulse.close()
    assert not line.released
    assert not timers.armed
    with pytest.raises(LatchError, match="closed"):
        pulse.release(1, "bob")


@pytest.mark.parametrize("hold_s", [0, -1, float("nan"), float("inf")])
def test_a_hold_that_is_no_duration_is_refused(hold_s: float) -> None:
    pulse, line, _ = a_pulse()
    with pytest.raises(ValueError, match="hold_s"):
        pulse.release(hold_s, "alice")
    assert line.history == []


@pytest.mark.parametrize("max_hold_s", [0, -1, float("nan"), float("inf")])
def test_a_bound_that_bounds_nothing_is_refused(max_hold_s: float) -> None:
    with pytest.raises(ValueError, match="max_hold_s"):
        a_pulse(max_hold_s)


def test_a_release_that_fails_says_so_and_is_locked_again() -> None:
    pulse, line, timers = a_pulse()
    line.broken = True
    with pytest.raises(LatchError, match="broken"):
        pulse.release(3, "alice")
    line.broken = False
    timers.pass_s(1)
    assert line.history == [(False, "hold over")]
    assert not pulse.is_released


def test_a_line_that_would_not_lock_is_tried_until_it_does() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    line.broken = True
    timers.pass_s(5)
    assert line.released
    assert pulse.is_released
    line.broken = False
    timers.pass_s(0.2)
    assert not line.released
    assert not pulse.is_released


def test_a_broken_line_is_not_tried_for_ever_after_close() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(3, "alice")
    line.broken = True
    with pytest.raises(LatchError):
        pulse.close()
    assert not timers.armed


def test_a_timer_that_was_cancelled_too_late_does_not_end_the_newer_hold() -> None:
    pulse, line, timers = a_pulse()
    pulse.release(1, "alice")
    late = timers.armed[0]
    pulse.release(5, "bob")
    late.action()
    assert line.released
    timers.pass_s(5)
    assert not line.released


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("release"), st.floats(0.01, 100)),
            st.tuples(st.just("pass"), st.floats(0, 20)),
            st.tuples(st.just("lock"), st.just(0.0)),
        ),
        max_size=30,
    )
)
def test_the_line_is_active_exactly_while_a_hold_runs(steps: list[tuple[str, float]]) -> None:
    pulse, line, timers = a_pulse(max_hold_s=10)
    until_s = 0.0
    for step, seconds in steps:
        if step == "release":
            pulse.release(seconds, "somebody")
            until_s = timers.time_s + min(seconds, 10)
        elif step == "pass":
            timers.pass_s(seconds)
        else:
            pulse.lock()
            until_s = 0.0
        assert line.released == pulse.is_released == (timers.time_s < until_s)
        assert len(timers.armed) == int(line.released)


def test_a_real_timer_ends_the_hold_while_the_caller_hangs() -> None:
    line = Line()
    locked = threading.Event()

    def drive(released: bool, why: str) -> None:
        line.drive(released, why)
        if not released:
            locked.set()

    pulse = Pulse(drive, max_hold_s=10)
    start_s = time.monotonic()
    pulse.release(0.1, "alice")
    assert locked.wait(5)
    assert time.monotonic() - start_s >= 0.1
    assert not line.released
