"""Whole comparisons of a few steps on faces made of noise: that they are fair and go on after a kill.

Needs torch; without it these are skipped (`make test-export` has it). Nobody learns anything here.
"""

import csv
import json

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")

from janusd_export.errors import ExportError  # noqa: E402
from janusd_export.evaluation import comparison, contest  # noqa: E402
from janusd_export.evaluation.contest import Budget, compare  # noqa: E402
from janusd_export.faces.cache import open_faces, split_people  # noqa: E402
from janusd_export.faces.layout import stored_template  # noqa: E402
from janusd_export.faces.targets import fit_fusion  # noqa: E402
from janusd_export.faces.teachers import ALL  # noqa: E402
from janusd_export.main import main  # noqa: E402
from janusd_export.training import recipe as recipes  # noqa: E402
from janusd_export.training import runs  # noqa: E402
from janusd_export.training.batches import Batches  # noqa: E402
from janusd_export.training.objectives import Asked, Objective  # noqa: E402
from janusd_export.training.rivals import Material, choose  # noqa: E402

PEOPLE, EACH, SIDE = 14, 4, 144
NAMES = [
    "contrastive", "triplet", "softmax", "arcface", "from-mbf", "from-retail", "from-all", "relational",
    "combination",
]  # fmt: skip

TINY = """
name = "tiny"
version = "0"
seed = 7
[faces]
held_out_people = 6
[target]
embedding = 12
person_weight = 0.2
[student]
stem = 4
widths = [8, 8, 8]
blocks = [1, 0, 0]
mix = 16
[schedule]
batch = 8
epochs = 3
validate_minutes = 60
processes = 1
loaders = 0
bfloat16 = false
device = "cpu"
[losses]
embedding = 1.0
prefix = 0.5
prefix_dimensions = 6
relational = 0.5
bank = 16
arcface = 0.1
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Fourteen people; the second teacher alone takes one training face for a held-out person's."""
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    count = PEOPLE * EACH
    np.save(folder / "faces.npy", rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))
    np.save(folder / "landmarks.npy", np.tile(stored_template(16), (count, 1, 1)))
    person = np.repeat(np.arange(PEOPLE), EACH)
    held = np.random.default_rng(7).choice(PEOPLE, 6, replace=False)  # as the recipe's seed has it
    taught = np.flatnonzero(~np.isin(person, held))
    for number, teacher in enumerate(ALL):
        centre = rng.normal(size=(PEOPLE, 96))[person]
        seen = centre + 0.2 * rng.normal(size=centre.shape)
        if number == 1:
            seen[taught[0]] = seen[np.flatnonzero(person == held[0])[0]]
        np.save(folder / f"teacher-{teacher.name}.npy", seen.astype(np.float32))
    with (folder / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "source", "person"])
        table.writerows([f"f{row}", "noise", f"p{who:02}"] for row, who in enumerate(person))
    return folder


