"""Two cameras as one: frames that belong together, and what happens when one of them fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.config import CameraSection
from janusd.core.types import Box, Frame
from janusd.errors import CameraError
from janusd.main import open_camera
from janusd.ports import Camera
from janusd_hw import camera_pair, camera_watch
from janusd_hw.camera_fake import FakeCamera
from janusd_hw.camera_pair import TOLERANCE_S, PairCamera
from janusd_hw.camera_watch import CameraWatch


class Stamped(FakeCamera):
    """A camera that gives frames of these times, at once."""

    def __init__(self, *times_s: float) -> None:
        super().__init__()
        self.times_s = times_s

    def frames(self) -> Iterator[Frame]:
        for sequence, at_s in enumerate(self.times_s):
            time.sleep(0.002)
            yield Frame(np.full((4, 4, 3), sequence, np.uint8), at_s, sequence)
        while not self._closed.wait(0.01):
            pass


@pytest.fixture
def pair() -> Iterator[tuple[PairCamera, FakeCamera, FakeCamera]]:
    colour, infrared = FakeCamera(), FakeCamera()
    yield PairCamera(colour, infrared), colour, infrared
    infrared.let_go.set()
    colour.close()
    infrared.close()


def partners(colour: tuple[float, ...], infrared: tuple[float, ...]) -> list[tuple[int, int]]:
    one = Stamped(*colour)
    one.frames = lambda: iter(list(_first(Stamped(*colour), len(colour))))  # type: ignore[method-assign]  # ends
    found = []
    for frame in PairCamera(one, Stamped(*infrared)).frames():
        assert frame.nir is not None
        found.append((frame.sequence, int(frame.nir[0, 0, 0])))
    return found


def _first(camera: Stamped, count: int) -> Iterator[Frame]:
    frames = camera.frames()
    return (next(frames) for _ in range(count))


def test_frames_of_the_same_moment_are_paired_and_others_left_out() -> None:
    assert partners((1.00, 1.07, 1.14), (1.01, 1.06, 1.30)) == [(0, 0), (1, 1)]


def test_each_infrared_frame_is_shown_once() -> None:
    assert partners((1.00, 1.01, 1.02), (1.01, 1.05)) == [(0, 0), (2, 1)]


def test_a_live_pair_gives_frames_within_the_tolerance(
    pair: tuple[PairCamera, FakeCamera, FakeCamera],
) -> None:
    camera: Camera = pair[0]
    frames = camera.frames()
    for _ in range(5):
        frame = next(frames)
        assert frame.nir is not None
        assert frame.nir.shape == frame.image.shape
    assert camera.name == "fake with fake"
    pair[0].meter(Box(1, 2, 3, 4))
    assert pair[1].metered
    camera.close()
    assert list(frames) == []
    assert TOLERANCE_S < 0.05


def test_an_infrared_camera_that_fails_ends_the_pair(
    pair: tuple[PairCamera, FakeCamera, FakeCamera],
) -> None:
    frames = pair[0].frames()
    next(frames)
    pair[2].mood = "unplugged"
    with pytest.raises(CameraError, match="is gone"):
        list(frames)
    assert not pair[1].is_open


def test_an_infrared_camera_that_goes_silent_is_told(pair: tuple[PairCamera, FakeCamera, FakeCamera]) -> None:
    frames = pair[0].frames()
    next(frames)
    pair[2].mood, silent_s = "silent", time.monotonic()
    with pytest.raises(CameraError, match="infrared camera fake gives no frame of the same moment"):
        list(frames)
    assert time.monotonic() - silent_s < 3


def test_an_infrared_camera_whose_driver_raises_anything_is_told(
    pair: tuple[PairCamera, FakeCamera, FakeCamera],
) -> None:
    frames = pair[0].frames()
    next(frames)
    pair[2].mood = "crashing"
    with pytest.raises(CameraError, match=r"the driver of fake failed.*a driver's own error"):
        list(frames)


class Late(FakeCamera):
    """A camera that takes its time to start."""

    def frames(self) -> Iterator[Frame]:
        self._closed.wait(2.0)
        yield from super().frames()


def test_an_infrared_camera_that_starts_later_is_waited_for() -> None:
    frames = PairCamera(FakeCamera(), Late()).frames()
    assert next(frames).nir is not None
    frames.close()  # type: ignore[attr-defined]  # a generator


def test_an_infrared_camera_that_never_starts_is_told(
    pair: tuple[PairCamera, FakeCamera, FakeCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera_pair, "_START_S", 0.3)
    pair[2].mood = "silent"
    with pytest.raises(CameraError, match="infrared camera fake gives no frame of the same moment"):
        list(pair[0].frames())
    assert camera_pair._START_S < camera_watch.START_S


def test_while_the_infrared_camera_hangs_in_its_driver_no_other_one_is_started(
    pair: tuple[PairCamera, FakeCamera, FakeCamera],
) -> None:
    made = [pair[0], PairCamera(FakeCamera(), FakeCamera())]
    watch = CameraWatch(lambda: made.pop(0), fps=30)
    frames = watch.open().frames()
    next(frames)
    pair[2].mood = "hanging"
    with pytest.raises(CameraError, match="no frames"):
        list(frames)
    time.sleep(1.0)  # the colour camera has let go by now
    with pytest.raises(CameraError, match="hangs and does not let the camera go"):
        watch.open()
    pair[2].let_go.set()
    end_s = time.monotonic() + 10
    while pair[0].is_stuck:
        assert time.monotonic() < end_s
        time.sleep(0.01)
    again = watch.open().frames()
    assert next(again).nir is not None
    again.close()  # type: ignore[attr-defined]  # a generator


def test_a_frozen_infrared_camera_is_seen_by_the_watch(
    pair: tuple[PairCamera, FakeCamera, FakeCamera],
) -> None:
    frames = CameraWatch(lambda: pair[0], fps=30).open().frames()
    next(frames)
    next(frames)
    pair[2].mood = "frozen"
    with pytest.raises(CameraError, match="the same picture again"):
        list(frames)


def test_one_recording_of_each_camera_is_played_as_a_pair(tmp_path: Path) -> None:
    for name, level in (("colour", 40), ("infrared", 140)):
        (tmp_path / name).mkdir()
        for number in range(6):
            picture = np.full((24, 32, 3), level + number, np.uint8)
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), picture)
    paths = {"path": str(tmp_path / "colour"), "nir_device": str(tmp_path / "infrared")}
    section = CameraSection(driver="replay", fps=6.0, **paths)  # slow enough for a busy machine
    seen = []
    for frame in open_camera(section).frames():
        assert frame.nir is not None
        seen.append((int(frame.image[0, 0, 1]) - 40, int(frame.nir[0, 0, 1]) - 140))
    assert len(seen) >= 2
    # Each plays in its own time: a busy machine may show one of them a frame later.
    assert all(abs(colour - infrared) <= 1 for colour, infrared in seen)


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    section = CameraSection(driver="replay", path=str(tmp_path), nir_device=str(tmp_path / "none"))
    with pytest.raises(CameraError, match="none"):
        open_camera(section)
