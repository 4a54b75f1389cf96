"""The client against daemons that do not behave."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from janusd.cli import client
from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.cli.when import duration, local, parse_since
from janusd.errors import ControlError, EnrolmentBusy, JanusError, NotAllowed
from janusd.escape import escape

Answering = Callable[..., RemoteDoor]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """A daemon that answers anything with the given bytes and hangs up."""
    opened: list[tuple[socket.socket, threading.Thread, Client]] = []

    def answer(said: bytes, *, path: Path = tmp_path / "s") -> RemoteDoor:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        opened.append((listening, thread, Client(path)))
        return RemoteDoor(opened[-1][2])

    yield answer
    for listening, thread, caller in opened:
        caller.close()
        thread.join()
        listening.close()


def reply(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\0"


@pytest.mark.parametrize(
    "said",
    [b"", b'{"parameters":', b"hello\0", b"[]\0", b'{"parameters":[]}\0', reply(parameters={})],
    ids=["nothing", "half", "text", "list", "listed", "empty"],
)
def test_an_answer_that_is_none_is_a_control_error(answering: Answering, said: bytes):
    with pytest.raises(ControlError):
        answering(said).status()


def test_fields_of_a_newer_daemon_are_left_out(answering: Answering):
    person = {"name": "bob", "enrolled_at": "", "samples": 3, "hours": "", "shoe_size": 43}
    assert answering(reply(parameters={"people": [person]})).people()[0].name == "bob"


def test_a_missing_field_names_what_is_not_understood(answering: Answering):
    with pytest.raises(ControlError, match="not the Person this janusctl knows"):
        answering(reply(parameters={"people": [{"name": "bob"}]})).people()


@pytest.mark.parametrize(
    ("error", "parameters", "raised"),
    [
        ("org.janusd.Door.NotAllowed", {"verb": "Forget", "uid": 7, "why": "no"}, NotAllowed),
        (
            "org.janusd.Door.Failed",
            {"kind": "EnrolmentBusy", "what": "busy", "remedy": "wait"},
            EnrolmentBusy,
        ),
        ("org.janusd.Door.Failed", {"kind": "SomethingNew", "what": "w", "remedy": ""}, JanusError),
        ("org.janusd.Door.Failed", {"kind": "annotations", "what": "w", "remedy": ""}, JanusError),
        ("org.janusd.Door.InvalidImage", {"what": "damaged", "remedy": ""}, client.PictureRefused),
        ("org.varlink.service.MethodNotFound", {"method": "Doctor"}, ControlError),
    ],
)
def test_what_the_daemon_raised_is_raised_here(
    answering: Answering, error: str, parameters: dict[str, object], raised: type[JanusError]
):
    with pytest.raises(raised) as caught:
        answering(reply(error=error, parameters=parameters)).doctor()
    assert type(caught.value) is raised


def test_a_daemon_that_hangs_is_not_waited_for_forever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "s"))
        hung.listen()
        with Client(tmp_path / "s") as caller, pytest.raises(ControlError, match=r"did not answer in 0\.1 s"):
            caller.call("GetStatus", reply_within_s=0.1)


def test_a_socket_one_may_not_open_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def connect(self: socket.socket, address: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(NotAllowed, match="run janusctl with sudo"):
        Client(tmp_path / "s").call("GetStatus")


BERLIN = timezone(timedelta(hours=1))
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2h", "2026-11-22T09:00:00+00:00"),
        ("30 m", "2026-11-22T10:30:00+00:00"),
        ("1w", "2026-11-15T11:00:00+00:00"),
        ("today", "2026-11-21T23:00:00+00:00"),
        ("Yesterday", "2026-11-20T23:00:00+00:00"),
        ("2026-11-22", "2026-11-21T23:00:00+00:00"),
        ("2026-11-22 08:00", "2026-11-22T07:00:00+00:00"),
        ("2026-11-22T08:00:00Z", "2026-11-22T08:00:00+00:00"),
    ],
)
def test_times_are_read_as_people_write_them(text: str, utc: str):
    assert parse_since(text, NOON) == utc


def test_a_time_that_cannot_be_read_shows_ones_that_can():
    with pytest.raises(ValueError, match="write 2h, 3d, today or 2026-11-22"):
        parse_since("soonish", NOON)


def test_lengths_of_time_are_told_in_their_two_largest_units():
    assert [duration(s) for s in (5, 125, 15_150, 300_000)] == ["5 s", "2 min", "4 h 12 min", "3 d 11 h"]


def test_a_time_that_is_none_is_shown_escaped():
    assert local("soon\x1b") == r"soon\x1b"


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("Zoë Ångström 李", "Zoë Ångström 李"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\x1b[31m\x9b1m", r"\x1b[31m\x9b1m"),
        ("\u202eboss\u2066\u200f", r"\u202eboss\u2066\u200f"),
        ("\u2028line", r"\u2028line"),
        ("\ud800", r"\ud800"),
        ("\U000e0041tag", r"\U000e0041tag"),
        ("x" * 4096, "x" * 77 + "..."),
    ],
)
def test_names_are_made_safe_to_show(raw: str, safe: str):
    assert escape(raw) == safe
