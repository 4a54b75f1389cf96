"""The vault: who is enrolled at this door, sealed in one SQLite file.

    vault    one row: the vault's random id, the canary, the roster
    person   one row a person: their wrapped data key, and the record it opens (see `format`)

The canary is a fixed text sealed under the KEK: it tells a wrong key or device (VaultLocked) from damage.
The roster seals the generation, which grows by one with each change, with a hash over all rows: a row
that was taken out, or put back from an older copy after its person was forgotten, does not match it.
A copy of the *whole* older file still does; only a generation kept outside the file can tell.

Trust boundary: the rows are an attacker's until both seals held. Names, hours and embeddings are only
in the records; in the clear stand random ids, encoder digests, generations and sizes.
"""

from __future__ import annotations

import secrets
import sqlite3
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Template
from janusd.core.schedule import Schedule
from janusd.core.types import Embedding
from janusd.errors import EnrolmentRefused, PersonExists, PersonNotFound, VaultDamaged, VaultLocked
from janusd.ports import KeySource
from janusd.vault import format as sealed
from janusd.vault.database import Database
from janusd.vault.names import check_name, name_key
from janusd.vault.rows import ALTERED, KIND, Row, fingerprint, person_rows, vault_row

_CANARY = b"this key opens this vault"
_ROSTER = struct.Struct(">Q32s")  # generation, SHA-256 over all rows
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """One enrolled person, without what is secret."""

    person_id: str
    name: str
    enrolled_at: str
    """ISO 8601, UTC."""
    samples: int
    hours: str
    """Schedule text; empty means always."""
    is_stale: bool
    """Enrolled with another encoder than the present one: not matched against until enrolled anew."""


_Opened: TypeAlias = tuple[Row, sealed.Record]


