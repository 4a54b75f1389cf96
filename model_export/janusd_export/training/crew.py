"""Processes that train together: how they start, who leads, on which device, and how they agree."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from janusd_export.errors import ExportError
from janusd_export.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Crew:
    """This process among those that train together."""

    rank: int
    size: int
    meeting: str
    """Where they find each other: torch.distributed's init_method."""

    @property
    def leads(self) -> bool:
        """Whether this process logs, validates and saves."""
        return self.rank == 0


def together(work: Callable[..., None], processes: int, folder: Path, *arguments: object) -> None:
    """Call work(rank, size, meeting, *arguments) in so many processes that meet in a file of `folder`.

    One process is this one. Several are started with one thread each: two threads in one process wait for
    each other hundreds of times a step, and where other programs share the cores that was eight times slower.
    A SIGTERM to this process reaches them all.
    """
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")  # read by the processes started below
    if processes == 1:
        work(0, 1, "", *arguments)
        return
    meeting = f"file://{(folder / f'meeting-{os.getpid()}').resolve()}"
    crew = torch.multiprocessing.spawn(work, (processes, meeting, *arguments), nprocs=processes, join=False)

    def pass_on(*_: object) -> None:
        for process in crew.processes:
            if process.is_alive():
                process.terminate()

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        while not crew.join():
            pass
    finally:
        signal.signal(signal.SIGTERM, before)


def device_of(recipe: Recipe, rank: int) -> torch.device:
    """Where this process computes. Raises ExportError when the recipe asks for a GPU that is not there."""
    wanted = recipe.schedule.device
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ExportError('schedule.device = "cuda", but torch sees no GPU: say "auto" or "cpu"')
    if wanted != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
    return torch.device("cpu")


def half_precision(device: torch.device, *, wanted: bool) -> AbstractContextManager[Any]:
    """Matrix work in bfloat16, where the recipe wants it."""
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run stands after a step."""

    loss: float
    progress: float
    """Share of the schedule that is over."""
    seconds: float
    stops: bool
    """Whether somebody was told to stop."""


def agree(layers: nn.Module, crew: Crew, mine: Moment, device: torch.device) -> Moment:
    """Average gradients and loss over the crew; the schedule's place is the leader's, and all stop together.

    A layer that one process did not use (its batch had no hints) counts there with a gradient of nothing.
    """
    if crew.size == 1:
        return mine
    leader = float(crew.leads) * crew.size
    moved = [p for p in layers.parameters() if p.requires_grad]
    for p in moved:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    here = torch.tensor(
        [mine.loss, mine.progress * leader, mine.seconds * leader, float(mine.stops)],
        dtype=torch.float32,
        device=device,
    )
    flat = torch.cat([p.grad.flatten() for p in moved if p.grad is not None] + [here])
    dist.all_reduce(flat)
    flat /= crew.size
    start = 0
    for p in moved:
        assert p.grad is not None
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
    loss, progress, seconds, stops = flat[-4:].tolist()
    return Moment(loss, progress, seconds, stops > 0)


class Stop:
    """Remembers that SIGTERM came: the run then saves and ends, as after its last step."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_: object) -> None:
        self.wanted = True
