from dataclasses import replace

import cv2
import numpy as np
import pytest

from janusd.core.align import TEMPLATE
from janusd_export.faces.layout import stored_template
from janusd_export.training.augment import Augment, AugmentRecipe, plain_crop

STILL = AugmentRecipe(
    detector_mix=0, landmark_px=0, scale=0, shift_px=0, rotation_deg=0, low_resolution=0,
    light=0, gradient=0, blur=0, noise=0, jpeg=0, grey=0, erase=0,
)  # fmt: skip


@pytest.fixture
def face():
    noise = np.random.default_rng(0).integers(0, 256, (144, 144, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 4)


def test_the_plain_crop_of_the_stored_landmarks_is_the_middle_of_the_stored_face(face):
    np.testing.assert_array_equal(plain_crop(face, stored_template(16)), face[16:128, 16:128])


def test_without_any_chance_a_view_is_the_plain_crop_or_its_mirror_image(face):
    plain = plain_crop(face, stored_template(16)).astype(int)
    for seed in range(6):
        view = Augment(STILL, seed)(face, stored_template(16)).astype(int)
        assert min(np.abs(view - plain).max(), np.abs(view - plain[:, ::-1]).max()) <= 1


def test_a_low_resolution_view_stays_in_place(face):
    recipe = replace(STILL, low_resolution=1.0)
    plain = cv2.GaussianBlur(plain_crop(face, stored_template(16)), (0, 0), 3).astype(float)
    errors = []
    for seed in range(20):
        view = cv2.GaussianBlur(Augment(recipe, seed)(face, stored_template(16)), (0, 0), 3).astype(float)
        errors.append(min(np.abs(view - plain).mean(), np.abs(view - plain[:, ::-1]).mean()))
    assert np.mean(errors) < 2.5  # of 255; shifted by half a pixel at 32 px it was above 3


def test_the_same_seed_sees_the_same_faces(face):
    a, b = Augment(AugmentRecipe(), 5), Augment(AugmentRecipe(), 5)
    for _ in range(10):
        np.testing.assert_array_equal(a(face, TEMPLATE + 16), b(face, TEMPLATE + 16))


@pytest.mark.parametrize("worn", ["glasses", "cap", "backlight", "infrared"])
def test_what_doors_see_changes_the_face_and_stays_a_crop(face, worn):
    wearing = replace(STILL, **{worn: 1.0})
    for seed in range(10):
        plain = Augment(STILL, seed)(face, stored_template(16)).astype(int)
        view = Augment(wearing, seed)(face, stored_template(16))
        assert view.shape == (112, 112, 3)
        assert np.abs(view - plain).mean() > 1
        if worn == "infrared":
            assert (view[..., 0] == view[..., 2]).all()
        if worn == "glasses":  # around the eyes, not on the mouth
            assert np.abs(view - plain)[85:].max() <= 1


def test_a_view_says_whether_it_is_mirrored(face):
    plain = plain_crop(face, stored_template(16)).astype(int)
    for seed in range(8):
        view, is_mirrored = Augment(STILL, seed).view(face, stored_template(16))
        assert np.abs((view[:, ::-1] if is_mirrored else view) - plain).max() <= 1


def test_every_kind_of_view_is_a_crop(face):
    always = AugmentRecipe(low_resolution=1, light=1, gradient=1, blur=1, noise=1, jpeg=1, grey=1, erase=1)
    augment = Augment(always, 0)
    for _ in range(20):
        view = augment(face, stored_template(16))
        assert view.shape == (112, 112, 3)
        assert view.dtype == np.uint8
        assert view.flags.c_contiguous
