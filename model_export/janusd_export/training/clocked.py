"""A run whose schedule follows the clock: steps, averaged weights, checkpoints, one process or several.

For small networks on machines that are shared: a run ends when its minutes are over, with the learning rate
down at nothing, however many steps the neighbours left it. Batch number k depends on the seed and k alone.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import msgspec
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from janusd_export.errors import ExportError
from janusd_export.training import checkpoint as checkpoints
from janusd_export.training.crew import Crew, Moment, Stop, agree, together
from janusd_export.training.optimizer import Optimizer
from janusd_export.training.recipe import Schedule
from janusd_export.training.run_log import RunLog


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recipe's table of how long and how fast."""

    minutes: float
    batch: int
    """For each process."""
    learning_rate: float
    weight_decay: float = 0.02
    warmup: float = 0.03
    average: float = 0.998
    validate_minutes: float = 3.0
    processes: int = 2
    optimizer: str = "muon"

    @property
    def schedule(self) -> Schedule:
        """The part that `optimizer.Optimizer` reads."""
        return msgspec.convert(
            {
                "optimizer": self.optimizer,
                "learning_rate": self.learning_rate,
                "weight_decay": self.weight_decay,
            },
            Schedule,
        )


class Terms(Protocol):
    """What a batch costs."""

    @property
    def total(self) -> Tensor:
        """What is minimised."""

    def numbers(self) -> Mapping[str, float]:
        """For the log."""


Batch = Callable[[nn.Module, np.random.Generator, bool], Terms]
"""(network, randomness, whether it is of what is learnt from) -> what a fresh batch costs."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is trained. Made anew in each process, from arguments that can be sent there."""

    network: nn.Module
    run: Run
    seed: int
    batch: Batch
    about: Mapping[str, object]
    """Noted at the start."""


Make = Callable[..., Work]


def train(
    make: Make,
    arguments: tuple[object, ...],
    processes: int,
    checkpoint: Path,
    *,
    stop_after: int | None = None,
    start_from: Mapping[str, Tensor] | None = None,
) -> Path:
    """Run or resume; give the checkpoint, beside which a folder of its name keeps the log.

    `start_from` are weights that a new run begins with.
    """
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    together(_train, processes, checkpoint.parent, make, arguments, checkpoint, stop_after, start_from)
    return checkpoint


def _train(  # noqa: PLR0915  # one run reads top to bottom
    rank: int,
    ranks: int,
    meeting: str,
    make: Make,
    arguments: tuple[object, ...],
    checkpoint: Path,
    stop_after: int | None,
    start_from: Mapping[str, Tensor] | None,
) -> None:
    """One process of a run."""
    crew, device = Crew(rank, ranks, meeting), torch.device("cpu")
    if crew.size > 1:
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    stop = Stop()

    # 1. The network, its running average, the optimizer.
    work = make(*arguments)
    if start_from is not None:
        work.network.load_state_dict(dict(start_from))
    network, run = work.network.to(memory_format=torch.channels_last).train(), work.run
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = Optimizer(network, nn.Module(), run.schedule)
    step, progress, seconds = 0, 0.0, 0.0
    if checkpoint.exists():
        state = checkpoints.load(checkpoint, device)
        network.load_state_dict(state["network"])
        average = state["average"]
        optimizer.load(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
        progress = seconds / (60.0 * run.minutes)  # with more minutes in the recipe an ended run goes on
    diary = checkpoint.with_suffix("")
    diary.mkdir(exist_ok=True)
    say = RunLog(diary if crew.leads else None)
    say(event="start", step=step, **work.about)

    # 2. Steps, until the schedule is through.
    clock, validated, first_step, mean_loss = time.monotonic(), time.monotonic(), step, 0.0
    numbers = itertools.count(step * crew.size + crew.rank, crew.size)
    for number in numbers if progress < 1.0 else ():  # one that has ended takes no step
        rate = run.learning_rate * _shape(progress, run.warmup)
        terms = work.batch(network, np.random.default_rng([work.seed, number]), True)
        terms.total.backward()
        now = time.monotonic()
        seconds += now - clock
        progress += (now - clock) / (60.0 * run.minutes)
        clock = now
        mine = Moment(float(terms.total.detach()), progress, seconds, stop.wanted)
        moment = agree(network, crew, mine, device)
        # From here on each process knows the same, or one would end and the others wait for it.
        progress, seconds = moment.progress, moment.seconds
        if not math.isfinite(moment.loss):
            raise ExportError(
                f"the loss became {moment.loss} at step {step}: lower learning_rate; kept: {checkpoint}"
            )
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step(rate)
        mean_loss += (moment.loss - mean_loss) * max(0.01, 1.0 / (step - first_step + 1))

        step += 1
        _blend(average, network, min(run.average, (1 + step) / (10 + step)))
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
            progress >= 1.0 or (stop_after is not None and step - first_step >= stop_after) or moment.stops
        )
        if crew.leads and (is_last or now - validated >= 60.0 * run.validate_minutes):
            say(event="validate", step=step, progress=progress, **_judge(work, network, average))
            state = {"network": network.state_dict(), "average": average, "optimizer": optimizer.state()}
            checkpoints.save(checkpoint, state | {"step": step, "progress": progress, "seconds": seconds})
            validated = time.monotonic()
        if is_last:
            break
    if crew.size > 1:
        dist.destroy_process_group()


def load_average(network: nn.Module, checkpoint: Path, verb: str) -> nn.Module:
    """The network with a run's averaged weights, in evaluation mode. Raises ExportError."""
    if not checkpoint.exists():
        raise ExportError(f"{checkpoint} is not there: run {verb} first")
    try:
        network.load_state_dict(checkpoints.load(checkpoint, torch.device("cpu"))["average"])
    except (KeyError, RuntimeError) as error:
        raise ExportError(f"{checkpoint} holds another architecture than the recipe asks for") from error
    return network.eval()


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


def _judge(work: Work, network: nn.Module, average: dict[str, Tensor]) -> dict[str, float]:
    """What the averaged network costs on the same unseen batches each time."""
    judged = copy.deepcopy(network).eval()
    judged.load_state_dict(average)
    with torch.no_grad():
        terms = [work.batch(judged, np.random.default_rng(k), False) for k in range(4)]
    parts = {name: float(np.mean([one.numbers()[name] for one in terms])) for name in terms[0].numbers()}
    return {"loss": float(np.mean([float(one.total) for one in terms])), **parts}
