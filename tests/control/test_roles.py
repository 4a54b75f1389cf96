"""What each role may ask: an owner all, an operator looks and takes away, a sensor gives its word."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusd.control import Access, Peer, Role
from janusd.control.peer import ADMIN_ACTS, VERBS
from janusd.door import Person, TermsChange
from support.fake_door import FakeDoor
from support.serving import Caller, serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "mon-fri 08:00-18:00")
OWNERS = 4100
ACCESS = Access(
    owner_uids=frozenset({4001}),
    owner_gids=frozenset({OWNERS}),
    daemon_uid=990,
    named={4002: Role.OPERATOR, 4003: Role.RESIDENT, 4004: Role.SENSOR},
)

OPERATORS_MAY = {
    "GetStatus", "ListPeople", "GetLog", "VerifyLog", "Doctor", "Watch", "Explain", "Suspend", "UnlockFace",
}  # fmt: skip


def may(uid: int, *gids: int) -> set[str]:
    return {verb for verb in VERBS if ACCESS.allows(verb, Peer(1, uid, frozenset(gids)))}


def test_owners_and_root_may_ask_everything_and_strangers_nothing():
    assert may(4001) == may(0) == may(990) == may(5000, OWNERS) == set(VERBS)
    assert may(5000) == set()


def test_an_operator_looks_and_takes_away_but_gives_nobody_anything():
    assert may(4002) == OPERATORS_MAY
    assert not may(4002) & {"SetTerms", "Resume", "Rename", "Forget", "BeginEnrolment", "DisputeUnlock"}
    assert not may(4002) & {verb for verb in VERBS if "Vault" in verb or "People" in verb} - {"ListPeople"}


def test_a_resident_sees_how_the_door_is_and_a_sensor_not_even_that():
    assert may(4003) == {"GetStatus"}
    assert may(4004) == {"ConfirmSecondFactor"}


def test_who_is_named_is_that_alone_even_in_the_owners_group():
    assert may(4004, OWNERS) == {"ConfirmSecondFactor"}
    assert may(4002, OWNERS) == OPERATORS_MAY


def test_every_verb_that_changes_a_person_is_logged_with_its_user():
    asked = {"SetTerms", "Rename", "Suspend", "Resume", "DisputeUnlock", "ConfirmSecondFactor"}
    assert asked <= ADMIN_ACTS
    assert set(VERBS) >= ADMIN_ACTS


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor([ANNA])


@pytest.fixture
def caller(tmp_path: Path, door: FakeDoor) -> Iterator[Caller]:
    with serving(tmp_path / "control", door), Caller(tmp_path / "control") as caller:
        yield caller


def test_only_the_terms_that_are_given_reach_the_door(caller: Caller, door: FakeDoor):
    person = caller.call("SetTerms", name="Anna Berg", hours="", needs_two=True)["parameters"]["person"]
    assert (person["hours"], person["needs_two"], person["role"]) == ("", True, "resident")
    assert door.steward.asked == [("set_terms", "Anna Berg", TermsChange(hours="", needs_two=True))]


def test_people_are_renamed_suspended_and_resumed(caller: Caller, door: FakeDoor):
    assert caller.call("Suspend", name="Anna Berg")["parameters"]["person"]["is_suspended"] is True
    assert caller.call("Resume", name="Anna Berg")["parameters"]["person"]["is_suspended"] is False
    assert caller.call("Rename", name="Anna Berg", to="Anna")["parameters"]["person"]["name"] == "Anna"
    assert caller.call("Suspend", name="Anna Berg")["parameters"]["kind"] == "PersonNotFound"


def test_an_explanation_a_dispute_and_a_confirmation_travel_whole(caller: Caller, door: FakeDoor):
    told = caller.call("Explain", name="Anna Berg")["parameters"]["explanation"]
    assert (told["by_rules_of"], told["questions"][0]["check"], len(told["entries"])) == ("then", "hours", 2)
    assert caller.call("DisputeUnlock", number=3)["parameters"]["dispute"]["is_guarded"] is False
    assert "error" not in caller.call("ConfirmSecondFactor", name="Anna Berg")
    assert [asked[0] for asked in door.steward.asked] == ["explain", "dispute", "confirm"]


@pytest.mark.parametrize(
    ("verb", "parameters", "wrong"),
    [
        ("SetTerms", {"name": "Anna Berg", "code": "1" * 1025}, "code"),
        ("SetTerms", {"name": "Anna Berg", "needs_two": "yes"}, "needs_two"),
        ("Rename", {"name": "Anna Berg", "to": "\ud800"}, "to"),
        ("DisputeUnlock", {"number": 0}, "number"),
        ("DisputeUnlock", {"number": 2**63}, "number"),
        ("Explain", {"name": "Anna Berg", "at": "x" * 1025}, "at"),
    ],
)
def test_a_wrong_parameter_is_named(caller: Caller, verb: str, parameters: dict[str, object], wrong: str):
    assert caller.call(verb, **parameters)["parameters"] == {"parameter": wrong}


def test_a_sensor_that_asks_for_more_is_refused(tmp_path: Path, door: FakeDoor):
    class OnlySensor(Access):
        def roles(self, peer: Peer) -> frozenset[Role]:
            return frozenset({Role.SENSOR})

    with serving(tmp_path / "s", door, access=OnlySensor()), Caller(tmp_path / "s") as sensor:
        assert "error" not in sensor.call("ConfirmSecondFactor", name="Anna Berg")
        refused = sensor.call("ListPeople")
        assert refused["error"] == "org.janusd.Door.NotAllowed"
        assert refused["parameters"]["uid"] == os.geteuid()
