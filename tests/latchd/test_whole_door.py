"""janusd before a real janus-latchd: the lock's thread and the camera's never wait for each other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from latch_kit import DOOR, RELAY, FolderChip, until
from latch_kit import Rig as LatchRig

from janusd.config import parse
from janusd.core.forward import Line
from janusd.main import _hear
from support import painted_door
from support.painted_door import QUICK, Rig, Script

CODE = 25


@pytest.fixture
def chip(tmp_path: Path) -> FolderChip:
    return FolderChip(tmp_path / "chip", "falls")


@pytest.fixture
def lock(tmp_path: Path, chip: FolderChip) -> Iterator[LatchRig]:
    (tmp_path / "latch").mkdir()
    door = DOOR.replace("pir = {", f"code = {{ line = {CODE}, debounce_s = 0.005 }}, pir = {{")
    rig = LatchRig(tmp_path / "latch", chip, door)
    chip.pull(CODE, 0)
    rig.start()
    yield rig
    rig.close()


def test_a_press_in_the_moment_somebody_is_let_in_holds_up_nobody(
    lock: LatchRig, chip: FolderChip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a decision is written down and the lock is asked, the lock's thread hears of the button."""
    latch = lock.latch()
    monkeypatch.setattr(painted_door, "SimulatedLatch", lambda: latch)
    (tmp_path / "door").mkdir(mode=0o700)
    rig = Rig(tmp_path / "door", parse(QUICK + "[idle]\ngate = false"))
    heard = threading.Event()

    def hear(news: Any) -> None:
        heard.set()
        _hear(rig.door, news)

    latch.listen(hear)
    rig.enrol("a", "Ada")
    append = rig.door._notes._journal.append

    def slow(*words: Any, **more: Any) -> Line:
        if words[:2] == ("decision", "matched"):
            chip.pull(CODE, 1)
            assert heard.wait(20)
            time.sleep(0.05)  # the lock's thread is in `press` now
        return append(*words, **more)

    monkeypatch.setattr(rig.door._notes._journal, "append", slow)
    rig.cameras = [Script("aaa" + "." * 30)]
    eyes = threading.Thread(target=rig.door.run, daemon=True)
    eyes.start()
    until(lambda: rig.door.status().frames == 33)
    assert rig.door.status().unlocks == 1
    assert 1 in [level for _, level in chip.timeline(RELAY)]
    rig.door.stop()
    eyes.join(10)
    assert not eyes.is_alive()
    rig.door.close()
