"""The vault: who is enrolled at this door, sealed in one SQLite file.

    vault    one row: the vault's random id, the canary, the roster
    person   one row a person: their wrapped data key, and the record it opens (see `format`)
    secret   one row: the seed of the rotation that embeddings are kept in (see `transform`), sealed

The canary is a fixed text sealed under the KEK: it tells a wrong key or device (VaultLocked) from damage.
The roster seals the generation, which grows by one with each change, with a hash over all rows: a row
that was taken out, or put back from an older copy after its person was forgotten, does not match it. It
seals the hash before that too, and the floor (see `anchor`). A copy of the *whole* older file still opens;
the mark in the anchor, outside this file, tells it from the present one.

Every change is one transaction, then one mark in the anchor: a crash leaves it undone or done, and at most
the mark one behind, which the next opening makes good before anything else is changed.

Trust boundary: the rows are an attacker's until both seals held. Names, hours and embeddings are only
in the records; in the clear stand random ids, encoder digests, generations and sizes.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Template
from janusd.core.schedule import Schedule
from janusd.core.types import Embedding
from janusd.errors import (
    EnrolmentRefused,
    InstallerError,
    OwnerError,
    PersonExists,
    PersonNotFound,
    VaultDamaged,
    VaultLocked,
)
from janusd.ports import KeySource
from janusd.vault import anchor as marks
from janusd.vault import format as sealed
from janusd.vault import transform
from janusd.vault.anchor import Anchor, Mark, State
from janusd.vault.database import Database
from janusd.vault.names import check_name, name_key
from janusd.vault.rows import ALTERED, KIND, KIND_1, Row, fingerprint, person_rows, secret_box, vault_row

_CANARY = b"this key opens this vault"
_ROSTER_1 = struct.Struct(">Q32s")  # generation, SHA-256 over all rows
_ROSTER = struct.Struct(">Q32s32sQ")  # ... and the hash one generation before, and the floor
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


class _Contents(NamedTuple):
    """All that a vault holds, after every seal held."""

    vault_id: bytes
    state: State
    seed: bytes
    opened: list[_Opened]


class Vault:
    """The people of one door. Any thread may call; every change is durable when its call returns."""

    def __init__(
        self, database: Database, kek: bytes, device_id: bytes, model_digest: bytes, anchor: Anchor | None
    ) -> None:
        self._database = database
        self._kek = kek
        self._device_id = device_id
        self._model_digest = model_digest
        self._anchor = anchor
        self._changing = threading.RLock()
        self.anchor_fault = ""
        """Why the newest change is not anchored yet; empty where it is."""

    @classmethod
    def create(
        cls, path: Path, key_source: KeySource, device_id: bytes, anchor: Anchor | None = None
    ) -> None:
        """Make an empty vault, mode 0600 in a folder of mode 0700. Raises OwnerError where one is there.

        The anchor must not know a vault: one that it knows is missing, and is to be restored.
        """
        if anchor is not None and anchor.read() is not None:
            raise OwnerError(
                f"{anchor.name} is the anchor of a vault that was here",
                "restore that one (janusctl vault restore), or move its anchor away to begin with nobody",
            )
        kek = sealed.kek(key_source.key(), device_id)
        vault_id = secrets.token_bytes(sealed.ID_BYTES)

        def fill(connection: sqlite3.Connection) -> None:
            canary = sealed.seal(kek, _CANARY, _bound("canary", device_id, vault_id))
            secret = _seal_seed(kek, device_id, vault_id, secrets.token_bytes(transform.SEED_BYTES))
            state = State(0, fingerprint([], secret), bytes(32), 0)
            roster = _seal_roster(kek, device_id, vault_id, state)
            connection.execute("INSERT INTO vault VALUES (1, ?, ?, ?)", (vault_id, canary, roster))
            connection.execute("INSERT INTO secret VALUES (1, ?)", (secret,))

        Database.create(path, KIND, fill)

    @classmethod
    def open(
        cls,
        path: Path,
        key_source: KeySource,
        device_id: bytes,
        model_digest: bytes,
        *,
        anchor: Anchor | None = None,
        previous: Sequence[KeySource] = (),
    ) -> Vault:
        """Open a vault and every record in it once; bring it up to date with this version and this key.

        `model_digest` is the SHA-256 of the present encoder. Where the vault opens with one of the `previous`
        keys instead, it is sealed anew under the present one. Raises VaultLocked for another key or device,
        VaultDamaged for altered bytes and its own kinds for older copies (see `janusd.errors`),
        KeyUnavailable, and InstallerError where the disk will not have it.
        """
        if len(model_digest) != sealed.DIGEST_BYTES:
            raise ValueError(f"a model digest has {sealed.DIGEST_BYTES} bytes, not {len(model_digest)}")
        keks = tuple(sealed.kek(source.key(), device_id) for source in (key_source, *previous))
        vault = cls(Database.open(path, KIND), keks[0], device_id, model_digest, anchor)
        try:
            vault._kek = vault._choose_key(keks, key_source.name)
            vault._check_anchor(keks)
            if vault._database.kind is KIND_1:
                vault._upgrade()
            if vault._kek != keks[0]:
                vault._change_key(keks[0])
        except BaseException:
            vault.close()
            raise
        return vault

    @property
    def generation(self) -> int:
        """How many changes the vault has seen."""
        return self.state.generation

    @property
    def state(self) -> State:
        """Which of its states it is in. Raises VaultDamaged."""
        with self._database.reading() as connection:
            return self._open_roster(connection)

    @property
    def vault_id(self) -> bytes:
        """Random, given when it was made."""
        with self._database.reading() as connection:
            return vault_row(connection)[0]

    @property
    def fault(self) -> str:
        """What is wrong with it; empty while all is well."""
        return self.anchor_fault

    @property
    def remedy(self) -> str:
        """What to do about the fault."""
        return "see whether the anchor's disk is full, read-only or failing" if self.fault else ""

    def people(self) -> list[StoredPerson]:
        """Everybody enrolled, by name. Raises VaultDamaged."""
        people = [self._stored(row, record) for row, record in self._contents().opened]
        return sorted(people, key=lambda person: name_key(person.name))

    def stale_people(self) -> list[StoredPerson]:
        """Those enrolled with another encoder, who must be enrolled anew to be matched."""
        return [person for person in self.people() if person.is_stale]

    def templates(self) -> list[Template]:
        """What the matcher needs of everybody enrolled with the present encoder. Raises VaultDamaged."""
        return [
            Template(row.person_id.hex(), record.name, record.embeddings, _stored_schedule(row, record))
            for row, record in self._contents().opened
            if row.model_digest == self._model_digest
        ]

    def records(self) -> list[sealed.Record]:
        """All that is kept of everybody enrolled with the present encoder, to take it to another door."""
        return [record for row, record in self._contents().opened if row.model_digest == self._model_digest]

    def add(
        self,
        name: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        hours: str = "",
        at: datetime | None = None,
    ) -> StoredPerson:
        """Enrol a person with (n, D) embeddings of the present encoder; `at` is now where it is None.

        Raises PersonExists, or EnrolmentRefused for a name, hours or embeddings that cannot be;
        InstallerError where the disk will not have it: then nobody was enrolled.
        """
        at = (at or datetime.now(UTC)).astimezone(UTC)
        (stored,) = self.add_all([sealed.Record(name, hours, at.isoformat(timespec="seconds"), embeddings)])  # type: ignore[arg-type]  # a sequence of rows becomes a matrix in there
        return stored

    def add_all(self, records: Sequence[sealed.Record]) -> list[StoredPerson]:
        """Enrol all of them, or nobody. Raises what `add` raises."""
        checked = [
            sealed.Record(
                check_name(record.name),
                _checked_hours(record.hours),
                record.enrolled_at,
                _checked_embeddings(record.embeddings),
            )
            for record in records
        ]
        stored = []
        with self._change() as (connection, contents):
            opened = list(contents.opened)
            for record in checked:
                taken = self._find(opened, record.name)
                if taken is not None:
                    raise PersonExists(
                        f"{taken[1].name} is enrolled already"
                        + ("" if taken[0].model_digest == self._model_digest else ", with another encoder"),
                        "forget them first, or choose another name",
                    )
                row = self._seal_person(record, contents.seed, contents.state.generation + 1)
                connection.execute("INSERT INTO person VALUES (NULL, ?, ?, ?, ?, ?, ?)", row[1:])
                opened.append((row, record))
                stored.append(self._stored(row, record))
        return stored

    def forget(self, name: str) -> None:
        """Remove a person: their data key and record are gone from file and WAL on return.

        Raises PersonNotFound; InstallerError where the person is removed but the disk would not erase, or
        where an older copy put back would not be noticed since the anchor cannot be written.
        """
        with self._change(raises_floor=True) as (connection, contents):
            found = self._find(contents.opened, name)
            if found is None:
                raise PersonNotFound("nobody of that name is enrolled", "see janusctl people")
            connection.execute("DELETE FROM person WHERE number = ?", (found[0].number,))
        self._database.erase_history()
        if self.anchor_fault:
            raise InstallerError(
                f"{found[1].name} is removed, but an older copy put back would not be noticed:"
                f" {self.anchor_fault}",
                "mend the anchor's disk; the next change anchors both",
            )

    def rekey(self, key_source: KeySource) -> None:
        """Seal everything anew under another key, whole or not at all; the old key opens nothing then."""
        self._change_key(sealed.kek(key_source.key(), self._device_id))

    def renew(self) -> None:
        """Give every record another rotation, data key and template id (ISO/IEC 24745, renewability)."""
        self._reseal(self._kek, secrets.token_bytes(transform.SEED_BYTES))

    def copy_to(self, target: Path) -> State:
        """Write the vault as it is to a new file, not yet synced; in which state it is."""
        with self._changing:
            self._database.copy_to(target)
            return self.state

    def adopt(self, mark: Mark | None) -> None:
        """Make this copy the successor of the marked state, so that the anchor takes it for the next change.

        Without a mark it merely has seen one more change.
        """
        with self._changing, self._database.transaction() as connection:
            state = self._open_contents(connection).state
            if mark is not None:
                state = State(mark.generation, mark.fingerprint, b"", max(mark.floor, state.floor))
            self._write_roster(connection, state, raises_floor=False)

    def anchor_now(self) -> None:
        """Mark the present state, whatever the anchor holds. Raises InstallerError."""
        if self._anchor is not None:
            with self._changing:
                self._anchor.write(marks.encode_mark(self._kek, self._device_id, self.vault_id, self.state))
                self.anchor_fault = ""

    def anchor_in(self, anchor: Anchor) -> None:
        """Mark the present state in that anchor, whatever it holds. Raises InstallerError."""
        self._anchor = anchor
        self.anchor_now()

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._database.close()

    @contextlib.contextmanager
    def _change(self, *, raises_floor: bool = False) -> Iterator[tuple[sqlite3.Connection, _Contents]]:
        """One change: the connection and all that is in the vault; the block makes its edits.

        Nothing begins while an earlier change is not anchored: the vault must never be two steps ahead.
        """
        with self._changing:
            if self.anchor_fault:
                self.anchor_now()
            with self._database.transaction() as connection:
                contents = self._open_contents(connection)
                yield connection, contents
                self._write_roster(connection, contents.state, raises_floor=raises_floor)
            try:
                self.anchor_now()
            except InstallerError as e:
                self.anchor_fault = str(e)

    def _choose_key(self, keks: Sequence[bytes], key_name: str) -> bytes:
        with self._database.reading() as connection:
            vault_id, canary, roster = vault_row(connection)
        for kek in keks:
            if _opens(kek, canary, _bound("canary", self._device_id, vault_id)):
                return kek
            if _opens(kek, roster, _bound("roster", self._device_id, vault_id)):
                raise VaultDamaged("the vault's canary was altered", ALTERED)
        raise VaultLocked(
            f"the vault does not open with the {key_name} on this device",
            "give back the key or the card it was made with; without it, enrol everybody anew",
        )

    def _check_anchor(self, keks: tuple[bytes, ...]) -> None:
        """Refuse an older copy; make good what a crash between change and mark left."""
        contents = self._contents()
        if self._anchor is None:
            return
        mark = read_mark(self._anchor, keks, self._device_id)
        is_first = mark is None and self._database.kind is KIND_1  # made before there were anchors
        if is_first or not marks.check(mark, contents.vault_id, contents.state, self._anchor.name):
            self.anchor_now()

    def _upgrade(self) -> None:
        """Bring a vault of version 1 up to date: a rotation for its embeddings, the longer roster."""
        with self._changing:
            with self._database.transaction() as connection:
                contents = self._open_contents(connection)
                self._database.upgrade(connection, KIND)
                connection.execute("INSERT INTO secret VALUES (1, x'')")
                seed = secrets.token_bytes(transform.SEED_BYTES)
                self._write_resealed(connection, contents, self._kek, seed)
                self._write_roster(connection, contents.state, raises_floor=True)
            self._database.upgraded(KIND)
            self._after_resealing()

    def _change_key(self, kek: bytes) -> None:
        self._reseal(kek, None)

    def _reseal(self, kek: bytes, seed: bytes | None) -> None:
        with self._changing:
            if self.anchor_fault:
                self.anchor_now()
            before = self._kek
            try:
                with self._database.transaction() as connection:
                    contents = self._open_contents(connection)
                    self._write_resealed(connection, contents, kek, contents.seed if seed is None else seed)
                    self._kek = kek
                    self._write_roster(connection, contents.state, raises_floor=True)
            except BaseException:
                self._kek = before
                raise
            self._after_resealing()

    def _after_resealing(self) -> None:
        """Anchor it, and leave no old box in the file."""
        try:
            self.anchor_now()
        except InstallerError as e:
            self.anchor_fault = str(e)
        self._database.erase_history()

    def _write_resealed(
        self, connection: sqlite3.Connection, contents: _Contents, kek: bytes, seed: bytes
    ) -> None:
        """Every record under a new data key, turned by that seed, all under that KEK."""
        vault_id, generation = contents.vault_id, contents.state.generation + 1
        for old, record in contents.opened:
            row = self._seal_person(record, seed, generation, kek=kek, stays=old)
            connection.execute(
                "UPDATE person SET wrapped_key = ?, template_id = ?, generation = ?, record = ?"
                " WHERE number = ?",
                (row.wrapped_key, row.template_id, row.generation, row.record, old.number),
            )
        canary = sealed.seal(kek, _CANARY, _bound("canary", self._device_id, vault_id))
        connection.execute("UPDATE vault SET canary = ?", (canary,))
        secret = _seal_seed(kek, self._device_id, vault_id, seed)
        connection.execute("UPDATE secret SET box = ?", (secret,))

    def _contents(self) -> _Contents:
        with self._database.reading() as connection:
            return self._open_contents(connection)

    def _open_contents(self, connection: sqlite3.Connection) -> _Contents:
        """Everything, after all seals held."""
        rows = person_rows(connection)
        vault_id, *_ = vault_row(connection)
        is_first = self._database.kind is KIND_1
        secret = b"" if is_first else secret_box(connection)
        seed = b"" if is_first else self._open_seed(secret, vault_id)
        opened = [(row, self._open_person(row, seed)) for row in rows]
        state = self._open_roster(connection)
        if fingerprint(rows, secret) != state.fingerprint:
            raise VaultDamaged("people were taken out of the vault, or put back, behind its back", ALTERED)
        return _Contents(vault_id, state, seed, opened)

    def _open_seed(self, box: bytes, vault_id: bytes) -> bytes:
        try:
            return sealed.unseal(self._kek, box, _bound("secret", self._device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's secret: {e.what}", e.remedy) from e

    def _open_person(self, row: Row, seed: bytes) -> sealed.Record:
        place = sealed.Place(
            self._device_id, row.person_id, row.template_id, row.model_digest, row.generation, bool(seed)
        )
        try:
            data_key = sealed.unwrap_key(self._kek, row.wrapped_key, self._device_id, row.person_id)
            record = sealed.open_record(data_key, row.record, place)
        except VaultDamaged as e:
            raise VaultDamaged(f"person row {row.number} of the vault: {e.what}", e.remedy) from e
        if not seed:
            return record
        return replace(record, embeddings=transform.turn_back(seed, record.embeddings))

    def _open_roster(self, connection: sqlite3.Connection) -> State:
        vault_id, _, roster = vault_row(connection)
        try:
            plaintext = sealed.unseal(self._kek, roster, _bound("roster", self._device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's roster: {e.what}", e.remedy) from e
        if self._database.kind is KIND_1:
            generation, expected = _ROSTER_1.unpack(plaintext)
            return State(generation, expected, b"", 0)
        return State(*_ROSTER.unpack(plaintext))

    def _write_roster(self, connection: sqlite3.Connection, before: State, *, raises_floor: bool) -> None:
        """Seal the state that follows on that one and holds the rows as they are now."""
        vault_id, *_ = vault_row(connection)
        generation = before.generation + 1
        after = State(
            generation,
            fingerprint(person_rows(connection), secret_box(connection)),
            before.fingerprint,
            generation if raises_floor else before.floor,
        )
        roster = _seal_roster(self._kek, self._device_id, vault_id, after)
        connection.execute("UPDATE vault SET roster = ?", (roster,))

    def _seal_person(
        self,
        record: sealed.Record,
        seed: bytes,
        generation: int,
        *,
        kek: bytes | None = None,
        stays: Row | None = None,
    ) -> Row:
        """A person's row: a new one, or the one that `stays` with new keys and template id."""
        person_id = stays.person_id if stays else secrets.token_bytes(sealed.ID_BYTES)
        model_digest = stays.model_digest if stays else self._model_digest
        template_id = secrets.token_bytes(sealed.ID_BYTES)
        data_key = secrets.token_bytes(sealed.KEY_BYTES)
        place = sealed.Place(self._device_id, person_id, template_id, model_digest, generation)
        wrapped = sealed.wrap_key(kek or self._kek, data_key, self._device_id, person_id)
        turned = replace(record, embeddings=transform.turn(seed, record.embeddings))
        box = sealed.seal_record(data_key, turned, place)
        return Row(0, person_id, wrapped, template_id, model_digest, generation, box)

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


def _opens(kek: bytes, box: bytes, bound: bytes) -> bool:
    try:
        sealed.unseal(kek, box, bound)
    except VaultDamaged:
        return False
    return True


def read_mark(anchor: Anchor, keks: tuple[bytes, ...], device_id: bytes) -> Mark | None:
    """What the anchor knows. Raises AnchorLost."""
    raw = anchor.read()
    return None if raw is None else marks.decode_mark(keks, device_id, raw, anchor.name)


def _seal_roster(kek: bytes, device_id: bytes, vault_id: bytes, state: State) -> bytes:
    plaintext = _ROSTER.pack(state.generation, state.fingerprint, state.previous, state.floor)
    return sealed.seal(kek, plaintext, _bound("roster", device_id, vault_id))


def _seal_seed(kek: bytes, device_id: bytes, vault_id: bytes, seed: bytes) -> bytes:
    return sealed.seal(kek, seed, _bound("secret", device_id, vault_id))


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
