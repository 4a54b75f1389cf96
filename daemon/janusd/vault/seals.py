"""What a vault's rows hold, opened and sealed: people, the seed of their rotation, the state they are in.

No row is believed for itself: `open_all` gives what is in the vault after every seal held, the one over all
rows last. A row that is to the last byte what it was when it was opened before is not opened again: in a full
gallery that is what a change would wait for. Which file the rows are in, and when they may change, is for
`store`.
"""

from __future__ import annotations

import secrets
import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from janusd.errors import VaultDamaged, VaultLocked
from janusd.hardening import Secret, random_key, wipe
from janusd.vault import crops as pictures
from janusd.vault import format as sealed
from janusd.vault import transform
from janusd.vault.anchor import State
from janusd.vault.crops import Crops
from janusd.vault.rows import ALTERED, Row, fingerprint, person_rows, secret_box, vault_row

_CANARY = b"this key opens this vault"
_ROSTER_1 = struct.Struct(">Q32s")  # generation, SHA-256 over all rows
_ROSTER = struct.Struct(">Q32s32sQ")  # ... and the hash one generation before, and the floor

Opened: TypeAlias = tuple[Row, sealed.Record]


class Contents(NamedTuple):
    """All that a vault holds, after every seal held."""

    vault_id: bytes
    state: State
    seed: bytes
    opened: list[Opened]


