import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd_export.evaluation import curves
from janusd_export.evaluation.curves import Ranked

integers = st.lists(st.integers(-40, 40), min_size=1, max_size=15)


def ranked(genuine, impostor):
    return Ranked.of(np.array(genuine, np.float32), np.array(impostor, np.float32))


@settings(max_examples=30)
@given(integers, integers)
def test_the_trade_off_only_ever_trades(genuine, impostor):
    curve = curves.tradeoff(ranked(genuine, impostor))
    assert curve.threshold == sorted(curve.threshold)
    assert curve.fmr == sorted(curve.fmr, reverse=True)
    assert curve.fnmr == sorted(curve.fnmr)
    for low, value, high in zip(curve.fmr_low, curve.fmr, curve.fmr_high, strict=True):
        assert low <= value <= high


@settings(max_examples=30)
@given(integers, integers)
def test_stretching_scores_changes_no_error(genuine, impostor):
    before, after = ranked(genuine, impostor), ranked(np.array(genuine) * 4 + 8, np.array(impostor) * 4 + 8)
    assert curves.tradeoff(before).fmr == curves.tradeoff(after).fmr
    assert curves.tradeoff(before).fnmr == curves.tradeoff(after).fnmr
    assert curves.equal_error_rate(before) == curves.equal_error_rate(after)
    points, stretched = curves.operating_points(before), curves.operating_points(after)
    assert [(p.fmr, p.matched, p.note) for p in points] == [(p.fmr, p.matched, p.note) for p in stretched]


def test_each_point_of_the_trade_off_is_what_its_threshold_does():
    genuine, impostor = [1, 5, 6, 9], [0, 1, 2, 3, 4, 7]
    curve = curves.tradeoff(ranked(genuine, impostor))
    for i, threshold in enumerate(curve.threshold):
        assert curve.fmr[i] == sum(s >= threshold for s in impostor) / 6
        assert curve.fnmr[i] == sum(s < threshold for s in genuine) / 4


def test_a_rate_that_the_pairs_cannot_show_is_not_given_and_the_point_says_why():
    some = ranked(np.linspace(0.4, 1, 50), np.linspace(-0.5, 0.5, 500))
    points = {point.fmr: point for point in curves.operating_points(some)}
    assert points[1e-2].matched.trials == 50
    assert points[1e-2].false.hits == 5
    assert "rests on 5 impostor pairs" in points[1e-2].note
    for rate, needed in ((1e-3, "1,000"), (1e-4, "10,000"), (1e-5, "100,000")):
        assert points[rate].matched is None
        assert points[rate].threshold is None
        assert f"500 impostor pairs, at least {needed} needed" in points[rate].note
    plenty = curves.operating_points(ranked([1.0], np.linspace(-0.5, 0.5, 4000)))
    assert plenty[0].note == ""


def test_a_histogram_loses_no_score():
    rng = np.random.default_rng(0)
    some = ranked(rng.uniform(-0.3, 1, 1000), rng.uniform(-1, 0.4, 3000))
    found = curves.histogram(some)
    assert (sum(found.genuine), sum(found.impostor)) == (1000, 3000)
    width = (found.high - found.low) / len(found.genuine)
    assert width == pytest.approx(curves.BIN)
    edge = found.low + 10 * width
    assert sum(found.impostor[:10]) == int((some.impostor < np.float32(edge)).sum())


def test_all_pairs_in_blocks_are_all_pairs_at_once(monkeypatch):
    monkeypatch.setattr(curves, "_BLOCK", 7)
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((40, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    person = rng.integers(0, 12, 40).astype(np.int32)
    found = curves.all_pairs(rows, person)
    i, j = np.triu_indices(40, 1)
    score, same = (rows @ rows.T)[i, j], person[i] == person[j]
    assert np.sort(found.genuine) == pytest.approx(np.sort(score[same]), abs=1e-6)
    assert np.sort(found.impostor) == pytest.approx(np.sort(score[~same]), abs=1e-6)
    assert found.top_impostor == pytest.approx(
        np.sort(score[~same])[::-1], abs=1e-6
    )  # few: all keep their rows
    for (a, b), value in zip(found.top_rows, found.top_impostor, strict=True):
        assert rows[a] @ rows[b] == pytest.approx(value, abs=1e-6)
        assert person[a] != person[b]
    for (a, b), value in zip(found.genuine_rows, found.genuine, strict=True):
        assert rows[a] @ rows[b] == pytest.approx(value, abs=1e-6)


def test_drawing_people_gives_wider_intervals_than_counting_comparisons():
    # Half of the people are easy and half are hard: what is measured depends on who was there.
    rng = np.random.default_rng(2)
    person = np.repeat(np.arange(60, dtype=np.int32), 6)
    centre = rng.standard_normal((60, 32))
    spread = np.where(np.arange(60) % 2 == 0, 0.2, 1.2)[person][:, None]
    rows = centre[person] + spread * rng.standard_normal((360, 32))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    scored = curves.all_pairs(rows, person)
    (point,) = curves.operating_points(Ranked.of(scored.genuine, scored.impostor), (1e-2,))
    ((low, high),) = curves.bootstrap_matched(scored, [1e-2])
    assert low < point.matched.value < high
    assert high - low > 2 * (point.matched.high - point.matched.low)


def test_normal_scores_lie_on_a_straight_line_of_normal_deviates():
    assert curves.probit(np.array([0.5])) == pytest.approx([0.0])
    assert curves.probit(np.array([0.975])) == pytest.approx([1.959964], abs=1e-5)
