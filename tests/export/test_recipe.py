from pathlib import Path

import pytest

import janusd_export
from janusd_export.errors import ExportError
from janusd_export.main import main
from janusd_export.training import recipe

FOLDER = Path(janusd_export.__file__).parent / "recipes"
OTHERS = ("detector", "passive", "passive-long", "passive-longer")
RECIPES = sorted(path for path in FOLDER.glob("*.toml") if path.stem not in OTHERS)


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_every_recipe_of_the_house_is_read(path):
    assert recipe.load(path).schedule.batch > 0


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("batch =", "bach ="), "bach"),
        (("seed = 2", "seed = 'x' #"), "seed"),
        (("landmark_px", "landmark_pixels"), "landmark_pixels"),
        (("[losses]", "[losses"), r"first\.toml"),
    ],
)
def test_a_wrong_key_is_named_and_not_ignored(tmp_path, change, complaint):
    text = (FOLDER / "first.toml").read_text()
    assert change[0] in text
    path = tmp_path / "first.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(ExportError, match=complaint):
        recipe.load(path)


def test_a_late_part_changes_what_it_names_and_nothing_else(tmp_path):
    path = tmp_path / "late.toml"
    path.write_text((FOLDER / "fourth.toml").read_text())
    asked = recipe.load(path)
    first, *_, last = asked.loss_recipes
    assert (first.hints, first.relational) == (3.0, 0.5)
    assert (last.hints, last.relational) == (0.0, 1.0)
    assert last.embedding == first.embedding
    assert asked.augment_recipes[1] == asked.augment_recipe


def test_a_term_cannot_begin_late(tmp_path):
    path = tmp_path / "late.toml"
    path.write_text((FOLDER / "fourth.toml").read_text().replace("hints = 3.0", "hints = 0.0"))
    with pytest.raises(ExportError, match=r"late\.losses\.hints begins late: give \[losses\] hints a weight"):
        recipe.load(path)


def test_a_missing_recipe_is_one_line_and_no_traceback(capsys, tmp_path):
    assert main(["calibrate", str(tmp_path / "no.toml"), "--cache", "c", "--models", "m"]) == 1
    assert capsys.readouterr().err.startswith("janus-export: cannot read the recipe")


def test_identify_without_photographs_says_what_to_give(capsys):
    assert main(["identify"]) == 1
    assert "give --gallery and --probes, or --lfw" in capsys.readouterr().err
