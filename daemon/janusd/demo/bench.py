"""`make bench`: frame to decision on this machine, stage by stage.

One 640x480 frame with one face, a gallery of 20 people with one sample each, one thread. The idle gate and an
empty doorway are timed beside it, because that is what a door sees all day. Times are wall time; on a busy
machine trust the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from janusd import __version__, sdk
from janusd.core import match
from janusd.core.gallery import Gallery
from janusd.core.policy import Policy, State, decide
from janusd.core.types import Frame
from janusd.demo.album import album
from janusd.demo.scene import Stance, compose
from janusd.pipeline import Pipeline
from janusd.service.gate import IdleGate

_GALLERY = 20
_WARM_UP = 5


def main(arguments: list[str] | None = None) -> int:
    """Time each stage and print a table."""
    options = _parser().parse_args(arguments)
    cv2.setNumThreads(1)
    times = measure(options.frames)
    figures = {
        name: {
            "median_ms": round(float(np.median(ms)), 3),
            "p95_ms": round(float(np.quantile(ms, 0.95)), 3),
            "frames": len(ms),
        }
        for name, ms in times.items()
    }
    if options.json:
        print(json.dumps({"version": __version__, "threads": 1, "stages": figures}, indent=2))
        return 0
    title = f"{options.frames} frames of 640x480, one face, a gallery of {_GALLERY}, one thread"
    table = Table(title=f"Frame to decision: {title}", title_justify="left", show_edge=False)
    for column in ("stage", "median ms", "p95 ms"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, row in figures.items():
        style = "bold" if name.startswith("frame to decision") else None
        table.add_row(name, f"{row['median_ms']:.3f}", f"{row['p95_ms']:.3f}", style=style)
    Console().print(table)
    return 0


def measure(frames: int) -> dict[str, list[float]]:
    """Milliseconds of wall time, one value a frame, for each stage and for the whole."""
    pipeline = sdk.load_models().pipeline
    person = next(iter(album().values()))
    images = [
        compose([Stance(person.street[seed % len(person.street)])], seed=seed)
        for seed in range(min(frames, 20))
    ]
    empty = Frame(compose([]), 0.0, 0)
    gallery = _gallery_of_twenty(pipeline.spec.output.shape[-1])
    policy = Policy(threshold=0.5)
    times: dict[str, list[float]] = {}
    for index in range(-_WARM_UP, frames):
        frame = Frame(images[index % len(images)], index * 0.1, index)
        round_ms, probe_ms = _one_round(pipeline, gallery, policy, frame, empty)
        if index >= 0 and "match" in probe_ms:
            for name, ms in {**probe_ms, **round_ms}.items():
                times.setdefault(name, []).append(ms)
    if not times:
        raise RuntimeError("no face was fit for comparison in the demo's own frames: the models do not work")
    return times


def _one_round(
    pipeline: Pipeline, gallery: Gallery, policy: Policy, frame: Frame, empty: Frame
) -> tuple[dict[str, float], Mapping[str, float]]:
    started = time.perf_counter_ns()
    evidence, probe = pipeline.evidence(frame, gallery)
    decided_from = time.perf_counter_ns()
    decide(policy, gallery, State(), evidence, None)
    ended = time.perf_counter_ns()
    return {
        "policy": (ended - decided_from) / 1e6,
        "frame to decision, one face": (ended - started) / 1e6,
        "frame to decision, empty doorway": _timed(lambda: pipeline.evidence(empty, gallery)),
        "idle gate, nothing moves": _gate_ms(empty),
    }, probe.stage_ms


def _gate_ms(frame: Frame) -> float:
    gate = IdleGate()
    gate.is_open(frame)
    return _timed(lambda: gate.is_open(frame))


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - started) / 1e6


def _gallery_of_twenty(dimensions: int) -> Gallery:
    rng = np.random.default_rng(1)

    def unit() -> NDArray[np.float32]:
        vector = rng.normal(size=dimensions)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    gallery = Gallery.of_embeddings({f"person {index}": [unit()] for index in range(_GALLERY)})
    assert match.identify(unit(), gallery)[0] is not None
    return gallery


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m janusd.demo.bench", description=__doc__.partition("\n\n")[0]
    )
    parser.add_argument(
        "--frames", type=int, default=100, help="how many frames to time (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
