"""A stream is live, or it stands still, runs backwards or repeats itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import pytest

from janusd.core.freshness import Bounds, Freshness, Stream, digest, is_stale
from janusd.core.types import Box, Frame, Image

BOX = Box(90, 50, 120, 140)
FPS = 10.0


def scene(at: float, *, noise: int | None = None, aside: int = 0) -> Image:
    """A textured head-high blob that moves on a curve, `aside` of it; `noise` seeds the sensor."""
    ground = cv2.resize(np.random.default_rng(1).integers(60, 120, (12, 16, 3), dtype=np.uint8), (320, 240))
    face = cv2.resize(np.random.default_rng(2).integers(120, 230, (9, 8, 3), dtype=np.uint8), (110, 130))
    x, y = round(100 + 40 * np.sin(at)) + aside, round(55 + 22 * np.sin(1.7 * at + 1))
    image = ground.astype(np.float32)
    image[y : y + 130, x : x + 110] = face
    if noise is not None:
        image += np.random.default_rng(noise).normal(0, 2.5, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def live(count: int, start: int = 0) -> list[Image]:
    return [scene(0.23 * (start + index), noise=start + index) for index in range(count)]


def look(images: Iterable[Image], stream: Stream | None = None, *, box: Box | None = BOX) -> list[Freshness]:
    stream = stream or Stream()
    return [stream.look(Frame(image, 1 + number / FPS, number), box) for number, image in enumerate(images)]


def test_a_moving_face_before_a_real_sensor_is_fresh() -> None:
    assert set(look(live(60))) == {Freshness.FRESH}


def test_somebody_who_stands_quite_still_is_fresh_as_long_as_the_sensor_has_noise() -> None:
    assert set(look([scene(0.0, noise=number) for number in range(60)])) == {Freshness.FRESH}


def test_the_same_bytes_are_no_news_at_once_and_frozen_after_half_a_second() -> None:
    seen = look([scene(0.0, noise=1)] * 20)
    assert seen[0] is Freshness.FRESH
    assert set(seen[1:5]) == {Freshness.REPEATED}
    assert set(seen[5:]) == {Freshness.FROZEN}


def test_a_face_that_comes_into_a_doorway_that_stood_still_is_fresh() -> None:
    """A camera that compresses its picture gives what does not move again to the byte."""
    stream, doorway = Stream(), scene(2.0)
    frames = [(doorway, None)] * 20 + [(image, BOX) for image in live(10)]
    seen = [
        stream.look(Frame(image, 1 + number / FPS, number), box) for number, (image, box) in enumerate(frames)
    ]
    assert set(seen[20:]) == {Freshness.FRESH}


def test_a_still_whose_face_is_missed_now_and_then_is_frozen_all_the_same() -> None:
    stream, still = Stream(), scene(0.0, noise=1)
    seen = [
        stream.look(Frame(still, 1 + number / FPS, number), None if number % 4 == 1 else BOX)
        for number in range(20)
    ]
    assert Freshness.FRESH not in seen[1:]
    assert seen.count(Freshness.FROZEN) >= 8


def test_a_covered_lens_may_repeat_itself() -> None:
    assert set(look([np.zeros((240, 320, 3), np.uint8)] * 20)) == {Freshness.FRESH}


@pytest.mark.parametrize("codec", ["mp4v", "MJPG"])
def test_a_still_that_was_compressed_into_a_film_never_gives_three_fresh_frames(tmp_path, codec) -> None:
    path = tmp_path / "still.avi"
    film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, (320, 240))
    for _ in range(40):
        film.write(scene(0.0, noise=1))
    film.release()
    reader, images = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        images.append(np.asarray(read[1], np.uint8))
    assert len(images) == 40
    seen = look(images)
    assert seen.count(Freshness.FRESH) < 3
    assert set(seen[10:]) == {Freshness.FROZEN}


def test_a_clip_played_again_is_a_loop_even_with_a_clock_drawn_into_it() -> None:
    clip = live(20)
    played = [image.copy() for image in clip * 3]
    for number, image in enumerate(played):
        image[:20, :60] = number % 250
    seen = look(played)
    assert set(seen[:20]) == {Freshness.FRESH}
    assert set(seen[22:]) == {Freshness.LOOPED}


def noisy(images: Sequence[Image]) -> list[Image]:
    rng = np.random.default_rng(9)
    return [np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8) for image in images]


def test_a_clip_filmed_anew_is_a_loop_although_no_byte_comes_back() -> None:
    clip = live(24)
    seen = look(noisy(clip * 2))
    assert Freshness.LOOPED not in seen[:24]
    assert seen.index(Freshness.LOOPED) <= 24 + 10


def test_a_clip_that_runs_forth_and_back_is_a_loop() -> None:
    clip = live(24)
    assert Freshness.LOOPED in look(noisy(clip + clip[::-1]))


@pytest.mark.parametrize("aside", [0, 4])
def test_somebody_who_moves_the_same_way_again_is_fresh_if_only_a_little_elsewhere(aside: int) -> None:
    way = [0.23 * index for index in range(24)]
    images = [scene(at, noise=number) for number, at in enumerate(way)]
    for again, course in enumerate((way[::-1], way), start=1):
        images += [scene(at, noise=100 * again + n, aside=again * aside) for n, at in enumerate(course)]
    assert (Freshness.LOOPED in look(images)) is (aside == 0)


def test_a_loop_stays_suspect_for_a_while_and_is_then_forgotten() -> None:
    stream = Stream(Bounds(suspect_s=1.0))
    look(live(20) * 2, stream)
    elsewhere = [image[:, ::-1] for image in live(20)]
    later = [
        stream.look(Frame(image, 8.0 + number / FPS, 100 + number), BOX)
        for number, image in enumerate(elsewhere)
    ]
    assert later[-1] is Freshness.FRESH


def test_without_a_face_an_empty_doorway_may_look_the_same_for_hours() -> None:
    clip = live(10)
    assert Freshness.LOOPED not in look(clip * 4, box=None)


def test_frames_out_of_order_or_too_old_are_stale() -> None:
    stream, images = Stream(), live(4)
    assert stream.look(Frame(images[0], 5.0, 7), BOX) is Freshness.FRESH
    assert stream.look(Frame(images[1], 5.1, 7), BOX) is Freshness.STALE
    assert stream.look(Frame(images[2], 5.0, 9), BOX) is Freshness.STALE
    assert stream.look(Frame(images[3], 5.2, 10), BOX, now_s=9.0) is Freshness.STALE
    assert is_stale(1.0, 4.0)
    assert not is_stale(1.0, 2.0)


def test_a_camera_that_was_opened_anew_counts_from_zero() -> None:
    stream, images = Stream(), live(2)
    stream.look(Frame(images[0], 5.0, 70), BOX)
    assert stream.look(Frame(images[1], 6.0, 0), BOX) is Freshness.FRESH


def test_what_is_older_than_the_memory_is_forgotten() -> None:
    stream = Stream(Bounds(memory_s=2.0))
    look(live(90), stream)
    assert len(stream._seen) <= 21


def test_the_digest_is_of_the_face_where_there_is_one() -> None:
    image = scene(0.0)
    changed = image.copy()
    changed[0, 0] = 0
    assert digest(image) != digest(changed)
    assert digest(image, BOX) == digest(changed, BOX)
