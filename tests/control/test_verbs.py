"""What may be asked over the socket, and how it answers."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.control.interface import DoorInterface
from janusd.control.peer import VERBS
from janusd.door import Person
from support.fake_door import ENTRIES, EVENT, WELL, FakeDoor
from support.serving import Caller, eventually, serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "mon-fri 08:00-18:00")


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor([ANNA])


@pytest.fixture
def path(tmp_path: Path, door: FakeDoor) -> Iterator[Path]:
    with serving(tmp_path / "control", door):
        yield tmp_path / "control"


@pytest.fixture
def caller(path: Path) -> Iterator[Caller]:
    with Caller(path) as caller:
        yield caller


def picture(seed: int = 1, suffix: str = ".png", size: tuple[int, int] = (64, 48)) -> str:
    noise = np.random.default_rng(seed).integers(60, 180, (size[1], size[0], 3), dtype=np.uint8)
    return base64.b64encode(cv2.imencode(suffix, noise)[1].tobytes()).decode()


def test_the_committed_interface_file_is_what_the_code_serves():
    committed = files("janusd.control").joinpath("org.janusd.Door.varlink").read_text()
    assert committed == DoorInterface.render_interface_description()


def test_every_verb_says_which_roles_may_ask_it():
    served = {name for name in vars(DoorInterface) if name[0].isupper()}
    assert served == set(VERBS)


def test_varlinkctl_can_introspect_the_service(caller: Caller):
    about = caller.call("org.varlink.service.GetInfo")["parameters"]
    assert about["product"] == "janusd"
    assert about["interfaces"] == ["org.janusd.Door", "org.varlink.service"]
    described = caller.call("org.varlink.service.GetInterfaceDescription", interface="org.janusd.Door")
    assert "method Watch() -> (event: Event, missed: int)" in described["parameters"]["description"]


def test_status_people_log_and_doctor_arrive_as_the_door_gave_them(caller: Caller, door: FakeDoor):
    assert caller.call("GetStatus")["parameters"]["status"] == asdict(replace(door.current, people=1))
    assert caller.call("ListPeople")["parameters"]["people"] == [asdict(ANNA)]
    entries = caller.call("GetLog", since="2026-11-21T07:10:00+00:00", limit=2)["parameters"]["entries"]
    assert entries == [asdict(entry) for entry in ENTRIES[-2:]]
    assert len(caller.call("GetLog")["parameters"]["entries"]) == len(ENTRIES)
    assert caller.call("Doctor")["parameters"]["findings"] == [asdict(finding) for finding in WELL]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_picture_reaches_the_door_as_rgb_pixels(caller: Caller, door: FakeDoor, suffix: str):
    blue_in_bgr = np.zeros((48, 64, 3), np.uint8)
    blue_in_bgr[:, :, 0] = 255
    encoded = base64.b64encode(cv2.imencode(suffix, blue_in_bgr)[1].tobytes()).decode()
    token = caller.call("BeginEnrolment", name="bob")["parameters"]["token"]
    caller.call("AddImage", token=token, image=encoded)
    verb, shape, dtype, (red, green, blue) = door.asked[-1]
    assert (verb, shape, dtype) == ("add_image", (48, 64, 3), np.uint8)
    assert max(red, green) < 10
    assert blue > 245


def test_three_good_pictures_enrol_a_person(caller: Caller, door: FakeDoor):
    token = caller.call("BeginEnrolment", name="bob", hours="sat 09:00-13:00")["parameters"]["token"]
    for seed in range(3):
        feedback = caller.call("AddImage", token=token, image=picture(seed))["parameters"]["feedback"]
        assert feedback == {
            "accepted": True,
            "reason": "good",
            "hint": "Good.",
            "samples": seed + 1,
            "wanted": 5,
        }
    person = caller.call("CommitEnrolment", token=token)["parameters"]["person"]
    assert (person["name"], person["samples"], person["hours"]) == ("bob", 3, "sat 09:00-13:00")
    assert set(door.enrolled) == {"Anna Berg", "bob"}
    caller.call("Forget", name="bob")
    assert set(door.enrolled) == {"Anna Berg"}


def test_a_refusal_carries_its_kind_and_what_to_do(caller: Caller):
    reply = caller.call("Forget", name="nobody")
    assert reply["error"] == "org.janusd.Door.Failed"
    assert reply["parameters"] == {
        "kind": "PersonNotFound",
        "what": "nobody called nobody is enrolled",
        "remedy": "janusctl people lists who is",
    }


def test_a_bug_in_the_door_is_answered_in_words_and_logged(
    caller: Caller, door: FakeDoor, caplog: pytest.LogCaptureFixture
):
    door.doctor = lambda: 1 / 0  # type: ignore[assignment,return-value]
    reply = caller.call("Doctor")
    assert reply["parameters"]["kind"] == "InternalError"
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivisionError" not in json.dumps(reply)
    assert "status" in caller.call("GetStatus")["parameters"]


def test_a_number_json_cannot_hold_is_answered_in_words(caller: Caller, door: FakeDoor):
    door.current = replace(door.current, threshold=float("nan"))
    assert caller.call("GetStatus")["parameters"]["kind"] == "InternalError"


def test_a_commit_that_is_refused_leaves_the_enrolment_open_for_more(caller: Caller):
    token = caller.call("BeginEnrolment", name="bob")["parameters"]["token"]
    caller.call("AddImage", token=token, image=picture(0))
    assert caller.call("CommitEnrolment", token=token)["parameters"]["kind"] == "EnrolmentRefused"
    for seed in (1, 2):
        caller.call("AddImage", token=token, image=picture(seed))
    assert caller.call("CommitEnrolment", token=token)["parameters"]["person"]["samples"] == 3


@pytest.mark.parametrize(
    ("verb", "parameters", "wrong"),
    [
        ("GetLog", {"since": 3}, "since"),
        ("GetLog", {"limit": -1}, "limit"),
        ("GetLog", {"limit": 10**9}, "limit"),
        ("Forget", {}, "name"),
        ("Forget", {"name": "\ud800"}, "name"),
        ("Forget", {"name": "x" * 1025}, "name"),
        ("Forget", {"name": ["bob"]}, "name"),
        ("Forget", {"name": "bob", "force": True}, "force"),
    ],
)
def test_a_wrong_parameter_is_named(caller: Caller, verb: str, parameters: dict[str, object], wrong: str):
    reply = caller.call(verb, **parameters)
    assert reply["error"] == "org.varlink.service.InvalidParameter"
    assert reply["parameters"] == {"parameter": wrong}


def test_waiting_for_a_camera_frame_has_its_limits(caller: Caller):
    token = caller.call("BeginEnrolment", name="bob")["parameters"]["token"]
    for timeout_s in (-1.0, 61.0):
        reply = caller.call("AddLive", token=token, timeout_s=timeout_s)
        assert reply["parameters"] == {"parameter": "timeout_s"}
    assert caller.call("AddLive", token=token, timeout_s=0)["parameters"]["feedback"]["reason"] == "no_face"


def test_an_unknown_verb_is_not_found(caller: Caller):
    assert caller.call("OpenSesame")["error"] == "org.varlink.service.MethodNotFound"
    assert caller.call("org.example.Door.Open")["error"] == "org.varlink.service.InterfaceNotFound"
    assert caller.call("Watch")["error"] == "org.varlink.service.ExpectedMore"


def test_a_oneway_call_is_done_without_a_reply(caller: Caller, door: FakeDoor):
    call = {"method": "org.janusd.Door.Forget", "parameters": {"name": "Anna Berg"}, "oneway": True}
    caller.send(json.dumps(call).encode() + b"\0")
    assert caller.call("ListPeople")["parameters"]["people"] == []


def test_a_protocol_upgrade_is_declined(caller: Caller):
    caller.send(b'{"method":"org.janusd.Door.GetStatus","upgrade":true}\0')
    reply = caller.reply()
    assert reply is not None
    assert reply["error"] == "org.varlink.service.MethodNotImplemented"


def test_calls_sent_together_are_answered_in_order(caller: Caller):
    for name in ("a", "b", "c"):
        caller.ask("Forget", name=name)
    replies = [caller.reply() for _ in range(3)]
    assert [reply and reply["parameters"]["what"] for reply in replies] == [
        f"nobody called {name} is enrolled" for name in "abc"
    ]


def test_a_caller_that_has_said_everything_still_gets_its_answer(caller: Caller):
    caller.ask("GetStatus")
    caller.sock.shutdown(1)
    reply = caller.reply()
    assert reply is not None
    assert reply["parameters"]["status"]["version"] == "0.1.0"
    assert caller.reply() is None


def test_a_slow_check_does_not_keep_others_waiting(caller: Caller, path: Path, door: FakeDoor):
    door.pause = threading.Event()
    caller.ask("Doctor")
    with Caller(path) as other:
        assert "status" in other.call("GetStatus")["parameters"]
    door.pause.set()
    reply = caller.reply()
    assert reply is not None
    assert "findings" in reply["parameters"]


def test_watching_gives_each_decision_as_it_falls(caller: Caller, door: FakeDoor):
    caller.ask("Watch", more=True)
    assert eventually(lambda: door.listeners)
    for sequence in range(3):
        door.decide(replace(EVENT, sequence=sequence))
        reply = caller.reply()
        assert reply is not None
        assert reply["continues"] is True
        assert reply["parameters"]["event"] == asdict(replace(EVENT, sequence=sequence))
        assert reply["parameters"]["missed"] == 0


def test_a_watcher_that_hangs_up_is_forgotten(caller: Caller, door: FakeDoor):
    caller.ask("Watch", more=True)
    assert eventually(lambda: door.listeners)
    caller.sock.close()
    assert eventually(lambda: not door.listeners)
    door.decide()


def test_a_watcher_that_does_not_read_misses_decisions_and_never_holds_up_the_door(
    caller: Caller, door: FakeDoor
):
    caller.ask("Watch", more=True)
    assert eventually(lambda: door.listeners)
    for sequence in range(20_000):  # 4 MB, far beyond what the sockets hold
        door.decide(replace(EVENT, sequence=sequence))
    seen, missed, last = 0, 0, -1
    while last < 19_999:
        reply = caller.reply()
        assert reply is not None
        assert reply["parameters"]["event"]["sequence"] > last
        last = reply["parameters"]["event"]["sequence"]
        seen, missed = seen + 1, missed + reply["parameters"]["missed"]
    assert missed > 0
    assert seen + missed == 20_000
