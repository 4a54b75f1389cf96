"""How long one embedding takes beside the network that everybody knows, in the same run.

The yardstick is MobileFaceNet as published (Chen et al. 2018, table 1: 221 M multiply-accumulates, 128
numbers), in float, with ReLU6: how quick it is does not depend on what it learnt, so its weights are drawn.
Both run on LiteRT with one thread and take turns, so that a neighbour on the machine slows both alike.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from janusd.models import Models
from janusd_export.compiling import graph
from janusd_export.compiling.quantize import export_float
from janusd_export.training.student import Student, StudentSize, count_macs, fold
from janusd_hw.litert import LiteRtNetwork

BLOCKS: Final = 20
"""The ratio's spread is that between so many parts of the run."""

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Network:
    """What one of them costs."""

    name: str
    macs: int
    size: int
    """Bytes of the file."""
    ms: float
    """Median processor time of one view."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What was measured."""

    ours: Network
    yardstick: Network
    ratio: float
    """Median over blocks: one view by ours over one by the yardstick."""
    low: float
    high: float
    """Second lowest and second highest block."""
    views: int
    """That a door embeds of each face, and sums."""
    rounds: int


def mobilefacenet() -> Student:
    """The yardstick, with weights that are drawn."""
    torch.manual_seed(0)
    return Student(StudentSize(family="mobile", embedding=128)).eval()


def measure(released: Models, rounds: int = 400, say: Say = lambda part, done, total: None) -> Pace:
    """Let both embed in turns."""
    torch.set_num_threads(1)
    student = mobilefacenet()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mobilefacenet.tflite"
        export_float(fold(student), path)
        published = path.read_bytes()
    encoder = released.manifest.encoder
    ours, theirs = _int8(released.encoder), _float(published)
    times = np.zeros((BLOCKS, rounds // BLOCKS or 1, 2))  # block, round, network; ms
    for block in range(BLOCKS):
        say("pace", block + 1, BLOCKS)
        for place in range(times.shape[1]):
            for number, embed in enumerate((ours, theirs)):
                began = time.thread_time()
                embed()
                times[block, place, number] = 1e3 * (time.thread_time() - began)
    medians = np.median(times, axis=1)  # (BLOCKS, 2)
    ratios = np.sort(medians[:, 0] / medians[:, 1])
    both = np.median(times, axis=(0, 1))
    return Pace(
        Network(
            encoder.name,
            sum(one.macs for one in graph.read(released.encoder).operators),
            len(released.encoder),
            float(both[0]),
        ),
        Network(
            "MobileFaceNet, float", sum(m for _, m in count_macs(student)), len(published), float(both[1])
        ),
        float(np.median(ratios)),
        float(ratios[1]),
        float(ratios[-2]),
        2 if encoder.mirrored else 1,
        times.shape[0] * times.shape[1],
    )


def _int8(model: bytes) -> Callable[[], object]:
    network = LiteRtNetwork(model)
    rng = np.random.default_rng(0)
    seen = rng.integers(-128, 128, network.input_shape).astype(np.int8)
    return lambda: network.run(seen)


def _float(model: bytes) -> Callable[[], object]:
    module: Any = importlib.import_module("ai_edge_litert.interpreter")
    interpreter = module.Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    (given,), (said,) = interpreter.get_input_details(), interpreter.get_output_details()
    rng = np.random.default_rng(0)
    seen = rng.uniform(-1, 1, given["shape"]).astype(np.float32)

    def embed() -> object:
        interpreter.set_tensor(given["index"], seen)
        interpreter.invoke()
        return interpreter.get_tensor(said["index"])

    return embed
