"""`janusctl report`: a support file in which nobody is named, pictured or given away."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.cli import device
from janusd.cli.main import main
from janusd.cli.redact import Redactor
from janusd.cli.setup.place import Place
from janusd.door import Entry, Finding, Person
from janusd.escape import escape
from janusd.survey import settings
from support.fake_door import FakeDoor
from support.serving import serving

Screen = pytest.CaptureFixture[str]

NAMES = ["Anna Berg", "Zoë O'Neil-Díaz", "bob", "Door", "7", "Łukasz\nUNLOCK", "Иван", "Straße"]
GONE = ["Mallory Forgotten", "Old Name"]
"""Of somebody who was forgotten, and of somebody who was renamed."""
KEY = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TEMPLATE = base64.b64encode(bytes(range(256))).decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(range(200))).decode()
EMBEDDING = str([round(0.0137 * n - 0.9, 4) for n in range(128)])
SECRETS = [KEY, KEY.upper(), TEMPLATE, JPEG, EMBEDDING, "3-1-4-2", "192.168.7.13", "fe80::1:2:3:4",
           "dc:a6:32:01:02:03", "anna@example.org", "/home/annab/photos", "10000000abcdef12"]  # fmt: skip

JANUS = """\
[camera]
driver = "opencv"
device = "rtsp://192.168.7.13/hunter2"
login = "hunter2"
fps = 12.5
[latch]
door = "Anna Berg"
[control]
group = "annab"
owners = [1017]
[model]
threads = 2
"""


def janus_line(message: object, **more: str) -> str:
    return json.dumps(
        {"__REALTIME_TIMESTAMP": "1795000000000000", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "janusd",
         "_HOSTNAME": "annas-door", "MESSAGE": message, **more}
    )  # fmt: skip


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDoor]:
    """A door whose every free text gives away all it can, beside a systemd that does the same."""
    door = FakeDoor([Person(name, "2026-11-22T08:00:00+00:00", 5, "") for name in NAMES])
    door.entries += [
        Entry(6, "2026-11-22T09:00:00+00:00", "forgot", "", GONE[0], ""),
        Entry(7, "2026-11-22T09:00:00+00:00", "renamed", "", "bob", f"was {GONE[1]}"),
    ]
    chatter = " / ".join([*NAMES, *GONE, *SECRETS])
    door.findings = [Finding("camera", "fail", f"fault: {chatter}", f"ask {chatter}")]
    door.current = replace(door.current, camera=f"rtsp://{chatter}", state=f"fault: {chatter}")
    said = [
        janus_line(f"uid 0 asks Forget {name}") for spelled in [*NAMES, *GONE]
        for name in (spelled, escape(spelled), spelled.upper(), unicodedata.normalize("NFD", spelled))
    ]  # fmt: skip
    said += [janus_line(f"it went wrong with {secret}") for secret in SECRETS]
    said += [janus_line("#7 whatever", JANUS_CODE="JANUS-FAULT"), janus_line([255, 216]), "no json", "[]"]
    said += [janus_line("#8 a call for help", JANUS_CODE="JANUS-DURESS")]
    (tmp_path / "journal").write_text("\n".join(said))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in (("journalctl", f"cat {tmp_path}/journal"), ("systemctl", "echo ActiveState=active")):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(device, "_SYSTEMD", tmp_path)
    monkeypatch.setattr(device, "settings", lambda: settings(JANUS, ""))
    monkeypatch.setattr(device, "survey", lambda: [f"camera: opencv /dev/video0: {chatter}"])
    monkeypatch.setattr(device, "hosts", lambda: ["annas-door"])
    monkeypatch.setattr(device, "users", lambda: ["annab"])
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path / "control", door):
        yield door


def words(text: str) -> str:
    """The text without what stands in a name's place."""
    for kind in ("person", "device", "user"):
        for number in range(1, 20):
            text = text.replace(f"{kind}-{number}", "")
    return unicodedata.normalize("NFC", text).casefold()


def test_no_name_no_embedding_no_key_and_no_picture_is_in_it(door: FakeDoor, tmp_path: Path) -> None:
    assert main(["report", "out.txt", "--yes"]) == 0
    text = (tmp_path / "out.txt").read_text()
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    left = words("\n".join(lines))
    for name in [*NAMES, *GONE, "annas-door", "annab", "Anna", "Berg", "Díaz", "Mallory", "Forgotten"]:
        if len(name) > 1:
            assert name.casefold() not in left.replace("outdoor", ""), name
    for secret in SECRETS:
        assert secret.casefold() not in left, secret
        assert secret[:24].casefold() not in left, secret
    assert "person-1" in text
    assert "JANUS-FAULT" in text
    assert "DURESS" not in text


