"""How much one client may take: requests, places, time."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from janusd.control import Access, Peer, Role, server
from janusd.control.pace import BURST, REQUESTS_A_SECOND, Pace
from support.fake_door import FakeDoor
from support.serving import Caller, eventually, serving


def test_a_burst_is_free_and_what_comes_after_it_waits() -> None:
    pace = Pace(filled_s=10.0)
    assert [pace.take(10.0) for _ in range(BURST)] == [0.0] * BURST
    assert pace.take(10.0) == pytest.approx(1 / REQUESTS_A_SECOND)
    assert pace.take(10.0) == pytest.approx(2 / REQUESTS_A_SECOND)
    assert pace.take(11.0) == 0.0  # a second fills a hundred


def test_an_hour_of_silence_saves_up_no_more_than_a_burst() -> None:
    pace = Pace()
    pace.take(3600.0)
    assert pace.left == BURST - 1


def test_another_connection_is_no_fresh_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "Pace", lambda: Pace(left=-60.0, filled_s=time.monotonic()))
    with serving(tmp_path / "control", FakeDoor()):
        start_s = time.monotonic()
        for _ in range(3):
            with Caller(tmp_path / "control") as caller:
                caller.call("GetStatus")
        assert time.monotonic() - start_s > 0.2  # 61 requests behind, and not forgiven by calling anew


def test_who_only_sits_there_gives_way_when_all_places_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with serving(path, FakeDoor()), ExitStack() as open_callers:
        wizard = open_callers.enter_context(Caller(path))
        wizard.call("BeginEnrolment", name="bob")
        silent = [open_callers.enter_context(Caller(path)) for _ in range(7)]
        silent[0].send(b'{"method":')  # one letter, and no more: silence too
        for caller in silent[1:]:
            caller.call("GetStatus")
        time.sleep(1.1)
        with Caller(path) as newcomer:
            assert "status" in newcomer.call("GetStatus")["parameters"]
        assert eventually(lambda: silent[0].reply() is None)
        assert "status" in wizard.call("GetStatus")["parameters"]  # it holds an enrolment, and its place


def test_a_hundred_silent_clients_do_not_keep_the_owner_out(tmp_path: Path) -> None:
    path = tmp_path / "control"
    with serving(path, FakeDoor()), ExitStack() as open_callers:
        for _ in range(8):
            open_callers.enter_context(Caller(path))
        time.sleep(1.1)
        for _ in range(100):
            open_callers.enter_context(Caller(path))

        def is_answered() -> bool:
            with Caller(path) as owner:
                try:
                    return "error" not in owner.call("GetStatus")
                except ConnectionError:
                    return False

        assert eventually(is_answered)


class Crowd(Access):
    """Whoever connects before `owners_come` is an observer, as janus-mqtt is; who does later, an owner."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "observers", list[Peer]())
        object.__setattr__(self, "owners_come", threading.Event())

    def roles(self, peer: Peer) -> frozenset[Role]:
        observers: list[Peer] = self.observers
        if not self.owners_come.is_set():
            observers.append(peer)
        return frozenset({Role.OBSERVER if any(one is peer for one in observers) else Role.OWNER})


def observing(path: Path) -> Caller:
    caller = Caller(path)
    caller.ask("Observe", more=True)
    return caller


def test_one_user_who_is_no_owner_gets_few_places(tmp_path: Path) -> None:
    """A program taken over, or gone mad, leaves places to the others."""
    path = tmp_path / "control"
    with serving(path, FakeDoor(), access=Crowd()), ExitStack() as open_callers:
        callers = [open_callers.enter_context(observing(path)) for _ in range(4)]
        said = [caller.reply() for caller in callers]
        assert [reply is not None and "error" in reply for reply in said] == [False, False, False, True]
        assert "3 programs of this user" in str(said[3])


def test_who_is_no_owner_makes_room_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy they are: an owner may have somebody to forget."""
    path, crowd = tmp_path / "control", Crowd()
    monkeypatch.setattr(server, "_MOST_OF_A_USER", 8)
    with serving(path, FakeDoor(), access=crowd), ExitStack() as open_callers:
        for _ in range(8):
            assert open_callers.enter_context(observing(path)).reply() is not None
        crowd.owners_come.set()
        for _ in range(8):
            assert "status" in open_callers.enter_context(Caller(path)).call("GetStatus")["parameters"]
