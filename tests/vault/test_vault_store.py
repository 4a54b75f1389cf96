from __future__ import annotations

import gc
import random
import sqlite3
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import aead
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import (
    EnrolmentRefused,
    InstallerError,
    OwnerError,
    PersonExists,
    PersonNotFound,
    VaultLocked,
)
from janusd.vault import database
from janusd.vault.keys import FileKey
from janusd.vault.store import Vault

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def names(vault: Vault) -> list[str]:
    return [person.name for person in vault.people()]


def test_a_person_is_there_again_after_a_restart(vault: Vault, path: Path, key: FileKey) -> None:
    added = vault.add("Ada", embeddings(1), "mon-fri 08:00-18:00", at=NOON)
    vault.close()
    again = Vault.open(path, key, DEVICE, MODEL)
    (person,), (template,) = again.people(), again.templates()
    again.close()
    assert person == added
    assert (person.name, person.samples, person.hours) == ("Ada", 5, "mon-fri 08:00-18:00")
    assert person.enrolled_at == "2026-11-22T12:00:00+00:00"
    assert (template.person_id, template.name) == (person.person_id, "Ada")
    assert template.schedule.allows(datetime(2026, 11, 23, 9, 0)) is True
    assert template.schedule.allows(datetime(2026, 11, 22, 9, 0)) is False
    np.testing.assert_allclose(template.embeddings, embeddings(1), atol=1e-7)  # turned, and turned back


def test_a_new_vault_is_empty_and_private(vault: Vault, path: Path) -> None:
    assert vault.people() == vault.templates() == vault.stale_people() == []
    assert vault.generation == 0
    assert path.parent.stat().st_mode & 0o7777 == 0o700
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o7777 == 0o600


def test_rows_of_embeddings_may_come_one_by_one(vault: Vault) -> None:
    assert vault.add("Ada", list(embeddings(1, samples=3))).samples == 3


def test_people_are_listed_by_name_whatever_its_case(vault: Vault) -> None:
    for name in ("eve", "Ada", "Bob"):
        vault.add(name, embeddings())
    assert names(vault) == ["Ada", "Bob", "eve"]


@pytest.mark.parametrize("other", ["Ada", "ADA", " ada ", "\uff21\uff44\uff41"])
def test_a_name_is_given_once_whatever_its_case_or_composition(vault: Vault, other: str) -> None:
    vault.add("ada", embeddings())
    with pytest.raises(PersonExists, match="ada is enrolled already"):
        vault.add(other, embeddings(2))
    assert names(vault) == ["ada"]


@pytest.mark.parametrize("typed", ["jose\u0301", "JOSÉ", " José\n"])
def test_a_person_is_forgotten_by_any_spelling_of_their_name(vault: Vault, typed: str) -> None:
    vault.add("José", embeddings())
    vault.forget(typed)
    assert names(vault) == []
    with pytest.raises(PersonNotFound):
        vault.forget(typed)


def test_of_a_forgotten_person_nothing_is_held_in_memory(vault: Vault) -> None:
    vault.add("Ada", embeddings(1))
    vault.add("Bob", embeddings(2))
    held = {template.name: weakref.ref(template.embeddings) for template in vault.templates()}
    vault.templates()
    assert held["Ada"]() is not None  # what was opened once is not opened again
    vault.forget("Ada")
    gc.collect()
    assert (held["Ada"](), held["Bob"]() is None) == (None, False)


def test_a_forgotten_name_may_enrol_again_as_somebody_new(vault: Vault) -> None:
    first = vault.add("Ada", embeddings())
    vault.forget("Ada")
    assert vault.add("Ada", embeddings(2)).person_id != first.person_id


def test_each_change_moves_the_generation_and_a_refused_one_does_not(vault: Vault) -> None:
    vault.add("Ada", embeddings())
    vault.add("Bob", embeddings())
    vault.forget("Ada")
    with pytest.raises(PersonExists):
        vault.add("Bob", embeddings())
    with pytest.raises(PersonNotFound):
        vault.forget("Ada")
    assert vault.generation == 3


