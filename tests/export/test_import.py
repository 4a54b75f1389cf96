"""From photographs to a cache: what is kept and refused, and that no interruption costs or doubles a face."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc

import cv2
import numpy as np
import pytest

from janusd.core.align import TEMPLATE, align
from janusd.core.types import Box, Face
from janusd_export.errors import ExportError
from janusd_export.faces.cache import open_labels
from janusd_export.faces.intake import run_import
from janusd_export.faces.sources import Kind, recognise
from janusd_export.faces.stored import Finders, Refused, Wanted, obvious_face
from janusd_export.main import main
from support.nobody import as_webp, make_tree, portrait, portraits, write_tar

ARRAYS = ("faces.npy", "landmarks.npy")


def faces_in(cache):
    """By key, what faces.csv says."""
    with (cache / "faces.csv").open(newline="") as file:
        return {row["key"]: row for row in csv.DictReader(file)}


def refused_in(cache):
    with (cache / "refused.csv").open(newline="") as file:
        return {row["key"]: row["reason"] for row in csv.DictReader(file)}


def bring(*places, cache, **more):
    return run_import(
        [recognise(str(place)) for place in places], cache, more.pop("wanted", Wanted()), **more
    )


def found_in_the_middle(image):
    """A detector that costs nothing: a face in the middle of every picture."""
    height, width = image.shape[:2]
    points = TEMPLATE - TEMPLATE.mean(axis=0) + np.float32([width / 2, height / 2])
    return (Face(Box(width / 2 - 50, height / 2 - 60, 100, 120), points.astype(np.float32), 0.9),)


def quick_finders():
    return Finders(found_in_the_middle, found_in_the_middle, "a pretence")


@pytest.fixture(autouse=True)
def _one_thread():
    """The detector's networks are small: on a busy machine their threads mostly wait for each other."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture
def album(tmp_path):
    return make_tree(tmp_path / "album", {"ada": 3, "ben": 2, "chloe": 1})


def test_a_cache_holds_pixels_landmarks_people_and_quality(album, tmp_path):
    (summary,) = bring(album, cache=tmp_path / "cache")
    assert (summary.pictures, summary.faces, summary.people, summary.one_photo_people) == (6, 6, 3, 1)
    pixels, points = (np.load(tmp_path / "cache" / name) for name in ARRAYS)
    assert (pixels.shape, pixels.dtype) == ((6, 144, 144, 3), np.uint8)
    assert np.abs(points - (TEMPLATE + 16)).mean() < 4  # a rigid template never fits a face exactly
    row = faces_in(tmp_path / "cache")["album/ada/00.webp"]
    assert (row["person"], row["source"], row["fails"]) == ("album/ada", "album", "")
    assert 60 < float(row["inter_ocular_px"]) < 100
    assert abs(float(row["yaw_deg"])) < 15
    labels = open_labels(tmp_path / "cache")
    assert labels.person.tolist() == [0, 0, 0, 1, 1, 2]


def test_the_middle_of_a_stored_face_is_the_crop_that_a_door_would_make(album, tmp_path):
    bring(album, cache=tmp_path / "cache")
    stored = np.load(tmp_path / "cache" / "faces.npy")[0]
    (face,) = Finders.of_the_door().photo(np.ascontiguousarray(portrait()))
    crop = align(np.ascontiguousarray(portrait()), face.landmarks_px)
    apart = np.abs(stored[16:128, 16:128].astype(int) - crop)
    assert apart.max() <= 2  # places are rounded to a 32nd of a pixel, twice


def test_each_refused_picture_is_named_with_its_reason(album, tmp_path):
    two = np.hstack([portrait("ada"), portrait("ben")])
    odd = {
        "two.webp": as_webp(two),
        "blank.webp": as_webp(np.full((200, 200, 3), 90, np.uint8)),
        "small.webp": as_webp(cv2.resize(portrait(), (60, 60), interpolation=cv2.INTER_AREA)),
        "half.webp": portraits("ada", 1)[0][:3000],
        "text.jpg": b"not a picture",
    }
    for name, content in odd.items():
        (album / "ada" / name).write_bytes(content)
    (album / "zoe").mkdir()
    (summary,) = bring(album, cache=tmp_path / "cache", wanted=Wanted(fewest_eyes_px=20))
    assert refused_in(tmp_path / "cache") == {
        "album/ada/two.webp": "several_faces",
        "album/ada/blank.webp": "no_face",
        "album/ada/small.webp": "too_small",
        "album/ada/half.webp": "unreadable",
        "album/ada/text.jpg": "unreadable",
        "album/zoe": "empty_person",
    }
    assert summary.faces == 6
    assert sum(summary.refused.values()) == 6


