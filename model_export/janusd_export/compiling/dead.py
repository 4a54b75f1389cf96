"""Blocks that add the same to every face: they are left out, and what they add goes into the layer before.

A ReLU6 whose inputs are all negative lets nothing through and learns nothing any more. Where that is true of
a whole layer inside a block, the block adds a constant; int8 has no range to scale the zeros inside by, and
LiteRT refuses the file.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from janusd_export.compiling.quantize import to_real
from janusd_export.training.student import FoldedStudent, Narrow, Residual

_BATCH = 64
_SAME = 1e-6


def cut_dead(network: FoldedStudent, crops: NDArray[np.uint8]) -> list[str]:
    """Take out the blocks that add the same everywhere to all of (n, 112, 112, 3) crops; give their names.

    In truth the constant is added behind the ReLU6 of the layer before: where that clips, what goes on
    differs by no more than the constant.
    """
    names, kept = [], list[nn.Module]()
    with torch.no_grad():
        x = torch.from_numpy(to_real(crops)).permute(0, 3, 1, 2)
        for number, layer in enumerate(network.body):
            constant = _constant(layer, x) if isinstance(layer, Narrow | Residual) else None
            if constant is None:
                kept.append(layer)
            else:
                last = [part for part in kept[-1].modules() if isinstance(part, nn.Conv2d)][-1]
                assert last.bias is not None
                last.bias += constant
                names.append(f"body.{number}")
            x = torch.cat([layer(some) for some in x.split(_BATCH)])
    network.body = nn.Sequential(*kept)
    return names


def _constant(block: Narrow | Residual, x: Tensor) -> Tensor | None:
    """(C,) what the block adds to (n, C, S, S), where that is the same everywhere."""
    ends = []
    for some in x.split(_BATCH):
        if isinstance(block, Narrow):
            added = block.widen(block.look(block.reduce(some)))
        else:
            added = block.second(block.first(some))
        ends += [added.amin(dim=(0, 2, 3)), added.amax(dim=(0, 2, 3))]
    low, high = torch.stack(ends).amin(dim=0), torch.stack(ends).amax(dim=0)
    return low if float((high - low).max()) <= _SAME else None
