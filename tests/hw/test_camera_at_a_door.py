"""A door whose camera fails and comes back: who is let in meanwhile, and what its owner is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from janusd.config import parse
from janusd_hw.camera_fake import FakeCamera, Mood
from janusd_hw.camera_watch import CameraWatch, WatchedCamera
from janusd_hw.fakes import paint
from support.painted_door import QUICK, Rig, wait_until


class Cameras(list[WatchedCamera]):
    """What the rig takes its cameras from: each time the watch opens the next one."""

    def __init__(self, watch: CameraWatch) -> None:
        super().__init__([None])  # type: ignore[list-item]  # never empty
        self.watch = watch

    def pop(self, index: object = -1) -> WatchedCamera:
        return self.watch.open()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Rig]:
    house = Rig(tmp_path, parse(QUICK + "[idle]\ngate = false"))
    yield house
    house.door.close()


_LONGER = ("frozen", "looped", "stale", "silent")
"""Each is a second or two of doubt; `tests/hw/test_camera_watch.py` times them all, without a door."""


@pytest.mark.parametrize(
    "mood", ["unplugged", *(pytest.param(mood, marks=pytest.mark.slow) for mood in _LONGER)]
)
def test_nobody_is_let_in_by_a_camera_that_failed_and_everybody_again_by_one_that_works(
    house: Rig, mood: Mood
) -> None:
    house.enrol("a", "Ada")
    grey = np.repeat(FakeCamera()._scene[:, :, 1:2], 3, axis=2)  # a doorway, and nobody in it
    broken, works = FakeCamera(fps=15, scene=grey), FakeCamera(fps=15, scene=paint("a", side=90))
    made = [broken, works]
    house.cameras = Cameras(CameraWatch(lambda: made.pop(0), fps=15))  # type: ignore[assignment]  # see there
    running = threading.Thread(target=house.door.run)
    running.start()
    try:
        wait_until(lambda: len(house.events) >= 3)
        if mood == "frozen":
            broken._recorded = [paint("a", width=160, height=120, side=90)]  # one picture of Ada is not three
        broken.mood, failed_s = mood, time.monotonic()
        wait_until(lambda: house.door.status().state.startswith("fault: "))
        took_s = time.monotonic() - failed_s
        assert took_s < 3, took_s
        assert not house.releases
        wait_until(lambda: bool(house.releases))
        print(f"\n{mood}: fault after {took_s:.1f} s, open again after {time.monotonic() - failed_s:.1f} s")
    finally:
        house.door.stop()
        running.join(10)
        broken.close()
    assert any("fake" in entry.note for entry in house.door.log("", 100) if entry.kind == "fault")
