from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import embed, match
from janusd.core.gallery import Gallery
from janusd.core.manifest import (
    Attenuation,
    Calibration,
    Promise,
    Tail,
    TensorSpec,
    Threshold,
    fmr_for_gallery,
    operating_point,
    parse,
    promised_point,
)
from janusd.core.tensors import real, to_tensor


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, np.float32)
    return vector / np.linalg.norm(vector)


def test_a_person_scores_with_the_mean_of_their_samples() -> None:
    gallery = Gallery.of_embeddings({"ada": [unit(1, 0), unit(0, 1)], "ben": [unit(0, 1)]})
    best, second = match.identify(unit(1, 1), gallery)
    assert best is not None
    assert second is not None
    assert (best.person_id, best.score) == ("ada", pytest.approx(1.0))
    assert (second.person_id, second.score) == ("ben", pytest.approx(np.sqrt(0.5)))


def test_several_samples_of_a_person_count_as_two_comparisons() -> None:
    rows = {"ada": [unit(1, 0)], "ben": [unit(0, 1)] * 2, "cleo": [unit(1, 1)] * 5}
    gallery = Gallery.of_embeddings(rows)
    assert (len(gallery), gallery.samples, gallery.comparisons) == (3, 8, 5)
    assert Gallery.of([]).comparisons == 0


def test_somebody_whose_samples_cancel_out_is_nobody() -> None:
    best, _ = match.identify(unit(1, 0), Gallery.of_embeddings({"ada": [unit(1, 0), unit(-1, 0)]}))
    assert best is not None
    assert best.score == 0.0


def test_an_empty_gallery_has_no_candidate_and_a_single_person_no_second() -> None:
    assert match.identify(unit(1, 0), Gallery.of([])) == (None, None)
    best, second = match.identify(unit(1, 0), Gallery.of_embeddings({"ada": [unit(1, 0)]}))
    assert best is not None
    assert second is None


