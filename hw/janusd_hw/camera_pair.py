"""Two cameras that look at the same place: one in colour, one without an infrared filter beside an IR lamp.

Each colour frame carries what the other one saw at the same moment. Paper and glass do not look in near
infrared as they do in colour: what that says of a face is for attack detection. The lamp burns all the time,
by a supply of its own or, kept lit from here, by janus-latchd (`nir_lamp`).
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from janusd.core.types import Box, Frame
from janusd.errors import CameraError
from janusd.ports import Camera, Meter
from janusd_hw.nir_lamp import NirLamp
from janusd_hw.pair_check import TOLERANCE_S, PairSeen

_KEPT = 16
_ALONE_S = 1.5
"""For so long colour frames may come without a partner."""
_START_S = 10.0
"""Until the second camera's first frame: two do not start at once. Less than `camera_watch.START_S`, which
would not say which of them it is."""
_END_S = 0.3


class PairCamera:
    """A `Camera` whose frames hold `nir`. Frames without a partner are left out."""

    def __init__(
        self,
        colour: Camera,
        infrared: Camera,
        *,
        tolerance_s: float = TOLERANCE_S,
        seen: PairSeen | None = None,
        lamp: NirLamp | None = None,
    ) -> None:
        """Both must give capture times of one clock.

        `seen` keeps for the doctor what the frames were like, beyond this object's life; `lamp` is kept lit
        while frames are taken.
        """
        self.seen, self._lamp = seen or PairSeen(), lamp
        self._colour, self._infrared, self._tolerance_s = colour, infrared, tolerance_s
        self._news = threading.Condition()
        """Guards both below."""
        self._seen: deque[Frame] = deque(maxlen=_KEPT)
        self._failure: CameraError | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """For example "picamera2 0 with picamera2 1"."""
        return f"{self._colour.name} with {self._infrared.name}"

    @property
    def is_stuck(self) -> bool:
        """Whether the second camera's thread is still in its driver after it was told to end."""
        return self._is_closed and self._thread is not None and self._thread.is_alive()

    def frames(self) -> Iterator[Frame]:
        """Colour frames, each with its partner.

        Raises CameraError when either camera fails, or no frame had a partner for too long.
        """
        if self._is_closed:
            return
        self._thread = threading.Thread(target=self._take, name="infrared", daemon=True)
        self._thread.start()
        since_s, patience_s = math.inf, _START_S
        try:
            for frame in self._colour.frames():
                at_s = frame.captured_s
                if self._lamp is not None:
                    self._lamp.keep(at_s)
                since_s = min(since_s, at_s)
                partner = self._partner(at_s)
                self.seen.colour(frame, is_partnered=partner is not None)
                starts_now = bool(self._seen) and patience_s > _ALONE_S
                if partner is not None or starts_now:
                    since_s, patience_s = at_s, _ALONE_S
                if partner is not None:
                    grey = partner.image[:, :, 1:2]  # a sensor without filter says the same in all channels
                    yield replace(frame, nir=np.repeat(grey, 3, axis=2))
                elif at_s - since_s > patience_s and not self._is_closed:
                    raise CameraError(
                        f"the infrared camera {self._infrared.name} gives no frame of the same moment",
                        "give both the same camera.fps; check its cable",
                    )
        finally:
            self.close()
            if self._lamp is not None:
                self._lamp.put_out()
            self._thread.join(_END_S)

    def meter(self, box_px: Box) -> None:
        """Let the colour camera expose for this part, where it can."""
        if isinstance(self._colour, Meter):
            self._colour.meter(box_px)

    def close(self) -> None:
        """End a running `frames`. May be called twice, from any thread."""
        self._is_closed = True
        self._colour.close()
        self._infrared.close()
        with self._news:
            self._news.notify_all()

    def _take(self) -> None:
        try:
            for frame in self._infrared.frames():
                self.seen.infrared(frame)
                with self._news:
                    self._seen.append(frame)
                    self._news.notify_all()
        except Exception as error:  # noqa: BLE001 - told with the next frame; a driver may raise anything
            with self._news:
                self._failure = (
                    error
                    if isinstance(error, CameraError)
                    else CameraError(
                        f"the driver of {self._infrared.name} failed: {error!r}", "see the log, update it"
                    )
                )
                self._news.notify_all()

    def _partner(self, at_s: float) -> Frame | None:
        """The infrared frame nearest in time, waited for as long as it may still come."""

        def is_known() -> bool:
            has_later = bool(self._seen) and self._seen[-1].captured_s >= at_s
            return has_later or self._failure is not None or self._is_closed

        with self._news:
            self._news.wait_for(is_known, self._tolerance_s)
            if self._failure is not None:
                raise self._failure
            near = [frame for frame in self._seen if abs(frame.captured_s - at_s) <= self._tolerance_s]
            nearest = min(near, key=lambda frame: abs(frame.captured_s - at_s), default=None)
            if nearest is not None:  # each says something once: shown twice it would look frozen
                while self._seen.popleft() is not nearest:
                    pass
        return nearest
