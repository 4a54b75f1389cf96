"""A change of key is in the door log, wherever it was interrupted."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from killing import until_killed
from test_vault_keeper import made_in, names, place_in
from vault_kit import DEVICE, MODEL, embeddings

from janusd.errors import InstallerError
from janusd.journal import Journal
from janusd.service.caretaking import VaultCaretaker
from janusd.service.notes import Notes
from janusd.vault.anchor import FileAnchor
from janusd.vault.keeper import Keeper
from janusd.vault.keys import KeptKey, KeyRing
from janusd.vault.parcel import Identity
from janusd.vault.seals import Seals


class Door:
    """A vault and its door log, as a daemon opens them."""

    def __init__(self, folder: Path) -> None:
        place = place_in(folder)
        self.keeper = Keeper.open(place)
        kept = KeptKey.open(folder / "janus" / "log.key", place.ring, DEVICE, inherits=False)
        self.journal = Journal.open(folder / "janus" / "door-log.db", kept)
        identity = Identity.of(bytearray(32), DEVICE)
        note = Notes(self.journal).write
        self.caretaker = VaultCaretaker(self.keeper, identity, MODEL, 128, lambda: None, note)

    def entries(self) -> list[tuple[str, str]]:
        return [(one.reason, one.note) for one in self.journal.entries() if one.kind == "vault"]

    def close(self) -> None:
        self.keeper.close()
        self.journal.close()


def change_key(say: object, folder: Path) -> None:
    """In a process that will be killed."""
    door = Door(folder)
    door.caretaker.rekey()
    say("done")  # type: ignore[operator]
    door.close()


def test_a_change_that_was_cut_off_is_ended_at_the_next_start_and_written_down(tmp_path: Path) -> None:
    place = made_in(tmp_path, "Ada")
    place.ring.begin_change()  # and the power goes
    door = Door(tmp_path)
    assert (door.entries(), place.ring.is_changing) == ([], True)
    door.caretaker.tend()
    assert (door.entries(), place.ring.is_changing) == ([("rekeyed", "finished at the start")], False)
    door.caretaker.tend()
    door.close()
    again = Door(tmp_path)
    again.caretaker.tend()
    assert len(again.entries()) == 1
    assert (names(again.keeper), again.keeper.fault) == (["Ada"], "")
    again.close()


def test_a_key_that_systemd_changed_is_written_down_once(tmp_path: Path) -> None:
    """As with a credential and its `-previous`: the present key opens nothing yet, a former one does."""
    place = made_in(tmp_path, "Ada")

    class Changed(KeyRing):
        @property
        def is_changing(self) -> bool:
            return False  # there is no file beside it that says so

    place.ring.begin_change()
    keeper = Keeper.open(type(place)(place.path, Changed(place.ring.base), DEVICE, MODEL, place.anchor))
    told: list[str] = []
    keeper.end_rekey(lambda: told.append("rekeyed"))
    keeper.end_rekey(lambda: told.append("rekeyed"))
    assert told == ["rekeyed"]
    keeper.close()


def test_a_second_change_of_key_waits_for_the_first_one_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is sealed under the next key by then: made anew, it would take everybody with it."""
    made_in(tmp_path, "Ada")
    door = Door(tmp_path)

    def full(*_: object) -> None:
        raise InstallerError("the anchor's disk is full", "free space")

    with monkeypatch.context() as failing:
        failing.setattr(FileAnchor, "write", full)
        door.caretaker.rekey()
        assert "disk is full" in door.keeper.fault
        with pytest.raises(InstallerError, match="disk is full"):
            door.caretaker.rekey()
    door.close()  # and the daemon is started anew
    door = Door(tmp_path)
    door.caretaker.tend()
    assert (names(door.keeper), door.keeper.fault) == (["Ada"], "")
    door.caretaker.rekey()
    door.keeper.add("Bob", embeddings(2))
    door.close()
    again = Door(tmp_path)
    assert (names(again.keeper), again.keeper.fault) == (["Ada", "Bob"], "")
    again.close()


@pytest.mark.parametrize("tries", [1, 2, 3])
def test_a_change_of_key_that_failed_may_be_tried_again_and_costs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """Nothing is sealed under the next key then: it must not take the place of the one that opens all."""
    made_in(tmp_path, "Ada", "Bob")
    door = Door(tmp_path)
    write_all, failures = Seals.write_all, iter(range(tries))

    def failing(*arguments: object) -> None:
        if next(failures, None) is not None:
            raise InstallerError("the vault cannot be written: disk I/O error", "free space")
        write_all(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(Seals, "write_all", failing)
        for _ in range(tries):
            with pytest.raises(InstallerError, match="disk I/O error"):
                door.caretaker.rekey()
    before = (tmp_path / "janus" / "key").read_bytes()
    killed = tmp_path / "killed"  # as the disk is now, and the power goes
    killed.mkdir()
    for part in ("janus", "a"):
        shutil.copytree(tmp_path / part, killed / part)
    monkeypatch.undo()
    again = Door(killed)
    again.caretaker.tend()
    assert (names(again.keeper), again.keeper.fault) == (["Ada", "Bob"], "")
    again.close()
    door.caretaker.rekey()
    assert (names(door.keeper), door.keeper.fault) == (["Ada", "Bob"], "")
    assert (tmp_path / "janus" / "key").read_bytes() != before
    assert not (tmp_path / "janus" / "key.next").exists()
    door.close()
    again = Door(tmp_path)
    assert (names(again.keeper), again.keeper.fault) == (["Ada", "Bob"], "")
    assert again.keeper.restore() in again.keeper.backups()
    again.close()


@pytest.mark.slow
def test_a_change_killed_at_any_step_is_written_down_exactly_where_the_key_is_another(tmp_path: Path) -> None:
    template = tmp_path / "template"
    made_in(template, "Ada", "Bob")
    Door(template).close()
    before = (template / "janus" / "key").read_bytes()
    step, stride, changed = 0, 6, 0
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(template, folder)
        said = until_killed(change_key, step, folder)
        door = Door(folder)
        door.caretaker.tend()
        is_another = (folder / "janus" / "key").read_bytes() != before
        reasons = {reason for reason, _ in door.entries()}
        assert reasons == ({"rekeyed"} if is_another else set())
        assert (names(door.keeper), door.keeper.fault) == (["Ada", "Bob"], "")
        changed += is_another
        door.close()
        shutil.rmtree(folder)
        if said is None:
            break
        step += stride
    print(f"killed at {step // stride} steps of a change of key, ended at the start {changed - 1} times")
    assert 1 < changed < step // stride
