"""The static Edge TPU check: the released encoder maps, and a file that breaks one rule is told which."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from janusd import models
from janusd_export.compiling import edgetpu, graph
from janusd_export.errors import ExportError
from janusd_export.main import main

GOOD = models.load().encoder
VECTORS = Path(__file__).parents[1] / "vectors"

Edit = Callable[[Any], object]


def edited(edit: Edit) -> bytes:
    """The released encoder with something changed in its flatbuffer, and its large weights cut short."""
    tree = schema.ModelT.InitFromPackedBuf(GOOD, 0)
    for buffer in tree.buffers:
        if buffer.data is not None and len(buffer.data) > 4096:
            buffer.data = buffer.data[:64]
    edit(tree)
    builder = flatbuffers.Builder(len(GOOD) + 4096)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def first(tree: Any, kind: str) -> Any:
    """The first operator of that kind."""
    number = getattr(schema.BuiltinOperator, kind)
    return next(
        operator
        for operator in tree.subgraphs[0].operators
        if tree.operatorCodes[operator.opcodeIndex].builtinCode == number
    )


def tensor(tree: Any, kind: str, place: int) -> Any:
    """An input of that operator; -1 is its output."""
    operator = first(tree, kind)
    return tree.subgraphs[0].tensors[operator.outputs[0] if place < 0 else operator.inputs[place]]


def code(tree: Any, kind: str) -> Any:
    return tree.operatorCodes[first(tree, kind).opcodeIndex]


def test_the_released_encoder_maps_whole(capsys: pytest.CaptureFixture[str]) -> None:
    report = edgetpu.check(graph.read(GOOD))
    assert report.is_mapped, report.complaints
    assert len(report.verdicts) > 10
    assert main(["edgetpu", str(models.RELEASED)]) == 0
    assert "mapped to the Edge TPU" in capsys.readouterr().out


def test_the_file_read_again_after_packing_is_still_good() -> None:
    """So that what the edits below break is what they say."""
    assert edgetpu.check(graph.read(edited(lambda tree: None))).is_mapped


def set_to(kind: str, place: int, **values: object) -> Edit:
    def edit(tree: Any) -> None:
        for name, value in values.items():
            found = tensor(tree, kind, place)
            setattr(found.quantization if hasattr(found.quantization, name) else found, name, value)

    return edit


def reshaped(tree: Any, shape: list[int]) -> None:
    tensor(tree, "CONV_2D", -1).shape = shape


INT8, INT32, FLOAT32 = schema.TensorType.INT8, schema.TensorType.INT32, schema.TensorType.FLOAT32

RULES: dict[str, tuple[Edit, str]] = {
    "an operator that is not on the list": (
        lambda t: setattr(code(t, "ADD"), "builtinCode", schema.BuiltinOperator.LEAKY_RELU),
        "is not on Coral's list",
    ),
    "one that is, but was not looked into": (
        lambda t: setattr(code(t, "ADD"), "builtinCode", schema.BuiltinOperator.SUM),
        "its limitations are not written down here",
    ),
    "a custom operator": (
        lambda t: (
            setattr(code(t, "ADD"), "customCode", b"flex"),
            setattr(code(t, "ADD"), "builtinCode", schema.BuiltinOperator.CUSTOM),
        ),
        "CUSTOM flex",
    ),
    "version too old": (lambda t: setattr(code(t, "CONV_2D"), "version", 1), "operation version 1"),
    "version too new": (lambda t: setattr(code(t, "CONV_2D"), "version", 8), "operation version 8"),
    "two subgraphs": (lambda t: t.subgraphs.append(t.subgraphs[0]), "2 subgraphs"),
    "float values": (set_to("ADD", -1, type=FLOAT32), "output is FLOAT32, not INT8"),
    "float in": (
        lambda t: setattr(t.subgraphs[0].tensors[t.subgraphs[0].inputs[0]], "type", FLOAT32),
        "the input",
    ),
    "float out": (
        lambda t: setattr(t.subgraphs[0].tensors[t.subgraphs[0].outputs[0]], "type", FLOAT32),
        "the output",
    ),
    "two outputs": (
        lambda t: setattr(t.subgraphs[0], "outputs", [*t.subgraphs[0].outputs] * 2),
        "has 2 outputs",
    ),
    "a dynamic batch": (set_to("CONV_2D", -1, shapeSignature=[-1, 56, 56, 16]), "dynamic size"),
    "a batch of two": (lambda t: reshaped(t, [2, 56, 56, 16]), "only the 3 innermost dimensions"),
    "a scale a channel for values": (set_to("ADD", -1, scale=[0.1] * 64), "has 64 scales"),
    "values without a scale": (set_to("ADD", -1, scale=None, zeroPoint=None), "has 0 scales"),
    "a zero scale": (set_to("ADD", -1, scale=[0.0]), "has the scale 0.0"),
    "a zero point outside int8": (set_to("ADD", -1, zeroPoint=[200]), "zero point 200, outside int8"),
    "weights in float": (set_to("CONV_2D", 1, type=FLOAT32), "weights are FLOAT32"),
    "weights along another axis": (set_to("CONV_2D", 1, quantizedDimension=3), "along axis 3"),
    "depthwise weights along another axis": (
        set_to("DEPTHWISE_CONV_2D", 1, quantizedDimension=0),
        "along axis 0",
    ),
    "weights with a zero point": (set_to("CONV_2D", 1, zeroPoint=[3] * 16), "weights are symmetric"),
    "computed weights": (set_to("CONV_2D", 1, buffer=0), "its weights are computed"),
    "computed bias": (set_to("CONV_2D", 2, buffer=0), "its bias is computed"),
    "an int8 bias": (set_to("CONV_2D", 2, type=INT8), "bias is INT8, not INT32"),
    "a bias with a zero point": (set_to("CONV_2D", 2, zeroPoint=[1] * 16), "bias has a zero point"),
    "a bias of another scale": (set_to("CONV_2D", 2, scale=[0.5] * 16), "times those of its weights"),
    "computed paddings": (set_to("PAD", 1, buffer=0), "must be a constant when the network is compiled"),
    "padding that rescales": (set_to("PAD", -1, scale=[0.3]), "another scale or zero point than its input"),
    "dilation that differs": (
        lambda t: setattr(first(t, "CONV_2D").builtinOptions, "dilationHFactor", 2),
        "must be the same in x and y",
    ),
    "a padded batch": (
        lambda t: setattr(
            t.buffers[tensor(t, "PAD", 1).buffer],
            "data",
            np.frombuffer(np.array([1, 0, 1, 1, 1, 1, 0, 0], np.int32).tobytes(), np.uint8),
        ),
        "pads the batch dimension",
    ),
}


@pytest.mark.parametrize("flaw", RULES)
def test_a_file_that_breaks_one_rule_is_told_which(flaw: str) -> None:
    edit, complaint = RULES[flaw]
    report = edgetpu.check(graph.read(edited(edit)))
    assert not report.is_mapped
    assert any(complaint in said for said in report.complaints), report.complaints


def test_the_command_ends_with_1_and_names_the_operator(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.tflite"
    path.write_bytes(edited(RULES["weights with a zero point"][0]))
    assert main(["edgetpu", str(path)]) == 1
    said = capsys.readouterr()
    assert "NOT mapped: body.0.conv its weights have a zero point" in said.out
    assert "1 thing would not run on an Edge TPU" in said.err
    assert main(["edgetpu", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["is_mapped"] is False


def test_a_network_that_was_not_made_for_it_is_told_so() -> None:
    complaints = edgetpu.check(graph.read((VECTORS / "tiny-float.tflite").read_bytes())).complaints
    assert any("TRANSPOSE" in said and "not on Coral's list" in said for said in complaints)
    assert any("FLOAT32" in said for said in complaints)


@pytest.mark.parametrize("length", [0, 8, 100, 5000, len(GOOD) - 9])
def test_a_damaged_file_is_an_error_and_not_a_crash(length: int) -> None:
    with pytest.raises(ExportError, match=r"damaged|not a \.tflite file"):
        graph.read(GOOD[:length])


def test_costs_are_those_of_the_network() -> None:
    read = graph.read(GOOD)
    assert sum(operator.macs for operator in read.operators) == pytest.approx(
        sum(
            int(np.prod(operator.inputs[1].shape)) * int(np.prod(operator.outputs[0].shape[1:3]))  # type: ignore[union-attr]
            for operator in read.operators
            if operator.kind.endswith("CONV_2D")
        )
    )
    assert 0.5 * len(GOOD) < read.parameter_bytes < len(GOOD)
    assert {operator.layer for operator in read.operators} >= {"body.0.conv", "gather", "embed"}
