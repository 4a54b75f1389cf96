"""Runs by the clock: processes whose clocks differ end together, and an ended run stays ended."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.distributed as dist  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from janusd_export.training import clocked  # noqa: E402

MINUTES = 0.02


@dataclass
class Terms:
    total: Tensor

    def numbers(self) -> dict[str, float]:
        return {}


def batch(network: nn.Module, rng: np.random.Generator, _: bool) -> Terms:
    time.sleep(0.05)
    pictures = torch.from_numpy(rng.normal(size=(2, 3, 8, 8)).astype(np.float32))
    return Terms(network(pictures).square().mean())


def make(fast: int) -> clocked.Work:
    """The process of that rank reads a clock that runs five times as fast."""
    if dist.is_initialized() and dist.get_rank() == fast:
        real, began_s = time.monotonic, time.monotonic()

        class Fast:
            monotonic = staticmethod(lambda: began_s + 5 * (real() - began_s))

        clocked.time = Fast
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    return clocked.Work(network, clocked.Run(minutes=MINUTES, batch=2, learning_rate=1e-3), 1, batch, {})


@pytest.mark.parametrize("fast", [0, 1])
def test_processes_whose_clocks_differ_end_at_the_same_step(tmp_path: Path, fast: int) -> None:
    """One that ended alone left the other waiting for its gradients, and nothing was saved."""
    checkpoint = clocked.train(make, (fast,), 2, tmp_path / "run.pt")
    assert torch.load(checkpoint, weights_only=True)["progress"] >= 1.0


def test_a_run_that_ended_is_not_trained_on(tmp_path: Path) -> None:
    checkpoint = clocked.train(make, (9,), 1, tmp_path / "run.pt")
    before = checkpoint.read_bytes()
    clocked.train(make, (9,), 1, tmp_path / "run.pt")
    assert checkpoint.read_bytes() == before
