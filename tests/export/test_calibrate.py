import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.manifest import operating_point
from janusd_export.calibrate import HeldOut, calibrate, fit_tail
from janusd_export.errors import ExportError


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def held_out():
    rng = np.random.default_rng(7)
    person = np.repeat(np.arange(120, dtype=np.int32), 4)
    centre = rng.standard_normal((120, 64))
    ours = unit(centre[person] + 0.6 * rng.standard_normal((480, 64)))
    theirs = unit(np.eye(120)[person])  # who is who is beyond doubt
    return HeldOut(ours, person, theirs, missed=3)


def test_thresholds_rise_as_rates_fall_and_lie_in_their_intervals(held_out):
    table = calibrate(held_out, seed=0).table
    assert [row.fmr for row in table] == sorted((row.fmr for row in table), reverse=True)
    assert [row.threshold for row in table] == sorted(row.threshold for row in table)
    assert all(row.low <= row.threshold + 0.02 and row.threshold <= row.high + 0.02 for row in table)


def test_no_rate_is_called_measured_that_the_comparisons_cannot_show(held_out):
    found = calibrate(held_out, seed=0)
    assert found.impostor_comparisons == 480 * 479 // 2 - found.genuine_comparisons
    assert found.genuine_comparisons == 120 * 6
    assert min(row.fmr for row in found.table) * found.impostor_comparisons >= 20
    assert operating_point(found, 1e-6).is_extrapolated


def test_a_promise_beyond_the_measurements_asks_for_a_higher_threshold(held_out):
    found = calibrate(held_out, seed=0)
    at = [operating_point(found, fmr).threshold for fmr in (1e-2, 1e-3, 1e-5, 1e-7)]
    assert at == sorted(at)


def test_pairs_the_teachers_take_for_one_person_are_left_out_and_counted(held_out):
    two_names = held_out.person.copy()
    two_names[0] = 500  # the same face under another name
    found = calibrate(HeldOut(held_out.embeddings, two_names, held_out.teachers, 0), seed=0)
    assert "3 pairs labelled as two people" in found.description
    assert found.impostor_comparisons + found.genuine_comparisons == 480 * 479 // 2 - 3


@given(st.floats(-0.4, 0.2), st.floats(0.01, 0.1))
def test_the_fitted_tail_is_the_one_the_scores_were_drawn_from(shape, scale):
    rng = np.random.default_rng(3)
    uniform = rng.random(20_000)
    excess = scale / shape * (uniform**-shape - 1) if abs(shape) > 1e-6 else -scale * np.log(uniform)
    scores = np.concatenate([np.full(980_000, -0.5), 0.3 + excess]).astype(np.float32)
    tail = fit_tail(scores, 0.01)  # a tail of the tail is of the same shape
    assert tail.exceed_rate == pytest.approx(0.01)
    assert tail.shape == pytest.approx(shape, abs=0.06)
    # what is asked of it: the threshold that one in a million exceeds
    truth = 0.3 + (scale / shape * (5e-5**-shape - 1) if abs(shape) > 1e-6 else -scale * np.log(5e-5))
    ratio = 1e-6 / tail.exceed_rate
    ours = tail.location + tail.scale / tail.shape * (ratio**-tail.shape - 1)
    assert ours - 0.3 == pytest.approx(truth - 0.3, rel=0.35)


def test_a_handful_of_faces_is_refused():
    few = unit(np.eye(4))
    with pytest.raises(ExportError, match="hold out more people"):
        calibrate(HeldOut(few, np.array([0, 0, 1, 1], np.int32), few, 0), seed=0)
