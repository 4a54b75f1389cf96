"""Turn shards into what training reads: pixels, the door's landmarks, the teachers' opinions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from janusd.core.align import CROP_PX
from janusd_export import shards, teachers
from janusd_export.calibrate import PAD_PX, padded
from janusd_export.device import central_face
from janusd_hw.mtcnn import MtcnnDetector

Report = Callable[[str, int, int], None]
"""Called with (part, done, all)."""


def prepare(
    shards_dir: Path,
    teachers_dir: Path,
    cache_dir: Path,
    *,
    margin_px: int = 16,
    again: bool = False,
    report: Report | None = None,
) -> None:
    """Write the parts of `cache.py` that are missing (`again`: all of them)."""

    def step(part: str) -> Callable[[int, int], None]:
        return lambda done, total: report(part, done, total) if report else None

    side = CROP_PX + 2 * margin_px
    if again or not (cache_dir / "faces.npy").exists():
        shards.unpack(shards_dir, cache_dir, side, step("faces"))
    faces = np.load(cache_dir / "faces.npy", mmap_mode="r")
    if again or not (cache_dir / "landmarks.npy").exists():
        detector = MtcnnDetector(min_face_px=60)  # stored faces are about 110 px tall
        points = np.full((len(faces), 5, 2), np.nan, np.float32)
        for number in range(len(faces)):
            image = padded(np.asarray(faces[number]))
            face = central_face(image, detector.detect(image))
            if face is not None:
                points[number] = face.landmarks_px - PAD_PX
            step("landmarks")(number + 1, len(faces))
        np.save(cache_dir / "landmarks.npy", points)
    for teacher in teachers.ALL:
        path = cache_dir / f"teacher-{teacher.name}.npy"
        if again or not path.exists():
            np.save(path, teachers.embed_faces(teacher, teachers_dir, faces, margin_px, step(teacher.name)))