@pytest.mark.parametrize(
    "bad",
    [
        np.empty((0, 128), np.float32),
        np.ones(128, np.float32),
        np.ones((2, 128), np.float32),
        np.full((2, 128), np.nan, np.float32),
        np.zeros((2, 128), np.float32),
    ],
)
def test_embeddings_that_make_no_template_are_refused(vault: Vault, bad: np.ndarray) -> None:
    with pytest.raises(EnrolmentRefused):
        vault.add("Ada", bad)


def test_hours_and_names_that_cannot_be_are_refused(vault: Vault) -> None:
    with pytest.raises(EnrolmentRefused, match="cannot read hours"):
        vault.add("Ada", embeddings(), "someday 08:00-10:00")
    with pytest.raises(EnrolmentRefused, match="does not show"):
        vault.add("Ada\u202e", embeddings())
    assert names(vault) == []


def test_another_key_or_device_locks_the_vault(vault: Vault, path: Path, key: FileKey) -> None:
    vault.add("Ada", embeddings())
    vault.close()
    other = new_key(path.with_name("other"))
    with pytest.raises(VaultLocked, match=r"does not open with the key file .*other"):
        Vault.open(path, other, DEVICE, MODEL)
    with pytest.raises(VaultLocked):
        Vault.open(path, key, b"another device", MODEL)
    Vault.open(path, key, DEVICE, MODEL).close()


def test_an_empty_vault_is_locked_to_another_key_too(vault: Vault, path: Path) -> None:
    vault.close()
    with pytest.raises(VaultLocked):
        Vault.open(path, new_key(path.with_name("other")), DEVICE, MODEL)


def test_people_of_another_encoder_are_kept_but_not_matched(vault: Vault, path: Path, key: FileKey) -> None:
    vault.add("Ada", embeddings())
    vault.close()
    newer = Vault.open(path, key, DEVICE, b"n" * 32)
    newer.add("Bob", embeddings(2))
    assert [template.name for template in newer.templates()] == ["Bob"]
    assert [person.name for person in newer.stale_people()] == ["Ada"]
    assert names(newer) == ["Ada", "Bob"]
    with pytest.raises(PersonExists, match="with another encoder or detector; forget them first"):
        newer.add("Ada", embeddings())
    newer.forget("Ada")
    newer.add("Ada", embeddings(3))
    assert newer.stale_people() == []
    newer.close()


def test_a_vault_is_never_made_over_another(vault: Vault, path: Path, key: FileKey) -> None:
    with pytest.raises(OwnerError, match="already"):
        Vault.create(path, key, DEVICE)


def test_a_creation_that_was_cut_short_does_not_stand_in_the_way(path: Path, key: FileKey) -> None:
    path.with_name("vault.db.new").write_bytes(b"half")
    Vault.create(path, key, DEVICE)
    Vault.open(path, key, DEVICE, MODEL).close()


def test_only_one_process_holds_a_vault(
    vault: Vault, path: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 0.05)
    with pytest.raises(InstallerError, match="in use by another process"):
        Vault.open(path, key, DEVICE, MODEL)
    vault.add("Ada", embeddings())


def test_a_vault_that_is_not_there_says_so(path: Path, key: FileKey) -> None:
    with pytest.raises(InstallerError, match="No such file"):
        Vault.open(path, key, DEVICE, MODEL)


def test_a_model_digest_has_a_fixed_size(path: Path, key: FileKey) -> None:
    with pytest.raises(ValueError, match="32 bytes, not 4"):
        Vault.open(path, key, DEVICE, b"mini")


def test_closing_twice_is_fine(vault: Vault) -> None:
    vault.close()
    vault.close()


def test_a_vault_made_without_siv_opens_with_it_and_grows(
    path: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older_library:
        older_library.delattr(aead, "AESGCMSIV", raising=False)
        Vault.create(path, key, DEVICE)
        with_gcm = Vault.open(path, key, DEVICE, MODEL)
        with_gcm.add("Ada", embeddings())
        with_gcm.close()
    with_siv = Vault.open(path, key, DEVICE, MODEL)
    with_siv.add("Bob", embeddings())
    assert names(with_siv) == ["Ada", "Bob"]
    with_siv.close()


def test_threads_enrol_and_forget_side_by_side(vault: Vault) -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for i in range(8):
                vault.add(f"w{worker} {i}", embeddings(i))
                vault.people()
                vault.templates()
                if i % 2:
                    vault.forget(f"w{worker} {i}")
        except BaseException as e:  # noqa: BLE001 - a thread's failure must reach the test
            failures.append(e)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(vault.people()) == 16
    assert vault.generation == 4 * 12


def files_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob("vault.db*")))


