"""The real janus-latchd: real process, socket, signals and time. Only the chip is a folder.

Times are printed (`pytest -rP`) and asserted loosely: the machine may be busy. `test_kernel.py` does the same
on the kernel's own simulated chip.
"""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from latch_kit import (
    BUZZER,
    CONTACT,
    DOOR,
    LAMP,
    PIR,
    RELAY,
    REX,
    SECOND,
    TAMPER,
    FolderChip,
    Rig,
    foreign_user,
    is_root,
    kill_times,
    show,
    until,
)

from janusd.errors import LatchError
from janusd.ports import Contact, Sign
from janusd_hw.fake_gpiod import After
from janusd_hw.indicator_latchd import LatchdIndicator
from janusd_hw.latch_remote import LatchNews, RemoteLatch, pack_ask
from janusd_hw.latchd.wire import Ask


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One that runs for many tests."""
    folder = tmp_path_factory.mktemp("latchd")
    rig = Rig(folder, FolderChip(folder / "chip", "persists"))
    rig.start()
    yield rig
    rig.close()
    assert "Traceback" not in rig.log.read_text()


@pytest.fixture
def latch(rig: Rig) -> Iterator[RemoteLatch]:
    latch = rig.latch()
    yield latch
    latch.close()
    until(lambda: rig.chip.level(RELAY) == 0)


@pytest.mark.parametrize("after", ["falls", "persists"])
def test_whoever_dies_or_hangs_in_mid_pulse_the_door_is_locked(tmp_path: Path, after: After) -> None:
    rig = Rig(
        tmp_path,
        FolderChip(tmp_path / "chip", after),
        door=DOOR.replace("heartbeat_s = 5", "heartbeat_s = 2"),
    )
    try:
        times = kill_times(rig)
    finally:
        rig.close()
    show(times, f"a dead owner's line {after}")
    assert max(times.values()) < 12, times  # long before the pulse of 15 s would have ended
    if after == "falls":
        assert times["latchd SIGKILL"] <= times["latchd SIGSTOP"]


def test_a_release_lasts_as_long_as_asked(rig: Rig, latch: RemoteLatch) -> None:
    latch.release(0.4, "matched Ada Byron")
    assert latch.is_released
    assert rig.chip.level(RELAY) == 1
    until(lambda: not latch.is_released)
    (on_s, on), (off_s, off) = rig.chip.timeline(RELAY)[-2:]  # type: ignore[attr-defined]
    assert (on, off) == (1, 0)
    assert off_s - on_s >= 0.39  # the chip notes a level a moment after it was set
    assert "matched" in rig.log.read_text()
    assert "Ada" not in rig.log.read_text()


def test_lock_ends_a_release(rig: Rig, latch: RemoteLatch) -> None:
    latch.release(10, "matched")
    latch.lock()
    assert rig.chip.level(RELAY) == 0
    assert not latch.is_released


def test_the_exit_button_works_with_nobody_connected(rig: Rig) -> None:
    rig.chip.pull(REX, 1)
    until(lambda: rig.chip.level(RELAY) == 1)
    rig.chip.pull(REX, 0)
    until(lambda: rig.chip.level(RELAY) == 0)


def test_contact_tamper_and_triggers_are_told(rig: Rig) -> None:
    news: list[LatchNews] = []
    latch = RemoteLatch(rig.socket, "front", on_news=news.append)
    assert latch.wait_until_ready(20)
    rig.chip.pull(PIR, 1)
    rig.chip.pull(PIR, 0)
    until(lambda: any(told.trigger == "pir" for told in news))
    time.sleep(1.1)  # past the grace after a lock
    rig.chip.pull(CONTACT, 0)
    until(lambda: latch.fault == "the door was forced open")
    assert latch.is_open
    assert latch.contact == Contact(is_open=True, is_forced=True, is_held_open=False, is_tampered=False)
    rig.chip.pull(CONTACT, 1)
    until(lambda: not latch.fault)
    rig.chip.pull(TAMPER, 1)
    until(lambda: latch.fault == "the enclosure is open")
    with pytest.raises(LatchError, match="refuses: the enclosure is open"):
        latch.release(1, "matched")
    assert latch.contact.is_tampered
    rig.chip.pull(TAMPER, 0)
    until(lambda: not latch.fault)
    latch.close()
    assert latch.contact == Contact(trouble="the latch is closed")  # nothing is known any more


def test_a_client_lights_a_lamp_for_a_while_and_never_beyond_its_own_end(rig: Rig) -> None:
    latch = rig.latch()
    indicator = LatchdIndicator(latch.indicate)
    indicator.show(Sign.LOOK, "look here")
    until(lambda: rig.chip.level(LAMP) == 1)
    indicator.show(Sign.SHUT, "")
    until(lambda: (rig.chip.level(LAMP), rig.chip.level(BUZZER)) == (0, 1))
    until(lambda: rig.chip.level(BUZZER) == 0)
    latch.indicate("led_alarm", 5)  # this door has none
    latch.indicate("relay", 5)
    latch.indicate("led_status", 20)
    until(lambda: rig.chip.level(LAMP) == 1)
    assert not latch.fault
    assert rig.chip.level(RELAY) == 0
    latch.close()
    until(lambda: rig.chip.level(LAMP) == 0)


@pytest.mark.parametrize("packet", [b"\x01\x03\x01\x00", b"x" * 300, pack_ask(Ask.HELLO, 3, text="front")])
def test_nonsense_ends_the_release_of_whoever_said_it(rig: Rig, packet: bytes) -> None:
    sock = rig.greeted()
    sock.send(pack_ask(Ask.RELEASE, 2, 15_000))
    until(lambda: rig.chip.level(RELAY) == 1)
    sock.send(packet)
    until(lambda: rig.chip.level(RELAY) == 0)
    while sock.recv(512):
        pass
    sock.close()


def test_one_who_does_not_listen_is_dropped(rig: Rig) -> None:
    sock = rig.greeted()
    sock.send(pack_ask(Ask.RELEASE, 2, 15_000))
    until(lambda: rig.chip.level(RELAY) == 1)
    with pytest.raises(OSError, match=r".*"):  # noqa: PT012 - one of many sends fails
        for number in range(2, 20_000):
            sock.send(pack_ask(Ask.BEAT, number))
    until(lambda: rig.chip.level(RELAY) == 0)
    sock.close()


def test_one_who_says_no_hello_is_dropped(rig: Rig) -> None:
    with rig.plain() as sock:
        assert sock.recv(512) == b""


def test_a_door_has_one_client(rig: Rig, latch: RemoteLatch) -> None:
    second = RemoteLatch(rig.socket, "front")
    until(lambda: "taken by another client" in second.fault)
    second.close()
    third = RemoteLatch(rig.socket, "cellar")
    until(lambda: "cellar is not in latch.toml" in third.fault)
    third.close()
    latch.release(0.3, "matched")


@pytest.mark.skipif(not is_root(), reason="only root can become another user")
def test_another_user_is_hung_up_on_before_a_byte_is_read(rig: Rig) -> None:
    for parent in (rig.folder, rig.folder.parent, rig.folder.parent.parent):
        parent.chmod(0o755)
    Path(rig.socket).chmod(0o666)
    assert foreign_user(rig.socket) == "0"
    assert "of user 65534" in rig.log.read_text()


def test_a_relay_that_cannot_be_written_or_does_not_move_is_a_fault_and_then_no_more(
    rig: Rig, latch: RemoteLatch
) -> None:
    chip = rig.chip
    assert isinstance(chip, FolderChip)
    for broken, said in (
        ({"write": errno.EIO}, "Input/output error"),
        ({"stuck": 0}, "set to 1 but reads 0"),
    ):
        chip.break_line(RELAY, **broken)
        with pytest.raises(LatchError, match=said):
            latch.release(5, "matched")
        assert not latch.is_released
        chip.break_line(RELAY)
        until(lambda: not latch.fault)
        latch.release(5, "matched")
        latch.lock()
        assert chip.level(RELAY) == 0


def test_a_lock_that_fails_is_tried_until_it_succeeds(rig: Rig, latch: RemoteLatch) -> None:
    chip = rig.chip
    assert isinstance(chip, FolderChip)
    latch.release(0.5, "matched")
    chip.break_line(RELAY, stuck=1)
    until(lambda: "set to 0 but reads 1" in latch.fault)
    chip.break_line(RELAY)
    until(lambda: not latch.fault)
    assert chip.level(RELAY) == 0


def test_a_relay_that_somebody_else_holds_is_a_fault_not_an_end(tmp_path: Path) -> None:
    chip = FolderChip(tmp_path / "chip", "persists")
    held = chip.hold(RELAY)
    rig = Rig(tmp_path, chip)
    rig.start()
    try:
        latch = RemoteLatch(rig.socket, "front")
        until(lambda: "another process holds it" in latch.fault)
        with pytest.raises(LatchError, match="another process holds it"):
            latch.release(1, "matched")
        os.close(held)
        until(lambda: not latch.fault)
        latch.release(0.3, "matched")
        latch.close()
    finally:
        rig.close()


def test_two_doors_of_an_interlock_a_magnet_and_no_false_edge_over_restarts(tmp_path: Path) -> None:
    chip = FolderChip(tmp_path / "chip", "persists")
    second = f'[door.inner]\nrelay = {SECOND}\nlock = "fail-safe"\nheartbeat_s = 5\n'
    rig = Rig(tmp_path, chip, door=DOOR + second, top="interlock = true")
    rig.start()
    try:
        assert (chip.level(RELAY), chip.level(SECOND)) == (0, 1)  # the magnet holds while it has current
        outer, inner = rig.latch(), rig.latch("inner")
        inner.release(10, "matched")
        assert chip.level(SECOND) == 0
        with pytest.raises(LatchError, match="another door is not closed"):
            outer.release(1, "matched")
        chip.pull(REX, 1)
        until(lambda: (chip.level(RELAY), chip.level(SECOND)) == (1, 1))
        chip.pull(REX, 0)
        rig.end()
        assert (chip.level(RELAY), chip.level(SECOND)) == (0, 1)
        before = len(chip.timeline(RELAY)), len(chip.timeline(SECOND))
        rig.start()
        rig.end()
        assert rig.lock_now() == 0
        assert (len(chip.timeline(RELAY)), len(chip.timeline(SECOND))) == before
    finally:
        rig.close()


def test_a_client_comes_back_to_a_latchd_that_was_away(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FolderChip(tmp_path / "chip", "persists"))
    latch = RemoteLatch(rig.socket, "front")
    try:
        until(lambda: "cannot be reached" in latch.fault)
        with pytest.raises(LatchError, match=r"cannot be reached.*systemctl status janus-latchd"):
            latch.release(1, "matched")
        latch.lock()
        rig.start()
        assert latch.wait_until_ready(20)
        rig.end()
        until(lambda: bool(latch.fault))
        assert not latch.is_released
        rig.start()
        assert latch.wait_until_ready(20)
        latch.release(0.5, "matched")
    finally:
        latch.close()
        rig.close()


def test_an_answer_that_does_not_come_is_an_error_in_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path, FolderChip(tmp_path / "chip", "persists"))
    rig.start()
    latch = RemoteLatch(rig.socket, "front", answer_s=0.3)
    assert rig.process is not None
    try:
        until(lambda: not latch.fault)
        os.kill(rig.process.pid, signal.SIGSTOP)
        start_s = time.monotonic()
        with pytest.raises(LatchError, match=r"does not answer|hangs"):
            latch.release(5, "matched")
        assert time.monotonic() - start_s < 10
        assert latch.fault
    finally:
        latch.close()
        rig.close()
