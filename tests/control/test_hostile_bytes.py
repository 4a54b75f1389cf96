"""Broken, oversized, slow and hostile input: the connection ends, the door's control does not."""

import base64
import gc
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from janusd.control.interface import DoorInterface
from janusd.control.picture import UnreadablePicture, decode_picture, picture_size
from janusd.control.session import SMALL_MESSAGE_BYTES, parse_call
from janusd.errors import ControlError
from support.fake_door import FakeDoor
from support.serving import Caller, eventually, serving

MIB = 2**20


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("fuzz") / "control"
    with serving(path, FakeDoor()):
        yield path


def is_alive(path: Path) -> bool:
    with Caller(path) as caller:
        return "status" in caller.call("GetStatus")["parameters"]


def rss_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"method":"org.janusd.Door.GetStatus"',
        b'{"method":3}',
        b'{"method":"GetStatus"}',
        b'{"method":"org.janusd.Door.getStatus"}',
        b'{"method":"org.janusd.Door.GetStatus","parameters":[]}',
        b'{"method":"org.janusd.Door.GetStatus","more":1}',
        b'{"method":"org.janusd.Door.GetStatus","oneway":true,"more":true}',
        b'{"method":"org.janusd.Door.GetStatus","method":"org.janusd.Door.Doctor"}',
        b'{"method":"org.janusd.Door.AddLive","parameters":{"token":"","timeout_s":NaN}}',
        b'{"method":"org.janusd.Door.AddLive","parameters":{"token":"","timeout_s":-Infinity}}',
        b'{"method":"org.janusd.Door.GetLog","parameters":{"limit":' + b"9" * 5000 + b"}}",
        b"[" * 15_000,
        b'{"a":' * 3_000,
        b"\xff\xfe\x00"[:2],
        b"\xed\xa0\x80",
        '{"method":"org.janusd.Door.GetStatus"}'.encode("utf-16-le").replace(b"\0", b" "),
    ],
    ids=lambda message: repr(message[:40]),
)
def test_what_is_no_plain_call_closes_the_connection(
    path: Path, message: bytes, caplog: pytest.LogCaptureFixture
):
    with Caller(path) as caller:
        caller.send(message + b"\0")
        assert caller.reply() is None
    assert "Traceback" not in caplog.text
    assert is_alive(path)


def test_a_log_line_about_broken_input_is_one_line(path: Path, caplog: pytest.LogCaptureFixture):
    forged = '{"method":"org.janusd.Door.X\\n2026-11-22 UNLOCK eve\\u001b[2J"}'
    with Caller(path) as caller:
        caller.send(forged.encode() + b"\0")
        caller.reply()
    assert eventually(lambda: caplog.records)
    assert all("\n" not in r.getMessage() and "\x1b" not in r.getMessage() for r in caplog.records)


def test_a_name_with_newlines_and_ansi_forges_no_line_in_the_service_log(
    path: Path, caplog: pytest.LogCaptureFixture
):
    """ATTACKS 37."""
    caplog.set_level("INFO")
    with Caller(path) as caller:
        caller.call("Forget", name="eve\nUNLOCK root\x1b[2J\u202e")
    said = [record.getMessage() for record in caplog.records if "Forget" in record.getMessage()]
    assert said == [f"uid {os.geteuid()} asks Forget eve\\nUNLOCK root\\x1b[2J\\u202e"]


