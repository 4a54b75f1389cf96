"""The vault through its troubles: set aside, restored, given another key. Not tested here: a real TPM."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from killing import until_killed
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import (
    AnchorLost,
    InstallerError,
    OwnerError,
    VaultDamaged,
    VaultLocked,
    VaultNewer,
    VaultRolledBack,
)
from janusd.vault.anchor import FileAnchor
from janusd.vault.backups import KEEP
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import FileKey, KeptKey, KeyRing
from janusd.vault.store import Vault
from support.damage import run_sql


def place_in(folder: Path) -> Place:
    home = folder / "janus"
    ring = KeyRing(FileKey(home / "key"))
    return Place(
        home / "vault.db",
        ring,
        DEVICE,
        MODEL,
        FileAnchor(folder / "a" / "anchor"),
        lambda: KeptKey.open(home / "log.key", ring, DEVICE, inherits=False),
    )


def made_in(folder: Path, *people: str) -> Place:
    new_key(folder / "janus" / "key")
    place = place_in(folder)
    Vault.create(place.path, place.ring.present(), DEVICE, place.anchor)
    place.seal_others()
    keeper = Keeper.open(place)
    for n, name in enumerate(people):
        keeper.add(name, embeddings(n))
    keeper.close()
    return place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return made_in(tmp_path, "Ada", "Bob")


def names(keeper: Keeper) -> list[str]:
    return [person.name for person in keeper.people()]


def test_every_change_is_backed_up_and_few_backups_are_kept(place: Place) -> None:
    keeper = Keeper.open(place)
    assert keeper.fault == ""
    for n in range(4):
        keeper.add(f"more {n}", embeddings(9))
    assert keeper.backups() == [f"vault-{n:012d}.db" for n in (4, 5, 6)]
    assert len(keeper.backups()) == KEEP
    keeper.close()


@pytest.mark.parametrize("content", [b"", b"not a database" * 400, b"SQLite format 3\0" + bytes(5000)])
def test_a_corrupt_vault_is_set_aside_whole_and_a_backup_restores_everybody(
    place: Place, content: bytes
) -> None:
    place.path.write_bytes(content)
    keeper = Keeper.open(place)
    assert keeper.templates() == []
    assert "set aside as" in keeper.fault
    with pytest.raises(VaultDamaged, match="janusctl vault restore"):
        keeper.add("Eve", embeddings(3))
    (name,) = keeper.quarantined()
    assert (place.path.parent / "quarantine" / name / "vault.db").read_bytes() == content
    assert keeper.restore() == "vault-000000000002.db"
    assert names(keeper) == ["Ada", "Bob"]
    assert keeper.fault == ""
    keeper.add("Eve", embeddings(3))
    keeper.close()
    again = Keeper.open(place)
    assert names(again) == ["Ada", "Bob", "Eve"]
    again.close()


def test_a_vault_that_is_gone_starts_locked_and_comes_back(place: Place) -> None:
    place.path.unlink()
    keeper = Keeper.open(place)
    assert "is gone" in keeper.fault
    keeper.restore()
    assert names(keeper) == ["Ada", "Bob"]
    keeper.close()


def test_an_older_copy_is_set_aside_and_the_newest_backup_has_nobody_forgotten(
    place: Place, tmp_path: Path
) -> None:
    shutil.copy(place.path, tmp_path / "old.db")
    keeper = Keeper.open(place)
    keeper.forget("Bob")
    keeper.close()
    shutil.copy(tmp_path / "old.db", place.path)
    keeper = Keeper.open(place)
    assert "older copy" in keeper.fault
    assert keeper.templates() == []
    (name,) = keeper.quarantined()
    assert (place.path.parent / "quarantine" / name / "vault.db").read_bytes() == (
        tmp_path / "old.db"
    ).read_bytes()
    with pytest.raises(VaultRolledBack, match="from before somebody was forgotten"):
        keeper.restore(name)
    assert not list(place.path.parent.glob("*.restored*"))  # nor does a copy of them lie about
    assert keeper.templates() == []
    keeper.restore()
    assert names(keeper) == ["Ada"]
    keeper.restore(name, accept_older=True)  # the owner's own word
    assert names(keeper) == ["Ada", "Bob"]
    keeper.close()


def test_forgetting_leaves_no_backup_with_that_person(place: Place) -> None:
    keeper = Keeper.open(place)
    assert keeper.backups() == [f"vault-{n:012d}.db" for n in (0, 1, 2)]
    keeper.forget("Bob")
    assert keeper.backups() == ["vault-000000000003.db"]
    keeper.close()


def test_a_backup_from_before_a_forgetting_that_is_put_back_is_refused(place: Place, tmp_path: Path) -> None:
    old = place.path.parent / "backups" / "vault-000000000002.db"
    kept = old.read_bytes()
    keeper = Keeper.open(place)
    keeper.forget("Bob")
    old.write_bytes(kept)
    old.chmod(0o600)
    with pytest.raises(VaultRolledBack):
        keeper.restore(old.name)
    assert names(keeper) == ["Ada"]
    keeper.close()
    again = Keeper.open(place)  # and the next start clears it away
    assert old.name not in again.backups()
    again.close()


def test_a_damaged_backup_is_passed_over(place: Place) -> None:
    newest = place.path.parent / "backups" / "vault-000000000002.db"
    run_sql(newest, "UPDATE person SET record = flip(record, 900)")
    place.path.write_bytes(b"gone")
    keeper = Keeper.open(place)
    assert keeper.restore() == "vault-000000000001.db"
    assert names(keeper) == ["Ada"]
    keeper.close()


def test_a_lost_anchor_locks_the_door_but_moves_nothing(place: Place) -> None:
    (place.path.parent.parent / "a" / "anchor").unlink()
    keeper = Keeper.open(place)
    assert "holds no anchor" in keeper.fault
    assert keeper.quarantined() == []
    with pytest.raises(AnchorLost):
        keeper.restore("vault.db")
    keeper.restore("vault.db", accept_older=True)
    assert names(keeper) == ["Ada", "Bob"]
    assert keeper.fault == ""
    keeper.close()


def test_a_newer_vault_or_one_that_stands_open_is_left_in_its_place(place: Place) -> None:
    run_sql(place.path, "PRAGMA user_version = 9")
    keeper = Keeper.open(place)
    assert "version 9" in keeper.fault
    assert keeper.quarantined() == []
    with pytest.raises(VaultNewer):
        keeper.people()
    run_sql(place.path, "PRAGMA user_version = 2")
    place.path.chmod(0o644)
    keeper = Keeper.open(place)
    assert "stands open" in keeper.fault
    assert keeper.quarantined() == []


def test_a_wrong_key_sets_nothing_aside(place: Place) -> None:
    (place.path.parent / "key").write_bytes(os.urandom(32))
    with pytest.raises(VaultLocked):
        Keeper.open(place)
    assert place.path.exists()


def test_a_restore_that_is_not_there_says_so(place: Place) -> None:
    keeper = Keeper.open(place)
    for name in ("vault-000000000099.db", "nothing", "../key", ""):
        if name:
            with pytest.raises(OwnerError, match="no copy"):
                keeper.restore(name)
    with pytest.raises(OwnerError, match="open, and well"):
        keeper.restore("vault.db")
    keeper.close()


def test_a_backup_that_fails_is_a_fault_and_not_a_lost_enrolment(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = Keeper.open(place)

    def full(*_: object) -> None:
        raise InstallerError("no backup could be written: No space left on device", "free space")

    with monkeypatch.context() as disk:
        disk.setattr("janusd.vault.backups.Backups.make", full)
        keeper.add("Eve", embeddings(3))
        assert "No space left" in keeper.fault
    assert keeper.back_up() == "vault-000000000003.db"
    assert keeper.fault == ""
    keeper.close()


def test_rekeying_changes_the_key_and_keeps_everybody(place: Place, tmp_path: Path) -> None:
    before, log_key = (place.path.parent / "key").read_bytes(), place.seal_others().key()  # type: ignore[attr-defined]
    shutil.copy(place.path, tmp_path / "old.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "old.db")) as connection:
        rows = connection.execute("SELECT wrapped_key, record FROM person").fetchall()
        rows += connection.execute("SELECT canary, roster FROM vault").fetchall()
    boxes = [box for row in rows for box in row]
    keeper = Keeper.open(place)
    keeper.rekey()
    assert names(keeper) == ["Ada", "Bob"]
    keeper.close()
    assert (place.path.parent / "key").read_bytes() != before
    assert not (place.path.parent / "key.next").exists()
    assert place.seal_others().key() == log_key  # type: ignore[attr-defined]
    again = Keeper.open(place)
    assert (names(again), again.fault) == (["Ada", "Bob"], "")
    again.close()
    now = place.path.read_bytes()
    for box in boxes:
        for at in range(16, len(box) - 15, 64):
            assert box[at : at + 16] not in now
    (place.path.parent / "key").write_bytes(before)
    with pytest.raises(VaultLocked):
        Keeper.open(place)


def test_renewing_changes_every_record_and_no_score(place: Place) -> None:
    keeper = Keeper.open(place)
    before = {template.name: template.embeddings for template in keeper.templates()}
    ids = {template.name: template.person_id for template in keeper.templates()}
    sealed_before = place.path.read_bytes()
    keeper.renew()
    after = {template.name: template.embeddings for template in keeper.templates()}
    for name, rows in before.items():
        np.testing.assert_allclose(rows @ rows.T, after[name] @ after[name].T, atol=1e-6)
    assert ids == {template.name: template.person_id for template in keeper.templates()}
    assert place.path.read_bytes() != sealed_before
    assert len(keeper.backups()) == 1
    keeper.close()


def work(say: object, folder: Path, what: str) -> None:
    """One act on a door's vault, in a process that will be killed."""
    keeper = Keeper.open(place_in(folder))
    match what:
        case "rekey":
            keeper.rekey()
        case "renew":
            keeper.renew()
        case "forget":
            keeper.forget("Bob")
        case "restore":
            keeper.restore()
    say("done")  # type: ignore[operator]
    keeper.close()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["rekey", "renew", "forget", "restore"])
