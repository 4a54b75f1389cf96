"""A watchdog around any camera: only fresh frames pass, and a camera that fails is noticed and let go.

A thread takes frames from the driver, checks them (`frame_faults`) and keeps the newest; whoever watches the
door never waits inside a driver, and never gets a frame that waited. When no good frame came for `SILENT_S`,
whatever the reason, the camera is closed and the reason raised; the service opens it again.

A driver that hangs in the kernel cannot be ended. Its thread is left behind, and until it comes back no
second one is started on the same device.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from janusd.core.types import Box, Frame, Image
from janusd.door import Finding
from janusd.errors import CameraError
from janusd.ports import Camera, Meter
from janusd_hw import v4l2
from janusd_hw.camera_pair import PairCamera
from janusd_hw.clock import boottime_s
from janusd_hw.frame_faults import Fault, FrameCheck

SILENT_S = 1.2
"""Without a good frame for so long a camera has failed. With `_LOOK_S` and `_END_S` it is told after 1.6 s: a
busy board has 0.4 left of the two seconds that are promised."""
START_S = 15.0
"""Until the first frame: a stream may take five seconds to open, a sensor one to start, and ten where the
processor is small and has more to do."""
_LOOK_S = 0.1
_END_S = 0.3
"""A driver that lets go takes less."""
_MEASURE_EVERY = 15
"""Frames between looks at light and sharpness."""

_SILENT = Fault("silent", "no frames", "check the camera's cable and supply, and `dmesg`")


@dataclass(slots=True)
class Seen:
    """What the frames were like, for `janusctl doctor`."""

    times_s: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    refused: Counter[str] = field(default_factory=Counter)
    """Frames refused since the start, by kind."""
    luma: float = 128.0
    """Mean green, 0..255."""
    blown: float = 0.0
    """Part of the pixels at the upper end."""
    sharpness: float | None = None
    """See `sharpness`; None of a picture without contours."""

    def fps(self) -> float | None:
        """Frames a second, lately; None before there were enough to say."""
        if len(self.times_s) < 10:
            return None
        return (len(self.times_s) - 1) / max(1e-6, self.times_s[-1] - self.times_s[0])

    def look(self, frame: Frame) -> None:
        """Take in one good frame."""
        self.times_s.append(frame.captured_s)
        if len(self.times_s) % _MEASURE_EVERY == 1 or frame.sequence % _MEASURE_EVERY == 0:
            green = frame.image[::4, ::4, 1]
            self.luma, self.blown = float(green.mean()), float((green >= 250).mean())
            self.sharpness = sharpness(frame.image)


class CameraWatch:
    """Opens a door's camera, again and again."""

    def __init__(
        self,
        open_camera: Callable[[], Camera],
        *,
        fps: float = 15.0,
        silent_s: float = SILENT_S,
        start_s: float = START_S,
        now_s: Callable[[], float] = boottime_s,
    ) -> None:
        """`fps` is what was asked of the camera; `now_s` the clock of its frames."""
        self._open_camera = open_camera
        self._fps = fps
        self._silent_s, self._start_s, self._now_s = max(silent_s, 2.5 / fps), start_s, now_s
        self._stuck: WatchedCamera | None = None
        self.seen = Seen()

    def open(self) -> WatchedCamera:
        """Open the camera. Raises CameraError, also while an earlier one still hangs in its driver."""
        if self._stuck is not None:
            if self._stuck.is_stuck:
                raise CameraError(
                    f"the driver of {self._stuck.name} hangs and does not let the camera go",
                    "unplug the camera and plug it in again; if that does not help, restart the board",
                )
            self._stuck = None
        self.seen.times_s.clear()  # while there was no camera, none was slow
        return WatchedCamera(
            self._open_camera(), self.seen, self._silent_s, self._start_s, self._now_s, self._leave
        )

    def findings(self) -> list[Finding]:
        """What can be said of the camera by its frames."""
        seen, findings = self.seen, []
        fps = seen.fps()
        if fps is not None:
            findings.append(
                _finding("camera rate", fps >= 0.6 * self._fps, f"{fps:.0f} of {self._fps:g} frames a second",
                         "give it light (long exposures are slow), a shorter cable, or a smaller size")
            )  # fmt: skip
            dark, bright = seen.luma < 40, seen.luma > 215 or seen.blown > 0.25
            findings.append(
                _finding(
                    "camera light",
                    not dark and not bright,
                    f"mean {seen.luma:.0f} of 255, {100 * seen.blown:.0f} % blown out",
                    "a lamp above the door, or an infrared pair" if dark
                    else "turn the camera away from sky and lamps, or raise camera.backlight",
                )
            )  # fmt: skip
            if seen.sharpness is not None:
                findings.append(
                    _finding("camera focus", seen.sharpness >= SHARP, f"sharpness {seen.sharpness:.2f}",
                             "clean the lens and turn its ring until this number is largest")
                )  # fmt: skip
        if refused := seen.refused:
            words = ", ".join(f"{count} {kind}" for kind, count in sorted(refused.items()))
            findings.append(
                _finding("camera frames", False, f"refused since the start: {words}",
                         "a few after a start are normal; else see the door log for what to do")
            )  # fmt: skip
        return findings

    def _leave(self, camera: WatchedCamera) -> None:
        self._stuck = camera


