"""What each objective asks for, and that nothing else differs. Needs no torch."""

import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import janusd_export
from janusd_export.errors import ExportError
from janusd_export.faces.teachers import ARCFACE, RETAIL
from janusd_export.training import recipe as recipes
from janusd_export.training import rivals
from janusd_export.training.rivals import Material, choose, fewest_faces_a_person

RECIPES = Path(janusd_export.__file__).parent / "recipes"
ALL = [
    "contrastive", "triplet", "softmax", "arcface", "from-mbf", "from-retail", "from-all", "relational",
    "combination",
]  # fmt: skip
PLENTY = Material({ARCFACE.name: 512, RETAIL.name: 256}, np.full(500, 4))
TERMS = ("embedding", "prefix", "relational", "hints", "contrastive", "triplet", "arcface", "softmax")


@pytest.fixture
def base():
    """The third recipe: hints, mixtures, a prefix, pieces, and labels in the target."""
    return recipes.load(RECIPES / "third.toml")


def asked(recipe):
    return {term for term in TERMS if getattr(recipe.losses, term)}


def test_each_objective_asks_for_its_own_terms_and_no_other(base):
    found = {rival.name: rival for rival in choose(base, PLENTY)}
    assert list(found) == ALL
    for name in ("contrastive", "triplet", "softmax", "arcface"):
        assert asked(found[name].recipe) == {name}
        assert found[name].knows_people
        assert found[name].recipe.wanted_teachers == ()
        assert not found[name].recipe.mixtures.count  # nobody is on them
    for name in ("from-mbf", "from-retail", "from-all"):
        assert asked(found[name].recipe) == {"embedding"}
        assert found[name].recipe.target.person_weight == 0.0  # no labels
    assert found["from-mbf"].recipe.target.teachers == (ARCFACE.name,)
    assert found["from-retail"].recipe.target.teachers == (RETAIL.name,)
    assert found["from-all"].recipe.target.teachers is None
    assert asked(found["relational"].recipe) == {"embedding", "relational"}
    assert found["combination"].recipe == base


def test_all_but_the_objective_is_the_base_recipes(base):
    free = {
        "losses": set(msgspec.structs.asdict(base.losses)),
        "schedule": {"faces_a_person", "pieces"},
        "target": {"teachers", "person_weight"},
        "mixtures": {"count", "share"},
    }
    before = msgspec.to_builtins(base)
    for rival in choose(base, PLENTY):
        after = msgspec.to_builtins(rival.recipe)
        for table, value in before.items():
            if isinstance(value, dict):
                changed = {key for key in value if after[table][key] != value[key]}
                assert changed <= free.get(table, set()), (rival.name, table)
            else:
                assert after[table] == value, (rival.name, table)


def test_weights_that_change_late_change_for_the_combination_alone(base):
    late = (recipes.Late(since=0.5, augment={"light": 0.1}, losses={"hints": 9.0, "embedding": 2.0}),)
    found = {rival.name: rival.recipe for rival in choose(msgspec.structs.replace(base, late=late), PLENTY)}
    assert found.pop("combination").late == late
    for name, recipe in found.items():
        assert recipe.loss_recipes == (recipe.losses, recipe.losses), name
        assert recipe.augment_recipes[1].light == 0.1


def test_pairs_and_triplets_see_several_faces_of_a_person_in_one_piece(base):
    found = {rival.name: rival.recipe.schedule for rival in choose(base, PLENTY)}
    assert base.schedule.pieces == 2
    for name in ("contrastive", "triplet"):
        assert (found[name].faces_a_person, found[name].pieces) == (2, 1)
    for name in ("softmax", "arcface"):
        assert (found[name].faces_a_person, found[name].pieces) == (1, 2)  # labelled faces only
    assert found["from-all"].faces_a_person == 0


def test_a_few_are_chosen_in_the_order_of_the_table(base):
    assert [r.name for r in choose(base, PLENTY, ["relational", "triplet"])] == ["triplet", "relational"]


def test_the_modules_own_table_names_every_objective():
    listed = re.findall(r"^    ([a-z]+(?:-[a-zA-Z]+)?)  ", rivals.__doc__, re.MULTILINE)
    assert listed == ["name", *ALL[:4], "from-TEACHER", *ALL[6:]]


def test_an_unknown_name_is_refused_with_those_there_are(base):
    with pytest.raises(ExportError, match="tripletz is no objective: choose among contrastive, triplet"):
        choose(base, PLENTY, ["tripletz"])


def remedy(error):
    return str(error.value).partition("--only ")[2].split()


def test_without_labels_the_error_says_what_is_left(base):
    nobody = Material(PLENTY.teachers, np.array([], np.intp))
    with pytest.raises(ExportError, match="contrastive, triplet, softmax, arcface: learn from people") as why:
        choose(base, nobody)
    assert remedy(why) == ALL[4:]
    assert [rival.name for rival in choose(base, nobody, remedy(why))] == ALL[4:]


def test_with_one_teacher_there_is_no_several(base):
    one = Material({RETAIL.name: 256}, PLENTY.faces_of)
    with pytest.raises(ExportError, match=r"from-all asks two .* has face-reid.* alone: teach ano") as why:
        choose(base, one)
    assert remedy(why) == [*ALL[:4], "from-retail", "relational", "combination"]
    assert len(choose(base, one, remedy(why))) == 7


def test_without_any_teacher_people_can_still_be_compared(base):
    untaught = Material({}, PLENTY.faces_of)
    with pytest.raises(ExportError, match="no embeddings of any teacher: run janus-export teach") as why:
        choose(base, untaught)
    assert [rival.name for rival in choose(base, untaught, remedy(why))] == ALL[:4]


def test_a_teacher_that_the_recipe_names_and_the_cache_lacks_is_named(base):
    target = msgspec.structs.replace(base.target, teachers=(ARCFACE.name, RETAIL.name))
    with pytest.raises(ExportError, match="no embeddings of arcface_mbf_512: run janus-export teach"):
        choose(msgspec.structs.replace(base, target=target), Material({RETAIL.name: 256}, PLENTY.faces_of))


def test_a_target_that_one_teacher_alone_cannot_fill_is_refused(base):
    wide = msgspec.structs.replace(base, target=msgspec.structs.replace(base.target, embedding=300))
    with pytest.raises(ExportError, match=r"from-retail: target\.embedding = 300.*has 256 dimensions"):
        choose(wide, PLENTY)
    assert len(choose(wide, PLENTY, [name for name in ALL if name != "from-retail"])) == 8


def test_the_permissive_recipe_listens_to_permissive_teachers_alone():
    asked_for = recipes.load(RECIPES / "permissive.toml")
    assert asked_for.wanted_teachers == (RETAIL.name,)
    assert RETAIL.is_permissive
    assert not asked_for.losses.hints  # they are the other teacher's
    assert asked_for.mixtures.count
    assert asked_for.target.embedding <= RETAIL.dimensions


@given(
    batch=st.integers(1, 60),
    least=st.integers(1, 4),
    faces_of=st.lists(st.integers(1, 9), max_size=30).map(np.array),
)
def test_batches_stay_as_large_as_they_were_or_are_refused(batch, least, faces_of):
    fits = [n for n in range(least, batch + 1) if batch % n == 0 and (faces_of >= n).sum() >= batch // n]
    if fits:
        assert fewest_faces_a_person(batch, least, faces_of) == min(fits)
    else:
        with pytest.raises(ExportError, match=r"lower schedule\.batch"):
            fewest_faces_a_person(batch, least, faces_of)
