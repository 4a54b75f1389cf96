"""The demo's street: the same seed plays the same day, and faces are where the camera looks."""

import json
from itertools import pairwise

import cv2
import numpy as np
import pytest

from janusd.core.reason import Reason
from janusd.demo import street as streets
from janusd.demo.album import FACES, album
from janusd.demo.figure import figure
from janusd.demo.scene import HEIGHT_PX, WIDTH_PX, Light, Stance, compose
from janusd.demo.street import Visit, frames, street, walk, write


@pytest.fixture(scope="module")
def people():
    return album()


@pytest.fixture(scope="module")
def visits():
    return street(3)


def test_the_album_has_three_residents_and_nine_strangers(people):
    residents = [person for person in people.values() if person.is_resident]
    strangers = [person for person in people.values() if not person.is_resident]
    assert len(residents) == 3
    assert len(strangers) == 9
    assert all(len(person.enrol) >= 5 and len(person.street) >= 9 for person in residents)
    assert all(not person.enrol and len(person.street) >= 4 for person in strangers)


def test_every_portrait_is_there_small_and_large_enough_in_the_face(people):
    for person in people.values():
        for view in (*person.enrol, *person.street):
            height, width = view.cutout().shape[:2]
            (left_x, left_y), (right_x, right_y) = view.eyes_px
            assert (height, width) == (320, 320)
            assert 60 <= right_x - left_x <= 120
            assert 0 < left_y < height
            assert 0 < right_y < height


def test_street_portraits_are_cut_out_and_the_face_is_kept(people):
    for person in people.values():
        for view in person.street:
            opacity = view.cutout()[..., 3]
            (left_x, left_y), (right_x, right_y) = view.eyes_px
            assert opacity[:40, :20].max() < 40, "the background stayed"
            eyes = opacity[round(left_y) : round(right_y) + 1, round(left_x) : round(right_x)]
            assert eyes.size == 0 or eyes.min() > 250


def test_the_portraits_stay_a_small_download():
    assert sum(path.stat().st_size for path in FACES.rglob("*.webp")) < 1_300_000


def test_a_picture_that_is_gone_is_named(tmp_path):
    index = json.loads((FACES / "index.json").read_text(encoding="utf-8"))
    (tmp_path / "index.json").write_text(json.dumps(index), encoding="utf-8")
    first = next(iter(album(tmp_path).values()))
    with pytest.raises(FileNotFoundError, match=first.enrol[0].path.name):
        first.enrol[0].cutout()


def test_a_frame_is_what_the_camera_would_give(people):
    stance = Stance(people["ada"].street[0])
    for light in Light:
        image = compose([stance], light)
        assert image.shape == (HEIGHT_PX, WIDTH_PX, 3)
        assert image.dtype == np.uint8


def test_the_same_seed_gives_the_same_pixels(people):
    stance = Stance(people["ben"].street[1], distance_m=0.7, tilt_deg=4, smear_px=5)
    first = compose([stance], Light.DUSK, seed=4, street_seed=2)
    assert np.array_equal(first, compose([stance], Light.DUSK, seed=4, street_seed=2))
    assert not np.array_equal(first, compose([stance], Light.DUSK, seed=5, street_seed=2))


def test_an_empty_street_changes_only_by_the_sensors_noise():
    first, second = (compose([], Light.NOON, seed=seed).astype(int) for seed in (1, 2))
    assert np.abs(first - second).mean() < 6
    assert abs(first.mean() - second.mean()) < 0.5


def test_light_orders_the_brightness_of_a_face(people):
    stance = Stance(people["chloe"].street[0])
    x, y = (round(v) for v in stance.between_eyes_px)

    def brightness(light: Light) -> float:
        return float(compose([stance], light)[y : y + 60, x - 30 : x + 30].mean())

    assert brightness(Light.NOON) > brightness(Light.DUSK) > brightness(Light.NIGHT)
    assert brightness(Light.NIGHT) < 35


def test_coming_nearer_makes_the_face_larger(people):
    view = people["ada"].street[0]
    assert Stance(view, distance_m=0.5).inter_ocular_px == pytest.approx(75.8, abs=0.2)
    assert Stance(view, distance_m=1.0).inter_ocular_px == pytest.approx(37.9, abs=0.2)