def sealed_parts(vault: Vault) -> dict[str, tuple[bytes, ...]]:
    """Each person's own bytes, as they lie in the file."""
    with vault._database.reading() as connection:
        rows = connection.execute("SELECT person_id, wrapped_key, template_id, record FROM person").fetchall()
    return {row[0].hex(): tuple(row) for row in rows}


@pytest.mark.parametrize("seed", range(3))
def test_a_forgotten_person_leaves_no_byte_in_file_or_wal(vault: Vault, path: Path, seed: int) -> None:
    """Sizes vary so that records share pages, fill them and overflow them."""
    chance = random.Random(seed)
    left = [vault.add(f"p{i}", embeddings(i, chance.choice([1, 2, 5, 40]))) for i in range(30)]
    chance.shuffle(left)
    while left:
        person = left.pop()
        parts = sealed_parts(vault)
        assert all(part in files_of(path) for part in parts[person.person_id][:2])
        vault.forget(person.name)
        remains = files_of(path)
        for part in parts[person.person_id]:
            for start in range(0, len(part) - 15, 64):  # records lie in pieces on overflow pages
                assert part[start : start + 16] not in remains


def test_nothing_personal_stands_in_the_file_in_the_clear(vault: Vault, path: Path, key: FileKey) -> None:
    matrix = embeddings(1)
    vault.add("Ada Lovelace", matrix, "mon-fri 08:00-18:00")
    whole = files_of(path)
    for secret in (b"Ada", b"Lovelace", b"08:00", key.key(), matrix.tobytes()[:16], DEVICE):
        assert secret not in whole


def test_an_erasure_that_a_crash_interrupted_is_finished_on_opening(
    vault: Vault, path: Path, key: FileKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = vault.add("Ada", embeddings())
    parts = sealed_parts(vault)[person.person_id]
    monkeypatch.setattr(type(vault._database), "erase_history", lambda _: None)
    vault.forget("Ada")
    crashed = tmp_path / "crashed" / "vault.db"
    crashed.parent.mkdir(mode=0o700)
    for suffix in ("", "-wal"):
        copy = crashed.with_name(crashed.name + suffix)
        copy.write_bytes(path.with_name(path.name + suffix).read_bytes())
        copy.chmod(0o600)
    assert parts[1] in files_of(crashed)
    again = Vault.open(crashed, key, DEVICE, MODEL)
    assert again.people() == []
    assert parts[1] not in files_of(crashed)
    again.close()


def test_a_full_disk_refuses_the_enrolment_and_keeps_the_rest(vault: Vault) -> None:
    vault.add("Ada", embeddings())
    with vault._database.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(InstallerError, match="disk is full"):
        vault.add("Bob", embeddings(2, samples=40))
    assert names(vault) == ["Ada"]
    assert vault.generation == 1


def test_a_closed_vault_is_a_programming_error(vault: Vault) -> None:
    vault.close()
    with pytest.raises(sqlite3.ProgrammingError):
        vault.people()


operations = st.lists(st.tuples(st.booleans(), st.sampled_from(["Ada", "Bob", "Eve"])), max_size=12)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(operations=operations)
def test_the_vault_agrees_with_a_plain_set(vault: Vault, operations: list[tuple[bool, str]]) -> None:
    expected = set(names(vault))
    for adds, name in operations:
        if adds:
            if name in expected:
                with pytest.raises(PersonExists):
                    vault.add(name, embeddings())
            else:
                vault.add(name, embeddings())
                expected.add(name)
        elif name in expected:
            vault.forget(name)
            expected.remove(name)
        else:
            with pytest.raises(PersonNotFound):
                vault.forget(name)
        assert names(vault) == sorted(expected)
