"""The latch that remembers."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from hand_timers import HandTimers

from janusd.errors import LatchError
from janusd.ports import Latch
from janusd_hw.latch_simulated import LatchEvent, SimulatedLatch


def test_its_timeline_says_what_happened_when_and_why() -> None:
    timers = HandTimers()
    latch = SimulatedLatch(now_s=timers.now_s, timer=timers.timer)
    port: Latch = latch
    port.release(3, "alice")
    timers.pass_s(3)
    assert latch.timeline == (
        LatchEvent(1000.0, "released", "alice"),
        LatchEvent(1003.0, "locked", "hold over"),
    )
    assert latch.name == "simulated"
    assert not latch.is_released


def test_another_process_can_read_the_timeline_as_it_grows(tmp_path: Path) -> None:
    timers = HandTimers()
    file = tmp_path / "latch.jsonl"
    latch = SimulatedLatch(timeline_file=file, now_s=timers.now_s, timer=timers.timer)
    assert file.read_text() == ""
    latch.release(2, 'a "quoted"\nname')
    assert len(file.read_text().splitlines()) == 1
    latch.lock()
    latch.close()
    assert [json.loads(line) for line in file.read_text().splitlines()] == [
        {"at_s": 1000.0, "level": "released", "why": 'a "quoted"\nname'},
        {"at_s": 1000.0, "level": "locked", "why": "locked"},
    ]


def test_it_tells_a_listener(tmp_path: Path) -> None:
    heard: list[LatchEvent] = []
    done = threading.Event()

    def listen(event: LatchEvent) -> None:
        heard.append(event)
        if event.level == "locked":
            done.set()

    latch = SimulatedLatch(on_event=listen)
    latch.release(0.02, "alice")
    assert done.wait(5)
    assert [e.level for e in heard] == ["released", "locked"]
    latch.close()


def test_a_timeline_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(LatchError, match=r"timeline .*nowhere"):
        SimulatedLatch(timeline_file=tmp_path / "nowhere" / "latch.jsonl")
