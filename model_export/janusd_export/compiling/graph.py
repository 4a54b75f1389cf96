"""A .tflite file as a list of operators: names, shapes, scales and costs, without running it.

Trust boundary: the file may be anybody's. The flatbuffer library reads it without checking offsets, so what
it stumbles over ends in an ExportError; nothing is executed.
"""

# ruff: noqa: PLC0415  # the schema takes a tenth of a second to import

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from janusd_export.errors import ExportError

_IDENTIFIER = b"TFL3"


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor as the file describes it."""

    number: int
    name: str
    kind: str
    """"INT8", "INT32", "FLOAT32" ..."""
    shape: tuple[int, ...]
    is_static: bool
    """Whether every length is known."""
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int
    """Along which the scales differ."""
    content: NDArray[np.uint8] | None
    """The bytes of a constant; None for what is computed."""

    @property
    def is_constant(self) -> bool:
        """Whether its values are in the file."""
        return self.content is not None

    def integers(self) -> NDArray[np.int32]:
        """The values of an INT32 constant, such as paddings or axes."""
        if self.kind != "INT32" or self.content is None:
            return np.zeros(0, np.int32)
        return np.frombuffer(self.content.tobytes(), np.int32)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator with its tensors."""

    number: int
    kind: str
    """As in the schema: "CONV_2D", "ADD" ..."""
    version: int
    inputs: tuple[Tensor | None, ...]
    """None where an optional one is left out."""
    outputs: tuple[Tensor, ...]
    options: dict[str, Any]
    layer: str
    """Where it comes from in the torch network, as far as the names tell."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one run; 0 for what only moves or adds."""
        if self.kind not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") or len(self.inputs) < 2:
            return 0
        weights = self.inputs[1]
        if weights is None:
            return 0
        places = math.prod(self.outputs[0].shape[1:-1]) if self.kind != "FULLY_CONNECTED" else 1
        return math.prod(weights.shape) * places


@dataclass(frozen=True, slots=True)
class Graph:
    """A whole file."""

    operators: tuple[Operator, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    subgraphs: int
    size: int
    """Bytes of the file."""

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all constants."""
        constants = {
            tensor.number: tensor.content.nbytes
            for operator in self.operators
            for tensor in operator.inputs
            if tensor is not None and tensor.content is not None
        }
        return sum(constants.values())


def unpack(model: bytes, name: str = "the file") -> Any:  # noqa: ANN401  # the schema has no types
    """The flatbuffer as a tree of Python objects. Raises ExportError."""
    from ai_edge_litert import schema_py_generated as schema

    if model[4:8] != _IDENTIFIER:
        raise ExportError(f"{name} is not a .tflite file")
    try:
        return schema.ModelT.InitFromPackedBuf(model, 0)
    except (struct.error, TypeError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise ExportError(f"{name} is damaged: {error}: compile it again") from error


def builtin_names() -> dict[int, str]:
    """Operator names by their number in the schema."""
    from ai_edge_litert import schema_py_generated as schema

    return {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def read(model: bytes, name: str = "the file") -> Graph:
    """Read a file's first subgraph. Raises ExportError."""
    from ai_edge_litert import schema_py_generated as schema

    tree = unpack(model, name)
    kinds = {value: kind for kind, value in vars(schema.TensorType).items() if not kind.startswith("_")}
    names = builtin_names()
    try:
        first = tree.subgraphs[0]
        tensors = [
            _tensor(number, tensor, kinds, tree.buffers[tensor.buffer], model)
            for number, tensor in enumerate(first.tensors)
        ]
        operators = []
        for number, operator in enumerate(first.operators):
            code = tree.operatorCodes[operator.opcodeIndex]
            number_of_kind = max(code.builtinCode, code.deprecatedBuiltinCode)
            kind = names.get(number_of_kind, f"operator {number_of_kind}")
            if kind == "CUSTOM":
                kind = f"CUSTOM {(code.customCode or b'?').decode(errors='replace')}"
            inputs = tuple(tensors[i] if i >= 0 else None for i in operator.inputs)
            outputs = tuple(tensors[i] for i in operator.outputs)
            options = dict(vars(operator.builtinOptions)) if operator.builtinOptions else {}
            layer = _layer(kind, inputs, outputs)
            operators.append(Operator(number, kind, code.version, inputs, outputs, options, layer))
        ends = [tuple(tensors[i] for i in chosen) for chosen in (first.inputs, first.outputs)]
        return Graph(tuple(operators), ends[0], ends[1], len(tree.subgraphs), len(model))
    except (TypeError, IndexError, AttributeError, ValueError) as error:
        raise ExportError(f"{name} is damaged: {error}: compile it again") from error


def _tensor(
    number: int,
    tensor: Any,  # noqa: ANN401  # the schema has no types
    kinds: dict[int, str],
    buffer: Any,  # noqa: ANN401
    model: bytes,
) -> Tensor:
    quantization = tensor.quantization
    scales = _listed(quantization.scale) if quantization is not None else ()
    zero_points = _listed(quantization.zeroPoint) if quantization is not None else ()
    content = None
    if buffer.data is not None and len(buffer.data):
        content = np.asarray(buffer.data, np.uint8)
    elif buffer.offset and buffer.size > 1:  # weights behind the flatbuffer
        content = np.frombuffer(model[buffer.offset : buffer.offset + buffer.size], np.uint8)
    shape = tuple(int(n) for n in _listed(tensor.shape))
    signature = tuple(int(n) for n in _listed(tensor.shapeSignature))
    return Tensor(
        number=number,
        name=tensor.name.decode(errors="replace") if isinstance(tensor.name, bytes) else str(tensor.name),
        kind=kinds.get(tensor.type, f"type {tensor.type}"),
        shape=shape,
        is_static=min((*shape, *signature, 1)) >= 1,
        scales=tuple(float(s) for s in scales),
        zero_points=tuple(int(z) for z in zero_points),
        axis=int(quantization.quantizedDimension) if quantization is not None else 0,
        content=content,
    )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401
    return [] if value is None else list(value)


def _layer(kind: str, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> str:
    """The module's path out of a name like ".../torch.nn.modules.conv.Conv2d_gather;1"."""
    weights = inputs[1] if kind.endswith("CONV_2D") and len(inputs) > 1 else None
    text = weights.name if weights is not None else outputs[0].name if outputs else ""
    for part in text.split(";"):
        steps = [re.search(r"\.\w*?[A-Za-z0-9]_(\w+)$", step) for step in part.split("/")]
        path = [step[1] for step in steps if step is not None and step[1] != "wrapped"]
        if path:
            return ".".join(path)
    return ""
