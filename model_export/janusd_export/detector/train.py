"""Train both networks of the detector on cached scenes: read top to bottom.

Each keeps RUN/NAME.pt and RUN/NAME/log.jsonl and goes on where it stopped. Batch number k depends on the seed
and k alone; the learning rate follows the clock, because the machine may be shared.
"""

from __future__ import annotations

import copy
import itertools
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from janusd.core import detect
from janusd_export.detector.losses import Cells, Terms, asked_of, detector_loss, refiner_loss
from janusd_export.detector.model import DetectorNet, RefinerNet, count
from janusd_export.detector.recipe import Recipe, Run
from janusd_export.detector.scene_cache import Scenes, open_scenes
from janusd_export.errors import ExportError
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training.crew import Crew, Stop, agree, half_precision
from janusd_export.training.optimizer import Optimizer
from janusd_export.training.run_log import RunLog

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
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")  # read by the processes started below
    run_dir.mkdir(parents=True, exist_ok=True)
    arguments = (recipe, which, scenes, run_dir, stop_after, start_from)
    processes = task_of(recipe, which).run.processes
    if processes == 1:
        _train(0, 1, "", *arguments)
    else:
        meeting = f"file://{(run_dir / f'meeting-{os.getpid()}').resolve()}"
        torch.multiprocessing.spawn(_train, (processes, meeting, *arguments), nprocs=processes)
    return run_dir / f"{which}.pt"


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
    path, network = run_dir / f"{which}.pt", task_of(recipe, which).network
    if not path.exists():
        raise ExportError(f"{path} is not there: run janus-export detector train first")
    try:
        network.load_state_dict(checkpoints.load(path, torch.device("cpu"))["average"])
    except (KeyError, RuntimeError) as error:
        raise ExportError(f"{path} holds another architecture than the recipe asks for") from error
    return network.eval()


def _train(  # noqa: PLR0915  # one run reads top to bottom
    rank: int,
    ranks: int,
    meeting: str,
    recipe: Recipe,
    which: str,
    folder: Path,
    run_dir: Path,
    stop_after: int | None,
    start_from: Path | None,
) -> None:
    """One process of a run."""
    crew, device = Crew(rank, ranks, meeting), torch.device("cpu")
    if crew.size > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    stop = Stop()

    # 1. Scenes, the network, its running average, the optimizer.
    learnt, unseen = (open_scenes(folder, f"{which}-{part}") for part in ("train", "tune"))
    task = task_of(recipe, which)
    if start_from is not None:
        task.network.load_state_dict(load_average(recipe, which, start_from).state_dict())
    network, run = task.network.to(memory_format=torch.channels_last).train(), task.run
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = Optimizer(network, nn.Module(), run.schedule)
    step, progress, seconds = 0, 0.0, 0.0
    checkpoint = run_dir / f"{which}.pt"
    if checkpoint.exists():
        state = checkpoints.load(checkpoint, device)
        network.load_state_dict(state["network"])
        average = state["average"]
        optimizer.load(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        progress = seconds / (60.0 * run.minutes)  # with more minutes in the recipe an ended run goes on
    parameters, macs = count(network, *task.seen)
    network.train()
    say = RunLog(run_dir / which if crew.leads else None) if _made(run_dir / which) else RunLog(None)
    say(event="start", step=step, scenes=len(learnt), unseen=len(unseen), parameters=parameters, macs=macs)

    # 2. Steps, until the schedule is through.
    clock, validated, first_step, mean_loss = time.monotonic(), time.monotonic(), step, 0.0
    for number in itertools.count(step * crew.size + crew.rank, crew.size):
        rate = run.learning_rate * _shape(progress, run.warmup)
        terms = task.loss(learnt, network, np.random.default_rng([recipe.seed, number]), run.batch)
        terms.total.backward()
        value = float(terms.total.detach())
        if crew.size > 1:
            value, progress, seconds = agree(network, crew, value, progress, seconds, device)
        if not math.isfinite(value):
            raise ExportError(
                f"the loss became {value} at step {step}: lower learning_rate; kept: {checkpoint}"
            )
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step(rate)
        mean_loss += (value - mean_loss) * max(0.01, 1.0 / (step - first_step + 1))

        step += 1
        _blend(average, network, min(run.average, (1 + step) / (10 + step)))
        now = time.monotonic()
        seconds += now - clock
        progress += (now - clock) / (60.0 * run.minutes)
        clock = now
        if step % 50 == 0:
            say(
                event="step",
                step=step,
                progress=progress,
                seconds=seconds,
                rate=rate,
                loss=mean_loss,
                pictures_a_second=step * run.batch * crew.size / seconds,
                **terms.numbers(),
            )
        is_last = (
            progress >= 1.0 or (stop_after is not None and step - first_step >= stop_after) or stop.wanted
        )
        if crew.leads and (is_last or now - validated >= 60.0 * run.validate_minutes):
            say(event="validate", step=step, progress=progress, loss=_judge(task, network, average, unseen))
            state = {"network": network.state_dict(), "average": average, "optimizer": optimizer.state()}
            checkpoints.save(checkpoint, state | {"step": step, "progress": progress, "seconds": seconds})
            validated = time.monotonic()
        if is_last:
            break
    if crew.size > 1:
        dist.destroy_process_group()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _shape(progress: float, warmup: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to nothing."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))


def _blend(average: dict[str, Tensor], network: nn.Module, keep: float) -> None:
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1.0 - keep)
            else:
                average[name].copy_(value)


def _judge(task: Task, network: nn.Module, average: dict[str, Tensor], unseen: Scenes) -> float:
    """The loss of the averaged network on the same batches of unseen scenes each time."""
    judged = copy.deepcopy(network).eval()
    judged.load_state_dict(average)
    with torch.no_grad():
        losses = [
            float(task.loss(unseen, judged, np.random.default_rng(k), task.run.batch).total) for k in range(4)
        ]
    return float(np.mean(losses))


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
