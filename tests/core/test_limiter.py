"""No sequence of faces, waiting, kills and restarts gets more guesses out of a door than its budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from janusd.core import limiter, policy
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import Admission, Budget, Limits, Tally
from janusd.core.policy import Policy, State
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Candidate, Evidence

BUDGET = Budget()
POLICY = Policy(threshold=0.5, hold_s=5.0, budget=BUDGET)
GALLERY = Gallery.of(
    [
        Template("ada", "Ada", np.ones((1, 2), np.float32), Schedule()),
        Template("night", "night", np.ones((1, 2), np.float32), Schedule.parse("mon 22:00-23:00")),
    ]
)
NOON = datetime(2026, 6, 1, 12, 0)
FRAME_S = 0.125
NOBODY = {".": Reason.NO_FACE, "2": Reason.TWO_FACES, "~": Reason.BLURRED}


class Door(RuleBasedStateMachine):
    """A door as the service runs it, and what an onlooker counts.

    a is a resident, n one outside their hours, every capital is a stranger, t resembles two people.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disk = Tally()
        self.state = State()
        self.now_s = 0.0
        self.up_s = 0.0
        """How long the door has run since an admin last reset it."""
        self.guesses = 0
        self.run = ("", 0)
        self.writes = 0

    def see(self, who: str, killed: str = "") -> None:
        """One frame; `killed` names the moment at which the plug is pulled."""
        self.now_s += FRAME_S
        self.up_s += FRAME_S
        at_s = self.now_s
        match who:
            case "." | "2" | "~":
                evidence = Evidence(at_s, NOBODY[who])
            case "a":
                evidence = Evidence(at_s, None, Candidate("ada", 0.9), Candidate("night", 0.1))
            case "n":
                evidence = Evidence(at_s, None, Candidate("night", 0.9), Candidate("ada", 0.1))
            case "t":
                evidence = Evidence(at_s, None, Candidate("ada", 0.9), Candidate("night", 0.88))
            case _:
                evidence = Evidence(at_s, None, Candidate("ada", 0.1), Candidate("night", 0.0))
        before, self.state = self.state, policy.admit(POLICY, self.state, evidence)
        if self.state.limits.is_charged and not before.limits.is_charged:
            if killed == "before the charge is written":
                return self.restart()
            self.disk = self.state.limits.tally
            self.writes += 1
            if killed == "before the verdict":
                return self.restart()
        charged = self.state.limits
        if self.state.admission is Admission.COMPARE and who.isupper():
            run = self.run[1] + 1 if self.run[0] == who and charged.compared > 1 else 1
            self.run = (who, run)
            self.guesses += run == POLICY.agree
        else:
            self.run = ("", 0)
        self.state, decision = policy.judge(POLICY, GALLERY, self.state, evidence, NOON)
        assert not (decision.unlocks and who != "a")
        if killed == "after the verdict":
            return self.restart()
        if self.state.limits.tally.spent < charged.tally.spent:
            self.disk = self.state.limits.tally
            self.writes += 1
        return None

    def restart(self) -> None:
        self.now_s = 5.0  # the clock counts from the boot
        self.state = State(limits=limiter.resume(self.disk, self.now_s))

    @rule(script=st.text(alphabet="ABCDEFGH", min_size=1, max_size=30))
    def strangers_pass(self, script: str) -> None:
        for who in script:
            self.see(who)

    @rule(who=st.sampled_from("ABCD"), frames=st.integers(1, 40), away=st.integers(0, 30))
    def a_stranger_looks_and_leaves(self, who: str, frames: int, away: int) -> None:
        for letter in who * frames + "." * away:
            self.see(letter)

    @rule(script=st.text(alphabet="antAB.2~", max_size=40))
    def anybody_comes(self, script: str) -> None:
        for who in script:
            self.see(who)

    @rule(times=st.integers(1, 12))
    def a_crowd_passes(self, times: int) -> None:
        for i in range(times):
            for who in "ABCDEFGH"[i % 8] * 8 + "..":
                self.see(who)

    @rule(seconds=st.floats(0.0, 4000.0))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.up_s += seconds

    @rule(
        script=st.text(alphabet="ABan", min_size=1, max_size=12),
        moment=st.sampled_from(["before the charge is written", "before the verdict", "after the verdict"]),
    )
    def the_plug_is_pulled(self, script: str, moment: str) -> None:
        for who in script[:-1]:
            self.see(who)
        self.see(script[-1], moment)
        self.restart()

    @rule()
    def it_stops_in_good_order(self) -> None:
        self.disk = limiter.settled(self.state.limits, self.now_s)
        self.restart()

    @precondition(lambda self: self.disk.is_off)
    @rule()
    def an_admin_switches_faces_on(self) -> None:
        self.disk, self.state = Tally(), State()
        self.guesses, self.up_s = 0, 0.0

    @invariant()
    def guesses_are_few(self) -> None:
        tries = BUDGET.off_after + self.up_s / BUDGET.forgive_s
        assert self.guesses <= tries * (POLICY.window // POLICY.agree)

    @invariant()
    def what_was_spent_is_on_disk(self) -> None:
        assert self.disk.spent >= self.state.limits.tally.spent

    @invariant()
    def residents_wait_no_longer_than_the_policy_says(self) -> None:
        if self.state.limits.is_off or self.disk.is_off:
            return
        wait_s = max(self.state.limits.locked_until_s - self.now_s, 0.0)
        assert wait_s <= BUDGET.lockout_max_s
        at_s = self.now_s + wait_s + BUDGET.try_s
        state = policy.admit(POLICY, self.state, Evidence(at_s, Reason.NO_FACE))
        at_s = max(at_s, state.limits.locked_until_s) + BUDGET.try_s  # the last try may lead to a wait, too
        for i in range(3):
            shown = Evidence(at_s + i * FRAME_S, None, Candidate("ada", 0.9))
            state, _ = policy.decide(POLICY, GALLERY, state, shown, NOON)
        assert state.released_for == "ada" or state.limits.is_off


TestDoor = Door.TestCase
TestDoor.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


def test_a_thousand_strangers_at_five_a_second_get_twenty_tries() -> None:
    door = Door()
    for index in range(1000):
        for who in chr(ord("A") + index % 26) * 8:  # never a frame without a face, a new one every second
            door.see(who)
    assert door.state.limits.tally.spent <= BUDGET.off_after
    assert door.guesses <= 2 * BUDGET.off_after
    assert door.writes == door.disk.spent


def test_a_kill_before_each_verdict_is_a_try_each() -> None:
    door = Door()
    for _ in range(100):
        door.now_s = max(door.now_s, door.state.limits.locked_until_s)
        door.see("A")
        door.see("A")
        door.see("A", "before the verdict")
    assert door.disk == Tally(20, 20, 240.0, is_off=True)


def test_pulling_the_plug_does_not_shorten_a_wait() -> None:
    limits = limiter.resume(Tally(5, 5, 30.0), now_s=2.0)
    assert limits.locked_until_s == 32.0
    assert limiter.settled(limits, 12.0).wait_s == 20.0
    assert limiter.settled(limits, 40.0).wait_s == 0.0


def test_a_suspend_counts_towards_a_wait() -> None:
    limits = Limits(Tally(5, 5, 30.0), 0.0, locked_until_s=30.0)
    how = {"agree": 3, "frames": 8, "has_face": True, "is_fit": True}
    assert limiter.admit(BUDGET, limits, 29.9, **how)[1] is Admission.LOCKED_OUT  # type: ignore[arg-type]
    assert limiter.admit(BUDGET, limits, 30.0, **how)[1] is Admission.COMPARE  # type: ignore[arg-type]


def test_a_clock_that_went_back_ends_no_wait() -> None:
    limits = Limits(Tally(5, 5, 30.0), 100.0, locked_until_s=130.0)
    how = {"agree": 3, "frames": 8, "has_face": True, "is_fit": True}
    assert limiter.admit(BUDGET, limits, 1.0, **how)[1] is Admission.LOCKED_OUT  # type: ignore[arg-type]


def test_a_family_that_comes_home_forty_times_makes_eighty_writes_a_day() -> None:
    door = Door()
    for _ in range(40):
        for who in "aaa..":
            door.see(who)
        door.time_passes(1800.0)
    assert (door.writes, door.disk.spent) == (80, 0)


def test_a_week_of_strangers_writes_no_more_than_the_budget() -> None:
    door = Door()
    door.state = replace(door.state, limits=Limits())
    for _ in range(7 * 24 * 12):
        for who in "AAAAAAAA..":
            door.see(who)
        door.time_passes(300.0)
        if door.disk.is_off:
            break
    assert door.writes <= BUDGET.off_after + door.up_s / BUDGET.forgive_s
