"""The infrared lamp beside a pair's second camera, where janus-latchd holds it: `led_nir` in latch.toml.

It is lit for a few seconds at a time, again and again while frames are taken. So it goes out by itself when
janusd ends or hangs, and nobody is lit by a lamp that no program watches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

LAMP: Final = "led_nir"
_LASTS_S: Final = 3.0
_AGAIN_S: Final = 1.0
_OFF_S: Final = 0.001
LEAST_LEVELS: Final = 4.0
"""By so many of 255 levels the mean of the infrared picture must rise with the lamp. A choice, well above a
sensor's noise in a mean of thousands of pixels; no real lamp was measured yet."""


class NirLamp:
    """Kept lit by whoever takes frames; darkened for a moment by whoever wants to know what it does."""

    def __init__(self) -> None:
        self.indicate: Callable[[str, float], None] | None = None
        """`RemoteLatch.indicate`; None until there is a latch."""
        self.alone = threading.Lock()
        """Held by whoever measures what it does."""
        self._guard = threading.Lock()
        """Guards what is below, and the order of what latchd is told."""
        self._lit_s = float("-inf")
        self._is_darkened = False

    def keep(self, now_s: float) -> None:
        """Let it burn on, from this moment of the frames' clock. Cheap: latchd is told once a second."""
        with self._guard:
            if not self._is_darkened and not 0 <= now_s - self._lit_s < _AGAIN_S:
                self._lit_s = now_s
                self._tell(_LASTS_S)

    def put_out(self) -> None:
        """Nobody takes frames any more."""
        with self._guard:
            self._lit_s = float("-inf")
            self._tell(_OFF_S)

    @contextmanager
    def darkened(self) -> Iterator[None]:
        """Out for as long as this lasts; the next frame after it lights it again."""
        with self._guard:
            self._is_darkened = True
            self._tell(_OFF_S)
        try:
            yield
        finally:
            with self._guard:
                self._is_darkened, self._lit_s = False, float("-inf")

    def _tell(self, seconds: float) -> None:
        if self.indicate is not None:
            self.indicate(LAMP, seconds)


def makes_light(lit: float, dark: float) -> bool:
    """Whether the infrared picture's mean level with the lamp says that it lights what the camera sees."""
    return lit - dark >= LEAST_LEVELS
