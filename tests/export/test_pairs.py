"""Laws of sampling: who can be compared with whom, how often, and at what cost."""

import csv
import tracemalloc
from itertools import combinations, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd_export.errors import ExportError
from janusd_export.faces.pairs import (
    Hardness,
    all_pairs,
    balanced_batches,
    group,
    mined_triplets,
    sampled_pairs,
)
from janusd_export.main import main

labels = st.lists(st.integers(-1, 5), min_size=2, max_size=24).map(lambda p: np.array(p, np.int32))


def has_both_kinds(person):
    known = person[person >= 0]
    return len(set(known)) >= 2 and len(known) > len(set(known))


@given(labels, st.integers(1, 7))
def test_all_pairs_are_all_pairs_once(person, block):
    people = group(person)
    found = [
        (min(a, b), max(a, b), bool(same))
        for pairs in all_pairs(people, block)
        for a, b, same in zip(pairs.first, pairs.second, pairs.is_same, strict=True)
    ]
    known = np.flatnonzero(person >= 0)
    assert sorted(found) == [(a, b, person[a] == person[b]) for a, b in combinations(known, 2)]
    assert people.genuine_pairs == sum(same for _, _, same in found)
    assert people.impostor_pairs == len(found) - people.genuine_pairs


@given(labels.filter(has_both_kinds), st.integers(0, 2**32), st.integers(1, 40))
def test_a_sampled_pair_is_what_it_says_and_never_a_face_with_itself(person, seed, block):
    for pairs in islice(sampled_pairs(group(person), seed, block), 3):
        assert len(pairs.first) == len(pairs.second) == len(pairs.is_same) == block
        assert (pairs.first != pairs.second).all()
        assert (person[pairs.first] >= 0).all()
        assert (person[pairs.second] >= 0).all()
        np.testing.assert_array_equal(person[pairs.first] == person[pairs.second], pairs.is_same)
        assert pairs.is_same.sum() == block - block // 2


@settings(max_examples=20)
@given(labels.filter(has_both_kinds))
def test_every_pair_is_reached(person):
    people = group(person)
    seen = {
        (min(a, b), max(a, b))
        for pairs in islice(sampled_pairs(people, 0, 4096), 8)
        for a, b in zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)
    }
    known = np.flatnonzero(person >= 0).tolist()
    assert seen == set(combinations(known, 2))


def test_people_weigh_the_same_however_many_photographs_they_have():
    person = np.repeat(np.arange(4, dtype=np.int32), (2, 100, 1, 5))
    draws = list(islice(sampled_pairs(group(person), 1, 4096), 10))
    first = np.concatenate([person[p.first[p.is_same]] for p in draws])
    counts = np.bincount(first, minlength=4)
    assert counts[2] == 0  # one photograph is no pair
    expected = len(first) / 3
    assert np.abs(counts[[0, 1, 3]] - expected).max() < 5 * np.sqrt(expected)
    two = np.concatenate(
        [np.sort([person[p.first[~p.is_same]], person[p.second[~p.is_same]]], 0).T for p in draws]
    )
    _, often = np.unique(two, axis=0, return_counts=True)
    assert len(often) == 6
    assert np.abs(often - len(two) / 6).max() < 5 * np.sqrt(len(two) / 6)


@given(labels.filter(has_both_kinds), st.integers(0, 9), st.integers(0, 5))
def test_a_block_depends_on_its_number_and_the_seed_only(person, seed, number):
    people = group(person)
    far = next(islice(sampled_pairs(people, seed, 64), number, None))
    near = next(sampled_pairs(people, seed, 64, start=number))
    np.testing.assert_array_equal(far.first, near.first)
    np.testing.assert_array_equal(far.second, near.second)


def test_another_seed_draws_other_pairs():
    people = group(np.repeat(np.arange(50, dtype=np.int32), 4))
    a, b = (next(sampled_pairs(people, seed, 256)).first for seed in (1, 2))
    assert (a != b).any()


@pytest.mark.parametrize("person", [[0, 0, 0], [0, 1, 2], [-1, -1, -1], []])
def test_a_set_without_both_kinds_of_pairs_is_refused(person):
    with pytest.raises(ExportError, match="pairs need two people, and one of them with two faces"):
        next(sampled_pairs(group(np.array(person, np.int32)), 0))


def test_a_stream_of_pairs_costs_the_same_memory_however_long_it_runs():
    people = group(np.repeat(np.arange(5000, dtype=np.int32), 4))

    def peak(blocks):
        tracemalloc.start()
        for _ in islice(sampled_pairs(people, 0), blocks):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(400) < peak(4) + 100_000  # 1.6 million pairs


