"""USB cameras, and network cameras, through OpenCV."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from janusd.core.types import Frame
from janusd.errors import CameraError
from janusd_hw.clock import boottime_s

if TYPE_CHECKING:
    import cv2

_FAILED_READS = 3  # one failed read happens (a corrupt MJPEG frame); three in a row mean the camera is gone
_STREAM_OPEN_MS = 5000
_STREAM_READ_MS = 2000

_REMEDIES = {
    errno.ENOENT: "plug the camera in; `ls /dev/video*` lists what is there",
    errno.ENODEV: "the camera was unplugged; plug it in again",
    errno.ENXIO: "the camera was unplugged; plug it in again",
    errno.EACCES: "give janusd's user this one device by a udev rule; group video opens more than cameras",
    errno.EPERM: "allow the device in the unit: DeviceAllow=char-video4linux rw",
    errno.EBUSY: "another program uses the camera: `fuser -v` on the device names it",
}


class OpenCvCamera:
    """A `Camera` on a V4L2 device, a video file or a stream OpenCV can open.

    The device is open only while `frames` runs, so that `frames` can simply be asked again
    after a CameraError.
    """

    def __init__(
        self, device: str | int = "/dev/video0", *, width: int = 640, height: int = 480, fps: float = 30.0
    ) -> None:
        """`device` is a path, the number in /dev/videoN, or a URL; size and rate are wishes to the driver."""
        import cv2  # noqa: PLC0415 - importing this module must not need OpenCV

        self._cv2 = cv2
        self._device = f"/dev/video{device}" if isinstance(device, int) else device
        self._width = width
        self._height = height
        self._fps = fps
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        """The device's path or URL, without a password in it."""
        scheme, separator, rest = self._device.partition("://")
        return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else self._device

    def frames(self) -> Iterator[Frame]:
        """Frames until `close`; `captured_s` is taken when the driver hands the frame over.

        Raises CameraError when the camera cannot be opened, or after three failed reads in a row.
        """
        if self._closed.is_set():
            return
        capture = self._open()
        try:
            failed = 0
            sequence = -1
            while not self._closed.is_set():
                sequence += 1
                grabbed = capture.grab()
                captured_s = boottime_s()
                fine, image = capture.retrieve() if grabbed else (False, None)
                if fine and image is not None and image.ndim == 3 and image.size:
                    failed = 0
                    yield Frame(
                        np.asarray(self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB), np.uint8),
                        captured_s,
                        sequence,
                    )
                    continue
                failed += 1
                if failed == _FAILED_READS:
                    raise CameraError(
                        f"the camera {self.name} stopped giving frames",
                        self._reason() or "check its cable and supply",
                    )
        finally:
            capture.release()

    def close(self) -> None:
        """End a running `frames` after its current frame. May be called twice, also from a signal handler."""
        self._closed.set()

    def _open(self) -> cv2.VideoCapture:
        cv = self._cv2
        capture: cv2.VideoCapture
        if "://" in self._device:
            limits = [
                cv.CAP_PROP_OPEN_TIMEOUT_MSEC,
                _STREAM_OPEN_MS,
                cv.CAP_PROP_READ_TIMEOUT_MSEC,
                _STREAM_READ_MS,
            ]
            capture = cv.VideoCapture(self._device, cv.CAP_FFMPEG, limits)
        elif self._device.startswith("/dev/"):
            if remedy := self._reason():
                raise CameraError(f"cannot open the camera {self.name}", remedy)
            capture = cv.VideoCapture(self._device, cv.CAP_V4L2)
            capture.set(cv.CAP_PROP_FRAME_WIDTH, self._width)
            capture.set(cv.CAP_PROP_FRAME_HEIGHT, self._height)
            capture.set(cv.CAP_PROP_FPS, self._fps)
            capture.set(cv.CAP_PROP_BUFFERSIZE, 1)  # an old frame is worth nothing at a door
        else:
            capture = cv.VideoCapture(self._device)
        if not capture.isOpened():
            capture.release()
            # a busy V4L2 device opens all the same and only refuses the format
            raise CameraError(
                f"OpenCV cannot use {self.name}",
                f"another program uses it (`fuser -v {self.name}` tells), or it is no camera",
            )
        return capture

    def _reason(self) -> str:
        """Why the device cannot even be opened, as a remedy; empty when it can, or is no device."""
        if not self._device.startswith("/dev/"):
            return ""
        try:
            os.close(os.open(self._device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as e:
            return f"{_REMEDIES.get(e.errno or 0, 'see `dmesg`')} ({e.strerror})"
        return ""
