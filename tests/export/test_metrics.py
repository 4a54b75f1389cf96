import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd_export import metrics

scores = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=60).map(lambda s: np.array(s, np.float32))


def test_no_error_in_n_trials_is_the_closed_form_of_clopper_and_pearson():
    assert metrics.rate(0, 42).high == pytest.approx(1 - 0.025 ** (1 / 42), abs=1e-9)
    assert metrics.rate(42, 42).low == pytest.approx(0.025 ** (1 / 42), abs=1e-9)


def test_the_interval_of_ten_in_a_hundred_is_the_published_one():
    # Clopper-Pearson, as R's binom.test(10, 100) prints it
    assert metrics.rate(10, 100).low == pytest.approx(0.0490047, abs=1e-6)
    assert metrics.rate(10, 100).high == pytest.approx(0.1762226, abs=1e-6)


@given(st.integers(0, 200), st.integers(1, 200))
def test_an_interval_holds_its_rate_and_mirrors_when_hits_and_misses_change_places(hits, trials):
    hits = min(hits, trials)
    ours, mirrored = metrics.rate(hits, trials), metrics.rate(trials - hits, trials)
    assert 0.0 <= ours.low <= ours.value <= ours.high <= 1.0
    assert ours.low == pytest.approx(1 - mirrored.high, abs=1e-6)


def test_a_rate_of_nothing_is_not_a_number():
    assert math.isnan(metrics.rate(0, 0).value)


@given(scores, st.floats(0.02, 1.0))
def test_at_a_threshold_no_more_impostors_match_than_were_allowed(impostor, fmr):
    if fmr * len(impostor) < 1 - 1e-9:
        with pytest.raises(ValueError, match="needs at least"):
            metrics.threshold_at_fmr(impostor, fmr)
        return
    threshold = metrics.threshold_at_fmr(impostor, fmr)
    assert (impostor >= threshold).sum() <= fmr * len(impostor) + 1e-6


def test_the_threshold_lets_exactly_the_allowed_impostors_in_when_scores_differ():
    impostor = np.linspace(0, 1, 101, dtype=np.float32)
    threshold = metrics.threshold_at_fmr(impostor, 0.1)
    assert (impostor >= threshold).sum() == 10


def test_scores_that_never_overlap_have_no_equal_error():
    assert metrics.equal_error_rate(np.array([0.8, 0.9], np.float32), np.array([0.1, 0.2], np.float32)) == 0.0


def test_scores_that_are_the_same_for_all_err_half_the_time():
    same = np.full(10, 0.5, np.float32)
    assert metrics.equal_error_rate(same, same) == pytest.approx(0.5)


@given(scores, scores)
def test_the_equal_error_rate_does_not_change_when_scores_are_stretched(genuine, impostor):
    before = metrics.equal_error_rate(genuine, impostor)
    assert metrics.equal_error_rate(genuine * 4, impostor * 4) == before  # by four: exact in floating point


@given(scores, st.randoms(use_true_random=False))
def test_no_other_threshold_decides_more_pairs_right(values, random):
    is_same = np.array([random.random() < 0.5 for _ in values])
    best = metrics.best_threshold(values, is_same)

    def right(threshold):
        return int(((values >= threshold) == is_same).sum())

    tried = [right(t) for t in [*values, -2.0, 2.0]]
    assert right(np.float32(best)) >= max(tried)


def test_each_fold_is_decided_by_the_threshold_of_the_others():
    scores_of = np.array([0.9, 0.1, 0.9, 0.1, 0.4, 0.3], np.float32)
    is_same = np.array([True, False, True, False, True, False])
    accuracy, each = metrics.folded_accuracy(scores_of, is_same, np.array([0, 0, 1, 1, 2, 2]))
    assert each == [1.0, 1.0, 0.5]  # the last fold's friend scores below what the others taught
    assert (accuracy.hits, accuracy.trials) == (5, 6)


def test_folds_are_even_and_keep_all_pairs_of_a_first_person_together():
    people = [(f"p{i % 37}", f"q{i}") for i in range(740)]
    fold = metrics.folds_by_first_person(people, 10, seed=0)
    assert max(np.bincount(fold)) - min(np.bincount(fold)) <= 20
    homes = {}
    for (first, _), number in zip(people, fold, strict=True):
        assert homes.setdefault(first, number) == number


def test_pairs_are_split_by_whether_their_people_are_one():
    embeddings = np.eye(3, dtype=np.float32)
    genuine, impostor = metrics.same_and_different(embeddings, np.array([0, 0, 1], np.int32))
    assert (len(genuine), len(impostor)) == (1, 2)


@given(st.integers(1, 60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_the_equal_error_rate_of_sorted_scores_is_that_of_all_thresholds(friends, strangers, random):
    genuine = np.array([random.randint(0, 20) for _ in range(friends)], np.float32)
    impostor = np.array([random.randint(-10, 12) for _ in range(strangers)], np.float32)
    thresholds = [*np.unique(np.concatenate([genuine, impostor])), np.inf]
    gaps = [((genuine < t).mean() - (impostor >= t).mean(), (genuine < t).mean()) for t in thresholds]
    k = next(i for i, (gap, _) in enumerate(gaps) if gap >= 0)
    if k == 0:
        wanted = gaps[0][1]
    else:
        share = -gaps[k - 1][0] / (gaps[k][0] - gaps[k - 1][0])
        wanted = gaps[k - 1][1] + share * (gaps[k][1] - gaps[k - 1][1])
    assert metrics.equal_error_rate(genuine, impostor) == pytest.approx(wanted)


def test_the_interval_of_millions_is_as_exact_as_that_of_ten():
    # scipy.stats.beta.ppf of 400 in 41,742,609, and of 230,000 in 242,257
    few, many = metrics.rate(400, 41_742_609), metrics.rate(230_000, 242_257)
    assert (few.low, few.high) == pytest.approx((8.666359546792e-06, 1.0569210718021e-05), rel=1e-7)
    assert (many.low, many.high) == pytest.approx((0.9485247659482, 0.9502744036523), rel=1e-9)


def test_the_smallest_of_n_uniform_numbers_lies_where_the_closed_form_says():
    low, high = metrics.rank_interval(1, 50)
    assert low == pytest.approx(1 - 0.975 ** (1 / 50), rel=1e-6)
    assert high == pytest.approx(1 - 0.025 ** (1 / 50), rel=1e-6)
    with pytest.raises(ValueError, match="no rank"):
        metrics.rank_interval(51, 50)