@given(labels, st.integers(2, 3), st.integers(2, 5), st.integers(0, 99))
def test_a_batch_is_so_many_people_with_so_many_faces_each(person, people_a_batch, faces_a_person, seed):
    people = group(person)
    counts = {p: int((person == p).sum()) for p in set(person[person >= 0].tolist())}
    several = [p for p, count in counts.items() if count >= 2]
    batches = balanced_batches(people, people_a_batch, faces_a_person, seed)
    if len(several) < people_a_batch:
        with pytest.raises(ExportError, match="take fewer than"):
            next(batches)
        return
    an_epoch = len(several) // people_a_batch
    met = []
    for rows in islice(batches, an_epoch):
        each = person[rows].reshape(people_a_batch, faces_a_person)
        assert (each == each[:, :1]).all()
        met += each[:, 0].tolist()
        for own in rows.reshape(people_a_batch, faces_a_person):
            assert len(set(own.tolist())) == min(faces_a_person, counts[int(person[own[0]])])
    assert len(met) == len(set(met))
    assert set(met) <= set(several)


def units(count, dimensions, seed):
    vectors = np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(
    labels,
    st.integers(0, 99),
    st.sampled_from(list(Hardness)),
    st.integers(1, 9),
    st.sampled_from([0.5, 1.0]),
)
def test_a_mined_negative_is_the_most_similar_that_is_allowed(person, seed, hardness, block, ceiling):
    embeddings = units(len(person), 3, seed)
    cosine = embeddings @ embeddings.T
    answered = {}
    for found in mined_triplets(embeddings, group(person), hardness, seed, ceiling=ceiling, block=block):
        for a, p, n in zip(found.anchor, found.positive, found.negative, strict=True):
            assert a != p
            assert person[a] == person[p] != person[n] != -1
            answered[a] = (p, n)
    for a in np.flatnonzero(person >= 0):
        mates = [p for p in np.flatnonzero(person == person[a]) if p != a]
        others = np.flatnonzero((person >= 0) & (person != person[a]) & (cosine[a] <= ceiling + 1e-6))
        if a not in answered:
            if hardness is Hardness.HARD:
                assert not mates or not (cosine[a, others] <= ceiling - 1e-6).any()
            continue
        p, n = answered[a]
        allowed = others
        if hardness is Hardness.SEMI_HARD:
            gap = cosine[a, p] - cosine[a, others]
            allowed = others[(gap > 1e-6) & (gap < 0.2 - 1e-6)]
            assert -1e-6 < cosine[a, p] - cosine[a, n] < 0.2 + 1e-6
        assert not len(allowed) or cosine[a, n] >= cosine[a, allowed].max() - 1e-6


def test_dropped_faces_are_in_no_pair():
    person = np.array([0, 0, 1, 1], np.int32)
    people = group(person, np.array([True, False, True, True]))
    assert set(np.concatenate([p.first for p in all_pairs(people)])) <= {0, 2, 3}
    assert (people.genuine_pairs, people.impostor_pairs) == (1, 2)


@pytest.fixture
def cache(tmp_path):
    """As an earlier version left it: no journal, no quality."""
    rows = [f"s/{number},src,p{number // 3}" for number in range(30)]
    (tmp_path / "faces.csv").write_text("key,source,person\n" + "\n".join(rows) + "\n")
    np.save(tmp_path / "faces.npy", np.zeros((30, 8, 8, 3), np.uint8))
    np.save(tmp_path / "teacher-arcface_mbf_512.npy", units(30, 512, 0))
    return tmp_path


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


def test_the_command_writes_what_was_asked_for(cache, capsys):
    assert main(["pairs", "--cache", str(cache), "--count", "9001", "--out", str(cache / "p.csv")]) == 0
    rows = rows_of((cache / "p.csv").read_text())
    assert len(rows) == 9001
    assert sum(row["same"] == "1" for row in rows) == 4501
    assert main(["pairs", "--cache", str(cache), "--all"]) == 0
    assert len(rows_of(capsys.readouterr().out)) == 435
    assert main(["pairs", "--cache", str(cache), "--mine", "hard"]) == 0
    mined = rows_of(capsys.readouterr().out)
    assert [row["same"] for row in mined].count("1") == 30


def test_the_command_counts_before_it_writes(cache, capsys):
    assert main(["pairs", "--cache", str(cache), "--json"]) == 0
    assert '"impostor_pairs": 405' in capsys.readouterr().out
    assert main(["pairs", "--cache", str(cache)]) == 0
    assert "405" in capsys.readouterr().out


def test_an_absurd_number_of_pairs_is_refused_before_a_byte_is_written(cache, capsys):
    assert main(["pairs", "--cache", str(cache), "--all", "--limit", "400", "--out", str(cache / "x")]) == 1
    assert "435 pairs would be a file of about 0.0 GB" in capsys.readouterr().err
    assert main(["pairs", "--cache", str(cache), "--count", "70000000000"]) == 1
    assert "take a sample with --count, or say that you mean it with --limit" in capsys.readouterr().err
    assert not (cache / "x").exists()


def test_mining_without_opinions_says_where_they_come_from(cache, capsys):
    (cache / "teacher-arcface_mbf_512.npy").unlink()
    assert main(["pairs", "--cache", str(cache), "--mine", "semi-hard"]) == 1
    assert "run janus-export teach" in capsys.readouterr().err