def test_a_face_at_the_centre_is_obvious_among_others():
    def face(x, height=100.0):
        return Face(Box(x, 50, 80, height), np.zeros((5, 2), np.float32), 0.9)

    image = np.zeros((200, 400, 3), np.uint8)
    assert obvious_face(image, lambda _: [face(10), face(160), face(300)]).box_px.x == 160
    assert obvious_face(image, lambda _: [face(10), face(300, height=40)]).box_px.x == 10  # a passer-by
    with pytest.raises(Refused):
        obvious_face(image, lambda _: [face(10), face(300)])


def test_a_tight_crop_is_looked_at_once_more_with_grey_around_it():
    seen = []

    def finder(image):
        seen.append(image.shape[:2])
        points = np.full((5, 2), 60, np.float32)
        return [] if len(seen) == 1 else [Face(Box(50, 50, 100, 100), points, 0.9)]

    found = obvious_face(np.zeros((100, 80, 3), np.uint8), finder)
    assert seen == [(100, 80), (150, 130)]
    assert (found.box_px.x, found.landmarks_px[0, 0]) == (25, 35)


def test_aligned_shards_keep_their_pixels_and_get_the_doors_landmarks(album, tmp_path):
    bring(album, cache=tmp_path / "first")
    stored = np.load(tmp_path / "first" / "faces.npy")
    shards = tmp_path / "shards"
    shards.mkdir()
    members = [(f"{number}.webp", as_webp(face)) for number, face in enumerate(stored)]
    members += [
        ("7.webp", as_webp(np.full((144, 144, 3), 90, np.uint8))),
        ("8.webp", as_webp(stored[0, :99])),
    ]
    write_tar(shards / "faces-00.tar", members)
    lines = [f"faces-00.tar,{number},celeba,p{number // 3},0.9,4" for number in (0, 1, 2, 3, 4, 5, 7, 8)]
    (shards / "index.csv").write_text("shard,key,source,person,detector_score,upscale\n" + "\n".join(lines))
    (summary,) = bring(shards, cache=tmp_path / "cache")
    assert (summary.faces, summary.unseen, summary.refused) == (7, 1, {"wrong_size": 1})
    again, points = (np.load(tmp_path / "cache" / name) for name in ARRAYS)
    np.testing.assert_array_equal(again[:6], stored)
    assert np.isnan(points[6]).all()
    assert np.abs(points[:6] - np.load(tmp_path / "first" / "landmarks.npy")).max() < 4
    row = faces_in(tmp_path / "cache")["shards/faces-00/0"]
    assert (row["source"], row["person"], row["fails"]) == ("celeba", "shards/p0", "too_small")
    assert float(row["inter_ocular_px"]) == pytest.approx(35.2 / 4, abs=0.8)


def test_grey_faces_have_no_colour(album, tmp_path):
    bring(album, cache=tmp_path / "cache", wanted=Wanted(is_grey=True))
    pixels = np.load(tmp_path / "cache" / "faces.npy")
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    with pytest.raises(ExportError, match="was made with grey = True"):
        bring(album, cache=tmp_path / "cache")


def test_a_second_import_looks_at_nothing_again(album, tmp_path):
    bring(album, cache=tmp_path / "cache")
    before = {name: (tmp_path / "cache" / name).read_bytes() for name in (*ARRAYS, "faces.csv")}
    never = Finders(lambda _: pytest.fail("looked again"), lambda _: pytest.fail("looked again"), door_name())
    (summary,) = bring(album, cache=tmp_path / "cache", finders=lambda: never)
    assert (summary.kept, summary.faces) == (6, 6)
    assert before == {name: (tmp_path / "cache" / name).read_bytes() for name in before}


def door_name():
    return Finders.of_the_door().name


def test_what_a_source_lost_is_left_out_and_what_it_gained_is_added(album, tmp_path):
    cut = (1, 1)  # a part a picture
    bring(album, cache=tmp_path / "cache", cut=cut)
    (album / "ada" / "00.webp").rename(tmp_path / "kept.webp")
    (album / "ben" / "09.webp").write_bytes(portraits("ben", 3)[2])
    (album / "ben" / "10.webp").write_bytes(b"no picture")
    (summary,) = bring(album, cache=tmp_path / "cache", cut=cut)
    assert (summary.faces, summary.kept, summary.gone) == (6, 5, 1)
    assert open_labels(tmp_path / "cache").is_dropped.tolist() == [True] + [False] * 6
    (tmp_path / "kept.webp").rename(album / "ada" / "00.webp")
    (album / "ben" / "10.webp").unlink()
    (summary,) = bring(album, cache=tmp_path / "cache", cut=cut)
    assert (summary.faces, summary.kept, summary.gone, summary.refused) == (7, 7, 0, {})
    assert not open_labels(tmp_path / "cache").is_dropped.any()


