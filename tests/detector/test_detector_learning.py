# ruff: noqa: PLC0415  # torch and friends load only where they are installed
"""What is asked of the networks, and the road from a checkpoint to int8 files. Skipped without torch."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from janusd.core import detect
from janusd_export.compiling import edgetpu, graph
from janusd_export.detector import losses, recipe, train
from janusd_export.detector.library import Part, open_library, write
from janusd_export.detector.model import DetectorNet, DetectorSize, RefinerNet, RefinerSize, count, fold
from janusd_export.detector.scene_cache import write_scenes
from janusd_export.errors import ExportError

CELLS = losses.Cells.of(240, 320)
TINY = DetectorSize(stem=8, widths=(8, 8, 8), narrow=4, blocks=(1, 1, 1))
RECIPE = """
name = "tiny"
version = "1"
seed = 1
[detector]
stem = 8
widths = [8, 8, 8]
narrow = 4
blocks = [1, 1, 1]
[detector_run]
minutes = 10
batch = 2
learning_rate = 1e-3
processes = 1
[refiner]
widths = [8, 8, 8, 8]
[refiner_run]
minutes = 10
batch = 4
learning_rate = 1e-3
processes = 1
"""


@pytest.fixture(autouse=True)
def _one_thread_and_quiet_libraries() -> Iterator[None]:
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def a_face(side: float, x: float = 150.0, y: float = 110.0) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([[-0.2, -0.2], [0.2, -0.2], [0.0, 0.05], [-0.15, 0.3], [0.15, 0.3]], np.float32)
    box = np.array([[x - side / 2, y - side / 2, side, side]], np.float32)
    return box, (points * side + np.array([x, y], np.float32) - 0.5)[None]


def perfect(box: np.ndarray, points: np.ndarray) -> torch.Tensor:
    """What a network would say that sees everything: each cell answers for the one face."""
    unit = detect.LENGTH_UNIT * CELLS.face
    answers = torch.zeros(1, len(CELLS.face), detect.CHANNELS)
    middle = torch.from_numpy(box[0, :2] + box[0, 2:] / 2)
    answers[0, :, 1:3] = (middle - CELLS.centre) / unit
    answers[0, :, 3:5] = (torch.from_numpy(box[0, 2:]) / CELLS.face).log() / detect.LENGTH_UNIT
    corner = torch.from_numpy(points[0] + 0.5)
    answers[0, :, 5:] = ((corner - CELLS.centre[:, None]) / unit[:, None]).reshape(len(CELLS.face), 10)
    answers[0, :, 0] = -2.0
    return answers


@pytest.mark.parametrize("side", [11.0, 24.0, 50.0, 100.0, 220.0])
def test_what_training_asks_for_is_what_a_door_reads(side: float) -> None:
    box, points = a_face(side)
    answers, asked = perfect(box, points), losses.asked_of([(box, points)])
    boxes = torch.from_numpy(np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)).expand(1, 1580, 4)
    owner, quality = losses.assign(answers[..., 0], boxes, CELLS, asked)
    winners = (owner[0] == 0).nonzero()[:, 0]
    assert 1 <= len(winners) <= losses.WINNERS
    assert quality[0, winners].min() > 0.99
    answers[0, winners, 0] = 2.0
    terms = losses.detector_loss(answers, CELLS, asked)
    assert float(terms.box) < 1e-3
    assert float(terms.points) < 1e-2
    assert float(terms.score) < 0.05
    (face,) = detect.faces(answers[0].numpy(), detect.grid(240, 320), 0.5, 0.4)
    assert face.box_px.x == pytest.approx(float(box[0, 0]), abs=0.05)
    assert np.allclose(face.landmarks_px, points[0], atol=0.05)


def test_a_scene_without_a_face_asks_for_nought_everywhere() -> None:
    asked = losses.asked_of([(np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32))])
    answers = torch.zeros(1, 1580, 15, requires_grad=True)
    terms = losses.detector_loss(answers, CELLS, asked)
    assert float(terms.box.detach()) == float(terms.points.detach()) == 0.0
    terms.total.backward()
    assert answers.grad is not None
    assert (answers.grad[..., 0] > 0).all()  # lower the score


def test_each_face_of_a_crowd_has_cells_of_its_own() -> None:
    near, far = a_face(60, 100, 100), a_face(14, 200, 60)
    boxes, points = (np.concatenate(pair) for pair in zip(near, far, strict=True))
    asked = losses.asked_of([(boxes, points), near])
    start = torch.zeros(2, 1580, 4)
    owner, _ = losses.assign(torch.zeros(2, 1580), start, CELLS, asked)
    assert set(owner[0].unique().tolist()) == {-1, 0, 1}
    assert set(owner[1].unique().tolist()) == {-1, 0}


def test_the_refiner_is_asked_for_points_only_where_there_is_a_face() -> None:
    points = torch.from_numpy(np.stack([detect.REFINER_TEMPLATE, detect.REFINER_TEMPLATE + 20]))
    answers = torch.zeros(2, 11)
    both = losses.refiner_loss(answers, points, torch.tensor([True, True]))
    first = losses.refiner_loss(answers, points, torch.tensor([True, False]))
    assert float(first.points) < 1e-2 < float(both.points)


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    for network, shape in (
        (DetectorNet(TINY), (1, 3, 64, 96)),
        (RefinerNet(RefinerSize((8, 8, 8, 8))), (1, 3, 64, 64)),
    ):
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(part.weight, 0.5, 1.5)
                part.running_mean.uniform_(-0.2, 0.2)
                part.running_var.uniform_(0.5, 1.5)
        x = torch.randn(shape)
        with torch.no_grad():
            assert torch.allclose(network.eval()(x), fold(network)(x), atol=1e-4)


def test_the_released_size_is_of_its_class() -> None:
    parameters, macs = count(DetectorNet(DetectorSize()), 240, 320)
    assert 50_000 < parameters < 200_000
    assert macs < 120e6


def scenes_module() -> Any:
    path = Path(__file__).with_name("test_detector_scenes.py")
    spec = importlib.util.spec_from_file_location("drawn_scenes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_whole_road_from_pictures_to_a_measured_int8_detector(tmp_path: Path) -> None:
    from janusd_export.detector.compile import compile_run, open_detector, read_spec
    from janusd_export.detector.evaluate import Peer, evaluate

    write(tmp_path / "library", scenes_module().pictures())
    library = open_library(tmp_path / "library")
    for purpose in ("detector", "refiner"):
        for part in (Part.TRAIN, Part.TUNE):
            write_scenes(library, tmp_path / "scenes", purpose, part, 8, 1)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    chosen = recipe.load(tmp_path / "tiny.toml")
    run = tmp_path / "run"
    for which in train.NETWORKS:
        train.train(chosen, which, tmp_path / "scenes", run, stop_after=2)
        train.train(chosen, which, tmp_path / "scenes", run, stop_after=1)
        assert torch.load(run / f"{which}.pt", weights_only=True)["step"] == 3  # it went on
    train.train(chosen, "refiner", tmp_path / "scenes", tmp_path / "next", stop_after=0, start_from=run)
    before, after = (
        train.load_average(chosen, "refiner", place).state_dict() for place in (run, tmp_path / "next")
    )
    moved = [float((after[name] - before[name]).abs().max()) for name in before if "weight" in name]
    assert max(moved) < 0.05  # one small step from where the other run ended
    made = compile_run(chosen, run, tmp_path / "scenes", library, tmp_path / "out")
    for file in ("tiny.tflite", "tiny-refiner.tflite"):
        assert edgetpu.check(graph.read((tmp_path / "out" / file).read_bytes())).is_mapped
    assert {error < 0.05 for *_, error in made.networks} == {True}
    spec = read_spec(tmp_path / "out")
    assert spec.threshold == made.threshold
    detector = open_detector(spec, tmp_path / "out")
    (row,) = evaluate(library, [Peer(detector.name, detector.detect)], [], scenes=3).rows
    assert row.by_size["48 px"].recall.trials == 3
    assert row.false_frames.trials == 6 * row.false_pictures.trials
    (tmp_path / "out" / "tiny.tflite").write_bytes(b"another file")
    with pytest.raises(ExportError, match=r"tiny\.tflite is not the file that detector\.json describes"):
        open_detector(spec, tmp_path / "out")


def test_a_run_that_was_not_trained_says_so(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    chosen = recipe.load(tmp_path / "tiny.toml")
    with pytest.raises(ExportError, match="detector train first"):
        train.load_average(chosen, "detector", tmp_path)
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("narrow", "narow"))
    with pytest.raises(ExportError, match=r"tiny\.toml.*narow"):
        recipe.load(tmp_path / "tiny.toml")
