"""janusd on the real picamera2, with libcamera's virtual camera for a sensor.

    virtual_camera.py ARGUMENTS     as janusd
    virtual_camera.py --look        our driver alone, looked at closely: {what was seen: a figure}

What is not picamera2's own here, and why:

- `ABSENT` it imports to write films and raw files and to draw on screens, which a door never does;
- the virtual camera has no raw stream, which picamera2 asks every camera for;
- it wants buffers of two planes: libcamera's own, where picamera2 has its own of one;
- it gives NV12 alone, where the image processor of a board gives red, green and blue;
- it gives a frame as soon as it is asked, where an exposure takes its time.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import MagicMock

sys.path.insert(0, "/opt/janus/lib")
ABSENT = ("PIL", "av", "pidng", "pidng.camdefs", "pidng.core", "piexif", "prctl", "pykms", "simplejpeg")
sys.modules.update({name: MagicMock() for name in ABSENT})

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import picamera2  # noqa: E402
from picamera2.allocators import LibcameraAllocator  # noqa: E402
from picamera2.request import CompletedRequest  # noqa: E402

from janusd.core.types import Frame  # noqa: E402
from janusd.errors import CameraError  # noqa: E402
from janusd.main import main  # noqa: E402
from janusd_hw.camera_picamera2 import Picamera2Camera, list_cameras  # noqa: E402
from janusd_hw.clock import boottime_s  # noqa: E402

FPS = 8


class Virtual(picamera2.Picamera2):
    """picamera2's own, on a camera that is none."""

    falls_silent = False
    """No buffer goes back to it from here on."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.allocator = LibcameraAllocator(self.camera)
        self.pre_callback = expose

    def _get_raw_modes(self) -> list[dict[str, Any]]:
        return [{"format": "NV12", "size": (640, 480)}]


def expose(request: CompletedRequest) -> None:
    """Hand a frame over when its time is over."""
    if Virtual.falls_silent:
        request.stop_count = None  # as if it were of a camera that was stopped since
    until_s = request.get_metadata()["SensorTimestamp"] / 1e9 + 1 / FPS
    time.sleep(max(0.0, until_s - time.monotonic()))


def make_array(request: CompletedRequest, stream: str, made: Any = CompletedRequest.make_array) -> np.ndarray:
    array = made(request, stream)
    return cv2.cvtColor(array, cv2.COLOR_YUV2RGB_NV12) if stream == "main" else array


def is_refused(frames: Iterator[Frame], why: str) -> bool:
    try:
        next(frames)
    except CameraError as refused:
        return why in str(refused)
    return False


def look() -> None:
    """Say what our driver gives, and that it refuses what it must. Raises AssertionError."""
    film, bars = "rig-film @ Virtual0", "rig-bars @ Virtual1"
    assert list_cameras() == {0: bars, 1: film}, list_cameras()
    assert is_refused(Picamera2Camera(1).frames(), "makes up")
    assert is_refused(Picamera2Camera(2, is_insecure=True).frames(), "there is no camera 2")
    assert is_refused(Picamera2Camera(0, identity=film, is_insecure=True).frames(), "it is number 1 now")
    frames, times_s, ages_s = Picamera2Camera(1, fps=FPS, is_insecure=True).frames(), [], []
    for _ in range(24):
        frame = next(frames)
        assert (frame.image.shape, frame.image.dtype) == ((480, 640, 3), np.uint8), frame.image.shape
        assert (frame.luma.shape, frame.luma.dtype) == ((240, 320), np.uint8), frame.luma.shape
        grey = cv2.resize(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), (320, 240))
        assert np.corrcoef(grey.ravel(), frame.luma.ravel())[0, 1] > 0.9, "the luma is another picture's"
        times_s.append(frame.captured_s)
        ages_s.append(boottime_s() - frame.captured_s)
    assert times_s == sorted(set(times_s)), times_s
    ages_s.sort()
    assert ages_s[0] >= 0, ages_s
    assert ages_s[len(ages_s) // 2] < 1, ages_s  # of most: a busy machine may look late
    Virtual.falls_silent, stopped_s = True, boottime_s()
    for _ in range(16):  # those that were under way, and those that had been handed over
        if is_silent := is_refused(frames, "stopped giving frames"):
            break
    assert is_silent
    age = f"{ages_s[len(ages_s) // 2]:.2f} / {ages_s[-1]:.2f}"
    figures = {
        "picamera2: frames of 640x480 with luma of 320x240, their times growing": len(times_s),
        "picamera2: age of a frame, s, median / worst": age,
        "picamera2: a silent camera told, and let go, after, s": round(boottime_s() - stopped_s, 2),
    }
    Virtual.falls_silent = False
    assert next(Picamera2Camera(1, fps=FPS, is_insecure=True).frames()).sequence == 0  # it can be had again
    print(json.dumps(figures))


picamera2.Picamera2 = Virtual
CompletedRequest.make_array = make_array

if __name__ == "__main__":
    sys.exit(look() if sys.argv[1:] == ["--look"] else main())
