"""Frame to evidence with painted faces: the order of the steps, and where each of them ends the journey."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from janusd.core import embed
from janusd.core.gallery import Gallery
from janusd.core.reason import Reason
from janusd.core.types import Box, Face, Frame, Image
from janusd.pipeline import Pipeline
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder, paint


def pipeline(**more: object) -> Pipeline:
    return Pipeline(PaintedDetector(), PaintedEncoder(), SPEC, **more)  # type: ignore[arg-type]


def frame(people: str, **how: int) -> Frame:
    return Frame(paint(people, **how), 0.0, 0)


def test_an_empty_doorway_ends_after_detection() -> None:
    evidence, probe = pipeline().evidence(frame(""), Gallery.of([]))
    assert (evidence.refused, list(probe.stage_ms)) == (Reason.NO_FACE, ["detect"])


def test_two_faces_end_before_any_network_is_believed() -> None:
    line = pipeline()
    evidence, _ = line.evidence(frame("ab", side=90), Gallery.of([]))
    assert evidence.refused is Reason.TWO_FACES
    assert line.encoder.calls == 0  # type: ignore[attr-defined]


def test_somebody_far_behind_is_not_at_the_door() -> None:
    image = paint("a", side=150)
    image[10:40, 10:40] = paint("b", side=30)[105:135, 145:175]
    evidence, _ = pipeline().evidence(Frame(image, 0.0, 0), Gallery.of([]))
    assert evidence.refused is None


def test_a_face_too_small_is_refused_before_it_is_embedded() -> None:
    line = pipeline()
    evidence, _ = line.evidence(frame("a", side=40), Gallery.of([]))
    assert evidence.refused is Reason.TOO_SMALL
    assert line.encoder.calls == 0  # type: ignore[attr-defined]


def test_a_fit_face_is_compared_with_everybody() -> None:
    line = pipeline()
    gallery = Gallery.of_embeddings({name: [line.probe(paint(name)).embedding] for name in "abc"})  # type: ignore[list-item]
    evidence, _ = line.evidence(frame("b", seed=5), gallery)
    assert evidence.best is not None
    assert evidence.second is not None
    assert evidence.best.person_id == "b"
    assert evidence.best.score > 0.8 > evidence.second.score


class OnePoint(PaintedDetector):
    def detect(self, image: Image) -> tuple[Face, ...]:
        return (Face(Box(0, 0, 10, 10), np.zeros((5, 2), np.float32), 1.0),)


def test_landmarks_in_one_point_are_no_face() -> None:
    line = Pipeline(OnePoint(), PaintedEncoder(), SPEC)
    assert line.probe(paint("a")).reason is Reason.NO_FACE


def test_a_mirrored_encoder_sees_each_crop_twice_and_gives_one_unit_vector() -> None:
    encoder = PaintedEncoder()
    line = Pipeline(PaintedDetector(), encoder, msgspec.structs.replace(SPEC, mirrored=True))
    embedding = line.probe(paint("a")).embedding
    assert encoder.calls == 2
    assert embedding is not None
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-6)


def test_the_sum_of_two_views_lies_between_them() -> None:
    between = embed.combine([np.float32([1, 0]), np.float32([0, 1])])
    assert between == pytest.approx(np.sqrt([0.5, 0.5]))
    assert embed.combine([np.float32([0, 0]), np.float32([0, 0])]).tolist() == [0, 0]
