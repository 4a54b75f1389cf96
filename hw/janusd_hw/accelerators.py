"""What runs the encoder and the detector: tried, measured, and left at the first sign of trouble.

`probe` is asked once, at set-up: each option is loaded, must give what the processor gives, and is timed.
What came of it is kept as JSON in the state directory, a file for each network, and read at each start:
accelerators.json of the encoder, accelerators-detector.json. At a start the chosen option
must pass the golden inputs again; when it does not, or fails later, the processor takes over and says so.

    {"model": SHA-256 of the network, "runtime": ..., "chosen": {"name": "cpu", "threads": 2},
     "probed": [{"name": "cpu", "threads": 1, "ms": 4.1, "cosine": 1.0, "detail": ...}, ...]}

Trust boundary: the file only names one of the options below; a wrong one costs time, never a false result.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from janusd.core.types import Tensor
from janusd.door import Finding
from janusd.errors import ModelError, NetworkError
from janusd.ports import Network
from janusd_hw.compiled import CompiledNetwork
from janusd_hw.litert import LiteRtNetwork, RuntimeName

Name: TypeAlias = Literal["cpu", "edgetpu", "gpu", "npu", "tensorrt", "delegate"]
EDGETPU = "libedgetpu.so.1"
LEAST_COSINE = 0.999
"""Between an option's output and the processor's. Then no score of such an input moves by more than
sqrt(2 - 2 * 0.999), 0.045: less than decision.margin, as long as that was not lowered."""
MOST_UNLIKE_LENGTHS = 0.05
"""Of an option's output and the processor's, as a part: how long an answer is says how sure an encoder is."""
_WORTH = 0.85
"""A choice must take at most this part of the plainer one's time: less is not worth a library more."""
_RUNS = 20


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a network."""

    name: Name
    threads: int
    make: Callable[[], Network]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a network can be run from. All bytes were verified by the caller."""

    network: bytes
    sha256: str
    edgetpu: bytes | None = None
    """The same network, compiled for the Edge TPU (`*_edgetpu.tflite`)."""
    make_tensorrt: Callable[[], Network] | None = None
    """Where there is an ONNX file, and TensorRT."""
    runtime: Literal["auto"] | RuntimeName = "auto"
    delegate: str = ""
    """A library that the owner named."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of trying an option."""

    name: Name
    threads: int
    ms: float | None = None
    """Median of a run; None where it does not run, or gives something else."""
    cosine: float | None = None
    """The lowest over the golden inputs, to the processor's output."""
    detail: str = ""
    """What it calls itself, or why it is refused."""


def options(parts: Parts, most_threads: int) -> list[Option]:
    """All that could run this network, the plainest first; whether it is there shows in `probe`."""

    def cpu(threads: int) -> Option:
        return Option(
            "cpu", threads, lambda: LiteRtNetwork(parts.network, threads=threads, runtime=parts.runtime)
        )

    found = [cpu(threads) for threads in range(1, most_threads + 1)]
    if parts.delegate:
        found.append(
            Option("delegate", most_threads, lambda: _delegated(parts.network, parts.delegate, parts.runtime))
        )
    if (compiled := parts.edgetpu) is not None:
        found.append(Option("edgetpu", 1, lambda: _delegated(compiled, EDGETPU, parts.runtime)))
    if parts.make_tensorrt is not None:
        found.append(Option("tensorrt", 1, parts.make_tensorrt))
    return [
        *found,
        Option("gpu", 1, lambda: CompiledNetwork(parts.network, "gpu")),
        Option("npu", 1, lambda: CompiledNetwork(parts.network, "npu")),
    ]


