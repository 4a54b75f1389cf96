"""Keys and releases: what a model engineer signs is what a door believes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from janusd import models
from janusd.bundle import check
from janusd.bundle.keys import TrustedKey, read_public_key
from janusd.cli.main import main as janusctl
from janusd_export.compiling import release as writing
from janusd_export.compiling.bundle import release
from janusd_export.compiling.signing import load_key, make_key
from janusd_export.errors import ExportError
from janusd_export.main import main


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "release.key")
    return tmp_path / "release.key"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model that comes with this version, not yet signed by anybody here."""
    made = tmp_path / "models"
    made.mkdir()
    cards = [path.name for path in models.RELEASED.glob("*_CARD.md")]
    for file in (*models.load().manifest.files, "manifest.json", *cards):
        shutil.copy(models.RELEASED / file, made / file)
    return made


def edit(folder: Path, *path: str, **values: object) -> None:
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    inner = manifest["encoder"]
    for step in path:
        inner = inner[step]
    inner.update(values)
    file.write_text(json.dumps(manifest))


def test_a_released_model_installs_on_a_door_that_trusts_its_key(
    tmp_path: Path, folder: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "layers.json").write_text("[]")
    bundle = tmp_path / "model.janus"
    assert main(["release", str(folder), "--key", str(key), "--out", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "layers.json" in shown
    assert "janusctl model install model.janus" in shown
    keys = tmp_path / "trusted"
    keys.mkdir(mode=0o755)
    shutil.copy(key.with_suffix(".pub"), keys)
    installed = tmp_path / "installed.janus"
    where = ["--keys", str(keys), "--installed", str(installed)]
    assert janusctl(["model", "install", str(bundle), *where]) == 0
    taken = models.for_door("", keys, installed)
    assert taken.encoder == models.load(folder).encoder
    assert models.for_door(str(folder), keys).encoder == taken.encoder


def test_the_same_files_and_key_give_the_same_bundle(tmp_path: Path, folder: Path, key: Path) -> None:
    first, second = tmp_path / "1.janus", tmp_path / "2.janus"
    release(folder, key, first)
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    for path in again.iterdir():
        path.touch()
    release(again, key, second)
    assert first.read_bytes() == second.read_bytes()


def test_without_out_the_folder_is_only_signed(tmp_path: Path, folder: Path, key: Path) -> None:
    made = release(folder, key)
    assert made.bundle is None
    signer = TrustedKey("", read_public_key(key.with_suffix(".pub")))
    assert set(check.verify(folder, [signer]).files) == set(made.files)
    assert not list(tmp_path.glob("*.janus"))


def test_a_manifest_that_changes_loses_its_signature(folder: Path, key: Path) -> None:
    release(folder, key)
    writing.write_manifest(folder, models.load(folder).manifest)
    assert not (folder / "model.sig").exists()


def test_what_a_door_would_refuse_is_not_signed(tmp_path: Path, folder: Path, key: Path) -> None:
    good = (folder / "manifest.json").read_bytes()

    def refuses(match: str) -> None:
        with pytest.raises(ExportError, match=match):
            release(folder, key, tmp_path / "no.janus")
        (folder / "manifest.json").write_bytes(good)
        assert not (folder / "model.sig").exists()
        assert not (tmp_path / "no.janus").exists()

    edit(folder, "calibration", table=[])
    refuses("calibration is missing.*janus-export calibrate")
    edit(folder, "calibration", table=[{"fmr": 0.1, "threshold": 0.5, "low": 0, "high": 1},
                                       {"fmr": 0.01, "threshold": 0.4, "low": 0, "high": 1}])  # fmt: skip
    refuses("a rarer FMR must not have a lower threshold")
    edit(folder, "calibration", table=[{"fmr": 0.1, "threshold": 0.5, "low": 0.6, "high": 0.7}])
    refuses("a threshold must lie in its interval")
    edit(folder, "calibration", "tail", exceed_rate=0.0)
    refuses("tail")
    edit(folder, version="final")
    refuses("numbers with points")
    edit(folder, "input", scale=0.5)
    refuses("encoder.input is not what")
    edit(folder, "output", shape=[1, 7])
    refuses("encoder.output is not what")
    (folder / "MODEL_CARD.md").write_text("")
    refuses("MODEL_CARD.md is empty")
    (folder / "MODEL_CARD.md").unlink()
    refuses("MODEL_CARD.md.*write what it is")


def test_an_encoder_that_does_not_run_is_not_signed(folder: Path, key: Path) -> None:
    file = folder / models.load(folder).manifest.encoder.file
    noise = file.read_bytes()[:2000]
    file.write_bytes(noise)
    edit(folder, sha256=hashlib.sha256(noise).hexdigest())
    with pytest.raises(ExportError, match="does not read this model"):
        release(folder, key)


def test_a_folder_that_is_no_model_folder_says_so(tmp_path: Path, key: Path) -> None:
    with pytest.raises(ExportError, match="janus-export compile"):
        release(tmp_path, key)


# Keys


def test_a_key_is_private_and_never_overwritten(tmp_path: Path, key: Path) -> None:
    assert key.stat().st_mode & 0o777 == 0o600
    before = key.read_bytes()
    with pytest.raises(ExportError, match="never overwritten"):
        make_key(key)
    key.rename(tmp_path / "moved.key")
    with pytest.raises(ExportError, match="never overwritten"):
        make_key(key)  # its public half is still there: doors trust it
    assert not key.exists()
    assert (tmp_path / "moved.key").read_bytes() == before


def test_a_key_that_others_can_read_signs_nothing(folder: Path, key: Path) -> None:
    key.chmod(0o640)
    with pytest.raises(ExportError, match="chmod 600"):
        release(folder, key)


@pytest.mark.parametrize(
    "content", [b"", b"noise", b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"]
)
def test_what_is_no_key_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ExportError, match=r"odd\.key is not a signing key"):
        load_key(path)
    with pytest.raises(ExportError, match="janus-export keygen"):
        load_key(tmp_path / "none.key")


def test_keygen_says_what_to_do_with_both_halves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keygen", str(tmp_path / "mine.key")]) == 0
    shown = capsys.readouterr().out
    assert "/etc/janus/model-keys" in shown
    assert main(["keygen", str(tmp_path / "mine.key")]) == 1


def test_a_model_folder_has_a_detector_to_measure(folder: Path) -> None:
    released = models.load(models.RELEASED)
    found, networks = writing.read_detector(folder)
    assert found == released.manifest.detector
    assert list(networks.values()) == [released.detector, released.refiner]
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"detector": None}))
    with pytest.raises(ExportError, match="brings no detector of its own"):
        writing.read_detector(folder)
