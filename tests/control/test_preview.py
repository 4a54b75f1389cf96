"""What the camera shows, through the socket: small, bounded, and no scores for whoever may not be told."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.control import Access
from janusd.control.picture import MAX_SHOWN_PIXELS, encode_picture
from janusd.door import Scene
from support.fake_door import FakeDoor
from support.serving import Caller, eventually, serving

SCENE = Scene(1, [0.4, 0.2, 0.2, 0.3], "too_small", "Come a little closer.", 0.0, False, [], 0, 0)
PICTURE = np.full((480, 640, 3), (200, 100, 50), np.uint8)


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def path(tmp_path: Path, door: FakeDoor) -> Iterator[Path]:
    with serving(tmp_path / "control", door):
        yield tmp_path / "control"


class Filming:
    """A vision thread that sees a frame every hundredth of a second."""

    def __init__(self, door: FakeDoor) -> None:
        self._door = door
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._film)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _film(self) -> None:
        while not self._over.wait(0.01):
            for viewer in tuple(self._door.viewers):
                viewer(SCENE, PICTURE)


def begin(caller: Caller) -> str:
    return str(caller.call("BeginEnrolment", name="bob")["parameters"]["token"])


def test_a_preview_gives_small_jpegs_with_the_face_and_a_hint_at_most_so_often(
    path: Path, door: FakeDoor
) -> None:
    with Caller(path) as caller, Filming(door):
        caller.ask("Preview", more=True, columns=64, rows=64, fps=10)
        began_s = time.monotonic()
        views = [caller.reply() for _ in range(5)]
        took_s = time.monotonic() - began_s
    assert took_s > 0.35  # four pauses of a tenth of a second, though a hundred frames came in each
    for view in views:
        assert view is not None
        assert view["continues"] is True
        shown = view["parameters"]
        assert (shown["width"], shown["height"]) == (64, 48)
        assert shown["scene"]["hint"] == "Come a little closer."
        assert shown["scene"]["face"] == [0.4, 0.2, 0.2, 0.3]
        jpeg = base64.b64decode(shown["picture"])
        assert len(jpeg) < 4000
        assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (48, 64, 3)
    assert eventually(lambda: not door.viewers), "whoever leaves looks no longer"


@pytest.mark.parametrize(
    "asked",
    [
        {"columns": 161, "rows": 120},
        {"columns": -1, "rows": 10},
        {"columns": 10**9, "rows": 10**9},
        {"columns": 0, "rows": 10},
        {"columns": 64, "rows": 48, "fps": 11},
        {"columns": 64, "rows": 48, "fps": 0},
        {"columns": 64, "rows": 48, "encoding": "bmp"},
    ],
)
def test_a_preview_larger_or_faster_than_anybody_needs_is_refused(
    path: Path, door: FakeDoor, asked: dict[str, object]
) -> None:
    with Caller(path) as caller:
        caller.ask("Preview", more=True, **asked)
        reply = caller.reply()
    assert reply is not None
    assert reply["error"] == "org.varlink.service.InvalidParameter"
    assert not door.viewers


def test_guiding_shows_a_picture_and_tells_once_what_was_taken(path: Path, door: FakeDoor) -> None:
    door.live = ["too_small", "good"]
    with Caller(path) as caller:
        token = begin(caller)
        ask = {"token": token, "side": "front", "columns": 32, "rows": 32}
        views = [caller.call("GuideEnrolment", **ask)["parameters"]["view"] for _ in range(2)]
    assert [view["scene"]["taken"] for view in views] == [False, True]
    assert len(base64.b64decode(views[0]["picture"])) == 3 * 32 * 24
    assert views[1]["scene"]["covered"] == ["front"]


@pytest.mark.parametrize("verb", ["GuideEnrolment", "ReviewEnrolment"])
def test_nobody_looks_in_on_somebody_elses_enrolment(path: Path, verb: str) -> None:
    more = {"side": "front"} if verb == "GuideEnrolment" else {}
    with Caller(path) as wizard, Caller(path) as thief:
        reply = thief.call(verb, token=begin(wizard), **more)
    assert reply["error"] == "org.janusd.Door.NotAllowed"


@pytest.mark.parametrize("look", ["x" * 25, "with\nglasses", "\x1b[31m"])
def test_a_look_is_a_short_plain_word(path: Path, look: str) -> None:
    with Caller(path) as caller:
        reply = caller.call("GuideEnrolment", token=begin(caller), side="front", look=look)
    assert reply["error"] == "org.varlink.service.InvalidParameter"


@pytest.mark.parametrize("is_root", [True, False])
def test_scores_of_a_review_are_for_root_alone(tmp_path: Path, door: FakeDoor, is_root: bool) -> None:
    import os  # noqa: PLC0415

    access = Access() if is_root else Access(owner_uids=frozenset({os.getuid()}), daemon_uid=-1)
    if not is_root and os.getuid() == 0:
        access = _NotRoot(owner_uids=frozenset({0}), daemon_uid=-1)
    with serving(tmp_path / "other", door, access=access), Caller(tmp_path / "other") as caller:
        review = caller.call("ReviewEnrolment", token=begin(caller))["parameters"]["review"]
    assert review["nearest"] == "Anna Berg"
    assert (review["nearest_score"], review["threshold"]) == ((0.21, 0.58) if is_root else (None, None))


class _NotRoot(Access):
    """Takes uid 0 for an ordinary owner: these tests may run as root."""

    __slots__ = ()

    def shows_scores(self, peer: object) -> bool:
        return False


def test_reinforcing_holds_the_one_enrolment_like_any_other(path: Path, door: FakeDoor) -> None:
    door.enrolled["Anna"] = door.review  # type: ignore[assignment]  # any value will do
    with Caller(path) as one, Caller(path) as two:
        assert "token" in one.call("ReinforcePerson", name="Anna")["parameters"]
        assert one.call("BeginEnrolment", name="eve")["parameters"]["kind"] == "EnrolmentBusy"
        assert two.call("ReinforcePerson", name="nobody")["parameters"]["kind"] == "PersonNotFound"


def test_no_picture_is_larger_than_its_bound() -> None:
    for columns, rows in [(160, 120), (1, MAX_SHOWN_PIXELS), (MAX_SHOWN_PIXELS, 1), (7, 5)]:
        width, height, text = encode_picture(PICTURE, columns, rows, "rgb")
        assert width <= max(1, columns)
        assert height <= max(1, rows)
        assert len(base64.b64decode(text)) == 3 * width * height
