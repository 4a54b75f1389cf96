"""Processes that train together: who leads, on which device, and how they agree."""

from __future__ import annotations

import os
import signal
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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


def agree(
    layers: nn.Module, crew: Crew, loss: float, progress: float, seconds: float, device: torch.device
) -> tuple[float, float, float]:
    """Average gradients and loss over the crew; the schedule's place is the leader's.

    A layer that one process did not use (its batch had no hints) counts there with a gradient of nothing.
    """
    leader = float(crew.leads) * crew.size
    moved = [p for p in layers.parameters() if p.requires_grad]
    for p in moved:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    here = torch.tensor([loss, progress * leader, seconds * leader], dtype=torch.float32, device=device)
    flat = torch.cat([p.grad.flatten() for p in moved if p.grad is not None] + [here])
    dist.all_reduce(flat)
    flat /= crew.size
    start = 0
    for p in moved:
        assert p.grad is not None
        p.grad.copy_(flat[start : start + p.numel()].view_as(p))
        start += p.numel()
    return float(flat[-3]), float(flat[-2]), float(flat[-1])


class Stop:
    """Remembers that SIGTERM came: the run then saves and ends, as after its last step."""

    def __init__(self) -> None:
        self.wanted = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, *_: object) -> None:
        self.wanted = True
