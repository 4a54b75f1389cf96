"""Train the student: read top to bottom.

A run is resumable: batch number k and the bank of step k depend only on the recipe's seed and on k, so a run
that was killed and started again ends with the same weights. (A schedule in minutes follows the clock; only a
schedule in epochs ends the same.)

The same recipe runs on two threads of a laptop, on one GPU, and under `torchrun` on many.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from janusd_export.errors import ExportError
from janusd_export.faces.cache import Faces, Split, check_held_out, open_faces, split_people, who_is_held_out
from janusd_export.faces.mixtures import Mixtures, opinions_of_mixtures
from janusd_export.faces.targets import fit_fusion, towards_person, unit
from janusd_export.metrics import same_and_different, true_match_rate
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training.augment import plain_crop
from janusd_export.training.batches import Batch, Batches, stream
from janusd_export.training.crew import Crew, Moment, Stop, agree, device_of, half_precision, together
from janusd_export.training.hints import open_hints
from janusd_export.training.objectives import Asked, Objective
from janusd_export.training.optimizer import Optimizer
from janusd_export.training.recipe import Recipe
from janusd_export.training.run_log import RunLog
from janusd_export.training.student import Student, count_macs, turn_onto

_TURNED_BY = 2_000
"""Faces by which a released network is turned onto this run's axes: eight for each of them."""

_WATCHED = 512
"""Training faces that a validation looks at too: what they gain alone is learnt by heart."""

_READ_BY = 256
"""Faces by which the layers that read a student's features are fitted: 12,544 places of the smallest map."""


