"""What the teachers think of each face. Offline only: their weights ship with nothing.

| teacher                           | input                         | output | licence                     |
|-----------------------------------|-------------------------------|--------|-----------------------------|
| arcface_mbf_512                   | 112x112 RGB, (x-127.5)/127.5  | 512    | looks like InsightFace:     |
|                                   |                               |        | not for commercial use      |
| face-reidentification-retail-0095 | 128x128 BGR 0-255             | 256    | Apache-2.0 (Open Model Zoo) |

Both run in OpenVINO with bfloat16 where the processor has it: cosine 0.9998 to float32, three times as fast.
"""

# ruff: noqa: PLC0415  # heavy libraries, and verbs, load only where they are used

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX, similarity
from janusd_export.errors import ExportError
from janusd_export.faces.layout import stored_template
from janusd_export.faces.targets import unit

_BATCH = 32

ONE_THREAD: dict[str, Any] = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
"""OpenVINO's settings for one of several processes: pinned, all of them would share the first processor."""

# Landmarks of retail-0095's input as fractions of its side: eyes, nose, mouth corners (Open Model Zoo's
# page).
_RETAIL_LANDMARKS = np.array(
    [[0.3156, 0.4616], [0.6826, 0.4616], [0.5003, 0.6405], [0.3495, 0.8247], [0.6534, 0.8247]], np.float32
)


@dataclass(frozen=True, slots=True)
class Teacher:
    """A network and how it wants to see a face."""

    name: str
    file: str
    side: int
    wants_bgr: bool
    offset: float
    scale: float
    """input = (pixel - offset) / scale."""
    dimensions: int
    licence: str
    is_permissive: bool
    """Whether a product may be made with it."""


ARCFACE = Teacher(
    "arcface_mbf_512", "arcface_mbf_512.onnx", CROP_PX, False, 127.5, 127.5, 512,
    "looks like InsightFace: not for commercial use", is_permissive=False,
)  # fmt: skip
RETAIL = Teacher(
    "face-reidentification-retail-0095", "face-reidentification-retail-0095.xml", 128, True, 0.0, 1.0, 256,
    "Apache-2.0 (Open Model Zoo)", is_permissive=True,
)  # fmt: skip
ALL = (ARCFACE, RETAIL)


def choose(names: Sequence[str] | None, *, only_permissive: bool = False) -> tuple[Teacher, ...]:
    """The teachers of these names, or all; with `only_permissive` those a product may be made with.

    Raises ExportError for a name that is none, and where nobody is left.
    """
    known = {teacher.name: teacher for teacher in ALL}
    if unknown := [name for name in names or () if name not in known]:
        raise ExportError(f"{unknown[0]} is no teacher: choose among {', '.join(known)}")
    chosen = [known[name] for name in names] if names else list(ALL)
    if only_permissive and (strict := [teacher for teacher in chosen if not teacher.is_permissive]) and names:
        raise ExportError(f"{strict[0].name} is not permissively licensed ({strict[0].licence})")
    return tuple(teacher for teacher in chosen if teacher.is_permissive or not only_permissive)


class OpenTeacher:
    """A teacher, loaded, on one thread."""

    def __init__(self, teacher: Teacher, folder: Path) -> None:
        """Load it. Raises ExportError when its file is not there."""
        path = folder / teacher.file
        if not path.exists():
            raise ExportError(f"the teacher {path} is not there: give the folder of the teachers' files")
        import openvino as ov

        core: Any = ov.Core()
        model = core.read_model(str(path))
        model.reshape([_BATCH, 3, teacher.side, teacher.side])
        self._network = core.compile_model(model, "CPU", ONE_THREAD | {"PERFORMANCE_HINT": "THROUGHPUT"})
        self.teacher = teacher

    def embed(
        self, faces: NDArray[np.uint8], margin_px: int, *, both_views: bool = True
    ) -> NDArray[np.float32]:
        """(n, D): the sum of the unit embeddings of each stored face and, if wanted, of its mirror image."""
        blocks = [faces[start : start + _BATCH] for start in range(0, len(faces), _BATCH)]
        sums = [self._embed_block(np.asarray(block), margin_px, both_views=both_views) for block in blocks]
        return np.concatenate(sums) if sums else np.zeros((0, self.teacher.dimensions), np.float32)

    def _embed_block(
        self, block: NDArray[np.uint8], margin_px: int, *, both_views: bool
    ) -> NDArray[np.float32]:
        teacher = self.teacher
        x = np.zeros((_BATCH, teacher.side, teacher.side, 3), np.uint8)
        for place, face in enumerate(block):
            x[place] = _see(teacher, face, margin_px)
        seen = unit(_run(self._network, teacher, x))
        if both_views:
            seen = seen + unit(_run(self._network, teacher, x[:, :, ::-1]))
        return seen[: len(block)]


def embed_faces(
    teacher: Teacher,
    folder: Path,
    faces: NDArray[np.uint8],
    margin_px: int,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """(N, D): the sum of the unit embeddings of each stored face and of its mirror image."""
    opened = OpenTeacher(teacher, folder)
    sums = [np.zeros((0, teacher.dimensions), np.float32)]
    for start in range(0, len(faces), _BATCH):
        sums.append(opened.embed(faces[start : start + _BATCH], margin_px))
        if progress:
            progress(min(start + _BATCH, len(faces)), len(faces))
    return np.concatenate(sums)


def _see(teacher: Teacher, face: NDArray[np.uint8], margin_px: int) -> NDArray[np.uint8]:
    """The face as this teacher wants it, before normalising."""
    if teacher is ARCFACE:
        return face[margin_px : margin_px + CROP_PX, margin_px : margin_px + CROP_PX]
    matrix = similarity(stored_template(margin_px), _RETAIL_LANDMARKS * teacher.side)
    warped = cv2.warpAffine(face, matrix, (teacher.side, teacher.side), borderMode=cv2.BORDER_REPLICATE)
    return warped[:, :, ::-1].astype(np.uint8, copy=False)


def _run(
    network: Any,  # noqa: ANN401  # openvino comes without types
    teacher: Teacher,
    x: NDArray[np.uint8],
) -> NDArray[np.float32]:
    planes = np.ascontiguousarray(x.transpose(0, 3, 1, 2), np.float32)
    y: NDArray[np.float32] = network((planes - teacher.offset) / teacher.scale)[0]
    return y.reshape(len(x), -1).astype(np.float32)