def test_a_kill_at_every_step_loses_nobody(tmp_path: Path, what: str) -> None:
    """`make torture` kills at each step; here at every ninth."""
    stride = 1 if os.environ.get("JANUS_TORTURE") else 9
    template = tmp_path / "template"
    made_in(template, "Ada", "Bob")
    if what == "restore":
        (template / "janus" / "vault.db").write_bytes(b"eaten by the card")
    kills, step = 0, 0
    while True:
        folder = tmp_path / str(step)
        shutil.copytree(template, folder)
        said = until_killed(work, step, folder, what)
        keeper = Keeper.open(place_in(folder))
        if keeper.fault:
            assert what == "restore", keeper.fault
            keeper.restore()
        found = names(keeper)
        expected = [["Ada", "Bob"]] if what != "forget" else [["Ada"]] if said else [["Ada", "Bob"], ["Ada"]]
        assert found in expected
        keeper.add("Zoe", embeddings(8))
        assert keeper.fault == ""
        keeper.close()
        if found == ["Ada"]:
            for backup in (folder / "janus" / "backups").glob("vault-*.db"):
                opened = Vault.open(backup, FileKey(folder / "janus" / "key"), DEVICE, MODEL)
                assert "Bob" not in [person.name for person in opened.people()]
                opened.close()
        shutil.rmtree(folder)
        if said is None:
            break
        kills, step = kills + 1, step + stride
    print(f"TORTURE killed at every {'' if stride == 1 else 'ninth '}step of {what}|{kills}|0")
    assert kills > 3


