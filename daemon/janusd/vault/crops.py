"""The crops that samples were made of, sealed: kept only where the owner turned it on (docs/adr/0019).

    crops, a row     the number of the person's row; the box
    box              `format.seal`ed under the person's own data key, bound to their record's place
    plaintext        (c, 112, 112, 3) uint8, RGB, row by row: nothing that would have to be decoded

They cost 37 KB a sample here and in each backup, and are read when the vault is opened and where they are
used, not with each record. So the hash over all rows (`rows.fingerprint`) leaves them out; that they are
there, whole and of this very record follows from the count in it, and from a data key that is another one
after each change of a person.

Trust boundary: as for records. Whoever has the card and its key sees the faces, not just embeddings.
"""

from __future__ import annotations

import sqlite3
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.align import CROP_PX
from janusd.errors import VaultDamaged
from janusd.hardening import Secret
from janusd.vault import format as sealed
from janusd.vault.rows import ALTERED, Row

Crops: TypeAlias = NDArray[np.uint8]  # (c, 112, 112, 3), RGB

NONE: Final[Crops] = np.empty((0, CROP_PX, CROP_PX, 3), np.uint8)

_LABEL = "janusd crops"


def seal(data_key: Secret, crops: Crops, place: sealed.Place) -> bytes:
    """The crops of the record at that place, in a box."""
    return sealed.seal(data_key, np.ascontiguousarray(crops).tobytes(), place.binding(_LABEL))


def unseal(data_key: Secret, box: bytes, place: sealed.Place) -> Crops:
    """What `seal` put into the box. Raises VaultDamaged."""
    flat = np.frombuffer(sealed.unseal(data_key, box, place.binding(_LABEL)), np.uint8)
    return flat.reshape(-1, *NONE.shape[1:])


def checked(crops: Crops, samples: int) -> Crops:
    """The crops, at most one a sample."""
    if crops.shape[1:] != NONE.shape[1:] or crops.dtype != np.uint8 or len(crops) > samples:
        raise ValueError(f"crops of shape {crops.shape} and type {crops.dtype} for {samples} samples")
    return crops


def box_of(connection: sqlite3.Connection, row: Row) -> bytes:
    """The box of that person. Raises VaultDamaged where there is none."""
    rows = connection.execute("SELECT box FROM crops WHERE person = ?", (row.number,)).fetchall()
    if len(rows) != 1 or not isinstance(rows[0][0], bytes):
        raise VaultDamaged(f"the crops of person row {row.number} of the vault are missing", ALTERED)
    return rows[0][0]


def put(connection: sqlite3.Connection, person_id: bytes, box: bytes) -> None:
    """Keep that box of somebody, in the place of an older one; an empty one keeps none."""
    (number,) = connection.execute("SELECT number FROM person WHERE person_id = ?", (person_id,)).fetchall()[
        0
    ]
    connection.execute("DELETE FROM crops WHERE person = ?", (number,))
    if box:
        connection.execute("INSERT INTO crops VALUES (?, ?)", (number, box))
