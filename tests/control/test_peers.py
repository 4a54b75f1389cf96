"""Who is let in: by the kernel's word, before a byte is read, and again at each request."""

import asyncio
import json
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from janusd.control import Access, ControlServer, Peer, Role
from janusd.control.peer import VERBS
from janusd.errors import ControlError
from support.fake_door import EVENT, FakeDoor
from support.serving import Caller, eventually, serving

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


_PEER = """
import json, os, socket, sys
path, uid, gid, groups, connects_first, message = json.loads(sys.argv[1])
def become():
    os.setgroups(groups); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
if not connects_first:
    become()
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(20)
try:
    peer.connect(path)
except PermissionError:
    sys.exit("cannot connect")
if connects_first:
    become()
if message:
    try:
        peer.sendall(message.encode() + bytes(1))
    except BrokenPipeError:
        pass
said = b""
while not said.endswith(bytes(1)) and (chunk := peer.recv(65536)):
    said += chunk
print(said.decode().rstrip(chr(0)))
"""


def as_user(
    path: Path, uid: int, gid: int = NOBODY, groups: Sequence[int] = (), *,
    asks: str = '{"method":"org.janusd.Door.GetStatus"}', connects_first: bool = False,
) -> str:  # fmt: skip
    """What the daemon says to another user's process: "answered", an error's name, or a whole reply."""
    told = json.dumps([str(path), uid, gid, list(groups), connects_first, asks])
    # -I -S: the other user may not be able to read this interpreter's packages
    command = [sys.executable, "-I", "-S", "-c", _PEER, told]
    peer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if peer.returncode:
        return peer.stderr.strip()
    reply = json.loads(peer.stdout)
    return str(reply["error"]) if "error" in reply else "answered"


