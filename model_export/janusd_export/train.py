"""Train the student: read top to bottom.

A run is resumable: batch number k depends only on the recipe's seed and k, so a run that was killed and
started again sees the same faces. (A schedule in minutes follows the clock, so only a schedule in epochs ends
the same.)
"""

from __future__ import annotations

import itertools
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from janusd_export.augment import Augment, plain_crop
from janusd_export.cache import Faces, open_faces, split_people
from janusd_export.errors import ExportError
from janusd_export.losses import embedding_loss, relational_loss
from janusd_export.metrics import same_and_different, true_match_rate
from janusd_export.recipe import Recipe
from janusd_export.student import Student, StudentSize, count_macs
from janusd_export.targets import fit_fusion, towards_person, unit


def train(recipe: Recipe, cache_dir: Path, run_dir: Path, *, stop_after: int | None = None) -> Path:
    """Run or resume a recipe; give the checkpoint. `stop_after` ends after so many steps of this call.

    Each of `schedule.processes` has one thread and its own faces, and gradients are averaged at every step.
    Two threads in one process wait for each other hundreds of times a step: where other programs share the
    cores, that was eight times slower than two processes.
    """
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")  # read by the processes started below
    run_dir.mkdir(parents=True, exist_ok=True)
    meeting = run_dir / f"meeting-{os.getpid()}"  # where the processes find each other
    arguments = (recipe, cache_dir, run_dir, meeting, stop_after)
    if recipe.schedule.processes == 1:
        _train(0, *arguments)
    else:
        torch.multiprocessing.spawn(_train, arguments, nprocs=recipe.schedule.processes)
    return run_dir / "checkpoint.pt"


