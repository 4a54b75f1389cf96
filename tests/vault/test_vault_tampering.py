"""An attacker with the card edits the vault. Every edit is refused by name of the error, never a traceback.

A whole older copy put back: tests/vault/test_vault_anchor.py.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import JanusError, VaultDamaged, VaultLocked
from janusd.vault.keys import FileKey
from janusd.vault.store import StoredPerson, Vault
from support.damage import run_sql

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
Edit = Callable[[str], None]


@pytest.fixture
def people(vault: Vault) -> list[StoredPerson]:
    """Two people, in a vault that is closed again."""
    vault.add("Ada", embeddings(1))
    vault.add("Bob", embeddings(2))
    stored = vault.people()
    vault.close()
    return stored


@pytest.fixture
def edit(path: Path, people: list[StoredPerson]) -> Edit:
    return lambda script: run_sql(path, script)


def damage(path: Path, key: FileKey) -> str:
    with pytest.raises(VaultDamaged) as refused:
        Vault.open(path, key, DEVICE, MODEL)
    assert refused.value.remedy
    return str(refused.value)


@pytest.mark.parametrize("column", ["person_id", "wrapped_key", "template_id", "model_digest", "record"])
@pytest.mark.parametrize("bit", [0, 9, 77, 200, 1001])
def test_a_flipped_bit_names_the_person_row(
    path: Path, key: FileKey, edit: Edit, column: str, bit: int
) -> None:
    edit(f"UPDATE person SET {column} = flip({column}, {bit}) WHERE number = 2")
    assert "person row 2 of the vault" in damage(path, key)


@pytest.mark.parametrize(
    "columns",
    ["record", "wrapped_key", "person_id", "record, wrapped_key", "template_id, generation, record"],
)
def test_rows_swapped_between_people_are_refused(path: Path, key: FileKey, edit: Edit, columns: str) -> None:
    pairs = ", ".join(
        f"{c} = (SELECT {c} FROM person AS other WHERE other.number != person.number)"
        for c in columns.split(", ")
    )
    edit(f"UPDATE person SET {pairs}")
    assert "person row 1 of the vault" in damage(path, key)


@pytest.mark.parametrize(
    "script",
    [
        "UPDATE person SET generation = generation + 1 WHERE number = 1",
        "UPDATE person SET generation = -1 WHERE number = 1",
        "UPDATE person SET record = x'' WHERE number = 1",
        "UPDATE person SET record = zeroblob(400000) WHERE number = 1",
    ],
)
def test_other_values_are_refused_with_the_row(path: Path, key: FileKey, edit: Edit, script: str) -> None:
    edit(script)
    assert "person row 1 of the vault" in damage(path, key)


@pytest.mark.parametrize(
    "script",
    [
        "DELETE FROM person WHERE number = 1",
        "DELETE FROM person",
        "UPDATE person SET number = 9 WHERE number = 1",
        "INSERT INTO person SELECT 3, person_id, wrapped_key, template_id, model_digest, generation, record"
        " FROM person WHERE number = 1",
    ],
)
def test_people_taken_out_or_doubled_are_noticed(path: Path, key: FileKey, edit: Edit, script: str) -> None:
    edit(script)
    assert "behind its back" in damage(path, key)


def test_a_forgotten_person_put_back_from_an_older_copy_is_refused(
    path: Path, key: FileKey, people: list[StoredPerson], tmp_path: Path, edit: Edit
) -> None:
    shutil.copy(path, tmp_path / "old.db")
    vault = Vault.open(path, key, DEVICE, MODEL)
    vault.forget("Ada")
    vault.close()
    edit(f"ATTACH '{tmp_path}/old.db' AS old; INSERT INTO person SELECT * FROM old.person WHERE number = 1")
    assert "put back" in damage(path, key)


def test_an_older_roster_does_not_hide_a_change(
    path: Path, key: FileKey, people: list[StoredPerson], tmp_path: Path, edit: Edit
) -> None:
    shutil.copy(path, tmp_path / "old.db")
    vault = Vault.open(path, key, DEVICE, MODEL)
    vault.add("Eve", embeddings(3))
    vault.close()
    edit(f"ATTACH '{tmp_path}/old.db' AS old; UPDATE vault SET roster = (SELECT roster FROM old.vault)")
    assert "behind its back" in damage(path, key)


def test_a_row_of_another_vault_is_refused(path: Path, key: FileKey, edit: Edit, tmp_path: Path) -> None:
    other_path = tmp_path / "elsewhere" / "vault.db"
    other_key = new_key(other_path.with_name("key"))
    Vault.create(other_path, other_key, b"e" * 32)
    other = Vault.open(other_path, other_key, b"e" * 32, MODEL)
    other.add("Mallory", embeddings(9))
    other.close()
    edit(
        f"ATTACH '{other_path}' AS other; INSERT INTO person SELECT 3, person_id, wrapped_key, template_id,"
        " model_digest, generation, record FROM other.person"
    )
    assert "person row 3 of the vault" in damage(path, key)


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("UPDATE vault SET canary = flip(canary, 300)", "canary was altered"),
        ("UPDATE vault SET roster = flip(roster, 300)", "the vault's roster"),
        ("DELETE FROM vault", "the vault's own row"),
        ("CREATE TRIGGER t AFTER INSERT ON person BEGIN DELETE FROM person; END", "the tables of"),
        ("CREATE TABLE more (x)", "the tables of"),
        ("DROP TABLE person", "the tables of"),
        ("UPDATE secret SET box = flip(box, 300)", "the vault's secret"),
        ("DELETE FROM secret", "secret row is missing"),
        ("PRAGMA application_id = 7", "is not a janusd vault"),
    ],
)
def test_altered_surroundings_are_refused(
    path: Path, key: FileKey, edit: Edit, script: str, complaint: str
) -> None:
    edit(script)
    assert complaint in damage(path, key)


def test_a_flipped_vault_id_looks_like_another_vault(path: Path, key: FileKey, edit: Edit) -> None:
    edit("UPDATE vault SET vault_id = flip(vault_id, 5)")
    with pytest.raises(VaultLocked):
        Vault.open(path, key, DEVICE, MODEL)


def test_a_newer_vault_says_which_version_and_what_to_do(path: Path, key: FileKey, edit: Edit) -> None:
    edit("PRAGMA user_version = 6")
    complaint = damage(path, key)
    assert "version 6, this janusd reads version 5" in complaint
    assert "newer janusd" in complaint


@pytest.mark.parametrize("content", [b"", b"not a database" * 400, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_refused(path: Path, key: FileKey, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    damage(path, key)


def test_random_edits_of_the_file_are_refused_or_change_nothing(
    path: Path, key: FileKey, people: list[StoredPerson]
) -> None:
    """Some bytes of a database file mean nothing; an edit there may pass, but nobody else ever gets in."""
    whole, chance, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(300):
        altered = bytearray(whole)
        start = chance.randrange(len(altered))
        for at in range(start, min(start + chance.choice([1, 1, 4, 64, 2000]), len(altered))):
            altered[at] = chance.randrange(256)
        path.write_bytes(altered)
        try:
            vault = Vault.open(path, key, DEVICE, MODEL)
        except JanusError:
            refused += 1
            continue
        assert vault.people() == people
        vault.close()
    assert refused > 60  # the rest fell on unused bytes


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_vault_open_to_others_is_refused(path: Path, key: FileKey, people: object, mode: int) -> None:
    path.chmod(mode)
    assert "stands open to others" in damage(path, key)


@pytest.mark.parametrize("mode", [0o750, 0o701, 0o777])
def test_a_folder_open_to_others_is_refused(path: Path, key: FileKey, people: object, mode: int) -> None:
    path.parent.chmod(mode)
    assert "stands open to others" in damage(path, key)
    path.parent.chmod(0o700)


@needs_root
def test_a_vault_or_folder_of_another_user_is_refused(path: Path, key: FileKey, people: object) -> None:
    os.chown(path, 65534, -1)
    assert "belongs to user 65534" in damage(path, key)
    os.chown(path, 0, -1)
    os.chown(path.parent, 65534, -1)
    assert "belongs to user 65534" in damage(path, key)


def test_links_in_place_of_the_vault_are_refused(
    path: Path, key: FileKey, people: object, tmp_path: Path
) -> None:
    (tmp_path / "second name").hardlink_to(path)
    assert "2 names" in damage(path, key)
    (tmp_path / "second name").unlink()
    moved = tmp_path / "moved.db"
    path.rename(moved)
    path.symlink_to(moved)
    assert "is not a regular file" in damage(path, key)
    (tmp_path / "door").symlink_to(path.parent)
    assert "is not a folder" in damage(tmp_path / "door" / "vault.db", key)


def test_a_planted_write_ahead_log_is_refused(
    path: Path, key: FileKey, people: object, tmp_path: Path
) -> None:
    (tmp_path / "bait").write_bytes(b"")
    path.with_name("vault.db-wal").symlink_to(tmp_path / "bait")
    assert "vault.db-wal is not a regular file" in damage(path, key)
    assert (tmp_path / "bait").read_bytes() == b""


def test_a_vault_is_not_made_in_a_folder_open_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    key = new_key(tmp_path / "key")
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(VaultDamaged, match="stands open to others"):
        Vault.create(folder / "vault.db", key, DEVICE)
