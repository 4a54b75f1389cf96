"""Cameras through OpenCV.

No V4L2 device exists on build machines: the devices here are a fake `cv2.VideoCapture`, and a film stands in
for what OpenCV really decodes. A real USB camera is not tested here.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.errors import CameraError
from janusd.ports import Camera
from janusd_hw import camera_opencv
from janusd_hw.camera_opencv import OpenCvCamera
from janusd_hw.clock import SystemClock


class FakeCapture:
    """A `cv2.VideoCapture` with a script: "f" a frame, "x" a failed read, "z" a frame of zero bytes."""

    script = "fff"
    opens = True
    made: list[FakeCapture] = []  # noqa: RUF012 - the fixture empties it

    def __init__(self, device: str, api: int = 0, params: list[int] | None = None) -> None:
        self.device, self.api, self.params = device, api, params
        self.properties: dict[int, float] = {}
        self.left = list(self.script)
        self.is_released = False
        FakeCapture.made.append(self)

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def set(self, prop: int, value: float) -> bool:
        self.properties[prop] = value
        return True

    def grab(self) -> bool:
        self.step = self.left.pop(0) if self.left else "x"
        return self.step != "x"

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        if self.step == "z":
            return True, np.zeros((0, 0, 3), np.uint8)
        return True, np.full((4, 6, 3), (10, 20, 30), np.uint8)

    def release(self) -> None:
        self.is_released = True


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[FakeCapture]:
    class Scripted(FakeCapture):
        pass

    FakeCapture.made = []
    monkeypatch.setattr(cv2, "VideoCapture", Scripted)
    monkeypatch.setattr(OpenCvCamera, "_reason", lambda self: "")
    return Scripted


def test_a_device_is_opened_as_wished_and_gives_rgb(capture: type[FakeCapture]) -> None:
    camera: Camera = OpenCvCamera(2, width=1280, height=720, fps=15)
    frame = next(camera.frames())
    (made,) = capture.made
    assert (made.device, made.api) == ("/dev/video2", cv2.CAP_V4L2)
    assert made.properties == {
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 15,
        cv2.CAP_PROP_BUFFERSIZE: 1,
    }
    assert frame.image.shape == (4, 6, 3)
    assert frame.image[0, 0].tolist() == [30, 20, 10]
    assert camera.name == "/dev/video2"


def test_frames_carry_the_time_of_the_doors_clock(capture: type[FakeCapture]) -> None:
    before_s = SystemClock().monotonic_s()
    frames = OpenCvCamera().frames()
    times = [next(frames).captured_s for _ in range(3)]
    assert before_s <= times[0] <= times[1] <= times[2] <= SystemClock().monotonic_s()


def test_a_failed_read_leaves_a_gap_in_the_count(capture: type[FakeCapture]) -> None:
    capture.script = "fxzfxxxff"
    frames = OpenCvCamera().frames()
    assert [next(frames).sequence, next(frames).sequence] == [0, 3]
    with pytest.raises(CameraError, match="/dev/video0 stopped giving frames"):
        next(frames)
    assert capture.made[0].is_released


def test_after_a_failure_the_camera_can_be_asked_again(capture: type[FakeCapture]) -> None:
    capture.script = "xxx"
    camera = OpenCvCamera()
    with pytest.raises(CameraError):
        next(camera.frames())
    capture.script = "f"
    assert next(camera.frames()).sequence == 0


def test_close_ends_the_frames_and_lets_go_of_the_device(capture: type[FakeCapture]) -> None:
    capture.script = "f" * 100
    camera = OpenCvCamera()
    seen = 0
    for _ in camera.frames():
        seen += 1
        if seen == 3:
            camera.close()
            camera.close()
    assert seen == 3
    assert capture.made[0].is_released
    assert list(camera.frames()) == []


def test_a_busy_device_is_named_with_how_to_find_its_holder(capture: type[FakeCapture]) -> None:
    capture.opens = False
    with pytest.raises(CameraError, match=r"/dev/video0.*fuser"):
        next(OpenCvCamera().frames())


def test_a_stream_is_opened_with_time_limits_and_named_without_its_password(
    capture: type[FakeCapture],
) -> None:
    camera = OpenCvCamera("rtsp://door:secret@10.0.0.7/stream")
    next(camera.frames())
    (made,) = capture.made
    assert made.api == cv2.CAP_FFMPEG
    assert made.params is not None
    assert cv2.CAP_PROP_OPEN_TIMEOUT_MSEC in made.params
    assert camera.name == "rtsp://10.0.0.7/stream"


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOENT, "plug the camera in"),
        (errno.EACCES, "udev rule"),
        (errno.EBUSY, "another program"),
        (errno.ENODEV, "unplugged"),
        (errno.EIO, "dmesg"),
    ],
)
def test_a_device_that_cannot_be_opened_says_why(
    monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(camera_opencv.os, "open", refuse)
    with pytest.raises(CameraError, match=remedy):
        next(OpenCvCamera("/dev/video9").frames())


def test_a_missing_device_is_said_by_the_real_opencv() -> None:
    with pytest.raises(CameraError, match=r"/dev/video-none.*No such file"):
        next(OpenCvCamera("/dev/video-none").frames())


def test_a_film_is_a_camera_that_is_unplugged_at_its_end(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (64, 48))
    for _ in range(2):
        writer.write(np.full((48, 64, 3), (0, 0, 255), np.uint8))
    writer.release()
    started_s = time.monotonic()
    frames = OpenCvCamera(str(film)).frames()
    assert next(frames).image[20, 20, 0] > 200  # red comes first
    next(frames)
    with pytest.raises(CameraError, match=r"film\.avi stopped giving frames"):
        next(frames)
    assert time.monotonic() - started_s < 5