def train(
    recipe: Recipe,
    cache_dir: Path,
    run_dir: Path,
    *,
    stop_after: int | None = None,
    start_from: Path | None = None,
) -> Path:
    """Run or resume a recipe; give the checkpoint. `stop_after` ends after so many steps of this call.

    `start_from` is another run's checkpoint: a new run begins with its averaged weights, and reads the
    student's features as it did.

    Under `torchrun` this is one process of its crew. On a CPU, `schedule.processes` are started here, and
    gradients are averaged at every step.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    arguments = (recipe, cache_dir, run_dir, stop_after, start_from)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        _train(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), "env://", *arguments)
    else:
        processes = 1 if device_of(recipe, 0).type == "cuda" else recipe.schedule.processes
        together(_train, processes, run_dir, *arguments)
    return run_dir / "checkpoint.pt"


def _train(  # noqa: PLR0915  # one run reads top to bottom
    rank: int,
    ranks: int,
    meeting: str,
    recipe: Recipe,
    cache_dir: Path,
    run_dir: Path,
    stop_after: int | None,
    start_from: Path | None,
) -> None:
    """One process of a run."""
    schedule = recipe.schedule
    crew, device = Crew(rank, ranks, meeting), device_of(recipe, rank)
    if crew.size > 1:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, init_method=crew.meeting, rank=crew.rank, world_size=crew.size)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)
    stop = Stop()

    # 1. Faces, and the split by people.
    faces = open_faces(cache_dir, recipe.faces.margin_px, recipe.wanted_teachers)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    hints = open_hints(cache_dir, len(faces.person)) if recipe.losses.hints else None

    # 2. One target a face, from the teachers; without teachers only people teach, and there is none.
    mixtures = None
    if recipe.mixtures.count:
        mixtures = Mixtures(faces, split.train, recipe.seed, recipe.faces.margin_px)
    targets, of_mixtures = _targets(recipe, faces, split, cache_dir, mixtures)  # (N, D) and (M, D), unit
    goal = _report(targets[split.held_out], faces.person[split.held_out]) if faces.teachers else {}
    learnt = np.array(targets)
    learnt[split.train] = towards_person(
        targets[split.train], faces.person[split.train], recipe.target.person_weight
    )
    target_table = torch.from_numpy(np.concatenate([learnt, of_mixtures])).to(device)  # (N + M, D)
    train_rows = torch.from_numpy(split.train).to(device)
    classes, person = _classes(faces.person, split.train)
    nobody = np.full(len(of_mixtures), -1, np.int64)
    person_table = torch.from_numpy(np.concatenate([person, nobody])).to(device)

    # 3. The student, what it is asked, its running average, and the optimizer.
    student = _student(recipe, start_from, faces, split.train, targets)
    student = student.to(device, memory_format=torch.channels_last).train()
    objective = Objective(
        recipe.losses,
        embedding=recipe.target.embedding,
        people=classes,
        feature_channels=student.feature_channels,
        hint_scales=hints.scales if hints else None,
        compiled=schedule.compiled,
    ).to(device)
    if start_from is not None and not checkpoints.load_readers(objective, start_from) and hints:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(split.train, _READ_BY))
        with torch.no_grad():
            _, features = student.with_features(_plain(faces, rows).to(device))
        objective.fit_readers(features, [torch.from_numpy(maps[rows, 0]).to(device) for maps in hints.maps])
    both = nn.ModuleList([student, objective])
    average = {name: value.clone() for name, value in student.state_dict().items()}
    optimizer = Optimizer(student, objective, schedule)
    taught_by = checkpoints.taught_by(recipe, faces.teacher_names, start_from)
    step, seconds = 0, 0.0
    checkpoint, held_out = run_dir / "checkpoint.pt", who_is_held_out(faces, split)
    if checkpoint.exists():
        state = checkpoints.load(checkpoint, device)
        student.load_state_dict(state["student"])
        objective.load_state_dict(state["objective"])
        average = state["average"]
        optimizer.load(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        check_held_out(held_out, state.get("held_out"))
        taught_by = sorted({*taught_by, *state.get("taught_by", ())})

    say = RunLog(run_dir if crew.leads else None)
    say(
        event="start",
        step=step,
        start_from=checkpoints.identity(start_from),
        taught_by=taught_by,
        train_faces=len(split.train),
        held_out_faces=len(split.held_out),
        dropped=split.dropped,
        target=goal,
        device=str(device),
        processes=crew.size,
        macs=sum(m for _, m in count_macs(student)),
        parameters=sum(p.numel() for p in student.parameters()),
    )

    # 4. Steps, until the schedule is through.
    steps_an_epoch = max(1, len(split.train) // (schedule.batch * crew.size))
    total = None if schedule.epochs is None else round(schedule.epochs * steps_an_epoch)
    progress = step / total if total else seconds / (60.0 * (schedule.minutes or 1.0))
    part = torch.zeros((), dtype=torch.int64).share_memory_()  # of the run; read by the loaders
    batches = Batches(
        faces,
        split.train,
        recipe,
        total=total and total * crew.size,
        part=part,
        hints=hints,
        mixtures=mixtures,
    )
    numbers = itertools.count(step * crew.size + crew.rank, crew.size)
    clock, validated, first_step, mean_loss = time.monotonic(), time.monotonic(), step, 0.0
    parts: dict[str, float] = {}
    # One that has ended takes no step; with a longer schedule in its recipe it goes on.
    for batch in stream(batches, numbers, schedule.loaders) if progress < 1.0 else ():
        rate = schedule.learning_rate * _shape(progress, schedule.warmup)
        part.fill_(recipe.part(progress))
        objective.losses = recipe.loss_recipes[int(part)]
        value = 0.0
        bank = target_table[train_rows[_draw(len(train_rows), recipe, step, crew).to(device)]]  # (K, D)
        pieces = zip(*(_pieces(batch, schedule.pieces, device)), strict=True)
        for crops, rows, *maps in pieces:
            x = crops.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)  # (b, 3, 112, 112), channels last
            asked = Asked(target_table[rows], person_table[rows], bank, tuple(maps))
            with half_precision(device, wanted=schedule.bfloat16):
                y, features = student.with_features(x)  # (b, D)
                loss, parts = objective(y, features, asked)
            share = len(crops) / len(batch.rows)
            (loss * share).backward()
            value += float(loss.detach()) * share
        now = time.monotonic()
        seconds += now - clock
        progress += (now - clock) / (60.0 * (schedule.minutes or 1.0))
        clock = now
        moment = agree(both, crew, Moment(value, progress, seconds, stop.wanted), device)
        # From here on each process knows the same, or one would end and the others wait for it.
        progress, seconds = (step + 1) / total if total else moment.progress, moment.seconds
        if not math.isfinite(moment.loss):
            raise ExportError(
                f"the loss became {moment.loss} at step {step}: lower schedule.learning_rate; "
                f"the last good state is {checkpoint}"
            )
        torch.nn.utils.clip_grad_norm_(both.parameters(), 5.0)
        optimizer.step(rate)
        mean_loss += (moment.loss - mean_loss) * max(0.01, 1.0 / (step - first_step + 1))

        step += 1
        _blend(average, student, min(schedule.average, (1 + step) / (10 + step)))
        if step % 50 == 0:
            say(
                event="step",
                step=step,
                epoch=step / steps_an_epoch,
                progress=progress,
                seconds=seconds,
                rate=rate,
                loss=mean_loss,
                terms=parts,
                faces_a_second=step * schedule.batch * crew.size / seconds,
            )
        is_last = (
            progress >= 1.0 or (stop_after is not None and step - first_step >= stop_after) or moment.stops
        )
        if crew.leads and (is_last or now - validated >= 60.0 * schedule.validate_minutes):
            judged = _judge(recipe, average, faces, targets, split, device)
            say(event="validate", step=step, progress=progress, **judged)
            checkpoints.save(
                checkpoint,
                {
                    "student": student.state_dict(),
                    "objective": objective.state_dict(),
                    "average": average,
                    "optimizer": optimizer.state(),
                    "step": step,
                    "progress": progress,
                    "seconds": seconds,
                    "taught_by": taught_by,
                    "held_out": held_out,
                },
            )
            validated = time.monotonic()
        if is_last:
            break
    if crew.size > 1:
        dist.destroy_process_group()


def _student(
    recipe: Recipe,
    start_from: Path | None,
    faces: Faces,
    learnt: NDArray[np.intp],
    targets: NDArray[np.float32],
) -> Student:
    """A fresh student, or the one of a checkpoint."""
    if start_from is None:
        return Student(checkpoints.size_of(recipe))
    student = checkpoints.load_average(recipe, start_from)
    if checkpoints.is_released(start_from) and faces.teachers:
        rows = np.random.default_rng(recipe.seed).permutation(learnt)[:_TURNED_BY]
        turn_onto(student, _plain(faces, rows), torch.from_numpy(targets[rows]))
    return student


def _targets(
    recipe: Recipe, faces: Faces, split: Split, cache_dir: Path, mixtures: Mixtures | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(N, D) and (M, D) what the teachers together make of each face and mixture; zeros without teachers."""
    if not faces.teachers:
        if mixtures is not None:
            raise ExportError("[mixtures] have no person: they teach only where teachers are asked")
        return np.zeros((len(faces.person), recipe.target.embedding), np.float32), np.zeros(
            (0, recipe.target.embedding), np.float32
        )
    rng = np.random.default_rng(recipe.seed)
    fusion = fit_fusion([t[split.train] for t in faces.teachers], recipe.target.embedding, rng)
    targets = fusion(faces.teachers)
    if mixtures is None:
        return targets, targets[:0]
    told = opinions_of_mixtures(cache_dir, mixtures, faces.teacher_names, recipe.mixtures.count)
    return targets, fusion(told)


