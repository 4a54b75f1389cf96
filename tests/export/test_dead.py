"""Blocks that add the same to every face are left out, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from janusd_export.compiling.dead import cut_dead
from janusd_export.compiling.quantize import to_real
from janusd_export.training.student import FoldedStudent, Narrow, Residual, Student, StudentSize, fold

CROPS = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3)).astype(np.uint8)


def folded() -> FoldedStudent:
    torch.manual_seed(1)
    student = Student(
        StudentSize(stem=8, widths=(8, 8, 8), blocks=(1, 0, 0), narrow=(0, 1, 0), mix=16, embedding=8)
    )
    for block in student.modules():
        if isinstance(block, Narrow | Residual):  # else they begin as the identity: dead from birth
            torch.nn.init.ones_((block.widen if isinstance(block, Narrow) else block.second).norm.weight)
    return fold(student.eval())


def said(network: FoldedStudent) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.from_numpy(to_real(CROPS)).permute(0, 3, 1, 2))


def test_whoever_lives_stays() -> None:
    network = folded()
    layers, before = len(network.body), said(network)
    assert cut_dead(network, CROPS) == []
    assert len(network.body) == layers
    assert torch.equal(said(network), before)


@pytest.mark.parametrize("which", [Residual, Narrow])
def test_a_dead_block_goes_and_its_constant_stays(which: type[torch.nn.Module]) -> None:
    network = folded()
    (number,) = (k for k, layer in enumerate(network.body) if isinstance(layer, which))
    block = network.body[number]
    inside, after = (block.look, block.widen) if isinstance(block, Narrow) else (block.first, block.second)
    with torch.no_grad():
        inside.conv.bias.fill_(-1e3)
        after.conv.bias.uniform_(0.1, 0.4)
        network.body[
            number - 1
        ].conv.bias += 3.0  # above zero, so that the ReLU6 before the block clips nothing
        for part in network.body[number - 1].modules():
            if isinstance(part, torch.nn.Conv2d):
                part.weight.mul_(0.05)
    layers, before = len(network.body), said(network)
    assert cut_dead(network, CROPS) == [f"body.{number}"]
    assert len(network.body) == layers - 1
    assert torch.allclose(said(network), before, atol=1e-4)
