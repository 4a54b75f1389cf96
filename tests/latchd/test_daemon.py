"""janusd with the latch of a real janus-latchd: who is let in, and what people are told when it is gone."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from latch_kit import CONTACT, RELAY, FolderChip, Rig, until

from janusd import main as composition
from janusd.config import LatchSection, parse
from janusd_hw import latch_remote
from janusd_hw.latch_remote import RemoteLatch
from support import painted_door


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, FolderChip(tmp_path / "chip", "persists"))
    rig.start()
    yield rig
    rig.close()


@pytest.fixture
def door(rig: Rig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[painted_door.Rig]:
    """A service whose latch janusd itself opened, as janus.toml says."""
    latch = composition.open_latch(LatchSection(driver="latchd", socket=rig.socket))
    assert isinstance(latch, RemoteLatch)
    latch._answer_s = 20  # the machine may be busy
    until(lambda: not latch.fault)
    monkeypatch.setattr(painted_door, "SimulatedLatch", lambda: latch)
    folder = tmp_path / "door"
    folder.mkdir(mode=0o700)
    door = painted_door.Rig(folder, parse(painted_door.QUICK + "[idle]\ngate = false"))
    yield door
    door.door.close()


def test_a_resident_moves_the_relay(rig: Rig, door: painted_door.Rig) -> None:
    assert isinstance(rig.chip, FolderChip)
    door.enrol("a", "Ada")
    door.play("..aaa")
    assert [level for _, level in rig.chip.timeline(RELAY)][:1] == [1]
    assert rig.log.read_text().count("release for") == 1
    until(lambda: rig.chip.level(RELAY) == 0)  # the service locks as it ends
    finding = next(found for found in door.door.doctor() if found.check == "latch")
    assert (finding.verdict, finding.detail) == ("ok", "janus-latchd front")


def test_without_latchd_a_resident_is_told_and_the_fault_is_logged(rig: Rig, door: painted_door.Rig) -> None:
    door.enrol("a", "Ada")
    rig.end()
    until(lambda: bool(door.latch.fault))
    door.play("aaa")
    matched = [event for event in door.events if event.reason == "matched"]
    assert matched
    assert not any(event.unlocks for event in matched)
    assert "use your key" in matched[0].hint
    assert any("janus-latchd" in entry.note for entry in door.door.log("", 100) if entry.kind == "fault")
    finding = next(found for found in door.door.doctor() if found.check == "latch")
    assert finding.verdict == "fail"
    assert "systemctl status janus-latchd" in finding.remedy


def test_a_forced_door_stands_in_the_door_log(rig: Rig, door: painted_door.Rig) -> None:
    time.sleep(1.1)  # past the grace after a lock
    rig.chip.pull(CONTACT, 0)
    until(lambda: door.latch.fault == "the door was forced open")
    assert door.door.status().state == "fault: the door was forced open"
    door.play("..")
    assert any("forced open" in entry.note for entry in door.door.log("", 100))


def test_a_latchd_that_ends_without_a_word_is_called_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call makes systemd start one whose latch.toml is wrong, and that fills the journal."""
    monkeypatch.setattr(latch_remote, "RETURN_S", 0.02)
    monkeypatch.setattr(latch_remote, "RETURN_MAX_S", 0.5)
    path, calls = str(tmp_path / "socket"), 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(0.1)
        latch = RemoteLatch(path, "front")
        end_s = time.monotonic() + 2.0
        while time.monotonic() < end_s:
            with contextlib.suppress(TimeoutError):
                listener.accept()[0].close()
                calls += 1
        latch.close()
    assert 3 <= calls <= 10  # of a hundred


def test_a_latchd_that_is_set_up_wrong_all_night_is_still_called_in_the_morning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latch_remote, "RETURN_MAX_S", 0.0)
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(30)
        latch = RemoteLatch(path, "front")
        for _ in range(1100):  # 2 ** 1024 is no float
            listener.accept()[0].close()
        latch.close()
