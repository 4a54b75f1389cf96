"""Films of stills and of heads: who is in them, and what they show."""

from __future__ import annotations

from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from janusd.core.types import Image
from janusd_export.attacks import films
from janusd_export.attacks.films import Part
from janusd_export.errors import ExportError
from janusd_export.faces.demo_faces import STREET


def shots(species: films.Film, count: int) -> list[Image]:
    rng = np.random.default_rng(0)
    return list(islice(species(films.Cast(films.cast_of(Part.DEVELOPMENT)[0], 60.0, rng), rng), count))


def apart(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_the_album_is_known_by_the_poses_it_was_drawn_in() -> None:
    assert tuple(pose.yaw for pose in STREET) == films.STREET_YAWS


def test_nobody_is_in_films_of_both_parts() -> None:
    parts = [{person.name for person in films.cast_of(part)} for part in Part]
    assert len(parts[0]) == len(parts[1]) == 6
    assert not parts[0] & parts[1]


@pytest.mark.parametrize("name", [*films.GENUINE, *films.ATTACKS])
def test_a_film_is_the_same_again_for_the_same_seed(name: str) -> None:
    species = {**films.GENUINE, **films.ATTACKS}[name]
    once, again = shots(species, 2), shots(species, 2)
    assert {(shot.shape, shot.dtype) for shot in once} == {((480, 640, 3), np.dtype(np.uint8))}
    assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))


@pytest.mark.parametrize("name", ["two stills, wiped", "two stills, dissolved", "two stills, a circle opens"])
def test_a_film_of_two_stills_begins_with_one_and_ends_with_the_other(name: str) -> None:
    rng = np.random.default_rng(3)
    cast = films.Cast(films.cast_of(Part.DEVELOPMENT)[0], 60.0, rng)
    one, other = cast.pair()
    made = list(films.ATTACKS[name](cast, rng))
    ends = sorted([apart(made[0], one), apart(made[0], other)])
    assert ends[0] < 0.5 < ends[1]
    assert min(apart(made[-1], one), apart(made[-1], other)) < 0.5
    assert apart(made[0], made[-1]) > 0.5


def test_a_wipe_shows_each_place_of_one_photograph_or_of_the_other() -> None:
    rng = np.random.default_rng(3)
    cast = films.Cast(films.cast_of(Part.DEVELOPMENT)[0], 60.0, rng)
    one, other = (still.astype(float) for still in cast.pair())
    for shot in islice(films.wiped(cast, rng), 4, None, 6):
        strange = np.minimum(np.abs(shot - one), np.abs(shot - other)).max(axis=2) > 1
        assert strange.mean() < 0.02  # the seam


def test_a_head_that_turns_never_shows_the_same_picture_twice() -> None:
    made = shots(films.turned_relief, 6)
    assert min(apart(one, other) for one, other in pairwise(made)) > 1.0


def test_what_is_played_was_coded_and_decoded() -> None:
    frames = list(films.presentation(films.looped(*films.cast(Part.HELD_OUT, 0, 1))))
    assert [frame.sequence for frame in frames] == list(range(films.FRAMES))
    assert frames[1].captured_s - frames[0].captured_s == pytest.approx(1 / films.FPS)


def test_a_codec_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"writes no \.mp4"):
        films.write(tmp_path / "film.mp4", "????", iter(()))