def _train(  # noqa: PLR0912, PLR0915  # one run reads top to bottom
    rank: int, recipe: Recipe, cache_dir: Path, run_dir: Path, meeting: Path, stop_after: int | None
) -> None:
    """One process of a run. Rank 0 also logs, validates and saves."""
    schedule, losses = recipe.schedule, recipe.losses
    ranks = schedule.processes
    if ranks > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(1)

    # 1. Faces, and the split by people.
    faces = open_faces(cache_dir, recipe.faces.margin_px)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    held_person = faces.person[split.held_out]

    # 2. One target a face, from the teachers.
    rng = np.random.default_rng(recipe.seed)
    fusion = fit_fusion([t[split.train] for t in faces.teachers], recipe.target.embedding, rng)
    targets = fusion(faces.teachers)  # (N, D), unit
    goal = _report(targets[split.held_out], held_person)
    learnt = np.array(targets)
    learnt[split.train] = towards_person(
        targets[split.train], faces.person[split.train], recipe.target.person_weight
    )
    target_table = torch.from_numpy(learnt)
    train_table = torch.from_numpy(learnt[split.train])

    # 3. The student, its running average, and the optimizer.
    size = StudentSize(
        recipe.student.stem,
        recipe.student.widths,
        recipe.student.blocks,
        recipe.student.mix,
        recipe.target.embedding,
    )
    student = Student(size).to(memory_format=torch.channels_last)
    average = {name: value.clone() for name, value in student.state_dict().items()}
    decayed = [p for p in student.parameters() if p.ndim > 1]
    others = [p for p in student.parameters() if p.ndim <= 1]  # biases and norms are not pulled to zero
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": schedule.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=schedule.learning_rate,
        betas=(0.9, 0.99),
    )
    step, progress, seconds = 0, 0.0, 0.0
    checkpoint = run_dir / "checkpoint.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        student.load_state_dict(state["student"])
        average = state["average"]
        optimizer.load_state_dict(state["optimizer"])
        step, progress, seconds = state["step"], state["progress"], state["seconds"]

    say = _Log(run_dir / "log.jsonl" if rank == 0 else None)
    say(
        event="start",
        step=step,
        train_faces=len(split.train),
        held_out_faces=len(split.held_out),
        dropped=split.dropped,
        target=goal,
        macs=sum(m for _, m in count_macs(student)),
        parameters=sum(p.numel() for p in student.parameters()),
    )

    # 4. Steps, until the schedule is through.
    torch.manual_seed(recipe.seed + 1000 * step + rank)  # the same weights so far, other draws from here on
    steps_an_epoch = len(split.train) // (schedule.batch * ranks)
    total = None if schedule.epochs is None else round(schedule.epochs * steps_an_epoch)
    part = torch.zeros((), dtype=torch.int64).share_memory_()  # of the run; read by the loaders
    batches = _batches(faces, split.train, recipe, itertools.count(step * ranks + rank, ranks), part)
    clock, validated, first_step, mean_loss = time.monotonic(), time.monotonic(), step, 0.0
    for crops, rows in batches:
        rate = schedule.learning_rate * _shape(progress, schedule.warmup)
        part.fill_(recipe.part(progress))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        value = 0.0
        for piece, piece_rows in zip(crops.chunk(schedule.pieces), rows.chunk(schedule.pieces), strict=True):
            x = piece.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)  # (b, 3, 112, 112), channels last
            with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bfloat16):
                y = student(x)  # (b, D)
            y, goal_y = y.float(), target_table[piece_rows]
            loss = losses.embedding * embedding_loss(y, goal_y)
            if losses.prefix:
                first = losses.prefix_dimensions
                loss = loss + losses.prefix * embedding_loss(y[:, :first], goal_y[:, :first])
            if losses.relational:
                bank = train_table[torch.randint(len(train_table), (losses.bank,))]
                loss = loss + losses.relational * relational_loss(y, goal_y, bank, losses.temperature)
            loss = loss * (len(piece) / len(crops))
            loss.backward()
            value += float(loss.detach())
        if ranks > 1:
            value, progress, seconds = _agree(student, rank, ranks, value, progress, seconds)
        torch.nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        if not math.isfinite(value):
            raise ExportError(
                f"the loss became {value} at step {step}: lower schedule.learning_rate; "
                f"the last good state is {checkpoint}"
            )
        mean_loss += (value - mean_loss) * max(0.01, 1.0 / (step - first_step + 1))

        step += 1
        _blend(average, student, min(schedule.average, (1 + step) / (10 + step)))
        now = time.monotonic()
        seconds += now - clock
        progress = step / total if total else progress + (now - clock) / (60.0 * (schedule.minutes or 1.0))
        clock = now
        if step % 50 == 0:
            say(
                event="step",
                step=step,
                epoch=step / steps_an_epoch,
                progress=progress,
                seconds=seconds,
                rate=rate,
                loss=mean_loss,
                faces_a_second=step * schedule.batch * ranks / seconds,
            )
        is_last = progress >= 1.0 or (stop_after is not None and step - first_step >= stop_after)
        if rank == 0 and (is_last or now - validated >= 60.0 * schedule.validate_minutes):
            embeddings = _embed(size, average, faces, split.held_out, bfloat16=schedule.bfloat16)
            cosine = float(np.einsum("nd,nd->n", embeddings, targets[split.held_out]).mean())
            say(
                event="validate",
                step=step,
                progress=progress,
                cosine=cosine,
                **_report(embeddings, held_person),
            )
            _save(
                checkpoint,
                {
                    "student": student.state_dict(),
                    "average": average,
                    "step": step,
                    "optimizer": optimizer.state_dict(),
                    "progress": progress,
                    "seconds": seconds,
                },
            )
            validated = time.monotonic()
        if is_last:
            break
    if ranks > 1:
        dist.destroy_process_group()


def _agree(
    student: Student, rank: int, ranks: int, loss: float, progress: float, seconds: float
) -> tuple[float, float, float]:
    """Average gradients and loss over the processes; the schedule's place is rank 0's."""
    leader = float(rank == 0) * ranks
    flat = torch.cat(
        [p.grad.flatten() for p in student.parameters()]
        + [torch.tensor([loss, progress * leader, seconds * leader], dtype=torch.float32)]
    )
    dist.all_reduce(flat)
    flat /= ranks
    start = 0
    for p in student.parameters():
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
    return float(flat[-3]), float(flat[-2]), float(flat[-1])


