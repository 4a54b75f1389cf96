"""An enrolment lives and dies with the connection that began it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_door import FakeDoor
from support.serving import Caller, eventually, serving


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def path(tmp_path: Path, door: FakeDoor) -> Iterator[Path]:
    with serving(tmp_path / "control", door):
        yield tmp_path / "control"


def begin(caller: Caller, name: str = "bob") -> str:
    return str(caller.call("BeginEnrolment", name=name)["parameters"]["token"])


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("AddImage", {"image": ""}),
        ("AddLive", {"timeout_s": 1}),
        ("CommitEnrolment", {}),
        ("AbandonEnrolment", {}),
    ],
)
def test_a_token_is_worth_nothing_on_another_connection(
    path: Path, door: FakeDoor, verb: str, more: dict[str, object]
):
    with Caller(path) as wizard, Caller(path) as thief:
        token = begin(wizard)
        reply = thief.call(verb, token=token, **more)
        assert reply["error"] == "org.janusd.Door.NotAllowed"
        assert reply["parameters"]["verb"] == verb
        assert door.asked[-1][0] == "begin"
        assert door.open is not None


def test_a_second_enrolment_is_told_that_the_door_is_busy(path: Path):
    with Caller(path) as first, Caller(path) as second:
        begin(first)
        reply = second.call("BeginEnrolment", name="eve")
        assert reply["parameters"]["kind"] == "EnrolmentBusy"
        assert reply["parameters"]["what"] == "bob is being enrolled"
        again = first.call("BeginEnrolment", name="eve")
        assert again["parameters"]["kind"] == "EnrolmentBusy"


def test_a_dropped_connection_abandons_its_enrolment(path: Path, door: FakeDoor):
    with Caller(path) as wizard:
        begin(wizard)
    assert eventually(lambda: door.open is None)
    with Caller(path) as next_one:
        begin(next_one, "carl")


def test_a_connection_that_drops_while_waiting_for_a_face_abandons_at_once(path: Path, door: FakeDoor):
    with Caller(path) as wizard:
        token = begin(wizard)
        wizard.ask("AddLive", token=token, timeout_s=30)
        assert eventually(lambda: door.asked[-1][0] == "add_live")
    assert eventually(lambda: door.open is None, within_s=2)


def test_a_connection_that_drops_while_it_begins_leaves_nothing_open(path: Path, door: FakeDoor):
    for _ in range(50):
        # One that comes while eight are still being hung up on is closed before it can ask.
        with Caller(path) as wizard, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            wizard.ask("BeginEnrolment", name="bob")
    begun = lambda: sum(asked[0] == "begin" for asked in door.asked)  # noqa: E731
    abandoned = lambda: sum(asked[0] == "abandon" for asked in door.asked)  # noqa: E731
    assert eventually(lambda: door.open is None and begun() > 0 and abandoned() > 0)


def test_fifty_wizards_at_once_never_mix_their_samples(path: Path, door: FakeDoor):
    won = 0
    for attempt in range(50):
        with Caller(path) as one, Caller(path) as two:
            one.ask("BeginEnrolment", name=f"a{attempt}")
            two.ask("BeginEnrolment", name=f"b{attempt}")
            replies = [one.reply(), two.reply()]
            errors = [reply.get("error") for reply in replies if reply]
            assert len(errors) == 2
            won += errors.count(None)
            assert errors.count(None) <= 1
        assert eventually(lambda: door.open is None)
    assert won >= 25


def test_abandoning_frees_the_door_for_the_next(path: Path, door: FakeDoor):
    with Caller(path) as wizard:
        wizard.call("AbandonEnrolment", token=begin(wizard))
        assert door.open is None
        begin(wizard)


def test_a_stopping_daemon_abandons_what_is_open(tmp_path: Path, door: FakeDoor):
    with serving(tmp_path / "other", door):
        wizard = Caller(tmp_path / "other")
        token = begin(wizard)
        wizard.ask("AddLive", token=token, timeout_s=30)
        assert eventually(lambda: door.asked[-1][0] == "add_live")
    assert door.open is None
    assert wizard.reply() is None
    wizard.sock.close()
