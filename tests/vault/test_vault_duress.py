"""Codes for duress are kept as the others are, are nobody else's, and came with version 5 of the vault."""

from __future__ import annotations

import sqlite3
import struct
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from vault_kit import DEVICE, MODEL, face

from janusd.core.terms import ALWAYS, Duress, Second, Terms
from janusd.errors import EnrolmentRefused
from janusd.vault import format as sealed
from janusd.vault import people
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault

ADA = Terms(second=Second.CODE, code="3-1-4-2", duress=Duress.CODE, duress_code="2-7-1-8")


def put(vault: Vault, name: str, terms: Terms) -> None:
    vault.change(name, lambda opened, of: people.under_terms(opened, of, "", terms))


@pytest.fixture
def two(vault: Vault) -> Vault:
    vault.add("Ada", face(1), terms=ADA)
    vault.add("Bob", face(2))
    return vault


def test_it_is_there_after_a_restart_and_nowhere_in_the_clear(two: Vault, path: Path, key: FileKey) -> None:
    two.close()
    for file in path.parent.iterdir():
        assert b"2-7-1-8" not in file.read_bytes()
    again = Vault.open(path, key, DEVICE, MODEL)
    assert [one.terms for one in again.people()] == [ADA, ALWAYS]
    assert [one.terms for one in again.templates()] == [ADA, ALWAYS]
    assert people.person_of(again.people()[0]).duress == "code"
    assert "2-7-1-8" not in repr(people.person_of(again.people()[0]))
    again.close()


@pytest.mark.parametrize(
    ("code", "duress_code"),
    [
        ("2-7-1-8", ""),  # Ada's for duress
        ("2-7-1-8-1", ""),  # on the way to it Ada's is entered
        ("5-5-1-1", "2-7-1-8"),
        ("5-5-1-1", "3-1-4-2"),  # Ada's own
        ("5-5-1-1-1", "3-1-4-2-9"),
    ],
)
def test_a_code_for_duress_is_nobody_elses_code(two: Vault, code: str, duress_code: str) -> None:
    duress = Duress.CODE if duress_code else Duress.NONE
    taken = Terms(second=Second.CODE, code=code, duress=duress, duress_code=duress_code)
    with pytest.raises(EnrolmentRefused, match="kept at this door already") as refused:
        put(two, "Bob", taken)
    assert "Ada" not in str(refused.value)
    with pytest.raises(EnrolmentRefused, match="kept at this door already"):
        two.add("Zoe", face(3), terms=taken)
    assert [one.name for one in two.people()] == ["Ada", "Bob"]


def test_ordinary_codes_may_be_the_same_and_ones_own_may_stay(two: Vault) -> None:
    put(two, "Bob", Terms(second=Second.CODE, code="3-1-4-2"))
    put(two, "Ada", replace(ADA, needs_two=True))
    assert [one.terms.code for one in two.people()] == ["3-1-4-2", "3-1-4-2"]


def test_a_record_of_version_4_reads_as_of_somebody_who_cannot_call() -> None:
    terms = ("resident", False, "", "", "code", "3-1-4-2", True)
    rows = face(1, 3).astype("<f4")
    header = msgspec.msgpack.encode(("Ada", "", "2026-11-22T12:00:00+00:00", 3, 128, 0, terms, 0))
    record = sealed.decode_record(struct.pack("<I", len(header)) + header + rows.tobytes())
    assert record.terms == Terms(second=Second.CODE, code="3-1-4-2", needs_two=True)
    assert np.array_equal(record.embeddings, rows)


def test_a_vault_of_version_4_is_brought_up_to_date(vault: Vault, path: Path, key: FileKey) -> None:
    vault.add("Bob", face(2), terms=Terms(needs_two=True))
    vault.close()
    with sqlite3.connect(path) as connection:  # its tables are those of version 5
        connection.execute("PRAGMA user_version = 4")
    connection.close()
    again = Vault.open(path, key, DEVICE, MODEL)
    assert [one.terms for one in again.people()] == [Terms(needs_two=True)]
    put(again, "Bob", ADA)
    again.close()
    assert int.from_bytes(path.read_bytes()[60:64], "big") == 5