def load_average(recipe: Recipe, checkpoint: Path) -> Student:
    """The averaged student of a checkpoint, in evaluation mode."""
    size = StudentSize(
        recipe.student.stem,
        recipe.student.widths,
        recipe.student.blocks,
        recipe.student.mix,
        recipe.target.embedding,
    )
    student = Student(size)
    student.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    return student.eval()


def _shape(progress: float, warmup: float) -> float:
    """Share of the peak learning rate: a linear rise, then half a cosine down to nothing."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    return 0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - warmup) / (1.0 - warmup)))


class _Batches(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Batch number k -> (crops, rows); depends on nothing but the seed, k and the part of the run."""

    def __init__(self, faces: Faces, rows: NDArray[np.intp], recipe: Recipe, part: torch.Tensor) -> None:
        self.faces, self.rows, self.recipe, self.part = faces, rows, recipe, part

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        recipe, batch = self.recipe, self.recipe.schedule.batch
        epoch, place = divmod(number, len(self.rows) // batch)
        order = np.random.default_rng((recipe.seed, epoch)).permutation(self.rows)
        rows = order[place * batch : (place + 1) * batch]
        chosen = recipe.augment_recipes[int(self.part)]
        augment = Augment(chosen, recipe.seed * 1_000_003 + number)
        crops = np.stack([augment(self.faces.pixels[r], self.faces.landmarks_px[r]) for r in rows])
        return torch.from_numpy(crops), torch.from_numpy(rows)


def _batches(
    faces: Faces, rows: NDArray[np.intp], recipe: Recipe, numbers: Iterator[int], part: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    loader: Any = torch.utils.data.DataLoader(
        _Batches(faces, rows, recipe, part),
        batch_size=None,
        sampler=numbers,
        num_workers=recipe.schedule.loaders,
        prefetch_factor=8 if recipe.schedule.loaders else None,
        worker_init_fn=_calm,
        # Forked, so that the loader shares the mapped faces; a spawned one is sent a copy of all of them.
        multiprocessing_context="fork" if recipe.schedule.loaders else None,
    )
    return iter(loader)


def _calm(_: int) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _blend(average: dict[str, torch.Tensor], student: Student, keep: float) -> None:
    """Move the running average a little towards the student."""
    with torch.no_grad():
        for name, value in student.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1.0 - keep)
            else:
                average[name].copy_(value)


def _embed(
    size: StudentSize,
    average: dict[str, torch.Tensor],
    faces: Faces,
    rows: NDArray[np.intp],
    *,
    bfloat16: bool,
) -> NDArray[np.float32]:
    """(n, D) unit embeddings of plain crops by the averaged student."""
    student = Student(size).to(memory_format=torch.channels_last).eval()
    student.load_state_dict(average)
    parts = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        for start in range(0, len(rows), 128):
            crops = np.stack(
                [plain_crop(faces.pixels[r], faces.landmarks_px[r]) for r in rows[start : start + 128]]
            )
            x = torch.from_numpy(crops).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
            parts.append(student(x).float().numpy())
    return unit(np.concatenate(parts))


def _report(embeddings: NDArray[np.float32], person: NDArray[np.int32]) -> dict[str, float]:
    genuine, impostor = same_and_different(embeddings, person)
    return {
        f"tar@{fmr:g}": round(true_match_rate(genuine, impostor, fmr)[0].value, 4)
        for fmr in (1e-2, 1e-3, 1e-4, 1e-5)
    }


def _save(path: Path, state: dict[str, Any]) -> None:
    """Write beside and rename: a full disk or a kill leaves the old checkpoint whole."""
    beside = path.with_suffix(".new")
    torch.save(state, beside)
    beside.replace(path)


class _Log:
    """Appends one JSON object a line, and prints it."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def __call__(self, **entry: Any) -> None:  # noqa: ANN401  # any JSON value
        if self._file is None:
            return
        tidy = {k: round(v, 6) if isinstance(v, float) else v for k, v in entry.items()}
        self._file.write(json.dumps(tidy) + "\n")
        print(" ".join(f"{k}={v}" for k, v in tidy.items()), flush=True)
