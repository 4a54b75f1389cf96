# ruff: noqa: PLC0415  # torch loads only where it is installed
"""Printed patches: where they lie, what a search finds where the best is known, what is counted."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from janusd.core.align import TEMPLATE
from janusd.core.tensors import real, to_tensor
from janusd.pipeline import Pipeline
from janusd_export.attacks import patches
from janusd_export.attacks.patches import Patch
from janusd_export.errors import ExportError
from janusd_export.evaluation import patch_eval
from janusd_export.evaluation.patch_eval import Cast, Pair, PatchReport, Trial
from janusd_export.verbs.patch_eval import as_json, lines
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint

VECTORS = Path(__file__).parents[1] / "vectors"
INT8 = (VECTORS / "small-int8.tflite").read_bytes()


@pytest.fixture
def torch() -> ModuleType:
    return pytest.importorskip("torch")  # type: ignore[no-any-return]


def noise(count: int) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (count, 14, 14, 3))
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2).astype(np.uint8)


# What is worn, and where it lies.


@pytest.mark.parametrize("shape", patches.SHAPES)
def test_a_patch_covers_a_small_part_of_the_face_and_no_eye(shape: str) -> None:
    mask = patches.SHAPES[shape]()
    assert mask.shape == (112, 112)
    assert 0.03 < mask.mean() < 0.13
    for x, y in TEMPLATE[:2]:
        assert not mask[round(y) - 4 : round(y) + 5, round(x) - 6 : round(x) + 7].any()


def test_worn_it_changes_the_photograph_where_it_lies_and_nowhere_else() -> None:
    photograph = np.random.default_rng(1).integers(0, 256, (200, 240, 3), dtype=np.uint8)
    landmarks = (TEMPLATE * 0.8 + np.array([40, 30])).astype(np.float32)
    white = Patch(np.full((112, 112, 3), 255, np.uint8), patches.sticker())
    worn = patches.wear(photograph, landmarks, white)
    middle = (round(25 * 0.8 + 30), round(56 * 0.8 + 40))  # of the forehead
    assert (worn[middle] == 255).all()
    moved = (worn != photograph).any(axis=2)
    assert not moved[: 30 + int(12 * 0.8)].any()
    assert not moved[30 + int(39 * 0.8) :].any()


# The int8 file with gradients.


def test_each_operator_gives_what_the_int8_file_gives_within_one_step(torch: ModuleType) -> None:
    from janusd_export.compiling.differentiable import _FORWARD, Differentiable
    from janusd_export.compiling.layers import _Watched

    network = Differentiable(INT8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*experimental_preserve_all_tensors.*")
        exact = _Watched(INT8)
        first = network._first
        pixels = np.clip(
            np.round((noise(1) - 127.5) / 127.5 / first.scales[0]) + first.zero_points[0], -128, 127
        )
        exact.run(pixels.astype(np.int8))

    def real(tensor: Any) -> Any:
        value = (exact.value(tensor.number).astype(np.float32) - tensor.zero_points[0]) * tensor.scales[0]
        return torch.from_numpy(value.transpose(0, 3, 1, 2).copy() if value.ndim == 4 else value)

    for operator in network._operators:
        inputs = [real(t) for t in operator.inputs if t is not None and not t.is_constant]
        (output,) = operator.outputs
        found = _FORWARD[operator.kind](network, operator, inputs)
        wrong = (found.flatten() - real(output).flatten()).abs() / output.scales[0]
        assert float(wrong.max()) < 1.01, operator
        assert float((wrong > 0.01).float().mean()) < 0.02, operator  # ties alone


def test_as_a_whole_it_embeds_as_the_int8_file_does(torch: ModuleType) -> None:
    from janusd.core import embed
    from janusd.core.manifest import TensorSpec
    from janusd_export.compiling import graph
    from janusd_export.compiling.differentiable import Differentiable
    from janusd_hw.litert import LiteRtNetwork

    read = graph.read(INT8)
    taken, given = (TensorSpec(t.shape, t.scales[0], t.zero_points[0]) for t in (*read.inputs, *read.outputs))
    exact, rounded, clipped = LiteRtNetwork(INT8), Differentiable(INT8), Differentiable(INT8, rounds=False)
    for crop in noise(3):
        wanted = embed.of_answers([real(exact.run(to_tensor(crop, taken)).reshape(-1), given)])
        pixels = torch.from_numpy((crop.astype(np.float32) - 127.5) / 127.5).permute(2, 0, 1)[None]
        for network, least in ((rounded, 0.98), (clipped, 0.95)):
            found = network(pixels)[0].detach().numpy()
            assert float(found @ wanted) / np.linalg.norm(found) > least


def test_rounding_lets_gradients_through_and_clipping_does_not(torch: ModuleType) -> None:
    from janusd_export.compiling.differentiable import Differentiable

    network = Differentiable(INT8)
    values = torch.tensor([-3.0, -0.501, 0.0, 0.7, 3.0], requires_grad=True)
    network._on_grid(values, network._first).sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0]


def test_what_it_cannot_read_is_refused(torch: ModuleType) -> None:
    from janusd_export.compiling.differentiable import Differentiable

    with pytest.raises(ExportError, match=r"is not a \.tflite file"):
        Differentiable(b"\0" * 64)
    with pytest.raises(ExportError, match="not an int8 network"):
        Differentiable((VECTORS / "small-float.tflite").read_bytes())


# The search.


def test_a_search_turns_the_colours_to_where_they_are_known_to_help(torch: ModuleType) -> None:
    """The network says how red and how blue the crop is: much red and little blue is what it is asked for."""
    from janusd_export.attacks.patch_search import Search, search

    def network(crops: Any) -> Any:
        return torch.stack([crops[:, 0].mean(dim=(1, 2)), crops[:, 2].mean(dim=(1, 2))], dim=1)

    wanted = np.array([[1.0, -1.0]], np.float32) / np.sqrt(np.float32(2))
    face = np.full((112, 112, 3), 128, np.uint8)
    found = search(network, [face], wanted, patches.sticker(), Search(60, 2))
    assert np.mean(found.scores[-20:]) > np.mean(found.scores[:10]) + 0.2  # the light wavers
    worn = found.patch.colours[20:30, 30:80].reshape(-1, 3).mean(axis=0)
    assert worn[0] > 180
    assert worn[2] < 75
    assert found.patch.colours.min() >= round(patches.DARKEST * 255)  # a printer has no other
    assert found.patch.colours.max() <= round(patches.LIGHTEST * 255)


def test_gradients_reach_the_ink_under_the_mask_alone(torch: ModuleType) -> None:
    from janusd_export.attacks.patch_search import put_on

    mask = np.zeros((112, 112), np.float32)
    mask[10:30, 10:30] = 1
    inks = torch.zeros(1, 3, 56, 56, requires_grad=True)
    chance = torch.Generator().manual_seed(0)
    seen = put_on(torch.zeros(2, 3, 112, 112), inks, torch.from_numpy(mask)[None, None], chance)
    seen.sum().backward()
    pull = inks.grad.abs().sum(dim=(0, 1)).numpy()  # two pixels of the crop a dot
    assert (pull[7:13, 7:13] > 0).all()
    assert not pull[22:].any()  # the patch is put on askew by a few pixels, never by fourteen
    assert not pull[:, 22:].any()


def test_an_embedding_of_two_views_is_the_doors(torch: ModuleType) -> None:
    from janusd.core import embed as door
    from janusd_export.attacks.patch_search import as_tensor, embed

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 112 * 112, 5))
    crop = noise(1)[0]
    views = [network(as_tensor(np.ascontiguousarray(view))[None])[0] for view in (crop, crop[:, ::-1])]
    units = [(view / view.norm()).detach().numpy() for view in views]
    found = embed(network, as_tensor(crop)[None], mirrored=True)[0].detach().numpy()
    assert found == pytest.approx(door.combine(units), abs=1e-5)


# What is counted, on painted faces, without torch.


def painted() -> tuple[Pipeline, Cast]:
    pipeline = Pipeline(PaintedDetector(), PaintedEncoder(), SPEC)

    def photographs(who: str) -> dict[str, list[np.ndarray]]:
        return {name: [paint(name, seed=seed) for seed in range(2)] for name in who}

    return pipeline, patch_eval._cast(pipeline, photographs("ab"), photographs("ab"), photographs("d"))


def no_bars(part: str, done: int, total: int) -> None:
    """No bars."""


def measured(monkeypatch: pytest.MonkeyPatch, colours: np.ndarray) -> PatchReport:
    torch_free = pytest.importorskip("torch")  # of the module that `measure` loads
    assert torch_free
    from janusd_export.attacks.patch_search import Search

    pipeline, cast = painted()

    def searched(_network: object, _cast: Cast, pair: Pair, _how: Search) -> Patch:
        pair.scores, pair.share = (0.0, 0.5), 1.0
        return Patch(colours, np.ones((112, 112), np.float32))

    monkeypatch.setattr(patch_eval, "_search", searched)
    return patch_eval.measure(pipeline, INT8, cast, ["glasses"], 2, Search(), no_bars)


def test_who_wears_a_residents_face_opens_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, _ = painted()
    crop = pipeline.probe(paint("a", seed=5)).crop
    assert crop is not None
    found = measured(monkeypatch, crop)
    opens = "the door opens"
    assert str(found.rates(found.visits)[opens]).startswith("100.00 %")
    assert found.rates(found.plain)[opens].hits == 0
    for shown in ("worn", "worn anew"):
        assert found.rates(found.tries("glasses", shown))[opens].value == 1.0
    told = list(lines(found))
    assert all(line.startswith("SIMULATED") for line in told)
    assert any("worn, other photographs: the door opens" in line and "2 of 2" in line for line in told)
    assert as_json(found)["shapes"]["glasses"]["worn"][opens]["value"] == 1.0  # type: ignore[index]


def test_who_wears_what_nobody_looks_like_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, _ = painted()
    crop = pipeline.probe(paint("g", seed=5)).crop
    assert crop is not None
    found = measured(monkeypatch, crop)
    assert found.rates(found.tries("glasses", "worn"))["a frame matches"].hits == 0
    assert found.defended() == []  # nobody to defend against


def test_the_price_of_painting_over_is_read_from_the_residents() -> None:
    own = [Trial([0.8], covered=low) for low in np.linspace(0.3, 0.79, 50)]
    pair = Pair(
        "glasses", "d", "a", 0.1, trials={"worn": [Trial([0.7], covered=c) for c in (0.1, 0.31, 0.6)]}
    )
    found = PatchReport(0.6, 2, None, [pair], own, [])
    rows = {row.cost: row for row in found.defended()}
    assert rows[0.1].threshold == pytest.approx(0.35)
    assert (rows[0.1].passes.hits, rows[0.01].passes.hits, rows[0.01].passes.trials) == (1, 2, 3)


def test_each_region_is_painted_over_once() -> None:
    crop = noise(1)[0]
    covered = list(patch_eval.painted_over(crop))
    is_touched = np.stack([(c != crop).any(axis=(1, 2)) for c in covered])
    assert is_touched.any(axis=0).all()  # wherever a patch lies, one of them covers that row
    assert all(row.mean() < 0.5 for row in is_touched)


def test_a_collection_with_too_few_people_is_named(tmp_path: Path) -> None:
    from support.nobody import make_tree

    place = make_tree(tmp_path / "photos", {"ada": 3, "ben": 3})
    with pytest.raises(ExportError, match="2 people with three photographs"):
        patch_eval.of_photos(place, painted()[0], 4, 1)