def _classes(person: NDArray[np.int32], rows: NDArray[np.intp]) -> tuple[int, NDArray[np.int64]]:
    """Number the people of the training rows from 0; all others, and the unknown, are -1."""
    known = np.unique(person[rows])
    known = known[known >= 0]
    numbers = np.full(len(person), -1, np.int64)
    place = np.searchsorted(known, person[rows])
    numbers[rows] = np.where(person[rows] >= 0, place, -1)
    return max(1, len(known)), numbers


def _draw(faces: int, recipe: Recipe, step: int, crew: Crew) -> Tensor:
    """Which training faces are this step's bank."""
    count = recipe.losses.bank if recipe.losses.relational else 1
    number = recipe.schedule.batches_before + step
    draw = torch.Generator().manual_seed((recipe.seed * 1_000_003 + number) * crew.size + crew.rank)
    return torch.randint(faces, (count,), generator=draw)


def _pieces(batch: Batch, count: int, device: torch.device) -> list[tuple[Tensor, ...]]:
    """The crops, the rows and each map of a batch, in `count` parts."""
    return [
        part.to(device, non_blocking=True).chunk(count) for part in (batch.crops, batch.rows, *batch.hints)
    ]


def _shape(progress: float, warmup: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to nothing."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))


def _blend(average: dict[str, Tensor], student: Student, keep: float) -> None:
    """Move the running average a little towards the student."""
    with torch.no_grad():
        for name, value in student.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1.0 - keep)
            else:
                average[name].copy_(value)


def _embed(
    recipe: Recipe,
    average: dict[str, Tensor],
    faces: Faces,
    rows: NDArray[np.intp],
    device: torch.device,
) -> NDArray[np.float32]:
    """(n, D) unit embeddings of plain crops by the averaged student."""
    student = Student(checkpoints.size_of(recipe)).to(device, memory_format=torch.channels_last).eval()
    student.load_state_dict(average)
    parts = []
    with torch.no_grad(), half_precision(device, wanted=recipe.schedule.bfloat16):
        for start in range(0, len(rows), 128):
            x = _plain(faces, rows[start : start + 128]).to(device)
            parts.append(student(x).float().cpu().numpy())
    return unit(np.concatenate(parts))


def _judge(
    recipe: Recipe,
    average: dict[str, Tensor],
    faces: Faces,
    targets: NDArray[np.float32],
    split: Split,
    device: torch.device,
) -> dict[str, float]:
    """How the average tells held-out people apart; its cosine to targets there and where learnt."""
    embeddings = _embed(recipe, average, faces, split.held_out, device)
    judged = _report(embeddings, faces.person[split.held_out])
    if not faces.teachers:
        return judged
    watched = np.random.default_rng(recipe.seed).permutation(split.train)[:_WATCHED]
    by_heart = _embed(recipe, average, faces, watched, device)
    return {
        "cosine": float(np.einsum("nd,nd->n", embeddings, targets[split.held_out]).mean()),
        "cosine_learnt": float(np.einsum("nd,nd->n", by_heart, targets[watched]).mean()),
        **judged,
    }


def _plain(faces: Faces, rows: NDArray[np.intp]) -> Tensor:
    """(n, 3, 112, 112) crops as a door sees them, -1..1."""
    crops = np.stack([plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows])
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


def _report(embeddings: NDArray[np.float32], person: NDArray[np.int32]) -> dict[str, float]:
    genuine, impostor = same_and_different(embeddings, person)
    return {
        f"tar@{fmr:g}": round(true_match_rate(genuine, impostor, fmr)[0].value, 4)
        for fmr in (1e-2, 1e-3, 1e-4, 1e-5)
        if fmr * len(impostor) >= 1.0  # a small set shows no rarer mistake
    }