def test_a_name_is_not_told_to_the_systems_journal(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1234")
    caplog.set_level("INFO")
    with Caller(path) as caller:
        caller.call("Forget", name="Anna Berg")
    said = [record.getMessage() for record in caplog.records if "Forget" in record.getMessage()]
    assert said == [f"uid {os.geteuid()} asks Forget -"]


def test_a_message_that_never_ends_is_cut_off(path: Path):
    with Caller(path) as caller:
        with suppress(ConnectionError):
            for _ in range(64):
                caller.send(b"x" * 65536)
                time.sleep(0.002)
            pytest.fail("the daemon took 4 MiB without a word")
        assert caller.reply() is None
    assert is_alive(path)


def test_only_the_holder_of_an_enrolment_may_send_a_picture_sized_message(path: Path):
    call = {
        "method": "org.janusd.Door.AddImage",
        "parameters": {"token": "", "image": "A" * SMALL_MESSAGE_BYTES},
    }
    message = json.dumps(call).encode() + b"\0"
    with Caller(path) as stranger:
        stranger.send(message)
        assert stranger.reply() is None
    with Caller(path) as wizard:
        wizard.call("BeginEnrolment", name="bob")
        wizard.send(message)
        reply = wizard.reply()
        assert reply is not None
        assert reply["error"] == "org.janusd.Door.NotAllowed"  # it was read: only the token was wrong
    assert is_alive(path)


def test_even_the_holder_has_a_limit(path: Path):
    with Caller(path) as wizard:
        wizard.call("BeginEnrolment", name="bob")
        with suppress(ConnectionError):
            for _ in range(14 * 16):
                wizard.send(b"A" * 65536)
            pytest.fail("the daemon took 14 MiB without a word")
        assert wizard.reply() is None
    assert is_alive(path)


def test_a_large_message_may_not_unfold_into_lists():
    """12 MiB of `[],[],...` would become 400 MB of Python lists."""
    with pytest.raises(ControlError, match="not one picture"):
        parse_call(b'{"method":"org.janusd.Door.X","parameters":{"a":[' + b"[]," * 10_000 + b"[]]}}")


def test_a_message_must_be_whole_in_time(tmp_path: Path):
    with serving(tmp_path / "control", FakeDoor(), whole_message_s=0.2), Caller(tmp_path / "control") as slow:
        start_s = time.monotonic()
        slow.send(b'{"method":')
        assert slow.reply() is None
        assert time.monotonic() - start_s < 2


def test_a_silent_connection_is_dropped_but_not_one_that_watches_or_enrols(tmp_path: Path):
    path, door = tmp_path / "control", FakeDoor()
    with (
        serving(path, door, idle_s=0.2, enrolment_idle_s=30),
        Caller(path) as idle,
        Caller(path) as watcher,
        Caller(path) as wizard,
    ):
        watcher.ask("Watch", more=True)
        wizard.call("BeginEnrolment", name="bob")
        assert idle.reply() is None
        time.sleep(0.3)
        door.decide()
        assert watcher.reply() is not None
        assert "status" in wizard.call("GetStatus")["parameters"]


def test_a_wizard_left_alone_gives_the_door_back(tmp_path: Path):
    path, door = tmp_path / "control", FakeDoor()
    with serving(path, door, enrolment_idle_s=0.2), Caller(path) as wizard:
        wizard.call("BeginEnrolment", name="bob")
        assert wizard.reply() is None
        assert eventually(lambda: door.open is None)


def test_the_ninth_connection_is_turned_away_in_words(tmp_path: Path):
    path = tmp_path / "control"
    with serving(path, FakeDoor()), ExitStack() as open_callers:
        callers = [open_callers.enter_context(Caller(path)) for _ in range(8)]
        for caller in callers:
            caller.call("GetStatus")
        with Caller(path) as ninth:
            reply = ninth.reply()
            assert reply is not None
            assert reply["parameters"]["what"] == "8 programs are talking to this door already"
            assert ninth.reply() is None
        callers[-1].sock.close()
        assert eventually(lambda: is_answered(path))


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_closing_waits_for_every_connection_also_those_not_yet_let_in(tmp_path: Path):
    with ExitStack() as open_callers:
        with serving(tmp_path / "control", FakeDoor()):
            for _ in range(60):
                open_callers.enter_context(Caller(tmp_path / "control"))
        gc.collect()  # a transport that was not closed by now complains here


def is_answered(path: Path) -> bool:
    with Caller(path) as caller:
        try:
            return "error" not in caller.call("GetStatus")
        except ConnectionError:  # turned away before it could ask
            return False


def test_a_thousand_clients_that_come_and_go_leave_nothing_behind(path: Path):
    for _ in range(1000):
        Caller(path).sock.close()
    assert eventually(lambda: is_answered(path))


_VERBS = [name for name in vars(DoorInterface) if name[0].isupper()]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_CALLS = st.fixed_dictionaries(
    {"method": st.sampled_from([f"org.janusd.Door.{verb}" for verb in _VERBS]) | st.text(max_size=30)},
    optional={
        "parameters": st.dictionaries(
            st.sampled_from(["token", "name", "image", "hours", "since", "limit", "timeout_s"])
            | st.text(max_size=5),
            _JSON,
            max_size=4,
        ),
        "more": st.booleans(),
        "oneway": st.booleans(),
    },
)


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=st.binary(max_size=200) | _CALLS.map(lambda call: json.dumps(call).encode()))
def test_nothing_a_peer_can_say_is_answered_with_a_stumble(
    path: Path, caplog: pytest.LogCaptureFixture, message: bytes
):
    assume(not any(verb in message for verb in (b"Watch", b"Observe")))  # which never end
    with Caller(path) as caller:
        caller.send(message + b"\0")
        caller.sock.shutdown(1)
        while (reply := caller.reply()) is not None:
            assert reply.get("parameters", {}).get("kind") != "InternalError"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_thousands_of_broken_messages_leave_the_memory_where_it_was(
    path: Path, caplog: pytest.LogCaptureFixture
):
    rng = random.Random(20261122)
    whole = json.dumps({"method": "org.janusd.Door.GetLog", "parameters": {"since": "", "limit": 5}}).encode()

    def one(size: int) -> None:
        mutated = bytearray(whole if rng.random() < 0.7 else rng.randbytes(rng.randrange(1, size)))
        for _ in range(rng.randrange(4)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        if rng.random() < 0.5:
            mutated += b"\0"
        with Caller(path) as caller:
            try:
                for at in range(0, len(mutated), 4096):
                    caller.send(bytes(mutated[at : at + 4096]))
            except ConnectionError:
                return
            caller.sock.shutdown(1)
            while caller.reply() is not None:
                pass

    for _ in range(300):
        one(40_000)
    caplog.clear()
    gc.collect()
    before = rss_bytes()
    for _ in range(3000):
        one(40_000)
        caplog.clear()
    gc.collect()
    grown = rss_bytes() - before
    print(f"3,000 messages, memory grew by {grown / MIB:.1f} MiB")
    assert grown < 16 * MIB
    assert is_alive(path)


def encoded(suffix: str, width: int = 64, height: int = 48) -> bytes:
    noise = np.random.default_rng(7).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_the_size_is_read_from_the_header(suffix: str):
    assert picture_size(encoded(suffix)) == (64, 48)


def test_the_size_of_every_kind_of_webp_is_read():
    lossless = cv2.imencode(".webp", np.zeros((48, 64, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])[
        1
    ].tobytes()
    assert picture_size(lossless) == (64, 48)
    extended = (
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    )
    assert picture_size(extended) == (64, 48)
    with pytest.raises(UnreadablePicture):
        picture_size(b"RIFF\0\0\0\0WEBPXXXX" + bytes(20))


def test_a_small_file_that_claims_a_huge_picture_is_never_decoded(monkeypatch: pytest.MonkeyPatch):
    def decode(*_: object) -> None:
        raise AssertionError("it was given to the decoder")

    bomb = bytearray(encoded(".png"))
    bomb[16:24] = (50_000).to_bytes(4) + (50_000).to_bytes(4)
    monkeypatch.setattr("cv2.imdecode", decode)
    with pytest.raises(UnreadablePicture, match="50000 x 50000 pixels; scale it down"):
        decode_picture(base64.b64encode(bomb).decode())


def test_a_phones_picture_is_decoded_at_half_size():
    image = decode_picture(base64.b64encode(encoded(".jpg", 4000, 3000)).decode())
    assert image.shape == (1500, 2000, 3)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\0\x02\xff\xda",
        b"\xff\xd8\xff\xff\xff",
        b"GIF89a" + bytes(40),
    ],
    ids=["empty", "text", "stub", "scan-before-frame", "fill", "gif"],
)
def test_what_is_no_picture_is_refused_in_words(content: bytes):
    with pytest.raises(UnreadablePicture, match="no JPEG, PNG or WebP"):
        decode_picture(base64.b64encode(content).decode())


