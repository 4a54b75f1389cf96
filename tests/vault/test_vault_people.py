"""What is kept of people beside their samples lasts, is sealed as they are, and cannot be put back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from vault_kit import DEVICE, MODEL, embeddings, face

from janusd.core.embed import combine
from janusd.core.terms import ALWAYS, Role, Second, Terms
from janusd.errors import EnrolmentRefused, PersonExists, PersonNotFound, VaultDamaged, VaultRolledBack
from janusd.vault import people
from janusd.vault.anchor import FileAnchor
from janusd.vault.format import Record
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import FileKey, KeyRing
from janusd.vault.people import StoredPerson
from janusd.vault.seals import Opened
from janusd.vault.store import Vault

CHRISTMAS = datetime(2026, 12, 24, 18, tzinfo=UTC)
GUEST = Terms(Role.GUEST, valid_until=CHRISTMAS, second=Second.CODE, code="3-1-4-2", needs_two=True)
OWNER = Terms(Role.OWNER)
MARGIN = 0.05


def put(vault: Vault, name: str, terms: Terms, hours: str = "") -> StoredPerson:
    return vault.change(name, lambda opened, of: people.under_terms(opened, of, hours, terms))


def guard(vault: Vault, name: str, seed: int) -> StoredPerson:
    probe = embeddings(seed, 1)[0]
    return vault.change(name, lambda _, of: people.with_guard(of[1], probe, MARGIN))


def unlike(name: str) -> Terms:
    return replace(ALWAYS, is_suspended=name == "Ada")


@pytest.fixture
def two(vault: Vault) -> Vault:
    vault.add("Ada", face(1))
    vault.add("Bob", face(2), terms=GUEST)
    return vault


def test_terms_hours_guards_and_names_are_there_again_after_a_restart(
    two: Vault, path: Path, key: FileKey
) -> None:
    put(two, "Ada", OWNER, "mon-fri 08:00-18:00")
    guard(two, "bob", 9)
    two.change("Bob", lambda opened, of: people.renamed(opened, of, "Robert"), takes_away=False)
    before = two.people()
    two.close()
    again = Vault.open(path, key, DEVICE, MODEL)
    assert again.people() == before
    ada, robert = again.templates()
    assert (ada.terms, ada.guards) == (OWNER, None)
    assert (robert.name, robert.terms) == ("Robert", GUEST)
    assert robert.guards is not None
    np.testing.assert_allclose(robert.guards, embeddings(9, 1), atol=3e-7)
    np.testing.assert_allclose(robert.embeddings, face(2), atol=3e-7)
    again.close()


def test_a_change_keeps_who_somebody_is_and_destroys_the_key_of_what_they_were(two: Vault) -> None:
    def keys() -> dict[bytes, bytes]:
        with two._database.reading() as connection:
            return dict(connection.execute("SELECT person_id, wrapped_key FROM person").fetchall())

    (ada,) = [person for person in two.people() if person.name == "Ada"]
    before = keys()
    put(two, "Ada", unlike("Ada"))
    changed = {person_id for person_id, key in keys().items() if before[person_id] != key}
    assert changed == {bytes.fromhex(ada.person_id)}


@pytest.mark.parametrize("secret", [b"3-1-4-2", b"guest", b"Bob", b"2026-12-24"])
def test_nothing_of_somebodys_terms_lies_in_the_clear(two: Vault, path: Path, secret: bytes) -> None:
    guard(two, "Bob", 9)
    raw = b"".join(file.read_bytes() for file in path.parent.glob("vault.db*"))
    assert secret not in raw


def test_a_change_that_is_refused_changes_nothing(two: Vault) -> None:
    generation = two.generation
    with pytest.raises(PersonExists):
        two.change("Ada", lambda opened, of: people.renamed(opened, of, "BOB"))
    with pytest.raises(EnrolmentRefused, match="a guest needs a day"):
        put(two, "Ada", Terms(Role.GUEST))
    with pytest.raises(EnrolmentRefused, match="cannot read hours"):
        put(two, "Ada", ALWAYS, "someday")
    with pytest.raises(PersonNotFound):
        put(two, "Eve", ALWAYS)
    assert two.generation == generation


def test_somebody_may_be_given_their_own_name_in_another_spelling(two: Vault) -> None:
    assert two.change("ada", lambda opened, of: people.renamed(opened, of, "ADA")).name == "ADA"


def test_the_only_owner_stays_one_until_there_is_another(two: Vault) -> None:
    put(two, "Ada", OWNER)
    for terms in (ALWAYS, replace(OWNER, is_suspended=True)):
        with pytest.raises(EnrolmentRefused, match="Ada is the only owner"):
            put(two, "Ada", terms)
    put(two, "Bob", OWNER)
    put(two, "Ada", replace(OWNER, is_suspended=True))
    with pytest.raises(EnrolmentRefused, match="Bob is the only owner"):
        put(two, "Bob", ALWAYS)
    two.forget("Bob")  # whoever wants to be forgotten is


def test_a_guard_that_would_shut_its_own_person_out_is_refused(two: Vault) -> None:
    typical = combine(list(face(1, 6)))  # as like each sample as the mean of the others
    with pytest.raises(EnrolmentRefused, match="as much like Ada as their own samples"):
        two.change("Ada", lambda _, of: people.with_guard(of[1], typical, MARGIN))
    with pytest.raises(EnrolmentRefused, match="another encoder"):
        two.change("Ada", lambda _, of: people.with_guard(of[1], embeddings(3, 1, 64)[0], MARGIN))


def test_of_many_guards_the_oldest_go_and_all_can_be_dropped() -> None:
    record = Record("Ada", "", "", face(1))
    for seed in range(20, 32):
        record = people.with_guard(record, embeddings(seed, 1)[0], MARGIN)
    assert record.guards.shape == (people.MOST_GUARDS, 128)
    np.testing.assert_array_equal(record.guards[-1], embeddings(31, 1)[0])
    assert len(people.without_guards(record).guards) == 0


def test_terms_of_one_person_do_not_open_as_anothers(two: Vault, path: Path, key: FileKey) -> None:
    def swap(connection: object) -> None:
        rows = connection.execute("SELECT number, record FROM person ORDER BY number").fetchall()  # type: ignore[attr-defined]
        (first, a), (second, b) = rows
        for number, record in ((first, b), (second, a)):
            connection.execute("UPDATE person SET record = ? WHERE number = ?", (record, number))  # type: ignore[attr-defined]

    with two._database.transaction() as connection:
        swap(connection)
    two.close()
    with pytest.raises(VaultDamaged):
        Vault.open(path, key, DEVICE, MODEL)


def test_the_vault_of_before_a_suspension_put_back_is_refused(
    path: Path, key: FileKey, tmp_path: Path
) -> None:
    anchor = FileAnchor(tmp_path / "elsewhere" / "anchor")
    Vault.create(path, key, DEVICE, anchor)
    vault = Vault.open(path, key, DEVICE, MODEL, anchor=anchor)
    vault.add("Ada", embeddings(1))
    before = tmp_path / "before.db"
    vault.copy_to(before)
    put(vault, "Ada", unlike("Ada"))
    vault.close()
    path.write_bytes(before.read_bytes())
    with pytest.raises(VaultRolledBack):
        Vault.open(path, key, DEVICE, MODEL, anchor=anchor)


def test_no_backup_gives_back_what_was_taken_and_one_is_there_at_once(
    path: Path, key: FileKey, tmp_path: Path
) -> None:
    anchor = FileAnchor(tmp_path / "elsewhere" / "anchor")
    Vault.create(path, key, DEVICE, anchor)
    keeper = Keeper.open(Place(path, KeyRing(key, None), DEVICE, MODEL, anchor))
    keeper.add("Ada", embeddings(1), terms=OWNER)
    keeper.add("Bob", embeddings(2))
    older = keeper.backups()
    suspended = replace(ALWAYS, is_suspended=True)
    keeper.change("Bob", lambda opened, of: people.under_terms(opened, of, "", suspended))
    assert len(keeper.backups()) == 1
    assert not set(older) & set(keeper.backups())
    keeper.change("Bob", lambda opened, of: people.renamed(opened, of, "Robert"), takes_away=False)
    assert len(keeper.backups()) == 2
    keeper.close()


def test_changes_are_given_everybody_and_the_one_they_are_of(two: Vault) -> None:
    def look(opened: list[Opened], of: Opened) -> Record:
        assert [record.name for _, record in opened] == ["Ada", "Bob"]
        assert of[1].name == "Bob"
        return of[1]

    two.change("Bob", look)  # type: ignore[arg-type]  # a list is a sequence
