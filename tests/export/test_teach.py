"""Opinions are asked for once, kept with whose they are, and never mixed up."""

import numpy as np
import pytest

from janusd_export.errors import ExportError
from janusd_export.faces import teach
from janusd_export.faces.cache import open_faces, open_labels, split_people
from janusd_export.faces.growing import GrowingArray
from janusd_export.faces.teachers import ALL, ARCFACE, RETAIL, choose
from janusd_export.main import main


class Dull:
    """A judge to whom a face is its mean colour; it counts whom it was asked about."""

    def __init__(self, digest="1"):
        self.file, self.digest, self.dimensions = "teacher-dull", digest, 3
        self.asked = 0

    def embed(self, faces, landmarks_px):
        self.asked += len(faces)
        return faces.mean(axis=(1, 2)).astype(np.float32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Twenty faces, as an earlier version left them: without a journal."""
    monkeypatch.setattr(teach, "BLOCK", 8)
    rng = np.random.default_rng(0)
    np.save(tmp_path / "faces.npy", rng.integers(0, 256, (20, 144, 144, 3), dtype=np.uint8))
    np.save(tmp_path / "landmarks.npy", np.full((20, 5, 2), np.nan, np.float32))
    rows = [f"s/{number},src,{f'p{number // 2}' if number < 16 else ''}" for number in range(20)]
    (tmp_path / "faces.csv").write_text("key,source,person\n" + "\n".join(rows) + "\n")
    for teacher in ALL:
        np.save(tmp_path / f"teacher-{teacher.name}.npy", rng.standard_normal((20, 4)).astype(np.float32))
    return tmp_path


def test_a_judge_is_asked_once_about_each_face(cache):
    judge = Dull()
    found = teach.ask(cache, judge)
    np.testing.assert_allclose(found, np.load(cache / "faces.npy").mean(axis=(1, 2)), rtol=1e-5)
    again = Dull()
    np.testing.assert_array_equal(teach.ask(cache, again), found)
    assert (judge.asked, again.asked) == (20, 0)


def test_an_interrupted_judge_goes_on_where_it_was_saved(cache):
    class Tired(Dull):
        def embed(self, faces, landmarks_px):
            if self.asked >= 8:
                raise KeyboardInterrupt
            return super().embed(faces, landmarks_px)

    with pytest.raises(KeyboardInterrupt):
        teach.ask(cache, Tired())
    rested = Dull()
    assert len(teach.ask(cache, rested)) == 20
    assert rested.asked == 12


def test_opinions_of_an_earlier_version_are_taken_as_they_are(cache):
    before = np.arange(60, dtype=np.float32).reshape(20, 3)
    np.save(cache / "teacher-dull.npy", before)
    judge = Dull()
    np.testing.assert_array_equal(teach.ask(cache, judge), before)
    assert judge.asked == 0
    np.save(cache / "teacher-dull.npy", before[:7])
    with pytest.raises(ExportError, match="does not say whose it is: give --again"):
        teach.ask(cache, judge)


def test_another_network_of_the_same_name_is_not_mixed_in(cache):
    teach.ask(cache, Dull())
    with pytest.raises(ExportError, match=r"teacher-dull\.npy is of another network of the same name"):
        teach.ask(cache, Dull("2"))
    assert len(teach.ask(cache, Dull("2"), again=True)) == 20


def test_a_cache_of_an_earlier_version_is_read_as_it_was(cache):
    faces = open_faces(cache, 16)
    assert faces.teacher_names == (ARCFACE.name, RETAIL.name)
    assert faces.person.tolist() == [n // 2 if n < 16 else -1 for n in range(20)]
    assert not faces.is_found.any()
    assert not faces.is_dropped.any()
    assert [t.shape for t in faces.teachers] == [(20, 4)] * 2
    split = split_people(faces, 2, np.random.default_rng(0))
    assert len(split.held_out) == 4


def test_chosen_teachers_must_be_there(cache):
    assert open_faces(cache, 16, [RETAIL.name]).teacher_names == (RETAIL.name,)
    (cache / f"teacher-{RETAIL.name}.npy").unlink()
    assert open_faces(cache, 16).teacher_names == (ARCFACE.name,)
    with pytest.raises(ExportError, match=r"retail-0095\.npy cannot be read"):
        open_faces(cache, 16, [RETAIL.name])
    (cache / f"teacher-{ARCFACE.name}.npy").unlink()
    with pytest.raises(ExportError, match="has no teacher's embeddings: run janus-export teach"):
        open_faces(cache, 16)


def test_where_no_teacher_was_asked_labels_are_believed(cache):
    for teacher in ALL:
        (cache / f"teacher-{teacher.name}.npy").unlink()
    faces = open_faces(cache, 16, [])
    assert faces.teachers == []
    split = split_people(faces, 2, np.random.default_rng(0))
    assert (len(split.held_out), len(split.train), split.dropped) == (4, 16, 0)


def test_a_teacher_that_has_not_seen_all_faces_is_named(cache):
    with GrowingArray(cache / "teacher-new.npy", (4,), np.float32) as array:
        array.append(np.zeros((3, 4), np.float32))
        array.save()
    with pytest.raises(ExportError, match=r"teacher-new\.npy has 3 of 20 faces"):
        open_faces(cache, 16, ["new"])


def test_a_cache_of_another_margin_is_refused(cache):
    with pytest.raises(ExportError, match="holds faces of 144 px, not 112: its margin is not 0 px"):
        open_faces(cache, 0)


def test_dropped_faces_are_in_neither_part_of_a_split(cache):
    rows = "".join(f"{row},s/{row},duplicate,s/9,0.9\n" for row in (0, 3, 5))
    (cache / "dropped.csv").write_text("row,key,why,like,cosine\n" + rows)
    split = split_people(open_faces(cache, 16), 4, np.random.default_rng(0), alike=1.1)
    assert not {0, 3, 5} & {*split.train.tolist(), *split.held_out.tolist()}
    assert len(split.train) + len(split.held_out) == 17
    assert not open_labels(cache, is_screened=False).is_dropped.any()
    (cache / "dropped.csv").write_text("row,key,why,like,cosine\n99,s/99,duplicate,s/9,0.9\n")
    with pytest.raises(ExportError, match=r"dropped\.csv is damaged"):
        open_faces(cache, 16)


def test_where_nobody_has_two_faces_the_error_says_how_to_get_such_people(cache):
    (cache / "faces.csv").write_text("key,source,person\n" + "".join(f"s/{n},src,\n" for n in range(20)))
    with pytest.raises(ExportError, match=r"no person .* two or more faces.*synthesize --views 6"):
        split_people(open_faces(cache, 16), 4, np.random.default_rng(0))


def test_only_the_permissively_licensed_teacher_can_be_asked_for():
    assert choose(None) == ALL
    assert choose(None, only_permissive=True) == (RETAIL,)
    with pytest.raises(ExportError, match="arcface_mbf_512 is not permissively licensed"):
        choose([ARCFACE.name], only_permissive=True)
    with pytest.raises(ExportError, match="nobody is no teacher: choose among arcface_mbf_512, face-re"):
        choose(["nobody"])


def test_the_command_says_which_file_is_missing(cache, capsys):
    assert main(["teach", "--teachers", str(cache), "--cache", str(cache), "--permissive"]) == 1
    assert "face-reidentification-retail-0095.xml is not there" in capsys.readouterr().err
