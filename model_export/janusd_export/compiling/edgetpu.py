"""Would an Edge TPU run this network whole? Answered from the file alone: its compiler is not to be had here.

The rules are those of Coral's page "TensorFlow models on the Edge TPU" (coral.ai/docs/edgetpu/models-intro):
its model requirements, and its table of supported operations with their known limitations. Two things come
from elsewhere: what int8 means for scales and zero points is TensorFlow Lite's 8-bit quantization
specification, and the version each int8 operator has is from TensorFlow's lite/tools/versioning/op_version.cc
(a newer version uses a feature that the compiler has not heard of: "Operation version not supported").

It cannot say what the compiler does with sizes ("certain reshapes might not be mapped for large tensor
sizes"): a file that passes here maps as far as is documented, and nobody has yet run it on one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from janusd_export.compiling.graph import Graph, Operator, Tensor

ON_CHIP_BYTES = 8 << 20
"""Parameters beyond this are fetched over USB at each run ("roughly 8 MB of SRAM", Coral's compiler page)."""

INT8_VERSIONS: dict[str, int] = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "L2_NORMALIZATION": 2,
    "LOGISTIC": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MUL": 2,
    "PAD": 2,
    "PRELU": 1,
    "RELU": 2,
    "RELU6": 2,
    "RESHAPE": 1,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SQUEEZE": 1,
    "SUB": 2,
    "TANH": 2,
}
"""Coral's operations that an encoder may use, and the version an int8 one has."""

# fmt: off
_UNJUDGED = frozenset({
    "EXPAND_DIMS", "LSTM", "PACK", "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU_N1_TO_1", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SPACE_TO_DEPTH", "SPLIT", "SQUARED_DIFFERENCE", "STRIDED_SLICE",
    "SUM", "TRANSPOSE_CONV",
})
"""On Coral's list as well; no encoder here has them, so their limits are not written down."""

_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
_NO_FUSED_ACTIVATION = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION"})
_SAME_SCALE = frozenset({
    "AVERAGE_POOL_2D", "CONCATENATION", "MAXIMUM", "MAX_POOL_2D", "MINIMUM", "PAD", "RESHAPE", "SLICE",
    "SQUEEZE",
})
# fmt: on
_INTEGERS_FROM = {"MEAN": 1, "PAD": 1, "RESHAPE": 1, "SLICE": 1}
"""From which input on an operator takes shapes, paddings or axes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one operator maps, and why not."""

    number: int
    kind: str
    layer: str
    why_not: str
    """Empty where it maps."""

    @property
    def is_mapped(self) -> bool:
        """Whether an Edge TPU runs it."""
        return not self.why_not


@dataclass(frozen=True, slots=True)
class Report:
    """What `janus-export edgetpu` prints."""

    verdicts: tuple[Verdict, ...]
    of_the_file: tuple[str, ...]
    """What is wrong with the file as a whole."""
    parameter_bytes: int

    @property
    def is_mapped(self) -> bool:
        """Whether all of it runs there."""
        return not self.of_the_file and all(verdict.is_mapped for verdict in self.verdicts)

    @property
    def complaints(self) -> list[str]:
        """Each thing that is wrong, in one line."""
        return [
            *self.of_the_file,
            *(f"{v.number} {v.kind} {v.layer}: {v.why_not}" for v in self.verdicts if v.why_not),
        ]


def check(graph: Graph) -> Report:
    """Judge every operator. (The compiler stops at the first it cannot map: the rest stays on the CPU.)"""
    verdicts = []
    for operator in graph.operators:
        why_not = next(_complaints(operator), "")
        verdicts.append(Verdict(operator.number, operator.kind, operator.layer, why_not))
    return Report(tuple(verdicts), tuple(_of_the_file(graph)), graph.parameter_bytes)


def _of_the_file(graph: Graph) -> Iterator[str]:
    if graph.subgraphs != 1:
        yield f"the file has {graph.subgraphs} subgraphs: more than one subgraph is not supported"
    if not graph.operators:
        yield "the file has no operators"
    for which, tensors in (("input", graph.inputs), ("output", graph.outputs)):
        if len(tensors) != 1:
            yield f"the network has {len(tensors)} {which}s, and a door gives it one"
        for tensor in tensors:
            if tensor.kind != "INT8":
                yield f"the {which} {tensor.name!r} is {tensor.kind}, not INT8"


def _complaints(operator: Operator) -> Iterator[str]:
    """What keeps an operator from being mapped, the root first."""
    kind = operator.kind
    if kind in _UNJUDGED:
        yield "is on Coral's list, but its limitations are not written down here"
    elif kind not in INT8_VERSIONS:
        yield "is not on Coral's list of supported operations"
    elif operator.version != INT8_VERSIONS[kind]:
        yield f"operation version {operator.version}, and the int8 one is {INT8_VERSIONS[kind]}"
    values = operator.inputs[:1] if kind in _CHANNEL_AXIS else operator.inputs
    for tensor in (*values, *operator.outputs):
        if tensor is not None:
            yield from _of_a_shape(tensor)
    for place, tensor in enumerate(operator.inputs):
        if tensor is not None:
            yield from _of_an_input(operator, place, tensor)
    for tensor in operator.outputs:
        yield from _of_values("output", tensor)
    if kind in _SAME_SCALE:
        yield from _of_the_same_scale(operator)
    if kind in _LIMITS:
        yield from _LIMITS[kind](operator)
    if kind in _NO_FUSED_ACTIVATION and operator.options.get("fusedActivationFunction", 0) != 0:
        yield "has a fused activation function"