def test_a_figure_stands_on_the_lower_border_and_touches_no_other(people):
    for person in people.values():
        opacity = figure(person.street[0])[..., 3]
        assert opacity[-1].max() == 255
        assert opacity[0].max() == 0
        assert opacity[:, 0].max() == 0
        assert opacity[:, -1].max() == 0


def test_a_seed_always_plays_the_same_street(visits):
    assert street(3) == visits
    assert street(4) != visits


def test_everybody_walks_the_street(people, visits):
    residents = [name for name, person in people.items() if person.is_resident]
    for name in residents:
        welcomes = [visit for visit in visits if visit.person == name]
        assert len(welcomes) == 3
        assert len({visit.light for visit in welcomes}) == 3
        assert len({visit.first_view for visit in welcomes}) == 3
    seen = {name for visit in visits for name in visit.people}
    assert seen == set(people)
    assert [visit.expects for visit in visits].count(Reason.TWO_FACES) == 1
    assert [visit.expects for visit in visits].count(Reason.TOO_DARK) == 1


def test_strangers_never_follow_each_other_more_than_twice(visits):
    """So that a door which locks out after a few failed tries does not spoil the story."""
    run = longest = 0
    for visit in visits:
        run = run + 1 if visit.expects is Reason.UNKNOWN else 0
        longest = max(longest, run)
    assert longest <= 2


def test_a_visit_begins_and_ends_with_nobody(people, visits):
    for visit in visits:
        stances = walk(visit, people)
        assert stances[0] == stances[-1] == ()
        assert max(len(together) for together in stances) == len(visit.people)


def test_a_visitor_comes_nearer_then_stands_still(people):
    visit = Visit(("ada",), Light.NOON, Reason.MATCHED, seed=1, still_frames=5)
    distances = [together[0].distance_m for together in walk(visit, people) if together]
    assert distances[0] > distances[1] > max(distances[2:-1])
    assert all(abs(here - there) < 0.06 for here, there in pairwise(distances[2:-1]))


def test_faces_stay_inside_the_frame(people, visits):
    for visit in visits:
        for stance in (stance for together in walk(visit, people) for stance in together):
            x, y = stance.between_eyes_px
            reach = 1.6 * stance.inter_ocular_px
            assert reach < x < WIDTH_PX - reach
            assert 1.2 * stance.inter_ocular_px < y < HEIGHT_PX - reach


def test_two_faces_stand_apart(people, visits):
    (visit,) = [visit for visit in visits if visit.expects is Reason.TWO_FACES]
    for together in walk(visit, people):
        if len(together) == 2:
            near, beside = together
            apart = abs(near.between_eyes_px[0] - beside.between_eyes_px[0])
            assert apart > 1.3 * (near.inter_ocular_px + beside.inter_ocular_px)


def test_a_written_street_tells_the_truth(tmp_path, people, visits):
    chosen = [visits[0], next(visit for visit in visits if visit.expects is Reason.TWO_FACES)]
    assert write(tmp_path / "street", 3, chosen) == chosen
    truth = json.loads((tmp_path / "street" / "truth.json").read_text(encoding="utf-8"))
    assert truth["fps"] == streets.FPS
    assert [entry["person"] for entry in truth["visits"]] == [chosen[0].person, None]
    pictures = sorted((tmp_path / "street").glob("*.jpg"))
    assert truth["visits"][0]["first"] == 0
    assert truth["visits"][1]["first"] == truth["visits"][0]["last"] + 1
    assert truth["visits"][1]["last"] + 1 == len(pictures)
    assert cv2.imread(str(pictures[-1])).shape == (HEIGHT_PX, WIDTH_PX, 3)


def test_frames_follow_the_walk(people):
    visit = Visit(("chloe",), Light.OVERCAST, Reason.MATCHED, seed=2, still_frames=1)
    images = list(frames(visit, people))
    assert len(images) == len(walk(visit, people))
    assert (
        np.abs(images[0].astype(int) - images[3]).mean() > np.abs(images[0].astype(int) - images[-1]).mean()
    )