class WatchedCamera:
    """A `Camera` whose frames are fresh, or there are none."""

    def __init__(
        self,
        camera: Camera,
        seen: Seen,
        silent_s: float,
        start_s: float,
        now_s: Callable[[], float],
        leave: Callable[[WatchedCamera], None],
    ) -> None:
        self._camera, self._seen, self._leave = camera, seen, leave
        self._silent_s, self._start_s, self._now_s = silent_s, start_s, now_s
        self._news = threading.Condition()
        """Guards all below."""
        self._newest: Frame | None = None
        self._good_s = 0.0
        """When the newest good frame came, or the camera was started."""
        self._fault: Fault | None = None
        """What was wrong with the last frame that was refused since."""
        self._failure: Exception | None = None
        self._has_ended = False
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The camera's own."""
        return self._camera.name

    @property
    def is_stuck(self) -> bool:
        """Whether the driver's thread is still there after it was told to end, or a pair's second one."""
        is_alive = self._thread is not None and self._thread.is_alive()
        return is_alive or (isinstance(self._camera, PairCamera) and self._camera.is_stuck)

    def frames(self) -> Iterator[Frame]:
        """Good frames, the newest each time; those that come meanwhile are skipped.

        Raises CameraError when the driver does, or no good frame came for too long; the reason says why.
        """
        if self._is_closed:
            return
        self._good_s, patience_s = self._now_s(), self._start_s
        self._thread = threading.Thread(target=self._pump, name="camera", daemon=True)
        self._thread.start()
        try:
            while (frame := self._next(patience_s)) is not None:
                patience_s = self._silent_s
                yield frame
        finally:
            self._end()

    def meter(self, box_px: Box) -> None:
        """Expose for this part of the picture, where the camera can."""
        if isinstance(self._camera, Meter):
            self._camera.meter(box_px)

    def close(self) -> None:
        """End a running `frames`. May be called twice, from any thread."""
        self._is_closed = True
        self._camera.close()

    def _next(self, patience_s: float) -> Frame | None:
        with self._news:
            while not self._is_closed:
                if self._newest is not None:
                    frame, self._newest = self._newest, None
                    return frame
                if self._failure is not None:
                    raise self._failure
                if self._has_ended:
                    return None
                if self._now_s() - self._good_s > patience_s:
                    fault = self._fault or _SILENT
                    self._seen.refused["silent"] += self._fault is None
                    raise CameraError(f"the camera {self.name} gives {fault.words}", fault.remedy)
                self._news.wait(_LOOK_S)
        return None

    def _pump(self) -> None:
        """Take the driver's frames, on a thread of its own."""
        check, nir_check, frames = FrameCheck(), FrameCheck(), self._camera.frames()
        try:
            for frame in frames:
                if self._is_closed:
                    break
                fault = check.fault(frame, self._now_s())
                if fault is None and frame.nir is not None:
                    fault = nir_check.fault(replace(frame, image=frame.nir), self._now_s())
                if fault is None:
                    self._seen.look(frame)
                with self._news:
                    self._fault = fault
                    if fault is None:
                        self._newest, self._good_s = frame, self._now_s()
                        self._news.notify()
                    else:
                        self._seen.refused[fault.kind] += 1
            close = getattr(frames, "close", None)
            if close is not None:
                close()  # lets go of the device now, not when the last reference goes
        except Exception as error:  # noqa: BLE001 - told by whoever waits; a driver may raise anything
            with self._news:
                self._failure = (
                    error
                    if isinstance(error, CameraError)
                    else CameraError(f"the driver of {self.name} failed: {error!r}", "see the log, update it")
                )
        finally:
            with self._news:
                self._has_ended = True
                self._news.notify()

    def _end(self) -> None:
        self.close()
        if self._thread is not None:
            self._thread.join(_END_S)
            if self.is_stuck:
                self._leave(self)


SHARP = 0.09
"""Between this project's generated faces in focus and the same out of it: see test_camera_watch.py."""


def sharpness(image: Image) -> float | None:
    """How steep a picture's strongest contours are: 1 within one pixel, one over so many pixels otherwise.

    The strongest steps from pixel to pixel over the strongest steps across 24 pixels: a ratio, so that
    light and contrast do not matter. None of a picture without contours.
    """
    green = image[: image.shape[0] // 4 * 4, :, 1].astype(np.float32)
    rows = green.reshape(-1, 4, green.shape[1]).mean(axis=1)  # against noise
    if rows.shape[1] < 48 or not len(rows):
        return None
    near, far = (float(np.percentile(np.abs(rows[:, by:] - rows[:, :-by]), 99.5)) for by in (1, 24))
    return near / far if far >= 30 else None


def identity_finding(found: str, wanted: str) -> Finding:
    """Which camera is there, and whether another one would be accepted. `found` is empty where none is."""
    if not found:
        return Finding("camera identity", "warn", "not known", "see the finding about the camera itself")
    if wanted:
        return _finding(
            "camera identity",
            v4l2.is_that(found, wanted),
            f"{found}; set up for {wanted}",
            "see camera.identity",
        )
    return Finding("camera identity", "warn", f"{found}; any other is accepted too",
                   f'bind it: camera.identity = "{found}"')  # fmt: skip


def _finding(check: str, is_good: bool, detail: str, remedy: str) -> Finding:
    return Finding(check, "ok" if is_good else "warn", detail, "" if is_good else remedy)
