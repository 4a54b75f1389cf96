"""The attack detection network: one camera for all, attacks that are held out, the way into a door."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

import janusd_export
from janusd.core import passive
from janusd.core.manifest import AttackNet, Manifest, TensorSpec, parse
from janusd.core.tensors import to_tensor
from janusd.core.types import Box, Face
from janusd_export.attacks import recaptures
from janusd_export.compiling import edgetpu, graph
from janusd_export.compiling.release import write_manifest
from janusd_export.detector.library import Kind, Labelled, Library, Part, open_library, part_of, write
from janusd_export.errors import ExportError
from janusd_export.passive import (
    cache,
    displays,
    judge,
    lattice,
    portraits,
    presses,
    series,
    sheets,
)
from janusd_export.passive.camera import Camera, shoot, to_light
from janusd_export.passive.join import join
from janusd_export.passive.media import FIRST, LEFT_OUT, SPECIES
from janusd_export.passive.portraits import Gathering
from janusd_hw.fakes import SPEC

ROOT = Path(janusd_export.__file__).parent
RECIPE = ROOT / "recipes" / "passive.toml"
LONG = ROOT / "recipes" / "passive-long.toml"


def people(count: int = 3) -> Gathering:
    """Smooth pictures with an oval where the face is; nobody is shown."""
    pictures_, kinds = [], []
    y, x = np.mgrid[0:250, 0:250]
    oval = ((x - 125) / 45) ** 2 + ((y - 125) / 63) ** 2 < 1
    for number in range(2 * count):
        rng = np.random.default_rng(number)
        wave = 127 + 90 * np.sin(x[..., None] / rng.uniform(5, 30, 3) + y[..., None] / rng.uniform(5, 30, 3))
        is_person = number < count
        pictures_.append(np.where(oval[..., None] & is_person, 190, wave).astype(np.uint8))
        kinds.append(Kind.PHOTO if is_person else Kind.BACKGROUND)
    size = 250 * 250 * 3
    library = Library(
        np.concatenate([picture.ravel() for picture in pictures_]),
        np.array(kinds, np.int8),
        np.zeros(2 * count, np.int8),
        np.arange(2 * count) * size,
        np.full((2 * count, 2), 250, np.int32),
        np.zeros((2 * count, 5, 2), np.float32),
        np.tile(np.array([80, 62, 90, 126], np.float32), (2 * count, 1)),
        np.zeros(2 * count, np.float32),
    )
    masks = np.repeat((255 * oval[::2, ::2]).astype(np.uint8)[np.newaxis], count - 1, axis=0)
    return Gathering(library, np.arange(count), masks, np.arange(count, 2 * count))


def imports_of(module: str) -> set[str]:
    """All modules of the export pipeline that a module imports, by whatever way."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name.split(".")[1:])
        file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        if name in seen or not file.exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return seen


def functions_of(file: Path) -> set[str]:
    """The bodies of a module's functions, without names and docstrings."""
    bodies = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            bodies.add(ast.dump(ast.Module(body, [])))
    return bodies


def test_training_never_meets_the_species_it_is_measured_on() -> None:
    assert not {name for name in imports_of("janusd_export.passive.train") if ".attacks" in name}
    assert not {name for name in imports_of("janusd_export.passive.cache") if ".attacks" in name}
    assert not {name for name in imports_of("janusd_export.attacks.recaptures") if ".passive" in name}
    assert not set(SPECIES) & set(recaptures.HELD_OUT)
    held_out = functions_of(ROOT / "attacks" / "recaptures.py")
    for name in ("species", "displays", "presses", "lattice", "sheets", "places", "pictures", "camera"):
        assert not functions_of(ROOT / "passive" / f"{name}.py") & held_out