def test_somebody_without_samples_is_not_in_the_gallery() -> None:
    assert len(Gallery.of_embeddings({"ada": []})) == 0


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 4))
def test_identify_agrees_with_comparing_one_by_one(seed: int, people: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    rows = {f"p{i}": [unit(*rng.normal(size=8)) for _ in range(samples)] for i in range(people)}
    probe = unit(*rng.normal(size=8))
    best, second = match.identify(probe, Gallery.of_embeddings(rows))
    scores = sorted(((match.verify(probe, unit(*np.sum(rows[p], axis=0))), p) for p in rows), reverse=True)
    assert best is not None
    assert best.score == pytest.approx(scores[0][0], abs=1e-6)
    assert (second is None) == (people == 1)
    if second is not None:
        assert second.score == pytest.approx(scores[1][0], abs=1e-6)
        assert second.person_id != best.person_id


CALIBRATION = Calibration(
    description="made up",
    impostor_comparisons=100_000,
    genuine_comparisons=1000,
    table=(
        Threshold(1e-2, 0.2, 0.19, 0.21),
        Threshold(1e-3, 0.3, 0.29, 0.31),
        Threshold(1e-4, 0.4, 0.38, 0.42),
    ),
    tail=Tail(location=0.2, scale=0.05, shape=-0.05, exceed_rate=1e-2),
)


def test_thresholds_between_measured_rates_are_interpolated_over_their_logarithm() -> None:
    assert operating_point(CALIBRATION, 1e-3).threshold == pytest.approx(0.3)
    assert operating_point(CALIBRATION, 10**-3.5).threshold == pytest.approx(0.35)
    assert not operating_point(CALIBRATION, 1e-4).is_extrapolated


def test_a_rate_rarer_than_measured_is_extrapolated_and_says_so() -> None:
    point = operating_point(CALIBRATION, 1e-6)
    assert point.is_extrapolated
    assert point.threshold >= 0.4


@given(st.floats(1e-9, 0.5), st.floats(1e-9, 0.5))
def test_a_rarer_rate_never_lowers_the_threshold(a: float, b: float) -> None:
    rare, common = min(a, b), max(a, b)
    assert operating_point(CALIBRATION, rare).threshold >= operating_point(CALIBRATION, common).threshold


@given(st.floats(1e-9, 0.5), st.floats(1e-9, 0.5))
def test_a_promise_rests_on_the_cautious_end_of_the_interval(a: float, b: float) -> None:
    rare, common = (promised_point(CALIBRATION, fmr).threshold for fmr in (min(a, b), max(a, b)))
    assert rare >= common
    for fmr in (a, b, *(row.fmr for row in CALIBRATION.table)):
        assert promised_point(CALIBRATION, fmr).threshold >= operating_point(CALIBRATION, fmr).threshold
    for row in CALIBRATION.table:
        assert promised_point(CALIBRATION, row.fmr).threshold == pytest.approx(row.high)


@given(st.floats(1e-9, 0.5), st.integers(1, 10_000))
def test_a_gallery_of_n_at_this_fmr_has_the_promised_fpir(fpir: float, templates: int) -> None:
    fmr = fmr_for_gallery(fpir, templates)
    assert -np.expm1(templates * np.log1p(-fmr)) == pytest.approx(fpir, rel=1e-9)


def test_the_promise_of_one_false_unlock_in_ten_years_at_two_hundred_tries_a_day() -> None:
    assert Promise(years=10, tries_a_day=200).fpir == pytest.approx(1 / 730_500)


def test_a_manifest_with_a_wrong_field_names_it() -> None:
    with pytest.raises(ValueError, match="encoder"):
        parse(b'{"format": 1, "encoder": 7}')
    with pytest.raises(ValueError, match="format"):
        parse(b'{"format": 2, "encoder": {}}')


SPEC_IN = TensorSpec((1, 112, 112, 3), scale=1 / 127.5, zero_point=-1)


@given(st.integers(0, 255))
def test_a_pixel_survives_quantization_within_half_a_step(pixel: int) -> None:
    crop = np.full((112, 112, 3), pixel, np.uint8)
    tensor = to_tensor(crop, SPEC_IN)
    assert tensor.shape == (1, 112, 112, 3)
    real = (int(tensor[0, 0, 0, 0]) - SPEC_IN.zero_point) * SPEC_IN.scale
    assert real == pytest.approx((pixel - 127.5) / 127.5, abs=SPEC_IN.scale)


def test_a_mirrored_picture_gives_the_mirrored_tensor() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    mirrored = to_tensor(picture[:, ::-1], SPEC_IN)
    assert np.array_equal(mirrored[:, :, ::-1], to_tensor(picture, SPEC_IN))
    assert mirrored.flags.c_contiguous


@given(st.lists(st.integers(-128, 127), min_size=4, max_size=4))
def test_an_embedding_is_of_unit_length_or_dead(raw: list[int]) -> None:
    spec = TensorSpec((1, 4), scale=0.1, zero_point=3)
    embedding = embed.of_answers([real(np.array(raw, np.int8), spec)])
    norm = float(np.linalg.norm(embedding))
    assert norm == pytest.approx(1.0, abs=1e-5) or (set(raw) == {3} and norm == 0.0)


@given(st.lists(st.integers(-128, 127), min_size=4, max_size=4), st.floats(0.01, 1e4), st.floats(0.0, 1.0))
def test_with_attenuation_it_points_as_without_and_no_answer_makes_it_much_longer(
    raw: list[int], typical: float, exponent: float
) -> None:
    answers = [real(np.array(raw, np.int8), TensorSpec((1, 4), scale=0.1, zero_point=3))]
    plain, embedding = embed.of_answers(answers), embed.of_answers(answers, Attenuation(typical, exponent))
    norm = float(np.linalg.norm(embedding))
    assert np.allclose(embedding, norm * plain, atol=1e-6)
    assert embed.SHORTEST - 1e-6 <= norm <= embed.LONGEST + 1e-6 or norm == 0.0


def test_who_is_seen_badly_is_made_up_for_and_who_is_seen_well_pays() -> None:
    by, answers = (
        Attenuation(typical=50.0, exponent=0.2),
        [np.array([0, long], np.float32) for long in (40, 60)],
    )
    lengths = [float(np.linalg.norm(embed.of_answers([answer], by))) for answer in answers]
    assert lengths == pytest.approx([(40 / 50) ** -0.2, (60 / 50) ** -0.2], abs=1e-6)
    assert np.linalg.norm(embed.of_answers(answers, by)) == pytest.approx(1.0, abs=1e-6)  # the views' mean


def test_a_mean_is_as_long_as_what_it_is_of() -> None:
    mean = embed.combine([np.array([1.1, 0.0], np.float32), np.array([0.0, 0.9], np.float32)])
    assert np.linalg.norm(mean) == pytest.approx(1.0, abs=1e-6)
    dead = np.zeros(2, np.float32)
    assert not embed.combine([dead, dead]).any()


def test_a_gallery_is_of_single_precision_whatever_it_is_given() -> None:
    rows = {"ada": [np.array([1.0, 0.0])], "ben": [np.array([0.0, 1.0]), np.array([1.0, 0.0])]}
    for people in (rows, {"ada": rows["ada"]}):
        assert Gallery.of_embeddings(people).matrix.dtype == np.float32
