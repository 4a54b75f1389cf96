"""What a vault's rows hold, opened and sealed: people, the seed of their rotation, the state they are in.

No row is believed for itself: `open_all` gives what is in the vault after every seal held, the one over all
rows last. Which file the rows are in, and when they may change, is `store`'s.
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
from janusd.vault import format as sealed
from janusd.vault import transform
from janusd.vault.anchor import State
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

    def open_all(self, connection: sqlite3.Connection, *, is_first: bool) -> Contents:
        """Everything, after all seals held; a vault of version 1 `is_first`. Raises VaultDamaged."""
        rows = person_rows(connection)
        vault_id, *_ = vault_row(connection)
        secret = b"" if is_first else secret_box(connection)
        seed = b"" if is_first else self._open_seed(secret, vault_id)
        opened = [(row, self._open_person(row, seed)) for row in rows]
        state = self.open_state(connection, is_first=is_first)
        if fingerprint(rows, secret) != state.fingerprint:
            raise VaultDamaged("people were taken out of the vault, or put back, behind its back", ALTERED)
        return Contents(vault_id, state, seed, opened)

    def _open_seed(self, box: bytes, vault_id: bytes) -> bytes:
        try:
            return sealed.unseal(self.kek, box, bound("secret", self.device_id, vault_id))
        except VaultDamaged as e:
            raise VaultDamaged(f"the vault's secret: {e.what}", e.remedy) from e

    def _open_person(self, row: Row, seed: bytes) -> sealed.Record:
        place = sealed.Place(
            self.device_id, row.person_id, row.template_id, row.model_digest, row.generation, bool(seed)
        )
        try:
            data_key = sealed.unwrap_key(self.kek, row.wrapped_key, self.device_id, row.person_id)
            try:
                record = sealed.open_record(data_key, row.record, place)
            finally:
                wipe(data_key)
        except VaultDamaged as e:
            raise VaultDamaged(f"person row {row.number} of the vault: {e.what}", e.remedy) from e
        if not seed:
            return record
        guards = transform.turn_back(seed, record.guards) if len(record.guards) else record.guards
        return replace(record, embeddings=transform.turn_back(seed, record.embeddings), guards=guards)

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
        generation = before.generation + 1
        after = State(
            generation,
            fingerprint(person_rows(connection), secret_box(connection)),
            before.fingerprint,
            generation if raises_floor else before.floor,
        )
        roster = seal_state(self.kek, self.device_id, vault_id, after)
        connection.execute("UPDATE vault SET roster = ?", (roster,))

    def seal_person(
        self,
        record: sealed.Record,
        seed: bytes,
        generation: int,
        *,
        kek: Secret | None = None,
        stays: Row | None = None,
    ) -> Row:
        """A person's row: a new one, or the one that `stays` with new keys and template id."""
        person_id = stays.person_id if stays else secrets.token_bytes(sealed.ID_BYTES)
        model_digest = stays.model_digest if stays else self.model_digest
        template_id = secrets.token_bytes(sealed.ID_BYTES)
        data_key = random_key()
        place = sealed.Place(self.device_id, person_id, template_id, model_digest, generation)
        wrapped = sealed.wrap_key(kek or self.kek, data_key, self.device_id, person_id)
        guards = transform.turn(seed, record.guards) if len(record.guards) else record.guards
        turned = replace(record, embeddings=transform.turn(seed, record.embeddings), guards=guards)
        box = sealed.seal_record(data_key, turned, place)
        wipe(data_key)
        return Row(0, person_id, wrapped, template_id, model_digest, generation, box)

    def replace_person(
        self, connection: sqlite3.Connection, contents: Contents, old: Row, record: sealed.Record
    ) -> Row:
        """Put a record in the place of an old one, under a new data key."""
        row = self.seal_person(record, contents.seed, contents.state.generation + 1, stays=old)
        _update(connection, row, old.number)
        return row

    def write_all(self, connection: sqlite3.Connection, contents: Contents, kek: Secret, seed: bytes) -> None:
        """Put every record in its place under a new data key, turned by that seed, all under that KEK."""
        for old, record in contents.opened:
            row = self.seal_person(record, seed, contents.state.generation + 1, kek=kek, stays=old)
            _update(connection, row, old.number)
        canary = seal_canary(kek, self.device_id, contents.vault_id)
        connection.execute("UPDATE vault SET canary = ?", (canary,))
        secret = seal_seed(kek, self.device_id, contents.vault_id, seed)
        connection.execute("UPDATE secret SET box = ?", (secret,))


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


def _update(connection: sqlite3.Connection, row: Row, number: int) -> None:
    connection.execute(
        "UPDATE person SET wrapped_key = ?, template_id = ?, generation = ?, record = ? WHERE number = ?",
        (row.wrapped_key, row.template_id, row.generation, row.record, number),
    )
