"""What makes a frame unfit to be looked at, whatever camera it came from: values in, values out.

A sensor never gives the same picture twice: its noise alone changes some pixels. So a picture that is equal
to an earlier one, byte for byte, was not taken now: the driver repeats a buffer, or somebody plays a loop.
Not told apart from life: a loop that was compressed anew on its way, which attack detection is there for.

`janusd.core.freshness` looks for still and looped streams too, and the two share nothing on purpose. Here a
device is doubted: every frame is judged alone, before anybody knows of faces, and one is enough to close the
camera and call for an installer, so only what no working camera can do counts. There a person is doubted: who
is before the camera is judged over seconds, by their face's pixels, with room for a coder's noise, and a
finding is held against that person only. A bound that suits one would be wrong for the other.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Frame, Image

OLDEST_S = 1.0
"""A picture from longer ago does not show who stands there."""
EARLIEST_S = -0.5
"""A capture time further in the future is of another clock."""
_REMEMBERED = 4096
"""Pictures: four and a half minutes at 15 a second, some 400 KB."""
_FLAT_LEVELS = 24
"""A picture with less between its darkest and brightest parts shows nobody; in the dark a camera that
compresses may well give two equal ones."""
_GREEN = 1
_SHEAR_PX = 4
"""Rows of a scene may lean by a pixel or two; a wrong stride moves each by the padding of a line."""
_SHEAR_EVERY = 6
"""A stride is wrong from the start on, or not at all: it is looked for in the first frame, then by and by."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a frame is refused."""

    kind: str
    """"empty", "shape", "stride", "stale", "frozen" or "looped"."""
    words: str
    remedy: str


_STUCK = "unplug the camera and plug it in again; if it comes back, replace it"


class FrameCheck:
    """Checks one camera's frames, in their order. For one thread."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._captured_s = float("-inf")
        self._seen: OrderedDict[tuple[int, int], float] = OrderedDict()
        """Check sum of a picture -> when it was captured."""
        self._last: tuple[int, int] | None = None
        self._count = 0

    def fault(self, frame: Frame, now_s: float) -> Fault | None:
        """What is wrong with this frame, or None. `now_s` is on the clock of the frames."""
        return self._of_shape(frame.image) or self._of_time(frame, now_s) or self._of_content(frame)

    def _of_shape(self, image: Image) -> Fault | None:
        if not image.size:
            return Fault("empty", "a frame of zero bytes", "check the camera's cable and supply")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            words = f"a frame of {image.dtype} {image.shape} instead of uint8 (height, width, 3)"
            return Fault("shape", words, "choose another pixel format: camera.format")
        if self._shape is not None and image.shape != self._shape:
            now, before = (f"{width}x{height}" for height, width, _ in (image.shape, self._shape))
            words = f"a frame of {now} after frames of {before}"
            return Fault("shape", words, "another program changed the camera's format: end it")
        if image.strides[2] != 1 or image.strides[1] != 3 or image.strides[0] < 3 * image.shape[1]:
            words = f"a frame whose lines lie {image.strides} bytes apart"
            return Fault("stride", words, "choose another size: camera.width_px, a multiple of 32")
        if self._count % _SHEAR_EVERY == 0 and (shear := shear_px(image)):
            self._count = 0  # the next frame is looked at as well
            words = f"a picture whose lines are each moved by {shear} pixels: it is read with a wrong stride"
            return Fault("stride", words, "choose another size: camera.width_px, a multiple of 32")
        self._shape, self._count = image.shape, self._count + 1
        return None

    def _of_time(self, frame: Frame, now_s: float) -> Fault | None:
        age_s = now_s - frame.captured_s
        if frame.captured_s != self._captured_s and not EARLIEST_S <= age_s <= OLDEST_S:
            words = f"a frame captured {age_s:.1f} s ago" if age_s > 0 else "a frame captured in the future"
            return Fault("stale", words, "its clock or buffers are wrong: update its driver or firmware")
        if frame.captured_s <= self._captured_s:
            return Fault("stale", "a frame that is not newer than the one before", _STUCK)
        self._captured_s = frame.captured_s
        return None

    def _of_content(self, frame: Frame) -> Fault | None:
        image = frame.image
        sample = image[:: max(1, image.shape[0] // 32), :: max(1, image.shape[1] // 32), _GREEN]
        low, high = np.percentile(sample, [2, 98])
        if high - low < _FLAT_LEVELS:
            return None
        digest = _digest(image)
        before_s, repeats = self._seen.get(digest), digest == self._last
        self._last = digest
        self._seen[digest] = frame.captured_s
        self._seen.move_to_end(digest)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if before_s is None:
            return None
        if repeats:
            return Fault("frozen", "the same picture again and again", _STUCK)
        words = f"pictures that it showed {frame.captured_s - before_s:.0f} s ago"
        return Fault("looped", words, "somebody may play it a recording: go and look at camera and cable")


def _digest(image: Image) -> tuple[int, int]:
    """Two check sums: of some lines in their order, and of all pixels, quick to add up.

    A sensor's noise would show in either; the second one sees what moves in a picture that was computed.
    """
    flat = np.ascontiguousarray(image).reshape(-1)
    words = flat[: flat.size // 8 * 8].view(np.uint64)
    return zlib.crc32(image[::16].tobytes()), int(np.add.reduce(words)) + int(flat[len(words) * 8 :].sum())


def shear_px(image: Image) -> int:
    """By how many pixels each line is moved against the one above it; 0 for a sound or empty picture.

    Neighbouring lines of a picture of anything differ least where they are. Read with a stride that is too
    short or too long, they differ least when moved by the difference.
    """
    height, width = image.shape[:2]
    middle = slice(max(0, width // 2 - 256), width // 2 + 256)
    first = np.arange(0, height - 1, max(1, height // 48))  # some 48 pairs of neighbours are plenty
    # All colours together: a padding that is no multiple of three exchanges them from line to line.
    upper, lower = (image[rows, middle].sum(axis=2, dtype=np.float32) for rows in (first, first + 1))
    upper, lower = (part - part.mean(axis=1, keepdims=True) for part in (upper, lower))
    if upper.shape[0] < 16 or upper.shape[1] < 64 or float(upper.std()) < 6:
        return 0
    cross = np.fft.irfft(
        np.fft.rfft(upper, axis=1).conj() * np.fft.rfft(lower, axis=1), n=upper.shape[1], axis=1
    )
    differ: NDArray[np.float64] = (upper**2).sum() + (lower**2).sum() - 2 * cross.sum(axis=0)
    at = int(differ.argmin())
    shift = at if at <= len(differ) // 2 else at - len(differ)
    still = float(differ[[-1, 0, 1]].min())
    return shift if abs(shift) >= _SHEAR_PX and float(differ[at]) < 0.6 * still else 0