def test_the_backups_of_a_vault_that_was_there_before_are_set_aside(place: Place) -> None:
    """Their numbers are higher than the new one's: they must not take its place, nor be taken for it."""
    for n in range(9):
        keeper = Keeper.open(place)
        keeper.add(f"old {n}", embeddings(n))
        keeper.close()
    old = Keeper.open(place)
    gone = [f"old {n}" for n in range(6, 9)]
    assert len(old.backups()) == KEEP
    old.close()
    place.path.rename(place.path.with_name("old.db"))
    assert isinstance(place.anchor, FileAnchor)
    shutil.rmtree(place.anchor.path.parent)
    Vault.create(place.path, place.ring.present(), DEVICE, place.anchor)
    keeper = Keeper.open(place)
    for n, name in enumerate(("Cy", "Di", "Eve")):
        keeper.add(name, embeddings(n))
    assert keeper.back_up() in keeper.backups()
    assert keeper.backups() == [f"vault-{n:012d}.db" for n in (1, 2, 3)]
    assert len(keeper.quarantined()) == KEEP
    keeper.close()
    place.path.write_bytes(b"eaten by the card")
    keeper = Keeper.open(place)
    assert keeper.restore() == "vault-000000000003.db"
    assert names(keeper) == ["Cy", "Di", "Eve"]
    with pytest.raises(VaultRolledBack, match="another vault"):
        keeper.restore(keeper.quarantined()[0])
    keeper.restore(keeper.quarantined()[0], accept_older=True)
    assert set(names(keeper)) >= {"Ada", "Bob"} - set(gone)
    assert keeper.back_up() in keeper.backups()
    keeper.close()


