"""Cameras through OpenCV.

No V4L2 device exists on build machines: the devices here are a fake `cv2.VideoCapture`, and a film and a
stream of this machine stand in for what OpenCV really decodes. A real USB camera is not tested here.
"""

from __future__ import annotations

import base64
import errno
import http.server
import os
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from janusd.errors import CameraError
from janusd.ports import Camera
from janusd_hw import camera_opencv, v4l2
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
    monkeypatch.setattr(
        v4l2, "is_virtual", lambda device, sys=None: False
    )  # test_camera_binding.py asks that
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


@pytest.mark.parametrize(("pixels", "code"), [("mjpeg", "MJPG"), ("yuyv", "YUYV")])
def test_pixels_are_asked_for_before_the_size(
    capture: type[FakeCapture], pixels: Literal["mjpeg", "yuyv"], code: str
) -> None:
    next(OpenCvCamera(pixels=pixels, backlight=True).frames())
    asked = capture.made[0].properties
    assert next(iter(asked.items())) == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*code))
    assert asked[cv2.CAP_PROP_BACKLIGHT] == 1


def test_another_camera_at_that_node_is_refused_and_the_right_one_found(
    capture: type[FakeCapture], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"/dev/video0": "Cam A @ usb-1.1", "/dev/video2": "Cam B @ usb-1.2"}
    monkeypatch.setattr(v4l2, "identity", there.__getitem__)
    monkeypatch.setattr(v4l2, "list_cameras", lambda: there)
    assert next(OpenCvCamera(identity="Cam A @ usb-1.1").frames()).sequence == 0
    with pytest.raises(
        CameraError, match=r"another camera: Cam A.*it is at /dev/video2 now: set camera\.device"
    ):
        next(OpenCvCamera(identity="Cam B @ usb-1.2").frames())
    with pytest.raises(CameraError, match="plug the right one in"):
        next(OpenCvCamera(identity="Cam C @ usb-1.2").frames())


def capability(card: bytes, bus: bytes, capabilities: int, of_node: int = 0) -> bytes:
    return struct.pack("16s32s32sIII12x", b"uvcvideo", card, bus, 0x061200, capabilities, of_node)


def test_a_node_is_asked_who_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = 0x8000_0000 | 0x1
    answers = {
        "video0": capability(b"HD Webcam\x1b", b"usb-0000:01:00.0-1.2", both, 0x1),
        "video1": capability(b"HD Webcam", b"usb-0000:01:00.0-1.2", both, 0x0080_0000),  # its metadata
        "video10": capability(b"Old", b"pci", 0x1),
    }
    for name in [*answers, "video2"]:
        (tmp_path / name).touch()

    def ioctl(fd: int, number: int, answer: bytearray) -> int:
        assert (number, len(answer)) == (0x80685600, 104)
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        if name not in answers:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        answer[:] = answers[name]
        return 0

    monkeypatch.setattr(v4l2.fcntl, "ioctl", ioctl)
    assert v4l2.list_cameras(tmp_path) == {
        str(tmp_path / "video0"): "HD Webcam? @ usb-0000:01:00.0-1.2",
        str(tmp_path / "video10"): "Old @ pci",
    }
    with pytest.raises(CameraError, match="captures no pictures"):
        v4l2.identity(str(tmp_path / "video1"))
    with pytest.raises(CameraError, match="no V4L2 device"):
        v4l2.identity(str(tmp_path / "video2"))


class Stream:
    """A network camera on this machine: pictures over HTTP, for whoever knows the password."""

    def __init__(self, frames: int) -> None:
        self.logins: list[str] = []
        self.let_go = threading.Event()
        stream = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                login = self.headers.get("Authorization", "")
                stream.logins.append(base64.b64decode(login.partition(" ")[2]).decode())
                if not login:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=next")
                self.end_headers()
                for level in range(frames):
                    picture = cv2.imencode(".jpg", np.full((48, 64, 3), 40 + level, np.uint8))[1].tobytes()
                    head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    time.sleep(0.03)
                stream.let_go.wait(30)  # a camera that hangs, not one that hangs up

            def log_message(self, *of: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()
        self.place = f"127.0.0.1:{self.server.server_port}/video.mjpg"

    def close(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def test_a_real_stream_gives_frames_and_a_stall_is_told_in_bounded_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stream, login = Stream(40), tmp_path / "camera-login"
    login.write_text("door:s3/cr@t\n")
    camera = OpenCvCamera(f"http://{stream.place}", login=login)
    try:
        frames = camera.frames()
        for _ in range(20):
            assert next(frames).image.shape == (48, 64, 3)
        started_s = time.monotonic()
        with pytest.raises(CameraError, match="stopped giving frames") as told:
            list(frames)
        print(f"\na stalled stream was told after {time.monotonic() - started_s:.1f} s")
        assert time.monotonic() - started_s < 12
    finally:
        stream.close()
    assert "door:s3/cr@t" in stream.logins
    said = "".join(capfd.readouterr()) + str(told.value) + camera.name
    assert "s3" not in said


def test_a_stream_that_never_answers_is_told_in_bounded_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    login = tmp_path / "login"
    login.write_text("door:s3cret")
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"rtsp://127.0.0.1:{mute.getsockname()[1]}/stream"
        started_s = time.monotonic()
        with pytest.raises(CameraError, match="check the address, the login and the network") as told:
            next(OpenCvCamera(address, login=login).frames())
    took_s = time.monotonic() - started_s
    print(f"\na stream that never answers was told after {took_s:.1f} s")
    assert took_s < 12
    assert "s3cret" not in "".join(capfd.readouterr()) + str(told.value)


def test_a_login_that_is_missing_is_named_without_its_content(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match=r"the login .*nowhere for rtsp://10\.0\.0\.7/s cannot be read"):
        next(OpenCvCamera("rtsp://10.0.0.7/s", login=tmp_path / "nowhere").frames())


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