def test_it_asks_the_door_for_nothing_that_holds_a_face(door: FakeDoor) -> None:
    assert main(["report", "--yes"]) == 0
    assert {asked[0] for asked in door.asked} == {"log", "people", "status", "doctor", "measure"}
    assert main(["report", "again.txt", "--yes", "--no-bench"]) == 0
    assert [asked[0] for asked in door.asked].count("measure") == 1


def test_one_person_has_one_number_throughout(door: FakeDoor, capsys: Screen) -> None:
    assert main(["report", "--show"]) == 0
    shown = capsys.readouterr().out
    of_bob = {line.rsplit(" ", 1)[-1] for line in shown.splitlines() if "asks Forget" in line}
    assert len(of_bob & {f"person-{n}" for n in range(1, 20)}) >= len(NAMES) + len(GONE) - 2


def test_settings_show_numbers_and_choices_and_only_that_free_text_is_set() -> None:
    told = "\n".join(settings(JANUS, '[door.annas]\nrelay = 17\nlock = "fail-safe"\nhold_max_s = 9\n'))
    assert '[camera] driver = "opencv", device = (set), login = (set), fps = 12.5' in told
    assert "[control] owners = (1 set), group = (set)" in told or "group = (set)" in told
    assert "threads = 2" in told
    assert "relay = 17" in told
    assert '"fail-safe"' in told
    for secret in ("hunter2", "Anna", "1017", "annas", "rtsp"):
        assert secret not in told


def test_what_is_wrong_with_a_file_is_told_without_the_value() -> None:
    told = "\n".join(settings('[camera]\nfps = "hunter2"\n', ""))
    assert "camera.fps" in told
    assert "hunter2" not in told


def test_it_says_what_is_inside_before_it_writes_and_overwrites_nothing(
    door: FakeDoor, tmp_path: Path, capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "n")
    assert main(["report", "mine.txt"]) == 1
    shown = capsys.readouterr().out
    assert "journal" in shown.split("Nothing was written")[0]
    assert not (tmp_path / "mine.txt").exists()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(["report", "mine.txt"]) == 0
    assert stat.S_IMODE((tmp_path / "mine.txt").stat().st_mode) == 0o600
    before = (tmp_path / "mine.txt").read_bytes()
    assert main(["report", "mine.txt", "--yes"]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_bytes() == before


def test_it_writes_through_no_link(door: FakeDoor, tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "elsewhere")
    assert main(["report", "link.txt", "--yes"]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_without_anybody_to_ask_it_says_how(door: FakeDoor, capsys: Screen) -> None:
    assert main(["report"]) == 2
    assert "add --yes" in capsys.readouterr().err


def test_without_a_daemon_the_journals_words_stay_out(
    door: FakeDoor, capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_SOCKET", "/nowhere/control")
    assert main(["report", "--json"]) == 0
    sections = {one["title"]: one["lines"] for one in json.loads(capsys.readouterr().out)["sections"]}
    assert "no janusd answers" in sections["status"]
    assert any("JANUS-FAULT" in line for line in sections["journal"])
    assert not any("asks" in line or "went wrong" in line for line in sections["journal"])


@pytest.mark.slow  # two processes that load the networks
def test_the_device_is_asked_as_setup_asks_it(tmp_path: Path) -> None:
    (tmp_path / "etc/janus").mkdir(parents=True)
    (tmp_path / "etc/janus/janus.toml").write_text(JANUS)
    place = Place(tmp_path)
    assert any("fps = 12.5" in line for line in device.settings(place))
    assert any(line.startswith("model: janus-") for line in device.survey(place))
    assert sys.platform == "linux"


UNSHOWN = ("Cs", "Cc", "Cf", "Zs", "Co", "Cn", "Zl", "Zp")


@given(
    name=st.text(st.characters(exclude_categories=UNSHOWN), min_size=1),
    before=st.text(max_size=12),
    after=st.text(max_size=12),
)
def test_a_name_between_other_words_is_replaced_whatever_it_is(name: str, before: str, after: str) -> None:
    redactor = Redactor([name])
    for spelled in (name, escape(name), unicodedata.normalize("NFD", name)):
        assert redactor.leaks(redactor.text(f"{before} {spelled} {after}")) == []


@given(secret=st.binary(min_size=16, max_size=64))
def test_neither_hexadecimal_nor_base64_of_a_key_passes(secret: bytes) -> None:
    redactor = Redactor([])
    assert secret.hex() not in redactor.text(f"key {secret.hex()}.")
    encoded = base64.b64encode(secret).decode()
    assert encoded not in redactor.text(f"sealed under {encoded} today")