@pytest.fixture
def open_dir(tmp_path: Path) -> Path:
    """A directory that other users may enter, up to the root."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    return tmp_path


def ask_status(path: Path) -> object:
    with Caller(path) as caller:
        return caller.call("GetStatus").get("error", "answered")


@needs_root
def test_another_user_cannot_even_open_the_socket(open_dir: Path):
    with serving(open_dir / "control", FakeDoor()):
        assert as_user(open_dir / "control", NOBODY) == "cannot connect"


@needs_root
def test_another_user_is_refused_before_a_byte_is_parsed(
    open_dir: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """ATTACKS 21."""

    def parse(message: bytes) -> None:
        raise AssertionError("a stranger's bytes were parsed")

    monkeypatch.setattr("janusd.control.session.parse_call", parse)
    path, door = open_dir / "control", FakeDoor()
    with serving(path, door):
        path.chmod(0o666)
        assert as_user(path, NOBODY) == "org.janusd.Door.NotAllowed"
        assert as_user(path, NOBODY, asks="") == "org.janusd.Door.NotAllowed"  # it comes unasked
    assert door.asked == []
    assert f"uid {NOBODY}" in caplog.text


@needs_root
def test_an_owner_by_user_or_by_group_is_let_in(open_dir: Path):
    path = open_dir / "control"
    access = Access(owner_uids=frozenset({4001}), owner_gids=frozenset({4100}))
    with serving(path, FakeDoor(), access=access):
        path.chmod(0o666)
        assert as_user(path, 4001) == "answered"
        assert as_user(path, 4002, groups=[4100]) == "answered"
        assert as_user(path, 4002, gid=4100) == "answered"
        assert as_user(path, 4002, groups=[4101]) == "org.janusd.Door.NotAllowed"


@needs_root
def test_credentials_are_those_of_the_moment_of_connecting(open_dir: Path):
    """ATTACKS 22: the kernel froze them at connect(2); what the process becomes later changes nothing."""
    path = open_dir / "control"
    with serving(path, FakeDoor()):
        assert as_user(path, 4003, connects_first=True) == "answered"


def test_scores_are_shown_to_root_alone(tmp_path: Path):
    """ATTACKS 56: a score tells an attacker how near they are."""
    path, door, me = tmp_path / "control", FakeDoor(), os.geteuid()

    class Owned(Access):
        def roles(self, peer: Peer) -> frozenset[Role]:
            return frozenset({Role.OWNER})

    for access, score in ((Access(daemon_uid=me), EVENT.score), (Owned(), None)):
        with serving(path, door, access=access), Caller(path) as watcher:
            watcher.ask("Watch", more=True)
            assert eventually(lambda: door.listeners)
            door.decide()
            reply = watcher.reply()
            assert reply is not None
            assert reply["parameters"]["event"]["score"] == score


def test_a_right_that_is_withdrawn_ends_at_the_next_request(tmp_path: Path):
    path, door = tmp_path / "control", FakeDoor()
    with serving(path, door) as server, Caller(path) as caller:
        caller.call("GetStatus")
        server.access = Access(daemon_uid=os.geteuid() + 1, owner_uids=frozenset())
        if os.geteuid() == 0:  # root always may: make the peer look like somebody else
            server.access = _NobodyIsRoot()
        reply = caller.call("Forget", name="bob")
        assert reply["error"] == "org.janusd.Door.NotAllowed"
        assert reply["parameters"] == {
            "verb": "Forget",
            "uid": os.geteuid(),
            "why": "this user may not ask that",
        }
    assert [asked[0] for asked in door.asked] == ["status"]


class _NobodyIsRoot(Access):
    def roles(self, peer: Peer) -> frozenset[Role]:
        return frozenset()


def test_a_verb_nobody_listed_may_be_asked_by_nobody():
    assert not Access().allows("OpenSesame", Peer(1, 0, frozenset({0})))
    assert all(Access().allows(verb, Peer(1, 0, frozenset({0}))) for verb in VERBS)


def test_the_kernel_tells_user_and_groups():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = Peer.of(ours)
    assert (peer.pid, peer.uid) == (os.getpid(), os.getuid())
    assert peer.gids == {os.getegid(), *os.getgroups()}


def test_a_socket_without_credentials_is_an_error():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        try:
            peer = Peer.of(sock)
        except (ControlError, struct.error):
            return
    assert not Access(daemon_uid=1).roles(peer)  # the kernel answers -1 for a socket without a peer


def test_the_socket_file_is_for_owner_and_group_only(tmp_path: Path):
    with serving(tmp_path / "control", FakeDoor(), gid=os.getegid()):
        there = (tmp_path / "control").stat()
        assert stat.S_IMODE(there.st_mode) == 0o660
        assert there.st_gid == os.getegid()
    assert not (tmp_path / "control").exists()


def test_the_umask_does_not_widen_it(tmp_path: Path):
    before = os.umask(0)
    try:
        with serving(tmp_path / "control", FakeDoor()):
            assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o660
    finally:
        os.umask(before)


def test_a_dead_daemons_socket_is_replaced(tmp_path: Path):
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(path, FakeDoor()):
        assert ask_status(path) == "answered"


def test_a_running_daemons_socket_is_left_alone(tmp_path: Path):
    path = tmp_path / "control"
    with serving(path, FakeDoor()):
        with pytest.raises(ControlError, match="another janusd is running"), serving(path, FakeDoor()):
            pass
        assert ask_status(path) == "answered"


def test_a_file_in_the_way_is_not_removed(tmp_path: Path):
    path = tmp_path / "control"
    path.write_text("somebody's notes")
    with pytest.raises(ControlError, match="is no socket"), serving(path, FakeDoor()):
        pass
    assert path.read_text() == "somebody's notes"


def test_a_missing_directory_is_named_with_what_to_do(tmp_path: Path):
    gone = tmp_path / "gone"
    with pytest.raises(ControlError, match=r"make the directory .*/gone$"), serving(gone / "s", FakeDoor()):
        pass


def test_a_path_too_long_for_a_socket_is_refused_in_words(tmp_path: Path):
    with pytest.raises(ControlError, match="too long"), serving(tmp_path / ("x" * 120), FakeDoor()):
        pass


def test_a_socket_that_systemd_made_is_served_and_left_in_place(tmp_path: Path):
    path = tmp_path / "control"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    with serving(path, FakeDoor(), listening=listening):
        assert ask_status(path) == "answered"
    assert path.is_socket()


def test_a_socket_file_that_somebody_else_put_there_meanwhile_is_left(tmp_path: Path):
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX) as successor:
        with serving(path, FakeDoor()):
            path.unlink()
            successor.bind(str(path))
        assert path.is_socket()


def test_a_server_that_never_started_can_be_closed(tmp_path: Path):
    asyncio.run(ControlServer(tmp_path / "control", FakeDoor()).close())


@needs_root
def test_a_user_who_is_named_may_connect_without_the_group_and_nobody_else(open_dir: Path):
    path = open_dir / "control"
    with serving(path, FakeDoor(), access=Access(named={4005: Role.RESIDENT})):
        if not os.listxattr(path):
            pytest.skip("this file system knows no ACLs")
        assert as_user(path, 4005) == "answered"
        assert as_user(path, 4006) == "cannot connect"
