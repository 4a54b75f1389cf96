"""The enrolment desk: who holds the one enrolment, and what the camera's frames do for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Box, Face, Frame, Quality
from janusd.enrolment import Enrolment
from janusd.errors import EnrolmentBusy, EnrolmentRefused
from janusd.pipeline import Probe
from janusd.ports import Sign
from janusd.service import enrolling
from janusd.service.enrolling import EnrolmentDesk
from janusd.service.signboard import Signboard
from janusd_hw.indicators import NoIndicator, RecordingIndicator

IMAGE = np.full((48, 64, 3), 100, np.uint8)
FACE = Face(Box(20, 10, 20, 25), np.zeros((5, 2), np.float32), 1.0)


def fit(yaw_deg: float = 0.0) -> Probe:
    embedding = np.array([0.9, 0.4 * np.sign(yaw_deg), 0.0, 0.0], np.float32)
    return Probe(FACE, Quality(60, yaw_deg, 0, 0, 120, 0.5, None), embedding / np.linalg.norm(embedding))


class Camera:
    """Shows the desk what it is told, twenty frames a second, each a twentieth of a second later."""

    def __init__(self, indicator: RecordingIndicator) -> None:
        self.probe = Probe(reason=Reason.NO_FACE)
        self.desk = EnrolmentDesk(lambda _: self.probe, show=Signboard(indicator).show)
        self.served = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._film)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def begin(self) -> str:
        return self.desk.begin(lambda: Enrolment("ada", Schedule(), "", 5, 1, 0.4, 0.6))

    def _film(self) -> None:
        number = 0
        while not self._over.wait(0.005):
            number += 1
            self.served += self.desk.see(Frame(IMAGE, number / 20, number))


@pytest.fixture
def shown() -> RecordingIndicator:
    return RecordingIndicator()


@pytest.fixture
def camera(shown: RecordingIndicator) -> Iterator[Camera]:
    with Camera(shown) as camera:
        yield camera


def guide(camera: Camera, token: str, side: str, tries: int = 400) -> bool:
    return any(camera.desk.guide(token, side, "", 2.0)[0].taken for _ in range(tries))


def test_a_guided_sample_is_told_once_and_the_prompts_go_to_the_indicator(
    camera: Camera, shown: RecordingIndicator
) -> None:
    token = camera.begin()
    scene, image = camera.desk.guide(token, "front", "", 2.0)
    assert (scene.reason, scene.taken) == ("no_face", False)
    assert image is IMAGE
    camera.probe = fit()
    assert guide(camera, token, "front")
    scene, _ = camera.desk.guide(token, "left", "", 2.0)
    assert not scene.taken
    assert scene.covered == ["front"]
    camera.probe = fit(15)
    assert guide(camera, token, "left")
    camera.desk.abandon(token)
    signs = [sign for sign, _ in shown.shown]
    assert signs[0] is Sign.PROBLEM
    assert signs.count(Sign.TAKEN) == 2
    assert Sign.HOLD in signs
    assert signs[-1] is Sign.IDLE
    assert all(one != two for one, two in zip(shown.shown, shown.shown[1:], strict=False))


def test_the_camera_serves_the_door_until_it_is_asked_for_and_again_when_nobody_asks_any_more(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = camera.begin()
    assert not camera.desk.takes_frames
    camera.desk.guide(token, "front", "", 0.2)
    assert camera.desk.takes_frames
    monkeypatch.setattr(enrolling, "_BACK_TO_THE_DOOR_S", 0.05)
    time.sleep(0.1)
    assert not camera.desk.takes_frames


def test_a_side_that_nobody_asks_about_any_more_is_not_taken(
    camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = camera.begin()
    monkeypatch.setattr(enrolling, "_ASK_AGAIN_S", 0.05)
    camera.desk.guide(token, "front", "", 2.0)
    time.sleep(0.1)
    camera.probe = fit()
    time.sleep(0.3)
    assert camera.desk.enrolment(token).samples == 0


def test_without_a_frame_the_scene_says_so() -> None:
    desk = EnrolmentDesk(lambda _: fit())
    token = desk.begin(lambda: Enrolment("ada", Schedule(), "", 5, 1, 0.4, 0.6))
    scene, image = desk.guide(token, "front", "", 0.05)
    assert (scene.reason, image) == ("no_frame", None)


def test_abandoning_wakes_whoever_waits(camera: Camera) -> None:
    desk = EnrolmentDesk(lambda _: fit())
    token = desk.begin(lambda: Enrolment("ada", Schedule(), "", 5, 1, 0.4, 0.6))
    threading.Timer(0.1, desk.abandon, [token]).start()
    with pytest.raises(EnrolmentRefused, match="no longer open"):
        desk.guide(token, "front", "", 30.0)


def test_one_enrolment_at_a_time_and_no_side_that_faces_do_not_have(camera: Camera) -> None:
    token = camera.begin()
    with pytest.raises(EnrolmentBusy):
        camera.begin()
    with pytest.raises(EnrolmentRefused, match="no side 'behind'"):
        camera.desk.guide(token, "behind", "", 0.1)
    with pytest.raises(EnrolmentRefused):
        camera.desk.guide("another token", "front", "", 0.1)


def test_any_live_view_is_taken_where_no_side_is_asked(camera: Camera) -> None:
    token = camera.begin()
    assert camera.desk.add_live(token, 0.1).reason == "no_face"
    camera.probe = fit()
    assert camera.desk.add_live(token, 5.0).accepted
    assert camera.desk.add_live(token, 0.2).reason == "duplicate_view"


def test_a_frame_that_the_camera_gives_twice_is_skipped_and_does_not_end_a_pose_being_held() -> None:
    shown = fit()
    desk = EnrolmentDesk(lambda _: shown)
    token = desk.begin(lambda: Enrolment("ada", Schedule(), "", 5, 1, 0.4, 0.6))
    desk.guide(token, "front", "", 0.01)
    for number in range(14):
        shown = replace(fit(), embedding=None, reason=Reason.NO_NEWS) if number % 2 else fit()
        assert desk.see(Frame(IMAGE, number / 15, number))
        if number % 2:
            assert desk.guide(token, "front", "", 0.01)[0].reason != "no_news"
    assert desk.enrolment(token).samples == 1


def test_a_broken_indicator_stops_nothing_and_none_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(NoIndicator):
        def show(self, sign: Sign, words: str) -> None:
            raise OSError("the lamp is gone")

    Signboard(Broken()).show(Sign.OPEN)
    assert "the indicator none failed" in caplog.text
    Signboard(NoIndicator()).show(Sign.OPEN)
    Signboard(None).show(Sign.OPEN)
