from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.core.manifest import operating_point
from janusd_export.errors import ExportError
from janusd_export.evaluation.calibrate import (
    ASKED,
    HeldOut,
    calibrate,
    check_tail,
    compare,
    fit_attenuation,
    fit_tail,
    lengthened,
    ordered_thresholds,
    tail_threshold,
    threshold_intervals,
)
from janusd_export.metrics import true_match_rate


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def held_out():
    rng = np.random.default_rng(7)
    person = np.repeat(np.arange(120, dtype=np.int32), 4)
    centre = rng.standard_normal((120, 64))
    ours = unit(centre[person] + 0.6 * rng.standard_normal((480, 64)))
    theirs = unit(np.eye(120)[person])  # who is who is beyond doubt
    return HeldOut(ours, np.ones(480, np.float32), person, theirs, missed=3)


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
    found = calibrate(replace(held_out, person=two_names), seed=0)
    assert "3 pairs labelled as two people" in found.description
    assert found.impostor_comparisons + found.genuine_comparisons == 480 * 479 // 2 - 3


@settings(max_examples=15)
@given(st.floats(-0.4, 0.2), st.floats(0.01, 0.1))
def test_the_fitted_tail_is_the_one_the_scores_were_drawn_from(shape, scale):
    rng = np.random.default_rng(3)
    uniform = rng.random(10_000)
    excess = scale / shape * (uniform**-shape - 1) if abs(shape) > 1e-6 else -scale * np.log(uniform)
    scores = np.concatenate([np.full(490_000, -0.5), 0.3 + excess]).astype(np.float32)
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
        calibrate(HeldOut(few, np.ones(4, np.float32), np.array([0, 0, 1, 1], np.int32), few, 0), seed=0)


def test_an_encoder_that_answers_shortly_where_it_is_unsure_is_made_up_for(held_out):
    """Every other face is seen badly: more noise, and a shorter answer."""
    rng = np.random.default_rng(1)
    badly = np.arange(480) % 2
    seen = unit(held_out.embeddings + (0.1 * badly)[:, None] * rng.standard_normal((480, 64)))
    sure = np.where(badly, 30.0, 60.0).astype(np.float32)
    doubted = replace(held_out, embeddings=seen, sureness=sure)
    found, tried = fit_attenuation(doubted)
    assert found is not None
    assert found.typical == 45.0
    assert found.exponent > 0.0
    before, after = (compare(one) for one in (doubted, lengthened(doubted, found)))
    matched = [true_match_rate(one.genuine, one.impostor, 2e-4)[0].value for one in (before, after)]
    assert matched[1] > matched[0]
    assert max(tried, key=lambda exponent: tried[exponent].hits) == found.exponent
    assert fit_attenuation(held_out)[0] is None  # all answers of one length: nothing to go by
    assert lengthened(held_out, None) is held_out


def test_every_asked_rate_has_a_threshold_and_extrapolated_ones_say_so(held_out):
    found = calibrate(held_out, seed=0)
    measured, beyond = {row.fmr for row in found.table}, {row.fmr for row in found.extrapolated}
    assert set(ASKED) <= measured | beyond
    assert not measured & beyond
    assert all(
        row.low <= row.high and row.threshold >= found.table[-1].threshold for row in found.extrapolated
    )
    for row in found.extrapolated:
        assert operating_point(found, row.fmr).threshold == pytest.approx(row.threshold)


def pareto(rng, count, scale, shape):
    """Excesses of a generalised Pareto distribution, by its quantile function."""
    return scale / shape * (rng.random(count) ** -shape - 1)


def test_intervals_hold_the_true_thresholds_at_the_promised_rate():
    # A hundredth of the scores lies above 0.3 as a known tail: its thresholds are a closed form. Of a hundred
    # samples, 95 % intervals should miss about five; more than eleven in one of a hundred such tests
    # The tail has 250 scores; of 100 scores, intervals are too narrow and miss about one in ten.
    scale, shape, count = 0.05, -0.1, 50_000
    rates, beyond = [1e-3], [1e-4, 1e-5, 1e-6]
    truth = [0.3 + scale / shape * ((r / 0.01) ** -shape - 1) for r in rates + beyond]
    rng = np.random.default_rng(11)
    missed = np.zeros(4)
    for _ in range(100):
        top = np.sort(0.3 + pareto(rng, rng.binomial(count, 0.01), scale, shape))[::-1].astype(np.float32)
        repeats = (
            (w, int(w.sum()) + rng.poisson(count - len(top))) for w in rng.poisson(1.0, (80, len(top)))
        )
        ends = threshold_intervals(top, repeats, rates, beyond, 5e-3)
        missed += [not low <= true <= high for true, (low, high) in zip(truth, ends, strict=True)]
    assert (missed <= 11).all(), missed


def test_a_tail_that_fits_has_its_quantiles_in_the_band_and_one_that_does_not_has_not():
    rng = np.random.default_rng(5)
    scores = np.concatenate([np.full(198_000, -0.5), 0.3 + pareto(rng, 2_000, 0.05, -0.1)]).astype(np.float32)
    tail = fit_tail(scores, 5e-3)
    check = check_tail(scores, tail)
    assert check.scores == 1000

    def inside(check):
        return np.mean([a <= x <= b for x, a, b in zip(check.observed, check.low, check.high, strict=True)])

    assert inside(check) > 0.9
    heavier = type(tail)(tail.location, tail.scale, 0.4, tail.exceed_rate)
    assert inside(check_tail(scores, heavier)) < 0.6
    assert len({choice.exceed_rate for choice in check.choices}) == len(check.choices) >= 3


def test_the_threshold_of_the_tail_is_the_score_that_it_exceeds_so_often():
    tail = fit_tail(np.linspace(0, 1, 100_000, dtype=np.float32), 0.01)  # uniform scores: shape -1
    assert tail.shape == pytest.approx(-1.0, abs=0.01)
    assert tail_threshold(tail, 1e-4) == pytest.approx(0.9999, abs=1e-4)


def test_label_errors_are_no_impostor_comparisons(held_out):
    every = compare(held_out)
    assert len(every.impostor) == len(every.first) == len(every.second)
    assert (held_out.person[every.first] != held_out.person[every.second]).all()


def test_thresholds_are_ordered_as_a_manifest_wants_them() -> None:
    rows = ordered_thresholds([1e-2, 1e-3, 1e-4], [0.5, 0.6, 1.3], [(0.4, 0.9), (0.65, 0.8), (0.7, 1.4)])
    assert [(r.low, r.threshold, r.high) for r in rows] == [(0.4, 0.5, 0.9), (0.6, 0.6, 0.9), (0.7, 1.0, 1.0)]
