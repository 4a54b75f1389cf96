"""From a folded network of the detector to its int8 file, through the encoder's own road (`quantize.py`).

What is different here: the answers of the three levels are joined into one output, and a file has one scale
for a joined tensor. Where the levels' ranges differed the quantizer would put QUANTIZE operators in between,
so their ranges are made one before it starts. `core.detect` states each number in units of about the same
size, so that one scale fits all.
"""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from janusd_export.compiling import graph, quantize
from janusd_export.errors import ExportError

if TYPE_CHECKING:
    import torch

_COPIES = frozenset({"RESHAPE", "TRANSPOSE", "CONCATENATION"})


def compile_network(folded: torch.nn.Module, pictures: NDArray[np.uint8]) -> quantize.Pair:
    """Folded network and calibration pictures (n, H, W, 3) to the float and the int8 file."""
    with tempfile.TemporaryDirectory() as folder:
        float_model = Path(folder) / "float.tflite"
        quantize.export_float(folded, float_model, pictures.shape[1:])
        in_float = float_model.read_bytes()
        ranges = join_ranges(in_float, quantize.observe(float_model, pictures))
        return quantize.Pair(in_float, _quantize(float_model, ranges))


def _quantize(float_model: Path, ranges: quantize.Ranges) -> bytes:
    from ai_edge_quantizer import quantizer, recipe

    worker = quantizer.Quantizer(str(float_model), recipe.static_wi8_ai8())
    quantized = worker.quantize(ranges).quantized_model
    if quantized is None:
        raise ExportError(f"{float_model}: the quantizer gave no model")
    return quantize.tidy(without_copies(bytes(quantized)))


def without_copies(model: bytes) -> bytes:
    """The file without QUANTIZE operators that change neither scale nor zero point.

    The quantizer puts one before each input of a CONCATENATION, needed or not; an accelerator would stop
    there.
    """
    import flatbuffers

    tree = graph.unpack(model)
    for buffer in tree.buffers:  # weights behind the flatbuffer would be lost
        if buffer.offset and buffer.size > 1:
            buffer.data = np.frombuffer(model[buffer.offset : buffer.offset + buffer.size], np.uint8)
        buffer.offset, buffer.size = 0, 0
    (first,) = tree.subgraphs
    names = graph.builtin_names()
    source: dict[int, int] = {}
    kept = []
    for operator in first.operators:
        operator.inputs = np.array([source.get(int(i), int(i)) for i in operator.inputs], np.int32)
        if names[tree.operatorCodes[operator.opcodeIndex].builtinCode] == "QUANTIZE":
            before, after = (first.tensors[int(n[0])] for n in (operator.inputs, operator.outputs))
            if _is_same(before, after):
                source[int(operator.outputs[0])] = int(operator.inputs[0])
                continue
        kept.append(operator)
    used = sorted({operator.opcodeIndex for operator in kept})
    for operator in kept:
        operator.opcodeIndex = used.index(operator.opcodeIndex)
    tree.operatorCodes = [tree.operatorCodes[index] for index in used]
    first.operators = kept
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _is_same(before: Any, after: Any) -> bool:  # noqa: ANN401  # the schema has no types
    a, b = before.quantization, after.quantization
    return bool(
        before.type == after.type
        and np.array_equal(a.scale, b.scale)
        and np.array_equal(a.zeroPoint, b.zeroPoint)
    )


def join_ranges(model: bytes, ranges: quantize.Ranges) -> quantize.Ranges:
    """The ranges, with one for all tensors that a CONCATENATION joins and what they are copies of."""
    operators = graph.read(model).operators
    made_by = {operator.outputs[0].name: operator for operator in operators}
    joined: set[str] = set()

    def follow(name: str) -> None:
        joined.add(name)
        operator = made_by.get(name)
        if operator is not None and operator.kind in _COPIES:
            count = None if operator.kind == "CONCATENATION" else 1  # a RESHAPE's second input is a shape
            for tensor in operator.inputs[:count]:
                if tensor is not None:
                    follow(tensor.name)

    for operator in operators:
        if operator.kind == "CONCATENATION":
            follow(operator.outputs[0].name)
    known = [ranges[name] for name in joined if name in ranges]
    if not known:
        return ranges
    low, high = min(np.min(entry["min"]) for entry in known), max(np.max(entry["max"]) for entry in known)

    def widened(entry: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        return {**entry, "min": np.full_like(entry["min"], low), "max": np.full_like(entry["max"], high)}

    return ranges | {name: widened(ranges[name]) for name in joined if name in ranges}
