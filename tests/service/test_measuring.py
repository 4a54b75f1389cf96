"""`Bench`: a door times its own stages, on frames it sees anyway, while it goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from janusd.config import Config
from janusd.core.types import Frame
from janusd.errors import OwnerError
from janusd.pipeline import Pipeline
from janusd.service.measuring import Bench
from janusd.service.rules import Rules
from janusd_hw.clock import SystemClock
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint


@pytest.fixture
def bench() -> Bench:
    return Bench(Pipeline(PaintedDetector(), PaintedEncoder(), SPEC), threading.Lock(), SystemClock())


@pytest.fixture
def rules() -> Rules:
    return Rules.make(Config(), [], SPEC.calibration)


@pytest.fixture
def camera(bench: Bench) -> Iterator[list[str]]:
    """Shows what its one letter says, about every tenth of a second's tenth, until the test ends."""
    letters, ends = ["a"], threading.Event()

    def play() -> None:
        sequence = 0
        while not ends.wait(0.01):
            sequence += 1
            bench.see(Frame(paint(letters[0], seed=sequence), time.monotonic(), sequence))

    playing = threading.Thread(target=play)
    playing.start()
    yield letters
    ends.set()
    playing.join()


@pytest.mark.usefixtures("camera")
def test_every_stage_is_timed_on_the_cameras_own_frames(bench: Bench, rules: Rules) -> None:
    measured = bench.run(0.4, rules, "a script")
    stages = {timing.stage: timing for timing in measured.stages}
    assert list(stages) == [
        "camera: frame to frame", "camera: captured to seen", "idle gate", "detect", "align", "quality",
        "embed", "match", "policy", "frame to decision",
    ]  # fmt: skip
    assert measured.frames == measured.faces == stages["embed"].count >= 3
    assert stages["camera: frame to frame"].median_ms >= 9
    assert all(timing.median_ms <= timing.p95_ms for timing in measured.stages)
    assert stages["frame to decision"].p95_ms >= stages["detect"].median_ms


def test_without_a_face_one_is_assumed_and_that_is_said(
    bench: Bench, rules: Rules, camera: list[str]
) -> None:
    camera[0] = ""
    measured = bench.run(0.3, rules, "a script")
    assert measured.faces == 0 < measured.frames
    assert "embed" in {timing.stage for timing in measured.stages}


@pytest.mark.usefixtures("camera")
def test_one_measurement_at_a_time(bench: Bench, rules: Rules) -> None:
    running = threading.Thread(target=lambda: bench.run(0.5, rules, "a script"))
    running.start()
    time.sleep(0.1)
    with pytest.raises(OwnerError, match="measured already"):
        bench.run(0.1, rules, "a script")
    running.join()
    assert bench.run(0.2, rules, "a script").frames


def test_a_camera_that_gives_nothing_is_said(
    bench: Bench, rules: Rules, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("janusd.service.measuring._FIRST_FRAME_S", 0.1)
    with pytest.raises(OwnerError, match="too few frames"):
        bench.run(0.1, rules, "none")


@pytest.mark.usefixtures("camera")
def test_where_frames_are_slow_it_takes_longer_rather_than_saying_little(bench: Bench, rules: Rules) -> None:
    assert bench.run(0.001, rules, "a script").frames >= 3


@pytest.mark.usefixtures("camera")
def test_no_frame_is_kept_afterwards(bench: Bench, rules: Rules) -> None:
    bench.run(0.2, rules, "a script")
    time.sleep(0.05)
    assert bench._newest is None