def test_a_name_that_is_no_text_is_no_obstacle(tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.webp")).write_bytes(portraits("ada", 1)[0])
    (folder / 'a,\n"b".webp').write_bytes(portraits("ada", 1)[0])
    (summary,) = bring(folder, cache=tmp_path / "cache", finders=quick_finders)
    assert summary.faces == 2
    assert set(faces_in(tmp_path / "cache")) == {"odd/\ufffd.webp", 'odd/a,\n"b".webp'}


def test_a_source_that_is_imported_beside_an_interrupted_one_is_counted(album, tmp_path):
    def tired(image):
        raise KeyboardInterrupt

    other = make_tree(tmp_path / "other", {"ben": 1})
    with pytest.raises(KeyboardInterrupt):
        bring(other, cache=tmp_path / "cache", finders=lambda: Finders(tired, tired, "a pretence"))
    (summary,) = bring(album, cache=tmp_path / "cache", finders=quick_finders)
    assert summary.faces == 6
    with pytest.raises(ExportError, match="the import of other was interrupted"):
        open_labels(tmp_path / "cache")


def test_a_part_that_a_table_names_twice_is_there_once(tmp_path):
    (tmp_path / "a.webp").write_bytes(portraits("ada", 1)[0])
    (tmp_path / "all.csv").write_text("path\na.webp\na.webp\n")
    (summary,) = bring(tmp_path / "all.csv", cache=tmp_path / "cache", finders=quick_finders, cut=(1, 1))
    assert (summary.faces, summary.kept) == (1, 1)


def test_a_cache_that_cannot_be_made_is_said(album, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="What was imported so far is safe"):
        bring(album, cache=tmp_path / "file", finders=quick_finders)


def test_two_sources_share_a_cache_and_their_people_stay_apart(album, tmp_path):
    other = make_tree(tmp_path / "other", {"ada": 1})
    bring(album, other, cache=tmp_path / "cache")
    assert len(set(open_labels(tmp_path / "cache").person)) == 4
    bring(album, other, cache=tmp_path / "same", same_people=True)
    assert len(set(open_labels(tmp_path / "same").person)) == 3
    make_tree(tmp_path / "else" / "other", {"ben": 1})
    with pytest.raises(ExportError, match="name this one differently, as NAME="):
        bring(tmp_path / "else" / "other", cache=tmp_path / "cache")
    with pytest.raises(ExportError, match="two sources are called other"):
        bring(other, tmp_path / "else" / "other", cache=tmp_path / "new")


def test_a_killed_import_goes_on_and_ends_as_if_nothing_had_happened(tmp_path):
    album = make_tree(tmp_path / "album", {"ada": 12, "ben": 12, "stranger-01": 4})
    cache, calm = tmp_path / "cache", tmp_path / "calm"
    code = (
        "import sys; from pathlib import Path; from janusd_export.faces.intake import run_import\n"
        "from janusd_export.faces.sources import recognise; from janusd_export.faces.stored import Wanted\n"
        "run_import([recognise(sys.argv[1])], Path(sys.argv[2]), Wanted(), cut=(2, 2))"
    )
    child = subprocess.Popen([sys.executable, "-c", code, album, cache])
    journal = cache / "journal.jsonl"
    until = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b'"part"') < 3:
        assert time.monotonic() < until, "the import never began"
        assert child.poll() is None, "it was over before it could be killed"
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with pytest.raises(ExportError, match="the import of album was interrupted"):
        open_labels(cache)
    with journal.open("ab") as file:
        file.write(b'{"part": "torn')  # and a line it was writing
    (summary,) = bring(album, cache=cache, cut=(2, 2))
    assert 3 <= summary.kept < 28
    bring(album, cache=calm, cut=(2, 2))
    for name in (*ARRAYS, "faces.csv", "refused.csv"):
        assert (cache / name).read_bytes() == (calm / name).read_bytes(), name