def test_the_door_sees_what_training_saw() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    face = Face(Box(90.3, 80.7, 90, 120), np.zeros((5, 2), np.float32), 1.0)
    net = AttackNet(
        "n", "n", "00" * 32, "1", TensorSpec((1, 2 * cache.SIDE, cache.SIDE, 3), 1 / 127.5, 0),
        TensorSpec((1, 2), 0.1, 0), context=cache.WIDE, threshold=0.5, near=cache.NEAR,
    )  # fmt: skip
    assert np.array_equal(passive.looks(image, face, net), cache.see(image, face))
    assert to_tensor(passive.looks(image, face, net), net.input).shape == net.input.shape


@pytest.mark.parametrize("side", [95, 96, 191, 192, 193, 400])
def test_halved_first_or_not_a_crop_is_the_mean_over_areas(side: int) -> None:
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    seen = passive.crop(image, Face(Box(0, 0, side, side), np.zeros((5, 2), np.float32), 1.0), 1.0, 96)
    at_once = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA if side > 96 else cv2.INTER_LINEAR)
    assert np.abs(seen.astype(int) - at_once).mean() < 1.0


def test_beyond_the_pictures_borders_a_crop_is_black() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    seen = passive.crop(image, Face(Box(0, 0, 40, 50), np.zeros((5, 2), np.float32), 1.0), 2.0, 100)
    assert seen[:20].max() == 0
    assert seen[60, 60].tolist() == [200, 200, 200]


