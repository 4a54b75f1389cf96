"""Processes that train together: how they start, who leads, on which device, and how they agree."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from janusd.errors import JanusError
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
    A SIGTERM to this process reaches them all. Raises ExportError with the sentence of the first that raised
    one, and where they were stopped before they could listen.
    """
    for library in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(library, "1")  # read by the processes started below
    if processes == 1:
        work(0, 1, "", *arguments)
        return
    place = (folder / f"meeting-{os.getpid()}").resolve()
    complaint = place.with_suffix(".complaint")
    given = (work, complaint, processes, f"file://{place}", *arguments)
    told: list[int] = []

    def pass_on(number: int, *_: object) -> None:
        told.append(number)
        for process in crew.processes:
            if process.is_alive():
                process.terminate()

    crew = torch.multiprocessing.spawn(_member, given, nprocs=processes, join=False)
    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        while not crew.join():
            pass
    except (
        torch.multiprocessing.ProcessExitedException,
        torch.multiprocessing.ProcessRaisedException,
    ) as error:
        raise _what_ended_it(complaint, crew.error_files, told, error) from None
    finally:
        signal.signal(signal.SIGTERM, before)
        place.unlink(missing_ok=True)
        complaint.unlink(missing_ok=True)


def _what_ended_it(complaint: Path, traces: list[str], told: list[int], error: Exception) -> Exception:
    """The first thing that went wrong. `error` may be of another process, which was ended for that."""
    if complaint.exists():
        return ExportError(complaint.read_text(encoding="utf-8"))
    if told:
        return ExportError("stopped before the first step: nothing is lost, start the run again to go on")
    for trace in map(Path, traces):
        if trace.exists():  # a fault of ours: all of it is worth seeing
            return RuntimeError(pickle.loads(trace.read_bytes()))  # noqa: S301  # written by our own process
    return ExportError(
        f"a training process ended ({error}), for want of memory? a smaller schedule.batch needs less; "
        "start the run again, it goes on from its last checkpoint"
    )


def _member(rank: int, work: Callable[..., None], complaint: Path, *arguments: object) -> None:
    """One of several processes: what it has to say to the user goes into a file, and not into a traceback."""
    try:
        work(rank, *arguments)
    except (ExportError, JanusError) as error:
        beside = complaint.with_suffix(f".{rank}")
        beside.write_text(str(error), encoding="utf-8")
        beside.replace(complaint)
        sys.exit(1)


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
