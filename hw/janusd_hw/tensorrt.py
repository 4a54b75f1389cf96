"""NVIDIA Jetson through TensorRT, from the encoder's ONNX file. An optional extra, loaded nowhere else.

The ONNX file is the encoder in float; what goes in and out here are the int8 tensors of the manifest, as of
every other `Network`. TensorRT 10's Python package and the CUDA runtime come with JetPack.

Not run on a GPU by this project: the tests use stand-ins for TensorRT and CUDA (`test_tensorrt.py`) that say
what is called, not that a Jetson answers. Whether its answers are right is asked at every start, by the
golden inputs of `accelerators`.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from typing import Any, Protocol

import numpy as np

from janusd.core.manifest import TensorSpec
from janusd.core.types import Tensor
from janusd.errors import NetworkError

_WORKSPACE_BYTES = 256 << 20
_TO_DEVICE, _TO_HOST = 1, 2  # cudaMemcpyKind


class Memory(Protocol):
    """What is needed of CUDA."""

    def take(self, count: int) -> int:
        """Give the address of so many bytes on the device."""
        ...

    def copy(self, to: int, of: int, count: int, kind: int) -> None:
        """Copy between host and device, and wait for it."""
        ...


class Cuda:
    """The CUDA runtime's four calls, by ctypes."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcudart.so")
        except OSError as e:
            raise NetworkError(f"the CUDA runtime cannot be loaded: {e}", "install it, or use the CPU") from e

    def take(self, count: int) -> int:
        """Give the address of so many bytes on the device. Raises NetworkError."""
        address = ctypes.c_void_p()
        self._check(self._library.cudaMalloc(ctypes.byref(address), ctypes.c_size_t(count)))
        return address.value or 0

    def copy(self, to: int, of: int, count: int, kind: int) -> None:
        """Copy, and wait for it; waits for what runs on the default stream, too. Raises NetworkError."""
        self._check(
            self._library.cudaMemcpy(ctypes.c_void_p(to), ctypes.c_void_p(of), ctypes.c_size_t(count), kind)
        )

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise NetworkError(f"CUDA failed with error {status}", "see `dmesg`; restart the board")


class TensorRtNetwork:
    """A `Network` on a Jetson's GPU. Building takes minutes where no engine was kept; probes do that."""

    def __init__(
        self, onnx: bytes, taken: TensorSpec, given: TensorSpec, *, memory: Memory | None = None
    ) -> None:
        """Build an engine of `onnx`, verified by the caller; `taken` and `given` as in the manifest.

        Raises NetworkError.
        """
        try:
            self._trt: Any = importlib.import_module("tensorrt")
        except ImportError as e:
            raise NetworkError(
                f"TensorRT cannot be imported: {e}", "install JetPack's, or use the CPU"
            ) from e
        self._memory: Memory = Cuda() if memory is None else memory
        self._taken, self._given = taken, given
        self._lock = threading.Lock()
        self._engine = self._build(onnx)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise NetworkError("TensorRT has no memory left to run this model in", "use the CPU")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        if len(names) != 2:
            raise NetworkError(f"the ONNX file has {len(names)} inputs and outputs, not one of each")
        is_input = self._engine.get_tensor_mode(names[0]) == self._trt.TensorIOMode.INPUT
        source, sink = names if is_input else reversed(names)
        self._is_planar = tuple(self._engine.get_tensor_shape(source))[1] == taken.shape[-1]
        """Whether the ONNX file wants channels before rows, as torch does."""
        self._bytes = 4 * int(np.prod(taken.shape)), 4 * int(np.prod(given.shape))
        self._at = tuple(self._memory.take(count) for count in self._bytes)
        self._context.set_tensor_address(source, self._at[0])
        self._context.set_tensor_address(sink, self._at[1])

    @property
    def accelerator(self) -> str:
        """For example "gpu/tensorrt 10.3.0"."""
        return f"gpu/tensorrt {self._trt.__version__}"

    def run(self, tensor: Tensor) -> Tensor:
        """The network's output, int8, for an int8 tensor. Raises NetworkError."""
        if tensor.dtype != np.int8 or tensor.shape != self._taken.shape:
            raise NetworkError(f"the model takes int8 {self._taken.shape}, not {tensor.dtype} {tensor.shape}")
        real = (tensor.astype(np.float32) - self._taken.zero_point) * np.float32(self._taken.scale)
        source = np.ascontiguousarray(real.transpose(0, 3, 1, 2) if self._is_planar else real, np.float32)
        sink = np.empty(self._given.shape, np.float32)
        with self._lock:
            self._memory.copy(self._at[0], source.ctypes.data, self._bytes[0], _TO_DEVICE)
            if not self._context.execute_async_v3(0):  # the default stream: the copy below waits for it
                raise NetworkError("TensorRT stopped running the model", "see `dmesg`; restart the board")
            self._memory.copy(sink.ctypes.data, self._at[1], self._bytes[1], _TO_HOST)
        if not np.isfinite(sink).all():
            raise NetworkError("TensorRT gives numbers that are none", "use the CPU")
        # How long an embedding is says how sure it is: it is only shortened where int8 could not hold it.
        longest = float(np.abs(sink).max()) or 1.0
        reach = min(1.0 / self._given.scale, (127 - abs(self._given.zero_point)) / longest)
        output: Tensor = np.clip(np.round(sink * reach) + self._given.zero_point, -128, 127).astype(np.int8)
        return output

    def _build(self, onnx: bytes) -> Any:  # noqa: ANN401 - TensorRT ships no types
        trt = self._trt
        log = trt.Logger(trt.Logger.ERROR)
        try:
            builder = trt.Builder(log)
        except TypeError as e:  # pybind11's for a null pointer: CUDA did not start
            raise NetworkError(
                f"TensorRT finds no GPU that it may open: {e}",
                "let the unit open it (DeviceAllow=), or use the CPU",
            ) from e
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, log)
        if not parser.parse(onnx):
            why = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
            raise NetworkError(f"TensorRT does not read this ONNX file: {why}", "use the CPU")
        wishes = builder.create_builder_config()
        wishes.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
        wishes.set_flag(trt.BuilderFlag.FP16)
        plan = builder.build_serialized_network(network, wishes)
        engine = None if plan is None else trt.Runtime(log).deserialize_cuda_engine(plan)
        if engine is None:
            raise NetworkError("TensorRT builds no engine of this model", "use the CPU")
        return engine
