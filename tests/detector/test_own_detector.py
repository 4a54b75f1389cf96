"""The driver on two networks that answer what the test wants."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from janusd.core import detect, manifest
from janusd.core.manifest import Detector, Refiner, TensorSpec
from janusd.core.types import Tensor
from janusd.errors import ModelError
from janusd.models import RELEASED
from janusd.ports import Detector as Port
from janusd_hw.detector_litert import OwnDetector

SCALE = 0.02
PIXELS = 1 / 127.5
REFINER = Refiner("b.tflite", "0" * 64, TensorSpec((1, 64, 64, 3), PIXELS, -1), TensorSpec((1, 11), SCALE, 0))
SPEC = Detector(
    name="janus-d0",
    file="a.tflite",
    sha256="0" * 64,
    version="1",
    input=TensorSpec((1, 240, 320, 3), PIXELS, -1),
    output=TensorSpec((1, 1580, 15), SCALE, 0),
    proposal=0.25,
    threshold=0.5,
    refiner=REFINER,
)


class Says:
    """A `Network` that remembers what it was shown."""

    accelerator = "a test"

    def __init__(self, answer: np.ndarray) -> None:
        self.answer = np.clip(np.round(answer / SCALE), -128, 127).astype(np.int8)[np.newaxis]
        self.shown: list[Tensor] = []

    def run(self, tensor: Tensor) -> Tensor:
        self.shown.append(tensor)
        return self.answer


def one_face(score: float) -> np.ndarray:
    answers = np.full((1580, 15), -2.0, np.float32)
    cells = detect.grid(240, 320)
    cell = 1200 + 7 * 20 + 10  # of the middle grid: at (168, 120), for faces of 50 px
    assert cells.centre_px[cell].tolist() == [168, 120]
    answers[cell] = 0.0
    answers[cell, 0] = score
    answers[cell, 5:] = ((detect.REFINER_TEMPLATE - 31.5) / 25).reshape(-1)
    return answers


def face_says(score: float) -> np.ndarray:
    return np.concatenate([[score], np.zeros(10)]).astype(np.float32)


def test_a_face_is_looked_at_twice_and_given_in_the_pictures_own_pixels() -> None:
    network, refiner = Says(one_face(1.0)), Says(face_says(1.5))
    detector: Port = OwnDetector(SPEC, network, refiner)
    (face,) = detector.detect(np.zeros((480, 640, 3), np.uint8))
    assert network.shown[0].shape == (1, 240, 320, 3)
    assert refiner.shown[0].shape == (1, 64, 64, 3)
    box = face.box_px
    assert (box.x + box.width / 2, box.y + box.height / 2) == pytest.approx((336, 240))
    assert box.width == pytest.approx(100)
    assert face.landmarks_px.mean(axis=0) == pytest.approx((335.5, 239.5), abs=1)
    assert face.score > 0.98


def test_what_the_refiner_takes_for_no_face_is_none() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    assert OwnDetector(SPEC, Says(one_face(1.0)), Says(face_says(-1.0))).detect(image) == ()
    unsure = OwnDetector(SPEC, Says(one_face(-0.2)), Says(face_says(1.5)))
    assert len(unsure.detect(image)) == 1  # the first look need not be sure
    assert OwnDetector(SPEC, Says(one_face(-0.2)), Says(face_says(0.0))).detect(image) == ()


def test_without_a_refiner_the_first_look_must_be_sure() -> None:
    alone = msgspec.structs.replace(SPEC, refiner=None)
    image = np.zeros((480, 640, 3), np.uint8)
    assert len(OwnDetector(alone, Says(one_face(1.0))).detect(image)) == 1
    assert OwnDetector(alone, Says(one_face(-0.2))).detect(image) == ()


def test_the_second_look_begins_where_the_first_ended() -> None:
    drift = face_says(1.5)
    drift[1:] = np.tile([0.5, 0.0], 5)  # the face is a little further right, it says each time
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    places = []
    for looks in (1, 2):
        refiner = Says(drift)
        spec = msgspec.structs.replace(SPEC, refiner=msgspec.structs.replace(REFINER, looks=looks))
        (face,) = OwnDetector(spec, Says(one_face(1.0)), refiner).detect(noise)
        places.append(float(face.landmarks_px[:, 0].mean()))
        assert len(refiner.shown) == looks
    assert places[0] - 335.5 == pytest.approx(places[1] - places[0], rel=0.05)
    assert places[1] > places[0] + 3
    assert not np.array_equal(*refiner.shown)


def test_its_name_tells_detectors_apart() -> None:
    assert OwnDetector(SPEC, Says(one_face(0)), Says(face_says(0))).name == "janus-d0 1"


@pytest.mark.parametrize("shape", [(1, 1), (0, 0), (3, 700), (700, 3)])
def test_pictures_of_any_size_are_looked_at(shape: tuple[int, int]) -> None:
    OwnDetector(SPEC, Says(one_face(1.0)), Says(face_says(1.0))).detect(np.zeros((*shape, 3), np.uint8))


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"output": TensorSpec((1, 1500, 15), SCALE, 0)}, r"detector\.output\.shape is \(1, 1500, 15\)"),
        ({"input": TensorSpec((1, 240, 320), SCALE, 0)}, r"detector\.input\.shape"),
        ({"refiner": None}, "do not belong together"),
        ({"refiner": msgspec.structs.replace(REFINER, looks=0)}, r"detector\.refiner\.looks is 0"),
    ],
)
def test_networks_that_are_not_what_the_manifest_says_are_refused(
    changed: dict[str, object], names: str
) -> None:
    with pytest.raises(ModelError, match=names):
        OwnDetector(msgspec.structs.replace(SPEC, **changed), Says(one_face(0)), Says(face_says(0)))


def test_a_manifest_may_name_a_detector_and_without_one_it_says_nothing_of_it() -> None:
    released = manifest.parse((RELEASED / "manifest.json").read_bytes())
    assert "detector" not in msgspec.to_builtins(msgspec.structs.replace(released, detector=None))
    named = msgspec.structs.replace(released, detector=SPEC)
    assert manifest.parse(msgspec.json.encode(named)).detector == SPEC
    with pytest.raises(ValueError, match="refiner"):
        manifest.parse(msgspec.json.encode(named).replace(b'"refiner":{', b'"refiner":{"surprise":1,'))
