"""Raspberry Pi cameras through libcamera and picamera2.

The image processor gives two streams at no cost: `main`, from which faces are cut, and `lores`, whose first
plane is the luma that the idle gate looks at.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from janusd.core.types import Box, Frame
from janusd.errors import CameraError, CameraExchanged
from janusd_hw.clock import boottime_s
from janusd_hw.metering import Metering

# libcamera names formats as DRM does, from the highest bits of a little-endian word down: its "RGB888" lies
# in memory as B, G, R. "BGR888" is the one whose numpy array is (H, W, 3) in the order red, green, blue.
_FORMAT = "BGR888"
_SMALL, _SMALL_WIDTH_PX = "YUV420", 320
_TIMEOUT_S = 1.0
_BUSES = ("/base/", "\\_SB_")
"""How libcamera names what hangs on this board, by device tree and by ACPI; "Virtual0" and vimc's do not."""
MISSING = (ImportError, AttributeError, ValueError)
"""What its import raises where it is not there, or was built for another numpy ("dtype size changed")."""
# Numbers of libcamera's enums, which this driver need not import.
_SHORT_EXPOSURES, _CENTRE_WEIGHTED, _AWB_AUTO = 1, 0, 0


class Picamera2Camera:
    """A `Camera` on the ribbon cable of a Raspberry Pi.

    `captured_s` is the sensor's own timestamp (start of exposure of the first line), which libcamera gives in
    nanoseconds of CLOCK_BOOTTIME: the clock of `SystemClock`. The camera is held only while `frames` runs.

    Exposure prefers gain to long exposures, which blur whoever walks, and never exceeds a frame's time; where
    `meter` says where the face is, it follows the face (`metering`) instead of a bright sky behind it.
    """

    def __init__(
        self,
        index: int = 0,
        *,
        width: int = 640,
        height: int = 480,
        fps: float = 30.0,
        identity: str = "",
        backlight: bool = True,
        is_insecure: bool = False,
    ) -> None:
        """`index` counts as `rpicam-hello --list-cameras` does.

        `identity`, where it is given, is the only camera accepted there, as `list_cameras` names it.
        `backlight` follows faces with the exposure. `is_insecure` also takes one that libcamera makes up.

        Raises CameraError when picamera2 is missing, or cannot be loaded here.
        """
        try:
            self._library: Any = importlib.import_module("picamera2")
        except MISSING as e:
            raise CameraError(
                f"picamera2 cannot be imported: {e}",
                "run: apt install python3-picamera2, and create the venv with --system-site-packages; where"
                " numpy is named, pip's hides the system's: install the one that picamera2 was built for",
            ) from e
        self._index = index
        self._width = width
        self._height = height
        self._fps = fps
        self._identity = identity
        self._metering = Metering() if backlight else None
        self._is_insecure = is_insecure
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
        small_width, small_height = self._small
        metering = self._metering if "ExposureValue" in camera.camera_controls else None
        try:
            sequence = 0
            while not self._closed.is_set():
                request = self._next(camera)
                try:
                    image = np.array(request.make_array("main"), np.uint8)  # a copy: the buffer goes back
                    # Planes one below the other, each line as long as the stride: only its begin is picture.
                    small = np.array(request.make_array("lores")[:small_height, :small_width], np.uint8)
                    stamp_ns = request.get_metadata().get("SensorTimestamp")
                finally:
                    request.release()
                captured_s = boottime_s() if stamp_ns is None else stamp_ns / 1e9
                if metering is not None and (ev := metering.change(image, captured_s)) is not None:
                    camera.set_controls({"ExposureValue": ev})
                yield Frame(image, captured_s, sequence, luma=small)
                sequence += 1
        finally:
            camera.stop()
            camera.close()

    def meter(self, box_px: Box) -> None:
        """Expose for this part of the picture from now on."""
        if self._metering is not None:
            self._metering.ask(box_px)

    def close(self) -> None:
        """End a running `frames` after its current frame. May be called twice, also from a signal handler."""
        self._closed.set()

    def _next(self, camera: Any) -> Any:  # noqa: ANN401 - picamera2 ships no types
        try:
            return camera.capture_request(wait=_TIMEOUT_S)
        except (TimeoutError, RuntimeError) as e:
            # What nothing answers is still first in picamera2's queue, and `stop` would wait behind it.
            camera.cancel_all_and_flush()
            raise CameraError(
                f"the camera {self.name} stopped giving frames", "check its ribbon cable and `dmesg`"
            ) from e

    @property
    def _small(self) -> tuple[int, int]:
        """Width and height of the small stream: both even, as its format needs."""
        width = min(_SMALL_WIDTH_PX, self._width)
        return width // 2 * 2, round(width * self._height / self._width / 2) * 2

    def _refuse_another(self) -> None:
        """Raise CameraError where there is none of this number, CameraExchanged where it is another one."""
        found = list_cameras(self._library)
        if not self._identity and self._index not in found:
            raise CameraError(
                f"there is no camera {self._index}",
                "check the ribbon cable; `rpicam-hello --list-cameras` shows what is connected",
            )
        place = found.get(self._index, "").partition(" @ ")[2]
        if place and not self._is_insecure and not place.startswith(_BUSES):
            raise CameraExchanged(
                f"{self.name} is no camera of this board, but one that libcamera makes up ({place})",
                "set camera.device to another; to try things out all the same: camera.insecure = true",
            )
        if self._identity and found.get(self._index) != self._identity:
            there = next((index for index, who in found.items() if who == self._identity), None)
            raise CameraExchanged(
                f"{self.name} is another camera: {found.get(self._index, 'none')}, not {self._identity}",
                "check the ribbon cables; if you changed it on purpose, set camera.identity"
                if there is None
                else f'it is number {there} now: set camera.device = "{there}"',
            )

    def _start(self) -> Any:  # noqa: ANN401 - picamera2 ships no types
        self._refuse_another()
        try:
            camera = self._library.Picamera2(self._index)
        except (IndexError, RuntimeError) as e:
            raise CameraError(
                f"cannot open the camera {self.name}: {e}", "end the program that uses it"
            ) from e
        try:
            # Asked for what it does not offer, it would not start: a camera on USB meters by itself.
            configuration = camera.create_video_configuration(
                main={"size": (self._width, self._height), "format": _FORMAT},
                lores={"size": self._small, "format": _SMALL},
                controls={
                    control: wish
                    for control, offered_as, wish in (
                        ("FrameRate", "FrameDurationLimits", self._fps),
                        ("AeExposureMode", "AeExposureMode", _SHORT_EXPOSURES),
                        ("AeMeteringMode", "AeMeteringMode", _CENTRE_WEIGHTED),
                        ("AwbMode", "AwbMode", _AWB_AUTO),
                    )
                    if offered_as in camera.camera_controls
                },
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


def list_cameras(library: Any = None) -> dict[int, str]:  # noqa: ANN401 - picamera2 ships no types
    """Number -> model and place of each camera libcamera knows; empty without picamera2.

    Numbers are places in picamera2's own list, as `Picamera2` counts; "Num" in it is libcamera's count, which
    is another where there are two.
    """
    if library is None:
        try:
            library = importlib.import_module("picamera2")
        except MISSING:
            return {}
    known = library.Picamera2.global_camera_info()
    return {number: f"{at.get('Model', '?')} @ {at.get('Id', '?')}" for number, at in enumerate(known)}
