"""A camera that shows pictures or a video file instead of the street."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from janusd.core.types import Frame, Image
from janusd.errors import CameraError
from janusd_hw.clock import boottime_s

if TYPE_CHECKING:
    import cv2

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".ppm"})
_DEFAULT_FPS = 10.0
_DARK_SIZE_PX = (480, 640)  # height, width of what a followed folder shows before its first picture


class ReplayCamera:
    """A `Camera` over a folder of pictures (in order of their names), one picture, or a video file."""

    def __init__(
        self,
        path: str | Path,
        *,
        pace: Literal["real", "fast"] = "real",
        fps: float | None = None,
        loop: bool = False,
        follow: bool = False,
        start_s: float | None = None,
    ) -> None:
        """Look at what `path` holds; nothing is decoded yet.

        `pace="real"` waits between frames; a consumer that is too slow gets every frame, only later. `"fast"`
        waits for nobody, but the frames' times advance just the same, from `start_s` on (default: now).
        `fps` is 10, or a video's own rate, unless given. `loop` starts over at the end.

        `follow` makes a folder a spool for tests and demonstrations: pictures are shown as they arrive (put
        them there by renaming; several at once go by name), the newest stays in view until the next one, and
        it is dark before the first. It ends with `close` only, and wants `pace="real"`.

        Raises CameraError when there is nothing to show.
        """
        if fps is not None and not (math.isfinite(fps) and fps > 0):
            raise ValueError(f"fps is {fps}, must be above 0")
        if follow and (pace != "real" or loop):
            raise ValueError('follow goes with pace="real" and without loop')
        import cv2  # noqa: PLC0415 - importing this module must not need OpenCV

        self._cv2 = cv2
        self._path = Path(path)
        self._pace = pace
        self._fps = fps
        self._loop = loop
        self._follow = follow
        self._start_s = start_s
        self._closed = threading.Event()
        if not self._path.exists():
            raise CameraError(
                f"the replay {self._path} does not exist", "check camera.path in the configuration"
            )
        if follow and not self._path.is_dir():
            raise CameraError(
                f"{self._path} is not a folder to follow", "check camera.path in the configuration"
            )
        if self._path.is_dir() and not follow and not self._pictures():
            raise CameraError(
                f"the folder {self._path} holds no picture", "put .png, .jpg, .webp or .ppm files into it"
            )

    @property
    def name(self) -> str:
        """The path, after the word "replay"."""
        return f"replay {self._path}"

    def frames(self) -> Iterator[Frame]:
        """The pictures from the first on. Raises CameraError naming a file that cannot be read."""
        due_s = boottime_s() if self._start_s is None else self._start_s
        lead_s = due_s - boottime_s()  # a start in the past or the future shifts the times, not the waiting
        period_s = 1 / self._rate()
        for sequence, image in enumerate(self._images()):
            if self._pace == "real":
                self._closed.wait(max(due_s - lead_s - boottime_s(), 0.0))
                due_s = max(due_s, boottime_s() + lead_s)
            if self._closed.is_set():
                return
            yield Frame(image, due_s, sequence)
            due_s += period_s

    def close(self) -> None:
        """End a running `frames`. May be called twice, from any thread or signal handler."""
        self._closed.set()

    def _images(self) -> Iterator[Image]:
        if self._follow:
            yield from self._arrivals()
            return
        while not self._closed.is_set():
            yield from self._one_pass()
            if not self._loop:
                return

    def _one_pass(self) -> Iterator[Image]:
        if self._path.is_dir():
            for picture in self._pictures():
                yield self._read(picture)
        elif self._path.suffix.lower() in _PICTURES:
            yield self._read(self._path)
        else:
            yield from self._video()

    def _arrivals(self) -> Iterator[Image]:
        """Each new picture; while none comes, the last one as a sensor sees it: never twice the same."""
        shown: set[tuple[str, int]] = set()
        image: Image = np.zeros((*_DARK_SIZE_PX, 3), np.uint8)
        rng = np.random.default_rng(0)
        while True:  # `frames` paces this, and stops asking once closed
            arrived = [(_mtime_ns(p), p) for p in self._pictures()]
            for mtime_ns, picture in arrived:
                if (picture.name, mtime_ns) not in shown and mtime_ns >= 0:
                    shown.add((picture.name, mtime_ns))
                    image = self._read(picture)
                    yield image
            yield _noisy(image, rng) if shown else image

    def _pictures(self) -> list[Path]:
        found = (
            p for p in self._path.iterdir() if p.suffix.lower() in _PICTURES and not p.name.startswith(".")
        )
        return sorted(found, key=lambda p: p.name)

    def _read(self, picture: Path) -> Image:
        image = self._cv2.imread(str(picture), self._cv2.IMREAD_COLOR)
        if image is None:
            raise CameraError(
                f"cannot read the picture {picture}", "it is damaged or not an image: remove it"
            )
        return np.asarray(self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB), np.uint8)

    def _video(self) -> Iterator[Image]:
        video = self._open_video()
        count = 0
        try:
            while True:
                fine, image = video.read()
                if not fine:
                    break
                count += 1
                yield np.asarray(self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB), np.uint8)
        finally:
            video.release()
        if not count:
            raise CameraError(f"the video {self._path} holds no frame", "it is damaged: replace it")

    def _rate(self) -> float:
        """Frames a second."""
        if self._fps is not None:
            return self._fps
        if self._path.is_dir() or self._path.suffix.lower() in _PICTURES:
            return _DEFAULT_FPS
        video = self._open_video()
        fps = video.get(self._cv2.CAP_PROP_FPS)
        video.release()
        return fps if math.isfinite(fps) and fps > 0 else _DEFAULT_FPS

    def _open_video(self) -> cv2.VideoCapture:
        video = self._cv2.VideoCapture(str(self._path))
        if not video.isOpened():
            raise CameraError(f"{self._path} is no video that OpenCV can play", "use a folder of pictures")
        return video


def _noisy(image: Image, rng: np.random.Generator) -> Image:
    """The picture with a sensor's noise, two levels strong."""
    few = rng.normal(0.0, 2.0, 4099).astype(np.int16)  # a prime: repeated, it lines up with no row
    noise = np.resize(few, image.size).reshape(image.shape)
    noisy: Image = np.clip(image + noise, 0, 255).astype(np.uint8)
    return noisy


def _mtime_ns(path: Path) -> int:
    """When the file was written last, or -1 when it is gone again."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -1
