"""The vault's tables, and their rows as typed values. What the bytes mean is for `store` and `format`."""

from __future__ import annotations

import hashlib
import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from janusd.errors import VaultDamaged, VaultExposed, VaultNewer
from janusd.vault.database import Kind
from janusd.vault.format import binding

KIND_1 = Kind(
    noun="vault",
    application_id=0x4A_56_4C_54,  # "JVLT"
    version=1,
    schema=(
        "CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1),"
        " vault_id BLOB NOT NULL, canary BLOB NOT NULL, roster BLOB NOT NULL) STRICT",
        "CREATE TABLE person (number INTEGER PRIMARY KEY, person_id BLOB NOT NULL, wrapped_key BLOB NOT NULL,"
        " template_id BLOB NOT NULL, model_digest BLOB NOT NULL, generation INTEGER NOT NULL,"
        " record BLOB NOT NULL) STRICT",
    ),
    damaged=VaultDamaged,
    newer=VaultNewer,
    exposed=VaultExposed,
)
"""Embeddings lay as the encoder gave them, and nothing was anchored."""

KIND_2 = replace(
    KIND_1,
    version=2,
    schema=(
        *KIND_1.schema,
        "CREATE TABLE secret (one INTEGER PRIMARY KEY CHECK (one = 1), box BLOB NOT NULL) STRICT",
    ),
    older=KIND_1,
)
"""Records ended with the embeddings: nobody had terms, nor guards."""

KIND_3 = replace(KIND_2, version=3, older=KIND_2)
"""The tables are those of version 2; what was new lies sealed in the records, see `format`."""

KIND_4 = replace(
    KIND_3,
    version=4,
    schema=(*KIND_3.schema, "CREATE TABLE crops (person INTEGER PRIMARY KEY, box BLOB NOT NULL) STRICT"),
    older=KIND_3,
)
"""With crops, of those people only of whom they are kept: see `crops`."""

KIND = replace(KIND_4, version=5, older=KIND_4)
"""The tables are those of version 4; terms say how somebody calls for help, see `format`."""

ALTERED = "somebody edited the file or the card is failing: restore a backup, or forget and enrol anew"


class Row(NamedTuple):
    """One person's row."""

    number: int
    person_id: bytes
    wrapped_key: bytes
    template_id: bytes
    model_digest: bytes
    generation: int
    record: bytes


def vault_row(connection: sqlite3.Connection) -> tuple[bytes, bytes, bytes]:
    """The vault's id, canary and roster. Raises VaultDamaged."""
    rows = connection.execute("SELECT vault_id, canary, roster FROM vault").fetchall()
    if len(rows) != 1 or not all(isinstance(value, bytes) for value in rows[0]):
        raise VaultDamaged("the vault's own row is missing or altered", ALTERED)
    return rows[0][0], rows[0][1], rows[0][2]


def person_rows(connection: sqlite3.Connection) -> list[Row]:
    """Every person's row. Raises VaultDamaged."""
    rows = [Row(*row) for row in connection.execute("SELECT * FROM person ORDER BY number")]
    for row in rows:  # a STRICT table keeps its types, an edited file need not
        blobs = (row.person_id, row.wrapped_key, row.template_id, row.model_digest, row.record)
        is_typed = all(isinstance(blob, bytes) for blob in blobs) and isinstance(row.generation, int)
        if not is_typed or row.generation < 0:
            raise VaultDamaged(f"person row {row.number} of the vault holds values of another kind", ALTERED)
    return rows


def secret_box(connection: sqlite3.Connection) -> bytes:
    """The sealed seed. Raises VaultDamaged."""
    rows = connection.execute("SELECT box FROM secret").fetchall()
    if len(rows) != 1 or not isinstance(rows[0][0], bytes):
        raise VaultDamaged("the vault's secret row is missing or altered", ALTERED)
    return rows[0][0]


def fingerprint(rows: Sequence[Row], secret: bytes = b"") -> bytes:
    """SHA-256 over all rows and every value in them; a vault of version 1 has no secret."""
    hashed = hashlib.sha256(binding("secret", secret) if secret else b"")
    for row in rows:
        numbers = struct.pack(">qQ", row.number, row.generation)
        hashed.update(
            binding(
                "person",
                numbers,
                row.person_id,
                row.wrapped_key,
                row.template_id,
                row.model_digest,
                row.record,
            )
        )
    return hashed.digest()
