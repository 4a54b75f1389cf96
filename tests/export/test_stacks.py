"""Whole stacks beside the door's own: who takes part, and that all do the whole work."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from janusd import models
from janusd.core.types import Image
from janusd_export.compiling.onnx_file import export_onnx
from janusd_export.errors import ExportError
from janusd_export.evaluation import stacks
from janusd_export.evaluation.pace import BLOCKS, mobilefacenet
from janusd_export.main import main
from janusd_export.training.student import fold

FRAME = np.zeros((48, 64, 3), np.uint8)


class Counting:
    """Burns a known amount of work."""

    def __init__(self, name: str, effort: int, *, sees: bool = True) -> None:
        self.name, self._effort, self._sees, self.asked = name, effort, sees, 0

    def detect(self, image: Image) -> bool:
        return self._sees

    def recognise(self, image: Image) -> bool:
        self.asked += 1
        sum(range(self._effort))
        return True


def lend(monkeypatch: pytest.MonkeyPatch, *those: Counting) -> None:
    monkeypatch.setattr(stacks, "_stacks", lambda *given: (list(those), ["a fifth: not here"]))


def test_each_stack_runs_as_often_and_the_first_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = Counting("ours", 20_000), Counting("theirs", 200_000)
    lend(monkeypatch, ours, theirs)
    found = stacks.race(models.RELEASED, None, [FRAME] * 2, 2 * BLOCKS, lambda *said: None)
    assert ours.asked == theirs.asked == 2 + 2 * BLOCKS  # a look at each frame beforehand
    assert found.stacks[0].ratio == found.stacks[0].low == found.stacks[0].high == 1.0
    assert 4 < found.stacks[1].ratio < 25
    assert found.left_out == ("a fifth: not here",)
    assert found.rounds == 2 * BLOCKS


def test_a_stack_that_sees_no_face_is_no_quick_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lend(monkeypatch, Counting("ours", 1), Counting("blind", 1, sees=False))
    with pytest.raises(ExportError, match="blind finds no face in frame 0"):
        stacks.race(models.RELEASED, None, [FRAME], BLOCKS, lambda *said: None)


def test_whoever_is_not_here_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["pace", "--stacks", "--rounds", "20", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert [one["name"].split()[0] for one in found["stacks"]] == ["janusd"]
    assert found["stacks"][0]["whole_ms"] > found["stacks"][0]["detect_ms"] > 0
    assert any(line.startswith("dlib: pip install") for line in found["left_out"])
    assert any("--yunet" in line for line in found["left_out"])


def test_every_runtime_computes_the_yardstick_whole(tmp_path: Path) -> None:
    """One that left out half of the network would look quick."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    network, path = fold(mobilefacenet()), tmp_path / "mobilefacenet.onnx"
    export_onnx(network, path)
    crop = np.random.default_rng(0).uniform(-1, 1, (1, 3, 112, 112)).astype(np.float32)
    with torch.no_grad():
        wanted = network(torch.from_numpy(crop)).numpy()[0]
    runtimes = [stacks._opencv(path), stacks._onnxruntime(path)]
    if importlib.util.find_spec("ncnn") and importlib.util.find_spec("pnnx"):
        runtimes.append(stacks._ncnn(path))
    for encode in runtimes:
        got = np.asarray(encode(crop)).reshape(-1)
        assert got @ wanted / np.linalg.norm(got) / np.linalg.norm(wanted) > 0.999
