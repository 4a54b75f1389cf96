"""The public Python API on people who do not exist, with the released models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from janusd import sdk
from janusd.core.embed import LONGEST, SHORTEST
from janusd.core.reason import Reason
from janusd.demo.album import album
from janusd.errors import ModelError, UnusableFace, UnusableImage

PEOPLE = album()
RESIDENTS = [person for person in PEOPLE.values() if person.is_resident]
STRANGERS = [person for person in PEOPLE.values() if not person.is_resident]


@pytest.fixture(scope="module")
def recognizer() -> sdk.Recognizer:
    return sdk.load_models()


@pytest.fixture(scope="module")
def gallery(recognizer: sdk.Recognizer) -> sdk.Gallery:
    return sdk.Gallery.of_embeddings(
        {
            person.name: [recognizer.embed(sdk.read_image(view.path)) for view in person.enrol[:3]]
            for person in RESIDENTS
        }
    )


def test_a_portrait_has_one_face_with_eyes_above_nose_above_mouth(recognizer: sdk.Recognizer) -> None:
    (face,) = recognizer.faces(sdk.read_image(RESIDENTS[0].enrol[0].path))
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks_px
    assert left_eye[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


def test_landmarks_agree_with_where_the_eyes_were_drawn(recognizer: sdk.Recognizer) -> None:
    for person in RESIDENTS:
        view = person.enrol[0]
        (face,) = recognizer.faces(sdk.read_image(view.path))
        apart = np.hypot(*np.subtract(*view.eyes_px))
        off = np.linalg.norm(face.landmarks_px[:2] - np.array(view.eyes_px), axis=1)
        assert off.max() < 0.12 * apart


def test_one_person_is_more_like_themselves_than_like_anybody_else(recognizer: sdk.Recognizer) -> None:
    first = [recognizer.embed(sdk.read_image(person.enrol[0].path)) for person in RESIDENTS]
    other = [recognizer.embed(sdk.read_image(person.enrol[-1].path)) for person in RESIDENTS]
    scores = np.array([[recognizer.compare(a, b) for b in other] for a in first])
    assert (scores.argmax(axis=1) == np.arange(len(RESIDENTS))).all()
    assert all(SHORTEST <= np.linalg.norm(one) <= LONGEST for one in first)


def test_identify_finds_residents_and_refuses_strangers(
    recognizer: sdk.Recognizer, gallery: sdk.Gallery
) -> None:
    for person in RESIDENTS:
        found = recognizer.identify(sdk.read_image(person.enrol[-1].path), gallery)
        assert (found.person, found.reason) == (person.name, Reason.MATCHED)
    for person in STRANGERS:
        found = recognizer.identify(np.ascontiguousarray(person.street[0].cutout()[..., :3]), gallery)
        assert found.person is None


def test_a_rarer_false_positive_rate_raises_the_threshold(
    recognizer: sdk.Recognizer, gallery: sdk.Gallery
) -> None:
    assert recognizer.threshold(gallery, 1e-4) > recognizer.threshold(gallery, 1e-2)


def test_a_picture_without_a_face_is_no_exception_to_identify_but_one_to_embed(
    recognizer: sdk.Recognizer, gallery: sdk.Gallery
) -> None:
    blank = np.full((240, 320, 3), 128, np.uint8)
    assert recognizer.identify(blank, gallery).reason is Reason.NO_FACE
    with pytest.raises(UnusableFace, match="no face"):
        recognizer.embed(blank)


def test_an_empty_gallery_knows_nobody(recognizer: sdk.Recognizer) -> None:
    image = sdk.read_image(RESIDENTS[0].enrol[0].path)
    assert recognizer.identify(image, sdk.Gallery.of([])).reason is Reason.NOBODY_ENROLLED


def test_a_named_face_is_embedded_as_the_only_one_would_be(recognizer: sdk.Recognizer) -> None:
    image = sdk.read_image(RESIDENTS[0].enrol[0].path)
    (face,) = recognizer.faces(image)
    assert np.array_equal(recognizer.embed(image, face), recognizer.embed(image))


def test_a_wide_picture_is_reduced_for_detection_only(recognizer: sdk.Recognizer) -> None:
    portrait = sdk.read_image(RESIDENTS[0].enrol[0].path)
    wide = np.full((720, 1280, 3), 90, np.uint8)
    wide[200:520, 500:820] = portrait
    assert recognizer.compare(recognizer.embed(wide), recognizer.embed(portrait)) > 0.9


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnusableImage, match=r"gone\.jpg: cannot be read"):
        sdk.read_image(tmp_path / "gone.jpg")
    for raw in (b"", b"not a picture"):
        (tmp_path / "odd.jpg").write_bytes(raw)
        with pytest.raises(UnusableImage, match=r"odd\.jpg: is not a picture"):
            sdk.read_image(tmp_path / "odd.jpg")


def test_a_folder_without_models_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.json: cannot be read"):
        sdk.load_models(tmp_path)


def test_the_program_in_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    program = readme.partition("```python\n")[2].partition("```")[0]
    views = RESIDENTS[0].enrol
    for name, view in (("ada.jpg", views[0]), ("somebody.jpg", views[1])):
        (tmp_path / name).write_bytes(view.path.read_bytes())
    monkeypatch.chdir(tmp_path)
    told: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), told)
    assert told["found"].person == "ada"  # type: ignore[attr-defined]
