"""Libraries and scenes, made of pictures that are drawn: discs of five colours stand for five landmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd_export.detector.library import Kind, Labelled, Library, Part, open_library, part_of, write
from janusd_export.detector.scene_cache import PURPOSES, open_scenes, write_scenes
from janusd_export.detector.scenes import Composer, Wanted
from janusd_export.errors import ExportError

COLOURS = ((250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0), (0, 250, 250))
POINTS = np.array([[105, 110], [149, 108], [126, 135], [110, 162], [145, 160]], np.float32)
PLAIN = Wanted(damage=0.0, covered=0.0, pieces=0.0, bordered=0.0, plain=0.0)


def drawn(side: int, points: np.ndarray) -> np.ndarray:
    picture = np.full((side, side, 3), 90, np.uint8)
    for (x, y), colour in zip(points, COLOURS, strict=True):
        cv2.circle(picture, (int(x), int(y)), 8, colour, -1)
    return picture


def pictures() -> list[Labelled]:
    made = [
        Labelled(Kind.PHOTO, f"person {k}", drawn(250, POINTS), POINTS, (79.0, 66.0, 96.0, 125.0), 0.03)
        for k in range(30)
    ]
    small = POINTS - 55
    made += [
        Labelled(Kind.ALIGNED, f"face {k}", drawn(144, small), small, (24.0, 11.0, 96.0, 125.0))
        for k in range(30)
    ]
    rng = np.random.default_rng(0)
    walls = rng.integers(0, 60, (30, 8, 12, 3)).astype(np.uint8)
    made += [
        Labelled(Kind.BACKGROUND, f"wall {k}", cv2.resize(wall, (480, 320))) for k, wall in enumerate(walls)
    ]
    return made


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("library")
    assert write(folder, pictures()) == 90
    return open_library(folder)


def test_a_library_gives_back_what_was_written(library: Library) -> None:
    for row, picture in enumerate(pictures()):
        assert np.array_equal(library.pixels(row), picture.pixels)
        assert library.part[row] == part_of(picture.kind, picture.group)
    assert np.isnan(library.points_px[library.kind == Kind.BACKGROUND]).all()


def test_all_pictures_of_a_person_are_in_one_part_and_every_part_has_some(library: Library) -> None:
    assert part_of(Kind.PHOTO, "Ada") is part_of(Kind.PHOTO, "Ada")
    parts = [part_of(Kind.PHOTO, f"person {k}") for k in range(2000)]
    assert 0.75 < parts.count(Part.TRAIN) / 2000 < 0.85
    for part in Part:
        assert len(library.rows(part, Kind.PHOTO, Kind.ALIGNED))
        assert len(library.rows(part, Kind.BACKGROUND))


def test_a_library_that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="detector label"):
        open_library(tmp_path)
    (tmp_path / "pictures.npz").write_bytes(b"something else")
    with pytest.raises(ExportError, match="no labelled pictures"):
        open_library(tmp_path)


@pytest.mark.parametrize("tilt", [0.0, 30.0, 45.0])
def test_labels_stay_on_the_face_wherever_it_is_put(library: Library, tilt: float) -> None:
    wanted = replace(PLAIN, tilt_deg=(tilt, tilt), height=480, width=640)
    composer = Composer(library, Part.TRAIN, wanted)
    checked = 0
    for seed in range(40):
        scene = composer.compose(np.random.default_rng(seed), 120.0)
        for box, points in zip(scene.box_px, scene.points_px, strict=True):
            inside = (points > 3) & (points < np.array([636, 476]))
            for (x, y), colour, is_inside in zip(points, COLOURS, inside.all(axis=1), strict=True):
                if is_inside:
                    seen = scene.image[round(float(y)), round(float(x))].astype(int)
                    bright = np.array(colour) > 0
                    mirrored = COLOURS  # left and right change colours with the mirror, the nose stays blue
                    assert any(
                        seen[np.array(c) > 0].min() > seen[np.array(c) == 0].max() + 60 for c in mirrored
                    ), (seen, bright)
                    checked += 1
            nose = points[2]
            if ((nose > 3) & (nose < np.array([636, 476]))).all():
                assert scene.image[round(float(nose[1])), round(float(nose[0]))].argmax() == 2
            assert (points >= box[:2] - 1).all()
            assert (points <= box[:2] + box[2:] + 1).all()
            assert 0.75 * 120 < np.sqrt(box[2] * box[3]) < 1.15 * 120
    assert checked > 100


def test_the_eye_on_the_left_is_the_first_however_it_was_mirrored(library: Library) -> None:
    composer = Composer(library, Part.TRAIN, replace(PLAIN, tilt_deg=(0.0, 0.0)))
    for seed in range(30):
        for points in composer.compose(np.random.default_rng(seed)).points_px:
            assert points[0, 0] < points[1, 0]
            assert points[3, 0] < points[4, 0]


def test_the_same_seed_composes_the_same_scene(library: Library) -> None:
    composer = Composer(library, Part.TRAIN, Wanted())
    first, again, other = (composer.compose(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.points_px, again.points_px)
    assert not np.array_equal(first.image, other.image)


def test_scenes_have_none_one_and_several_faces_that_do_not_overlap(library: Library) -> None:
    composer = Composer(library, Part.TRAIN, Wanted())
    counts = set()
    for seed in range(80):
        scene = composer.compose(np.random.default_rng(seed))
        counts.add(min(2, len(scene.box_px)))
        for k, a in enumerate(scene.box_px):
            for b in scene.box_px[:k]:
                sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
                assert np.clip(sides, 0, None).prod() <= 0.03 * min(a[2:].prod(), b[2:].prod())
    assert counts == {0, 1, 2}


def test_a_part_without_pictures_is_refused(tmp_path: Path) -> None:
    write(tmp_path, pictures()[:1])
    with pytest.raises(ExportError, match="label more pictures"):
        Composer(open_library(tmp_path), Part.TUNE, Wanted())


def test_scenes_on_the_disk_are_those_that_were_composed(library: Library, tmp_path: Path) -> None:
    table = write_scenes(library, tmp_path, "refiner", Part.TRAIN, 12, 5)
    written = table.stat().st_mtime_ns
    opened = open_scenes(tmp_path, "refiner-train")
    assert len(opened) == 12
    composer = Composer(library, Part.TRAIN, PURPOSES["refiner"])
    for number in range(12):
        made = composer.compose(np.random.default_rng([5, Part.TRAIN, number]))
        kept = opened.scene(number)
        assert np.array_equal(made.image, kept.image)
        assert np.array_equal(made.box_px, kept.box_px)
        assert np.array_equal(made.points_px, kept.points_px)
    write_scenes(library, tmp_path, "refiner", Part.TRAIN, 12, 5)
    assert table.stat().st_mtime_ns == written  # nothing is composed twice
    with pytest.raises(ExportError, match="detector scenes"):
        open_scenes(tmp_path, "detector-train")


def test_scenes_of_another_seed_or_library_are_not_taken_for_these(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    write_scenes(library, folder, "refiner", Part.TRAIN, 2, 5)
    with pytest.raises(ExportError, match=f"{folder} was made from another seed: empty it, or give another"):
        write_scenes(library, folder, "refiner", Part.TRAIN, 2, 6)
    other = replace(library, spread=library.spread + 1)
    with pytest.raises(ExportError, match="from another seed and another library"):
        write_scenes(other, folder, "refiner", Part.TRAIN, 2, 6)
    note = folder / "made-from.json"
    note.write_text(note.read_text()[:20])
    with pytest.raises(ExportError, match=r"made-from\.json is damaged .*: empty"):
        write_scenes(library, folder, "refiner", Part.TRAIN, 2, 5)
    note.unlink()  # as written before there were notes
    write_scenes(library, folder, "refiner", Part.TRAIN, 2, 5)
    assert note.exists()
