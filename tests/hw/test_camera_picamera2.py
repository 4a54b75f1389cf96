"""Raspberry Pi cameras, against a fake picamera2 that remembers what was asked of it.

picamera2 itself needs libcamera and a Raspberry Pi; that part is not tested here.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from janusd.core.types import Box
from janusd.errors import CameraError
from janusd.ports import Camera
from janusd_hw import discovery
from janusd_hw.camera_picamera2 import Picamera2Camera, list_cameras
from janusd_hw.clock import SystemClock


class FakeRequest:
    def __init__(self, number: int, metadata: dict[str, Any]) -> None:
        # what libcamera's "BGR888" looks like from numpy: red first
        self.buffer = np.full((4, 6, 3), (200, 100, number), np.uint8)
        self.metadata = metadata
        self.is_released = False

    def make_array(self, name: str) -> np.ndarray:
        assert not self.is_released
        if name == "main":
            return self.buffer
        assert name == "lores"  # three planes below each other, with lines longer than the picture is wide
        planes = np.full((6, 64), 255, np.uint8)
        planes[:4, :6] = np.arange(24).reshape(4, 6)
        return planes

    def get_metadata(self) -> dict[str, Any]:
        assert not self.is_released
        return self.metadata

    def release(self) -> None:
        self.is_released = True
        self.buffer[:] = 0  # the driver fills it anew


class FakePicamera2:
    """`picamera2.Picamera2`, as far as a door uses it."""

    cameras = 1
    made: list[FakePicamera2] = []  # noqa: RUF012 - the fixture empties it
    refuse: dict[str, Exception] = {}  # noqa: RUF012 - likewise
    stamps = True
    sensor = "imx708"
    camera_controls = dict.fromkeys(
        ("FrameDurationLimits", "AeExposureMode", "AeMeteringMode", "AwbMode", "ExposureValue"), (0, 1, 0)
    )

    def __init__(self, index: int) -> None:
        if index >= self.cameras:
            raise IndexError("list index out of range")  # just as terse as the real one
        self._maybe_refuse("open")
        self.calls: list[Any] = [("open", index)]
        self.requests: list[FakeRequest] = []
        FakePicamera2.made.append(self)

    @classmethod
    def global_camera_info(cls) -> list[dict[str, Any]]:
        # The place in this list is what `Picamera2` takes; "Num" is libcamera's own count, here backwards.
        return [
            {"Num": cls.cameras - 1 - n, "Model": cls.sensor, "Id": f"/base/i2c@{n}"}
            for n in range(cls.cameras)
        ]

    def set_controls(self, controls: dict[str, Any]) -> None:
        self.calls.append(("controls", controls))

    def _maybe_refuse(self, call: str) -> None:
        if call in self.refuse:
            raise self.refuse[call]

    def create_video_configuration(self, **wishes: Any) -> dict[str, Any]:
        return wishes

    def configure(self, configuration: dict[str, Any]) -> None:
        self._maybe_refuse("configure")
        self.calls.append(("configure", configuration))

    def start(self) -> None:
        self.calls.append("start")

    def cancel_all_and_flush(self) -> None:
        self.calls.append("cancel")

    def stop(self) -> None:
        self.calls.append("stop")

    def close(self) -> None:
        self.calls.append("close")

    def capture_request(self, wait: float) -> FakeRequest:
        assert wait > 0
        self._maybe_refuse("capture")
        number = len(self.requests)
        stamp = {"SensorTimestamp": 5_000_000_000 + number * 33_000_000} if self.stamps else {}
        self.requests.append(FakeRequest(number, stamp))
        return self.requests[-1]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    class Library(FakePicamera2):
        refuse: dict[str, Exception] = {}  # noqa: RUF012 - one a test

    FakePicamera2.made = []
    module = types.ModuleType("picamera2")
    module.__dict__["Picamera2"] = Library
    monkeypatch.setitem(sys.modules, "picamera2", module)
    return Library


def test_it_asks_for_the_format_whose_arrays_are_rgb(library: type[FakePicamera2]) -> None:
    camera: Camera = Picamera2Camera(width=1280, height=720, fps=25)
    frame = next(camera.frames())
    (made,) = library.made
    assert made.calls[:3] == [
        ("open", 0),
        (
            "configure",
            {
                "main": {"size": (1280, 720), "format": "BGR888"},
                "lores": {"size": (320, 180), "format": "YUV420"},
                "controls": {"FrameRate": 25, "AeExposureMode": 1, "AeMeteringMode": 0, "AwbMode": 0},
                "queue": False,
            },
        ),
        "start",
    ]
    assert frame.image[0, 0].tolist() == [200, 100, 0]
    assert camera.name == "picamera2 0"


def test_what_a_camera_does_not_offer_is_not_asked_of_it(library: type[FakePicamera2]) -> None:
    library.camera_controls = {"FrameDurationLimits": (0, 1, 0)}  # as one on USB: it meters by itself
    camera = Picamera2Camera(fps=25)
    frames = camera.frames()
    next(frames)
    camera.meter(Box(0, 0, 6, 4))
    next(frames)
    (made,) = library.made
    assert made.calls[1][1]["controls"] == {"FrameRate": 25}
    assert "controls" not in [call[0] for call in made.calls]


def test_the_small_streams_first_plane_is_the_luma_of_the_gate(library: type[FakePicamera2]) -> None:
    frame = next(Picamera2Camera(width=6, height=4).frames())
    assert frame.luma is not None
    assert frame.luma.tolist() == np.arange(24).reshape(4, 6).tolist()  # without the padding of its lines


def test_a_dark_face_is_exposed_for_and_forgotten_when_it_has_gone(library: type[FakePicamera2]) -> None:
    camera = Picamera2Camera()
    frames = camera.frames()
    next(frames)  # green is 100 in all its pictures: a face a little too dark
    camera.meter(Box(0, 0, 6, 4))
    next(frames)
    assert library.made[0].calls[-1] == ("controls", {"ExposureValue": pytest.approx(0.5, abs=0.05)})
    for _ in range(120):
        next(frames)
    assert library.made[0].calls[-1] == ("controls", {"ExposureValue": 0.0})


def test_another_camera_than_the_one_set_up_is_refused(library: type[FakePicamera2]) -> None:
    right = "imx708 @ /base/i2c@0"
    assert list_cameras() == {0: right}
    assert next(Picamera2Camera(identity=right).frames()).sequence == 0
    library.cameras = 2
    with pytest.raises(CameraError, match=r"is another camera.*it is number 0 now: set camera.device"):
        next(Picamera2Camera(1, identity=right).frames())
    library.sensor = "ov5647"
    with pytest.raises(CameraError, match=r"ov5647.*not imx708.*set camera\.identity"):
        next(Picamera2Camera(identity=right).frames())


def test_frames_are_copies_and_their_buffers_go_back(library: type[FakePicamera2]) -> None:
    frames = Picamera2Camera().frames()
    first, second = next(frames), next(frames)
    assert [r.is_released for r in library.made[0].requests] == [True, True]
    assert (first.image[0, 0, 2], second.image[0, 0, 2]) == (0, 1)
    assert first.image[0, 0, 0] == 200


def test_the_sensors_own_time_is_the_capture_time(library: type[FakePicamera2]) -> None:
    frames = Picamera2Camera().frames()
    assert [next(frames).captured_s for _ in range(2)] == pytest.approx([5.0, 5.033])


def test_without_a_sensor_time_the_doors_clock_serves(library: type[FakePicamera2]) -> None:
    library.stamps = False
    before_s = SystemClock().monotonic_s()
    assert before_s <= next(Picamera2Camera().frames()).captured_s <= SystemClock().monotonic_s()


def test_close_stops_the_camera_and_lets_it_go(library: type[FakePicamera2]) -> None:
    camera = Picamera2Camera()
    for frame in camera.frames():
        if frame.sequence == 2:
            camera.close()
            camera.close()
    assert library.made[0].calls[-2:] == ["stop", "close"]
    assert len(library.made[0].requests) == 3
    assert list(camera.frames()) == []


def test_a_missing_library_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(CameraError, match=r"apt install python3-picamera2.*--system-site-packages"):
        Picamera2Camera()


def test_a_library_built_for_another_numpy_is_as_good_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "numpy.dtype size changed, may indicate binary incompatibility"  # as a compiled part says
    (tmp_path / "picamera2.py").write_text(f"raise ValueError({broken!r})")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    with pytest.raises(CameraError, match=r"numpy\.dtype size changed.*built for"):
        Picamera2Camera()
    assert list_cameras() == {}
    assert discovery._ribbon_cameras() == []


def test_a_camera_that_is_not_there_is_said(library: type[FakePicamera2]) -> None:
    with pytest.raises(CameraError, match=r"there is no camera 3.*ribbon"):
        next(Picamera2Camera(3).frames())


def test_a_camera_in_use_is_said(library: type[FakePicamera2]) -> None:
    library.refuse["open"] = RuntimeError("Failed to acquire camera: Device or resource busy")
    with pytest.raises(CameraError, match=r"Device or resource busy.*end the program"):
        next(Picamera2Camera().frames())


def test_a_size_the_sensor_does_not_have_is_said_and_the_camera_let_go(library: type[FakePicamera2]) -> None:
    library.refuse["configure"] = RuntimeError("Camera configuration failed")
    with pytest.raises(CameraError, match="does not start at 7x5"):
        next(Picamera2Camera(width=7, height=5).frames())
    assert library.made[0].calls[-1] == "close"


def test_a_camera_that_goes_silent_is_said_and_let_go(library: type[FakePicamera2]) -> None:
    frames = Picamera2Camera().frames()
    next(frames)
    library.refuse["capture"] = TimeoutError()
    with pytest.raises(CameraError, match="stopped giving frames"):
        next(frames)
    # the real one's `stop` waits for ever behind a request that nothing answers
    assert library.made[0].calls[-3:] == ["cancel", "stop", "close"]
