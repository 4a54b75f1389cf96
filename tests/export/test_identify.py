import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd import models
from janusd.core.manifest import Calibration, Encoder, Manifest, Tail, TensorSpec, Threshold
from janusd_export.compiling.release import write_manifest
from janusd_export.errors import ExportError
from janusd_export.evaluation import evaluate, identify
from janusd_export.faces.device import Embedded
from janusd_export.faces.photos import Photo
from janusd_export.main import main

UNCALIBRATED = Calibration("not yet", 0, 0, (), Tail(0.0, 1.0, 0.0, 1.0))


@pytest.fixture
def models_dir(tmp_path):
    """A model directory whose impostors score below 0.5 in 99 of 100 comparisons."""
    (tmp_path / "tiny.tflite").write_bytes(b"not run here")
    calibration = Calibration(
        "made up",
        1000,
        10,
        (Threshold(0.1, 0.3, 0.3, 0.3), Threshold(0.01, 0.5, 0.5, 0.5)),
        Tail(0.3, 0.1, 0.0, 0.1),
    )
    spec = TensorSpec((1, 3), 0.1, 0)
    digest = hashlib.sha256(b"not run here").hexdigest()
    encoder = Encoder("tiny", "tiny.tflite", digest, "1", spec, spec, "arcface-112", "none", calibration)
    write_manifest(tmp_path, Manifest(1, encoder))
    return tmp_path


def photo(person, name):
    return Photo(person, name, Path("unread"))


def embedded(*rows):
    """Rows of (photo, vector or None where no face was found)."""
    vectors = [np.zeros(3) if v is None else np.array(v, float) / np.linalg.norm(v) for _, v in rows]
    found = np.array([v is not None for _, v in rows])
    return Embedded(tuple(p for p, _ in rows), np.array(vectors, np.float32), found)


def test_each_way_to_go_wrong_is_counted_once(models_dir):
    gallery = (photo("ann", "a1"), photo("ben", "b1"))
    shown = [
        (photo("ann", "a2"), [1, 0.1, 0]),  # right
        (photo("ann", "a3"), [0.3, 0, 1]),  # too unlike
        (photo("ben", "b2"), [1, 0.2, 0]),  # taken for ann
        (photo("ben", "b3"), None),  # missed
        (photo("cyd", "c1"), [0, 0, 1]),  # a stranger, refused
        (photo("dee", "d1"), [0, 1, 0.3]),  # a stranger, let in
    ]
    seen = embedded((gallery[0], [1, 0, 0]), (gallery[1], [0, 1, 0]), *shown)
    plan = identify.Plan(gallery, tuple(p for p, _ in shown))
    found = identify.report(plan, seen, models_dir, fpir_targets=[0.0199])
    (row,) = found.thresholds
    assert row.threshold == pytest.approx(0.5, abs=0.01)  # FPIR 1.99 % of two people is FMR 1 %
    assert (row.fnir.hits, row.fnir.trials, row.wrong_person) == (3, 4, 1)
    assert (row.fpir.hits, row.fpir.trials) == (1, 2)
    assert (found.rank_1.hits, found.missed_probes, found.enrolled) == (2, 1, 2)


def test_a_person_whose_photo_shows_no_face_is_named_and_never_recognised(models_dir):
    gallery = (photo("ann", "a1"), photo("ben", "b1"))
    seen = embedded((gallery[0], [1, 0, 0]), (gallery[1], None), (photo("ben", "b2"), [0, 1, 0]))
    found = identify.report(identify.Plan(gallery, (photo("ben", "b2"),)), seen, models_dir, [0.01])
    assert found.not_enrolled == ["ben"]
    assert found.thresholds[0].fnir.hits == 1


def make_tree(folder, counts):
    for person, count in counts.items():
        (folder / person).mkdir(parents=True)
        for number in range(count):
            (folder / person / f"{person}_{number}.jpg").write_bytes(f"{person}{number}".encode())
    return folder


def test_a_drawn_door_is_the_same_for_the_same_seed_and_never_shows_an_enrolled_photo(tmp_path):
    tree = make_tree(tmp_path, {f"p{i:02}": 1 + i % 4 for i in range(40)})
    plan = identify.plan_lfw(tree, people=5, probes=20, seed=3)
    assert plan == identify.plan_lfw(tree, people=5, probes=20, seed=3)
    assert plan != identify.plan_lfw(tree, people=5, probes=20, seed=4)
    assert len(plan.gallery) == len({p.person for p in plan.gallery}) == 5
    assert len(plan.probes) == 20
    assert not set(plan.gallery) & set(plan.probes)
    residents = {p.person for p in plan.gallery}
    strangers = [p.person for p in plan.probes if p.person not in residents]
    assert len(strangers) == len(set(strangers)) >= 10


def test_more_people_than_the_collection_has_are_refused(tmp_path):
    tree = make_tree(tmp_path, {"ann": 2, "ben": 1})
    with pytest.raises(ExportError, match="1 people with 2 photos or more, fewer than the 5"):
        identify.plan_lfw(tree, people=5, probes=2, seed=0)


