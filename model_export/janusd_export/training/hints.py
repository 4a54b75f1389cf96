"""A teacher's feature maps as hints for the student: Romero et al., "FitNets", 2015.

A vector of 256 numbers says little about a face; a teacher's maps say what it saw at each place. Each of
three maps (28x28, 14x14, 7x7) is rotated onto its principal axes, cut to the strongest and kept as int8:
75 KB for a view of a face, read while training instead of running the teacher again.

    CACHE/hints-0.npy ... hints-2.npy   (N, 2, S, S, C) int8: the crop as a door makes it, and its mirror
                                        image
    CACHE/hints.npz                     steps and variances of the channels; written last, so it marks the end

Trust boundary: these files are our own; only their shapes are checked.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX
from janusd_export.errors import ExportError
from janusd_export.faces.cache import Faces
from janusd_export.faces.teachers import ARCFACE, ONE_THREAD
from janusd_export.training.augment import plain_crop

_LAYERS = (
    "/layers.3/layers/layers.3/Add_output_0",
    "/layers.5/layers/layers.5/Add_output_0",
    "/layers.7/layers/layers.1/Add_output_0",
)
"""The ends of the ArcFace teacher's stages at 28x28, 14x14 and 7x7."""

_SIDES = (28, 14, 7)
_CHANNELS = (48, 128, 256)
"""Kept of 128, 256 and 256: 79, 88 and 100 % of the variance."""

_BATCH = 24
_FITTED_FACES = 480


@dataclass(frozen=True, slots=True)
class HintScales:
    """How the int8 maps become what the student is compared with."""

    channels: tuple[int, ...]
    scales: tuple[NDArray[np.float32], ...]
    """(C,) each; a map times its scale has mean square 1, with weak channels lifted by the fourth root of
    their variance: a compromise between what is loud and what is there."""


@dataclass(frozen=True, slots=True)
class Hints:
    """The maps of all faces of a cache."""

    maps: tuple[NDArray[np.int8], ...]
    """(N, 2, S, S, C) each, memory-mapped."""
    scales: HintScales


def open_hints(cache_dir: Path, faces: int) -> Hints:
    """Open what `make_hints` wrote for so many faces. Raises ExportError."""
    try:
        with np.load(cache_dir / "hints.npz") as fitted:
            steps = [fitted[f"steps_{k}"] for k in range(len(_LAYERS))]
            variances = [fitted[f"variances_{k}"].astype(np.float64) for k in range(len(_LAYERS))]
        maps = tuple(np.load(cache_dir / f"hints-{k}.npy", mmap_mode="r") for k in range(len(_LAYERS)))
    except (OSError, ValueError, KeyError) as error:
        raise ExportError(
            f"{cache_dir} holds no complete hints ({error}): run janus-export hints, or set losses.hints = 0"
        ) from error
    if any(len(kept) != faces for kept in maps):
        raise ExportError(f"{cache_dir}: the hints are of other faces: run janus-export hints --again")
    scales = []
    for step, variance in zip(steps, variances, strict=True):
        lift = variance**-0.25
        lift /= np.sqrt((lift**2 * variance).mean())
        scales.append((step * lift).astype(np.float32))
    return Hints(maps, HintScales(tuple(len(s) for s in scales), tuple(scales)))


