"""What a running door tells observers: each line of its log that is theirs, as a code, and how it looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from janusd.config import parse
from janusd.core.reason import Reason
from janusd.door import DURESS, Told
from janusd.journal import journald
from janusd.ports import Contact
from support.painted_door import QUICK, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, parse(QUICK + "[idle]\ngate = false"))
    yield rig
    rig.door.close()


def test_each_decision_of_the_log_is_told_once_with_its_number_and_code(rig: Rig) -> None:
    told: list[Told] = []
    leave = rig.door.follow(told.append)
    rig.enrol("a", "Ada")
    rig.play("aaa..zzzzz")
    logged = [(entry.number, entry.reason) for entry in rig.door.log("", 100) if entry.kind == "decision"]
    assert [(one.number, one.reason) for one in told] == logged
    assert [(one.kind, one.name) for one in told] == [("granted", "Ada"), ("refused", "")]
    assert told[0].code == "JANUS-DECISION-MATCHED"
    assert told[0].says == Reason.MATCHED.explanation
    leave()
    rig.door._notes.write("alarm", "vault")
    assert len(told) == 2


def test_what_owners_do_and_what_breaks_is_none_of_an_observer_s_business(rig: Rig) -> None:
    told: list[Told] = []
    rig.door.follow(told.append)
    others = set(journald.KINDS) - {"decision", "alarm", DURESS}
    for kind in sorted(others):
        rig.door._notes.write(kind, "reason", name="Ada", note="a secret")
    assert len(others) > 10
    assert told == []


def test_an_alarm_is_told_without_its_note(rig: Rig) -> None:
    told: list[Told] = []
    rig.door.follow(told.append)
    rig.door._notes.write("alarm", "vault", note="a secret")
    assert [(one.kind, one.code, one.reason) for one in told] == [("alarm", "JANUS-ALARM", "vault")]
    assert "secret" not in str(told)


def test_a_decision_is_told_as_what_it_means_to_whoever_stood_there(rig: Rig) -> None:
    told: list[Told] = []
    rig.door.follow(told.append)
    meant = {
        Reason.MATCHED: "granted",
        Reason.SECOND_FACTOR: "waiting",
        Reason.SECOND_PERSON: "waiting",
        Reason.NOT_GENUINE: "refused",
        Reason.LOCKED_OUT: "refused",
    }
    for reason in (*meant, Reason.FACE_ON):  # at the last nobody was let in or kept out
        rig.door._notes.write("decision", reason)
    assert {one.reason: one.kind for one in told} == meant


def test_a_call_for_help_looks_like_any_visit_and_is_told_beside_it(rig: Rig) -> None:
    told: list[Told] = []
    rig.door.follow(told.append)
    rig.door._notes.write(DURESS, Reason.MATCHED, name="Ada")
    assert [one.kind for one in told] == ["granted", "duress"]
    rig.door._notes.write("decision", Reason.MATCHED, name="Ada")
    usual = replace(told[2], number=told[0].number, at=told[0].at)
    assert usual == told[0]


def test_a_door_log_that_cannot_be_written_keeps_nobody_in_the_dark(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    told: list[Told] = []
    rig.door.follow(told.append)
    monkeypatch.setattr(rig.door._notes._journal, "append", full)
    rig.door._notes.write("decision", Reason.UNKNOWN)
    assert [(one.number, one.kind) for one in told] == [(0, "refused")]


def test_the_sight_of_a_door_names_its_problems_and_nothing_else(rig: Rig) -> None:
    sight = rig.door.sight()
    assert (sight.is_released, sight.is_open, sight.problems) == (False, None, [])
    rig.enrol("a", "Ada")
    rig.play("aaa")
    assert rig.door.sight().problems == ["camera"]  # its replay ended
    assert "Ada" not in str(rig.door.sight())


def test_a_latch_that_hears_of_sensors_is_asked_for_them(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sensing:
        is_released, fault, name = True, "the door stands open", "latchd"
        contact = Contact(is_open=True, is_forced=False, is_held_open=True, is_tampered=False)

    monkeypatch.setattr(rig.door, "_latch", Sensing())
    sight = rig.door.sight()
    assert (sight.is_open, sight.is_held_open, sight.is_tampered) == (True, True, False)
    assert "lock" not in sight.problems  # the door's alarm, not the lock's fault
    Sensing.contact = Contact(trouble="janus-latchd is gone")
    sight = rig.door.sight()
    assert (sight.is_open, sight.problems) == (None, ["lock"])
