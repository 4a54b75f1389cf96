"""What wakes recognition: motion in the picture, an edge on a wire of the door, either, or nothing at all.

The camera stays open while recognition sleeps, so the first frame after an edge is the one that is looked at.
"""

from __future__ import annotations

import threading

from janusd.config import IdleSection
from janusd.core.types import Frame
from janusd.service.gate import IdleGate


class Trigger:
    """Says which frames are worth looking at. `pull` may be called from any thread, the rest from one.

    An edge opens a window that begins with the next frame and lasts `window_s` of the frames' own time. In
    the mode "gpio" nothing prolongs it but another edge: a poster in view must not keep a door looking that
    was set to look when asked.
    """

    def __init__(self, section: IdleSection) -> None:
        self.mode = section.trigger if section.gate else "always"
        self._window_s = section.window_s
        self._gate = IdleGate(linger_s=section.linger_s)
        self._until_s = float("-inf")
        self._was_pulled = threading.Event()
        self.last = ""
        """Which input the latest edge came from."""

    def pull(self, name: str) -> None:
        """Wake up: an input of that name became active, or still is."""
        self.last = name
        self._was_pulled.set()

    def is_open(self, frame: Frame) -> bool:
        """Whether this frame is worth looking at."""
        if self._was_pulled.is_set():
            self._was_pulled.clear()
            self._until_s = frame.captured_s + self._window_s
        match self.mode:
            case "always":
                return True
            case "motion":
                return self._gate.is_open(frame)
            case "gpio":
                return frame.captured_s <= self._until_s
            case "both":  # the gate first: its background must follow the light, awake or not
                return self._gate.is_open(frame) or frame.captured_s <= self._until_s

    def hold_open(self, now_s: float) -> None:
        """Stay open a while longer: somebody is in view, moving or not."""
        self._gate.hold_open(now_s)

    def __str__(self) -> str:
        """Say what wakes recognition, for the owner."""
        words = {
            "always": "every frame is looked at",
            "motion": "motion wakes recognition",
            "gpio": f"an input wakes recognition for {self._window_s:g} s",
            "both": f"motion, or an input for {self._window_s:g} s, wakes recognition",
        }[self.mode]
        if self.mode in ("always", "motion"):
            return words
        return f"{words}; the last was {self.last}" if self.last else f"{words}; none came"
