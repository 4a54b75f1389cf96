"""Train both networks of the detector on cached scenes; `training.clocked` is the loop.

Each keeps RUN/NAME.pt and RUN/NAME/log.jsonl and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from janusd.core import detect
from janusd_export.detector.losses import Cells, Terms, asked_of, detector_loss, refiner_loss
from janusd_export.detector.model import DetectorNet, RefinerNet, count
from janusd_export.detector.recipe import Recipe
from janusd_export.detector.scene_cache import Scenes, open_scenes
from janusd_export.detector.turning import turn_somehow
from janusd_export.errors import ExportError
from janusd_export.training import clocked
from janusd_export.training.clocked import Run, Work
from janusd_export.training.crew import half_precision

NETWORKS = ("refiner", "detector")
_MIRRORED = [1, 0, 2, 4, 3]


@dataclass(frozen=True, slots=True)
class Task:
    """What is trained, and how a batch of it is made and judged."""

    network: nn.Module
    run: Run
    loss: Callable[[Scenes, nn.Module, np.random.Generator, int], Terms]
    """Of a fresh batch of that many."""
    seen: tuple[int, int]
    """Height and width of its input."""


def train(
    recipe: Recipe,
    which: str,
    scenes: Path,
    run_dir: Path,
    *,
    stop_after: int | None = None,
    start_from: Path | None = None,
) -> Path:
    """Run or resume the training of the "detector" or the "refiner"; give the checkpoint.

    `start_from` is another run's folder: a new run begins with its averaged weights.
    """
    return clocked.train(
        work_of,
        (recipe, which, scenes),
        task_of(recipe, which).run.processes,
        run_dir / f"{which}.pt",
        stop_after=stop_after,
        start_from=None if start_from is None else load_average(recipe, which, start_from).state_dict(),
    )


def work_of(recipe: Recipe, which: str, folder: Path) -> Work:
    """What one process of a run trains."""
    torch.manual_seed(recipe.seed)
    learnt, unseen = (open_scenes(folder, f"{which}-{part}") for part in ("train", "tune"))
    task = task_of(recipe, which)
    parameters, macs = count(task.network, *task.seen)
    about = {"scenes": len(learnt), "unseen": len(unseen), "parameters": parameters, "macs": macs}
    return Work(task.network, task.run, recipe.seed, partial(_batch, task, learnt, unseen), about)


def _batch(
    task: Task,
    learnt: Scenes,
    unseen: Scenes,
    network: nn.Module,
    rng: np.random.Generator,
    is_learnt: bool,
) -> Terms:
    return task.loss(learnt if is_learnt else unseen, network, rng, task.run.batch)


def task_of(recipe: Recipe, which: str) -> Task:
    """The fresh network of that name and what goes with it."""
    if which == "detector":
        return Task(DetectorNet(recipe.detector_size), recipe.detector_run, _detector_batch, (240, 320))
    if which == "refiner":
        side = detect.REFINER_PX
        return Task(RefinerNet(recipe.refiner_size), recipe.refiner_run, _refiner_batch, (side, side))
    raise ExportError(f"there is no network {which!r}: it is one of {', '.join(NETWORKS)}")


def load_average(recipe: Recipe, which: str, run_dir: Path) -> nn.Module:
    """The averaged network of a run, in evaluation mode. Raises ExportError."""
    network = task_of(recipe, which).network
    return clocked.load_average(network, run_dir / f"{which}.pt", "janus-export detector train")


# ----------------------------------------------------------------------------------------------------
# Batches


def _detector_batch(scenes: Scenes, network: nn.Module, rng: np.random.Generator, size: int) -> Terms:
    """Scenes as they are, mirrored, lit anew; a third of them looked at closer or from further away."""
    images, known = [], []
    height, width = scenes.images.shape[1:3]
    for number in rng.integers(0, len(scenes), size):
        scene = scenes.scene(int(number))
        image, boxes, points = scene.image, scene.box_px.copy(), scene.points_px.copy()
        if rng.random() < 0.5:
            image = image[:, ::-1]
            boxes[:, 0] = width - boxes[:, 0] - boxes[:, 2]
            points[..., 0] = width - 1 - points[..., 0]
            points = points[:, _MIRRORED]
        if rng.random() < 0.35:
            image, boxes, points = _zoomed(rng, image, boxes, points)
        if rng.random() < 0.5:
            image = _lit(rng, image)
        images.append(np.ascontiguousarray(image))
        known.append((boxes, points))
    answers = _run(network, images)
    return detector_loss(answers, _cells(height, width), asked_of(known))


def _zoomed(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    points: NDArray[np.float32],
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """The scene moved and scaled by 0.7 .. 1.4; faces that leave it in larger part are forgotten."""
    height, width = image.shape[:2]
    scale = float(np.exp(rng.uniform(np.log(0.7), np.log(1.4))))
    room = np.array([width, height]) * (1.0 - scale)
    shift = rng.uniform(np.minimum(room, 0.0), np.maximum(room, 0.0))
    matrix = np.array(
        [[scale, 0.0, shift[0] + 0.5 * scale - 0.5], [0.0, scale, shift[1] + 0.5 * scale - 0.5]]
    )
    moved = cv2.warpAffine(
        np.ascontiguousarray(image), matrix, (width, height), flags=cv2.INTER_LINEAR,
        borderValue=(128, 128, 128),
    ).astype(np.uint8, copy=False)  # fmt: skip
    boxes = boxes * np.float32(scale)
    boxes[:, :2] += shift.astype(np.float32)
    points = ((points + 0.5) * scale + shift - 0.5).astype(np.float32)
    middle = boxes[:, :2] + boxes[:, 2:] / 2
    stays = ((middle > 0) & (middle < (width, height))).all(axis=1) & (boxes[:, 2:].min(axis=1) >= 8)
    # What is mostly outside is neither asked for nor a good example of nothing: cover it.
    for x, y, w, h in boxes[~stays]:
        cv2.rectangle(moved, (int(x), int(y)), (int(x + w), int(y + h)), (128, 128, 128), -1)
    return moved, boxes[stays], points[stays]


def _lit(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    level = np.linspace(0.0, 1.0, 256) ** np.exp(rng.normal(0.0, 0.25)) * np.exp(rng.normal(0.0, 0.2))
    table = np.clip(255.0 * (level + rng.normal(0.0, 0.04)), 0, 255).astype(np.uint8)
    return cv2.LUT(np.ascontiguousarray(image), table).astype(np.uint8, copy=False)


_CELLS: dict[tuple[int, int], Cells] = {}


def _cells(height: int, width: int) -> Cells:
    if (height, width) not in _CELLS:
        _CELLS[height, width] = Cells.of(height, width)
    return _CELLS[height, width]


def _refiner_batch(scenes: Scenes, network: nn.Module, rng: np.random.Generator, size: int) -> Terms:
    """Crops as a detector that errs would ask for them; some of them show no face."""
    crops, wanted, is_face = [], [], []
    for number in rng.integers(0, len(scenes), size):
        scene = scenes.scene(int(number))
        image, points = scene.image, scene.points_px
        if rng.random() < 0.3:
            image = _lit(rng, image)
        shows = len(points) == 1
        guess = erred(rng, points[0]) if shows else _anywhere(rng, image.shape[0])
        if shows and rng.random() < 0.08:  # beside the face, or at quite another scale
            eyes = float(np.hypot(*(points[0, 1] - points[0, 0])))
            angle, shows = rng.uniform(0.0, 2.0 * np.pi), False
            away = rng.uniform(1.6, 2.6) * eyes * np.array([np.cos(angle), np.sin(angle)])
            guess = (guess + away).astype(np.float32)
        crop, matrix = detect.closer(image, guess)
        inside = (points[0] @ matrix[:, :2].T + matrix[:, 2]) if shows else detect.REFINER_TEMPLATE
        if shows and rng.random() < 0.6:
            crop, inside = turn_somehow(rng, crop, inside.astype(np.float32))
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
            inside = np.column_stack([detect.REFINER_PX - 1 - inside[:, 0], inside[:, 1]])[_MIRRORED]
        crops.append(crop)
        wanted.append(inside.astype(np.float32))
        is_face.append(shows)
    answers = _run(network, crops)
    return refiner_loss(answers, torch.from_numpy(np.stack(wanted)), torch.tensor(is_face))


def erred(rng: np.random.Generator, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points as a detector that saw the face small might give them."""
    eyes = float(np.hypot(*(points[1] - points[0])))
    middle = points.mean(axis=0)
    angle, scale = rng.normal(0.0, np.deg2rad(8.0)), np.exp(rng.normal(0.0, 0.1))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = (points - middle) @ turn.T + middle + rng.normal(0.0, 0.09 * eyes, 2)
    moved = moved + rng.normal(0.0, 0.06 * eyes, points.shape)
    return np.asarray(moved, np.float32)


def _anywhere(rng: np.random.Generator, side: int) -> NDArray[np.float32]:
    """Points of a face that is not there."""
    size = np.exp(rng.uniform(np.log(0.25), np.log(1.8)))
    angle = rng.normal(0.0, np.deg2rad(15.0))
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    template = detect.REFINER_TEMPLATE - detect.REFINER_TEMPLATE.mean(axis=0)
    return np.asarray(template @ turn.T + rng.uniform(0.3 * side, 0.7 * side, 2), np.float32)


def _run(network: nn.Module, images: list[NDArray[np.uint8]]) -> Tensor:
    batch = torch.from_numpy(np.stack(images))
    x = batch.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)  # (B, 3, H, W), channels last
    with half_precision(torch.device("cpu"), wanted=True):
        y: Any = network(x)
    return torch.as_tensor(y).float()
