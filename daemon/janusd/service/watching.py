"""The watching loop: a camera kept open, its frames handed on, its faults told once.

Frames come to `see` one after the other, all from the thread that called `run`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import closing

from janusd.core.types import Box, Frame
from janusd.errors import CameraError, CameraExchanged, JanusError
from janusd.ports import Camera, Clock, Meter
from janusd.service.notes import Notes

_BACK_OFF_S = 1.0
_BACK_OFF_MAX_S = 30.0
_BEAT_S = 0.5
_USABLE_S = 5.0
"""A camera that gave frames for so long is opened again soon when it fails, not later and later."""
_WELL_S = 60.0
"""What fails after so long is told anew; until then it is the same trouble still."""


class Watch:
    """Over one camera, opened as often as it takes."""

    def __init__(self, open_camera: Callable[[], Camera], clock: Clock, notes: Notes) -> None:
        self._open_camera = open_camera
        self._clock = clock
        self._notes = notes
        self._stopping = threading.Event()
        self._camera: Camera | None = None
        self._beat_s = clock.monotonic_s()
        self.fault = ""
        """What was wrong last; the next frame clears it."""
        self._told = ""
        """What the camera was last said to fail of."""
        self.frame_s = -math.inf
        """When the newest frame was captured."""

    def run(self, see: Callable[[Frame], None]) -> None:
        """Watch until `stop`. Raises nothing a camera can cause: it is reopened, later and later."""
        back_off_s = _BACK_OFF_S
        try:
            while not self._stopping.is_set():
                try:
                    with closing(self._open_camera()) as camera:
                        self._camera, since_s = camera, math.inf
                        for frame in camera.frames():
                            if self._stopping.is_set():
                                break
                            self._beat_s = self._clock.monotonic_s()
                            since_s = min(since_s, self._beat_s)
                            self.fault = ""
                            if self._beat_s - since_s >= _USABLE_S:
                                back_off_s = _BACK_OFF_S
                            if self._beat_s - since_s >= _WELL_S:
                                self._told = ""
                            self.frame_s = frame.captured_s
                            see(frame)
                    if not self._stopping.is_set():  # a replay came to its end: the door has nothing to watch
                        self.fault = "the replay ended"
                        self._pause(math.inf)
                except CameraError as error:
                    if self._told != error.what:  # once, not at each retry
                        self.report(error)
                    self.fault = self._told = error.what
                    self._pause(back_off_s)
                    back_off_s = min(2 * back_off_s, _BACK_OFF_MAX_S)
        finally:
            self._camera = None

    def stop(self) -> None:
        """End `run` after its current frame."""
        self._stopping.set()
        if self._camera is not None:
            self._camera.close()

    def report(self, error: JanusError) -> None:
        """Write a fault down, once until the next frame."""
        if self.fault != error.what:
            self._notes.write("alarm" if isinstance(error, CameraExchanged) else "fault", note=str(error))
        self.fault = error.what

    def meter(self, box_px: Box) -> None:
        """Ask the camera to expose for that part of the picture, where it can."""
        camera: object = self._camera
        if isinstance(camera, Meter):
            camera.meter(box_px)

    def beat(self) -> None:
        """Something else than a frame was done, and takes long: this is no hang."""
        self._beat_s = self._clock.monotonic_s()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    @property
    def has_seen(self) -> bool:
        """Whether the camera gives frames."""
        return math.isfinite(self.frame_s) and not self.fault

    @property
    def camera(self) -> str:
        """Which camera is open, for messages."""
        camera = self._camera
        return camera.name if camera else "none"

    @property
    def silent_s(self) -> float:
        """For how long the loop has not come round: the watchdog's measure of a hang."""
        return self._clock.monotonic_s() - self._beat_s

    def _pause(self, seconds: float) -> None:
        """Wait, or until `stop`; a door that waits for its camera is not hung."""
        while seconds > 0 and not self._stopping.wait(min(seconds, _BEAT_S)):
            seconds -= _BEAT_S
            self._beat_s = self._clock.monotonic_s()
