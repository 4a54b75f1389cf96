"""The TensorRT driver against stand-ins for TensorRT and for CUDA's memory.

`StandInTensorRt` is no TensorRT: it remembers what was asked and "runs" a function of ours. What a Jetson
does with these calls is not tested here.
"""

from __future__ import annotations

import ctypes
import sys
import types
from typing import Any

import numpy as np
import pytest

from janusd.core.manifest import TensorSpec
from janusd.errors import NetworkError
from janusd.ports import Network
from janusd_hw.tensorrt import TensorRtNetwork

TAKEN = TensorSpec((1, 4, 4, 3), scale=1 / 127.5, zero_point=-1)
GIVEN = TensorSpec((1, 8), scale=1 / 127, zero_point=0)


class HostMemory:
    """Device memory that is this process's own."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def take(self, count: int) -> int:
        self.kept.append((ctypes.c_char * count)())
        return ctypes.addressof(self.kept[-1])

    def copy(self, to: int, of: int, count: int, kind: int) -> None:
        assert kind in (1, 2)
        ctypes.memmove(to, of, count)


class StandInTensorRt(types.ModuleType):
    __version__ = "10.stand-in"
    shape = (1, 3, 4, 4)
    starts = parses = builds = fits = runs = True
    poison = 0.0

    def __init__(self) -> None:
        super().__init__("tensorrt")
        self.flags: list[str] = []
        self.addresses: dict[str, int] = {}
        self.Logger = type("Logger", (), {"ERROR": 1, "__init__": lambda self, level: None})
        self.TensorIOMode = types.SimpleNamespace(INPUT="input")
        self.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
        self.BuilderFlag = types.SimpleNamespace(FP16="fp16")
        wishes = types.SimpleNamespace(
            set_memory_pool_limit=lambda pool, count: None, set_flag=self.flags.append
        )
        self.builder = types.SimpleNamespace(
            create_network=lambda flags: "network",
            create_builder_config=lambda: wishes,
            build_serialized_network=lambda network, config: b"plan" if self.builds else None,
        )
        self.OnnxParser = lambda network, log: types.SimpleNamespace(
            parse=lambda onnx: self.parses, num_errors=1, get_error=lambda index: "no such operator"
        )
        self.Runtime = lambda log: types.SimpleNamespace(deserialize_cuda_engine=lambda plan: self)

    def Builder(self, log: object) -> types.SimpleNamespace:  # noqa: N802 - TensorRT's name
        if not self.starts:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return self.builder

    num_io_tensors = 2

    def get_tensor_name(self, index: int) -> str:
        return ("out", "in")[index]  # the output first: names tell nothing

    def get_tensor_mode(self, name: str) -> str:
        return {"in": "input", "out": "output"}[name]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape

    def create_execution_context(self) -> StandInTensorRt | None:
        return self if self.fits else None

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        taken = np.ctypeslib.as_array((ctypes.c_float * 48).from_address(self.addresses["in"]))
        given = np.ctypeslib.as_array((ctypes.c_float * 8).from_address(self.addresses["out"]))
        given[:] = taken[:8] + self.poison
        return self.runs


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> StandInTensorRt:
    library = StandInTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", library)
    return library


def made() -> TensorRtNetwork:
    return TensorRtNetwork(b"onnx", TAKEN, GIVEN, memory=HostMemory())


def test_int8_goes_in_as_planes_of_real_numbers_and_comes_back_as_int8(library: StandInTensorRt) -> None:
    network: Network = made()
    tensor = np.zeros(TAKEN.shape, np.int8)
    tensor[0, :2, :, 0] = np.arange(8).reshape(2, 4)  # the first plane's first numbers
    output = network.run(tensor)
    assert output.dtype == np.int8
    assert output.tolist() == [[1, 2, 3, 4, 5, 6, 7, 8]]  # (k + 1) / 127.5 in steps of 1 / 127
    assert (library.flags, network.accelerator) == (["fp16"], "gpu/tensorrt 10.stand-in")


def test_an_answer_is_as_long_as_it_was_and_shorter_only_where_int8_cannot_hold_it(
    library: StandInTensorRt,
) -> None:
    ones = np.ones(TAKEN.shape, np.int8)
    weak = TensorRtNetwork(b"onnx", TAKEN, TensorSpec((1, 8), 1 / 1270, 0), memory=HostMemory())
    assert set(weak.run(ones).ravel()) == {20}  # 2 / 127.5 in steps of 1 / 1270
    strong = TensorRtNetwork(b"onnx", TAKEN, TensorSpec((1, 8), 1 / 127_000, 0), memory=HostMemory())
    assert set(strong.run(ones).ravel()) == {127}


def test_a_file_that_wants_channels_last_gets_them(library: StandInTensorRt) -> None:
    library.shape = (1, 4, 4, 3)
    tensor = np.arange(48, dtype=np.int8).reshape(TAKEN.shape)
    assert made().run(tensor).argmax() == 7


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("starts", "no GPU that it may open"),
        ("parses", "no such operator"),
        ("builds", "no engine"),
        ("fits", "no memory left"),
        ("runs", "stopped running"),
    ],
)
def test_what_tensorrt_refuses_is_told(library: StandInTensorRt, what: str, says: str) -> None:
    setattr(library, what, False)
    with pytest.raises(NetworkError, match=says):
        made().run(np.zeros(TAKEN.shape, np.int8))


def test_numbers_that_are_none_are_refused(library: StandInTensorRt) -> None:
    library.poison = float("nan")
    with pytest.raises(NetworkError, match="numbers that are none"):
        made().run(np.zeros(TAKEN.shape, np.int8))


def test_a_tensor_of_another_kind_is_refused(library: StandInTensorRt) -> None:
    with pytest.raises(NetworkError, match="takes int8"):
        made().run(np.zeros(TAKEN.shape, np.float32))  # type: ignore[arg-type]  # the point of the test


def test_without_the_library_or_cuda_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(NetworkError, match="install JetPack"):
        made()
    monkeypatch.setitem(sys.modules, "tensorrt", StandInTensorRt())
    with pytest.raises(NetworkError, match="CUDA"):
        TensorRtNetwork(b"onnx", TAKEN, GIVEN)
