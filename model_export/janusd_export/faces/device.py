"""The door's own path from photograph to embedding, for measuring: detector, alignment, int8 encoder.

No quality floor refuses a photograph. What is measured is what runs: `Pipeline` of `janusd` with the released
model directory. Embeddings are kept in a cache by the digests of the picture and of that code, so that a
second measurement takes seconds; detections are kept apart, because they stay when the encoder changes.

A photograph may be changed before the detector sees it (`changes.py`), and another encoder may take the int8
one's place behind the same detector (`peers.py`); each has a cache of its own.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd import pipeline as door
from janusd.core import align, detect, embed, tensors, warp
from janusd.core.align import TEMPLATE
from janusd.core.manifest import Encoder
from janusd.core.types import Box, Face, Image, Points
from janusd.pipeline import Pipeline
from janusd.ports import Detector
from janusd_export import workers
from janusd_export.errors import ExportError
from janusd_export.faces.photos import Photo, decode
from janusd_hw import detectors
from janusd_hw.litert import LiteRtNetwork

Progress = Callable[[int, int], None]
"""Called with (done, all)."""

_BLOCK = 32  # pictures a task: enough to hide the cost of handing them over


@dataclass(frozen=True, slots=True)
class Embedded:
    """Photographs and their embeddings; rows correspond."""

    photos: tuple[Photo, ...]
    embeddings: NDArray[np.float32]
    """(n, D) unit rows; a row of zeros where no face was found."""
    is_found: NDArray[np.bool_]
    """(n,) whether the detector found a face."""


def open_pipeline(directory: Path) -> Pipeline:
    """The released models of this directory, as a door opens them, on one thread."""
    released = models.load(directory)
    described = released.manifest
    return Pipeline(
        open_detector(released),
        LiteRtNetwork(released.encoder),
        described.encoder,
        found_by=described.detector,
    )


def open_detector(released: models.Models) -> Detector:
    """Their detector, on one thread. Unlike a door this asks for no calibration made with its points."""
    networks = (LiteRtNetwork(raw) if raw else None for raw in (released.detector, released.refiner))
    return detectors.open_detector(released.manifest, *networks)


def central_face(image: Image, faces: Sequence[Face]) -> Face | None:
    """The face a photograph is of: nearest the centre, among those at least half as tall as the tallest."""
    if not faces:
        return None
    tallest = max(face.box_px.height for face in faces)
    height, width = image.shape[:2]

    def distance(face: Face) -> float:
        box = face.box_px
        return float(np.hypot(box.x + box.width / 2 - width / 2, box.y + box.height / 2 - height / 2))

    return min((face for face in faces if face.box_px.height >= 0.5 * tallest), key=distance)


class Change(Protocol):
    """Something done to a photograph before the detector sees it; can be sent to another process."""

    @property
    def key(self) -> str:
        """Names the change and its strength; part of the cache's key."""

    def __call__(self, image: Image, landmarks_px: Points, seed: int) -> Image:
        """The changed photograph, given where the face was found in the unchanged one."""


class OtherEncoder(Protocol):
    """An encoder that takes the released one's place; can be sent to another process."""

    @property
    def name(self) -> str:
        """What a table calls it."""

    @property
    def key(self) -> str:
        """Names the encoder and its weights; part of the cache's file name."""

    def open(self) -> Callable[[Image, Points], NDArray[np.float32]]:
        """Load it; then image and landmarks give a unit embedding."""