class Seals:
    """One vault's key, and what it is bound to."""

    def __init__(self, kek: Secret, device_id: bytes, model_digest: bytes) -> None:
        self.kek = kek
        self.device_id = device_id
        self.model_digest = model_digest
        """Of the present encoder."""
        self._opened: dict[bytes, Opened] = {}
        """What was opened, by person, of all who are enrolled now and nobody else."""

    def open_all(self, connection: sqlite3.Connection, *, is_first: bool) -> Contents:
        """Everything, after all seals held; a vault of version 1 `is_first`. Raises VaultDamaged."""
        rows = person_rows(connection)
        vault_id, *_ = vault_row(connection)
        secret = b"" if is_first else secret_box(connection)
        seed = b"" if is_first else self._open_seed(secret, vault_id)
        opened = [self._open_once(row, seed) for row in rows]
        state = self.open_state(connection, is_first=is_first)
        if fingerprint(rows, secret) != state.fingerprint:
            raise VaultDamaged("people were taken out of the vault, or put back, behind its back", ALTERED)
        self._opened = {row.person_id: (row, record) for row, record in opened}
        return Contents(vault_id, state, seed, opened)

    def open_crops(self, connection: sqlite3.Connection, one: Opened) -> Crops:
        """The crops that are kept of that person. Raises VaultDamaged."""
        row, record = one
        if not record.crops:
            return pictures.NONE
        box = pictures.box_of(connection, row)
        try:
            data_key = sealed.unwrap_key(self.kek, row.wrapped_key, self.device_id, row.person_id)
            try:
                crops = pictures.unseal(data_key, box, self._place(row))
            finally:
                wipe(data_key)
        except VaultDamaged as e:
            raise VaultDamaged(
                f"the crops of person row {row.number} of the vault: {e.what}", e.remedy
            ) from e
        if len(crops) != record.crops:
            raise VaultDamaged(f"the crops of person row {row.number} of the vault are too few", ALTERED)
        return crops

    def check_crops(self, connection: sqlite3.Connection, contents: Contents) -> None:
        """Raise VaultDamaged unless the crops of everybody are there and whole, and nobody else's."""
        found = {number for (number,) in connection.execute("SELECT person FROM crops")}
        if stray := found - {row.number for row, record in contents.opened if record.crops}:
            raise VaultDamaged(f"crops in the vault of nobody, in row {min(stray)}", ALTERED)
        for one in contents.opened:
            self.open_crops(connection, one)

    def _open_once(self, row: Row, seed: bytes) -> Opened:
        known = self._opened.get(row.person_id)
        return known if known is not None and known[0] == row else (row, self._open_person(row, seed))

    def _place(self, row: Row, *, is_turned: bool = True) -> sealed.Place:
        return sealed.Place(
            self.device_id, row.person_id, row.template_id, row.model_digest, row.generation, is_turned
        )

    def _open_seed(self, box: bytes, vault_id: bytes) -> bytes:
        try:
            return sealed.unseal(self.kek, box, bound("secret", self.device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's secret: {e.what}", e.remedy) from e

    def _open_person(self, row: Row, seed: bytes) -> sealed.Record:
        place = self._place(row, is_turned=bool(seed))
        try:
            data_key = sealed.unwrap_key(self.kek, row.wrapped_key, self.device_id, row.person_id)
            try:
                record = sealed.open_record(data_key, row.record, place)
            finally:
                wipe(data_key)
        except VaultDamaged as e:
            raise VaultDamaged(f"person row {row.number} of the vault: {e.what}", e.remedy) from e
        if seed:
            guards = transform.turn_back(seed, record.guards) if len(record.guards) else record.guards
            record = replace(record, embeddings=transform.turn_back(seed, record.embeddings), guards=guards)
        for shared in (record.embeddings, record.guards):  # with whoever else asks for this record
            shared.setflags(write=False)
        return record

    def open_state(self, connection: sqlite3.Connection, *, is_first: bool) -> State:
        """Which of its states the vault is in. Raises VaultDamaged."""
        vault_id, _, roster = vault_row(connection)
        try:
            plaintext = sealed.unseal(self.kek, roster, bound("roster", self.device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's roster: {e.what}", e.remedy) from e
        if is_first:
            generation, expected = _ROSTER_1.unpack(plaintext)
            return State(generation, expected, b"", 0)
        return State(*_ROSTER.unpack(plaintext))

    def write_state(self, connection: sqlite3.Connection, before: State, *, raises_floor: bool) -> None:
        """Seal the state that follows on that one and holds the rows as they are now."""
        vault_id, *_ = vault_row(connection)
        generation, rows = before.generation + 1, person_rows(connection)
        after = State(
            generation,
            fingerprint(rows, secret_box(connection)),
            before.fingerprint,
            generation if raises_floor else before.floor,
        )
        roster = seal_state(self.kek, self.device_id, vault_id, after)
        connection.execute("UPDATE vault SET roster = ?", (roster,))
        there = {row.person_id for row in rows}  # of somebody forgotten nothing is left in memory either
        self._opened = {person: one for person, one in self._opened.items() if person in there}

    def add_person(
        self, connection: sqlite3.Connection, contents: Contents, record: sealed.Record, crops: Crops
    ) -> Row:
        """Add somebody's record and crops."""
        row, box = self._seal(_Kept(replace(record, crops=len(crops)), crops), contents, self.kek)
        connection.execute("INSERT INTO person VALUES (NULL, ?, ?, ?, ?, ?, ?)", row[1:])
        pictures.put(connection, row.person_id, box)
        return row

    def replace_person(
        self,
        connection: sqlite3.Connection,
        contents: Contents,
        old: Opened,
        record: sealed.Record,
        crops: Crops | None = None,
    ) -> Row:
        """Put a record in the place of an old one, under a new data key; without `crops` those stay."""
        if crops is None:
            crops = self.open_crops(connection, old)
        kept = _Kept(replace(record, crops=len(crops)), crops, old[0], old[0].model_digest)
        return self._replace(connection, kept, contents, self.kek)

    def re_embed_person(
        self, connection: sqlite3.Connection, contents: Contents, old: Opened, record: sealed.Record
    ) -> Row:
        """As `replace_person`, for a record of the present encoder in the place of another one's."""
        kept = _Kept(record, self.open_crops(connection, old), old[0])
        return self._replace(connection, kept, contents, self.kek)

    def write_all(self, connection: sqlite3.Connection, contents: Contents, kek: Secret, seed: bytes) -> None:
        """Put every record in its place under a new data key, turned by that seed, all under that KEK."""
        turned = contents._replace(seed=seed)
        for old, record in contents.opened:
            kept = _Kept(record, self.open_crops(connection, (old, record)), old, old.model_digest)
            self._replace(connection, kept, turned, kek)
        canary = seal_canary(kek, self.device_id, contents.vault_id)
        connection.execute("UPDATE vault SET canary = ?", (canary,))
        secret = seal_seed(kek, self.device_id, contents.vault_id, seed)
        connection.execute("UPDATE secret SET box = ?", (secret,))

    def _replace(self, connection: sqlite3.Connection, kept: _Kept, contents: Contents, kek: Secret) -> Row:
        row, box = self._seal(kept, contents, kek)
        connection.execute(
            "UPDATE person SET wrapped_key = ?, template_id = ?, model_digest = ?, generation = ?, record = ?"
            " WHERE person_id = ?",
            (row.wrapped_key, row.template_id, row.model_digest, row.generation, row.record, row.person_id),
        )
        pictures.put(connection, row.person_id, box)
        return row

    def _seal(self, kept: _Kept, contents: Contents, kek: Secret) -> tuple[Row, bytes]:
        """A person's row with new keys and template id, and the box of their crops, empty without any."""
        record, seed = kept.record, contents.seed
        data_key = random_key()
        place = sealed.Place(
            self.device_id,
            kept.stays.person_id if kept.stays else secrets.token_bytes(sealed.ID_BYTES),
            secrets.token_bytes(sealed.ID_BYTES),
            kept.model_digest or self.model_digest,
            contents.state.generation + 1,
        )
        wrapped = sealed.wrap_key(kek, data_key, self.device_id, place.person_id)
        guards = transform.turn(seed, record.guards) if len(record.guards) else record.guards
        turned = replace(record, embeddings=transform.turn(seed, record.embeddings), guards=guards)
        box = sealed.seal_record(data_key, turned, place)
        crops = pictures.seal(data_key, kept.crops, place) if len(kept.crops) else b""
        wipe(data_key)
        number = kept.stays.number if kept.stays else 0
        sealed_row = Row(
            number, place.person_id, wrapped, place.template_id, place.model_digest, place.generation, box
        )
        return sealed_row, crops


class _Kept(NamedTuple):
    """What is to be sealed of a person."""

    record: sealed.Record
    crops: Crops
    stays: Row | None = None
    """Whose row it is; None for somebody new."""
    model_digest: bytes = b""
    """Of what made the embeddings; empty for the present encoder."""


def choose_key(
    connection: sqlite3.Connection, keks: Sequence[Secret], device_id: bytes, key_name: str
) -> Secret:
    """The one of these keys that opens the vault. Raises VaultLocked, VaultDamaged."""
    vault_id, canary, roster = vault_row(connection)
    for kek in keks:
        if _opens(kek, canary, bound("canary", device_id, vault_id)):
            return kek
        if _opens(kek, roster, bound("roster", device_id, vault_id)):
            raise VaultDamaged("the vault's canary was altered", ALTERED)
    raise VaultLocked(
        f"the vault does not open with the {key_name} on this device",
        "give back the key or the card it was made with; without it, enrol everybody anew",
    )


def bound(label: str, device_id: bytes, vault_id: bytes) -> bytes:
    """What a box of that label is bound to in that vault."""
    return sealed.binding(f"janusd {label}", device_id, vault_id)


def _opens(kek: Secret, box: bytes, bound: bytes) -> bool:
    try:
        sealed.unseal(kek, box, bound)
    except VaultDamaged:
        return False
    return True


def seal_canary(kek: Secret, device_id: bytes, vault_id: bytes) -> bytes:
    """The box that tells the right key."""
    return sealed.seal(kek, _CANARY, bound("canary", device_id, vault_id))


def seal_state(kek: Secret, device_id: bytes, vault_id: bytes, state: State) -> bytes:
    """The roster of that state."""
    plaintext = _ROSTER.pack(state.generation, state.fingerprint, state.previous, state.floor)
    return sealed.seal(kek, plaintext, bound("roster", device_id, vault_id))


def seal_seed(kek: Secret, device_id: bytes, vault_id: bytes, seed: bytes) -> bytes:
    """The seed of the rotation, sealed."""
    return sealed.seal(kek, seed, bound("secret", device_id, vault_id))
