# ruff: noqa: PLC0415  # torch and friends load only where they are installed
"""Layer errors, int8-aware training and model.onnx. Only the layers need no torch; else these are skipped."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from janusd_export.compiling import edgetpu, graph, layers
from janusd_export.errors import ExportError

VECTORS = Path(__file__).parents[1] / "vectors"
FLOAT = (VECTORS / "small-float.tflite").read_bytes()
INT8 = (VECTORS / "small-int8.tflite").read_bytes()


def noise(count: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


@pytest.fixture(autouse=True)
def _litert_warns_that_keeping_tensors_takes_memory() -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        yield


def measured(int8: bytes = INT8) -> dict[tuple[str, str], layers.Layer]:
    return {(row.layer, row.op): row for row in layers.measure(FLOAT, int8, noise(4))}


def test_every_operator_has_its_error_against_float_and_its_cost() -> None:
    rows = layers.measure(FLOAT, INT8, noise(4))
    read = graph.read(INT8)
    assert [row.op for row in rows] == [operator.kind for operator in read.operators]
    assert sum(row.macs for row in rows) == sum(operator.macs for operator in read.operators) > 1e6
    figures = [row.sqnr_db for row in rows if row.sqnr_db is not None]
    assert len(figures) == len(rows)
    assert 20 < min(figures) <= max(figures) < 60
    assert figures[0] > figures[-1]  # errors gather on the way


def test_the_first_error_is_that_of_rounding_pixels() -> None:
    """The input's quantization is known in closed form, and the first operator only copies it."""
    crops = noise(4)
    real = (crops.astype(np.float64) - 127.5) / 127.5
    (operator, *_) = graph.read(INT8).operators
    scale, zero_point = operator.inputs[0].scales[0], operator.inputs[0].zero_points[0]  # type: ignore[union-attr]
    rounded = scale * (np.clip(np.round(real / scale) + zero_point, -128, 127) - zero_point)
    expected = 10 * np.log10(np.square(real).sum() / np.square(real - rounded).sum())
    first = layers.measure(FLOAT, INT8, crops)[0]
    assert first.op == "PAD"
    assert first.sqnr_db == pytest.approx(expected, abs=0.02)


def test_a_layer_whose_weights_are_damaged_shows() -> None:
    tree = schema.ModelT.InitFromPackedBuf(INT8, 0)
    tree_graph = tree.subgraphs[0]
    victim = [o for o in graph.read(INT8).operators if o.kind == "CONV_2D"][2]
    weights = tree.buffers[tree_graph.tensors[victim.inputs[1].number].buffer]  # type: ignore[union-attr]
    weights.data = np.where(np.arange(len(weights.data)) % 3 == 0, 0, weights.data).astype(np.uint8)
    builder = flatbuffers.Builder(len(INT8))
    builder.Finish(tree.Pack(builder), b"TFL3")
    good, bad = (
        layers.measure(FLOAT, INT8, noise(4)),
        layers.measure(FLOAT, bytes(builder.Output()), noise(4)),
    )
    for before, after in zip(good[: victim.number], bad[: victim.number], strict=True):
        assert before.sqnr_db == after.sqnr_db
    assert good[victim.number].sqnr_db - bad[victim.number].sqnr_db > 10  # type: ignore[operator]


def test_files_that_do_not_pair_are_refused() -> None:
    with pytest.raises(ExportError, match="do not pair"):
        layers.measure((VECTORS / "tiny-float.tflite").read_bytes(), INT8, noise(1))
    with pytest.raises(ExportError, match="no crops"):
        layers.measure(FLOAT, INT8, [])


def test_the_table_and_the_file_hold_the_same(tmp_path: Path) -> None:
    rows = [layers.Layer("body.0", "CONV_2D", 31.5, 2_000_000), layers.Layer("end", "RESHAPE", None, 0)]
    layers.write(tmp_path, rows)
    assert layers.read(tmp_path) == rows
    assert json.loads((tmp_path / "layers.json").read_text())[0] == {
        "layer": "body.0", "op": "CONV_2D", "sqnr_db": 31.5, "macs": 2_000_000,
    }  # fmt: skip
    assert "31.5 dB" in layers.table(rows)
    assert "exact" in layers.table(rows)
    (tmp_path / "layers.json").write_text("[{}]")
    with pytest.raises(ExportError, match=r"layers\.json"):
        layers.read(tmp_path)


def test_the_small_encoder_maps_to_an_edge_tpu() -> None:
    assert edgetpu.check(graph.read(INT8)).is_mapped


# With torch

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


def maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_small", VECTORS / "make_small.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("nd,nd->n", a, b) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