def golden(shape: Sequence[int]) -> list[Tensor]:
    """Inputs that every option must answer alike: slopes, and noise at chance of a fixed seed."""
    rng = np.random.default_rng(20)
    slope = np.linspace(-128, 127, int(np.prod(shape))).round().astype(np.int8).reshape(shape)
    noise = rng.integers(-128, 128, tuple(shape), np.int8)
    return [
        slope,
        np.ascontiguousarray(slope[..., ::-1, :]),
        noise,
        (noise // 4 + slope // 2).astype(np.int8),
    ]


def cosine(network: Network, reference: LiteRtNetwork) -> float:
    """How alike two networks answer the golden inputs: the lowest cosine of their outputs.

    Raises NetworkError where one does not run, or its answers are of another length.
    """
    zero_point = reference.output_quantization[1]
    lowest = 1.0
    for tensor in golden(reference.input_shape):
        ours, theirs = (
            net.run(tensor).astype(np.float64).ravel() - zero_point for net in (reference, network)
        )
        if ours.shape != theirs.shape:
            raise NetworkError(f"{network.accelerator} gives {len(theirs)} numbers instead of {len(ours)}")
        length, other = float(np.linalg.norm(ours)), float(np.linalg.norm(theirs))
        same = 1.0 if np.array_equal(ours, theirs) else 0.0
        alike = float(ours @ theirs) / (length * other) if length * other else same
        if alike >= LEAST_COSINE and abs(other - length) > MOST_UNLIKE_LENGTHS * length:
            raise NetworkError(
                f"{network.accelerator} gives answers {other / length:.2f} times as long as the processor's"
            )
        lowest = min(lowest, alike)
    return lowest


def probe(option: Option, reference: LiteRtNetwork, *, runs: int = _RUNS) -> Probed:
    """Load it, compare it, time it. Never raises; a library that crashes takes the process with it."""
    try:
        network = option.make()
        alike = cosine(network, reference)
        if alike < LEAST_COSINE:
            return Probed(option.name, option.threads, None, round(alike, 6), _differs(network, alike))
        tensor = golden(reference.input_shape)[-1]
        times_s = []
        for _ in range(runs):
            start_s = time.perf_counter()
            network.run(tensor)
            times_s.append(time.perf_counter() - start_s)
    except (NetworkError, ModelError) as e:
        return Probed(option.name, option.threads, detail=e.what)
    ms = round(1000 * float(np.median(times_s)), 3)
    return Probed(option.name, option.threads, ms, round(alike, 6), network.accelerator)


def choose(probed: Sequence[Probed]) -> Probed:
    """The fastest, where it is worth its while; in doubt the plainer one. Raises NetworkError without any."""
    chosen: Probed | None = None
    for tried in probed:
        if tried.ms is not None and (chosen is None or tried.ms <= _WORTH * (chosen.ms or 0.0)):
            chosen = tried
    if chosen is None:
        raise NetworkError("nothing runs this network", "reinstall janusd and ai-edge-litert")
    return chosen


class FallbackNetwork:
    """A `Network` that goes on with the processor when its accelerator fails."""

    def __init__(
        self,
        cpu: LiteRtNetwork,
        chosen: Option | None = None,
        *,
        fault: str = "",
        on_fault: Callable[[str], None] = lambda fault: None,
    ) -> None:
        """Try `chosen`, which must pass the golden inputs. Raises nothing: `fault` says what went wrong.

        `on_fault` is called each time that happens, on the thread that runs the network.
        """
        self._cpu = cpu
        self._accelerated: Network | None = None
        self.fault = ""
        """Why the processor runs what an accelerator should; empty while all is as chosen."""
        self._on_fault = on_fault
        if fault:
            self._fall_back(fault)
        elif chosen is not None:
            try:
                network = chosen.make()
                alike = cosine(network, cpu)
                if alike < LEAST_COSINE:
                    raise NetworkError(_differs(network, alike))
                self._accelerated = network
            except (NetworkError, ModelError) as e:
                self._fall_back(f"{chosen.name}: {e.what}")

    @property
    def accelerator(self) -> str:
        """What it runs on now, and what it should run on where that failed."""
        if self._accelerated is not None:
            return self._accelerated.accelerator
        return f"{self._cpu.accelerator}{f', for want of {self.fault}' if self.fault else ''}"

    def run(self, tensor: Tensor) -> Tensor:
        """The network's output, by whatever runs. Raises NetworkError when the processor fails too."""
        if self._accelerated is not None:
            try:
                return self._accelerated.run(tensor)
            except NetworkError as e:
                self._accelerated = None
                self._fall_back(e.what)
        return self._cpu.run(tensor)

    def _fall_back(self, fault: str) -> None:
        self.fault = fault
        self._on_fault(f"the processor takes over: {fault}")


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a door keeps what its probe found."""

    folder: Path
    of: str = ""
    """Which network: empty for the encoder."""

    def keep(self, parts: Parts, probed: Sequence[Probed]) -> Probed:
        """Choose, and write it down. Raises NetworkError without anything that runs, OSError."""
        chosen = choose(probed)
        kept = {
            "model": parts.sha256,
            "runtime": runtime_version(),
            "chosen": {"name": chosen.name, "threads": chosen.threads},
            "probed": [asdict(tried) for tried in probed],
        }
        new = self._choice.with_name(f"{self._choice.name}.new")
        new.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        new.replace(self._choice)
        self.survived()
        return chosen

    def chosen(self, parts: Parts) -> tuple[Name, int] | None:
        """What to run on and with how many threads; None where nothing was probed for this network yet."""
        kept = self._read()
        try:
            if (kept["model"], kept["runtime"]) != (parts.sha256, runtime_version()):
                return None
            name, threads = kept["chosen"]["name"], kept["chosen"]["threads"]
        except (KeyError, TypeError):
            return None
        if name not in get_args(Name) or type(threads) is not int or not 1 <= threads <= 8:
            return None
        return name, threads

    def summary(self) -> str:
        """What the probe found, in words; empty where there was none."""
        said = []
        for tried in self._read().get("probed", ()):
            with contextlib.suppress(KeyError, TypeError):
                many = f" x{tried['threads']}" if tried["name"] == "cpu" else ""
                said.append(f"{tried['name']}{many} {'-' if tried['ms'] is None else tried['ms']} ms")
        return ", ".join(said)

    def is_trying(self) -> str:
        """The option whose start never ended: it crashed the process, and is not tried again by itself."""
        try:
            return self._trying.read_text(encoding="utf-8")[:32]
        except OSError:
            return ""

    def trying(self, name: str) -> None:
        """Remember that this option is about to be loaded."""
        with contextlib.suppress(OSError):  # a full disk must not keep the door from starting
            self._trying.write_text(name, encoding="utf-8")
            os.sync()

    def survived(self) -> None:
        """The option was loaded and answered."""
        with contextlib.suppress(OSError):
            self._trying.unlink(missing_ok=True)

    @property
    def _choice(self) -> Path:
        return self.folder / (f"accelerators-{self.of}.json" if self.of else "accelerators.json")

    @property
    def _trying(self) -> Path:
        return self.folder / (f"accelerator-{self.of}.trying" if self.of else "accelerator.trying")

    def _read(self) -> dict[str, Any]:
        try:
            kept = json.loads(self._choice.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}


def open_network(
    parts: Parts,
    wanted: Literal["auto"] | Name,
    threads: int,
    *,
    shelf: Shelf | None = None,
    on_fault: Callable[[str], None] = lambda fault: None,
) -> FallbackNetwork:
    """The network on what is wanted, or on what the probe chose; on the processor where that fails.

    `threads` is for the processor. Raises ModelError or NetworkError when not even that runs it.
    """
    probed = shelf.chosen(parts) if shelf is not None else None
    if wanted == "auto" and probed is not None:
        wanted, threads = probed[0], probed[1] if probed[0] == "cpu" else threads
    if wanted == "auto":
        wanted = "delegate" if parts.delegate else "cpu"
    cpu = LiteRtNetwork(parts.network, threads=threads, runtime=parts.runtime)
    if wanted == "cpu":
        return FallbackNetwork(cpu, on_fault=on_fault)
    option = next((option for option in options(parts, threads) if option.name == wanted), None)
    if option is None:
        missing = {"edgetpu": "a compiled *_edgetpu.tflite", "tensorrt": "TensorRT and a model.onnx"}
        fault = f"{wanted}: there is no {missing.get(wanted, 'library named in model.delegate')}"
        return FallbackNetwork(cpu, fault=fault, on_fault=on_fault)
    if shelf is None:
        return FallbackNetwork(cpu, option, on_fault=on_fault)
    if shelf.is_trying() == wanted:
        fault = f"{wanted}: it did not survive its last start; try it again: janusd --probe-accelerators"
        return FallbackNetwork(cpu, fault=fault, on_fault=on_fault)
    shelf.trying(wanted)
    network = FallbackNetwork(cpu, option, on_fault=on_fault)
    shelf.survived()
    return network


def findings(network: Network, shelf: Shelf) -> list[Finding]:
    """What `janusctl doctor` says of what a network runs on."""
    check = f"accelerator, {shelf.of}" if shelf.of else "accelerator"
    probed = shelf.summary()
    detail = f"{network.accelerator}; probed: {probed}" if probed else f"{network.accelerator}; never probed"
    if isinstance(network, FallbackNetwork) and network.fault:
        return [
            Finding(check, "warn", detail,
                    "see to it, then restart janusd; or choose anew: janusd --probe-accelerators")
        ]  # fmt: skip
    return [Finding(check, "ok", detail, "")]


def list_accelerators(parts: Parts, most_threads: int) -> list[str]:
    """The names of what could be probed here, for set-up."""
    return list(dict.fromkeys(option.name for option in options(parts, most_threads)))


def runtime_version() -> str:
    """Which LiteRT is installed: another one may run other options, and give other bytes."""
    for package in ("ai-edge-litert", "tflite-runtime"):
        with contextlib.suppress(PackageNotFoundError):
            return f"{package} {version(package)}"
    return "none"


def _delegated(model: bytes, library: str, runtime: Literal["auto"] | RuntimeName) -> Network:
    return LiteRtNetwork(model, runtime=runtime, delegate=library)


def _differs(network: Network, alike: float) -> str:
    return (
        f"{network.accelerator} gives another result than the processor: cosine {alike:.4f}, "
        f"not {LEAST_COSINE:g}"
    )