def test_a_full_disk_is_said_and_costs_nothing(album, tmp_path):
    cache = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 144 * 144 * 3, hard))  # less than four faces and a header
    try:
        with pytest.raises(ExportError, match="no room for more than 3 faces") as said:
            bring(album, cache=cache, cut=(1, 1), finders=quick_finders)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "They are safe: make room and run it again" in str(said.value)
    assert len(np.load(cache / "faces.npy")) == 3
    (summary,) = bring(album, cache=cache, cut=(1, 1), finders=quick_finders)
    assert (summary.kept, summary.faces) == (3, 6)


def test_a_shard_cut_in_half_gives_its_first_half_and_the_rest_after_it_was_fetched_again(album, tmp_path):
    members = {
        f"{person}/{n}.webp": p for person in ("ada", "ben") for n, p in enumerate(portraits(person, 2))
    }
    tar = write_tar(tmp_path / "a.tar", members)
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    (summary,) = bring(tar, cache=tmp_path / "cache", cut=(1, 1))
    assert 1 <= summary.faces < 4
    assert set(refused_in(tmp_path / "cache").values()) == {"cut_off"}
    tar.write_bytes(whole)
    (summary,) = bring(tar, cache=tmp_path / "cache", cut=(1, 1))
    assert (summary.faces, summary.refused) == (4, {})


def test_two_imports_do_not_write_to_one_cache(album, tmp_path):
    def finders():
        with pytest.raises(ExportError, match="is in use by another janus-export"):
            bring(album, cache=tmp_path / "cache", finders=quick_finders)
        return []

    bring(album, cache=tmp_path / "cache", finders=lambda: Finders(lambda _: finders(), lambda _: [], "x"))


def test_a_cache_without_a_journal_is_not_appended_to(album, tmp_path):
    np.save(tmp_path / "faces.npy", np.zeros((1, 144, 144, 3), np.uint8))
    with pytest.raises(ExportError, match=r"holds faces\.npy but no journal"):
        bring(album, cache=tmp_path)


def test_a_damaged_journal_names_its_line(album, tmp_path):
    bring(album, cache=tmp_path / "cache", finders=quick_finders)
    journal = tmp_path / "cache" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"begun"', b'"begone"'))
    with pytest.raises(ExportError, match=r"journal\.jsonl, line 2 is damaged"):
        open_labels(tmp_path / "cache")


@pytest.mark.slow
def test_several_processes_give_what_one_gives(album, tmp_path):
    bring(album, cache=tmp_path / "one", cut=(2, 2))
    bring(album, cache=tmp_path / "two", cut=(2, 2), jobs=2)
    for name in (*ARRAYS, "faces.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    def peak(count):
        folder = tmp_path / f"{count}"
        folder.mkdir()
        picture = as_webp(portrait()[:160, :160])
        for number in range(count):
            (folder / f"{number:03}.webp").write_bytes(picture)
        tracemalloc.start()
        run_import(
            [recognise(str(folder))], tmp_path / f"c{count}", Wanted(), finders=quick_finders, cut=(8, 8)
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(4)
    few, many = peak(16), peak(160)  # 160 stored faces are 10 MB
    assert many < few + 1_000_000


def test_the_command_says_what_it_recognised_and_prints_json(album, tmp_path, capsys):
    assert main(["import", str(album), "--cache", str(tmp_path / "cache"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "album: a folder for each person" in err
    assert json.loads(out)["sources"][0]["faces"] == 6


def test_the_command_prints_a_table_and_where_the_refused_are(album, tmp_path, capsys):
    (album / "ada" / "x.jpg").write_bytes(b"")
    assert main(["import", str(album), "--cache", str(tmp_path / "cache")]) == 0
    out = capsys.readouterr().out
    assert "not a picture, or a damaged one" in out
    assert "refused.csv names each refused picture" in out


def test_the_command_refuses_what_it_cannot_read(tmp_path, capsys):
    assert main(["import", str(tmp_path / "nowhere"), "--cache", str(tmp_path)]) == 1
    assert "does not exist: give a folder" in capsys.readouterr().err


def test_the_same_picture_twice_in_one_table_is_two_rows(tmp_path):
    (tmp_path / "a.webp").write_bytes(portraits("ada", 1)[0])
    (tmp_path / "all.csv").write_text("path,person\na.webp,ada\na.webp,ada\n")
    (summary,) = run_import(
        [recognise(str(tmp_path / "all.csv"), Kind.CSV)], tmp_path / "cache", Wanted(), finders=quick_finders
    )
    assert summary.faces == 2
