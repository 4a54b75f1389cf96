"""Somebody forced to open: another code, or somebody whose coming is a call for help. Nothing else differs.

c has a code and one for duress, b needs a second person too, e always calls for help, a nothing of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.core import code as codes
from janusd.core.code import GIVEN_UP_S, Entry
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import Budget, Limits, Tally
from janusd.core.policy import Policy, State, decide, press
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.terms import ALWAYS, Duress, Second, Terms, describe, read, without_duress
from janusd.core.types import Candidate, Decision, Evidence

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(threshold=0.5, agree=3, window=6, budget=Budget(try_s=1.0), second_s=20.0, two_people_s=20.0)
CODE = Terms(second=Second.CODE, code="2-1-1-1", duress=Duress.CODE, duress_code="1-2-1-1")
RIGHT = (0.0, 0.3, 1.3, 2.3, 3.3)
FORCED = (0.0, 1.0, 1.3, 2.3, 3.3)
WRONG = (0.0, 1.0, 2.0, 2.3, 3.3)
TERMS = {
    "a": ALWAYS,
    "c": CODE,
    "b": replace(CODE, code="3-1-1-1", duress_code="1-3-1-1", needs_two=True),
    "e": Terms(duress=Duress.ALWAYS),
}
GALLERY = Gallery.of(
    [Template(one, one, np.ones((1, 2), np.float32), Schedule(), terms) for one, terms in TERMS.items()]
)


class Door:
    """A door with a clock of its own: a frame each tenth of a second."""

    def __init__(self, state: State | None = None) -> None:
        self.state, self.at_s = state or State(), 100.0
        self.decisions: list[Decision] = []

    def see(self, letters: str) -> None:
        """Show these people, s a stranger, . nobody."""
        for letter in letters:
            best = Candidate("a", 0.1) if letter == "s" else Candidate(letter, 0.8)
            evidence = Evidence(self.at_s, best=best)
            if letter == ".":
                evidence = Evidence(self.at_s, refused=Reason.NO_FACE)
            self.state, decision = decide(POLICY, GALLERY, self.state, evidence, NOON)
            self.decisions.append(decision)
            self.at_s += 0.1

    def press(self, moments_s: Sequence[float], looks: str) -> None:
        """Press the button at these moments from now on, then look for two seconds."""
        start_s = self.at_s
        for moment_s in moments_s:
            self.state = press(self.state, start_s + moment_s)
        self.at_s = start_s + moments_s[-1]
        self.see(looks * 20)

    @property
    def calls(self) -> list[tuple[Reason, str | None]]:
        return [(one.reason, one.person_id) for one in self.decisions if one.is_duress]


def played(moves: Sequence[tuple[str, str]], pressed: Sequence[float]) -> Door:
    door = Door()
    for kind, what in moves:
        if kind == "see":
            door.see(what)
        else:
            door.press(pressed if kind == "code" else WRONG, what)
    return door


moves = st.lists(
    st.tuples(st.sampled_from(["see", "code", "wrong"]), st.text("ac.s", min_size=1, max_size=6)), max_size=8
)


@settings(max_examples=60)
@given(moves)
def test_a_code_for_duress_does_to_the_door_what_the_other_code_does(moves: list[tuple[str, str]]) -> None:
    """The law: same decisions at the same moments, same tally, same waits; only the mark differs."""
    calm, forced = played(moves, RIGHT), played(moves, FORCED)
    assert [replace(one, is_duress=False) for one in forced.decisions] == calm.decisions
    assert forced.state.limits == calm.state.limits
    assert not calm.calls
    factors = [(one.reason, one.person_id) for one in calm.decisions if one.unlocks and one.person_id == "c"]
    assert [call for call in forced.calls if call[0] is Reason.MATCHED] == factors


def test_it_opens_and_calls_for_help_once() -> None:
    door = played([("see", "ccc"), ("code", "c"), ("see", "cccc")], FORCED)
    assert door.calls == [(Reason.MATCHED, "c")]
    assert [one.person_id for one in door.decisions if one.unlocks] == ["c"]
    assert door.state.limits.tally == Tally()


def test_help_is_called_before_the_second_person_comes() -> None:
    door = Door()
    door.see("bbb")
    door.press((0.0, 1.0, 1.3, 1.6, 2.6, 3.6), "b")
    assert door.calls == [(Reason.SECOND_PERSON, "b")]
    door.at_s += 3.0
    door.see("aaa")
    assert door.decisions[-1].unlocks
    assert len(door.calls) == 1


def test_somebody_whose_coming_is_a_call_for_help_is_let_in_as_anybody() -> None:
    door, other = Door(), Door()
    door.see("eee")
    other.see("aaa")
    assert [one.reason for one in door.decisions] == [one.reason for one in other.decisions]
    assert door.calls == [(Reason.MATCHED, "e")]


def test_while_faces_are_off_it_switches_them_on_and_calls() -> None:
    door = Door(State(limits=Limits(Tally(20, 20, 0.0, True), drained_s=100.0)))
    door.press(FORCED, ".")
    assert door.calls == [(Reason.FACE_ON, "c")]
    assert not door.state.limits.is_off


def test_a_wrong_code_beside_it_is_as_wrong_and_known_no_later() -> None:
    last_s = WRONG[-1]
    for now_s in (last_s + 0.7, last_s + 0.9, last_s + GIVEN_UP_S):
        alone = codes.read(CODE.code, WRONG, now_s)
        assert codes.read(CODE.code, WRONG, now_s, CODE.duress_code) is alone
    assert alone is Entry.WRONG


numbers = st.lists(st.integers(1, 9), min_size=4, max_size=8)


@given(numbers, numbers)
def test_nobody_slips_from_one_code_into_the_other(code: list[int], duress: list[int]) -> None:
    ordinary, forced = ("-".join(map(str, one)) for one in (code, duress))
    apart = len(code) == len(duress) and sum(a != b for a, b in zip(code, duress, strict=False)) >= 2
    try:
        codes.check_apart(ordinary, forced)
        is_taken = True
    except ValueError:
        is_taken = False
    assert is_taken == apart


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        (replace(CODE, duress_code="2-1-1-1"), "a slip"),
        (replace(CODE, duress_code="2-1-1-2"), "a slip"),
        (replace(CODE, duress_code="1-2-1-1-1"), "as many numbers"),
        (replace(CODE, duress_code="3-3-3-3"), "one number only"),
        (replace(CODE, duress_code=""), "4 to 8"),
        (Terms(duress=Duress.CODE, duress_code="1-2-1-1"), "the second factor 'code'"),
        (replace(CODE, duress=Duress.NONE), "only where duress is"),
        (Terms(duress=Duress.ALWAYS, duress_code="1-2-1-1"), "only where duress is"),
    ],
)
def test_codes_for_duress_that_cannot_be_are_refused(terms: Terms, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        terms.check()


def test_terms_in_words_tell_of_duress_and_without_it_are_those_of_everybody() -> None:
    text = describe("mon 08:00-18:00", CODE)
    assert "1-2-1-1" not in text
    assert "1-2-1-1" not in repr(CODE)
    assert read(text) == ("mon 08:00-18:00", Terms(second=Second.CODE, duress=Duress.CODE))
    assert without_duress(text) == describe("mon 08:00-18:00", replace(CODE, duress=Duress.NONE))
    assert without_duress(describe("", ALWAYS)) == describe("", ALWAYS)
