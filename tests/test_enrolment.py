from __future__ import annotations

import numpy as np
import pytest

from janusd.core.gallery import Gallery
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.enrolment import Enrolment
from janusd.errors import EnrolmentRefused
from janusd.pipeline import Probe

THRESHOLD = 0.5


def view_of(person: int, angle_deg: float) -> Probe:
    """A probe of a person, turned so far away from their own first view."""
    vector = np.zeros(8, np.float32)
    vector[person] = np.cos(np.radians(angle_deg))
    vector[7] = np.sin(np.radians(angle_deg))
    return Probe(embedding=vector)


def begun(least: int = 2) -> Enrolment:
    return Enrolment("ada", Schedule(), "", wanted=3, least=least, same_person=THRESHOLD)


def test_different_views_of_one_person_make_a_template() -> None:
    enrolment = begun()
    for angle_deg in (0, 20, 40):
        assert enrolment.offer(view_of(0, angle_deg)).accepted
    assert enrolment.is_complete
    assert enrolment.finish(Gallery.of([]), THRESHOLD).shape == (3, 8)


def test_the_same_view_twice_counts_once_and_asks_for_a_turn() -> None:
    enrolment = begun()
    enrolment.offer(view_of(0, 0))
    feedback = enrolment.offer(view_of(0, 3))
    assert (feedback.accepted, feedback.reason, feedback.samples) == (False, "duplicate_view", 1)
    assert "Turn" in feedback.hint


def test_somebody_else_in_between_is_refused() -> None:
    enrolment = begun()
    enrolment.offer(view_of(0, 0))
    assert enrolment.offer(view_of(1, 0)).reason == "another_person"


def test_an_unfit_picture_gives_the_hint_of_its_reason() -> None:
    feedback = begun().offer(Probe(reason=Reason.TOO_DARK))
    assert (feedback.reason, feedback.hint) == ("too_dark", Reason.TOO_DARK.hint)


def test_too_few_samples_are_refused_with_their_number() -> None:
    enrolment = begun()
    enrolment.offer(view_of(0, 0))
    with pytest.raises(EnrolmentRefused, match="1 of at least 2"):
        enrolment.finish(Gallery.of([]), THRESHOLD)


def test_somebody_who_is_enrolled_already_is_named() -> None:
    enrolment = begun(least=1)
    enrolment.offer(view_of(0, 0))
    gallery = Gallery.of_embeddings({"ben": [view_of(0, 10).embedding]})  # type: ignore[list-item]
    with pytest.raises(EnrolmentRefused, match="looks like ben"):
        enrolment.finish(gallery, THRESHOLD)
