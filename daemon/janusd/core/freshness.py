"""Is this stream live, or one that stands still, runs backwards or repeats itself?

Three looks at the frames of one camera, none of which believes that a picture shows a face:

- order: sequence and capture time only grow, and a frame is not older than `stale_s` when it is looked at;
- repeats: a sensor never gives the same bytes twice. The next frame with the same bytes is no news; the same
  bytes for `frozen_s` are a frozen stream; bytes from earlier in the stream, twice, are a loop. A still
  picture out of a compressed video is not the same to the byte, but most of its pixels are: frozen as well;
- course: a clip that is played again after it was compressed or filmed anew comes back with other bytes, but
  on the same course. Where at least `course` frames that moved follow earlier ones closely, forwards or
  backwards, the stream is looped. Somebody who stands still resembles themselves at every moment, so only a
  course that moves counts.

`janusd_hw.frame_faults` refuses a camera's exact repeats before a frame comes here, in terms of a broken
device; why there are two stands there. What comes through is a stream that a working camera may well give: a
film of a film. It is also all there is where frames come from no camera of ours, as when clips are evaluated.

What this cannot see: a clip played once. Only `parallax`, `challenge` or near infrared speak to that.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.types import Box, Frame, Image

Luma: TypeAlias = NDArray[np.uint8]
"""(h, w) uint8: green stands in for luma, of every `_STRIDE`-th pixel."""

Sketch: TypeAlias = NDArray[np.float32]
"""(_CELLS,) float32 levels 0..255: the means of a coarse grid over the picture."""

_STRIDE: Final = 3
_GRID: Final = (
    16,
    12,
)  # columns, rows: a cell averages 140 sampled pixels or more, noise is below 1
_CELLS: Final = _GRID[0] * _GRID[1]
_ROOM: Final = 2048
"""Frames with a face that are remembered at most: a minute at 30 a second, and some."""
_CONTRAST: Final = 4.0
"""Standard deviation, levels. A picture flatter than this (a covered lens, night) may well repeat itself."""


class Freshness(Enum):
    """What a frame adds to those before it."""

    FRESH = auto()
    REPEATED = auto()
    """The same bytes as the frame before: nothing new, and not yet suspicious."""
    FROZEN = auto()
    LOOPED = auto()
    STALE = auto()
    """Out of order, or captured too long ago."""

    @property
    def is_attack(self) -> bool:
        """Whether frames like this are to be held against whoever is before the camera."""
        return self in (Freshness.FROZEN, Freshness.LOOPED, Freshness.STALE)


@dataclass(frozen=True, slots=True)
class Bounds:
    """When repeating oneself becomes suspicious."""

    memory_s: float = 60.0
    frozen_s: float = 0.5
    stale_s: float = 2.0
    """A busy door may look late; it must not look at yesterday."""
    repeats: int = 2
    """So many frames with bytes seen before make a loop."""
    same: float = 0.9
    """Part of the pixels in the face that are equal to those of the frame before, in a frozen stream. Two
    frames of the demo's street, whose sensor noise is that of a small sensor, share 4 to 25 %."""
    quiet: float = 0.45
    """Levels: mean difference of the pixels up to which it is the same too. A still picture that a compressed
    film refines frame by frame stays below it, a face filmed by the same coder, unmoving, above."""
    still: float = 0.75
    """Part of the frames that must be so."""
    gap_s: float = 0.5
    """A course is compared with what was at least so long ago."""
    course: int = 8
    apart: float = 1.5
    """Levels: RMS over the grid up to which two frames count as the same moment of a clip."""
    moves: float = 4.0
    """By how much a course must move, in units of its distance to the earlier one."""
    suspect_s: float = 10.0
    """For how long a loop that was found is held against the stream."""


def digest(image: Image, box: Box | None = None) -> bytes:
    """8 bytes that are equal for equal pictures: of the face alone where there is a box.

    A clock drawn into a corner of a looped clip must not make its frames new.
    """
    part = image if box is None else _part(image, box, 1)
    return hashlib.blake2b(part[::_STRIDE].tobytes(), digest_size=8).digest()


