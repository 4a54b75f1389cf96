"""GPUs and neural processors through LiteRT's CompiledModel.

Tried with ai-edge-litert 2.3.0 on x86-64: the CPU gives the Interpreter's bytes. The GPU goes through WebGPU
(Vulkan on Linux) and says "No adapters found" where there is none. "npu" needs a vendor's plug-in and its
libraries. Only one kind of hardware is asked for each time: together with the CPU LiteRT would say that a
model is fully accelerated and run it on the CPU all the same.

Trust boundary: as `litert`.
"""

from __future__ import annotations

import importlib
import threading
from typing import Literal

import numpy as np

from janusd.core.types import Tensor
from janusd.errors import NetworkError

Hardware = Literal["cpu", "gpu", "npu"]


class CompiledNetwork:
    """A `Network` with one int8 input and one int8 output, wholly on one kind of hardware."""

    def __init__(self, model: bytes, hardware: Hardware, *, threads: int = 1) -> None:
        """Compile `model`, the whole .tflite file, verified by the caller. Raises NetworkError."""
        try:
            library = importlib.import_module("ai_edge_litert.compiled_model")
        except ImportError as e:
            raise NetworkError(
                f"this LiteRT has no CompiledModel: {e}",
                "install ai-edge-litert 2.1 or newer, or use the CPU",
            ) from e
        self._lock = threading.Lock()
        try:
            options = library.Options(
                hardware_accelerators=getattr(library.HardwareAccelerator, hardware.upper()),
                cpu_options=library.CpuOptions(num_threads=threads),
            )
            self._model = library.CompiledModel.from_buffer(bytes(model), options=options)
            (signature,) = self._model.get_signature_list()
            (taken,) = self._model.get_input_tensor_details(signature).values()
            (given,) = self._model.get_output_tensor_details(signature).values()
            (self._input,) = self._model.create_input_buffers(0)
            (self._output,) = self._model.create_output_buffers(0)
        except (RuntimeError, ValueError, AttributeError, TypeError) as e:
            raise NetworkError(
                f"LiteRT does not run this model on the {hardware}: {_last_line(e)}", "use the CPU"
            ) from e
        if (taken["dtype"], given["dtype"]) != ("int8", "int8"):
            raise NetworkError(
                f"on the {hardware} the model takes {taken['dtype']} and gives {given['dtype']}, not int8",
                "use the CPU",
            )
        if not self._model.is_fully_accelerated():
            raise NetworkError(f"parts of the model do not run on the {hardware}", "use the CPU")
        self.input_shape: tuple[int, ...] = tuple(taken["shape"])
        self.output_shape: tuple[int, ...] = tuple(given["shape"])
        self._hardware = hardware

    @property
    def accelerator(self) -> str:
        """For example "gpu (LiteRT CompiledModel)"."""
        return f"{self._hardware} (LiteRT CompiledModel)"

    def run(self, tensor: Tensor) -> Tensor:
        """The network's output for a tensor of `input_shape`. Raises NetworkError."""
        if tensor.dtype != np.int8 or tensor.shape != self.input_shape:
            raise NetworkError(
                f"the model takes int8 {self.input_shape}, not {tensor.dtype} {tensor.shape}",
                "model and manifest do not belong together: reinstall janusd's models",
            )
        with self._lock:
            try:
                self._input.write(np.ascontiguousarray(tensor))
                self._model.run_by_index(0, [self._input], [self._output])
                flat = self._output.read(int(np.prod(self.output_shape)), np.int8)
            except (RuntimeError, ValueError, TypeError) as e:
                raise NetworkError(f"the {self._hardware} stopped running the model: {_last_line(e)}") from e
        return np.array(flat, np.int8).reshape(self.output_shape)


def _last_line(error: Exception) -> str:
    lines = [line.strip(" └") for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)
