"""The camera that shows files."""

from __future__ import annotations

import itertools
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.core.types import Frame
from janusd.errors import CameraError
from janusd.ports import Camera
from janusd_hw.camera_replay import ReplayCamera

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
SIZE = (32, 48)  # height, width


def paint(path: Path, colour: tuple[int, int, int]) -> None:
    """A picture of one RGB colour, put in place by renaming."""
    image = np.full((*SIZE, 3), colour[::-1], np.uint8)
    unfinished = path.with_name(f".{path.name}")
    assert cv2.imwrite(str(unfinished), image)
    unfinished.rename(path)


def colour(frame: Frame) -> tuple[int, ...]:
    """The nearest pure colour of a frame's middle."""
    middle = frame.image[frame.image.shape[0] // 2, frame.image.shape[1] // 2]
    return tuple(255 if v > 127 else 0 for v in middle)


@pytest.fixture
def street(tmp_path: Path) -> Path:
    paint(tmp_path / "02.png", GREEN)
    paint(tmp_path / "01.jpg", RED)
    paint(tmp_path / "03.webp", BLUE)
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_text("not a picture either")
    return tmp_path


def test_a_folder_is_shown_in_the_order_of_its_names_in_rgb(street: Path) -> None:
    camera: Camera = ReplayCamera(street, pace="fast")
    frames = list(camera.frames())
    assert [colour(f) for f in frames] == [RED, GREEN, BLUE]
    assert [f.sequence for f in frames] == [0, 1, 2]
    assert frames[0].image.shape == (*SIZE, 3)
    assert camera.name == f"replay {street}"


def test_time_advances_by_the_rate_even_when_nobody_waits(street: Path) -> None:
    started_s = time.monotonic()
    frames = list(ReplayCamera(street, pace="fast", fps=0.1, start_s=500).frames())
    assert [f.captured_s for f in frames] == pytest.approx([500, 510, 520])
    assert time.monotonic() - started_s < 5


def test_real_pace_waits_between_frames(street: Path) -> None:
    started_s = time.monotonic()
    frames = list(ReplayCamera(street, pace="real", fps=20).frames())
    assert time.monotonic() - started_s >= 0.1
    assert np.diff([f.captured_s for f in frames]).min() >= 0.05 - 1e-6


def test_a_slow_consumer_sees_true_times_at_real_pace(street: Path) -> None:
    frames = ReplayCamera(street, pace="real", fps=100, start_s=0.0).frames()
    first = next(frames)
    time.sleep(0.1)
    assert next(frames).captured_s - first.captured_s >= 0.1


def test_a_loop_starts_over(street: Path) -> None:
    frames = itertools.islice(ReplayCamera(street, pace="fast", loop=True).frames(), 7)
    assert [colour(f) for f in frames] == [RED, GREEN, BLUE, RED, GREEN, BLUE, RED]


def test_close_ends_a_loop(street: Path) -> None:
    camera = ReplayCamera(street, pace="fast", loop=True)
    seen = 0
    for _ in camera.frames():
        seen += 1
        if seen == 5:
            camera.close()
            camera.close()
    assert seen == 5


def test_close_wakes_a_waiting_camera(street: Path) -> None:
    camera = ReplayCamera(street, pace="real", fps=0.01)
    frames = camera.frames()
    next(frames)
    threading.Timer(0.05, camera.close).start()
    assert next(frames, None) is None


def test_one_picture_is_a_replay_of_one_frame(street: Path) -> None:
    assert [colour(f) for f in ReplayCamera(street / "02.png", pace="fast").frames()] == [GREEN]


def test_a_video_is_shown_at_its_own_rate(tmp_path: Path) -> None:
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, SIZE[::-1])
    for shade in (RED, BLUE):
        writer.write(np.full((*SIZE, 3), shade[::-1], np.uint8))
    writer.release()
    frames = list(ReplayCamera(film, pace="fast", start_s=0).frames())
    assert [colour(f) for f in frames] == [RED, BLUE]
    assert [f.captured_s for f in frames] == pytest.approx([0, 0.2])


def test_a_damaged_picture_is_named(street: Path) -> None:
    (street / "02.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    frames = ReplayCamera(street, pace="fast").frames()
    next(frames)
    with pytest.raises(CameraError, match=r"cannot read the picture .*02\.png"):
        next(frames)


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "film.avi").write_bytes(b"not a film")
    with pytest.raises(CameraError, match=r"film\.avi is no video"):
        next(ReplayCamera(tmp_path / "film.avi", pace="fast").frames())


def test_nothing_to_show_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="holds no picture"):
        ReplayCamera(tmp_path)
    with pytest.raises(CameraError, match="does not exist"):
        ReplayCamera(tmp_path / "missing")


def test_a_followed_folder_shows_what_arrives_and_keeps_the_newest_in_view(tmp_path: Path) -> None:
    camera = ReplayCamera(tmp_path, fps=200, follow=True)
    frames = camera.frames()
    assert [colour(next(frames)) for _ in range(3)] == [(0, 0, 0)] * 3  # dark before the first
    paint(tmp_path / "z.png", RED)
    seen = [colour(next(frames)) for _ in range(4)]
    assert seen[-1] == RED
    paint(tmp_path / "b.png", BLUE)
    paint(tmp_path / "a.png", GREEN)
    seen = [colour(next(frames)) for _ in range(6)]
    assert [shade for shade, _ in itertools.groupby(seen)] in ([RED, GREEN, BLUE], [GREEN, BLUE])
    paint(tmp_path / "z.png", (255, 255, 0))  # the same name again is a new picture
    assert (255, 255, 0) in [colour(next(frames)) for _ in range(4)]
    camera.close()
    assert next(frames, None) is None


def test_a_followed_folder_lets_go_of_pictures_that_were_taken_away(tmp_path: Path) -> None:
    paint(tmp_path / "a.png", GREEN)
    camera = ReplayCamera(tmp_path, fps=200, follow=True)
    frames = camera.frames()
    assert colour(next(frames)) == GREEN
    (tmp_path / "a.png").unlink()
    assert colour(next(frames)) == GREEN
    camera.close()


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(street: Path, fps: float) -> None:
    with pytest.raises(ValueError, match="fps"):
        ReplayCamera(street, fps=fps)


def test_following_what_cannot_be_followed_is_refused(street: Path) -> None:
    with pytest.raises(ValueError, match="follow"):
        ReplayCamera(street, pace="fast", follow=True)
    with pytest.raises(CameraError, match="not a folder"):
        ReplayCamera(street / "02.png", follow=True)
