"""The idle gate: is anybody there? Looks at so few pixels that an empty doorway costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Frame

_GREEN = 1
"""Green alone stands in for luma: it carries 59-72 % of it and needs no arithmetic."""


@dataclass(slots=True)
class IdleGate:
    """Opens when the picture changes, and stays open for `linger_s` after the last change.

    Compares every `stride`-th pixel with a slowly adapting background. A whole-picture light change moves
    the mean, which is subtracted, so that a passing cloud wakes nothing.
    """

    stride: int = 16
    change: float = 12.0
    """Levels (0..255) by which a pixel must differ from the background to count as changed."""
    portion: float = 0.01
    """Part of the sampled pixels that must have changed."""
    linger_s: float = 4.0
    adapt: float = 0.05
    """How far the background moves towards each frame."""
    _background: NDArray[np.float32] | None = field(default=None, init=False)
    _open_until_s: float = field(default=float("-inf"), init=False)

    def is_open(self, frame: Frame) -> bool:
        """Whether this frame is worth looking at. The first frame always is."""
        if frame.luma is None:
            luma = frame.image[:: self.stride, :: self.stride, _GREEN].astype(np.float32)
        else:  # smaller than the picture: as many samples of it
            step = max(1, self.stride * frame.luma.shape[1] // frame.image.shape[1])
            luma = frame.luma[::step, ::step].astype(np.float32)
        luma -= luma.mean()
        if self._background is None or self._background.shape != luma.shape:
            self._background = luma
            self._open_until_s = frame.captured_s + self.linger_s
            return True
        changed = float(np.mean(np.abs(luma - self._background) > self.change))
        self._background += np.float32(self.adapt) * (luma - self._background)
        if changed >= self.portion:
            self._open_until_s = frame.captured_s + self.linger_s
        return frame.captured_s <= self._open_until_s

    def hold_open(self, now_s: float) -> None:
        """Stay open a while longer: somebody is in view, moving or not."""
        self._open_until_s = max(self._open_until_s, now_s + self.linger_s)
