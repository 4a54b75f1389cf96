"""What setup binds a door to: its camera, and where there is a TPM the state of its vault."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from janusd import survey
from janusd.cli.setup.answers import Answers, CameraAnswer, KeysAnswer
from janusd.cli.setup.memory import Action, Memory
from janusd.cli.setup.scout import Camera, Key
from janusd.cli.setup.steps.camera import CameraStep
from janusd.cli.setup.steps.keys import KeysStep

WEBCAM = Camera("opencv", "/dev/video0", "HD Webcam", identity="HD Webcam @ usb-1.2, 046d:0826, serial 9D")
TPM = Key("tpm", "credential", "none", "A systemd credential, sealed by this device's TPM", True, "stops")
BOARD = Key("board", "credential", "credential", "A credential, and the board", False, "stops")
FILE = Key("file", "file", "none", "A file", False, "stops nobody")


def desk(folder: Path, answers: Answers, *, tpm: bool = True, is_device: bool = True) -> Any:
    place = SimpleNamespace(
        is_device=is_device, vault=folder / "janus", credential=folder / "credential",
        machine_id=folder / "machine-id",
    )  # fmt: skip
    found = SimpleNamespace(cameras=(WEBCAM,), keys=(TPM, BOARD, FILE), tpm=tpm)
    kept = Memory(folder / "setup")
    return SimpleNamespace(janus={}, answers=answers, found=found, place=place, memory=kept)


def settings(step: CameraStep | KeysStep, asked: Any) -> dict[str, object]:
    return {setting.change.key: setting.change.value for setting in step.settings(asked)}


def test_the_door_is_bound_to_the_camera_that_sits_there(tmp_path: Path) -> None:
    chosen = desk(tmp_path, Answers(camera=CameraAnswer("opencv", "/dev/video0")))
    assert settings(CameraStep(), chosen)["identity"] == WEBCAM.identity
    chosen = desk(
        tmp_path, Answers(camera=CameraAnswer("opencv", "/dev/video0", identity="HD Webcam @ usb-1.2"))
    )
    assert settings(CameraStep(), chosen)["identity"] == "HD Webcam @ usb-1.2"
    chosen = desk(tmp_path, Answers(camera=CameraAnswer("opencv", "rtsp://there")))  # nothing to be bound to
    assert settings(CameraStep(), chosen)["identity"] == ""


@pytest.mark.parametrize(
    ("source", "tpm", "is_device", "counts"),
    [
        ("tpm", True, True, True), ("tpm", False, True, False),
        ("file", True, True, False), ("tpm", True, False, False),
    ],
)  # fmt: skip
def test_a_new_vault_is_counted_where_there_is_a_tpm(
    tmp_path: Path, source: Any, tpm: bool, is_device: bool, counts: bool
) -> None:
    chosen = desk(tmp_path, Answers(keys=KeysAnswer(source)), tpm=tpm, is_device=is_device)
    assert settings(KeysStep(), chosen).get("counter", "none") == ("tpm2" if counts else "none")
    assert any("counter in this device's TPM" in line for line in KeysStep().plan(chosen)) == counts
    (tmp_path / "janus").mkdir()
    (tmp_path / "janus" / "vault.db").touch()  # one that is there keeps what it has
    assert "counter" not in settings(KeysStep(), chosen)


def test_a_vault_that_outlives_its_configuration_keeps_binding_and_counter(tmp_path: Path) -> None:
    noted = {"key": "credential", "binding": "credential", "counter": "tpm2"}
    asked = desk(tmp_path, Answers())
    asked.memory.begin("2026-11-22T08:00:00+00:00")
    asked.memory.note(Action("keys", "vault", str(tmp_path / "janus"), vault=noted))
    (tmp_path / "janus").mkdir()
    (tmp_path / "janus" / "vault.db").touch()
    asked.memory = Memory(tmp_path / "setup")  # as the next setup reads it
    KeysStep().suggest(asked)
    assert asked.answers.keys == KeysAnswer("board")
    assert settings(KeysStep(), asked) == noted
    asked.janus = {"vault": {"key": "file"}}  # what stands there counts
    assert "counter" not in settings(KeysStep(), asked)


@pytest.mark.parametrize("binding", ["rpi-otp", "command"])
def test_a_vault_under_a_key_that_setup_never_gives_keeps_it(
    tmp_path: Path, binding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = desk(tmp_path, Answers())
    (tmp_path / "janus").mkdir()
    (tmp_path / "janus" / "vault.db").touch()
    asked.janus = {"vault": {"key": "credential", "binding": binding}}
    asked.steps, asked.done = ("keys",), []
    KeysStep().suggest(asked)
    assert KeysStep().check(asked) == []
    assert settings(KeysStep(), asked) == {"key": "credential", "binding": binding}
    completed = []
    monkeypatch.setattr("janusd.cli.setup.steps.keys._complete", lambda _, key: completed.append(key.binding))
    KeysStep().apply(asked)
    assert completed == [binding]
    asked.answers = Answers(keys=KeysAnswer("tpm"))
    assert "the vault here is sealed with another key" in KeysStep().check(asked)[0]


def test_the_survey_sees_a_tpm(tmp_path: Path) -> None:
    assert not survey.has_tpm(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "tpmrm0").touch()
    assert survey.has_tpm(tmp_path)
