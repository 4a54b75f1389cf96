"""The LiteRT driver, on one tiny int8 network (tests/vectors/make_tiny.py).

Real accelerators are not tested here; loading a delegate is, as far as its failure.
"""

from __future__ import annotations

import ctypes.util
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.errors import ModelError, NetworkError
from janusd.ports import Network
from janusd_hw.litert import LiteRtNetwork

VECTORS = Path(__file__).parent.parent / "vectors"
TINY = (VECTORS / "tiny-int8.tflite").read_bytes()
SHAPE = (1, 8, 8, 3)


@pytest.fixture(scope="module")
def tiny() -> LiteRtNetwork:
    return LiteRtNetwork(TINY)


def test_it_runs_an_int8_network(tiny: LiteRtNetwork) -> None:
    network: Network = tiny
    output = network.run(np.zeros(SHAPE, np.int8))
    assert output.dtype == np.int8
    # the same under ai-edge-litert 2.3.0 and tflite-runtime 2.14.0 on x86-64
    assert output.tolist() == [[-128, -94, -128, 16]]


def test_it_knows_its_shapes_and_scales(tiny: LiteRtNetwork) -> None:
    assert tiny.input_shape == SHAPE
    assert tiny.output_shape == (1, 4)
    scale, zero_point = tiny.input_quantization
    assert scale == pytest.approx(2 / 255, rel=0.05)
    assert zero_point in range(-2, 2)
    assert tiny.output_quantization[1] == -128


def test_it_says_what_it_runs_on(tiny: LiteRtNetwork) -> None:
    assert tiny.accelerator.startswith("cpu/xnnpack (ai-edge-litert ")
    assert tiny.accelerator.endswith(", 1 thread)")
    assert LiteRtNetwork(TINY, threads=2).accelerator.endswith(", 2 threads)")


def test_an_output_is_not_overwritten_by_the_next_run(tiny: LiteRtNetwork) -> None:
    first = tiny.run(np.zeros(SHAPE, np.int8))
    kept = first.copy()
    tiny.run(np.full(SHAPE, 127, np.int8))
    assert np.array_equal(first, kept)


def test_a_tensor_that_is_not_contiguous_is_read_in_the_right_order(tiny: LiteRtNetwork) -> None:
    tensor = np.random.default_rng(0).integers(-128, 128, SHAPE, np.int8)
    backwards = tensor[:, ::-1]
    assert np.array_equal(tiny.run(backwards), tiny.run(backwards.copy()))


@pytest.mark.parametrize(
    "tensor",
    [
        np.zeros(SHAPE, np.float32),
        np.zeros(SHAPE, np.uint8),
        np.zeros(SHAPE[1:], np.int8),
        np.zeros((1, 8, 9, 3), np.int8),
    ],
)
def test_a_tensor_of_another_kind_is_refused(tiny: LiteRtNetwork, tensor: np.ndarray) -> None:
    with pytest.raises(NetworkError, match=r"takes int8 \(1, 8, 8, 3\), not"):
        tiny.run(tensor)


def test_several_threads_get_their_own_answers(tiny: LiteRtNetwork) -> None:
    tensors = [np.random.default_rng(k).integers(-128, 128, SHAPE, np.int8) for k in range(4)]
    expected = [tiny.run(t) for t in tensors]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(200):
            if not np.array_equal(tiny.run(tensors[k]), expected[k]):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_float_network_is_refused_with_what_was_found() -> None:
    with pytest.raises(ModelError, match=r"input must be one int8 tensor, found: float32 \(1, 8, 8, 3\)"):
        LiteRtNetwork((VECTORS / "tiny-float.tflite").read_bytes())


@pytest.mark.parametrize("model", [b"", b"TFL3", b"\0" * 500, b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_a_file_that_is_no_model_is_refused(model: bytes) -> None:
    with pytest.raises(ModelError):
        LiteRtNetwork(model)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(TINY) - 1))
def test_a_truncated_model_is_refused(length: int) -> None:
    with pytest.raises(ModelError):
        LiteRtNetwork(TINY[:length])


def test_a_delegate_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "libaccelerator.so"
    broken.write_bytes(b"no library")
    for library in (broken, tmp_path / "missing.so"):
        with pytest.raises(NetworkError, match=f"accelerator library {library}"):
            LiteRtNetwork(TINY, delegate=library, delegate_options={"device": "usb"})


def test_a_library_that_is_no_delegate_is_refused() -> None:
    library = ctypes.util.find_library("c")
    assert library is not None
    with pytest.raises(NetworkError, match="no TFLite delegate"):
        LiteRtNetwork(TINY, delegate=library)


def test_without_a_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", None)
    with pytest.raises(NetworkError, match=r"ai-edge-litert: .*tflite-runtime: .*pip install ai-edge-litert"):
        LiteRtNetwork(TINY)


def test_the_older_runtime_takes_over_where_the_newer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    litert = pytest.importorskip("ai_edge_litert.interpreter", reason="needs one real runtime to stand in")
    older = types.ModuleType("tflite_runtime.interpreter")
    older.__dict__.update(Interpreter=litert.Interpreter, load_delegate=litert.load_delegate)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", older)
    network = LiteRtNetwork(TINY)
    assert network.accelerator.startswith("cpu (tflite-runtime ")
    with pytest.raises(NetworkError, match="no LiteRT runtime"):
        LiteRtNetwork(TINY, runtime="ai-edge-litert")


def test_no_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="threads"):
        LiteRtNetwork(TINY, threads=0)
