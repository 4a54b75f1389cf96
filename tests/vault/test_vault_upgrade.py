"""Vaults of earlier releases open, everybody in them, whenever the upgrade is interrupted.

That of the second is made here by its own SQL and its own header, written down once more.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import struct
from pathlib import Path

import msgspec
import numpy as np
import pytest
from killing import until_killed
from vault_kit import DEVICE, MODEL, embeddings

from janusd.core.terms import ALWAYS, Role, Terms
from janusd.errors import VaultDamaged, VaultRolledBack
from janusd.vault import format as sealed
from janusd.vault import people, transform
from janusd.vault.anchor import FileAnchor
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault

FROZEN = Path(__file__).parents[1] / "vectors" / "vault" / "version-1.db"


def first_release(folder: Path) -> Path:
    """A door of the first release: Ada and Bob, and Eve who was forgotten; the key is bytes 0 to 31."""
    folder.mkdir(mode=0o700)
    shutil.copyfile(FROZEN, folder / "vault.db")
    (folder / "key").write_bytes(bytes(range(32)))
    for name in ("vault.db", "key"):
        (folder / name).chmod(0o600)
    return folder


def opened(folder: Path) -> Vault:
    anchor = FileAnchor(folder / "a" / "anchor")
    return Vault.open(folder / "vault.db", FileKey(folder / "key"), DEVICE, MODEL, anchor=anchor)


def test_everybody_of_the_first_release_is_there_with_the_same_scores(tmp_path: Path) -> None:
    vault = opened(first_release(tmp_path / "door"))
    assert [(person.name, person.hours) for person in vault.people()] == [
        ("Ada", "mon-fri 08:00-18:00"),
        ("Bob", ""),
    ]
    for seed, template in enumerate(vault.templates(), start=1):
        np.testing.assert_allclose(template.embeddings, embeddings(seed, 3), atol=3e-7)
    vault.add("Zoe", embeddings(7))
    vault.close()
    again = opened(tmp_path / "door")
    assert len(again.people()) == 3
    again.close()


def test_no_record_of_the_first_release_stays_in_the_file(tmp_path: Path) -> None:
    folder = first_release(tmp_path / "door")
    before = (folder / "vault.db").read_bytes()
    opened(folder).close()
    after = (folder / "vault.db").read_bytes()
    pieces = {before[at : at + 32] for at in range(4096 * 2, len(before) - 32, 32)}
    assert not [piece for piece in pieces if len(set(piece)) > 12 and piece in after]


def test_the_first_release_put_back_after_the_upgrade_is_refused(tmp_path: Path) -> None:
    folder = first_release(tmp_path / "door")
    opened(folder).close()
    shutil.copyfile(FROZEN, folder / "vault.db")
    with pytest.raises(VaultRolledBack):
        opened(folder)


def upgrade(say: object, folder: Path) -> None:
    vault = opened(folder)
    say("done")  # type: ignore[operator]
    vault.close()


@pytest.mark.slow
def test_an_upgrade_killed_at_any_step_loses_nobody(tmp_path: Path) -> None:
    step, stride = 0, 5
    while True:
        folder = first_release(tmp_path / str(step))
        said = until_killed(upgrade, step, folder)
        vault = opened(folder)
        assert [person.name for person in vault.people()] == ["Ada", "Bob"]
        vault.close()
        if said is None:
            break
        step += stride
    assert step > 20


SECOND_RELEASE = """
PRAGMA application_id = 1247169620;
PRAGMA user_version = 2;
CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1), vault_id BLOB NOT NULL, canary BLOB NOT NULL,\
 roster BLOB NOT NULL) STRICT;
CREATE TABLE person (number INTEGER PRIMARY KEY, person_id BLOB NOT NULL, wrapped_key BLOB NOT NULL,\
 template_id BLOB NOT NULL, model_digest BLOB NOT NULL, generation INTEGER NOT NULL,\
 record BLOB NOT NULL) STRICT;
