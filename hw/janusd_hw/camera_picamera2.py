"""Raspberry Pi cameras through libcamera and picamera2."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from janusd.core.types import Frame
from janusd.errors import CameraError
from janusd_hw.clock import boottime_s

# libcamera names formats as DRM does, from the highest bits of a little-endian word down: its "RGB888" lies
# in memory as B, G, R. "BGR888" is the one whose numpy array is (H, W, 3) in the order red, green, blue.
_FORMAT = "BGR888"
_TIMEOUT_S = 2.0


class Picamera2Camera:
    """A `Camera` on the ribbon cable of a Raspberry Pi.

    `captured_s` is the sensor's own timestamp (start of exposure of the first line), which libcamera gives in
    nanoseconds of CLOCK_BOOTTIME: the clock of `SystemClock`. The camera is held only while `frames` runs.
    """

    def __init__(self, index: int = 0, *, width: int = 640, height: int = 480, fps: float = 30.0) -> None:
        """`index` counts as `rpicam-hello --list-cameras` does.

        Raises CameraError when picamera2 is missing.
        """
        try:
            self._library: Any = importlib.import_module("picamera2")
        except ImportError as e:
            raise CameraError(
                f"picamera2 cannot be imported: {e}",
                "run: apt install python3-picamera2, and create the venv with --system-site-packages",
            ) from e
        self._index = index
        self._width = width
        self._height = height
        self._fps = fps
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """For example "picamera2 0"."""
        return f"picamera2 {self._index}"

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`. Raises CameraError when the camera cannot be had or stops giving frames."""
        if self._closed.is_set():
            return
        camera = self._start()
        try:
            sequence = 0
            while not self._closed.is_set():
                request = self._next(camera)
                try:
                    image = np.array(request.make_array("main"), np.uint8)  # a copy: the buffer goes back
                    stamp_ns = request.get_metadata().get("SensorTimestamp")
                finally:
                    request.release()
                captured_s = boottime_s() if stamp_ns is None else stamp_ns / 1e9
                yield Frame(image, captured_s, sequence)
                sequence += 1
        finally:
            camera.stop()
            camera.close()

    def close(self) -> None:
        """End a running `frames` after its current frame. May be called twice, also from a signal handler."""
        self._closed.set()

    def _next(self, camera: Any) -> Any:  # noqa: ANN401 - picamera2 ships no types
        try:
            return camera.capture_request(wait=_TIMEOUT_S)
        except (TimeoutError, RuntimeError) as e:
            raise CameraError(
                f"the camera {self.name} stopped giving frames", "check its ribbon cable and `dmesg`"
            ) from e

    def _start(self) -> Any:  # noqa: ANN401 - picamera2 ships no types
        try:
            camera = self._library.Picamera2(self._index)
        except IndexError as e:
            raise CameraError(
                f"there is no camera {self._index}",
                "check the ribbon cable; `rpicam-hello --list-cameras` shows what is connected",
            ) from e
        except RuntimeError as e:
            raise CameraError(
                f"cannot open the camera {self.name}: {e}", "end the program that uses it"
            ) from e
        try:
            configuration = camera.create_video_configuration(
                main={"size": (self._width, self._height), "format": _FORMAT},
                controls={"FrameRate": self._fps},
                queue=False,  # never hand out a frame that waited: an old one is worth nothing at a door
            )
            camera.configure(configuration)
            camera.start()
        except RuntimeError as e:
            camera.close()
            raise CameraError(
                f"the camera {self.name} does not start at {self._width}x{self._height}: {e}",
                "choose a size and rate that `rpicam-hello --list-cameras` offers",
            ) from e
        return camera