def is_stale(captured_s: float, now_s: float, bounds: Bounds | None = None) -> bool:
    """Whether a frame is too old to be believed; both times on the camera's clock."""
    return now_s - captured_s > (bounds or Bounds()).stale_s


@dataclass(slots=True)
class Stream:
    """What is remembered of one camera's frames. The same frames always get the same answers."""

    bounds: Bounds = field(default_factory=Bounds)
    _last: Frame | None = field(default=None, init=False)
    _luma: Luma | None = field(default=None, init=False)
    _stills: deque[tuple[float, bool, bool]] = field(default_factory=deque, init=False)
    """When each frame of the last `frozen_s` came, whether it had a face, and looked like the one before."""
    _seen: dict[bytes, float] = field(default_factory=dict, init=False)
    _repeats: deque[float] = field(default_factory=deque, init=False)
    _course: Course = field(default_factory=lambda: Course(), init=False)  # noqa: PLW0108 - defined below
    _looped_s: float = field(default=float("-inf"), init=False)

    def look(self, frame: Frame, box: Box | None = None, now_s: float | None = None) -> Freshness:
        """Look at the next frame; `box` is the face's, where there is one.

        Without a face only order and stillness are looked at: an empty doorway has no course. `now_s` is the
        time at which it is looked at, on the camera's clock.
        """
        last, self._last = self._last, frame
        if now_s is not None and is_stale(frame.captured_s, now_s, self.bounds):
            return Freshness.STALE
        if last is not None and not _is_after(frame, last):
            return Freshness.STALE
        luma: Luma = np.ascontiguousarray(frame.image[::_STRIDE, ::_STRIDE, 1])
        before, self._luma = self._luma, luma
        if float(luma.std()) < _CONTRAST:
            self._stills.clear()
            return Freshness.FRESH
        is_same = _is_same(before, luma, box, self.bounds)
        if self._stands_still(frame.captured_s, box is not None, is_same):
            return Freshness.FROZEN
        if is_same:
            return Freshness.REPEATED
        if box is not None and (self._repeats_bytes(frame, box) or self._follows(frame, luma)):
            self._looped_s = frame.captured_s
        is_looped = frame.captured_s - self._looped_s < self.bounds.suspect_s
        return Freshness.LOOPED if is_looped else Freshness.FRESH

    def _stands_still(self, now_s: float, has_face: bool, is_same: bool) -> bool:
        """Whether nearly all frames of the last `frozen_s` looked alike; a video's key frames may differ.

        Of a face, frames with one alone can tell: the doorway that it came into may well have stood still.
        """
        stills, bounds = self._stills, self.bounds
        stills.append((now_s, has_face, is_same))
        while len(stills) > 2 and now_s - stills[1][0] >= bounds.frozen_s:
            stills.popleft()
        telling = [(at_s, alike) for at_s, had_face, alike in stills if had_face or not has_face]
        alike = [alike for _, alike in telling[1:]]
        lasts_s = now_s - telling[0][0]
        return lasts_s >= bounds.frozen_s and sum(alike) >= bounds.still * len(alike)

    def _repeats_bytes(self, frame: Frame, box: Box) -> bool:
        now_s = frame.captured_s
        for old in [key for key, at_s in self._seen.items() if now_s - at_s > self.bounds.memory_s]:
            del self._seen[old]
        while self._repeats and now_s - self._repeats[0] > self.bounds.memory_s:
            self._repeats.popleft()
        key = digest(frame.image, box)
        is_repeat = key in self._seen
        if is_repeat:
            self._repeats.append(now_s)
        self._seen[key] = now_s
        return is_repeat and len(self._repeats) >= self.bounds.repeats

    def _follows(self, frame: Frame, luma: Luma) -> bool:
        sketch = np.asarray(cv2.resize(luma, _GRID, interpolation=cv2.INTER_AREA), np.float32).ravel()
        return self._course.follows(sketch, frame.captured_s, self.bounds)