def test_a_backup_of_another_vault_with_the_same_number_is_none(place: Place) -> None:
    Keeper.open(place).close()  # changes 0, 1 and 2 are backed up
    place.path.unlink()
    assert isinstance(place.anchor, FileAnchor)
    shutil.rmtree(place.anchor.path.parent)
    Vault.create(place.path, place.ring.present(), DEVICE, place.anchor)
    keeper = Keeper.open(place)
    assert keeper.backups() == ["vault-000000000000.db"]
    place.path.unlink()
    keeper.close()
    keeper = Keeper.open(place)
    assert keeper.restore() == "vault-000000000000.db"
    assert names(keeper) == []
    keeper.close()


def test_a_restoration_that_cannot_be_anchored_leaves_a_door_that_says_so(place: Place) -> None:
    keeper = Keeper.open(place)
    keeper.forget("Bob")
    keeper.add("Cy", embeddings(7))
    assert isinstance(place.anchor, FileAnchor)
    folder = place.anchor.path.parent
    folder.chmod(0o755)
    with pytest.raises(AnchorLost):
        keeper.restore(keeper.backups()[0], accept_older=True)
    assert "open to others" in keeper.fault
    with pytest.raises(VaultDamaged):
        keeper.people()
    folder.chmod(0o700)
    keeper.restore(accept_older=True)
    assert "Ada" in names(keeper)
    assert keeper.fault == ""
    keeper.close()


def test_a_backup_under_a_lost_key_does_not_hide_an_older_good_one(place: Place) -> None:
    keeper = Keeper.open(place)
    newest = place.path.parent / "backups" / keeper.backups()[-1]
    keeper.close()
    other = made_in(place.path.parent.parent / "other", "Eve")
    shutil.copyfile(other.path, newest)
    place.path.write_bytes(b"eaten by the card")
    keeper = Keeper.open(place)
    assert keeper.restore(accept_older=True) == "vault-000000000001.db"
    assert names(keeper) == ["Ada"]
    keeper.close()


def test_what_is_wrong_is_told_while_a_long_change_is_under_way(place: Place) -> None:
    """systemd's watchdog is fed by who asks that, and forgetting overwrites every backup first."""
    keeper = Keeper.open(place)
    told: list[str] = []
    with keeper._lock:
        asking = threading.Thread(target=lambda: told.append(keeper.fault + keeper.remedy[:3]))
        asking.start()
        asking.join(10)
    assert told == ["see"]
    keeper.close()