def embed_photos(
    photos: Iterable[Photo],
    directory: Path,
    cache_dir: Path | None,
    *,
    other: OtherEncoder | None = None,
    change: Change | None = None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Embedded:
    """Embed each photograph through the door's path. Raises ExportError for one that cannot be read."""
    chosen = tuple(photos)
    described = models.load(directory).manifest
    encoder = described.encoder
    model = other.key if other else f"{as_embedded(encoder)}{encoder.sha256[:16]}"
    # Another detector finds other points.
    finder = f"-{'-'.join(d[:8] for d in described.detector.files.values())}" if described.detector else ""
    finder += f"-{_code_digest()}"
    plain = _Cache(cache_dir, model, finder)
    seen = _Cache(cache_dir, model, finder, "changed-") if change else plain
    pictures = [hashlib.sha256(photo.read()).hexdigest() for photo in chosen]
    keys = [f"{picture}:{change.key}" for picture in pictures] if change else pictures
    missing = [number for number, key in enumerate(keys) if key not in seen.embeddings]
    blocks = [missing[start : start + _BLOCK] for start in range(0, len(missing), _BLOCK)]
    tasks = [
        [
            _Task(chosen[n], pictures[n], plain.landmarks.get(pictures[n]), seen.landmarks.get(keys[n]))
            for n in b
        ]
        for b in blocks
    ]
    done = len(chosen) - len(missing)
    for block, results in zip(blocks, _work(tasks, directory, other, change, jobs), strict=True):
        for number, (points, embedding) in zip(block, results, strict=True):
            seen.landmarks[keys[number]] = points
            seen.embeddings[keys[number]] = embedding
        done += len(block)
        if progress:
            progress(done, len(chosen))
    if missing:
        seen.save()
    rows = np.stack([seen.embeddings[key] for key in keys])
    is_found = np.array([not np.isnan(seen.landmarks[key]).any() for key in keys])
    return Embedded(chosen, rows, is_found)


def as_embedded(encoder: Encoder) -> str:
    """What is made of an encoder's answers, as part of a cache's key."""
    by = encoder.attenuation
    return ("mirrored-" if encoder.mirrored else "") + (f"{by.typical:g}-{by.exponent:g}-" if by else "")


@dataclass(frozen=True, slots=True)
class _Task:
    """A photograph, and the detections that are known already."""

    photo: Photo
    picture: str
    plain: Points | None
    """Of the unchanged photograph."""
    known: Points | None
    """Of the changed one."""


_Answer = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class _Eye:
    """What a worker process keeps: the door's pipeline, another encoder, a change."""

    pipeline: Pipeline
    encode: Callable[[Image, Points], NDArray[np.float32]] | None
    change: Change | None

    def see(self, task: _Task) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(landmarks, embedding) of one task; NaN landmarks where no face was found."""
        image = decode(task.photo.read(), f"{task.photo.person}/{task.photo.name}")
        points = task.known
        if self.change is not None:
            plain = task.plain if task.plain is not None else self._find(image)
            if np.isnan(plain).any():
                points = plain  # nothing to change where nothing was found
            else:
                image = self.change(image, plain, int(task.picture[:8], 16))
        if points is None:
            points = self._find(image)
        if self.encode is None:
            return points, embed_at(self.pipeline, image, points)
        if np.isnan(points).any():
            return points, np.zeros_like(self.encode(_BLANK, TEMPLATE))
        return points, self.encode(image, points)

    def _find(self, image: Image) -> Points:
        face = central_face(image, self.pipeline.faces(image))
        return face.landmarks_px if face else np.full((5, 2), np.nan, np.float32)


_BLANK = np.zeros((112, 112, 3), np.uint8)
_eye: _Eye | None = None  # of a worker process


def _work(
    tasks: list[list[_Task]], directory: Path, other: OtherEncoder | None, change: Change | None, jobs: int
) -> Iterable[_Answer]:
    if not tasks:
        return
    if jobs <= 1 or len(tasks) <= 1:
        eye = _open_eye(directory, other, change)
        for task in tasks:
            yield [eye.see(one) for one in task]
        return
    with workers.pool(jobs, _start_worker, directory, other, change) as pool:
        yield from pool.map(_see_in_worker, tasks)


def _open_eye(directory: Path, other: OtherEncoder | None, change: Change | None) -> _Eye:
    return _Eye(open_pipeline(directory), other.open() if other else None, change)


def _start_worker(directory: Path, other: OtherEncoder | None, change: Change | None) -> None:
    global _eye  # noqa: PLW0603  # a process pool has no other place for what its workers keep
    _eye = _open_eye(directory, other, change)


def _see_in_worker(task: list[_Task]) -> _Answer:
    if _eye is None:
        raise RuntimeError("the worker was not started")
    return [_eye.see(one) for one in task]


def embed_at(pipeline: Pipeline, image: Image, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D,) the door's embedding of the face with these landmarks; zeros where they are NaN."""
    if np.isnan(landmarks_px).any():
        return np.zeros(pipeline.spec.output.shape[-1], np.float32)
    (left, top), (right, bottom) = landmarks_px.min(axis=0).tolist(), landmarks_px.max(axis=0).tolist()
    return pipeline.embed(image, Face(Box(left, top, right - left, bottom - top), landmarks_px, 1.0))


@functools.cache
def _code_digest() -> str:
    """Of the code that an embedding depends on besides its networks: what it gave before counts no more."""
    told = [inspect.getsource(module) for module in (align, detect, embed, tensors, warp, door)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def encoder_ms(directory: Path, runs: int = 100) -> float:
    """Median processor time of one run of the encoder on one thread, in milliseconds."""
    network = LiteRtNetwork(models.load(directory).encoder)
    tensor = np.zeros(network.input_shape, np.int8)
    spent = []
    for _ in range(runs + 5):
        start = time.process_time_ns()
        network.run(tensor)
        spent.append(time.process_time_ns() - start)
    return float(np.median(spent[5:])) / 1e6  # the first runs fill caches


class _Cache:
    """Two files: landmarks by picture and detector, embeddings by picture, detector and model."""

    def __init__(self, folder: Path | None, model: str, finder: str = "", kind: str = "") -> None:
        self.landmarks: dict[str, NDArray[np.float32]] = {}
        self.embeddings: dict[str, NDArray[np.float32]] = {}
        names = (f"{kind}landmarks{finder}.npz", f"{kind}embeddings-{model}{finder}.npz")
        self._paths = tuple(folder / name for name in names) if folder else None
        for path, table in zip(self._paths or (), (self.landmarks, self.embeddings), strict=False):
            if path.exists():
                try:
                    with np.load(path) as stored:
                        table.update(zip(stored["keys"].tolist(), stored["values"], strict=True))
                except (OSError, ValueError, KeyError) as error:
                    raise ExportError(f"{path} is damaged ({error}): delete it") from error

    def save(self) -> None:
        """Write beside and rename, so that an interruption costs only the newest rows."""
        for path, table in zip(self._paths or (), (self.landmarks, self.embeddings), strict=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".new.npz")
            np.savez(beside, keys=np.array(list(table)), values=np.stack(list(table.values())))
            beside.replace(path)
