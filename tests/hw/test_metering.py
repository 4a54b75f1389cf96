"""Exposure for a face: the loop against a camera that answers as a sensor does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.types import Box, Image
from janusd_hw.metering import BRIGHTEST_EV, DARKEST_EV, TARGET, Metering

FACE = Box(20, 20, 40, 40)


def seen(face_level: float, ev: float) -> Image:
    """A face before a white sky, after so many stops of correction."""
    image = np.full((80, 80, 3), 255, np.uint8)
    image[20:60, 20:60] = np.uint8(min(255.0, face_level * 2 ** (ev / 2.2)))
    return image


@given(level=st.floats(50, 230))
def test_a_face_in_any_light_comes_near_the_middle_and_stays_there(level: float) -> None:
    metering = Metering()
    for frame in range(60):
        metering.ask(FACE)
        metering.change(seen(level, metering.ev), frame * 0.1)
    face = float(seen(level, metering.ev)[40, 40, 1])
    at_its_end = metering.ev in (DARKEST_EV, BRIGHTEST_EV)
    assert at_its_end or face == pytest.approx(TARGET, rel=0.1)
    metering.ask(FACE)
    assert metering.change(seen(level, metering.ev), 7.0) is None  # no hunting


def test_it_changes_no_more_than_four_times_a_second_and_half_a_stop() -> None:
    metering, changes = Metering(), []
    for frame in range(30):
        metering.ask(FACE)
        changes.append(metering.change(seen(20, 0), frame / 30))
    done = [ev for ev in changes if ev is not None]
    assert len(done) <= 4
    assert max(np.diff([0.0, *done])) <= 0.5


def test_without_a_face_the_whole_picture_counts_again() -> None:
    metering = Metering()
    metering.ask(FACE)
    assert metering.change(seen(60, 0), 0.0) == pytest.approx(0.5)
    assert metering.change(seen(60, 0), 2.0) is None
    assert metering.change(seen(60, 0), 3.1) == 0.0
    assert metering.change(seen(60, 0), 9.0) is None


def test_a_box_outside_the_picture_changes_nothing() -> None:
    metering = Metering()
    metering.ask(Box(500, 500, 40, 40))
    assert metering.change(seen(60, 0), 0.0) is None
