"""The float network as model.onnx, for TensorRT on a Jetson and for anybody who wants to look inside.

Input "crop" is (1, 3, 112, 112) float32 RGB in -1..1, output "embedding" is (1, D) float32, not of unit
length: what `janusd.core.embed` does before and after the int8 network is the caller's to do here. Static
shapes and opset 13, which TensorRT reads since its version 8 (JetPack 4.6). A door does not run this file.

The graph is written node by node from the folded network's own trace, and checked by running it: torch's
exporters either are deprecated or bring a second tool chain, for a network of four kinds of operators.
"""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX
from janusd_export.errors import ExportError

if TYPE_CHECKING:
    import torch

FILE = "model.onnx"
OPSET = 13
_IR_VERSION = 7  # of opset 13's time: a newer one is refused by older runtimes for no gain

LEAST_COSINE = 0.99999
"""Both are float32; they differ by the order in which sums are taken."""


def export_onnx(folded: torch.nn.Module, path: Path, *, px: int = CROP_PX) -> None:
    """Write the folded network. Raises ExportError for an operator that this has no word for."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = _trace(folded)
    parts = dict(folded.named_modules())
    nodes: list[Any] = []
    constants: dict[str, Any] = {}

    def constant(name: str, value: NDArray[Any]) -> str:
        constants[name] = numpy_helper.from_array(value, name)
        return name

    output = ""
    names: dict[Any, str] = {}
    for node in graph.nodes:
        inputs = [names[argument] for argument in node.args if argument in names] if node.args else []
        if node.op == "placeholder":
            names[node] = "crop"
            continue
        if node.op == "output":
            output = names[node.args[0]]
            continue
        names[node] = node.name
        kind = _kind(node, parts)
        if kind == "conv":
            conv: Any = parts[node.target]
            inputs.append(constant(f"{node.target}.weight", conv.weight.detach().numpy()))
            if conv.bias is not None:
                inputs.append(constant(f"{node.target}.bias", conv.bias.detach().numpy()))
            made = helper.make_node(
                "Conv", inputs, [node.name], node.name, kernel_shape=list(conv.kernel_size),
                strides=list(conv.stride), pads=[*conv.padding, *conv.padding], group=conv.groups,
                dilations=list(conv.dilation),
            )  # fmt: skip
        elif kind == "linear":
            linear: Any = parts[node.target]
            inputs.append(constant(f"{node.target}.weight", linear.weight.detach().numpy()))
            inputs.append(constant(f"{node.target}.bias", linear.bias.detach().numpy()))
            made = helper.make_node("Gemm", inputs, [node.name], node.name, transB=1)
        elif kind == "relu6":
            ends = [constant(f"clip.{end}", np.array(end, np.float32)) for end in (0, 6)]
            made = helper.make_node("Clip", [*inputs, *ends], [node.name], node.name)
        elif kind == "flatten":
            made = helper.make_node("Flatten", inputs, [node.name], node.name, axis=1)
        else:
            made = helper.make_node({"add": "Add", "relu": "Relu"}[kind], inputs, [node.name], node.name)
        nodes.append(made)
    nodes.append(helper.make_node("Identity", [output], ["embedding"], "embedding"))
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "janus encoder",
            [helper.make_tensor_value_info("crop", TensorProto.FLOAT, [1, 3, px, px])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)],
            list(constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="janus-export",
    )
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())


def cosine_to(folded: torch.nn.Module, path: Path, crops: NDArray[np.uint8]) -> float:
    """The lowest cosine between torch's and onnxruntime's embeddings of these crops."""
    import onnxruntime
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    lowest = 1.0
    for crop in crops:
        real = ((crop.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)[np.newaxis]
        with torch.no_grad():
            wanted = folded(torch.from_numpy(real)).numpy()[0]
        got = session.run(["embedding"], {"crop": real})[0][0]
        lowest = min(lowest, float(wanted @ got / (np.linalg.norm(wanted) * np.linalg.norm(got))))
    return lowest


def write_onnx(folded: torch.nn.Module, folder: Path, crops: NDArray[np.uint8]) -> tuple[Path, float]:
    """Write model.onnx and check it on these crops; its path and the lowest cosine. Raises ExportError."""
    path = folder / FILE
    export_onnx(folded, path)
    cosine = cosine_to(folded, path, crops)
    if cosine < LEAST_COSINE:
        path.unlink()
        raise ExportError(f"{path}: onnxruntime's embeddings differ from torch's (cosine {cosine:.6f})")
    return path, cosine


def _trace(folded: torch.nn.Module) -> Any:  # noqa: ANN401  # torch.fx has no types here
    import torch.fx

    return torch.fx.symbolic_trace(folded).graph


def _kind(node: Any, parts: dict[str, Any]) -> str:  # noqa: ANN401  # likewise
    """Which of our words a traced node is. Raises ExportError."""
    import torch
    from torch.nn import functional

    if node.op == "call_module":
        part = parts[node.target]
        layers = {
            "conv": torch.nn.Conv2d,
            "linear": torch.nn.Linear,
            "relu6": torch.nn.ReLU6,
            "relu": torch.nn.ReLU,
            "flatten": torch.nn.Flatten,
        }
        for kind, module in layers.items():
            if isinstance(part, module):
                return kind
        raise ExportError(f"{node.target} is a {type(part).__name__}, which model.onnx has no word for here")
    words = {
        functional.relu6: "relu6", functional.relu: "relu", torch.relu: "relu", operator.add: "add",
        torch.add: "add", torch.flatten: "flatten", "flatten": "flatten", "relu": "relu", "add": "add",
    }  # fmt: skip
    if node.target in words:
        return words[node.target]
    raise ExportError(f"{node.target} is an operator which model.onnx has no word for here")
