"""The door's own path from photograph to embedding, for measuring: detector, alignment, int8 encoder.

No quality floor refuses a photograph. What is measured is what runs: `Pipeline` of `janusd` with the released
model directory. Embeddings are kept in a cache by the picture's digest, so that a second measurement takes
seconds; detections are kept apart from embeddings, because they stay when the encoder changes.
"""

# ruff: noqa: PLC0415  # heavy libraries, and verbs, load only where they are used

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd.core.types import Box, Face, Image
from janusd.pipeline import Pipeline
from janusd_export.errors import ExportError
from janusd_export.photos import Photo, decode
from janusd_hw.litert import LiteRtNetwork
from janusd_hw.mtcnn import MtcnnDetector

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
    return Pipeline(MtcnnDetector(), LiteRtNetwork(released.encoder), released.manifest.encoder)


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


def embed_photos(
    photos: Iterable[Photo],
    directory: Path,
    cache_dir: Path | None,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> Embedded:
    """Embed each photograph through the door's path. Raises ExportError for one that cannot be read."""
    chosen = tuple(photos)
    released = models.load(directory)
    encoder = released.manifest.encoder
    seen = _Cache(cache_dir, f"{'mirrored-' if encoder.mirrored else ''}{encoder.sha256[:16]}")
    dimensions = encoder.output.shape[-1]
    keys = [hashlib.sha256(photo.read()).hexdigest() for photo in chosen]
    missing = [number for number, key in enumerate(keys) if key not in seen.embeddings]
    blocks = [missing[start : start + _BLOCK] for start in range(0, len(missing), _BLOCK)]
    done = len(chosen) - len(missing)
    tasks = [([chosen[n] for n in block], [seen.landmarks.get(keys[n]) for n in block]) for block in blocks]
    for block, results in zip(blocks, _work(tasks, directory, jobs), strict=True):
        for number, (points, embedding) in zip(block, results, strict=True):
            seen.landmarks[keys[number]] = points
            seen.embeddings[keys[number]] = embedding
        done += len(block)
        if progress:
            progress(done, len(chosen))
    if missing:
        seen.save()
    rows = np.zeros((len(chosen), dimensions), np.float32)
    is_found = np.zeros(len(chosen), np.bool_)
    for number, key in enumerate(keys):
        is_found[number] = not np.isnan(seen.landmarks[key]).any()
        rows[number] = seen.embeddings[key]
    return Embedded(chosen, rows, is_found)


_Task = tuple[list[Photo], list["NDArray[np.float32] | None"]]
_Answer = list[tuple[NDArray[np.float32], NDArray[np.float32]]]
_pipeline: Pipeline | None = None  # of a worker process


def _work(tasks: list[_Task], directory: Path, jobs: int) -> Iterable[_Answer]:
    if jobs <= 1 or len(tasks) <= 1:
        pipeline = open_pipeline(directory)
        for task in tasks:
            yield _embed_block(pipeline, task)
        return
    with ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker, (directory,)) as pool:
        yield from pool.map(_embed_in_worker, tasks)


def _start_worker(directory: Path) -> None:
    import cv2

    global _pipeline  # noqa: PLW0603  # a process pool has no other place for what its workers keep
    cv2.setNumThreads(1)
    _pipeline = open_pipeline(directory)


def _embed_in_worker(task: _Task) -> _Answer:
    if _pipeline is None:
        raise RuntimeError("the worker was not started")
    return _embed_block(_pipeline, task)


def _embed_block(pipeline: Pipeline, task: _Task) -> _Answer:
    answer: _Answer = []
    for photo, known in zip(*task, strict=True):
        image = decode(photo.read(), f"{photo.person}/{photo.name}")
        points = known
        if points is None:
            face = central_face(image, pipeline.faces(image))
            points = face.landmarks_px if face else np.full((5, 2), np.nan, np.float32)
        answer.append((points, embed_at(pipeline, image, points)))
    return answer


def embed_at(pipeline: Pipeline, image: Image, landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """(D,) the door's embedding of the face with these landmarks; zeros where they are NaN."""
    if np.isnan(landmarks_px).any():
        return np.zeros(pipeline.spec.output.shape[-1], np.float32)
    (left, top), (right, bottom) = landmarks_px.min(axis=0).tolist(), landmarks_px.max(axis=0).tolist()
    return pipeline.embed(image, Face(Box(left, top, right - left, bottom - top), landmarks_px, 1.0))


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
    """Two files: landmarks by picture, embeddings by picture and model."""

    def __init__(self, folder: Path | None, model: str) -> None:
        self.landmarks: dict[str, NDArray[np.float32]] = {}
        self.embeddings: dict[str, NDArray[np.float32]] = {}
        self._paths = (folder / "landmarks.npz", folder / f"embeddings-{model}.npz") if folder else None
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
