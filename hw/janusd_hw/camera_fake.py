"""A camera for tests that misbehaves on cue, in each way that real ones do, and remembers what was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import numpy as np

from janusd.core.types import Box, Frame, Image
from janusd.errors import CameraError
from janusd_hw.clock import boottime_s

Mood: TypeAlias = Literal[
    "good", "frozen", "looped", "stale", "early", "standing", "sheared", "empty", "grey", "resized", "dark",
    "silent", "hanging", "unplugged", "crashing", "ended",
]  # fmt: skip


class FakeCamera:
    """Shows a scene with a sensor's noise at a steady pace, until its mood is changed."""

    name = "fake"

    def __init__(
        self,
        mood: Mood = "good",
        *,
        fps: float = 30.0,
        scene: Image | None = None,
        lit_by: Callable[[], bool] | None = None,
    ) -> None:
        """`scene` is what stands before it; without one, contours at chance that stay where they are.

        `lit_by` says whether a lamp burns: without it the scene is as dark as a night in near infrared.
        """
        self.mood: Mood = mood
        self.fps = fps
        self.metered: list[Box] = []
        self.is_open = False
        """Whether a `frames` of it holds the device."""
        self.let_go = threading.Event()
        """Ends the mood "hanging"."""
        self._closed = threading.Event()
        self._rng = np.random.default_rng(0)
        self._scene = _contours(self._rng) if scene is None else scene
        self._recorded: list[Image] = []
        self._lit_by = lit_by

    def frames(self) -> Iterator[Frame]:
        """Frames in its mood of the moment."""
        self.is_open = True
        try:
            sequence = 0
            while not self._closed.wait(1 / self.fps):
                match self.mood:
                    case "silent":
                        continue
                    case "hanging":  # as a driver in the kernel: no close reaches it
                        self.let_go.wait(60)
                        continue
                    case "unplugged":
                        raise CameraError("the camera fake is gone", "plug it in again")
                    case "crashing":
                        raise ValueError("a driver's own error")
                    case "ended":
                        return
                    case _:
                        yield Frame(self._image(sequence), self._time_s(), sequence)
                sequence += 1
        finally:
            self.is_open = False

    def meter(self, box_px: Box) -> None:
        """Remember it."""
        self.metered.append(box_px)

    def close(self) -> None:
        """End `frames`, unless it hangs."""
        self._closed.set()

    def _time_s(self) -> float:
        at_s = {"stale": -3.0, "early": 3.0, "standing": None}.get(self.mood, 0.0)
        return self._stood_s if at_s is None else self._stand(boottime_s() + at_s)

    def _stand(self, at_s: float) -> float:
        self._stood_s = at_s
        return at_s

    def _image(self, sequence: int) -> Image:
        scene = self._scene if self._lit_by is None or self._lit_by() else self._scene // 16
        noisy = np.clip(scene + self._rng.normal(0, 3, scene.shape), 0, 255).astype(np.uint8)
        if self.mood == "frozen":
            return self._recorded[-1]
        if self.mood == "looped":
            return self._recorded[sequence % len(self._recorded)]
        if self.mood == "good":
            self._recorded = [*self._recorded[-19:], noisy]
        return {
            "sheared": sheared(noisy, 16),
            "empty": np.zeros((0, 0, 3), np.uint8),
            "grey": noisy[:, :, 0],
            "resized": np.ascontiguousarray(noisy[::2, ::2]),
            "dark": np.zeros_like(noisy),
        }.get(self.mood, noisy)


def sheared(image: Image, padding_px: int) -> Image:
    """A picture read with a stride that leaves out the padding of each line."""
    padded = np.pad(image, ((0, 0), (0, padding_px), (0, 0)))
    return padded.reshape(-1)[: image.size].reshape(image.shape).copy()


def _contours(rng: np.random.Generator) -> Image:
    scene = np.full((120, 160, 3), 128, np.uint8)
    for _ in range(60):
        top, left = rng.integers(0, (110, 150))
        scene[top : top + rng.integers(4, 30), left : left + rng.integers(4, 30)] = rng.integers(0, 256, 3)
    return scene