def test_the_first_photo_of_each_person_is_enrolled_and_not_shown_again(tmp_path):
    tree = make_tree(tmp_path, {"ann": 3, "ben": 1})
    plan = identify.plan_collections(tree, tree)
    assert [p.name for p in plan.gallery] == ["ann_0", "ben_0"]
    assert [p.name for p in plan.probes] == ["ann_1", "ann_2"]


def test_several_photos_of_each_are_enrolled_and_not_shown_again(tmp_path):
    tree = make_tree(tmp_path, {f"p{i:02}": 1 + i % 5 for i in range(40)})
    plan = identify.plan_lfw(tree, people=5, probes=20, seed=3, samples=3)
    assert len(plan.gallery) == 3 * len({p.person for p in plan.gallery}) == 15
    assert not set(plan.gallery) & set(plan.probes)
    assert [p.name for p in identify.plan_collections(tree, tree, 2).gallery[:3]] == [
        "p00_0",
        "p01_0",
        "p01_1",
    ]


@pytest.mark.parametrize(("nearest", "right"), [(False, 1), (True, 0)])
def test_a_person_is_compared_by_the_mean_of_their_photos_or_by_each_alone(models_dir, nearest, right):
    gallery = (photo("ann", "a1"), photo("ann", "a2"), photo("ben", "b1"))
    shown = (photo("ann", "a3"),)
    seen = embedded(
        (gallery[0], [1, 0, 0]), (gallery[1], [0, 1, 0]), (gallery[2], [0.6, 0.6, 0.5]), (shown[0], [1, 1, 0])
    )
    found = identify.report(identify.Plan(gallery, shown), seen, models_dir, [0.1], nearest=nearest)
    assert (found.enrolled, found.rank_1.hits) == (2, right)
    assert found.thresholds[0].fmr == pytest.approx(-np.expm1(np.log1p(-0.1) / 3))


def test_a_pair_with_a_missed_face_never_matches():
    photos = [photo(f"p{i}", f"p{i}") for i in range(40)]
    pairs = [evaluate.Pair(f"p{i}", f"p{i + 1}", i % 2 == 0) for i in range(0, 39)]
    vectors = [None if i == 0 else [1, i % 3, 0] for i in range(40)]
    seen = embedded(*zip(photos, vectors, strict=True))
    found = evaluate.report_pairs(evaluate.rows_of(pairs, seen), seen, UNCALIBRATED, 1e-3)
    assert found.missed_photos == found.missed_pairs == 1
    assert found.genuine + found.impostor == 39
    assert found.confusion is None  # no threshold without a calibration
    assert found.worst[0].score == evaluate.MISSED
    assert found.worst[0].is_same


def test_a_pairs_file_says_which_line_is_wrong(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("image_a,image_b,same\na,b,1\na,c,yes\n")
    with pytest.raises(ExportError, match="after 1 pairs"):
        evaluate.read_pairs(path)


def test_pairs_of_only_one_kind_are_refused(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("image_a,image_b,same\na,b,1\na,c,1\n")
    with pytest.raises(ExportError, match="of one person"):
        evaluate.read_pairs(path)


def shown(*answers):
    """Answers (mated, right, score)."""
    mated, right, score = (np.array(column) for column in zip(*answers, strict=True))
    return identify.Shown(mated.astype(bool), right.astype(bool), score.astype(float))


def test_identification_errors_are_the_counted_ones_at_every_threshold():
    seen = shown(
        (1, 1, 0.9), (1, 1, 0.4), (1, 0, 0.8), (1, 0, -np.inf),  # residents: two right, one confused
        (0, 0, 0.7), (0, 0, 0.3), (0, 0, 0.2), (0, 0, -np.inf),  # strangers, and one of each not seen
    )  # fmt: skip
    fpir, fnir = identify.search_curve(seen)
    at = dict(zip(fpir, fnir, strict=True))
    assert at == {0.75: 0.5, 0.5: 0.5, 0.25: 0.75, 0.0: 0.75}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(-1, 1)), min_size=1, max_size=20))
def test_fewer_strangers_let_in_never_means_fewer_residents_refused(answers):
    fpir, fnir = identify.search_curve(shown(*answers))
    assert fpir == sorted(fpir, reverse=True)
    assert fnir == sorted(fnir)


def test_galleries_that_the_photographs_do_not_allow_are_left_out(models_dir):
    rng = np.random.default_rng(0)
    people = [f"p{i:02}" for i in range(14) for _ in range(2)]
    rows = [(photo(name, f"{name}_{n % 2}"), rng.standard_normal(3)) for n, name in enumerate(people)]
    calibration = models.load(models_dir).manifest.encoder.calibration
    found = identify.doors(embedded(*rows), calibration, sizes=(10, 14, 100))
    assert [door.enrolled for door in found] == [10]  # 14 leave no stranger
    (door,) = found
    assert door.mated == 10 * door.draws
    assert door.non_mated == 4 * door.draws
    assert [row.fpir_promised for row in door.thresholds] == list(identify.FPIR_TARGETS)
    rare = [row for row in door.thresholds if row.is_extrapolated]
    assert rare
    assert all(row.fmr < 0.01 for row in rare)


def test_nobody_is_enrolled_from_no_photo(tmp_path, capsys):
    assert main(["identify", "--lfw", str(tmp_path), "--samples", "0"]) == 1
    assert "--samples 0: enrol everybody from one photo or more" in capsys.readouterr().err