@pytest.fixture
def tiny(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return recipes.load(path)


def faces_and_split(recipe, cache):
    faces = open_faces(cache, 16, recipe.wanted_teachers)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    return faces, split


def rivals_of(tiny, cache, only=None):
    _, split = faces_and_split(tiny, cache)
    assert len(split.train) == 32  # nobody dropped by both together
    return choose(tiny, Material({teacher.name: 96 for teacher in ALL}, np.full(8, EACH)), only)


def without_times(outcomes):
    return [msgspec.structs.replace(outcome, seconds=0.0) for outcome in outcomes]


def test_every_objective_learns_from_the_same_faces_and_is_judged_on_the_same_people(cache, tiny):
    _, expected = faces_and_split(tiny, cache)
    alone = open_faces(cache, 16, [ALL[1].name])
    with_it = split_people(alone, 6, np.random.default_rng(7))
    assert with_it.dropped == 0
    alone.judges[:] = alone.teachers  # were only those asked who are learnt from, a face would be missing
    assert split_people(alone, 6, np.random.default_rng(7)).dropped == 1
    for rival in rivals_of(tiny, cache):
        _, split = faces_and_split(rival.recipe, cache)
        np.testing.assert_array_equal(split.train, expected.train, rival.name)
        np.testing.assert_array_equal(split.held_out, expected.held_out, rival.name)


def test_objectives_of_a_kind_see_the_same_batches(cache, tiny):
    batches = {}
    for rival in rivals_of(tiny, cache):
        faces, split = faces_and_split(rival.recipe, cache)
        drawn = Batches(faces, split.train, rival.recipe, total=4, part=torch.zeros((), dtype=torch.int64))
        batches[rival.name] = [drawn[number] for number in range(4)]
    kinds = (NAMES[0:2], NAMES[2:4], NAMES[4:])
    for kind in kinds:
        for name in kind[1:]:
            for one, other in zip(batches[kind[0]], batches[name], strict=True):
                assert torch.equal(one.rows, other.rows)
                assert torch.equal(one.crops, other.crops)
    assert {len(batch.rows) for each in batches.values() for batch in each} == {8}


def test_objectives_differ_in_what_they_pull_at(cache, tiny):
    """The same embeddings and faces; every two objectives want to move them differently."""
    drawn = torch.Generator().manual_seed(1)
    start = torch.randn(8, 12, generator=drawn)
    pulls = {}
    for rival in rivals_of(tiny, cache):
        recipe = rival.recipe
        faces, split = faces_and_split(recipe, cache)
        rows = split.train[:8]  # two people with four faces each
        target = torch.zeros(len(faces.person), 12)
        if faces.teachers:
            fusion = fit_fusion([t[split.train] for t in faces.teachers], 12, np.random.default_rng(7))
            target = torch.from_numpy(fusion(faces.teachers))
        torch.manual_seed(3)
        objective = Objective(recipe.losses, embedding=12, people=8)
        y = start.clone().requires_grad_()
        person = torch.arange(8) // EACH
        total, terms = objective(y, [], Asked(target[rows], person, target[split.train]))
        total.backward()
        assert all(getattr(recipe.losses, name) for name in terms)
        assert float(y.grad.norm()) > 0, rival.name
        pulls[rival.name] = torch.nn.functional.normalize(y.grad.flatten(), dim=0)
    for number, one in enumerate(NAMES):
        for other in NAMES[number + 1 :]:
            assert float(pulls[one] @ pulls[other]) < 0.98, (one, other)


def test_all_begin_with_the_same_weights(cache, tiny, tmp_path):
    still = msgspec.structs.replace(tiny.schedule, learning_rate=0.0)
    some = ["triplet", "arcface", "from-mbf", "combination"]
    compare(msgspec.structs.replace(tiny, schedule=still), cache, tmp_path / "out", Budget(steps=1), some)
    states = [
        torch.load(tmp_path / "out" / name / "checkpoint.pt", weights_only=True)["student"] for name in some
    ]
    learnt = [name for name in states[0] if "running" not in name and "num_batches" not in name]
    assert any(name.endswith("conv.weight") for name in learnt)
    for state in states[1:]:
        assert all(torch.equal(state[name], states[0][name]) for name in learnt)


@pytest.fixture(scope="module")
def whole(cache, tmp_path_factory):
    """A comparison of all, five steps each, by the verb."""
    place = tmp_path_factory.mktemp("whole")
    (place / "tiny.toml").write_text(TINY)
    verb = ["compare", str(place / "tiny.toml"), "--cache", str(cache), "--out", str(place / "out")]
    assert main([*verb, "--steps", "5"]) == 0
    return place / "out"


def test_all_have_the_same_budget(whole):
    found = comparison.read(whole)
    assert [outcome.name for outcome in found.outcomes] == NAMES
    assert {(outcome.steps, outcome.faces_seen) for outcome in found.outcomes} == {(5, 40)}
    assert found.budget == "5 steps"
    assert (found.held_out_people, found.held_out_faces) == (6, 24)
    assert (found.genuine, found.impostor) == (36, 240)
    for outcome in found.outcomes:
        state = torch.load(whole / outcome.name / "checkpoint.pt", weights_only=True)
        assert state["progress"] == 1.0  # the learning rate came down within the budget


def test_the_tables_figures_are_those_of_the_runs_own_logs(whole):
    for outcome in comparison.read(whole).outcomes:
        last = runs.read(whole / outcome.name).validations[-1]
        assert last["step"] == outcome.steps
        often, rare = outcome.points
        assert round(often.matched.value, 4) == last["tar@0.01"], outcome.name
        assert often.matched.trials == 36
        low, high = often.by_people
        assert low <= often.matched.value <= high
        assert rare.matched is None  # 240 pairs of strangers show no rate of one in a thousand
        assert "tar@0.001" not in last
        assert outcome.cosine == last.get("cosine")
        assert (outcome.cosine is None) == (outcome.name in NAMES[:4])
        assert 0.0 <= outcome.equal_error_rate <= 1.0


def test_the_verb_prints_one_object_and_draws_a_picture(whole, cache, tmp_path, capfd):
    (tmp_path / "tiny.toml").write_text(TINY)
    verb = ["compare", str(tmp_path / "tiny.toml"), "--cache", str(cache), "--out", str(whole)]
    assert main([*verb, "--steps", "5", "--json"]) == 0  # all are through: nothing is trained
    said = capfd.readouterr()
    assert [row["name"] for row in json.loads(said.out)["outcomes"]] == NAMES
    assert said.err.count("was through") == len(NAMES)
    assert main([*verb, "--steps", "5"]) == 0
    table = capfd.readouterr().out
    for outcome in comparison.read(whole).outcomes:
        assert outcome.name in table
        assert f"{100 * outcome.points[0].matched.value:.2f} %" in table
    assert "labelled" in table
    assert "36 genuine and 240 impostor pairs" in table
    picture = (whole / "comparison.svg").read_text()
    assert picture.startswith("<svg ")
    assert ">combination</text>" in picture


def test_the_report_shows_a_comparison(whole, tmp_path, capsys):
    assert main(["report", str(whole), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    drawn = page[page.index('id="objectives"') : page.index('id="layers"')]
    assert "Made by" not in drawn
    assert all(f"<td>{name}<small>" in drawn for name in NAMES)


def test_a_comparison_that_was_killed_goes_on_with_the_run_it_was_in(
    whole, cache, tiny, tmp_path, monkeypatch
):
    some = ["triplet", "from-retail"]
    expected = [outcome for outcome in comparison.read(whole).outcomes if outcome.name in some]
    real, trained = contest.train, []

    def killed(recipe, cache_dir, run_dir):
        trained.append(run_dir.name)
        return real(recipe, cache_dir, run_dir, stop_after=3 if run_dir.name == "from-retail" else None)

    monkeypatch.setattr(contest, "train", killed)
    with pytest.raises(ExportError, match="from-retail was stopped: run the same command again"):
        compare(tiny, cache, tmp_path / "parts", Budget(steps=5), some)
    assert [o.name for o in comparison.read(tmp_path / "parts").outcomes] == ["triplet"]
    assert trained == ["triplet", "from-retail"]
    found = compare(tiny, cache, tmp_path / "parts", Budget(steps=5), some)
    assert trained == ["triplet", "from-retail", "from-retail"]
    assert without_times(found.outcomes) == without_times(expected)
    assert runs.read(tmp_path / "parts" / "from-retail").starts == 2


def test_more_objectives_can_be_added_later_and_keep_their_order(cache, tiny, tmp_path):
    compare(tiny, cache, tmp_path / "out", Budget(steps=1), ["relational"])
    found = compare(tiny, cache, tmp_path / "out", Budget(steps=1), ["softmax"])
    assert {outcome.name for outcome in found.outcomes} == {"softmax", "relational"}


def test_another_budget_or_recipe_does_not_go_into_the_same_folder(whole, cache, tiny):
    kept = (whole / comparison.FILE).read_bytes()
    with pytest.raises(ExportError, match=r"another recipe, budget or cache \(tiny, 5 steps.*--out"):
        compare(tiny, cache, whole, Budget(steps=6), ["softmax"])
    warmer = msgspec.structs.replace(tiny, schedule=msgspec.structs.replace(tiny.schedule, warmup=0.1))
    with pytest.raises(ExportError, match="another recipe, budget or cache"):
        compare(warmer, cache, whole, Budget(steps=5), ["softmax"])
    assert (whole / comparison.FILE).read_bytes() == kept


def test_a_comparison_of_a_version_that_knew_fewer_keys_goes_on(whole, cache, tiny, tmp_path):
    found = comparison.read(whole)
    del found.settings["recipe"]["student"]["normalised"]  # as a version before that key wrote it
    comparison.write(tmp_path / "out", found)
    again = compare(tiny, cache, tmp_path / "out", Budget(steps=5), ["softmax"])
    assert again.outcomes == found.outcomes
    found.settings["recipe"]["student"]["of_a_later_version"] = 1
    comparison.write(tmp_path / "out", found)
    with pytest.raises(ExportError, match="another recipe, budget or cache"):
        compare(tiny, cache, tmp_path / "out", Budget(steps=5), ["softmax"])


def test_what_a_later_run_would_miss_is_said_before_the_first(cache, tiny, tmp_path):
    hinted = msgspec.structs.replace(tiny, losses=msgspec.structs.replace(tiny.losses, hints=1.0))
    with pytest.raises(ExportError, match="janus-export hints"):
        compare(hinted, cache, tmp_path / "out", Budget(steps=1))
    mixed = msgspec.structs.replace(tiny, mixtures=recipes.Mixtures(count=5))
    with pytest.raises(ExportError, match="janus-export mix"):
        compare(mixed, cache, tmp_path / "out", Budget(steps=1))
    assert not (tmp_path / "out").exists()


def test_a_budget_of_nothing_is_refused(cache, tiny, tmp_path):
    for budget in (Budget(steps=0), Budget(steps=-3), Budget(minutes=0.0)):
        with pytest.raises(ExportError, match="more than nothing"):
            compare(tiny, cache, tmp_path / "out", budget)


def test_one_person_held_out_has_no_stranger(cache, tiny, tmp_path):
    alone = msgspec.structs.replace(tiny, faces=recipes.Faces(held_out_people=1))
    with pytest.raises(ExportError, match="held_out_people must be two or more"):
        compare(alone, cache, tmp_path / "out", Budget(steps=1))


def test_a_loss_that_is_no_number_names_its_objective(cache, tiny, tmp_path, monkeypatch):
    real = Objective.forward

    def poisoned(self, y, features, asked):
        total, terms = real(self, y, features, asked)
        return total * float("nan"), terms

    monkeypatch.setattr(Objective, "forward", poisoned)
    with pytest.raises(ExportError, match="softmax: the loss became nan"):
        compare(tiny, cache, tmp_path / "out", Budget(steps=1), ["softmax"])


def test_students_begin_anew_and_so_with_their_norms(cache, tiny, tmp_path):
    bare = msgspec.structs.replace(tiny, student=msgspec.structs.replace(tiny.student, normalised=False))
    compare(bare, cache, tmp_path / "out", Budget(steps=1), ["from-all"])
    state = torch.load(tmp_path / "out" / "from-all" / "checkpoint.pt", weights_only=True)["student"]
    assert any(name.endswith("running_mean") for name in state)
