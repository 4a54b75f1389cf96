"""A camera that comes and goes: how soon it is opened again, and how often that is told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from janusd.core.types import Frame
from janusd.errors import CameraError
from janusd.service.watching import Watch
from janusd_hw.clock import FakeClock


class Flapping:
    """A camera that gives frames for some seconds and fails, as often as it is opened."""

    name = "a camera"

    def __init__(self, *lasts_s: float) -> None:
        self._lasts_s = list(lasts_s)
        self.clock = FakeClock()

    def open(self) -> Flapping:
        return self

    def frames(self) -> Iterator[Frame]:
        end_s = self.clock.monotonic_s() + self._lasts_s.pop(0)
        while (now_s := self.clock.monotonic_s()) <= end_s:
            yield Frame(np.zeros((2, 2, 3), np.uint8), now_s, 1)
            self.clock.advance(1.0)
        raise CameraError("the cable is loose", "press it in")

    def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("lasts_s", "waits_s", "told"),
    [
        ((0.0, 0.0, 0.0, 0.0), [1.0, 2.0, 4.0, 8.0], 1),  # one frame each time
        ((0.0, 0.0, 6.0, 0.0), [1.0, 2.0, 1.0, 2.0], 1),  # of use in between, and the same trouble still
        ((0.0, 90.0, 0.0, 0.0), [1.0, 1.0, 2.0, 4.0], 2),  # well in between
    ],
)
def test_a_camera_that_comes_and_goes_is_opened_later_and_later_and_told_once(
    lasts_s: tuple[float, ...], waits_s: list[float], told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, waited, written = Flapping(*lasts_s), [], []
    notes: Any = type("Notes", (), {"write": lambda _, kind, note: written.append((kind, note))})()
    watch = Watch(camera.open, camera.clock, notes)

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == len(lasts_s):
            watch.stop()

    monkeypatch.setattr(watch, "_pause", pause)
    watch.run(lambda _: None)
    assert waited == waits_s
    assert [kind for kind, _ in written] == told * ["fault"]
