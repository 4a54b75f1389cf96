"""What int8 costs, operator by operator: the signal-to-noise ratio of each output against the float network.

    SQNR = 10 log10( sum(float ** 2) / sum((float - int8) ** 2) )  dB, over all values and crops

Both networks see the same crops from the start, so an operator's figure holds the error of everything before
it: a step down from one row to the next is what that operator adds. Every 6 dB are one bit.

The float and the int8 file hold the same operators in the same order; LiteRT keeps every tensor when asked.
"""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from janusd.core.manifest import TensorSpec
from janusd.core.tensors import to_tensor
from janusd.core.types import Crop
from janusd_export.compiling import graph
from janusd_export.errors import ExportError

FILE = "layers.json"


class Layer(msgspec.Struct, frozen=True):
    """One operator; a row of layers.json."""

    layer: str
    """Where it is in the torch network."""
    op: str
    sqnr_db: float | None
    """None where int8 and float agree in every value."""
    macs: int


def measure(float_model: bytes, int8_model: bytes, crops: Iterable[Crop]) -> list[Layer]:
    """The error of each operator's output over these crops. Raises ExportError."""
    in_float, in_int8 = graph.read(float_model, "the float file"), graph.read(int8_model, "the int8 file")
    kinds = [[operator.kind for operator in read.operators] for read in (in_float, in_int8)]
    if kinds[0] != kinds[1]:
        raise ExportError(
            f"the float file's {len(kinds[0])} operators and the int8 file's {len(kinds[1])} do not pair: "
            f"{' '.join(kinds[0])} against {' '.join(kinds[1])}"
        )
    first, second = _Watched(float_model), _Watched(int8_model)
    signal = np.zeros(len(kinds[0]))
    noise = np.zeros(len(kinds[0]))
    seen = 0
    spec = TensorSpec(in_int8.inputs[0].shape, in_int8.inputs[0].scales[0], in_int8.inputs[0].zero_points[0])
    for crop in crops:
        first.run((crop[np.newaxis].astype(np.float32) - 127.5) / 127.5)
        second.run(to_tensor(crop, spec))
        seen += 1
        for place, (exact, rounded) in enumerate(zip(in_float.operators, in_int8.operators, strict=True)):
            wanted = first.value(exact.outputs[0].number).astype(np.float64)
            got = second.value(rounded.outputs[0].number).astype(np.float64)
            scale, zero_point = rounded.outputs[0].scales[0], rounded.outputs[0].zero_points[0]
            signal[place] += np.square(wanted).sum()
            noise[place] += np.square(wanted - scale * (got - zero_point)).sum()
    if not seen:
        raise ExportError("no crops to compare the layers on")
    return [
        Layer(operator.layer or operator.kind.lower(), operator.kind, _decibel(s, n), operator.macs)
        for operator, s, n in zip(in_int8.operators, signal.tolist(), noise.tolist(), strict=True)
    ]


def write(folder: Path, layers: Sequence[Layer]) -> Path:
    """Write layers.json beside a model."""
    path = folder / FILE
    path.write_text(json.dumps(msgspec.to_builtins(list(layers)), indent=1) + "\n", encoding="utf-8")
    return path


def read(folder: Path) -> list[Layer]:
    """Read layers.json. Raises ExportError."""
    path = folder / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Layer])
    except OSError as error:
        raise ExportError(f"cannot read {path} ({error.strerror}): janus-export compile writes it") from error
    except msgspec.DecodeError as error:
        raise ExportError(f"{path}: {error}: compile the model again") from error


def table(layers: Sequence[Layer]) -> str:
    """The layers as lines of text, with a bar a decibel scale long."""
    width = max(len(layer.layer) for layer in layers)
    lines = [f"{'layer':<{width}}  {'operator':<18} {'M MAC':>7}  {'SQNR':>8}"]
    for layer in layers:
        macs = f"{layer.macs / 1e6:.2f}" if layer.macs else "-"
        if layer.sqnr_db is None:
            lines.append(f"{layer.layer:<{width}}  {layer.op:<18} {macs:>7}     exact")
        else:
            bar = "#" * max(0, round(layer.sqnr_db / 2))
            lines.append(f"{layer.layer:<{width}}  {layer.op:<18} {macs:>7}  {layer.sqnr_db:>5.1f} dB  {bar}")
    return "\n".join(lines)


def _decibel(signal: float, noise: float) -> float | None:
    if noise == 0.0:
        return None
    return round(10.0 * math.log10(signal / noise), 2) if signal > 0.0 else -math.inf


class _Watched:
    """An interpreter that keeps the value of every tensor."""

    def __init__(self, model: bytes) -> None:
        # Without XNNPACK: a delegate computes several operators in one and keeps nothing between them.
        litert: Any = importlib.import_module("ai_edge_litert.interpreter")
        self._interpreter = litert.Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()

    def run(self, tensor: NDArray[Any]) -> None:
        self._interpreter.set_tensor(self._input["index"], tensor)
        self._interpreter.invoke()

    def value(self, number: int) -> NDArray[Any]:
        value: NDArray[Any] = self._interpreter.get_tensor(number)
        return value
