"""What is asked beyond a face: to be welcome, a second factor, a second person.

a needs nothing more, c a code, k a confirmation, p a second person, b both a code and a second person,
u is suspended, v a guest whose day is over, w a guest with a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.core import limiter
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import CODE_REST_S, Budget, Limits, Tally
from janusd.core.policy import Policy, State, confirm, decide, press
from janusd.core.reason import Reason
from janusd.core.schedule import Holidays, Schedule
from janusd.core.terms import ALWAYS, Role, Second, Terms
from janusd.core.types import Candidate, Decision, Evidence

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(threshold=0.5, agree=3, window=6, budget=Budget(try_s=1.0), second_s=20.0, two_people_s=20.0)
CODE = Terms(second=Second.CODE, code="2-1-1-1")
RIGHT = (0.0, 0.3, 1.3, 2.3, 3.3)
WRONG = (0.0, 1.0, 2.0, 3.0)
TERMS = {
    "a": ALWAYS,
    "c": CODE,
    "k": Terms(second=Second.CONFIRM),
    "p": Terms(needs_two=True),
    "b": replace(CODE, needs_two=True),
    "u": Terms(is_suspended=True),
    "v": Terms(role=Role.GUEST, valid_until=NOON),
    "w": replace(CODE, role=Role.GUEST, valid_until=NOON + timedelta(days=1)),
}
GALLERY = Gallery.of(
    [Template(one, one, np.ones((1, 2), np.float32), Schedule(), terms) for one, terms in TERMS.items()]
)


class Door:
    """A door with a clock of its own: a frame each tenth of a second."""

    def __init__(
        self, policy: Policy = POLICY, state: State | None = None, wall: datetime | None = NOON
    ) -> None:
        self.policy, self.state, self.wall, self.at_s = policy, state or State(), wall, 100.0
        self.decisions: list[Decision] = []

    def see(self, letters: str, guard: float = -1.0) -> list[str]:
        """Show these people, s a stranger, . nobody; the reasons."""
        return [self._decide(letter, guard).reason.value for letter in letters]

    def press(self, moments_s: Sequence[float], looks: str = "") -> list[str]:
        """Press the button at these moments from now on, then look for two seconds."""
        start_s = self.at_s
        for moment_s in moments_s:
            self.state = press(self.state, start_s + moment_s)
        self.at_s = start_s + (moments_s[-1] if moments_s else 0.0)
        return self.see(looks * 20)

    def confirm(self, person: str) -> None:
        self.state = confirm(self.policy, self.state, person, self.at_s)

    def wait(self, seconds: float) -> None:
        self.at_s += seconds

    @property
    def unlocks(self) -> list[str | None]:
        return [decision.person_id for decision in self.decisions if decision.unlocks]

    @property
    def tally(self) -> Tally:
        return self.state.limits.tally

    def _decide(self, letter: str, guard: float = -1.0) -> Decision:
        if letter == ".":
            evidence = Evidence(self.at_s, refused=Reason.NO_FACE)
        elif letter == "s":
            evidence = Evidence(self.at_s, best=Candidate("a", 0.1))
        else:
            evidence = Evidence(self.at_s, best=Candidate(letter, 0.8, guard))
        self.state, decision = decide(self.policy, GALLERY, self.state, evidence, self.wall)
        self.decisions.append(decision)
        self.at_s += 0.1
        return decision


def test_who_is_suspended_or_past_their_day_is_not_let_in_and_spends_nothing() -> None:
    door = Door()
    assert door.see("uuu")[-1] == "suspended"
    door.wait(2.0)
    assert door.see("vvv")[-1] == "not_valid"
    assert door.tally.spent == 0
    door.wall = NOON - timedelta(minutes=1)
    door.wait(2.0)
    assert door.see("vvv")[-1] == "matched"


def test_a_guest_stays_outside_while_the_clock_is_not_trusted() -> None:
    assert Door(wall=None).see("vvv")[-1] == "clock_untrusted"


def test_hours_are_read_in_the_doors_own_zone_and_holidays_count() -> None:
    gallery_hours = Schedule.parse("mon 20:00-21:00")
    template = Template("n", "n", np.ones((1, 2), np.float32), gallery_hours)
    evening = replace(POLICY, zone=timezone(timedelta(hours=8)))
    for policy, expected in (
        (POLICY, Reason.NOT_NOW),
        (evening, Reason.MATCHED),
        (replace(evening, holidays=Holidays(yearly=frozenset({(6, 1)}))), Reason.NOT_NOW),
    ):
        state = State()
        for at_s in (0.0, 0.1, 0.2):
            evidence = Evidence(at_s, best=Candidate("n", 0.8))
            state, decision = decide(policy, Gallery.of([template]), state, evidence, NOON)
        assert decision.reason is expected


def test_a_face_with_a_code_opens_when_the_code_was_right_and_they_look_again() -> None:
    door = Door()
    assert door.see("ccc")[-1] == "second_factor"
    assert door.tally.spent == 1
    assert set(door.see("cc.cc")) == {"second_factor", "no_face"}
    assert "matched" in door.press(RIGHT, "c")
    assert door.unlocks == ["c"]
    assert door.tally == Tally()


def test_the_code_alone_or_of_somebody_else_in_view_opens_nothing() -> None:
    door = Door()
    door.press(RIGHT, ".")
    assert door.see("ccc")[-1] == "second_factor"  # what was pressed before the face does not count
    door.press(RIGHT, "s")
    assert door.unlocks == []


def test_a_wrong_code_fails_the_try_and_needs_a_new_look() -> None:
    door = Door()
    door.see("ccc")
    seen = door.press(WRONG, "c")
    assert "wrong_factor" in seen
    assert door.state.held is None or seen[-1] == "second_factor"
    assert door.unlocks == []
    assert door.tally.spent >= 1


def test_codes_are_guessed_no_oftener_than_faces_fail() -> None:
    door = Door()
    for _ in range(40):
        door.see("ccc")
        door.press(WRONG, "c")
        door.see("." * 4)
        door.wait(3.0)
    reasons = [one.reason for one in door.decisions]
    assert reasons[: reasons.index(Reason.LOCKED_OUT)].count(Reason.WRONG_FACTOR) <= 5
    assert reasons.count(Reason.WRONG_FACTOR) <= POLICY.budget.off_after


def test_a_code_that_never_comes_costs_the_try() -> None:
    door = Door()
    door.see("ccc")
    door.wait(POLICY.second_s + 1)
    door.see(".")
    assert door.state.held is None
    assert door.tally.spent == 1


def test_waiting_for_a_code_is_not_cut_short_in_the_middle_of_it() -> None:
    door = Door()
    door.see("ccc")
    door.wait(POLICY.second_s - 1.0)
    assert "matched" in door.press(RIGHT, "c")


def test_the_fifth_failure_with_a_code_locks_the_door() -> None:
    door = Door(state=State(limits=Limits(Tally(4, 4), drained_s=100.0)))
    door.see("ccc")
    assert door.state.limits.locked_until_s < door.at_s
    door.press(WRONG, "c")
    assert door.state.limits.locked_until_s > door.at_s + 20


def test_a_confirmation_counts_before_and_after_the_face_and_once() -> None:
    door = Door()
    door.confirm("k")
    assert door.see("kkk")[-1] == "matched"
    door.wait(10.0)
    assert door.see("kkk")[-1] == "second_factor"
    door.confirm("c")
    assert door.see("k") == ["second_factor"]
    door.confirm("k")
    assert door.see("k") == ["matched"]


def test_a_confirmation_gets_old() -> None:
    door = Door()
    door.confirm("k")
    door.wait(POLICY.second_s + 1)
    assert door.see("kkk")[-1] == "second_factor"


def test_two_people_open_within_their_time_whoever_comes_first() -> None:
    for first, second in ("pa", "ap"):
        door = Door()
        seen = door.see(first * 3)[-1]
        assert seen == ("second_person" if first == "p" else "matched")
        door.wait(5.5)
        assert door.see(second * 3)[-1] == "matched"


@pytest.mark.parametrize("script", ["ppp", "pppppppppppp", "ppp.....uuu", "ppp.....sss"])
def test_one_person_alone_a_stranger_or_somebody_not_welcome_is_no_second_person(script: str) -> None:
    door = Door()
    door.see(script)
    door.wait(3.0)
    door.see("ppp")
    assert door.unlocks == []


def test_two_people_too_far_apart_are_one_and_one() -> None:
    door = Door()
    door.see("ppp")
    door.wait(POLICY.two_people_s + 1)
    assert door.see("aaa")[-1] == "matched"  # a needs nobody
    door.wait(POLICY.two_people_s + 10)
    assert door.see("ppp")[-1] == "second_person"


def test_on_a_door_for_two_nobody_opens_alone_and_each_pair_opens_once() -> None:
    door = Door(replace(POLICY, two_people=True))
    assert door.see("aaa")[-1] == "second_person"
    door.wait(3.0)
    assert door.see("ppp")[-1] == "matched"
    door.wait(POLICY.hold_s + 3)
    assert door.see("aaa")[-1] == "second_person"


def test_somebody_with_a_code_is_a_second_person_only_once_they_gave_it() -> None:
    door = Door()
    door.see("ccc")
    door.wait(3.0)
    assert door.see("ppp")[-1] == "second_person"
    door = Door()
    door.see("bbb")
    assert "second_person" in door.press(RIGHT, "b")
    door.wait(3.0)
    assert door.see("aaa")[-1] == "matched"
    door = Door()
    door.see("ppp")
    door.wait(3.0)
    door.see("bbb")
    assert "matched" in door.press(RIGHT, "b")
    assert door.unlocks == ["b"]


def test_a_second_person_who_was_forgotten_meanwhile_does_not_count() -> None:
    door = Door(replace(POLICY, two_people=True))
    door.see("aaa")
    without = Gallery.of([one for one in GALLERY.templates if one.person_id != "a"])
    for at_s in (103.0, 103.1, 103.2):
        evidence = Evidence(at_s, best=Candidate("p", 0.8))
        door.state, decision = decide(door.policy, without, door.state, evidence, NOON)
    assert decision.reason is Reason.SECOND_PERSON


def test_another_resident_comes_in_while_somebody_looks_for_their_code() -> None:
    door = Door()
    door.see("ccc")
    door.wait(1.5)
    assert door.see("aaa")[-1] == "matched"
    assert "matched" in door.press(RIGHT, "c")
    assert door.unlocks == ["a", "c"]
    assert door.tally == Tally()


def off(codes_from_s: float = -float("inf")) -> State:
    return State(limits=Limits(Tally(20, 20, 0.0, True), drained_s=100.0, codes_from_s=codes_from_s))


def test_while_faces_are_off_a_residents_code_switches_them_on_again() -> None:
    door = Door(state=off())
    assert door.see("aaa") == ["face_off"] * 3
    assert "face_on" in door.press(RIGHT, ".")
    assert (door.tally, door.state.limits.is_off) == (Tally(), False)
    assert door.unlocks == []
    door.see("....")
    assert door.see("aaa")[-1] == "matched"


def test_a_confirmation_switches_faces_on_again_and_a_guests_code_does_not() -> None:
    door = Door(state=off())
    door.confirm("k")
    assert door.see("s") == ["face_on"]
    guests = Gallery.of([one for one in GALLERY.templates if one.person_id == "w"])
    state = off()
    for moment_s in RIGHT:
        state = press(state, 100.0 + moment_s)
    state, decision = decide(POLICY, guests, state, Evidence(105.0, refused=Reason.NO_FACE), NOON)
    assert decision.reason is Reason.FACE_OFF


def test_a_wrong_code_while_faces_are_off_closes_that_way_for_an_hour() -> None:
    door = Door(state=off())
    door.press(WRONG, ".")
    door.see("." * 20)
    assert set(door.press(RIGHT, ".")) == {"face_off"}
    door.wait(CODE_REST_S)
    assert "face_on" in door.press(RIGHT, ".")


def test_a_power_cut_is_no_fresh_start_for_codes() -> None:
    limits = limiter.resume(Tally(20, 20, 0.0, True), 100.0)
    door = Door(state=State(limits=limits))
    assert "face_on" not in door.press(RIGHT, ".")
    door.wait(CODE_REST_S)
    assert "face_on" in door.press(RIGHT, ".")


def test_a_face_near_a_disputed_try_is_refused_and_charged() -> None:
    door = Door()
    assert door.see("aaa", guard=0.76)[-1] == "guarded"
    assert door.tally.spent == 1
    door = Door()
    assert door.see("aaa", guard=0.74)[-1] == "matched"


def test_a_guarded_frame_breaks_the_streak() -> None:
    door = Door()
    door.see("aa")
    door.see("a", guard=0.9)
    assert door.see("a") != ["matched"]


moves = st.lists(
    st.one_of(
        st.tuples(st.just("see"), st.text("ackpbuvs.", min_size=1, max_size=8)),
        st.tuples(st.just("press"), st.sampled_from([RIGHT, WRONG, (0.0,)])),
        st.tuples(st.just("confirm"), st.sampled_from("ack")),
        st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 25.0])),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(moves, st.booleans())
def test_whatever_happens_nobody_is_let_in_without_what_their_terms_ask(
    moves: list[tuple[str, object]], two_people: bool
) -> None:
    """The law: an unlock of c and b follows right presses, of k a confirmation, of p and b, and of everybody
    where the door asks it, two people recognised in time; u and v are never let in."""
    door = Door(replace(POLICY, two_people=two_people, budget=Budget(try_s=1.0, off_after=10**6)))
    right_s = confirmed_s = -1000.0
    for kind, what in moves:
        before = len(door.decisions)
        if kind == "see":
            door.see(str(what))
        elif kind == "press":
            door.press(what, "c")  # type: ignore[arg-type]
            right_s = door.at_s if what is RIGHT else right_s
        elif kind == "confirm":
            door.confirm(str(what))
            confirmed_s = door.at_s if what == "k" else confirmed_s
        else:
            door.wait(float(what))  # type: ignore[arg-type]
        for index in range(before, len(door.decisions)):
            decision = door.decisions[index]
            if not decision.unlocks:
                continue
            who, at_s = decision.person_id, decision.captured_s
            assert who not in ("u", "v")
            if who in ("c", "b"):
                assert right_s > at_s - POLICY.two_people_s - POLICY.second_s
            if who == "k":
                assert confirmed_s > at_s - POLICY.two_people_s - POLICY.second_s
            if two_people or who in ("p", "b"):
                earlier = {
                    one.person_id
                    for one in door.decisions[:index]
                    if one.reason in (Reason.SECOND_PERSON, Reason.MATCHED)
                    and at_s - one.captured_s <= POLICY.two_people_s
                }
                assert earlier - {who}


@settings(max_examples=100)
@given(moves)
def test_the_tally_never_forgets_a_failure_without_an_unlock_or_time(moves: list[tuple[str, object]]) -> None:
    door = Door(replace(POLICY, budget=Budget(try_s=1.0, forgive_s=10**9, off_after=10**6)))
    for kind, what in moves:
        spent, unlocked, known = door.tally.spent, len(door.unlocks), len(door.decisions)
        if kind == "see":
            door.see(str(what))
        elif kind == "press":
            door.press(what, "c")  # type: ignore[arg-type]
        elif kind == "confirm":
            door.confirm(str(what))
        else:
            door.wait(float(what))  # type: ignore[arg-type]
        gave_back = {Reason.SECOND_PERSON, Reason.SUSPENDED, Reason.NOT_VALID}
        given_back = sum(one.reason in gave_back for one in door.decisions[known:])
        assert door.tally.spent >= spent - (len(door.unlocks) - unlocked) - given_back
