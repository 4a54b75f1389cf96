"""Ask judges (teachers, or the released encoder) what they think of every face of a cache, and keep it.

    CACHE/teacher-NAME.npy   (N, D) float32, grows a block at a time
    CACHE/teacher-NAME.json  whose opinion it is: the digest of the network's file

Rows of a cache never change their number, so what was asked once stays true; only new faces are asked about.
A run that was killed goes on at the last block it had saved.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from janusd import models
from janusd_export.errors import ExportError
from janusd_export.faces import ledger
from janusd_export.faces.cache import stored_side
from janusd_export.faces.device import embed_at, open_pipeline
from janusd_export.faces.growing import GrowingArray
from janusd_export.faces.layout import stored_template
from janusd_export.faces.teachers import OpenTeacher, Teacher

BLOCK = 256  # faces between two saves: seconds of work
Progress = Callable[[str, int, int], None]
"""Called with (judge, faces done, all)."""


class Judge(Protocol):
    """A network with an opinion about faces."""

    file: str
    """What its opinions are called in a cache, without their ending."""
    digest: str
    """Of the network's file."""
    dimensions: int

    def embed(self, faces: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, D) of n stored faces and the door's landmarks in them (NaN where it found none)."""


class TeacherJudge:
    """A teacher; it sees the face where the shards' landmarks say."""

    def __init__(self, teacher: Teacher, folder: Path, margin_px: int) -> None:
        """Load it. Raises ExportError."""
        self._opened = OpenTeacher(teacher, folder)
        self._margin_px = margin_px
        self.file, self.dimensions = f"teacher-{teacher.name}", teacher.dimensions
        weights = sorted((folder / teacher.file).parent.glob(f"{Path(teacher.file).stem}.*"))
        self.digest = hashlib.sha256(b"".join(map(Path.read_bytes, weights))).hexdigest()

    def embed(self, faces: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, D), see `OpenTeacher.embed`."""
        return self._opened.embed(faces, self._margin_px)


class EncoderJudge:
    """The int8 encoder of a door, through the door's own alignment: needs nothing but the daemon."""

    def __init__(self, directory: Path, margin_px: int) -> None:
        """Load a model directory. Raises JanusError."""
        self._pipeline = open_pipeline(directory)
        encoder = models.load(directory).manifest.encoder
        self._template = stored_template(margin_px)
        self.digest, self.dimensions = encoder.sha256, encoder.output.shape[-1]
        self.file = f"encoder-{encoder.sha256[:16]}"

    def embed(self, faces: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, D) unit rows."""
        rows = np.zeros((len(faces), self.dimensions), np.float32)
        for number, (face, points) in enumerate(zip(faces, landmarks_px, strict=True)):
            known = self._template if np.isnan(points).any() else points
            rows[number] = embed_at(self._pipeline, np.asarray(face), known)
        return rows


def ask(
    cache_dir: Path, judge: Judge, *, again: bool = False, progress: Progress | None = None
) -> NDArray[np.float32]:
    """(N, D): what the judge thinks of each face, asked where it is not known yet. Raises ExportError."""
    ledger.gone_rows(cache_dir)  # an interrupted import is no cache
    try:
        pixels = np.load(cache_dir / "faces.npy", mmap_mode="r")
        points = np.load(cache_dir / "landmarks.npy")
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{cache_dir} is not a complete cache ({error}): run janus-export import"
        ) from error
    path, whose = cache_dir / f"{judge.file}.npy", cache_dir / f"{judge.file}.json"
    if again:
        path.unlink(missing_ok=True)
        whose.unlink(missing_ok=True)
    if path.exists() and not whose.exists():  # as earlier versions left them
        known = _known(path)
        if known.shape == (len(pixels), judge.dimensions):
            return known
        raise ExportError(f"{path} does not say whose it is: give --again to ask anew")
    if whose.exists() and json.loads(whose.read_text())["sha256"] != judge.digest:
        raise ExportError(f"{path} is of another network of the same name: give --again to ask this one")
    whose.write_text(json.dumps({"sha256": judge.digest}) + "\n", encoding="utf-8")
    try:
        with GrowingArray(path, (judge.dimensions,), np.float32) as opinions:
            for start in range(opinions.rows, len(pixels), BLOCK):
                block = slice(start, start + BLOCK)
                opinions.append(judge.embed(np.asarray(pixels[block]), points[block]).astype(np.float32))
                opinions.save()
                if progress:
                    progress(judge.file, opinions.rows, len(pixels))
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}. What was asked is kept: run it again") from error
    return _known(path)


def _known(path: Path) -> NDArray[np.float32]:
    try:
        found: NDArray[np.float32] = np.load(path)
    except (OSError, ValueError) as error:
        raise ExportError(f"{path} cannot be read ({error}): give --again to ask anew") from error
    return found


def teach(
    cache_dir: Path,
    teachers_dir: Path,
    chosen: Sequence[Teacher],
    *,
    again: bool = False,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Ask these teachers; give their opinions by name. Raises ExportError."""
    margin_px = margin_of(cache_dir)
    return {
        teacher.name: ask(
            cache_dir, TeacherJudge(teacher, teachers_dir, margin_px), again=again, progress=progress
        )
        for teacher in chosen
    }


def margin_of(cache_dir: Path) -> int:
    """Around the crop in a cache's faces. Raises ExportError."""
    try:
        side = int(np.load(cache_dir / "faces.npy", mmap_mode="r").shape[1])
    except (OSError, ValueError, IndexError) as error:
        raise ExportError(f"{cache_dir} is not a cache ({error}): run janus-export import") from error
    return (side - stored_side(0)) // 2
