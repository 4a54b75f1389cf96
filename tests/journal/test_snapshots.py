"""Pictures of whom the door refused: none unless asked for, sealed, and gone in time."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.cli.main import main
from janusd.config import parse
from janusd.core.types import Image
from janusd.errors import OwnerError, VaultDamaged
from janusd.journal import snapshots as shots
from janusd.journal.snapshots import Snapshots
from janusd.vault.keys import FileKey, create_key_file
from janusd_hw.fakes import paint
from support.damage import flip
from support.fake_door import FakeDoor
from support.painted_door import QUICK, Rig
from support.serving import serving

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshots"


@pytest.fixture
def kept(folder: Path, tmp_path: Path) -> Snapshots:
    create_key_file(tmp_path / "key")
    return Snapshots(folder, FileKey(tmp_path / "key"))


def picture(seed: int = 0) -> Image:
    return paint("a", seed=seed)


def test_a_snapshot_comes_back_as_a_picture_of_the_same(kept: Snapshots) -> None:
    kept.keep(7, picture())
    jpeg = np.frombuffer(kept.show(7), np.uint8)
    seen = cv2.cvtColor(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    assert seen.shape == picture().shape
    assert np.abs(seen.astype(int) - picture()).mean() < 8


def test_a_large_picture_is_kept_small(kept: Snapshots) -> None:
    kept.keep(7, np.zeros((1080, 1920, 3), np.uint8))
    jpeg = cv2.imdecode(np.frombuffer(kept.show(7), np.uint8), cv2.IMREAD_COLOR)
    assert jpeg.shape == (360, 640, 3)


def test_what_lies_on_the_card_is_sealed_and_private(kept: Snapshots, folder: Path) -> None:
    kept.keep(7, picture())
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o7777 == 0o600
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert b"\xff\xd8\xff" not in path.read_bytes()
    assert b"JFIF" not in path.read_bytes()


def test_exchanged_and_altered_snapshots_are_refused(kept: Snapshots, folder: Path) -> None:
    kept.keep(7, picture(1), NOON)
    kept.keep(8, picture(2), NOON)
    seven, eight = sorted(folder.iterdir())
    good = seven.read_bytes()
    shutil.copy(eight, seven)
    with pytest.raises(VaultDamaged, match="entry 7"):
        kept.show(7)
    seven.write_bytes(flip(good, 999))
    with pytest.raises(VaultDamaged, match="not the one"):
        kept.show(7)
    seven.write_bytes(good)
    assert kept.show(7)
    seven.rename(folder / "7-1")  # as if it were of another day
    with pytest.raises(VaultDamaged):
        kept.show(7)


def test_an_entry_without_one_is_said(kept: Snapshots) -> None:
    with pytest.raises(OwnerError, match="no snapshot of entry 7"):
        kept.show(7)


def test_they_go_when_their_days_are_over(kept: Snapshots) -> None:
    kept.keep(1, picture(), NOON - timedelta(days=15))
    kept.keep(2, picture(), NOON - timedelta(days=13))
    kept.keep_house(0.0, None, 14)  # the date is not to be believed: nothing goes
    assert kept.show(1)
    kept.keep_house(0.0, NOON, 14)
    assert kept.show(2)
    with pytest.raises(OwnerError):
        kept.show(1)


def test_all_of_them_go_once_they_are_turned_off(kept: Snapshots, folder: Path) -> None:
    kept.keep(1, picture())
    kept.keep_house(0.0, None, 0)
    assert list(folder.iterdir()) == []


def test_there_are_never_more_than_the_most(
    kept: Snapshots, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shots, "MOST", 3)
    for number in range(1, 7):
        kept.keep(number, picture())
    assert sorted(int(path.name.split("-")[0]) for path in folder.iterdir()) == [4, 5, 6]


@pytest.mark.parametrize("is_on", [True, False])
def test_a_door_keeps_one_of_each_refusal_only_where_its_owner_turned_them_on(
    tmp_path: Path, kept: Snapshots, folder: Path, is_on: bool
) -> None:
    (tmp_path / "door").mkdir(mode=0o700)
    rig = Rig(tmp_path / "door", parse(QUICK + ("[log]\nsnapshots = true\n" if is_on else "")))
    rig.door._snapshots = kept
    rig.enrol("a", "Ada")
    rig.play("..bbbbbbbb..")
    refused = [entry for entry in rig.door.log("", 1000) if entry.reason == "unknown"]
    assert refused
    if not is_on:
        assert not folder.exists()
        with pytest.raises(OwnerError):
            rig.door.snapshot(refused[0].number)
        return
    assert rig.door.snapshot(refused[0].number).startswith(b"\xff\xd8\xff")
    last = rig.door.log("", 1000)[-1]
    assert (last.kind, last.note) == ("snapshot", f"entry {refused[0].number}")


def test_an_owner_fetches_one_with_janusctl(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "control"
    with serving(path, FakeDoor()):
        assert main(["--socket", str(path), "log", "snapshot", "4", "--file", str(tmp_path / "who.jpg")]) == 0
        assert (tmp_path / "who.jpg").read_bytes().startswith(b"\xff\xd8\xff")
        assert (tmp_path / "who.jpg").stat().st_mode & 0o777 == 0o600
        assert main(["--socket", str(path), "log", "snapshot", "5"]) != 0
        assert main(["--socket", str(path), "log", "snapshot"]) != 0
        assert "which entry?" in capfdbinary.readouterr().err.decode()


def test_a_disk_that_will_not_keep_one_stops_nothing(
    kept: Snapshots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shots, "write_private", full)
    kept.keep(1, picture())
    assert "a snapshot cannot be kept" in caplog.text
