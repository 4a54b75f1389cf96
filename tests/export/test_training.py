"""Whole runs of a few steps on faces made of noise: what a run promises, not how well it learns.

Needs torch; without it these are skipped (`make test-export` has it).
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from janusd_export.compiling.compile import compile_run  # noqa: E402
from janusd_export.errors import ExportError  # noqa: E402
from janusd_export.faces.cache import check_held_out, open_faces, split_people  # noqa: E402
from janusd_export.faces.layout import stored_template  # noqa: E402
from janusd_export.faces.mixtures import Mixtures  # noqa: E402
from janusd_export.faces.teachers import ALL, ARCFACE, RETAIL  # noqa: E402
from janusd_export.training import recipe as recipes  # noqa: E402
from janusd_export.training import train as training  # noqa: E402
from janusd_export.training.batches import Batch, Batches  # noqa: E402
from janusd_export.training.checkpoint import load_average  # noqa: E402
from janusd_export.training.crew import Crew  # noqa: E402
from janusd_export.training.train import train  # noqa: E402

PEOPLE, EACH, SIDE = 12, 4, 144

TINY = """
name = "tiny"
version = "0"
seed = 7
[faces]
held_out_people = 3
[target]
embedding = 12
person_weight = 0.2
[student]
stem = 4
widths = [8, 8, 8]
blocks = [1, 0, 0]
mix = 16
[schedule]
batch = 12
epochs = 3
validate_minutes = 60
processes = 1
loaders = 0
bfloat16 = false
device = "cpu"
[losses]
embedding = 1.0
relational = 0.5
bank = 16
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    rng = np.random.default_rng(0)
    count = PEOPLE * EACH
    np.save(folder / "faces.npy", rng.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8))
    np.save(folder / "landmarks.npy", np.tile(stored_template(16), (count, 1, 1)))
    person = np.repeat(np.arange(PEOPLE), EACH)
    for number, teacher in enumerate(ALL):
        centre = rng.normal(size=(PEOPLE, 16 + 4 * number))[person]
        seen = centre + 0.2 * rng.normal(size=centre.shape)
        np.save(folder / f"teacher-{teacher.name}.npy", seen.astype(np.float32))
    with (folder / "faces.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["key", "source", "person"])
        table.writerows([f"f{row}", "noise", f"p{who}"] for row, who in enumerate(person))
    return folder


@pytest.fixture
def tiny(tmp_path: Path) -> recipes.Recipe:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return recipes.load(path)


def asking(recipe: recipes.Recipe, **losses: float) -> recipes.Recipe:
    return msgspec.structs.replace(recipe, losses=recipes.Losses(**losses))


def scheduled(recipe: recipes.Recipe, **changes: object) -> recipes.Recipe:
    return msgspec.structs.replace(recipe, schedule=msgspec.structs.replace(recipe.schedule, **changes))


def weights(recipe: recipes.Recipe, run_dir: Path) -> dict[str, torch.Tensor]:
    return load_average(recipe, run_dir / "checkpoint.pt").state_dict()


def log(run_dir: Path, event: str) -> list[dict]:
    lines = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_was_interrupted_ends_with_the_same_weights(cache, tiny, tmp_path, optimizer):
    tiny = scheduled(tiny, optimizer=optimizer)
    train(tiny, cache, tmp_path / "whole")
    train(tiny, cache, tmp_path / "parts", stop_after=2)
    train(tiny, cache, tmp_path / "parts", stop_after=1)
    train(tiny, cache, tmp_path / "parts")
    whole, parts = weights(tiny, tmp_path / "whole"), weights(tiny, tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_run_that_ended_is_not_trained_on_until_its_schedule_is_longer(cache, tiny, tmp_path):
    train(tiny, cache, tmp_path / "run")
    ended = (tmp_path / "run" / "checkpoint.pt").read_bytes()
    train(tiny, cache, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == ended
    (step,) = {line["step"] for line in log(tmp_path / "run", "validate")}
    train(scheduled(tiny, epochs=2 * tiny.schedule.epochs), cache, tmp_path / "run")
    assert log(tmp_path / "run", "validate")[-1]["step"] == 2 * step


def test_whom_a_network_learnt_from_never_judges_it(cache, tiny, tmp_path):
    """Who is held out is drawn among all with two faces: one person less, and others are."""
    mine = shutil.copytree(cache, tmp_path / "cache")
    train(tiny, mine, tmp_path / "run", stop_after=1)
    table = (mine / "faces.csv").read_text()
    (mine / "faces.csv").write_text(table.replace(",p0\n", ",\n"))
    with pytest.raises(ExportError, match="holds out other people than when the network was trained"):
        train(tiny, mine, tmp_path / "run")
    path = tmp_path / "tiny.toml"
    with pytest.raises(ExportError, match="holds out other people"):
        compile_run(tiny, path, mine, tmp_path / "run", tmp_path / "models")
    with pytest.raises(ExportError, match="holds out other people"):
        check_held_out("now", "then")
    check_held_out("now", None)  # of a version that did not note it
    (mine / "faces.csv").write_text(table)
    train(tiny, mine, tmp_path / "run", stop_after=1)


def test_a_run_by_the_clock_ends_on_both_processes(cache, tiny, tmp_path):
    train(scheduled(tiny, epochs=None, minutes=0.03, processes=2, batch=6), cache, tmp_path / "run")
    assert log(tmp_path / "run", "validate")[-1]["progress"] >= 1.0


def test_a_run_may_begin_with_the_weights_of_another(cache, tiny, tmp_path):
    first = train(tiny, cache, tmp_path / "first")
    train(scheduled(tiny, learning_rate=0.0), cache, tmp_path / "second", stop_after=1, start_from=first)
    a, b = weights(tiny, tmp_path / "first"), weights(tiny, tmp_path / "second")
    assert torch.equal(a["embed.weight"], b["embed.weight"])
    (start,) = log(tmp_path / "second", "start")
    assert start["start_from"].startswith("first/checkpoint.pt ")


def test_a_run_that_goes_on_from_another_draws_what_that_one_did_not(cache, tiny):
    faces = open_faces(cache, 16, tiny.wanted_teachers)
    split = split_people(faces, tiny.faces.held_out_people, np.random.default_rng(tiny.seed))

    def drawn(before: int) -> list[Batch]:
        later = scheduled(tiny, batches_before=before)
        batches = Batches(faces, split.train, later, total=9, part=torch.zeros((), dtype=torch.int64))
        return [batches[number] for number in range(3)]

    first, second = drawn(0), drawn(1)
    assert all(torch.equal(one.crops, other.crops) for one, other in zip(first[1:], second, strict=False))
    assert not any(torch.equal(one.crops, other.crops) for one, other in zip(first, second, strict=True))
    banks = [
        training._draw(1_000, scheduled(tiny, batches_before=before), step, Crew(0, 1, ""))
        for before, step in ((0, 3), (2, 1), (2, 3))
    ]
    assert torch.equal(banks[0], banks[1])
    assert not torch.equal(banks[0], banks[2])


def test_the_weights_of_another_architecture_are_refused(cache, tiny, tmp_path):
    first = train(tiny, cache, tmp_path / "first", stop_after=1)
    other = msgspec.structs.replace(tiny, student=recipes.Student(stem=8, widths=(8, 8, 8), mix=16))
    with pytest.raises(ExportError, match="another architecture"):
        train(other, cache, tmp_path / "second", start_from=first)


def unnormalised(recipe: recipes.Recipe) -> recipes.Recipe:
    return msgspec.structs.replace(recipe, student=msgspec.structs.replace(recipe.student, normalised=False))


def test_a_student_without_norms_begins_as_the_one_it_starts_from_and_learns_on(cache, tiny, tmp_path):
    first, asked = train(tiny, cache, tmp_path / "first"), unnormalised(tiny)
    still, moved = tmp_path / "still", tmp_path / "moved"
    train(scheduled(asked, learning_rate=0.0), cache, still, stop_after=1, start_from=first)
    train(asked, cache, moved, stop_after=2, start_from=first)
    x = torch.rand(2, 3, 112, 112) * 2 - 1
    with torch.no_grad():
        old, new = (
            load_average(r, f / "checkpoint.pt")(x) for r, f in ((tiny, first.parent), (asked, still))
        )
    assert torch.allclose(old, new, atol=1e-5)
    assert not any("running_mean" in name for name in weights(asked, moved))
    assert not torch.equal(weights(asked, still)["embed.weight"], weights(asked, moved)["embed.weight"])


def test_a_student_with_norms_cannot_begin_as_one_without(cache, tiny, tmp_path):
    first = train(tiny, cache, tmp_path / "first", stop_after=1)
    bare = train(unnormalised(tiny), cache, tmp_path / "bare", stop_after=1, start_from=first)
    with pytest.raises(ExportError, match="without batch norm"):
        train(tiny, cache, tmp_path / "second", start_from=bare)


def test_another_seed_gives_another_network(cache, tiny, tmp_path):
    train(tiny, cache, tmp_path / "a")
    train(msgspec.structs.replace(tiny, seed=8), cache, tmp_path / "b")
    a, b = weights(tiny, tmp_path / "a"), weights(tiny, tmp_path / "b")
    assert not torch.equal(a["embed.weight"], b["embed.weight"])


@pytest.mark.parametrize("term", ["embedding", "contrastive", "triplet", "arcface", "softmax"])
def test_every_objective_moves_the_student(cache, tiny, tmp_path, term):
    asked = scheduled(asking(tiny, **({"embedding": 0.0} | {term: 1.0})), faces_a_person=2)
    before = train(asked, cache, tmp_path / "run", stop_after=1)
    first = torch.load(before, weights_only=True)["student"]["embed.weight"].clone()
    train(asked, cache, tmp_path / "run", stop_after=3)
    after = torch.load(before, weights_only=True)["student"]["embed.weight"]
    assert torch.isfinite(after).all()
    assert not torch.equal(first, after)


def test_labels_alone_are_enough_without_any_teacher(cache, tiny, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("faces.npy", "landmarks.npy", "faces.csv"):
        (alone / name).symlink_to(cache / name)
    with pytest.raises(ExportError, match="janus-export teach"):
        train(tiny, alone, tmp_path / "run")
    asked = scheduled(asking(tiny, embedding=0.0, arcface=1.0), faces_a_person=2)
    train(asked, alone, tmp_path / "run", stop_after=1)
    assert not {"cosine", "cosine_learnt"} & set(log(tmp_path / "run", "validate")[0])


def test_a_checkpoint_names_every_teacher_its_student_ever_had(cache, tiny, tmp_path):
    """Hints count, and so does the run it began with: on them hangs the licence."""
    alone = msgspec.structs.replace(
        tiny, target=msgspec.structs.replace(tiny.target, teachers=(RETAIL.name,), embedding=8)
    )
    own = with_hints(cache, tmp_path / "cache")
    plain = train(alone, own, tmp_path / "plain", stop_after=1)
    hinted = msgspec.structs.replace(alone, losses=recipes.Losses(embedding=1.0, hints=1.0))
    first = train(hinted, own, tmp_path / "hinted", stop_after=1)
    after = train(alone, own, tmp_path / "after", stop_after=1, start_from=first)
    train(alone, own, tmp_path / "after", stop_after=1)  # goes on, and does not forget
    named = [torch.load(kept, weights_only=True)["taught_by"] for kept in (plain, first, after)]
    assert named[0] == [RETAIL.name]
    assert named[1] == named[2] == sorted([ARCFACE.name, RETAIL.name])


@pytest.mark.parametrize("family", ["residual", "mobile"])
def test_both_families_train_and_are_loaded_again(cache, tiny, tmp_path, family):
    student = recipes.Student(family=family, stem=4, widths=(8, 8, 8), blocks=(0, 0, 0), factor=0.125, mix=16)
    asked = msgspec.structs.replace(tiny, student=student)
    train(asked, cache, tmp_path / "run", stop_after=1)
    assert weights(asked, tmp_path / "run")


def test_two_processes_learn_what_one_log_tells(cache, tiny, tmp_path):
    asked = scheduled(tiny, processes=2, batch=6)
    train(asked, cache, tmp_path / "run")
    (start,) = log(tmp_path / "run", "start")
    assert start["processes"] == 2
    assert len(log(tmp_path / "run", "validate")) == 1


def test_a_run_of_two_processes_that_is_told_to_stop_saves_and_ends_whole(cache, tiny, tmp_path):
    (tmp_path / "two.toml").write_text(
        TINY.replace("processes = 1", "processes = 2").replace("= 3\nv", "= 9999\nv")
    )
    run, verb = tmp_path / "run", ["-m", "janusd_export.main", "train", str(tmp_path / "two.toml")]
    with (tmp_path / "errors").open("w") as errors:
        started = subprocess.Popen(
            [sys.executable, *verb, "--cache", str(cache), "--run-dir", str(run)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        deadline = time.monotonic() + 240
        while not (run / "log.jsonl").exists() or not log(run, "start"):
            assert started.poll() is None, (tmp_path / "errors").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        started.send_signal(signal.SIGTERM)
        assert started.wait(60) == 0, (tmp_path / "errors").read_text()
    finally:
        started.kill()
    assert log(run, "validate")
    assert (run / "checkpoint.pt").exists()
    while [child for child in children if Path(f"/proc/{child}").exists()]:  # the last ones sweep up
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_torchrun_starts_the_same_recipe_on_many_processes(cache, tiny, tmp_path):
    (tmp_path / "two.toml").write_text(TINY.replace("epochs = 3", "epochs = 1"))
    verb = ["-m", "janusd_export.main", "train", str(tmp_path / "two.toml")]
    verb += ["--cache", str(cache), "--run-dir", str(tmp_path / "run")]
    subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *verb],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
    )
    (start,) = log(tmp_path / "run", "start")
    assert start["processes"] == 2


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_state(
    cache, tiny, tmp_path, monkeypatch
):
    checkpoint = train(tiny, cache, tmp_path / "run", stop_after=1)
    good = checkpoint.read_bytes()
    real = training.Objective.forward

    def poisoned(self, y, features, asked):
        total, terms = real(self, y, features, asked)
        return total * float("nan"), terms

    monkeypatch.setattr(training.Objective, "forward", poisoned)
    with pytest.raises(ExportError, match=r"became nan at step 1.*learning_rate.*checkpoint\.pt"):
        train(tiny, cache, tmp_path / "run")
    assert checkpoint.read_bytes() == good


def test_a_full_disk_is_said_and_the_old_checkpoint_stays(cache, tiny, tmp_path, monkeypatch):
    checkpoint = train(tiny, cache, tmp_path / "run", stop_after=1)
    good = checkpoint.read_bytes()

    def full(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(ExportError, match=r"cannot write .*No space left.*make room"):
        train(tiny, cache, tmp_path / "run", stop_after=1)
    assert checkpoint.read_bytes() == good
    assert not (tmp_path / "run" / "checkpoint.new").exists()


def test_half_a_checkpoint_is_named(cache, tiny, tmp_path):
    checkpoint = train(tiny, cache, tmp_path / "run", stop_after=1)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ExportError, match=r"checkpoint\.pt is no whole checkpoint.*delete it"):
        train(tiny, cache, tmp_path / "run")


def test_more_people_than_there_are_is_said_before_the_first_step(cache, tiny, tmp_path):
    asked = scheduled(asking(tiny, contrastive=1.0), batch=24, faces_a_person=2)
    with pytest.raises(ExportError, match=r"asks for 12 people with 2 faces or more, and there are 9"):
        train(asked, cache, tmp_path / "run")


def test_hints_that_were_never_made_are_asked_for(cache, tiny, tmp_path):
    with pytest.raises(ExportError, match="janus-export hints"):
        train(asking(tiny, hints=1.0), cache, tmp_path / "run")


def with_mixtures(recipe: recipes.Recipe, cache: Path, count: int) -> recipes.Recipe:
    """The recipe with mixtures, and opinions of them in the cache."""
    faces = open_faces(cache, 16)
    split = split_people(faces, recipe.faces.held_out_people, np.random.default_rng(recipe.seed))
    mixed = Mixtures(faces, split.train, recipe.seed, 16)
    (cache / "mixtures.json").write_text(json.dumps({"seed": recipe.seed, "sha256": mixed.digest}))
    rng = np.random.default_rng(5)
    for number, teacher in enumerate(ALL):
        told = rng.normal(size=(count, 16 + 4 * number)).astype(np.float32)
        np.save(cache / f"mixtures-{teacher.name}.npy", told)
    return msgspec.structs.replace(recipe, mixtures=recipes.Mixtures(count=count, share=0.5))


def test_mixtures_are_learnt_from_and_an_interrupted_run_still_ends_the_same(cache, tiny, tmp_path):
    asked = with_mixtures(tiny, cache, 20)
    train(tiny, cache, tmp_path / "without")
    train(asked, cache, tmp_path / "whole")
    train(asked, cache, tmp_path / "parts", stop_after=2)
    train(asked, cache, tmp_path / "parts")
    without, whole = weights(tiny, tmp_path / "without"), weights(asked, tmp_path / "whole")
    parts = weights(asked, tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert not torch.equal(whole["embed.weight"], without["embed.weight"])


def with_hints(cache: Path, own: Path) -> Path:
    """A copy of the cache that has feature maps too."""
    shutil.copytree(cache, own)
    rng = np.random.default_rng(6)
    for k, (side, channels) in enumerate(((28, 48), (14, 128), (7, 256))):
        maps = rng.integers(-9, 9, (PEOPLE * EACH, 2, side, side, channels), dtype=np.int8)
        np.save(own / f"hints-{k}.npy", maps)
    told = {
        f"{what}_{k}": np.ones(c) for what in ("steps", "variances") for k, c in enumerate((48, 128, 256))
    }
    np.savez(own / "hints.npz", allow_pickle=False, **told)
    return own


def test_a_run_reads_features_as_the_run_it_starts_from_did(cache, tiny, tmp_path):
    own, asked = with_hints(cache, tmp_path / "cache"), asking(tiny, embedding=1.0, hints=1.0)
    first = train(asked, own, tmp_path / "first", stop_after=2)
    second = train(
        scheduled(asked, learning_rate=0.0), own, tmp_path / "second", stop_after=1, start_from=first
    )
    a, b = (torch.load(kept, weights_only=True)["objective"] for kept in (first, second))
    assert torch.equal(a["readers.0.weight"], b["readers.0.weight"])


def test_two_processes_may_draw_mixtures_and_hinted_faces_in_one_step(cache, tiny, tmp_path):
    """One of them has gradients where the other has none."""
    own = with_hints(cache, tmp_path / "cache")
    asked = with_mixtures(asking(tiny, embedding=1.0, hints=1.0), own, 20)
    train(scheduled(asked, processes=2, batch=6), own, tmp_path / "run")
    assert log(tmp_path / "run", "validate")


def test_mixtures_without_teachers_are_refused(cache, tiny, tmp_path):
    asked = with_mixtures(asking(tiny, embedding=0.0, softmax=1.0), cache, 20)
    with pytest.raises(ExportError, match="teach only where teachers are asked"):
        train(asked, cache, tmp_path / "run")
