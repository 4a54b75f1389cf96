"""From a folded student to the int8 file a door runs.

    torch --litert-torch--> float .tflite --observe--> ranges --ai-edge-quantizer--> int8 --tidy--> released
    file

Pinned and tried: torch 2.13.0, litert-torch 0.10.0, ai-edge-quantizer 0.10.0. What was learnt on the way:
- The quantizer's own calibrator averages minima and maxima and thereby clips; `observe` keeps the outermost.
- Its files keep weights behind the flatbuffer and leave every operator at version 1, which tools for
  accelerators refuse. `tidy` moves the weights inside and states the versions; the numbers stay the same.
"""

# ruff: noqa: PLC0415  # heavy libraries, and verbs, load only where they are used

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX
from janusd.core.manifest import TensorSpec
from janusd.core.tensors import to_tensor
from janusd.core.types import Crop
from janusd_export.compiling import edgetpu, graph
from janusd_export.errors import ExportError
from janusd_hw.litert import LiteRtNetwork

if TYPE_CHECKING:
    import torch

Ranges = dict[str, Any]
"""Tensor name -> {"min", "max"}, arrays as the quantizer keeps them."""


def to_real(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels as the network was trained on them: -1..1."""
    return (crops.astype(np.float32) - 127.5) / 127.5


def export_float(folded: torch.nn.Module, path: Path, shape: tuple[int, ...] = (CROP_PX, CROP_PX, 3)) -> None:
    """Write a float .tflite that takes one picture of this shape (H, W, 3)."""
    import litert_torch
    import torch

    model = litert_torch.to_channel_last_io(folded, args=[0]).eval()
    with contextlib.redirect_stdout(sys.stderr):  # its progress is no result of a verb
        litert_torch.convert(model, (torch.zeros(1, *shape),)).export(str(path))


def observe(float_model: Path, crops: Iterable[Crop]) -> Ranges:
    """The outermost values each tensor takes over these crops."""
    from ai_edge_quantizer import calibrator, recipe, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    watcher = calibrator.Calibrator(str(float_model), num_threads=1, qsv_update_func=qsv_utils.min_max_update)
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(recipe.static_wi8_ai8())
    (signature,) = watcher.get_signature_list()
    name = next(iter(watcher.get_signature_list()[signature]["inputs"]))
    samples = [{name: to_real(crop)[np.newaxis]} for crop in crops]  # a list: the calibrator reads it twice
    watcher.calibrate({signature: samples}, manager)
    ranges: Ranges = watcher.get_model_qsvs()
    return ranges


def quantize(float_model: Path, ranges: Ranges) -> bytes:
    """The int8 file: weights one scale a channel, activations one scale a tensor, int8 in and out."""
    from ai_edge_quantizer import quantizer, recipe

    worker = quantizer.Quantizer(str(float_model), recipe.static_wi8_ai8())
    quantized = worker.quantize(ranges).quantized_model
    if quantized is None:
        raise ExportError(f"{float_model}: the quantizer gave no model")
    return tidy(bytes(quantized))


def tidy(model: bytes) -> bytes:
    """Rewrite with the weights inside the flatbuffer and true operator versions. Raises ExportError.

    ExportError names any operator that is not int8 or that an Edge TPU does not map.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = graph.unpack(model)
    for buffer in tree.buffers:
        if buffer.offset and buffer.size > 1:
            buffer.data = np.frombuffer(model[buffer.offset : buffer.offset + buffer.size], np.uint8)
        buffer.offset, buffer.size = 0, 0
    names = graph.builtin_names()
    for code in tree.operatorCodes:
        name = names.get(code.builtinCode, f"operator {code.builtinCode}")
        if name not in edgetpu.INT8_VERSIONS:
            raise ExportError(f"the compiled network holds {name}, which an int8 accelerator does not map")
        code.version = edgetpu.INT8_VERSIONS[name]
    (first,) = tree.subgraphs
    shape_inputs = {
        i
        for op in first.operators
        for i in list(op.inputs)[1:]
        if names[tree.operatorCodes[op.opcodeIndex].builtinCode] in ("RESHAPE", "PAD")
    }
    for number, tensor in enumerate(first.tensors):
        if (
            tensor.type not in (schema.TensorType.INT8, schema.TensorType.INT32)
            and number not in shape_inputs
        ):
            raise ExportError(
                f"tensor {tensor.name!r} is not an integer: the network is only partly quantized"
            )
    builder = flatbuffers.Builder(len(model) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    tidied = bytes(builder.Output())
    report = edgetpu.check(graph.read(tidied))
    if not report.is_mapped:
        raise ExportError("an int8 accelerator does not map the network: " + "; ".join(report.complaints))
    return tidied


def operators(model: bytes) -> list[str]:
    """The names of the operators in order."""
    return [operator.kind for operator in graph.read(model).operators]


def run_int8(network: LiteRtNetwork, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, D) raw output in steps of its scale, zero point removed; not of unit length."""
    scale, zero_point = network.input_quantization
    spec = TensorSpec(network.input_shape, scale, zero_point)
    scale, zero_point = network.output_quantization
    rows = [network.run(to_tensor(crop, spec))[0].astype(np.float32) - zero_point for crop in crops]
    return np.stack(rows)


@dataclass(frozen=True, slots=True)
class Pair:
    """One network as two files with the same operators."""

    in_float: bytes
    in_int8: bytes


def compile_pair(folded: torch.nn.Module, crops: NDArray[np.uint8]) -> Pair:
    """Folded student and calibration crops (n, 112, 112, 3) to the float and the int8 file."""
    with tempfile.TemporaryDirectory() as folder:
        float_model = Path(folder) / "float.tflite"
        export_float(folded, float_model)
        return Pair(float_model.read_bytes(), quantize(float_model, observe(float_model, crops)))


def compile_student(folded: torch.nn.Module, crops: NDArray[np.uint8]) -> bytes:
    """Folded student and calibration crops (n, 112, 112, 3) to the int8 file."""
    return compile_pair(folded, crops).in_int8
