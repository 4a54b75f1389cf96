import numpy as np
import pytest

from janusd_export.faces.targets import fit_fusion, towards_person, unit


@pytest.fixture
def teachers():
    rng = np.random.default_rng(1)
    return [
        rng.standard_normal((300, 24)).astype(np.float32),
        rng.standard_normal((300, 16)).astype(np.float32),
    ]


def test_targets_are_unit_vectors_of_the_wanted_length(teachers):
    targets = fit_fusion(teachers, 20, np.random.default_rng(0))(teachers)
    assert targets.shape == (300, 20)
    np.testing.assert_allclose(np.linalg.norm(targets, axis=1), 1, atol=1e-5)


def test_all_axes_keep_every_cosine(teachers):
    fusion = fit_fusion(teachers, 40, np.random.default_rng(0))
    joined = unit(fusion._joined(teachers))
    targets = fusion(teachers)
    np.testing.assert_allclose(targets @ targets.T, joined @ joined.T, atol=1e-4)


def test_each_teacher_speaks_as_loudly_as_the_other(teachers):
    fusion = fit_fusion(teachers, 40, np.random.default_rng(0))
    spread = []
    for e, mean, weight in zip(teachers, fusion.means, fusion.weights, strict=True):
        centred = weight * unit(unit(e) - mean)
        cosines = (centred @ centred.T)[np.triu_indices(300, 1)]
        spread.append(cosines.std())
    assert spread[0] == pytest.approx(spread[1], rel=0.05)


def test_a_face_moves_towards_its_person_and_strangers_stay():
    target = unit(np.array([[1, 0.2], [1, -0.2], [0, 1], [-1, 0.1]], np.float32))
    person = np.array([0, 0, -1, 1], np.int32)
    moved = towards_person(target, person, 1.0)
    assert moved[0] @ moved[1] > target[0] @ target[1]
    np.testing.assert_allclose(moved[2:], target[2:], atol=1e-6)


def test_a_mislabelled_face_stays_where_it_is():
    target = unit(np.array([[1, 0], [1, 0.1], [1, -0.1], [-1, 0]], np.float32))
    moved = towards_person(target, np.zeros(4, np.int32), 1.0)
    np.testing.assert_allclose(moved[3], target[3], atol=1e-6)