def _of_an_input(operator: Operator, place: int, tensor: Tensor) -> Iterator[str]:
    if place >= _INTEGERS_FROM.get(operator.kind, 99):
        if not tensor.is_constant:
            yield f"input {place} ({tensor.kind}) must be a constant when the network is compiled"
    elif operator.kind in _CHANNEL_AXIS and place == 1:
        yield from _of_weights(operator, tensor)
    elif operator.kind in _CHANNEL_AXIS and place == 2:
        yield from _of_a_bias(operator, tensor)
    else:
        yield from _of_values(f"input {place}", tensor)


def _of_a_shape(tensor: Tensor) -> Iterator[str]:
    if not tensor.is_static:
        yield f"{tensor.name!r} has a dynamic size {tensor.shape}: sizes must be constant"
    elif any(length != 1 for length in tensor.shape[:-3]) and not tensor.is_constant:
        yield f"{tensor.name!r} is {tensor.shape}: only the 3 innermost dimensions may be larger than 1"


def _of_values(which: str, tensor: Tensor) -> Iterator[str]:
    if tensor.kind != "INT8":
        yield f"{which} is {tensor.kind}, not INT8: it is only partly quantized"
    elif len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        yield f"{which} has {len(tensor.scales)} scales: values need one scale and one zero point"
    elif not 0 < tensor.scales[0] < float("inf"):
        yield f"{which} has the scale {tensor.scales[0]}"
    elif not -128 <= tensor.zero_points[0] <= 127:
        yield f"{which} has the zero point {tensor.zero_points[0]}, outside int8"


def _of_weights(operator: Operator, tensor: Tensor) -> Iterator[str]:
    if not tensor.is_constant:
        yield "its weights are computed: they must be constants when the network is compiled"
    if tensor.kind != "INT8":
        yield f"its weights are {tensor.kind}, not INT8"
        return
    axis = _CHANNEL_AXIS[operator.kind]
    channels = tensor.shape[axis] if axis < len(tensor.shape) else 0
    if len(tensor.scales) > 1 and (tensor.axis != axis or len(tensor.scales) != channels):
        yield (
            f"its weights have {len(tensor.scales)} scales along axis {tensor.axis}, "
            f"and need {channels} along axis {axis}, or one"
        )
    if not tensor.scales or min(tensor.scales) <= 0:
        yield "its weights have a channel without a scale above 0"
    if any(tensor.zero_points):
        yield "its weights have a zero point other than 0: int8 weights are symmetric"


def _of_a_bias(operator: Operator, tensor: Tensor) -> Iterator[str]:
    if not tensor.is_constant:
        yield "its bias is computed: it must be a constant when the network is compiled"
    if tensor.kind != "INT32":
        yield f"its bias is {tensor.kind}, not INT32"
        return
    if any(tensor.zero_points):
        yield "its bias has a zero point other than 0"
    values, weights = operator.inputs[:2]
    if values is None or weights is None or len(values.scales) != 1:
        return
    expected = [values.scales[0] * scale for scale in weights.scales]
    if len(expected) != len(tensor.scales) or any(
        abs(found - wanted) > 1e-4 * wanted for found, wanted in zip(tensor.scales, expected, strict=True)
    ):
        yield "its bias' scales are not those of its input times those of its weights"


def _of_the_same_scale(operator: Operator) -> Iterator[str]:
    values = [
        t for t in (*operator.inputs, *operator.outputs) if t is not None and t.kind == "INT8" and t.scales
    ]
    if len({(t.scales, t.zero_points) for t in values}) > 1:
        yield "its output has another scale or zero point than its input, which this operator cannot change"


def _equal_dilation(operator: Operator) -> Iterator[str]:
    across, down = (operator.options.get(f"dilation{side}Factor", 1) for side in "WH")
    if across != down:
        yield f"dilations {across} and {down} differ: they must be the same in x and y"


def _no_batch_padding(operator: Operator) -> Iterator[str]:
    paddings = operator.inputs[1]
    if paddings is not None and any(paddings.integers()[:2]) and len(operator.outputs[0].shape) > 3:
        yield "pads the batch dimension"


def _no_batch_reduction(operator: Operator) -> Iterator[str]:
    values, axes = operator.inputs[0], operator.inputs[1]
    if values is None or axes is None:
        return
    rank = len(values.shape)
    reduced = {int(axis) % rank for axis in axes.integers()}
    if 0 in reduced and rank > 3:
        yield "reduces the batch dimension"
    if rank - 1 in reduced and values.shape[-1] % 4:
        yield f"averages {values.shape[-1]} channels: a reduction over z needs a multiple of 4"


def _flat_output(operator: Operator) -> Iterator[str]:
    if any(length != 1 for length in operator.outputs[0].shape[:-1]):
        yield f"its output is {operator.outputs[0].shape}: it must be one-dimensional"
    if operator.options.get("weightsFormat", 0) != 0:
        yield "its weights are in another format than the default"


def _zero_constants(operator: Operator) -> Iterator[str]:
    constants = [t.content for t in operator.inputs if t is not None and t.content is not None]
    if constants and (len(operator.inputs) != 2 or any(content.any() for content in constants)):
        yield "joins a constant that is not zeros, or more than two tensors of which one is a constant"


def _slope_per_channel(operator: Operator) -> Iterator[str]:
    slope = operator.inputs[1]
    if slope is not None and any(length != 1 for length in slope.shape[:-1]):
        yield f"its slopes are {slope.shape}: only the innermost dimension may be larger than 1"


_LIMITS: dict[str, Callable[[Operator], Iterator[str]]] = {
    "CONCATENATION": _zero_constants,
    "CONV_2D": _equal_dilation,
    "DEPTHWISE_CONV_2D": _equal_dilation,
    "FULLY_CONNECTED": _flat_output,
    "MEAN": _no_batch_reduction,
    "PAD": _no_batch_padding,
    "PRELU": _slope_per_channel,
}
