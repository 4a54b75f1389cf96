"""Two people in one enrolment: a morph as a file, a morph held before the camera, a clip that changes faces.

The morphs are of the demo's people, who do not exist, and go through the released networks; what is held
before the camera has landmarks that were projected, and the real service around them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from janusd import models
from janusd.config import ModelSection, parse
from janusd.core import motion
from janusd.core.gallery import Gallery
from janusd.core.guide import Sight
from janusd.core.manifest import Promise, fmr_for_gallery, operating_point, promised_point
from janusd.core.motion import Kind
from janusd.core.pose import Pose
from janusd.core.schedule import Schedule
from janusd.core.types import Box, Face, Frame, Image, Points
from janusd.enrolment import Enrolment
from janusd.errors import EnrolmentRefused
from janusd.main import open_pipeline
from janusd.pipeline import Pipeline, Probe
from janusd_hw.fakes import paint
from support.morphs import morph
from support.nobody import portrait
from support.painted_door import Rig

# From files: what the released encoder makes of morphs.


@cache
def released() -> Pipeline:
    return open_pipeline(ModelSection(), models.load(models.RELEASED))


@cache
def seen(person: str, number: int = 0) -> Probe:
    found = released().probe(portrait(person, f"enrol-{number:02}"))
    assert found.embedding is not None
    return found


def landmarks(person: str) -> Points:
    face = seen(person).face
    assert face is not None
    return face.landmarks_px


@cache
def mixed(one: str, other: str) -> Probe:
    picture = morph(portrait(one), landmarks(one), portrait(other), landmarks(other))
    found = released().probe(picture)
    assert found.embedding is not None, found.reason
    return found


def enrolment(**more: object) -> Enrolment:
    same_person = operating_point(released().spec.calibration, 1e-3).threshold
    return Enrolment("dora", Schedule(), "", 5, 1, same_person, **more)  # type: ignore[arg-type]


def threshold(templates: int) -> float:
    fmr = fmr_for_gallery(Promise(1, 2).fpir, templates)
    return promised_point(released().spec.calibration, fmr).threshold


def enrolled(*people: str) -> Gallery:
    rows = {name: [seen(name, n).embedding for n in range(3)] for name in people}
    return Gallery.of_embeddings(rows)  # type: ignore[arg-type]


def test_a_morph_resembles_both_of_its_people_more_than_any_other() -> None:
    """Else the tests below would be about nothing."""
    mix = mixed("ada", "chloe").embedding
    likeness = {name: float(mix @ seen(name).embedding) for name in ("ada", "ben", "chloe")}  # type: ignore[operator]
    assert min(likeness["ada"], likeness["chloe"]) > likeness["ben"] + 0.1


def test_a_morph_with_somebody_who_lives_there_is_refused_by_name() -> None:
    begun, gallery = enrolment(), enrolled("ada", "ben")
    assert begun.offer(mixed("ada", "chloe")).accepted
    with pytest.raises(EnrolmentRefused, match="looks like ada, who is enrolled already"):
        begun.finish(gallery, threshold(gallery.comparisons + 1))


def test_a_morph_of_two_strangers_is_not_told_and_the_owner_hears_that_it_cannot_be() -> None:
    begun = enrolment()
    assert begun.offer(mixed("ada", "chloe")).accepted
    gallery = enrolled("ben")
    assert len(begun.finish(gallery, threshold(4))) == 1  # open: SECURITY.md, row 9
    advice = begun.review(gallery, threshold(4), released().spec.calibration).advice
    assert any("a picture mixed from two lets both in" in line for line in advice)


def test_pictures_of_two_people_joined_by_a_morph_are_pointed_out() -> None:
    """Each picture resembles one before it, and the ends do not resemble each other."""
    begun = enrolment()
    for probe in (mixed("ada", "chloe"), seen("ada"), seen("chloe")):
        begun.offer(probe)
    if begun.samples == 3:
        advice = begun.review(Gallery.of([]), 0.5, released().spec.calibration).advice
        assert any("hardly look like one person" in line for line in advice)
    else:
        assert begun.samples < 3  # refused at once, which is better still


def test_photographs_of_one_person_are_not_called_two() -> None:
    begun = enrolment()
    for number in range(3):
        assert begun.offer(seen("ada", number)).accepted
    advice = begun.review(Gallery.of([]), 0.5, released().spec.calibration).advice
    assert not any("hardly look like one person" in line for line in advice)


# Before the camera: a head stands out as it turns, a sheet with a morph on it does not.

HEAD_MM = np.array([[-31.5, -32, 28], [31.5, -32, 28], [0, 0, 0], [-25, 30, 22], [25, 30, 22]], float)
FPS = 15.0


class Held:
    """Finds the landmarks of something that is turned before the camera: depth 1 is a head, 0 a sheet."""

    name = "held"

    def __init__(self, depth: float) -> None:
        self.depth, self.turned_deg, self.seed = depth, (0.0, 0.0), 0

    def detect(self, image: Image) -> tuple[Face, ...]:
        yaw, pitch = np.radians(self.turned_deg)
        aside = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        nods = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        at = (HEAD_MM * (1, 1, self.depth)) @ (aside @ nods).T + (0, 0, 550)
        self.seed += 1
        noise = np.random.default_rng(self.seed).normal(0, 0.3, (5, 2))
        points = (602 * at[:, :2] / at[:, 2:] + (160, 120) + noise).astype(np.float32)
        return (Face(Box(100, 60, 120, 120), points, 1.0),)


HEAD = {"front": (0, 0), "left": (22, 0), "right": (-22, 0), "up": (0, -15), "down": (0, 15)}
SHEET = {"front": (0, 0), "up": (0, -30), "left": (46, 0), "right": (-46, 0), "down": (0, 55)}
"""Degrees of yaw and pitch: a sheet reads as turned aside from 40 on, as lowered nearly edge on."""
USUAL = "[enrolment]\nsamples = 5\nleast = 3\n"
TWO_ARE_ENOUGH = "[enrolment]\nsamples = 2\nleast = 2\n"


def enrol(folder: Path, depth: float, poses: Mapping[str, tuple[float, float]], config: str) -> str:
    """Turn it as asked, one side after the other; what came of it."""
    held = Held(depth)
    rig = Rig(folder, parse(config + "[idle]\ngate = false\n"))
    rig.detector.detect = held.detect  # type: ignore[method-assign]
    # By landmarks alone: the picture is painted anew in each frame, and turns in none.
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(motion, "judge", lambda way: Kind.TURNED)
    token, number, at = rig.door.begin_enrolment("dora", ""), 0, np.zeros(2)
    for side, turned_deg in poses.items():
        way = np.linspace(at, turned_deg, 8)
        for pose in (*way, *[way[-1]] * 14):
            number += 1
            held.turned_deg = (float(pose[0]), float(pose[1]))
            rig.clock.advance(1 / FPS)
            if side not in rig.door.review_enrolment(token).covered:  # as the wizard asks no more then
                rig.door.guide_enrolment(token, side, "", 0.0)
            rig.door._see(Frame(paint("a", seed=number), rig.clock.monotonic_s(), number))
        at = way[-1]
    try:
        covered = rig.door.review_enrolment(token).covered
        rig.door.commit_enrolment(token)
    except EnrolmentRefused as refused:
        return str(refused)
    finally:
        monkeypatch.undo()
        rig.door.close()
    return " ".join(covered)


@pytest.mark.parametrize("level", ["passive", "live"])
def test_a_head_that_turns_as_asked_is_enrolled(tmp_path: Path, level: str) -> None:
    asked = USUAL + f'[attack]\nlevel = "{level}"\n'
    assert enrol(tmp_path, 1.0, HEAD, asked) == "front left right up down"


def test_a_morph_on_a_sheet_cannot_show_the_sides_that_are_asked_for(tmp_path: Path) -> None:
    assert "2 of at least 3 usable samples" in enrol(tmp_path, 0.0, SHEET, USUAL)


def test_where_two_samples_are_enough_a_sheet_is_told_by_its_lack_of_depth(tmp_path: Path) -> None:
    refused = enrol(tmp_path, 0.0, SHEET, TWO_ARE_ENOUGH + '[attack]\nlevel = "live"\n')
    assert "nothing stood out of the face of dora" in refused


def test_where_two_are_enough_and_no_depth_is_asked_for_a_sheet_passes(tmp_path: Path) -> None:
    """What stays open for who lowers `enrolment.least`, unless the network finds the sheet out."""
    assert enrol(tmp_path, 0.0, SHEET, TWO_ARE_ENOUGH) == "front up"


def test_depth_that_was_shown_before_the_first_sample_or_by_a_lost_face_does_not_count() -> None:
    begun = enrolment(asks_depth=True)
    begun.stands_out()
    begun.follow(seen("ada"), _sight(1.0))
    assert begun.offer_live(seen("ada"), _sight(1.0)).accepted
    with pytest.raises(EnrolmentRefused, match="may have been a picture"):
        begun.finish(Gallery.of([]), 0.5)
    begun.follow(Probe(), _sight(1.1, is_there=False))
    begun.follow(Probe(), _sight(3.0, is_there=False))
    begun.stands_out()
    with pytest.raises(EnrolmentRefused, match="may have been a picture"):
        begun.finish(Gallery.of([]), 0.5)


def test_files_are_no_way_around_it() -> None:
    begun = enrolment(asks_depth=True)
    begun.offer(seen("ada", 1))
    assert len(begun.finish(Gallery.of([]), 0.5)) == 1  # files alone: nobody claims that somebody was there
    begun.follow(seen("ada"), _sight(1.0))
    assert begun.offer_live(seen("ada"), _sight(1.0)).accepted
    with pytest.raises(EnrolmentRefused, match="may have been a picture"):
        begun.finish(Gallery.of([]), 0.5)


def _sight(at_s: float, *, is_there: bool = True) -> Sight:
    box = Box(0.3, 0.3, 0.3, 0.4) if is_there else None
    return Sight(at_s, box=box, pose=Pose(0.0, 0.0, 0.0), inter_ocular_px=60.0)
