"""The same picture twice, and people whom an evaluation shows, are found; others are left in peace."""

import csv
import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd_export.faces.cache import Labels, open_labels
from janusd_export.faces.intake import run_import
from janusd_export.faces.nearness import nearest, pairs_above
from janusd_export.faces.screen import Alike, Why, duplicates, hashes, joined, shared
from janusd_export.faces.sources import recognise
from janusd_export.faces.stored import Wanted
from janusd_export.main import main
from support.nobody import as_webp, make_tree, portrait, portraits

ALIKE = Alike(picture=0.9, person=0.6)


@pytest.fixture(autouse=True)
def _one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(2, 9), st.integers(0, 9))
def test_blocks_find_what_the_whole_matrix_shows(count, others, dimensions, seed):
    rng = np.random.default_rng(seed)
    a, b = (units(rng.standard_normal((n, dimensions)).astype(np.float32)) for n in (count, others))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("janusd_export.faces.nearness._BLOCK", 16)
        found = {
            (i, j) for f, s, _ in pairs_above(a, 0.3) for i, j in zip(f.tolist(), s.tolist(), strict=True)
        }
        which, cosine = nearest(a, b)
    upper = np.argwhere(np.triu(a @ a.T >= 0.3, 1))
    assert found == {tuple(pair) for pair in upper.tolist()}
    np.testing.assert_allclose(cosine, (a @ b.T).max(axis=1), atol=1e-6)
    np.testing.assert_allclose((a * b[which]).sum(axis=1), cosine, atol=1e-6)


def labels(*people):
    return Labels(
        [f"k{n}" for n in range(len(people))], np.array(people, np.int32), np.zeros(len(people), bool)
    )


def faces(*pictures):
    return np.stack([cv2.resize(np.ascontiguousarray(p), (144, 144)) for p in pictures])


def test_a_picture_stored_again_is_dropped_and_the_larger_original_stays():
    ada, ben = portrait("ada"), portrait("ben")
    worse = cv2.imdecode(cv2.imencode(".jpg", ada, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], cv2.IMREAD_COLOR)
    brighter = np.clip(ada * 1.2, 0, 255).astype(np.uint8)
    pixels = faces(worse, ada, ben, brighter)
    judged = units(np.array([[1, 0.1], [1, 0], [0, 1], [1, 0]], np.float32))
    found = duplicates(pixels, judged, labels(0, 0, 1, -1), np.array([30, 60, 60, 90], np.float32), ALIKE)
    assert {(f.row, f.why) for f in found} == {
        (0, Why.DUPLICATE),
        (3, Why.DUPLICATE),
    }  # 3 is larger, but of nobody
    assert all(f.like in ("k0", "k1", "k3") and f.cosine > 0.9 for f in found)


def test_one_picture_under_two_names_goes_altogether():
    pixels = faces(portrait("ada"), portrait("ada"), portrait("ben"))
    judged = units(np.array([[1, 0], [1, 0], [0, 1]], np.float32))
    found = duplicates(pixels, judged, labels(0, 1, 2), np.zeros(3, np.float32), ALIKE)
    assert [(f.row, f.why) for f in found] == [(0, Why.TWO_NAMES), (1, Why.TWO_NAMES)]


def test_neither_the_hash_nor_the_judge_suffices_alone():
    same_hash = faces(portrait("ada"), portrait("ada"))
    strangers = units(np.array([[1, 0], [0, 1]], np.float32))
    assert duplicates(same_hash, strangers, labels(0, 1), np.zeros(2, np.float32), ALIKE) == []
    other_hash = faces(portrait("ada"), portrait("ada", "enrol-01"))
    alike = units(np.array([[1, 0], [1, 0]], np.float32))
    assert duplicates(other_hash, alike, labels(0, 0), np.zeros(2, np.float32), ALIKE) == []


def test_the_hash_survives_light_and_compression_and_tells_people_apart():
    ada = portrait("ada")
    dim = (255 * (ada / 255.0) ** 1.4).astype(np.uint8)
    h = hashes(faces(ada, dim, portrait("ben")))
    bits = (1 - h @ h.T) * 64
    assert bits[0, 1] <= 12
    assert bits[0, 2] > 20


def test_an_evaluations_person_goes_whole_and_a_single_likeness_alone():
    here = units(
        np.array([[1, 0, 0], [1, 0.2, 0], [0.2, 1, 0], [0, 1, 0], [0, 1, 0.1], [0, 0, 1], [1, 0, 0]])
    )
    there = np.array([[1, 0, 0]], np.float32)
    # person 0: two of three faces; person 1: none; a single face of nobody known
    found = shared(here.astype(np.float32), labels(0, 0, 0, 1, 1, 1, -1), there, ["lfw/x"], ALIKE)
    assert [(f.row, f.why.value) for f in found] == [
        (0, "evaluation_person"), (1, "evaluation_person"), (2, "evaluation_person"), (6, "evaluation_face")
    ]  # fmt: skip
    assert {f.like for f in found} == {"lfw/x"}


def test_the_mean_of_two_judges_is_one_dot_product():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((5, 4)).astype(np.float32), rng.standard_normal((5, 7)).astype(np.float32)
    both = joined([a, b])
    expected = (units(a) @ units(a).T + units(b) @ units(b).T) / 2
    np.testing.assert_allclose(both @ both.T, expected, atol=1e-6)


def test_from_photographs_to_a_list_of_what_was_dropped(tmp_path, capsys):
    album = make_tree(tmp_path / "album", {"ada": 3, "ben": 3, "chloe": 2})
    (album / "chloe" / "again.webp").write_bytes(as_webp(portrait("chloe", "enrol-01")))
    make_tree(tmp_path / "exam" / "x", {"ada": 5})
    cache = tmp_path / "cache"
    run_import([recognise(str(album))], cache, Wanted())
    for path in (tmp_path / "exam" / "x" / "ada").glob("0[0-2].webp"):
        path.unlink()  # other pictures of her than those in the album
    assert main(["screen", "--cache", str(cache), "--against", str(tmp_path / "exam" / "x"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dropped"] == {"evaluation_person": 3, "duplicate": 1}
    assert (said["faces"], said["compared_with"], said["people"]) == (9, 2, 1)
    with (cache / "dropped.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"].split("/")[1] for row in rows] == ["ada", "ada", "ada", "chloe"]
    assert rows[0]["like"].startswith("x/ada/")
    assert open_labels(cache).is_dropped.tolist() == [True] * 3 + [
        row["row"] == str(n) for n in range(3, 9) for row in rows[3:]
    ]
    assert main(["screen", "--cache", str(cache)]) == 0  # decides anew
    assert "the same picture as another that stays" in capsys.readouterr().out
    assert open_labels(cache).is_dropped.sum() == 1


def test_a_missing_evaluation_is_named(tmp_path, capsys):
    (tmp_path / "a.webp").write_bytes(portraits("ada", 1)[0])
    assert main(["screen", "--cache", str(tmp_path), "--against", str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist" in capsys.readouterr().err