@needs_torch
def test_rounding_in_torch_predicts_what_the_int8_file_gives() -> None:
    import torch

    from janusd_export.compiling import aware, quantize
    from janusd_hw.litert import LiteRtNetwork

    torch.set_num_threads(1)
    made = maker()
    crops, student = made.noise(16), made.small_student()
    real = torch.from_numpy(quantize.to_real(crops)).permute(0, 3, 1, 2)
    rounded = aware.prepare(student)
    aware.observe(rounded, [real])  # the same crops as the file's calibration
    with torch.no_grad():
        predicted, exact = rounded(real).numpy(), student(real).numpy()
    from_file = quantize.run_int8(LiteRtNetwork(INT8), crops)
    agreement = cosines(predicted, from_file)
    print(f"cosine torch rounded to int8 file: lowest {agreement.min():.5f}; "
          f"float to int8 file: lowest {cosines(exact, from_file).min():.5f}")  # fmt: skip
    assert agreement.min() > 0.9993
    assert 1 - agreement.mean() < 0.5 * (1 - cosines(exact, from_file).mean())


@needs_torch
def test_aware_steps_bring_int8_closer_to_float_and_keep_the_architecture() -> None:
    import torch

    from janusd_export.compiling import aware, quantize

    torch.set_num_threads(1)
    made = maker()
    student = made.small_student()
    with torch.no_grad():  # one channel thirty times as strong: int8 steps of its tensor become coarse
        student.body[0].conv.weight[0] *= 30.0
        student.body[0].conv.bias[0] *= 30.0
        student.body[1].conv.weight[:, 0] /= 30.0
    real = torch.from_numpy(quantize.to_real(made.noise(12))).permute(0, 3, 1, 2)

    def loss(network: torch.nn.Module) -> float:
        rounded = aware.prepare(network)
        aware.observe(rounded, [real])
        with torch.no_grad():
            return float(1 - torch.nn.functional.cosine_similarity(rounded(real), student(real)).mean())

    said: list[float] = []
    tuned = aware.finetune(
        student, lambda step: real, 12, learning_rate=1e-4, say=lambda done, total, value: said.append(value)
    )
    assert len(said) == 12
    before, after = loss(student), loss(tuned)
    print(f"1 - cosine of int8 to float: {before:.5f} before, {after:.5f} after 12 steps")
    assert after < before
    assert {name: value.shape for name, value in tuned.state_dict().items()} == {
        name: value.shape for name, value in student.state_dict().items()
    }
    with pytest.raises(ExportError, match="aware_steps is 0"):
        aware.finetune(student, lambda step: real, 0)
    with pytest.raises(ExportError, match="no rule for rounding it"):
        aware.prepare(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))
    with pytest.raises(ExportError, match="became nan at step 0"):
        aware.finetune(student, lambda step: real * float("nan"), 2)


@needs_torch
def test_model_onnx_gives_what_torch_gives(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    import torch

    from janusd_export.compiling import onnx_file

    torch.set_num_threads(1)
    made = maker()
    student = made.small_student()
    path, cosine = onnx_file.write_onnx(student, tmp_path, made.noise(4))
    assert cosine > 0.99999
    model = onnx.load(path)
    assert model.opset_import[0].version == onnx_file.OPSET
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 112, 112]
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [1, 16]
    first = path.read_bytes()
    onnx_file.write_onnx(student, tmp_path, made.noise(1))
    assert path.read_bytes() == first
    with pytest.raises(ExportError, match="no word for here"):
        onnx_file.export_onnx(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GELU()), path)


@needs_torch
def test_the_gate_counts_what_int8_costs_and_refuses_too_much() -> None:
    pytest.importorskip("pytorch_metric_learning")  # compile shares its imports with training
    from janusd_export.compiling import compile as compiling

    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 4).astype(np.int32)
    centre = rng.normal(size=(60, 32))
    embeddings = centre[person] + 0.6 * rng.normal(size=(240, 32))
    exact = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    gates = compiling.judge(exact, exact, person)
    assert [gate.fmr for gate in gates] == [1e-3, 1e-4]
    assert all(gate.is_passed and gate.loss == 0 and gate.in_int8.trials == 360 for gate in gates)
    blurred = exact + 0.25 * rng.normal(size=exact.shape)
    blurred = (blurred / np.linalg.norm(blurred, axis=1, keepdims=True)).astype(np.float32)
    worse = compiling.judge(exact, blurred, person)
    assert not all(gate.is_passed for gate in worse)
    assert "TOO MUCH" in str(worse[-1])
    with pytest.raises(ExportError, match="too few to see"):
        compiling.judge(exact[:8], exact[:8], person[:8])