class Course:
    """Sketches of a stream, and how long the newest ones have followed earlier ones."""

    def __init__(self) -> None:
        self._sketches = np.empty((_ROOM, _CELLS), np.float32)  # the first `_count` rows count
        self._squares = np.empty(_ROOM, np.float32)
        self._times_s = np.empty(_ROOM)
        self._count = 0
        self._forwards: NDArray[np.intp] = np.empty(0, np.intp)
        """For each earlier frame: how many frames up to the newest went the same way up to it."""
        self._backwards: NDArray[np.intp] = np.empty(0, np.intp)

    def follows(self, sketch: Sketch, now_s: float, bounds: Bounds) -> bool:
        """Take the next frame; whether it follows an earlier course."""
        self._make_room(now_s, bounds)
        sketch = sketch - sketch.mean()  # light that changes for the whole picture is neither motion nor new
        count = self._count
        square = np.float32(sketch @ sketch)
        cross = self._sketches[:count] @ sketch
        distances = np.sqrt(np.maximum(self._squares[:count] + square - 2 * cross, 0) / _CELLS)
        is_near = (distances < bounds.apart) & (now_s - self._times_s[:count] >= bounds.gap_s)
        # The frame after the one that was followed, or before it, where the clip runs backwards.
        forwards = np.concatenate([[0], self._forwards])[:count]
        backwards = np.concatenate([self._backwards, [0, 0]])[1 : count + 1]
        self._forwards = np.where(is_near, forwards + 1, 0)
        self._backwards = np.where(is_near, backwards + 1, 0)
        self._sketches[count], self._squares[count], self._times_s[count] = sketch, square, now_s
        self._count = count + 1
        is_long = np.maximum(self._forwards, self._backwards) >= bounds.course
        if not is_long.any():
            return False
        recent = self._sketches[self._count - bounds.course : self._count]
        moved = float(np.sqrt(np.mean((recent - recent.mean(axis=0)) ** 2)))
        return moved >= bounds.moves * float(distances[is_long].min())

    def _make_room(self, now_s: float, bounds: Bounds) -> None:
        """Forget what is older than the memory, when a quarter of the room is in question."""
        old = int(np.searchsorted(self._times_s[: self._count], now_s - bounds.memory_s))
        first = max(old, 0) if old > _ROOM // 4 else _ROOM // 4 if self._count == _ROOM else 0
        if not first:
            return
        kept = self._count - first
        for row in (self._sketches, self._squares, self._times_s):
            row[:kept] = row[first : self._count].copy()
        self._count = kept
        self._forwards, self._backwards = self._forwards[first:], self._backwards[first:]


def _is_after(frame: Frame, last: Frame) -> bool:
    """Whether a frame may follow another; a camera that was opened anew counts from 0."""
    return frame.captured_s > last.captured_s and (frame.sequence == 0 or frame.sequence > last.sequence)


def _is_same(before: Luma | None, luma: Luma, box: Box | None, bounds: Bounds) -> bool:
    """Whether the face, where there is one, else the picture, is that of the frame before."""
    if before is None or before.shape != luma.shape:
        return False
    if box is not None:
        before, luma = _part(before, box, _STRIDE), _part(luma, box, _STRIDE)
    if not luma.size:
        return False
    if float(np.mean(before == luma)) >= bounds.same:
        return True
    return float(np.mean(cv2.absdiff(before, luma))) <= bounds.quiet


def _part(pixels: NDArray[np.uint8], box: Box, stride: int) -> NDArray[np.uint8]:
    top, left = max(int(box.y), 0) // stride, max(int(box.x), 0) // stride
    bottom = max(int(box.y + box.height), 0) // stride + 1
    right = max(int(box.x + box.width), 0) // stride + 1
    return pixels[top:bottom, left:right]
