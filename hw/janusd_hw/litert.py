"""Runs one int8 .tflite network on LiteRT, or on its older name tflite-runtime.

The two runtimes share one interface but not one result: the same file may differ by two steps of the int8
scale between them, so a gallery is only to be matched by the runtime that filled it. `ai-edge-litert` is
preferred: its XNNPACK kernels run int8 some ten times faster than tflite-runtime 2.14's reference kernels.

Trust boundary: the caller has checked these bytes against the manifest's SHA-256. Of 800 copies of the test
model with one bit flipped and 196 truncated ones, ai-edge-litert 2.3.0 crashed on none and refused 388 and
all 196; but 412 flipped ones ran, most with a wrong weight. Only the digest tells those; nothing here can.
"""

from __future__ import annotations

import ctypes
import importlib
import threading
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from janusd.core.types import Tensor
from janusd.errors import ModelError, NetworkError

RuntimeName: TypeAlias = Literal["ai-edge-litert", "tflite-runtime"]

_MODULES: dict[RuntimeName, str] = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
_IDENTIFIER = b"TFL3"  # bytes 4..8 of every .tflite flatbuffer
_MIN_BYTES = 64


class LiteRtNetwork:
    """A `Network` with one int8 input and one int8 output.

    Safe to call from several threads; calls are served one after the other.
    """

    def __init__(
        self,
        model: bytes,
        *,
        threads: int = 1,
        runtime: Literal["auto"] | RuntimeName = "auto",
        delegate: str | Path | None = None,
        delegate_options: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare `model`, the whole .tflite file, verified by the caller.

        `delegate` is the shared library of an accelerator (for example libedgetpu.so.1),
        `delegate_options` its key-value options. `runtime="auto"` takes ai-edge-litert, else tflite-runtime.

        Raises ModelError when the file is no int8 network of ours, NetworkError when no runtime or delegate
        runs it.
        """
        if threads < 1:
            raise ValueError(f"threads is {threads}, must be at least 1")
        if len(model) < _MIN_BYTES or model[4:8] != _IDENTIFIER:
            raise ModelError("this is not a .tflite file", "reinstall janusd's models")
        name, module = _import_runtime(runtime)
        self._lock = threading.Lock()
        delegates = [_load_delegate(module, delegate, delegate_options)] if delegate is not None else None
        try:
            self._interpreter = module.Interpreter(
                model_content=bytes(model), num_threads=threads, experimental_delegates=delegates
            )
            self._interpreter.allocate_tensors()
            inputs = self._interpreter.get_input_details()
            outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as e:
            if delegate is not None:
                raise NetworkError(
                    f"{delegate} does not run this model: {e}", "run it on the CPU instead"
                ) from e
            # a damaged tensor name arrives as UnicodeDecodeError, which is a ValueError
            raise ModelError(f"{name} does not read this model: {e}", "reinstall janusd's models") from e
        self._input = _only_int8("input", inputs)
        self._output = _only_int8("output", outputs)
        self.input_shape: tuple[int, ...] = tuple(self._input["shape"].tolist())
        self.output_shape: tuple[int, ...] = tuple(self._output["shape"].tolist())
        self.input_quantization: tuple[float, int] = _quantization(self._input)
        """Scale and zero point: real = scale * (stored - zero point)."""
        self.output_quantization: tuple[float, int] = _quantization(self._output)
        self._accelerator = _describe(name, threads, delegate)

    @property
    def accelerator(self) -> str:
        """What it runs on, for example "cpu/xnnpack (ai-edge-litert 2.3.0, 1 thread)"."""
        return self._accelerator

    def run(self, tensor: Tensor) -> Tensor:
        """The network's output, of `output_shape`, for a tensor of `input_shape`. Raises NetworkError."""
        if tensor.dtype != np.int8 or tensor.shape != self.input_shape:
            raise NetworkError(
                f"the model takes int8 {self.input_shape}, not {tensor.dtype} {tensor.shape}",
                "model and manifest do not belong together: reinstall janusd's models",
            )
        with self._lock:
            try:
                self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(tensor))
                self._interpreter.invoke()
                output: Tensor = self._interpreter.get_tensor(self._output["index"])  # a copy
            except (ValueError, RuntimeError) as e:
                raise NetworkError(f"{self._accelerator} stopped running the model: {e}") from e
        return output


def _import_runtime(wanted: Literal["auto"] | RuntimeName) -> tuple[RuntimeName, Any]:
    """The runtime's name and its interpreter module; `Any` because neither runtime ships types."""
    names: tuple[RuntimeName, ...] = tuple(_MODULES) if wanted == "auto" else (wanted,)
    reasons: list[str] = []
    for name in names:
        try:
            return name, importlib.import_module(_MODULES[name])
        # tflite-runtime built for numpy 1 fails with AttributeError (_ARRAY_API) or SystemError under numpy 2
        except (ImportError, AttributeError, SystemError) as e:
            reasons.append(f"{name}: {e}")
    raise NetworkError(
        "no LiteRT runtime can be imported (" + "; ".join(reasons) + ")", "run: pip install ai-edge-litert"
    )


def _load_delegate(
    module: Any,  # noqa: ANN401 - neither runtime ships types
    library: str | Path,
    options: Mapping[str, str] | None,
) -> Any:  # noqa: ANN401 - likewise
    """An accelerator's delegate, or NetworkError."""
    try:
        # Looked at first: the runtime's own Delegate fails in its destructor when its constructor did.
        if not hasattr(ctypes.CDLL(str(library)), "tflite_plugin_create_delegate"):
            raise OSError("it is no TFLite delegate")
        return module.load_delegate(str(library), dict(options or {}))
    except (ValueError, OSError, RuntimeError) as e:
        raise NetworkError(
            f"cannot load the accelerator library {library}: {e}", "install it, or use the CPU"
        ) from e


def _only_int8(which: str, tensors: list[dict[str, Any]]) -> dict[str, Any]:
    """The model's single int8 input or output, or ModelError."""
    found = ", ".join(f"{np.dtype(t['dtype']).name} {tuple(t['shape'].tolist())}" for t in tensors)
    if len(tensors) != 1 or tensors[0]["dtype"] is not np.int8:
        raise ModelError(
            f"the model's {which} must be one int8 tensor, found: {found or 'none'}", "quantize it to int8"
        )
    return tensors[0]


def _quantization(tensor: dict[str, Any]) -> tuple[float, int]:
    scale, zero_point = tensor["quantization"]
    return float(scale), int(zero_point)


def _describe(name: RuntimeName, threads: int, delegate: str | Path | None) -> str:
    try:
        release = version(name.replace("-", "_"))
    except PackageNotFoundError:
        release = "of unknown version"
    cpu = "cpu/xnnpack" if name == "ai-edge-litert" else "cpu"
    where = cpu if delegate is None else Path(delegate).name
    return f"{where} ({name} {release}, {threads} {'thread' if threads == 1 else 'threads'})"
