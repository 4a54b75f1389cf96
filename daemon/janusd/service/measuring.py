"""`janusctl bench`: every stage timed on this door's own camera and networks, while the door goes on.

The camera's frames are those that the door sees anyway. Networks are taken in turn with the door, a frame
each, so that nobody waits for longer than one frame takes. Nothing that is measured is decided on.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from janusd.core.policy import State, decide
from janusd.core.types import Evidence, Frame
from janusd.door import Measurement, Timing
from janusd.errors import OwnerError
from janusd.pipeline import Pipeline
from janusd.ports import Clock
from janusd.service.gate import IdleGate
from janusd.service.rules import Rules

INTERVAL: Final = "camera: frame to frame"
AGE: Final = "camera: captured to seen"
GATE: Final = "idle gate"
WHOLE: Final = "frame to decision"
_LEAST: Final = 3
"""Frames below which nothing is said: on a busy board it takes longer than was asked, rather."""
_FIRST_FRAME_S: Final = 5.0
_LATEST_S: Final = 10.0
"""For how long beyond the time asked for."""


class Bench:
    """Over one door's pipeline; one measurement at a time."""

    def __init__(self, pipeline: Pipeline, networks: threading.Lock, clock: Clock) -> None:
        """`networks` is what guards inference."""
        self._pipeline = pipeline
        self._networks = networks
        self._clock = clock
        self._one = threading.Lock()
        self._news = threading.Condition()
        self._measures = False
        self._newest: Frame | None = None
        self._arrivals: list[tuple[float, float]] = []

    def see(self, frame: Frame) -> None:
        """A frame came. Costs nothing while nothing is measured."""
        if not self._measures:
            return
        with self._news:
            self._newest = frame
            self._arrivals.append((frame.captured_s, self._clock.monotonic_s()))
            self._news.notify_all()

    def run(self, seconds: float, rules: Rules, camera: str) -> Measurement:
        """Measure for so long. Raises OwnerError while somebody else does, or without frames."""
        if not self._one.acquire(blocking=False):
            raise OwnerError("this door is being measured already", "try again in a few seconds")
        try:
            self._arrivals, self._newest, self._measures = [], None, True
            return self._measure(seconds, rules, camera)
        finally:
            self._measures, self._newest = False, None
            self._one.release()

    def _measure(self, seconds: float, rules: Rules, camera: str) -> Measurement:
        times: dict[str, list[float]] = {}
        gate = IdleGate()
        frames = faces = 0
        shape: tuple[int, ...] = (0, 0)
        first = self._next(time.monotonic() + max(seconds, _FIRST_FRAME_S))
        if first is not None:
            self._one_round(first, gate, rules)  # what is slow once, because nothing ran before it
        end_s = time.monotonic() + seconds
        while first and (frame := self._next(end_s if frames >= _LEAST else end_s + _LATEST_S)):
            is_face, took = self._one_round(frame, gate, rules)
            frames, faces, shape = frames + 1, faces + is_face, frame.image.shape
            for stage, ms in took.items():
                times.setdefault(stage, []).append(ms)
        if not frames:
            raise OwnerError(
                "the camera gave too few frames to time anything on", "look for its fault: janusctl doctor"
            )
        captured = [captured_s for captured_s, _ in self._arrivals]
        between = [1e3 * (b - a) for a, b in itertools.pairwise(captured)]
        ages = [1e3 * (seen_s - captured_s) for captured_s, seen_s in self._arrivals]
        stages = [*_timing(INTERVAL, between), *_timing(AGE, ages)]
        for stage, every in times.items():
            stages += _timing(stage, every)
        return Measurement(
            seconds=seconds,
            frames=frames,
            faces=faces,
            camera=camera,
            width_px=shape[1],
            height_px=shape[0],
            detector=self._pipeline.detector.name,
            encoder=self._pipeline.spec.name,
            accelerator=self._pipeline.encoder.accelerator,
            templates=rules.gallery.samples,
            stages=stages,
        )

    def _next(self, end_s: float) -> Frame | None:
        """The newest frame that was not timed yet; None once the time is up."""
        with self._news:
            while self._newest is None and (left_s := end_s - time.monotonic()) > 0:
                self._news.wait(left_s)
            frame, self._newest = self._newest, None
        return frame if time.monotonic() < end_s else None

    def _one_round(self, frame: Frame, gate: IdleGate, rules: Rules) -> tuple[bool, dict[str, float]]:
        took: dict[str, float] = {}
        began_ns = time.perf_counter_ns()
        gate.is_open(frame)
        took[GATE] = (time.perf_counter_ns() - began_ns) / 1e6
        with self._networks:
            is_face, stages = self._pipeline.rehearse(frame.image, rules.gallery)
        began_ns = time.perf_counter_ns()
        decide(rules.policy, rules.gallery, State(), Evidence(frame.captured_s), None)
        took |= stages | {"policy": (time.perf_counter_ns() - began_ns) / 1e6}
        return is_face, took | {WHOLE: sum(ms for stage, ms in took.items() if stage != GATE)}


def _timing(stage: str, ms: Sequence[float]) -> list[Timing]:
    """Its median and 95th percentile; nothing where it never ran."""
    if not ms:
        return []
    median, p95 = (round(float(np.quantile(ms, part)), 3) for part in (0.5, 0.95))
    return [Timing(stage, median, p95, len(ms))]
