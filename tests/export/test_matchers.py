from pathlib import Path

import numpy as np
import pytest

from janusd_export.errors import ExportError
from janusd_export.evaluation import atlas, matchers, subgroups
from janusd_export.evaluation.matchers import Bench
from janusd_export.faces.device import Embedded
from janusd_export.faces.photos import Photo


def rows(*vectors):
    found = np.array(vectors, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


AXES = rows([1, 0, 0], [0.8, 0.6, 0], [0, 0, 1], [0, 0.6, 0.8])
TWO = Bench(AXES, np.array([0, 0, 1, 1], np.int32), AXES[:1], np.array([0], np.int32))


def test_the_nearest_sample_is_the_best_of_a_persons():
    scores = matchers._nearest(TWO)(rows([0, 1, 0], [1, 0, 0]))
    assert scores == pytest.approx(np.array([[0.6, 0.6], [1.0, 0.0]]), abs=1e-6)


def test_cosine_is_to_the_direction_of_a_persons_sum():
    scores = matchers._cosine(TWO)(rows([1, 0, 0]))
    assert scores[0, 0] == pytest.approx(1.8 / np.hypot(1.8, 0.6), abs=1e-6)


def test_the_three_nearest_samples_vote_with_their_cosines():
    scores = matchers._neighbours(TWO)(rows([1, 0, 0]))
    # nearest: 1.0 and 0.8 of the first person, then 0.0 of the second
    assert scores[0] == pytest.approx([1.8 / 3, 0.0], abs=1e-6)


def test_two_lesser_neighbours_outvote_a_nearer_one():
    bench = Bench(
        rows([1, 0], [0.8, 0.6], [0.8, -0.6]), np.array([0, 1, 1], np.int32), AXES, np.zeros(4, np.int32)
    )
    scores = matchers._neighbours(bench)(rows([1, 0]))
    assert scores[0] == pytest.approx([1 / 3, 1.6 / 3], abs=1e-6)


def test_the_threshold_is_chosen_on_half_of_the_strangers_and_counted_on_the_other():
    own = np.array([0] * 10 + [-1] * 400, np.int32)
    bench = Bench(AXES, TWO.owner, np.zeros((410, 3), np.float32), own)
    strangers = np.linspace(0, 1, 400)

    def search(_):
        first = np.concatenate([np.linspace(0.9, 1.1, 10), strangers])
        return np.stack([first, np.full(410, -1.0)], axis=1).astype(np.float32)

    rank_1, fnir, fpir = matchers.measure(bench, search)
    assert (rank_1.hits, rank_1.trials) == (10, 10)
    assert fpir.trials == 200
    assert 0 <= fpir.hits <= 8  # about two in two hundred
    assert 3 <= fnir.hits <= 5  # those below the strangers' last hundredth, 0.99


def people(counts, spread=0.05, dimensions=16, missed=()):
    rng = np.random.default_rng(0)
    photos, vectors = [], []
    for person, count in counts.items():
        centre = rng.standard_normal(dimensions)
        for number in range(count):
            photos.append(Photo(person, f"{person}_{number}", Path("unread")))
            vectors.append(centre + spread * rng.standard_normal(dimensions))
    is_found = np.array([photo.name not in missed for photo in photos])
    return Embedded(tuple(photos), rows(*vectors) * is_found[:, None], is_found)


def test_a_bench_enrols_some_photographs_and_shows_others():
    seen = people({f"p{i}": 1 + i % 6 for i in range(60)}, missed=("p5_0",))
    bench = matchers.draw(seen, people=8)
    assert matchers.people(bench) == 8
    assert (np.bincount(bench.owner) == matchers.SAMPLES).all()
    assert (bench.own < 0).sum() == 52
    shown = {row.tobytes() for row in bench.probes}
    assert not shown & {row.tobytes() for row in bench.enrolled}
    assert np.zeros(16, np.float32).tobytes() not in shown
    for row in matchers.compare(bench, with_svm=False):
        assert row.rank_1.value == 1.0


def test_too_few_photographs_for_a_bench_are_refused():
    with pytest.raises(ExportError, match="4 photographs"):
        matchers.draw(people({f"p{i}": 3 for i in range(9)}))


def test_support_vectors_know_people_who_are_plain_to_tell_apart():
    pytest.importorskip("sklearn")
    bench = matchers.draw(people({f"p{i}": 1 + i % 6 for i in range(60)}), people=8)
    for row in matchers.compare(bench)[3:]:
        assert row.rank_1.value == 1.0, row.name
    rng = np.random.default_rng(3)
    a = rows(*rng.standard_normal((200, 8)))
    is_same = np.arange(200) % 2 == 0
    b = np.where(is_same[:, None], a, rows(*rng.standard_normal((200, 8)))).astype(np.float32)
    found = matchers.pair_svm(a, b, is_same, np.arange(200) % 5)
    assert found.trials == 200
    assert found.value > 0.75


def test_a_map_keeps_people_together_and_says_how_well():
    pytest.importorskip("sklearn")
    found = atlas.draw(people({f"p{i}": 6 for i in range(8)}))
    assert len(found.x) == len(found.y) == len(found.person) == 48
    assert max(map(abs, found.x + found.y)) <= 1.0
    assert found.purity.value == 1.0


def test_a_map_of_one_person_is_refused():
    with pytest.raises(ExportError, match="two people"):
        atlas.draw(people({"ann": 9, "ben": 2}))


def labels(tmp_path, text):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    return path


def test_errors_by_label_count_friends_and_strangers_of_that_label(tmp_path):
    seen = people({"ann": 3, "ben": 2, "cyd": 2, "dee": 1})
    path = labels(tmp_path, "person,hat,age\nann,yes,old\nben,yes,\ncyd,no,old\n")
    found = subgroups.measure(seen, path, threshold=-1.0, fmr=1e-3)
    hats = {row.value: row for row in found.rows if row.attribute == "hat"}
    assert set(hats) == {"yes", "no"}
    assert (hats["yes"].people, hats["yes"].photos) == (2, 5)
    assert (hats["yes"].fnmr.hits, hats["yes"].fnmr.trials) == (0, 4)  # 3 of ann, 1 of ben
    assert (hats["yes"].fmr.hits, hats["yes"].fmr.trials) == (6, 6)  # 3 x 2, and everything matches at -1
    assert hats["no"].fmr.trials == 0
    assert found.unlabelled_photos == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("name,hat\nann,yes\n", "person,ATTRIBUTE"),
        ("person,hat\nann\n", "line 2: 2 columns"),
        ("person,hat\n", "labels nobody"),
        ("person,hat\nzoe,yes\n", "none of its 1 names"),
    ],
)
def test_labels_that_cannot_be_read_are_refused(tmp_path, text, complaint):
    with pytest.raises(ExportError, match=complaint):
        subgroups.measure(people({"ann": 2}), labels(tmp_path, text), 0.5, 1e-3)