def test_base64_that_is_none_is_refused_in_words():
    with pytest.raises(UnreadablePicture, match="not base64"):
        decode_picture("????")
    with pytest.raises(UnreadablePicture, match="not base64"):
        decode_picture("äöü")


def test_a_picture_too_small_to_hold_a_face_is_refused():
    with pytest.raises(UnreadablePicture, match="only 8 x 8"):
        decode_picture(base64.b64encode(encoded(".png", 8, 8)).decode())


def test_a_damaged_picture_is_refused_over_the_socket(path: Path):
    broken = encoded(".png")[:200]
    with Caller(path) as wizard:
        token = wizard.call("BeginEnrolment", name="bob")["parameters"]["token"]
        reply = wizard.call("AddImage", token=token, image=base64.b64encode(broken).decode())
        assert reply["error"] == "org.janusd.Door.InvalidImage"
        assert reply["parameters"]["what"] == "the picture is damaged"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_mutation_of_a_picture_does_more_than_be_refused(data: st.DataObject):
    content = bytearray(encoded(data.draw(st.sampled_from([".jpg", ".png", ".webp"]))))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        image = decode_picture(base64.b64encode(bytes(content[:cut])).decode())
    except UnreadablePicture:
        return
    assert image.dtype == np.uint8
    assert image.shape[2] == 3
