"""What an observer is told: what one sees from across the street, and codes; nothing else, and no verb."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.config import parse
from janusd.control import Access, Peer, Role
from janusd.control.listener import admit
from janusd.control.peer import VERBS
from janusd.errors import ConfigError
from janusd.main import _access
from support.fake_door import GRANTED, REFUSED, SIGHT, FakeDoor
from support.serving import Caller, eventually, serving

DURESS = replace(GRANTED, kind="duress", code="JANUS-DURESS")


class Observer(Access):
    """Whoever asks is an observer."""

    def roles(self, peer: Peer) -> frozenset[Role]:
        return frozenset({Role.OBSERVER})


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


def told(caller: Caller) -> list[str]:
    reply = caller.reply()
    assert reply is not None
    return [f"{one['kind']} {one['name']}".strip() for one in reply["parameters"]["told"]]


def observing(caller: Caller, door: FakeDoor) -> dict[str, object]:
    caller.ask("Observe", more=True)
    first = caller.reply()
    assert first is not None
    assert eventually(lambda: door.followers)
    return dict(first["parameters"])


def test_an_observer_may_follow_and_ask_for_nothing() -> None:
    access = Access(named={4005: Role.OBSERVER}, owner_gids=frozenset({4100}))
    peer = Peer(1, 4005, frozenset({4100}))
    assert {verb for verb in VERBS if access.allows(verb, peer)} == {"Observe"}
    for other in (Role.OPERATOR, Role.RESIDENT, Role.SENSOR):
        assert other not in VERBS["Observe"]


def test_it_sees_the_door_as_it_is_and_hears_codes_without_names(path: Path, door: FakeDoor) -> None:
    with serving(path, door, access=Observer()), Caller(path) as caller:
        assert observing(caller, door) == {"sight": asdict(SIGHT), "told": [], "hears": [], "missed": 0}
        door.tell(DURESS)  # none of its business: no reply
        door.tell(GRANTED)
        assert told(caller) == ["granted"]
        door.tell(REFUSED)
        assert told(caller) == ["refused"]
        door.seen = replace(SIGHT, is_released=True, uptime_s=1e6)
        reply = caller.reply()
        assert reply is not None
        assert (reply["parameters"]["sight"]["is_released"], reply["parameters"]["told"]) == (True, [])
        with Caller(path) as asking:
            assert asking.call("GetStatus")["error"] == "org.janusd.Door.NotAllowed"
    assert eventually(lambda: not door.followers)


@pytest.mark.parametrize(
    ("hears", "expected"),
    [({"names"}, ["granted Anna Berg"]), ({"duress"}, ["granted", "duress"]),
     ({"names", "duress"}, ["granted Anna Berg", "duress Anna Berg"])],
)  # fmt: skip
def test_it_hears_more_where_the_owner_says_so(
    path: Path, door: FakeDoor, hears: set[str], expected: list[str]
) -> None:
    with serving(path, door, access=Observer(observers_hear=frozenset(hears))), Caller(path) as caller:
        assert observing(caller, door)["hears"] == sorted(hears)
        door.tell(GRANTED, DURESS)
        heard: list[str] = []
        while len(heard) < len(expected):
            heard += told(caller)
        assert heard == expected


def test_what_it_may_hear_is_asked_anew_each_time(path: Path, door: FakeDoor) -> None:
    hears = Observer(observers_hear=frozenset({"names"}))
    with serving(path, door, access=hears) as server, Caller(path) as caller:
        observing(caller, door)
        server.access = Observer()
        door.tell(GRANTED)
        assert told(caller) == ["granted"]


def test_owners_hear_everything_and_the_client_reads_it(path: Path, door: FakeDoor) -> None:
    with serving(path, door), Client(path) as client:
        observed = RemoteDoor(client).observe()
        assert next(observed) == (SIGHT, [], ["duress", "names"], 0)
        door.tell(DURESS)
        assert next(observed)[1] == [DURESS]


def test_a_file_system_without_acls_is_said_and_nothing_breaks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    admit(tmp_path / "none", [4005])
    assert "need its group" in caplog.text
    admit(tmp_path / "none", [])


def test_an_observer_is_named_by_number_or_name() -> None:
    config = parse('[control]\nobservers = ["nobody", 4005]\nobservers_hear = ["names"]\n')
    access = _access(config)
    assert dict(access.named) == {65534: Role.OBSERVER, 4005: Role.OBSERVER}
    assert access.observers_hear == {"names"}
    with pytest.raises(ConfigError, match="no user 'not-there'"):
        _access(parse('[control]\nobservers = ["not-there"]\n'))
    with pytest.raises(ConfigError, match="observers_hear"):
        parse('[control]\nobservers_hear = ["faces"]\n')
    with pytest.raises(ConfigError, match="two lists"):
        parse("[control]\nobservers = [4005]\nsensors = [4005]\n")
