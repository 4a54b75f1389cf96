"""A scenario reads like a door: `play("aas")` shows Alice, Alice, a stranger."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import Budget
from janusd.core.policy import Policy, State, decide
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Candidate, Decision, Evidence

POLICY = Policy(
    threshold=0.5, agree=3, window=6, window_s=3.0, hold_s=5.0, budget=Budget(failures=3, try_s=1.0)
)
ENDLESS = Budget(failures=10**6, off_after=10**6, track_tries=10**6)
MONDAY_NOON = datetime(2026, 6, 1, 12, 0)


def somebody(name: str, hours: str = "") -> Template:
    return Template(name, name, np.ones((1, 2), np.float32), Schedule.parse(hours))


GALLERY = Gallery.of([somebody("alice"), somebody("bob"), somebody("night guard", "mon-sun 22:00-06:00")])

SEEN = {
    "a": (Candidate("alice", 0.8), Candidate("bob", 0.2)),
    "b": (Candidate("bob", 0.8), Candidate("alice", 0.2)),
    "g": (Candidate("night guard", 0.8), Candidate("alice", 0.2)),
    "s": (Candidate("alice", 0.3), Candidate("bob", 0.2)),
    "t": (Candidate("alice", 0.80), Candidate("bob", 0.78)),
}
REFUSED = {".": Reason.NO_FACE, "2": Reason.TWO_FACES, "~": Reason.BLURRED}


def play(
    script: str,
    policy: Policy = POLICY,
    state: State | None = None,
    *,
    step_s: float = 0.1,
    start_s: float = 0.0,
    wall: datetime | None = MONDAY_NOON,
) -> tuple[State, list[Decision]]:
    """Give one decision a letter.

    a, b and g are enrolled, s is a stranger, t alike to two people; . is nobody, 2 two faces, ~ blur.
    """
    state, decisions = state or State(), []
    for index, letter in enumerate(script):
        at_s = start_s + index * step_s
        if letter in REFUSED:
            evidence = Evidence(at_s, refused=REFUSED[letter])
        else:
            evidence = Evidence(at_s, None, *SEEN[letter])
        state, decision = decide(policy, GALLERY, state, evidence, wall)
        decisions.append(decision)
    return state, decisions


def reasons(script: str, **how: object) -> list[str]:
    return [decision.reason.value for decision in play(script, **how)[1]]  # type: ignore[arg-type]


def test_three_agreeing_frames_open_the_door() -> None:
    assert reasons("aaa") == ["gathering", "gathering", "matched"]


def test_an_unlock_names_the_person_and_holds_as_configured() -> None:
    decision = play("aaa")[1][-1]
    assert decision.unlocks
    assert (decision.person_id, decision.hold_s, decision.score) == ("alice", 5.0, 0.8)


def test_two_agreeing_frames_do_not() -> None:
    assert not any(decision.unlocks for decision in play("aa")[1])


@pytest.mark.parametrize("script", ["aasa", "aaba", "aa2a", "asasas", "ababab"])
def test_a_stranger_another_resident_or_a_second_face_breaks_the_streak(script: str) -> None:
    assert not any(decision.unlocks for decision in play(script)[1])


@pytest.mark.parametrize("script", ["a~aa", "aa.a", "aat~a"])
def test_a_frame_that_says_nothing_does_not_break_it(script: str) -> None:
    assert play(script)[1][-1].unlocks


def test_agreeing_frames_too_far_apart_do_not_count_together() -> None:
    assert not any(decision.unlocks for decision in play("aaaa", step_s=1.6)[1])


def test_agreeing_frames_spread_over_more_than_the_window_do_not_count_together() -> None:
    assert not any(decision.unlocks for decision in play("a~~~a~~~a", step_s=0.01)[1])


def thrice(best: Candidate) -> Reason:
    state = State()
    for at_s in (0.0, 0.1, 0.2):
        state, decision = decide(POLICY, GALLERY, state, Evidence(at_s, None, best), None)
    return decision.reason


def test_a_score_at_the_threshold_matches_and_one_below_does_not() -> None:
    assert thrice(Candidate("alice", 0.5)) is Reason.MATCHED
    assert thrice(Candidate("alice", float(np.nextafter(0.5, 0)))) is Reason.UNKNOWN


def test_a_score_that_is_not_a_number_matches_nobody() -> None:
    assert thrice(Candidate("alice", float("nan"))) is Reason.UNKNOWN


def test_two_people_too_alike_stay_outside() -> None:
    assert reasons("tttttt") == ["gathering"] * 2 + ["ambiguous"] * 4


@pytest.mark.parametrize("script", ["aa", "ss", "tt", "as", "st"])
def test_a_glance_too_short_to_be_charged_tells_nothing(script: str) -> None:
    state, decisions = play(script)
    assert {decision.reason for decision in decisions} == {Reason.GATHERING}
    assert state.limits.tally.spent == 0


@pytest.mark.parametrize("seen", list(product("as", repeat=6)), ids="".join)
def test_a_single_frame_that_is_near_enough_is_answered_as_one_that_is_not(seen: tuple[str, ...]) -> None:
    """Else lamp, hint and whoever watches would tell which of eight frames was near, twenty times over."""
    said = reasons("".join(seen))
    if "matched" in said:
        said = said[: said.index("matched")]
    assert said == (["gathering"] * 2 + ["unknown"] * 4)[: len(said)]


def test_the_only_person_enrolled_needs_no_margin() -> None:
    state = State()
    for at_s in (0.0, 0.1, 0.2):
        alone = Evidence(at_s, None, Candidate("alice", 0.8), None)
        state, decision = decide(POLICY, GALLERY, state, alone, None)
    assert decision.unlocks


def test_an_empty_gallery_opens_for_nobody() -> None:
    _, decision = decide(POLICY, Gallery.of([]), State(), Evidence(0.0), None)
    assert decision.reason is Reason.NOBODY_ENROLLED


def test_somebody_forgotten_in_between_is_a_stranger() -> None:
    state, _ = play("aa")
    without_alice = Gallery.of([somebody("bob")])
    evidence = Evidence(0.2, None, *SEEN["a"])
    _, decision = decide(POLICY, without_alice, state, evidence, None)
    assert decision.reason is Reason.UNKNOWN


def test_while_the_door_is_open_the_same_person_does_not_release_it_again() -> None:
    assert reasons("aaaaa")[3:] == ["already_open", "already_open"]


def test_after_the_hold_they_can_open_it_again() -> None:
    state, _ = play("aaa")
    assert play("aaa", state=state, start_s=6.0)[1][-1].unlocks


def test_another_resident_can_open_an_open_door() -> None:
    state, _ = play("aaa")
    assert play("bbb", state=state, start_s=0.5)[1][-1].unlocks


def test_a_schedule_refuses_outside_its_hours_and_opens_within() -> None:
    assert reasons("ggg")[-1] == "not_now"
    assert reasons("ggg", wall=MONDAY_NOON.replace(hour=23))[-1] == "matched"


def test_a_schedule_refuses_while_the_clock_is_not_trusted() -> None:
    assert reasons("ggg", wall=None)[-1] == "clock_untrusted"
    assert reasons("aaa", wall=None)[-1] == "matched"


def test_a_stranger_who_keeps_looking_locks_the_door_for_everybody() -> None:
    state, decisions = play("s" * 60)
    assert decisions[-1].reason is Reason.LOCKED_OUT
    assert reasons("aaa", state=state, start_s=6.0) == ["locked_out"] * 3


def test_after_the_lockout_residents_come_in_again() -> None:
    state, _ = play("s" * 60)
    assert play("aaa", state=state, start_s=state.limits.locked_until_s + 0.1)[1][-1].unlocks


def test_each_further_lockout_lasts_twice_as_long_up_to_the_ceiling() -> None:
    budget = Budget(failures=3, try_s=1.0, lockout_max_s=100.0, track_tries=10**6)
    policy = replace(POLICY, budget=budget)
    state, waits, start_s = State(), [], 0.0
    for _ in range(3):
        while state.limits.locked_until_s <= start_s:
            state, _ = play("s", policy, state, start_s=start_s)
            start_s += 0.1
        waits.append(state.limits.locked_until_s - start_s)
        start_s = state.limits.locked_until_s
    assert waits == pytest.approx([30.0, 60.0, 100.0], abs=0.2)


def test_a_stranger_is_charged_at_most_once_a_try() -> None:
    state, _ = play("s" * 10)
    assert state.limits.tally.spent == 1


def test_a_passing_glance_is_not_charged() -> None:
    assert play("ss....ss")[0].limits.tally.spent == 0


@pytest.mark.parametrize("script", ["." * 300, "~" * 300, "2" * 300, "s2~" * 2 + "." * 300])
def test_faces_absent_or_unusable_are_never_charged(script: str) -> None:
    limits = play(script)[0].limits
    assert (limits.tally.spent, limits.locked_until_s) == (0, float("-inf"))


def test_a_resident_who_comes_in_ends_the_waiting_but_gives_back_only_their_own_charge() -> None:
    state, _ = play("s" * 10)
    tally = play("aaa", state=state, start_s=2.0)[0].limits.tally
    assert (tally.failed, tally.spent) == (0, 1)


def test_failures_long_past_are_forgiven() -> None:
    state, _ = play("s" * 10)
    assert play(".", state=state, start_s=2000.0)[0].limits.tally.spent == 0


def test_a_resident_outside_their_hours_is_no_stranger_and_guesses_nothing_on_their_charge() -> None:
    state, decisions = play("gggsss")
    assert [decision.reason.value for decision in decisions[2:]] == ["not_now"] + ["paused"] * 3
    assert state.limits.tally.spent == 0


def test_who_lingers_is_asked_to_step_away_and_spends_no_more() -> None:
    state, decisions = play("s" * 2000, replace(POLICY, budget=Budget(try_s=1.0)))
    assert decisions[-1].reason is Reason.STEP_AWAY
    assert state.limits.tally.spent == 5
    assert play("aaa", state=state, start_s=203.0)[1][-1].unlocks


def test_twenty_failed_tries_switch_faces_off_until_somebody_switches_them_on() -> None:
    policy = replace(POLICY, budget=Budget())
    state, at_s = State(), 0.0
    for _ in range(20):
        assert not state.limits.is_off
        state, decisions = play("ssssss..", policy, state, start_s=at_s)
        assert decisions[2].reason is Reason.UNKNOWN
        at_s = max(at_s, state.limits.locked_until_s) + 3.0
    assert state.limits.is_off
    _, decisions = play("aaa", policy, state, start_s=at_s + 10**6)
    assert {decision.reason for decision in decisions} == {Reason.FACE_OFF}


@given(st.text(alphabet="abgst.2~", max_size=80), st.integers(2, 5))
def test_no_unlock_without_that_many_agreeing_frames_since_the_last_contradiction(
    script: str, agree: int
) -> None:
    """The law of the door, checked against a plain re-reading of the script."""
    policy = replace(POLICY, agree=agree, hold_s=0.0, budget=ENDLESS)
    _, decisions = play(script, policy)
    for index, decision in enumerate(decisions):
        if not decision.unlocks:
            continue
        letter = script[index]
        recent = script[max(0, index - policy.window) : index + 1]
        for breaker in set("abgs2") - {letter}:
            recent = recent.rpartition(breaker)[2]
        assert recent.count(letter) >= agree


@given(st.text(alphabet="st.2~", max_size=120))
def test_strangers_never_open_whatever_they_do(script: str) -> None:
    assert not any(decision.unlocks for decision in play(script)[1])


def test_every_reason_has_words_for_the_resident_and_the_owner() -> None:
    assert all(reason.hint and reason.explanation for reason in Reason)
