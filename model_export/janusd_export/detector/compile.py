"""From the checkpoints of both networks to a folder with two int8 files and what describes them.

    OUT/NAME.tflite, OUT/NAME-refiner.tflite
    OUT/detector.json   the manifest's `detector` entry

The threshold is chosen here, on backgrounds and scenes that were neither learnt from nor are measured on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from janusd.core import detect
from janusd.core.manifest import Detector, Refiner, TensorSpec
from janusd.core.tensors import real, to_tensor
from janusd_export.compiling import release
from janusd_export.detector import int8
from janusd_export.detector.library import Kind, Library, Part
from janusd_export.detector.model import count, fold
from janusd_export.detector.recipe import Recipe
from janusd_export.detector.scene_cache import Scenes, open_scenes
from janusd_export.detector.train import erred, load_average
from janusd_export.errors import ExportError
from janusd_hw.detector_litert import OwnDetector
from janusd_hw.litert import LiteRtNetwork

CALIBRATION = 96
PROPOSAL = 0.25
"""The refiner may refuse what the first look took for a face: the first look need not be sure."""
FALSE_DETECTIONS = 0.01
"""Of frames without a face, when the threshold is chosen: as many as are promised."""

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Compiled:
    """What `janus-export detector compile` prints."""

    spec: Path
    threshold: float
    frames: int
    """Without a face, on which the threshold was chosen."""
    networks: tuple[tuple[str, int, int, int, float], ...]
    """Name, parameters, multiply-accumulates, bytes, and the int8 file's mean error in its output's units."""


def compile_run(
    recipe: Recipe,
    run_dir: Path,
    scenes: Path,
    library: Library,
    out: Path,
    *,
    say: Say = lambda part, done, total: None,
) -> Compiled:
    """Write the folder. Raises ExportError."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(recipe.seed)
    pictures = {
        "detector": _pictures(open_scenes(scenes, "detector-train"), rng),
        "refiner": _crops(open_scenes(scenes, "refiner-train"), rng),
    }
    rows: list[tuple[str, int, int, int, float]] = []
    made: dict[str, tuple[str, str, TensorSpec, TensorSpec]] = {}
    for number, which in enumerate(("detector", "refiner")):
        say("compile", number, 2)
        network = load_average(recipe, which, run_dir)
        folded = fold(network)
        pair = int8.compile_network(folded, pictures[which])
        litert = LiteRtNetwork(pair.in_int8)
        file = f"{recipe.name}.tflite" if which == "detector" else f"{recipe.name}-refiner.tflite"
        (out / file).write_bytes(pair.in_int8)
        seen = TensorSpec(litert.input_shape, *litert.input_quantization)
        answer = TensorSpec(litert.output_shape, *litert.output_quantization)
        made[which] = (file, hashlib.sha256(pair.in_int8).hexdigest(), seen, answer)
        error = _error(folded, litert, seen, answer, pictures[which][:32])
        rows.append((which, *count(network, *pictures[which].shape[1:3]), len(pair.in_int8), error))
    say("compile", 2, 2)
    file, digest, seen, answer = made["detector"]
    training = {
        "teacher": "YuNet 2023mar (Apache-2.0), several views of each clean picture",
        "seed": recipe.seed,
        "commit": release.commit_of(Path(__file__).parent),
    }
    spec = Detector(
        recipe.name, file, digest, recipe.version, seen, answer, PROPOSAL, PROPOSAL,
        refiner=Refiner(*made["refiner"]), training=training,
    )  # fmt: skip
    threshold, frames = choose_threshold(open_detector(spec, out), library, say)
    spec = msgspec.structs.replace(spec, threshold=threshold)
    path = out / release.DETECTOR_FILE
    path.write_bytes(msgspec.json.format(msgspec.json.encode(spec), indent=2) + b"\n")
    return Compiled(path, threshold, frames, tuple(rows))


def read_spec(folder: Path) -> Detector:
    """The manifest entry in a folder. Raises ExportError."""
    return release.read_detector(folder)[0]


def open_detector(spec: Detector, folder: Path) -> OwnDetector:
    """The detector of a folder as a door opens it, on one thread; digests are checked. Raises ExportError."""
    networks = release.read_networks(spec, folder)
    return OwnDetector(spec, *(LiteRtNetwork(raw) for raw in networks.values()))


def choose_threshold(detector: OwnDetector, library: Library, say: Say) -> tuple[float, int]:
    """The least score that so few face-free frames of the tuning part reach, and how many there were."""
    best = [
        max((face.score for face in detector.detect(frame)), default=0.0)
        for frame in frames_without(library, Part.TUNE, say)
    ]
    allowed = int(FALSE_DETECTIONS * len(best))
    highest = sorted(best, reverse=True)
    reached = highest[allowed] if allowed < len(highest) else 0.0
    return max(PROPOSAL, round(float(reached) + 0.005, 3)), len(best)


def frames_without(library: Library, part: Part, say: Say) -> list[NDArray[np.uint8]]:
    """Face-free camera pictures: each background whole, its mirror image, and four views into it."""
    rows = library.rows(part, Kind.BACKGROUND)
    frames = []
    for number, row in enumerate(rows):
        say("face-free frames", number + 1, len(rows))
        picture = library.pixels(int(row))
        height, width = picture.shape[:2]
        tall, wide = round(0.6 * height), round(0.6 * width)
        views = [picture, np.ascontiguousarray(picture[:, ::-1])]
        views += [picture[y : y + tall, x : x + wide] for y in (0, height - tall) for x in (0, width - wide)]
        for view in views:
            scale = 640 / max(view.shape[:2])
            size = (round(view.shape[1] * scale), round(view.shape[0] * scale))
            frames.append(cv2.resize(view, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False))
    return frames


def _pictures(scenes: Scenes, rng: np.random.Generator) -> NDArray[np.uint8]:
    chosen = np.sort(rng.choice(len(scenes), min(CALIBRATION, len(scenes)), replace=False))
    return np.stack([scenes.images[k] for k in chosen])


def _crops(scenes: Scenes, rng: np.random.Generator) -> NDArray[np.uint8]:
    crops = []
    for number in rng.permutation(len(scenes)):
        scene = scenes.scene(int(number))
        if len(scene.points_px):
            crops.append(detect.closer(scene.image, erred(rng, scene.points_px[0]))[0])
        if len(crops) == CALIBRATION:
            break
    if not crops:
        raise ExportError("the refiner's scenes show no face: compose them again")
    return np.stack(crops)


def _error(
    folded: torch.nn.Module,
    litert: LiteRtNetwork,
    seen: TensorSpec,
    answer: TensorSpec,
    pictures: NDArray[np.uint8],
) -> float:
    """Mean absolute difference of int8 and float answers."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
    with torch.no_grad():
        exact = folded(x).numpy()
    rounded = [real(litert.run(to_tensor(picture, seen)), answer)[0] for picture in pictures]
    return float(np.abs(np.stack(rounded) - exact).mean())
