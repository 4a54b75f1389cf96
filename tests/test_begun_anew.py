"""Tally and door log gone together are no first start where somebody is enrolled; what is one stays one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from janusd import config as configuration
from janusd import main as composition
from janusd.config import Config
from janusd.core.limiter import Tally
from janusd.pipeline import Pipeline
from janusd_hw.fakes import SPEC, PaintedDetector, PaintedEncoder
from support.filled import add_somebody

VERSION_1 = Path(__file__).parent / "vectors" / "door-log-v1.db"
TAKEN = ("tries", "door-log.db", "door-log.db-wal", "door-log.db-shm")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A door that was prepared, and never started; its key is bytes 0 to 31."""
    (tmp_path / "machine-id").write_text(f"{7:032x}\n")
    (tmp_path / "street").mkdir()
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "key").write_bytes(bytes(range(32)))
    (tmp_path / "state" / "key").chmod(0o600)
    path = tmp_path / "janus.toml"
    path.write_text(
        f'[camera]\ndriver = "replay"\npath = "{tmp_path}/street"\n[latch]\ndriver = "simulated"\n'
        f'[vault]\ndirectory = "{tmp_path}/state"\nkey = "file"\nmachine_id = "{tmp_path}/machine-id"\n'
    )
    monkeypatch.setattr(
        composition, "open_pipeline", lambda *_, **__: Pipeline(PaintedDetector(), PaintedEncoder(), SPEC)
    )
    config = configuration.load(path)
    composition.prepare(config)
    return config


def start(config: Config) -> tuple[str, str, str]:
    """Start a door: how it is, and the alarms about tally and log that it writes down first."""
    door = composition.compose(config)
    try:
        return door.status().state, door._ledger.alarm, door._journal.alarm
    finally:
        door.close()


def take_away(config: Config, *names: str) -> None:
    state = Path(config.vault.directory)
    for name in names:
        (state / name).unlink(missing_ok=True)
    if "tries" in names:
        state.with_name(state.name + "-anchor").joinpath("vault-tries").unlink()


def test_tally_and_log_removed_together_switch_faces_off_until_an_owner_says_so(config: Config) -> None:
    assert start(config) == ("watching", "", "")
    add_somebody(config, "Ada")
    assert start(config) == ("watching", "", "")
    take_away(config, *TAKEN)
    state, tries, log = start(config)
    assert state == "face off"
    assert "tries is gone or spoiled" in tries
    assert "door-log.db is gone" in log
    assert start(config) == ("face off", "", "")  # told once, and still off
    door = composition.compose(config)
    door.unlock_face()
    door.close()
    assert start(config) == ("watching", "", "")


def test_a_log_removed_alone_is_an_alarm_and_forgives_nothing(config: Config) -> None:
    start(config)
    add_somebody(config, "Ada")
    door = composition.compose(config)
    door._ledger.write(Tally(1, 1))
    door.close()
    take_away(config, *TAKEN[1:])
    door = composition.compose(config)
    assert "door-log.db is gone" in door._journal.alarm
    assert (door._ledger.alarm, door._ledger.tally) == ("", Tally(1, 1))
    door.close()


def test_a_first_start_a_restored_vault_and_an_older_log_are_as_before(config: Config) -> None:
    assert start(config) == ("watching", "", "")
    add_somebody(config, "Ada")
    door = composition.compose(config)
    door.caretaker.back_up()
    door.close()
    vault = Path(config.vault.directory) / "vault.db"
    vault.write_bytes(b"no vault at all")
    door = composition.compose(config)
    door.caretaker.restore("", False)
    assert (door.status().state, len(door.people())) == ("watching", 1)
    door.close()
    assert start(config) == ("watching", "", "")


def test_a_door_nobody_is_enrolled_at_begins_anew(config: Config) -> None:
    """It lets nobody in, so there is nothing to be guessed."""
    start(config)
    take_away(config, *TAKEN)
    assert start(config) == ("watching", "", "")


def test_a_vault_in_trouble_without_tally_and_log_is_no_first_start(config: Config) -> None:
    start(config)
    add_somebody(config, "Ada")
    take_away(config, *TAKEN)
    (Path(config.vault.directory) / "vault.db").write_bytes(b"no vault at all")
    door = composition.compose(config)
    assert door._doorkeeper.limits.is_off
    door.close()


def test_an_upgrade_from_the_first_release_has_a_log_and_no_tally_yet(config: Config) -> None:
    add_somebody(config, "Ada")
    log = Path(config.vault.directory) / "door-log.db"
    shutil.copyfile(VERSION_1, log)
    log.chmod(0o600)
    assert start(config) == ("watching", "", "")