def make_hints(
    cache_dir: Path,
    teachers_dir: Path,
    faces: Faces,
    *,
    again: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Run the ArcFace teacher over all faces and keep its maps. Resumes where it stopped."""
    marker, place = cache_dir / "hints.npz", cache_dir / "hints-place.npy"
    if again:
        for path in (marker, place):
            path.unlink(missing_ok=True)
    if marker.exists():
        return
    teacher = _Teacher(teachers_dir / ARCFACE.file)
    fit_path = cache_dir / "hints-fit.npz"
    if not place.exists() or not fit_path.exists():
        np.savez(fit_path, allow_pickle=False, **_fit(teacher, faces))
        for k, (side, channels) in enumerate(zip(_SIDES, _CHANNELS, strict=True)):
            shape = (len(faces.pixels), 2, side, side, channels)
            _make_room(cache_dir / f"hints-{k}.npy", shape)
        np.save(place, 0)
    with np.load(fit_path) as loaded:
        fitted = {name: loaded[name] for name in loaded}
    maps = _begun(cache_dir, faces)
    for start in range(int(np.load(place)), len(faces.pixels), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(faces.pixels)))
        for mirrored in (0, 1):
            for k, seen in enumerate(teacher(_crops(faces, rows, mirrored=bool(mirrored)))):
                turned = (seen - fitted[f"mean_{k}"]) @ fitted[f"axes_{k}"] / fitted[f"steps_{k}"]
                maps[k][rows, mirrored] = np.clip(np.rint(turned), -127, 127).astype(np.int8)
        if start // _BATCH % 50 == 0:
            for kept in maps:
                kept.flush()
            np.save(place, start)  # all before this row is on disk
        if progress:
            progress(int(rows[-1]) + 1, len(faces.pixels))
    for kept in maps:
        kept.flush()
    fit_path.replace(marker)
    place.unlink()


class _Teacher:
    """The ArcFace teacher, with its inner maps as outputs."""

    def __init__(self, path: Path) -> None:
        import openvino as ov  # noqa: PLC0415  # only this step needs it

        if not path.exists():
            raise ExportError(f"the teacher {path} is not there: give the folder of the teachers' files")
        core: Any = ov.Core()
        model = core.read_model(str(path))
        model.reshape([_BATCH, 3, CROP_PX, CROP_PX])
        layers = {layer.get_friendly_name(): layer for layer in model.get_ordered_ops()}
        if missing := [name for name in _LAYERS if name not in layers]:
            raise ExportError(f"{path} has no layer {missing[0]}: hints are read from {ARCFACE.name} only")
        model.add_outputs([layers[name].output(0) for name in _LAYERS])
        self._network = core.compile_model(model, "CPU", ONE_THREAD)

    def __call__(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """(n, 112, 112, 3) crops to one (n, S, S, C) map a layer."""
        count = len(crops)
        x = np.zeros((_BATCH, CROP_PX, CROP_PX, 3), np.float32)
        x[:count] = (crops.astype(np.float32) - 127.5) / 127.5
        outputs = list(self._network(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).values())
        return [output[:count].transpose(0, 2, 3, 1) for output in outputs[1:]]


def _begun(cache_dir: Path, faces: Faces) -> list[np.memmap[Any, Any]]:
    """The three files, to be written into. Raises ExportError where they are of other faces."""
    places = (cache_dir / f"hints-{k}.npy" for k in range(len(_LAYERS)))
    maps: list[np.memmap[Any, Any]] = [np.load(path, mmap_mode="r+") for path in places]
    if len(maps[0]) != len(faces.pixels):
        raise ExportError(f"the hints of {cache_dir} are of {len(maps[0]):,} faces: make them --again")
    return maps


def _make_room(path: Path, shape: tuple[int, ...]) -> None:
    """An array of nothing, with all its blocks: a disk that fills up later would end the process unasked."""
    np.lib.format.open_memmap(path, "w+", np.int8, shape).flush()
    try:
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink()
        raise ExportError(
            f"{path} needs {math.prod(shape) / 1e6:,.0f} MB ({error.strerror}): make room, or keep the cache"
            " on another disk"
        ) from error


def _crops(faces: Faces, rows: NDArray[np.intp], *, mirrored: bool) -> NDArray[np.uint8]:
    crops = np.stack([plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows])
    return crops[:, :, ::-1] if mirrored else crops


def _fit(teacher: _Teacher, faces: Faces) -> dict[str, NDArray[Any]]:
    """Principal axes and int8 steps of each map, from a few hundred faces."""
    count = min(_FITTED_FACES, len(faces.pixels))
    chosen = np.sort(np.random.default_rng(0).choice(len(faces.pixels), count, replace=False))
    samples: list[list[NDArray[np.float32]]] = [[] for _ in _LAYERS]
    for start in range(0, count, _BATCH):
        for k, seen in enumerate(teacher(_crops(faces, chosen[start : start + _BATCH], mirrored=False))):
            thinned = seen.reshape(-1, seen.shape[-1])[:: (16, 4, 1)[k]]
            samples[k].append(thinned)
    fitted: dict[str, NDArray[Any]] = {}
    for k, parts in enumerate(samples):
        seen = np.concatenate(parts)
        mean = seen.mean(axis=0)
        variances, axes = np.linalg.eigh(np.cov((seen - mean).T.astype(np.float64)))  # ascending
        variances, axes = variances[::-1][: _CHANNELS[k]], axes[:, ::-1][:, : _CHANNELS[k]]
        steps = np.quantile(np.abs((seen - mean) @ axes), 0.9995, axis=0) / 127
        fitted[f"mean_{k}"], fitted[f"axes_{k}"] = mean.astype(np.float32), axes.astype(np.float32)
        fitted[f"steps_{k}"], fitted[f"variances_{k}"] = (
            steps.astype(np.float32),
            variances.astype(np.float32),
        )
    return fitted
