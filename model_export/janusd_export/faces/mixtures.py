"""Faces between faces: more to learn from where photographs are few, without another photograph.

A teacher has an opinion of any face, also of one that nobody has. Two training faces lie over each other at
their five points; a mixture blends them evenly, or takes parts of one and parts of the other with soft seams,
and bends the result a little. The teachers are asked about the mixture itself, so its target is true however
odd it looks: the student learns the teachers' function between the faces, not a guess about it. After Zhang
et al., "mixup", 2018, and Beyer et al., "Knowledge distillation: a good teacher is patient and consistent",
2022.

Nothing is drawn to disk but opinions: mixture k of a cache depends on the seed, on k and on the rows that may
be mixed, and costs a millisecond to make again.

    CACHE/mixtures-TEACHER.npy   (M, D_t) float32 unit embeddings, grows a block at a time
    CACHE/mixtures.json          the seed, and the digest of the rows that were mixed
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from janusd.core.align import similarity
from janusd.core.types import Image, Points
from janusd_export import workers
from janusd_export.errors import ExportError
from janusd_export.faces.cache import Faces, open_faces
from janusd_export.faces.growing import GrowingArray
from janusd_export.faces.layout import stored_template
from janusd_export.faces.teachers import OpenTeacher, Teacher

Picture = TypeVar("Picture", NDArray[np.uint8], NDArray[np.float32])

BLOCK = 256
_EVEN = 0.4
"""Share of mixtures that blend evenly; the others take parts."""
_BENT = 0.6
"""Share that is bent."""
_BEND_PX = 2.5
"""Sigma of the bend at each of 5 x 5 places, in pixels of the stored face (its eyes are 35 apart)."""


@dataclass(frozen=True, slots=True)
class Mixtures:
    """The mixtures of some training rows of a cache, made as they are asked for."""

    faces: Faces
    rows: NDArray[np.intp]
    """Of the faces that may be mixed: training faces only."""
    seed: int
    margin_px: int

    def __getitem__(self, number: int) -> tuple[Image, Points]:
        """Mixture `number` as a stored face, and where a door would find its landmarks in it."""
        rng = np.random.default_rng((self.seed, number))
        first, second = self.rows[rng.integers(0, len(self.rows), 2)]  # now and then a face with itself
        side = self.faces.pixels.shape[1]
        if rng.random() < _EVEN:
            share = np.full((side, side), rng.uniform(0.3, 0.7), np.float32)
        else:
            share = _parts(rng, side)
        one, other = self.faces.pixels[first], self.faces.pixels[second]
        blended = cv2.blendLinear(one, _towards(one, other, rng.random()), share, 1.0 - share)
        mixed = blended.astype(np.uint8, copy=False)
        middle = float(share.mean())
        points = middle * self.faces.landmarks_px[first] + (1 - middle) * self.faces.landmarks_px[second]
        if rng.random() < _BENT:
            mixed, points = _bend(rng, mixed, points, stored_template(self.margin_px))
        return mixed, points.astype(np.float32)

    @property
    def digest(self) -> str:
        """Of all that decides what a mixture is."""
        told = np.ascontiguousarray(self.rows, np.int64).tobytes()
        return hashlib.sha256(f"{self.seed} {len(self.faces.pixels)} ".encode() + told).hexdigest()


def ask_about_mixtures(
    cache_dir: Path,
    teachers_dir: Path,
    mixtures: Mixtures,
    chosen: Sequence[Teacher],
    count: int,
    *,
    jobs: int = 1,
    progress: Callable[[str, int, int], None] | None = None,
) -> None:
    """Ask the teachers about the first `count` mixtures; goes on where it stopped. Raises ExportError.

    One view each: a target's noise of a mirror image matters less than another face. `jobs` processes ask.
    """
    marker = cache_dir / "mixtures.json"
    if marker.exists() and json.loads(marker.read_text())["sha256"] != mixtures.digest:
        raise ExportError(
            f"{marker} is of other faces or another seed: delete {cache_dir}/mixtures* to begin anew"
        )
    marker.write_text(json.dumps({"seed": mixtures.seed, "sha256": mixtures.digest}) + "\n")
    for teacher in chosen:
        with GrowingArray(_path(cache_dir, teacher.name), (teacher.dimensions,), np.float32) as opinions:
            blocks = [range(start, min(start + BLOCK, count)) for start in range(opinions.rows, count, BLOCK)]
            for told in _ask(cache_dir, teachers_dir, mixtures, teacher, blocks, jobs):
                opinions.append(told)
                opinions.save()
                if progress:
                    progress(teacher.name, opinions.rows, count)


class _Asking:
    """A teacher before mixtures."""

    def __init__(self, mixtures: Mixtures, teacher: Teacher, teachers_dir: Path) -> None:
        self._mixtures = mixtures
        self._teacher = OpenTeacher(teacher, teachers_dir)

    def about(self, numbers: Sequence[int]) -> NDArray[np.float32]:
        """(n, D_t) what it thinks of these."""
        block = np.stack([self._mixtures[k][0] for k in numbers])
        return self._teacher.embed(block, self._mixtures.margin_px, both_views=False)


_asking: _Asking | None = None  # of a worker process


def _ask(
    cache_dir: Path,
    teachers_dir: Path,
    mixtures: Mixtures,
    teacher: Teacher,
    blocks: Sequence[Sequence[int]],
    jobs: int,
) -> Iterator[NDArray[np.float32]]:
    """What a teacher thinks of each block of mixtures, in order."""
    if not blocks:
        return
    if jobs == 1:
        asking = _Asking(mixtures, teacher, teachers_dir)
        yield from map(asking.about, blocks)
        return
    told = (cache_dir, mixtures.rows, mixtures.seed, mixtures.margin_px)  # the faces stay on the disk
    with workers.pool(jobs, _start_worker, teacher, teachers_dir, *told) as pool:
        yield from pool.map(_ask_in_worker, blocks)


def _start_worker(
    teacher: Teacher, teachers_dir: Path, cache_dir: Path, rows: NDArray[np.intp], seed: int, margin_px: int
) -> None:
    global _asking  # noqa: PLW0603  # a process pool has no other place for what its workers keep
    mixtures = Mixtures(open_faces(cache_dir, margin_px, []), rows, seed, margin_px)
    _asking = _Asking(mixtures, teacher, teachers_dir)


def _ask_in_worker(block: Sequence[int]) -> NDArray[np.float32]:
    if _asking is None:
        raise RuntimeError("the worker was not started")
    return _asking.about(block)


def opinions_of_mixtures(
    cache_dir: Path, mixtures: Mixtures, teachers: Sequence[str], count: int
) -> list[NDArray[np.float32]]:
    """(count, D_t) of each teacher. Raises ExportError where they were not asked about so many."""
    try:
        told = json.loads((cache_dir / "mixtures.json").read_text())["sha256"]
        found = [np.load(_path(cache_dir, name), mmap_mode="r")[:count] for name in teachers]
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(f"{cache_dir} holds no mixtures ({error}): run janus-export mix") from error
    if told != mixtures.digest:
        raise ExportError(f"{cache_dir}: its mixtures are of other faces: run janus-export mix again")
    if (few := min(map(len, found), default=0)) < count:
        raise ExportError(f"{cache_dir} has {few:,} of {count:,} mixtures: run janus-export mix again")
    return [np.array(opinions) for opinions in found]


def draw_sheet(mixtures: Mixtures, path: Path, side: int = 8) -> None:
    """Draw side x side mixtures beside each other as a PNG, to be looked at."""
    drawn = np.stack([mixtures[k][0] for k in range(side * side)])
    rows = [np.concatenate(list(drawn[k * side : (k + 1) * side]), axis=1) for k in range(side)]
    if not cv2.imwrite(str(path), cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR)):
        raise ExportError(f"{path} cannot be written")


def _path(cache_dir: Path, teacher: str) -> Path:
    return cache_dir / f"mixtures-{teacher}.npy"


def _parts(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """(side, side) in 0..1: which face counts where; a few soft-edged parts."""
    few = rng.normal(0.0, 2.0, (4, 4)).astype(np.float32)
    wide = cv2.resize(few, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(1.0 / (1.0 + np.exp(-2.0 * wide)), np.float32)


def _towards(one: Image, other: Image, share: float) -> Image:
    """`other` with its colours brought part of the way to those of `one`: less of a patchwork."""
    mean, spread = cv2.meanStdDev(one)
    its_mean, its_spread = cv2.meanStdDev(other)
    gain = 1.0 + share * (np.clip(spread / np.maximum(its_spread, 1.0), 0.5, 2.0) - 1.0)  # (3, 1)
    shift = its_mean + share * (mean - its_mean) - gain * its_mean
    levels = np.arange(256)[None, :] * gain + shift  # (3, 256)
    table = np.clip(levels, 0, 255).astype(np.uint8).T[None, :, :]  # (1, 256, 3)
    return cv2.LUT(other, np.ascontiguousarray(table)).astype(np.uint8, copy=False)


def _bend(
    rng: np.random.Generator, face: NDArray[np.uint8], points: Points, template: Points
) -> tuple[NDArray[np.uint8], Points]:
    """Bend a face smoothly, and put its five points back where stored faces have them."""
    side = face.shape[0]
    few = rng.normal(0.0, _BEND_PX, (5, 5, 2)).astype(np.float32)
    wide = cv2.resize(few, (side, side), interpolation=cv2.INTER_CUBIC)
    bend = wide.astype(np.float32, copy=False)  # where each pixel comes from, less
    at = np.clip(np.rint(template).astype(np.intp), 0, side - 1)  # its place
    moved = (template - bend[at[:, 1], at[:, 0]]).astype(np.float32)
    back = cv2.invertAffineTransform(similarity(moved, template))  # stored place -> bent place
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    bent_x = back[0, 0] * x + back[0, 1] * y + back[0, 2]
    bent_y = back[1, 0] * x + back[1, 1] * y + back[1, 2]
    bent = np.stack([bent_x, bent_y], axis=2)  # (side, side, 2): where in the bent face each pixel lies
    drawn = _sample(face, bent + _sample(bend, bent))
    forward = similarity(moved, template)
    shifted = points + (moved - template)
    return drawn, (shifted @ forward[:, :2].T + forward[:, 2]).astype(np.float32)


def _sample(picture: Picture, places: NDArray[Any]) -> Picture:
    """(H, W, C) the picture at the (H, W, 2) places x, y; beyond its border, the border."""
    where: NDArray[np.float32] = places.astype(np.float32)
    sampled = cv2.remap(
        picture, where[..., 0], where[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return cast("Picture", sampled)
