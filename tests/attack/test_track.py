"""What was found out about one face does not speak for another."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.track import Follow, Track, follow, overlap
from janusd.core.types import Box

HOW = Follow()


def face(axis: int, mixed: float = 0.0):
    vector = np.zeros(8, np.float32)
    vector[axis], vector[7] = np.sqrt(1 - mixed**2), mixed
    return vector


def played(*sights) -> list[int]:
    """Track numbers of (x, embedding, time)."""
    track: Track | None = None
    numbers = []
    for x, embedding, at_s in sights:
        number = track.number + 1 if track else 1
        track = follow(track, number, Box(x, 50, 100, 120), embedding, at_s, HOW)
        numbers.append(track.number)
    return numbers


def test_a_face_that_moves_a_little_stays_on_its_track() -> None:
    assert played((0, face(0), 0.0), (20, face(0, 0.3), 0.1), (45, face(0, 0.5), 0.2)) == [1, 1, 1]


def test_another_face_in_the_same_place_is_another_track() -> None:
    assert played((0, face(0), 0.0), (0, face(1), 0.1)) == [1, 2]


def test_the_same_face_elsewhere_is_another_track() -> None:
    assert played((0, face(0), 0.0), (300, face(0), 0.1)) == [1, 2]


def test_a_face_that_was_gone_for_long_is_another_track() -> None:
    assert played((0, face(0), 0.0), (0, face(0), 3.0)) == [1, 2]


def test_a_blurred_frame_keeps_the_track_but_cannot_be_used_to_swap_the_face() -> None:
    assert played((0, face(0), 0.0), (0, None, 0.1), (0, face(0), 0.2)) == [1, 1, 1]
    assert played((0, face(0), 0.0), (0, None, 0.1), (0, face(1), 0.2)) == [1, 1, 2]


@given(*[st.floats(0, 100)] * 4)
def test_overlap_is_symmetric_and_of_itself_whole(x: float, y: float, width: float, height: float) -> None:
    a, b = Box(x, y, width + 1, height + 1), Box(50, 50, 40, 40)
    assert overlap(a, b) == overlap(b, a)
    assert 0 <= overlap(a, b) <= 1 + 1e-9
    assert overlap(a, a) > 0.999
