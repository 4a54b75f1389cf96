"""Exposure for a face: how many stops brighter or darker a camera should take its pictures.

A face before a bright sky is dark in a picture that is exposed for the whole. Cameras on ribbon cables take
no window to meter by (libcamera has none for exposure on a Raspberry Pi), but a correction in stops: this
finds it, from the brightness of the face itself. Values in, values out; time comes with the frames.
"""

from __future__ import annotations

import math

import numpy as np

from janusd.core.types import Box, Image

TARGET = 118.0
"""Mean green of a face, 0..255: its middle then lies in the middle of the range."""
_GAMMA = 2.2
"""Levels are not light: twice the light is 2 ** (1 / 2.2) times the level."""
DARKEST_EV, BRIGHTEST_EV = -2.0, 3.0
_STEP_EV = 0.5
"""At most so much at once: automatic exposure takes some frames to follow."""
_ENOUGH_EV = 0.15
"""Differences that are not worth a change."""
EVERY_S = 0.25
FORGET_S = 3.0
"""Without a face for so long the whole picture counts again."""


class Metering:
    """The correction for one camera."""

    def __init__(self) -> None:
        self.ev = 0.0
        self._box: Box | None = None
        self._asked_s = -math.inf
        self._changed_s = -math.inf

    def ask(self, box_px: Box) -> None:
        """Expose for this part of the picture; taken up with the next frame. From any thread."""
        self._box = box_px

    def change(self, image: Image, now_s: float) -> float | None:
        """The correction to be set from now on, in stops; None while it need not change."""
        box, self._box = self._box, None
        if box is not None:
            self._asked_s = now_s
        if now_s - self._changed_s < EVERY_S:
            return None
        if box is None:
            if self.ev and now_s - self._asked_s > FORGET_S:
                self.ev, self._changed_s = 0.0, now_s
                return 0.0
            return None
        # The middle of the face: no hair, no background.
        top, left = max(0, int(box.y + box.height / 4)), max(0, int(box.x + box.width / 4))
        face = image[top : int(box.y + 3 * box.height / 4), left : int(box.x + 3 * box.width / 4), 1]
        if not face.size:
            return None
        missing = _GAMMA * math.log2(TARGET / max(4.0, float(np.mean(face))))
        step = min(_STEP_EV, max(-_STEP_EV, missing))
        ev = min(BRIGHTEST_EV, max(DARKEST_EV, self.ev + step))
        if abs(ev - self.ev) < _ENOUGH_EV:
            return None
        self.ev, self._changed_s = ev, now_s
        return ev