class Vault:
    """The people of one door. Any thread may call; every change is durable when its call returns."""

    def __init__(self, database: Database, kek: bytes, device_id: bytes, model_digest: bytes) -> None:
        self._database = database
        self._kek = kek
        self._device_id = device_id
        self._model_digest = model_digest

    @classmethod
    def create(cls, path: Path, key_source: KeySource, device_id: bytes) -> None:
        """Make an empty vault, mode 0600 in a folder of mode 0700. Raises OwnerError where one is there."""
        kek = sealed.kek(key_source.key(), device_id)
        vault_id = secrets.token_bytes(sealed.ID_BYTES)

        def fill(connection: sqlite3.Connection) -> None:
            canary = sealed.seal(kek, _CANARY, _bound("canary", device_id, vault_id))
            roster = _seal_roster(kek, device_id, vault_id, 0, [])
            connection.execute("INSERT INTO vault VALUES (1, ?, ?, ?)", (vault_id, canary, roster))

        Database.create(path, KIND, fill)

    @classmethod
    def open(cls, path: Path, key_source: KeySource, device_id: bytes, model_digest: bytes) -> Vault:
        """Open a vault and every record in it once.

        `model_digest` is the SHA-256 of the present encoder. Raises VaultLocked for another key or device,
        VaultDamaged for altered bytes, KeyUnavailable, and InstallerError where the disk will not have it.
        """
        if len(model_digest) != sealed.DIGEST_BYTES:
            raise ValueError(f"a model digest has {sealed.DIGEST_BYTES} bytes, not {len(model_digest)}")
        kek = sealed.kek(key_source.key(), device_id)
        vault = cls(Database.open(path, KIND), kek, device_id, model_digest)
        try:
            with vault._database.reading() as connection:
                vault._check_key(connection, key_source.name)
                vault._open_all(connection)
        except BaseException:
            vault.close()
            raise
        return vault

    @property
    def generation(self) -> int:
        """How many changes the vault has seen."""
        with self._database.reading() as connection:
            return self._open_roster(connection)[1]

    def people(self) -> list[StoredPerson]:
        """Everybody enrolled, by name. Raises VaultDamaged."""
        with self._database.reading() as connection:
            opened = self._open_all(connection)[1]
        people = [self._stored(row, record) for row, record in opened]
        return sorted(people, key=lambda person: name_key(person.name))

    def stale_people(self) -> list[StoredPerson]:
        """Those enrolled with another encoder, who must be enrolled anew to be matched."""
        return [person for person in self.people() if person.is_stale]

    def templates(self) -> list[Template]:
        """What the matcher needs of everybody enrolled with the present encoder. Raises VaultDamaged."""
        with self._database.reading() as connection:
            opened = self._open_all(connection)[1]
        return [
            Template(row.person_id.hex(), record.name, record.embeddings, _stored_schedule(row, record))
            for row, record in opened
            if row.model_digest == self._model_digest
        ]

    def add(
        self,
        name: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        hours: str = "",
        at: datetime | None = None,
    ) -> StoredPerson:
        """Enrol a person with (n, D) embeddings of the present encoder; `at` is now where it is None.

        Raises PersonExists, or EnrolmentRefused for a name, hours or embeddings that cannot be.
        """
        record = sealed.Record(
            check_name(name),
            _checked_hours(hours),
            (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds"),
            _checked_embeddings(embeddings),
        )
        with self._database.transaction() as connection:
            generation, opened = self._open_all(connection)
            taken = self._find(opened, record.name)
            if taken is not None:
                raise PersonExists(
                    f"{taken[1].name} is enrolled already"
                    + ("" if taken[0].model_digest == self._model_digest else ", with another encoder"),
                    "forget them first, or choose another name",
                )
            row = self._seal_person(record, generation + 1)
            connection.execute("INSERT INTO person VALUES (NULL, ?, ?, ?, ?, ?, ?)", row[1:])
            self._write_roster(connection, generation + 1)
        return self._stored(row, record)

    def forget(self, name: str) -> None:
        """Remove a person: their data key and record are gone from file and WAL on return.

        Raises PersonNotFound; InstallerError where the person is removed but the disk would not erase.
        """
        with self._database.transaction() as connection:
            generation, opened = self._open_all(connection)
            found = self._find(opened, name)
            if found is None:
                raise PersonNotFound("nobody of that name is enrolled", "see janusctl people")
            connection.execute("DELETE FROM person WHERE number = ?", (found[0].number,))
            self._write_roster(connection, generation + 1)
        self._database.erase_history()

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._database.close()

    def _check_key(self, connection: sqlite3.Connection, key_name: str) -> None:
        vault_id, canary, roster = vault_row(connection)
        try:
            sealed.unseal(self._kek, canary, _bound("canary", self._device_id, vault_id))
        except VaultDamaged as e:
            if _opens(lambda: sealed.unseal(self._kek, roster, _bound("roster", self._device_id, vault_id))):
                raise VaultDamaged("the vault's canary was altered", ALTERED) from e
            raise VaultLocked(
                f"the vault does not open with the {key_name} on this device",
                "give back the key or the card it was made with; without it, enrol everybody anew",
            ) from e

    def _open_all(self, connection: sqlite3.Connection) -> tuple[int, list[_Opened]]:
        """Generation and every record, after all seals held."""
        rows = person_rows(connection)
        opened = [(row, self._open_person(row)) for row in rows]
        expected, generation = self._open_roster(connection)
        if fingerprint(rows) != expected:
            raise VaultDamaged("people were taken out of the vault, or put back, behind its back", ALTERED)
        return generation, opened

    def _open_person(self, row: Row) -> sealed.Record:
        place = sealed.Place(
            self._device_id, row.person_id, row.template_id, row.model_digest, row.generation
        )
        try:
            data_key = sealed.unwrap_key(self._kek, row.wrapped_key, self._device_id, row.person_id)
            return sealed.open_record(data_key, row.record, place)
        except VaultDamaged as e:
            raise VaultDamaged(f"person row {row.number} of the vault: {e.what}", e.remedy) from e

    def _open_roster(self, connection: sqlite3.Connection) -> tuple[bytes, int]:
        vault_id, _, roster = vault_row(connection)
        try:
            plaintext = sealed.unseal(self._kek, roster, _bound("roster", self._device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's roster: {e.what}", e.remedy) from e
        generation, expected = _ROSTER.unpack(plaintext)
        return expected, generation

    def _write_roster(self, connection: sqlite3.Connection, generation: int) -> None:
        vault_id, _, _ = vault_row(connection)
        roster = _seal_roster(self._kek, self._device_id, vault_id, generation, person_rows(connection))
        connection.execute("UPDATE vault SET roster = ?", (roster,))

    def _seal_person(self, record: sealed.Record, generation: int) -> Row:
        person_id, template_id = (secrets.token_bytes(sealed.ID_BYTES) for _ in range(2))
        data_key = secrets.token_bytes(sealed.KEY_BYTES)
        place = sealed.Place(self._device_id, person_id, template_id, self._model_digest, generation)
        wrapped = sealed.wrap_key(self._kek, data_key, self._device_id, person_id)
        box = sealed.seal_record(data_key, record, place)
        return Row(0, person_id, wrapped, template_id, self._model_digest, generation, box)

    def _find(self, opened: Sequence[_Opened], name: str) -> _Opened | None:
        wanted = name_key(name.strip())
        return next(((row, record) for row, record in opened if name_key(record.name) == wanted), None)

    def _stored(self, row: Row, record: sealed.Record) -> StoredPerson:
        return StoredPerson(
            row.person_id.hex(),
            record.name,
            record.enrolled_at,
            len(record.embeddings),
            record.hours,
            row.model_digest != self._model_digest,
        )


def _bound(label: str, device_id: bytes, vault_id: bytes) -> bytes:
    return sealed.binding(f"janusd {label}", device_id, vault_id)


def _opens(unseal: Callable[[], bytes]) -> bool:
    try:
        unseal()
    except VaultDamaged:
        return False
    return True


def _seal_roster(
    kek: bytes, device_id: bytes, vault_id: bytes, generation: int, rows: Sequence[Row]
) -> bytes:
    plaintext = _ROSTER.pack(generation, fingerprint(rows))
    return sealed.seal(kek, plaintext, _bound("roster", device_id, vault_id))


def _checked_hours(hours: str) -> str:
    kept = hours.strip()
    try:
        Schedule.parse(kept)
    except ValueError as e:
        raise EnrolmentRefused(str(e)) from e
    return kept


def _stored_schedule(row: Row, record: sealed.Record) -> Schedule:
    try:
        return Schedule.parse(record.hours)
    except ValueError as e:
        raise VaultDamaged(f"person row {row.number} of the vault: {e}", "forget and enrol them anew") from e


def _checked_embeddings(embeddings: NDArray[np.float32] | Sequence[Embedding]) -> NDArray[np.float32]:
    matrix = np.array(embeddings, dtype=np.float32)
    if matrix.ndim != 2 or matrix.size == 0:
        raise EnrolmentRefused("there is no sample to make a template of", "take at least one")
    lengths = np.linalg.norm(matrix, axis=1)
    if not np.all(np.abs(lengths - 1) <= _UNIT_TOLERANCE):  # also false for NaN
        raise EnrolmentRefused("a sample's embedding is not of unit length", "take the samples again")
    return matrix