def test_a_camera_is_the_same_in_every_frame_but_for_its_noise() -> None:
    scene = to_light(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    camera = Camera.drawn(np.random.default_rng(2))
    first, again, other = (shoot(camera, scene, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert abs(float(first.mean()) - float(other.mean())) < 10


@pytest.mark.parametrize("species", series.ALL, ids=lambda one: one.name)
def test_every_species_gives_pictures_that_are_not_the_living_ones(species: series.Species) -> None:
    ((*shown,),) = series.presentations(people(), species, 1, 5)
    assert len(shown) == series.FRAMES
    image, face = shown[0]
    assert image.dtype == np.uint8
    assert image.std() > 2
    assert abs(face.box_px.x + face.box_px.width / 2 - image.shape[1] / 2) < 0.3 * face.box_px.height
    assert not np.array_equal(image, shown[1][0])


def test_a_medium_changes_what_lies_on_it() -> None:
    light = to_light(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    for medium in (SPECIES | LEFT_OUT).values():
        rng = np.random.default_rng(7)
        where, _ = sheets.held(80, 100, 40.0, rng, bend=0.3)
        changed = medium(light, where, rng)
        assert changed.shape == light.shape
        assert np.isfinite(changed).all()
        assert changed.min() >= 0
        assert np.abs(changed - light).mean() > 0.01


def test_a_piece_of_a_cache_is_half_living_and_the_same_each_time(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        cache.write_piece(people(), tmp_path / folder, "train-000", 8, 1)
    assert (tmp_path / "a/train-000.pixels").read_bytes() == (tmp_path / "b/train-000.pixels").read_bytes()
    opened = cache.open_cache(tmp_path / "a", "train")
    assert len(opened) == 8 * cache.LOOKS
    assert float((opened.species == 0).mean()) == 0.5
    assert opened.seen(3).shape == (2 * cache.SIDE, cache.SIDE, 3)
    with pytest.raises(ExportError, match="passive train"):
        cache.open_cache(tmp_path / "a", "tune")


def test_the_wider_recipe_leaves_the_first_ones_pictures_as_they_were(tmp_path: Path) -> None:
    first = cache.write_piece(people(), tmp_path / "a", "train-000", 4, 1, media=FIRST)
    with np.load(first) as table:
        assert {cache.NAMES[which] for which in table["species"]} == {"living", FIRST[1], FIRST[0]}
    lit = cache.write_piece(people(), tmp_path / "b", "train-000", 4, 1, media=FIRST, hard_light=1.0)
    assert first.with_suffix(".pixels").read_bytes() != lit.with_suffix(".pixels").read_bytes()


def test_several_caches_are_one_in_their_order(tmp_path: Path) -> None:
    for folder, seed in (("a", 1), ("b", 2)):
        cache.write_piece(people(), tmp_path / folder, "train-000", 2, seed)
    parts = [cache.open_cache(tmp_path / folder, "train") for folder in "ab"]
    both = cache.join_caches(parts)
    assert len(both) == len(parts[0]) + len(parts[1])
    assert np.array_equal(both.seen(len(parts[0]) + 1), parts[1].seen(1))
    assert both.species.tolist() == [*parts[0].species, *parts[1].species]


def test_what_is_left_out_to_choose_by_is_never_learnt_from(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from janusd_export.passive import recipe  # noqa: PLC0415

    assert not set(LEFT_OUT) & set(SPECIES)
    assert not set(LEFT_OUT) & set(cache.NAMES[1 : 1 + len(SPECIES)])
    text = RECIPE.read_text()
    assert not any(name in text for name in LEFT_OUT)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("magazine page", next(iter(LEFT_OUT))))
    with pytest.raises(ExportError, match="media: nothing of training is called"):
        recipe.load(wrong)


@pytest.mark.parametrize("layout", [displays.stripes, displays.chevrons, displays.quads, displays.triads])
def test_a_raster_too_fine_for_the_camera_leaves_nothing_and_a_coarse_one_itself(
    layout: Callable[[np.random.Generator], Any],
) -> None:
    tile = layout(np.random.default_rng(0))
    assert np.allclose(tile.mean(axis=(0, 1)), 1)
    for pitch_px, least, most in ((0.06, 0.0, 0.15), (40.0, 0.2, 1.2)):
        left = lattice.averaged(tile, pitch_px)
        assert np.allclose(left.mean(axis=(0, 1)), 1, atol=1e-4)
        assert least <= float(left.std() / tile.std()) <= most


def test_a_lattice_repeats_after_its_pitch() -> None:
    y, x = np.mgrid[0:40, 0:40].astype(np.float32)
    tile = lattice.averaged(displays.stripes(np.random.default_rng(1)), 8.0)
    seen = lattice.looked_up(tile, *lattice.turned(x, y, 8.0, 0.0))
    assert np.allclose(seen[:, :32], seen[:, 8:], atol=1e-3)
    assert seen.std() > 0.1


@pytest.mark.parametrize("wanted", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_dots_cover_as_much_of_the_paper_as_ink_was_wanted(wanted: float) -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    for tile in (presses._clustered(rng)(0), presses._scattered(rng)):
        steps = np.linspace(0, 1, 9)[:, None, None] > tile[None]
        tiles = np.stack([lattice.averaged(step.astype(float), 12.0) for step in steps])
        covered = lattice.levels_looked_up(tiles, np.full_like(x, wanted), x / 12, y / 12)
        assert abs(float(covered.mean()) - wanted) < 0.03


def test_a_page_shows_its_photograph_and_other_things_beside_it() -> None:
    content = np.full((200, 200, 3), 123, np.uint8)
    outline = np.full((200, 200), 255, np.uint8)
    alpha, inner, page = sheets.CUTS["page"](content, outline, 60.0, False, np.random.default_rng(4))
    assert (page[100, 100] == 123).all()
    assert (page != 123).any(axis=2).mean() > 0.2
    assert (alpha >= inner).all()


def test_an_outline_is_asked_for_by_the_verb_that_finds_it(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="passive outline"):
        portraits.gather(people().library, tmp_path, Part.TRAIN)


def test_of_the_living_at_most_so_many_lie_below_the_threshold() -> None:
    living = list(np.linspace(0.2, 1.0, 200))
    threshold = judge.choose_threshold(living)
    assert threshold == living[4]
    sure = [0.99990, 0.99991, 0.99992]  # a network that is sure of itself: three digits would refuse nothing
    assert judge.choose_threshold(sure) == sure[0]
    assert sum(mean < threshold for mean in living) <= judge.BPCER * len(living)
    assert sum(mean < threshold + 0.02 for mean in living) > judge.BPCER * len(living)
    with pytest.raises(ExportError, match="no living"):
        judge.choose_threshold([])


def test_the_recipe_that_is_shipped_is_read_and_a_misspelt_key_is_named(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from janusd_export.passive import recipe  # noqa: PLC0415

    assert recipe.load(RECIPE).name == "janus-p1"
    assert recipe.load(RECIPE).media == FIRST
    assert recipe.load(LONG).media == tuple(SPECIES)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(RECIPE.read_text().replace("batch", "bach"))
    with pytest.raises(ExportError, match="bach"):
        recipe.load(wrong)


def test_a_network_goes_into_a_model_folder_unsigned_and_only_as_it_was_compiled(tmp_path: Path) -> None:
    network, model = tmp_path / "network", tmp_path / "model"
    network.mkdir()
    model.mkdir()
    released = Path(judge.__file__).parents[3] / "daemon" / "janusd" / "models"
    content = (released / parse((released / "manifest.json").read_bytes()).encoder.file).read_bytes()
    spec = AttackNet(
        "p", "p.tflite", hashlib.sha256(content).hexdigest(), "1", SPEC.input, SPEC.output, 2.2, 0.4, 1.1
    )
    (network / spec.file).write_bytes(content)
    (network / judge.SPEC).write_bytes(msgspec.json.encode(spec))
    write_manifest(model, Manifest(1, SPEC))
    (model / "model.sig").write_bytes(b"over another manifest")
    assert parse(join(network, model).read_bytes()).attack == spec
    assert not (model / "model.sig").exists()
    (network / spec.file).write_bytes(content[:-1])
    with pytest.raises(ExportError, match="compile it again"):
        join(network, model)


def test_folding_keeps_what_the_network_computes() -> None:
    torch = pytest.importorskip("torch")
    from janusd_export.passive.compile import fold  # noqa: PLC0415
    from janusd_export.passive.network import PassiveNet  # noqa: PLC0415

    torch.manual_seed(0)
    network = PassiveNet((8, 8, 8, 8), (1, 1)).train()
    x = torch.randn(4, 3, 2 * cache.SIDE, cache.SIDE)
    for _ in range(3):
        network(x)
    network.eval()
    with torch.no_grad():
        assert torch.allclose(network(x), fold(network)(x), atol=1e-4)


def test_a_wider_network_begins_where_the_narrower_one_ended(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from janusd_export.passive.network import PassiveNet  # noqa: PLC0415
    from janusd_export.passive.train import grown  # noqa: PLC0415

    torch.manual_seed(0)
    narrow, wide = PassiveNet((8, 8, 8, 8), (1, 1)), PassiveNet((8, 12, 16, 8), (1, 1))
    x = torch.randn(4, 3, 2 * cache.SIDE, cache.SIDE)
    for _ in range(3):
        narrow.train()(x)
    wide.load_state_dict(grown(narrow.state_dict(), wide, tmp_path))
    with torch.no_grad():
        assert torch.allclose(narrow.eval()(x), wide.eval()(x), atol=1e-4)
    with pytest.raises(ExportError, match="wider than the recipe asks for"):
        grown(wide.state_dict(), narrow, tmp_path)


def written(folder: Path) -> Path:
    """A library and outlines in which every part has two people and two places."""
    drawn = people(6).library
    names = {(kind, part): [] for kind in (Kind.PHOTO, Kind.BACKGROUND) for part in Part}
    for number in range(200):
        for kind in (Kind.PHOTO, Kind.BACKGROUND):
            names[kind, part_of(kind, f"n{number}")].append(f"n{number}")
    labelled = []
    for (kind, _), groups in names.items():
        for group in groups[:2]:
            row = len([one for one in labelled if one.kind is kind]) + (6 if kind is Kind.BACKGROUND else 0)
            points = np.zeros((5, 2), np.float32) if kind is Kind.PHOTO else None
            labelled.append(Labelled(kind, group, drawn.pixels(row), points, (80.0, 62.0, 90.0, 126.0)))
    write(folder, labelled)
    rows = [row for row, one in enumerate(labelled) if one.kind is Kind.PHOTO]
    np.savez(folder / portraits.OUTLINES, row=rows, mask=np.repeat(people(6).masks[:1], len(rows), axis=0))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_whole_road_from_a_library_to_a_measured_int8_network(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("litert_torch")
    from janusd_export.passive import recipe, train  # noqa: PLC0415
    from janusd_export.passive.compile import compile_run  # noqa: PLC0415
    from janusd_export.passive.evaluate import evaluate, ours  # noqa: PLC0415

    library, text = written(tmp_path / "library"), RECIPE.read_text()
    (tmp_path / "tiny.toml").write_text(
        text.replace("[16, 24, 48, 96]", "[8, 8, 8, 8]").replace("processes = 2", "processes = 1")
        .replace("batch = 64", "batch = 4")
    )  # fmt: skip
    chosen = recipe.load(tmp_path / "tiny.toml")
    for part in (Part.TRAIN, Part.TUNE):
        for count in (4, 8):  # the second call adds one piece to the first one's
            cache.render(
                library, library, tmp_path / "cache", part, count=count, piece=4, seed=1, processes=1
            )
    assert len(cache.open_cache(tmp_path / "cache", "train")) == 8 * cache.LOOKS
    for other, named in ({"seed": 2}, "seed"), ({"media": FIRST}, "list of media"):
        asked = {"count": 8, "piece": 4, "seed": 1, "processes": 1, **other}
        with pytest.raises(ExportError, match=f"was made from another {named}: empty it"):
            cache.render(library, library, tmp_path / "cache", Part.TRAIN, **asked)
    for steps in (2, 1):
        train.train(chosen, [tmp_path / "cache"], tmp_path / "run", stop_after=steps)
    opened = open_library(library)
    tuning, held_out = (portraits.gather(opened, library, part) for part in (Part.TUNE, Part.HELD_OUT))
    out = tmp_path / "out"
    made = compile_run(chosen, tmp_path / "run", tmp_path / "cache", tuning, out, presentations=3)
    assert edgetpu.check(graph.read((out / "janus-p1.tflite").read_bytes())).is_mapped
    assert made.error < 0.1
    measured = evaluate(tuning, held_out, [ours(judge.open_judge(out))], count=1)
    unseen = len(LEFT_OUT) + len(recaptures.HELD_OUT)
    assert [row.rate_name for row in measured.rows].count("APCER") == len(SPECIES) + unseen
    assert {cell.trials for row in measured.rows for cell in row.cells.values()} == {1}
    ours_ = [ours(judge.open_judge(out))]
    measured = evaluate(tuning, held_out, ours_, count=1, living_count=2, is_seen_too=False)
    assert [row.cells["janus-p1"].trials for row in measured.rows] == [2] + unseen * [1]
    strict = evaluate(
        tuning, held_out, [ours(judge.open_judge(out), threshold=1.01)], count=1, is_seen_too=False
    )
    assert [row.cells["janus-p1"].errors for row in strict.rows] == [1] + unseen * [0]
    held = evaluate(
        tuning, held_out, [ours(judge.open_judge(out), remembers=4)], count=1, is_seen_too=False, frames=6
    )
    assert len(held.rows) == 1 + unseen


@pytest.mark.parametrize(
    ("scores", "trust"),
    [
        ([0.9, 0.9, 0.9, 0.1], 0.9),
        ([0.1, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9], 0.3),  # the last three means are 0.3, 0.5 and 0.7
        ([0.2, 0.4, 0.6], 0.2),
    ],
)
def test_trust_is_what_so_many_means_in_a_row_reach(
    scores: list[float], trust: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge.Judge, "_scores", lambda self, presented: scores)
    one = judge.Judge(network=None, spec=None)  # type: ignore[arg-type]
    assert one.longest_trust([], remembers=4, agree=3) == pytest.approx(trust)
