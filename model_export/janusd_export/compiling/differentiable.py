"""A released int8 file as a torch network with gradients: who attacks a door has no float weights of ours.

Each operator computes with the values its integers stand for, and what it gives is brought back onto the
int8 grid of its output. Rounding has no slope, so gradients pass through it as if it were not there (the
straight-through estimator: Bengio et al., arXiv 1308.3432, 2013); what lies beyond the grid is clipped and
has none. Forward it is the int8 network but for ties in rounding, a step or two at the end.

Reads only what our students compile to: CONV_2D, DEPTHWISE_CONV_2D, ADD, PAD and RESHAPE.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  # the name every torch reader expects
from torch import Tensor, nn

from janusd_export.compiling import graph
from janusd_export.compiling.graph import Operator
from janusd_export.errors import ExportError

_CLAMPS: Final = {0: (-np.inf, np.inf), 1: (0.0, np.inf), 3: (0.0, 6.0)}
"""By the schema's number of the activation an operator ends in: none, ReLU, ReLU6."""
_SAME: Final = 0


class Differentiable(nn.Module):
    """(B, 3, 112, 112) float in -1..1 -> (B, D) float, as the int8 file computes it. Raises ExportError."""

    def __init__(self, model: bytes, name: str = "the encoder", *, rounds: bool = True) -> None:
        """Without `rounds` values are clipped and not rounded: half the time, and near enough for slopes."""
        super().__init__()
        self._rounds = rounds
        read = graph.read(model, name)
        if any(operator.kind not in _FORWARD for operator in read.operators):
            other = sorted({operator.kind for operator in read.operators} - _FORWARD.keys())
            raise ExportError(f"{name} has operators that are not read here: {', '.join(other)}")
        if len(read.inputs) != 1 or len(read.outputs) != 1 or read.inputs[0].kind != "INT8":
            raise ExportError(f"{name} is not an int8 network with one input and one output")
        self._operators = read.operators
        self._first, self._last = read.inputs[0], read.outputs[0]
        for operator in read.operators:
            if operator.kind.endswith("CONV_2D"):
                weights, bias = constants(operator, name)
                self.register_buffer(f"weights_{operator.number}", weights)
                self.register_buffer(f"bias_{operator.number}", bias)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed crops; not yet of unit length."""
        values = {self._first.number: self._on_grid(crops, self._first)}
        for operator in self._operators:
            inputs = [values[t.number] for t in operator.inputs if t is not None and t.number in values]
            found = _FORWARD[operator.kind](self, operator, inputs)
            values[operator.outputs[0].number] = found
        return values[self._last.number].flatten(1)  # (B, D)

    def _convolve(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        options, (x,) = operator.options, inputs
        weights: Tensor = self.get_buffer(f"weights_{operator.number}")
        stride = (options["strideH"], options["strideW"])
        if options["padding"] == _SAME:
            x = F.pad(x, _same(x.shape[2:], weights.shape[2:], stride))
        groups = x.shape[1] if operator.kind == "DEPTHWISE_CONV_2D" else 1
        x = F.conv2d(x, weights, self.get_buffer(f"bias_{operator.number}"), stride, groups=groups)
        return self._ended(x, operator)

    def _add(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        return self._ended(inputs[0] + inputs[1], operator)

    def _pad(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        wide = operator.inputs[1]
        assert wide is not None
        _, (top, bottom), (left, right), _ = wide.integers().reshape(4, 2).tolist()  # rows of N, H, W, C
        return F.pad(inputs[0], (left, right, top, bottom))  # by the real 0, which the zero point stands for

    def _reshape(self, operator: Operator, inputs: list[Tensor]) -> Tensor:
        del operator
        return inputs[0].permute(0, 2, 3, 1).flatten(1)[:, :, None, None]  # the file counts channels last

    def _ended(self, x: Tensor, operator: Operator) -> Tensor:
        low, high = _CLAMPS[operator.options["fusedActivationFunction"]]
        return self._on_grid(x, operator.outputs[0], low, high)

    def _on_grid(self, x: Tensor, tensor: graph.Tensor, low: float = -np.inf, high: float = np.inf) -> Tensor:
        """The nearest value this tensor's integers stand for; its gradient is that of the clipped one."""
        scale, zero = tensor.scales[0], tensor.zero_points[0]
        x = x.clamp(max(low, (-128 - zero) * scale), min(high, (127 - zero) * scale))
        return x + (torch.round(x / scale) * scale - x).detach() if self._rounds else x


_FORWARD: Final = {
    "CONV_2D": Differentiable._convolve,
    "DEPTHWISE_CONV_2D": Differentiable._convolve,
    "ADD": Differentiable._add,
    "PAD": Differentiable._pad,
    "RESHAPE": Differentiable._reshape,
}


def constants(operator: Operator, name: str) -> tuple[Tensor, Tensor]:
    """Weights as torch has them, (O, I, H, W) or (C, 1, H, W), and biases, both as real numbers."""
    values, weights, bias = operator.inputs[0], operator.inputs[1], operator.inputs[2]
    if values is None or weights is None or bias is None or weights.content is None or bias.content is None:
        raise ExportError(f"{name}: operator {operator.number} lacks its weights: compile it again")
    dilation = {operator.options.get(f"dilation{side}Factor", 1) for side in "HW"}
    if dilation != {1} or operator.options.get("depthMultiplier", 1) != 1:
        raise ExportError(f"{name}: operator {operator.number} dilates or multiplies, which is not read here")
    integers = np.frombuffer(weights.content.tobytes(), np.int8).reshape(weights.shape).astype(np.float32)
    scales = np.asarray(weights.scales, np.float32)
    along = [1, 1, 1, 1]
    along[weights.axis] = -1
    real = integers * scales.reshape(along)
    order = (3, 0, 1, 2) if operator.kind == "DEPTHWISE_CONV_2D" else (0, 3, 1, 2)
    whole = np.frombuffer(bias.content.tobytes(), np.int32).astype(np.float64)
    shift = (whole * values.scales[0] * scales).astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(real.transpose(order))), torch.from_numpy(shift)


def _same(size: torch.Size, kernel: torch.Size, stride: tuple[int, int]) -> tuple[int, int, int, int]:
    """TensorFlow's "SAME": left, right, top, bottom."""
    paddings: list[int] = []
    for length, wide, step in zip(reversed(size), reversed(kernel), reversed(stride), strict=True):
        missing = max(0, (-(-length // step) - 1) * step + wide - length)
        paddings += [missing // 2, missing - missing // 2]
    return (paddings[0], paddings[1], paddings[2], paddings[3])
