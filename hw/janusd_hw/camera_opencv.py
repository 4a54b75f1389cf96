"""USB cameras, and network cameras, through OpenCV.

V4L2's buffers are OpenCV's business: it has met more drivers than we shall. What it does not tell, which
camera this is, one ioctl of our own asks (`v4l2`).

A stream's login is no part of its address: it comes as a credential, goes to FFmpeg in memory, and into no
message. FFmpeg is told to say nothing by itself.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

import numpy as np

from janusd.core.types import Frame
from janusd.errors import CameraError, CameraExchanged
from janusd_hw import v4l2
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
        self,
        device: str | int = "/dev/video0",
        *,
        width: int = 640,
        height: int = 480,
        fps: float = 30.0,
        pixels: Literal["auto", "mjpeg", "yuyv"] = "auto",
        identity: str = "",
        login: Path | None = None,
        backlight: bool = False,
        is_insecure: bool = False,
    ) -> None:
        """`device` is a path, the number in /dev/videoN, or a URL; size and rate are wishes to the driver.

        `pixels` is how a USB camera sends them: "yuyv" as they are, "mjpeg" compressed, for larger sizes on
        USB 2. `identity`, where it is given, is the only camera that is accepted there, see `v4l2`. `login`
        is a file with "user:password" for a stream. `backlight` asks a USB camera to brighten what is before
        a bright ground. `is_insecure` also takes a node that a program plays camera at.
        """
        import cv2  # noqa: PLC0415 - importing this module must not need OpenCV

        self._cv2 = cv2
        self._device = f"/dev/video{device}" if isinstance(device, int) else device
        self._width = width
        self._height = height
        self._fps = fps
        self._pixels, self._identity, self._login, self._backlight = pixels, identity, login, backlight
        self._is_insecure = is_insecure
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
            os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"  # AV_LOG_QUIET: its messages hold addresses
            capture = cv.VideoCapture(self._address(), cv.CAP_FFMPEG, limits)
        elif self._device.startswith("/dev/"):
            if remedy := self._reason():
                raise CameraError(f"cannot open the camera {self.name}", remedy)
            self._refuse_another()
            capture = cv.VideoCapture(self._device, cv.CAP_V4L2)
            if self._pixels != "auto":  # before the size: the sizes there are depend on it
                code = {"mjpeg": "MJPG", "yuyv": "YUYV"}[self._pixels]
                capture.set(cv.CAP_PROP_FOURCC, cv.VideoWriter.fourcc(*code))
            capture.set(cv.CAP_PROP_FRAME_WIDTH, self._width)
            capture.set(cv.CAP_PROP_FRAME_HEIGHT, self._height)
            capture.set(cv.CAP_PROP_FPS, self._fps)
            capture.set(cv.CAP_PROP_BUFFERSIZE, 1)  # an old frame is worth nothing at a door
            if self._backlight:
                capture.set(cv.CAP_PROP_BACKLIGHT, 1)  # a camera without it ignores that
        else:
            capture = cv.VideoCapture(self._device)
        if not capture.isOpened():
            capture.release()
            # a busy V4L2 device opens all the same and only refuses the format
            raise CameraError(
                f"OpenCV cannot use {self.name}",
                "check the address, the login and the network"
                if "://" in self._device
                else f"another program uses it (`fuser -v {self.name}` tells), or it is no camera",
            )
        return capture

    def _refuse_another(self) -> None:
        """Raise CameraExchanged where the camera at this node is not the one that was set up, or none."""
        if not self._is_insecure:
            v4l2.refuse_virtual(self._device)
        if not self._identity:
            return
        found, wanted = v4l2.identity(self._device), self._identity
        if not v4l2.is_that(found, wanted):
            there = v4l2.list_cameras().items()
            elsewhere = next((node for node, who in there if v4l2.is_that(who, wanted)), "")
            raise CameraExchanged(
                f"at {self.name} there is another camera: {found}, not {self._identity}",
                f"it is at {elsewhere} now: set camera.device"
                if elsewhere
                else "plug the right one in; if you changed it on purpose, set camera.identity",
            )

    def _address(self) -> str:
        """The stream's address with its login."""
        if self._login is None:
            return self._device
        try:
            user, _, password = self._login.read_text(encoding="utf-8").strip().partition(":")
        except (OSError, UnicodeDecodeError) as e:
            raise CameraError(
                f"the login {self._login} for {self.name} cannot be read ({type(e).__name__})",
                'put "user:password" into that credential',
            ) from e
        scheme, _, rest = self._device.partition("://")
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest.rpartition('@')[2]}"

    def _reason(self) -> str:
        """Why the device cannot even be opened, as a remedy; empty when it can, or is no device."""
        if not self._device.startswith("/dev/"):
            return ""
        try:
            os.close(os.open(self._device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as e:
            return f"{_REMEDIES.get(e.errno or 0, 'see `dmesg`')} ({e.strerror})"
        return ""
