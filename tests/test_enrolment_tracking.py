"""An enrolment is bound to one face: followed from frame to frame, asked to prove itself after a gap."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from janusd.core.gallery import Gallery
from janusd.core.manifest import Calibration, Tail, Threshold
from janusd.core.pose import Pose
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.side import Side
from janusd.core.types import Box, Embedding, Face, Quality
from janusd.enrolment import ANOTHER_PERSON, MAX_SAMPLES, Enrolment, missed_at, sight_of, wilson
from janusd.errors import EnrolmentRefused
from janusd.pipeline import Probe

SAME_PERSON, KNOWN = 0.4, 0.6
SIZE = (640, 480)
TURN = {
    Side.FRONT: (0.0, 0.0),
    Side.LEFT: (15.0, 0.0),
    Side.RIGHT: (-15.0, 0.0),
    Side.UP: (0.0, -12.0),
    Side.DOWN: (0.0, 12.0),
}
CALIBRATION = Calibration(
    description="drawn",
    impostor_comparisons=1000,
    genuine_comparisons=10000,
    table=(Threshold(1e-3, 0.4, 0.38, 0.42),),
    tail=Tail(0.4, 0.05, -0.1, 1e-2),
    genuine_quantiles={"0.01": 0.3, "0.1": 0.5, "0.5": 0.7},
)


def embedding(person: int, side: Side) -> Embedding:
    """One person's views score about 0.8 with each other, two people's 0."""
    vector = np.zeros(16, np.float32)
    vector[person] = 0.9
    vector[8 + list(Side).index(side)] = math.sqrt(1 - 0.81)
    return vector


def probe(person: int, side: Side = Side.FRONT, *, x: float = 250.0, brightness: float = 120.0) -> Probe:
    yaw, pitch = TURN[side]
    face = Face(Box(x, 120, 130, 160), np.zeros((5, 2), np.float32), 1.0)
    quality = Quality(60.0, yaw, pitch, 0.0, brightness, 0.5, None)
    return Probe(face, quality, embedding(person, side))


NOBODY = Probe(reason=Reason.NO_FACE)


class Door:
    """Plays frames to an enrolment, ten a second."""

    def __init__(self, enrolment: Enrolment) -> None:
        self.enrolment = enrolment
        self.now_s = 0.0

    def see(self, shown: Probe, side: Side | None = None, look: str = "", *, frames: int = 1) -> list[str]:
        said = []
        for _ in range(frames):
            self.now_s += 0.1
            sight = sight_of(shown, self.now_s, SIZE, 120.0)
            self.enrolment.follow(shown, sight)
            if side is not None:
                step = self.enrolment.lead(shown, sight, side, look)
                said.append("taken" if step.takes else step.reason)
        return said

    def take(self, person: int, side: Side, look: str = "") -> None:
        assert self.see(probe(person, side), side, look, frames=7).count("taken") == 1


@pytest.fixture
def door() -> Door:
    return Door(Enrolment("ada", Schedule(), "", 5, 3, SAME_PERSON, KNOWN))


def test_five_sides_of_one_face_are_covered(door: Door) -> None:
    for side in Side:
        door.take(0, side)
    assert door.enrolment.covered == ["front", "left", "right", "up", "down"]
    assert door.enrolment.is_complete
    assert door.enrolment.finish(Gallery.of([]), KNOWN).shape == (5, 16)


def test_somebody_else_who_steps_in_is_never_taken_however_long_they_stay(door: Door) -> None:
    door.take(0, Side.FRONT)
    for side in Side:
        said = door.see(probe(1, side), side, frames=30)
        assert "taken" not in said
        assert ANOTHER_PERSON in said
    assert door.enrolment.samples == 1


def test_whoever_was_out_of_sight_looks_at_the_camera_first(door: Door) -> None:
    door.take(0, Side.FRONT)
    door.see(NOBODY, frames=15)
    assert "taken" not in door.see(probe(0, Side.LEFT), Side.LEFT, frames=20)
    door.see(probe(0), Side.LEFT, frames=8)  # proves who it is; nothing is taken of that
    assert door.enrolment.covered == ["front"]
    door.take(0, Side.LEFT)


def test_a_look_alike_does_not_slip_in_through_a_gap(door: Door) -> None:
    """Above what samples must reach among themselves, below what the door would know them by."""
    door.take(0, Side.FRONT)
    door.see(NOBODY, frames=15)
    alike = 0.5 * embedding(0, Side.FRONT) + math.sqrt(0.75) * embedding(1, Side.UP)
    twin = replace(probe(0), embedding=(alike / np.linalg.norm(alike)).astype(np.float32))
    assert SAME_PERSON < float(twin.embedding @ embedding(0, Side.FRONT)) < KNOWN
    said = door.see(twin, Side.FRONT, frames=40)
    assert "taken" not in said
    assert ANOTHER_PERSON in said


def test_a_face_that_jumps_across_the_picture_is_asked_too(door: Door) -> None:
    door.take(0, Side.FRONT)
    assert "taken" not in door.see(probe(0, Side.LEFT, x=20.0), Side.LEFT, frames=12)


def test_before_the_first_sample_people_may_come_and_go(door: Door) -> None:
    door.see(probe(1), frames=3)
    door.see(NOBODY, frames=20)
    door.take(0, Side.FRONT)


def test_frames_without_a_question_keep_the_track_too(door: Door) -> None:
    door.take(0, Side.FRONT)
    door.see(probe(1), frames=2)  # nobody asks meanwhile
    assert "taken" not in door.see(probe(0, Side.LEFT), Side.LEFT, frames=12)


def test_any_live_frame_is_refused_while_the_track_is_broken(door: Door) -> None:
    door.take(0, Side.FRONT)
    door.see(NOBODY, frames=15)
    stranger = probe(1)
    sight = sight_of(stranger, door.now_s + 0.1, SIZE, 120.0)
    door.enrolment.follow(stranger, sight)
    assert door.enrolment.offer_live(stranger, sight).reason == ANOTHER_PERSON


def test_a_second_look_is_counted_apart(door: Door) -> None:
    door.take(0, Side.FRONT)
    changed = replace(probe(0), embedding=embedding(0, Side.DOWN))  # with glasses, the front looks otherwise
    assert door.see(changed, Side.FRONT, "with glasses", frames=7).count("taken") == 1
    assert door.enrolment.covered == ["front", "front with glasses"]


def test_nobody_has_more_samples_than_are_good_for_the_door() -> None:
    many = tuple(embedding(0, Side.FRONT) for _ in range(MAX_SAMPLES))
    door = Door(Enrolment("ada", Schedule(), "", 5, 3, SAME_PERSON, KNOWN, person_id="x", earlier=many))
    assert "taken" not in door.see(probe(0, Side.LEFT), Side.LEFT, frames=20)


def test_reinforcing_asks_for_the_same_person_and_not_for_their_absence_from_the_gallery() -> None:
    gallery = Gallery.of_embeddings({"ada": [embedding(0, Side.FRONT)]})
    earlier = (embedding(0, Side.FRONT),)
    door = Door(Enrolment("ada", Schedule(), "", 5, 3, SAME_PERSON, KNOWN, person_id="ada", earlier=earlier))
    assert set(door.see(probe(1), Side.FRONT, frames=20)) == {ANOTHER_PERSON}
    dusk = 0.8 * embedding(0, Side.FRONT) + 0.6 * embedding(2, Side.UP)
    later = replace(probe(0), embedding=(dusk / np.linalg.norm(dusk)).astype(np.float32))
    assert door.see(later, Side.FRONT, frames=7).count("taken") == 1
    door.take(0, Side.DOWN)
    assert len(door.enrolment.finish(gallery, KNOWN)) == door.enrolment.samples
    assert door.enrolment.review(gallery, KNOWN, CALIBRATION).nearest == ""


def test_the_review_names_the_nearest_and_refuses_the_look_alike(door: Door) -> None:
    for side in (Side.FRONT, Side.LEFT, Side.RIGHT):
        door.take(0, side)
    far = door.enrolment.review(Gallery.of_embeddings({"ben": [embedding(1, Side.UP)]}), KNOWN, CALIBRATION)
    assert (far.nearest, far.looks_alike, far.is_near) == ("ben", False, False)
    assert far.found_again == 3
    assert any("Not covered: up, down" in advice for advice in far.advice)
    assert any("dusk" in advice for advice in far.advice)
    twin = Gallery.of_embeddings({"ben": [embedding(0, Side.UP)]})
    assert door.enrolment.review(twin, KNOWN, CALIBRATION).looks_alike
    with pytest.raises(EnrolmentRefused, match="looks like ben") as refused:
        door.enrolment.finish(twin, KNOWN)
    assert "0." not in str(refused.value)  # no score for whoever may not be told


def test_the_light_of_the_samples_is_told() -> None:
    door = Door(Enrolment("ada", Schedule(), "", 5, 3, SAME_PERSON, KNOWN))
    door.see(probe(0, brightness=60.0), Side.FRONT, frames=7)
    door.see(probe(0, Side.LEFT, brightness=200.0), Side.LEFT, frames=7)
    assert door.enrolment.review(Gallery.of([]), KNOWN, CALIBRATION).light == ["bright", "dim"]


def test_missed_comparisons_are_read_from_the_quantiles_with_an_honest_interval() -> None:
    rate, low, high = missed_at(CALIBRATION, 0.6)
    assert rate == pytest.approx(0.3)
    assert low < 0.1 < rate < 0.5 < high
    assert missed_at(CALIBRATION, 0.9)[2] == pytest.approx(1, abs=1e-3)
    assert math.isnan(missed_at(replace_quantiles({}), 0.6)[0])


def replace_quantiles(quantiles: dict[str, float]) -> Calibration:
    return Calibration(
        CALIBRATION.description, 1, 1, CALIBRATION.table, CALIBRATION.tail, genuine_quantiles=quantiles
    )


def test_the_wilson_interval_is_the_published_one() -> None:
    assert wilson(0, 5) == pytest.approx((0.0, 0.4345), abs=1e-3)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_pose_is_given_by_what_quality_measured() -> None:
    assert sight_of(probe(0, Side.LEFT), 1.0, SIZE, 120.0).pose == Pose(15.0, 0.0, 0.0)
    assert sight_of(NOBODY, 1.0, SIZE, 120.0).box is None
    assert sight_of(probe(0, brightness=50.0), 1.0, SIZE, 180.0).is_backlit