CREATE TABLE secret (one INTEGER PRIMARY KEY CHECK (one = 1), box BLOB NOT NULL) STRICT;
""".replace("\\\n", "")


def second_release(folder: Path) -> Path:
    """A door of the second release: Ada and Bob, before anybody had terms; the key is bytes 0 to 31."""
    folder.mkdir(mode=0o700)
    (folder / "key").write_bytes(bytes(range(32)))
    kek, vault_id, seed = sealed.kek(bytes(range(32)), DEVICE), b"v" * 16, b"s" * 32

    def bound(label: str) -> bytes:
        return sealed.binding(f"janusd {label}", DEVICE, vault_id)

    secret = sealed.seal(kek, seed, bound("secret"))
    hashed = hashlib.sha256(sealed.binding("secret", secret))
    with sqlite3.connect(folder / "vault.db") as connection:
        connection.executescript(SECOND_RELEASE)
        for number, (name, hours) in enumerate((("Ada", "mon-fri 08:00-18:00"), ("Bob", "")), start=1):
            person_id, template_id = bytes([number]) * 16, bytes([64 + number]) * 16
            turned = transform.turn(seed, embeddings(number, 3)).astype("<f4")
            header = msgspec.msgpack.encode((name, hours, "2026-11-22T12:00:00+00:00", 3, 128))
            record = struct.pack("<I", len(header)) + header + turned.tobytes()
            data_key = bytes([100 + number]) * 32
            place = sealed.Place(DEVICE, person_id, template_id, MODEL, number)
            box = sealed.seal(data_key, record, place.binding())
            wrapped = sealed.wrap_key(kek, data_key, DEVICE, person_id)
            connection.execute(
                "INSERT INTO person VALUES (?, ?, ?, ?, ?, ?, ?)",
                (number, person_id, wrapped, template_id, MODEL, number, box),
            )
            numbers = struct.pack(">qQ", number, number)
            hashed.update(sealed.binding("person", numbers, person_id, wrapped, template_id, MODEL, box))
        roster = struct.pack(">Q32s32sQ", 2, hashed.digest(), bytes(32), 0)
        connection.execute(
            "INSERT INTO vault VALUES (1, ?, ?, ?)",
            (
                vault_id,
                sealed.seal(kek, b"this key opens this vault", bound("canary")),
                sealed.seal(kek, roster, bound("roster")),
            ),
        )
        connection.execute("INSERT INTO secret VALUES (1, ?)", (secret,))
    connection.close()
    for name in ("vault.db", "key"):
        (folder / name).chmod(0o600)
    return folder


def opened_alone(folder: Path) -> Vault:
    return Vault.open(folder / "vault.db", FileKey(folder / "key"), DEVICE, MODEL)


def version(folder: Path) -> int:
    return int.from_bytes((folder / "vault.db").read_bytes()[60:64], "big")


def test_everybody_of_the_second_release_is_there_on_the_terms_of_a_resident(tmp_path: Path) -> None:
    folder = second_release(tmp_path / "door")
    assert version(folder) == 2
    vault = opened_alone(folder)
    assert [(one.name, one.hours, one.terms, one.guards) for one in vault.people()] == [
        ("Ada", "mon-fri 08:00-18:00", ALWAYS, 0),
        ("Bob", "", ALWAYS, 0),
    ]
    for seed, template in enumerate(vault.templates(), start=1):
        np.testing.assert_allclose(template.embeddings, embeddings(seed, 3), atol=3e-7)
    vault.change("Bob", lambda opened, of: people.under_terms(opened, of, "", Terms(Role.OWNER)))
    vault.close()
    assert version(folder) == 5
    again = opened_alone(folder)
    assert [one.terms.role for one in again.people()] == [Role.RESIDENT, Role.OWNER]
    again.close()


def test_an_upgrade_from_the_second_release_is_no_change_to_the_anchor(tmp_path: Path) -> None:
    folder = second_release(tmp_path / "door")
    before = (folder / "vault.db").read_bytes()
    vault = opened_alone(folder)
    assert vault.generation == 2
    vault.anchor_in(FileAnchor(folder / "a" / "anchor"))
    vault.close()
    (folder / "vault.db").write_bytes(before)  # a backup of before, of the same state, is as good
    again = opened(folder)
    assert (again.generation, len(again.people())) == (2, 2)
    again.close()


def test_saying_an_older_version_gives_nobody_other_terms(tmp_path: Path) -> None:
    folder = second_release(tmp_path / "door")
    vault = opened_alone(folder)
    suspended = Terms(is_suspended=True)
    vault.change("Bob", lambda opened, of: people.under_terms(opened, of, "", suspended))
    vault.close()
    whole = (folder / "vault.db").read_bytes()
    for older, drops, is_refused in (
        (4, "", False),
        (3, "", True),
        (3, "DROP TABLE crops", False),
        (2, "", True),
        (1, "", True),
    ):
        (folder / "vault.db").write_bytes(whole)
        with sqlite3.connect(folder / "vault.db") as connection:
            connection.execute(f"PRAGMA user_version = {older}")
            connection.execute(drops)
        connection.close()
        if is_refused:
            with pytest.raises(VaultDamaged):
                opened_alone(folder)
        else:
            again = opened_alone(folder)
            assert [one.terms for one in again.people()] == [ALWAYS, suspended]
            again.close()


def upgrade_alone(say: object, folder: Path) -> None:
    vault = opened_alone(folder)
    say("done")  # type: ignore[operator]
    vault.close()


@pytest.mark.slow
def test_an_upgrade_from_the_second_release_killed_at_any_step_loses_nobody(tmp_path: Path) -> None:
    step = 0
    while True:
        folder = second_release(tmp_path / str(step))
        said = until_killed(upgrade_alone, step, folder)
        vault = opened_alone(folder)
        assert [person.name for person in vault.people()] == ["Ada", "Bob"]
        vault.close()
        if said is None:
            break
        step += 5
    assert step > 10
