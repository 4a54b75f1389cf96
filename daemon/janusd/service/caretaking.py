"""What an owner may do to the vault of a running door: look, back up, restore, change keys, move people.

Fulfils `janusd.door.Caretaker`. What changes who may enter is in force, and in the door log,
when it returns. What a start has to make good in the vault is done here too: `tend`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from janusd.core.terms import describe
from janusd.core.types import Crop, Embedding
from janusd.door import Person, VaultStatus
from janusd.errors import EnrolmentRefused, JanusError, PersonExists
from janusd.vault.crops import Crops
from janusd.vault.keeper import Keeper
from janusd.vault.parcel import Identity, pack, unpack
from janusd.vault.people import person_of


class Note(Protocol):
    """Writes a line to the door log."""

    def __call__(
        self, kind: str, reason: str = "", *, person_id: str = "", name: str = "", note: str = ""
    ) -> object:
        """The kind of event, whom it concerns, and what is to be said of it."""
        ...


@dataclass(frozen=True, slots=True)
class CropCare:
    """What is to become of the crops in the vault (docs/adr/0019)."""

    are_kept: bool
    """Otherwise they are destroyed."""
    least: int
    """Of so many samples they must be there to make a template of."""
    embed: Callable[[Crop], Embedding]
    """By the present encoder."""
    encoder: str
    """Which that is, in words."""
    beat: Callable[[], None] = lambda: None
    """Called after each, for whoever waits: networks take their time."""


class VaultCaretaker:
    """The vault of one door, and who it belongs to."""

    def __init__(
        self,
        keeper: Keeper,
        identity: Identity,
        model_digest: bytes,
        dimensions: int,
        refresh: Callable[[], None],
        note: Note,
        care: CropCare | None = None,
    ) -> None:
        """`dimensions` are an embedding's, by the present encoder, whose digest that is."""
        self._keeper = keeper
        self._identity = identity
        self._model_digest = model_digest
        self._dimensions = dimensions
        self._refresh = refresh
        self._note = note
        self._care = care

    def tend(self) -> None:
        """Make good what the vault waits for: a change of key cut off, crops to be used or destroyed.

        Raises nothing: what cannot be done is in the door log, and the door goes on.
        """
        try:
            self._keeper.end_rekey(lambda: self._note("vault", "rekeyed", note="finished at the start"))
            if self._care is not None:
                self._tend_crops(self._care)
        except (JanusError, OSError) as error:
            self._note("fault", note=f"the vault is not as it should be: {error}")

    def _tend_crops(self, care: CropCare) -> None:
        if not care.are_kept:
            if dropped := self._keeper.drop_crops():
                self._note("vault", "crops_destroyed", note=f"of {dropped} people: vault.keep_crops is off")
            return

        def embed(crops: Crops) -> NDArray[np.float32]:
            rows = []
            for crop in crops:
                rows.append(care.embed(crop))
                care.beat()
            return np.stack(rows)

        waiting = [one for one in self._keeper.stale_people() if one.crops >= care.least]
        for one in waiting:
            stored = self._keeper.re_embed(one.person_id, embed)
            left = f"; {one.guards} guards are gone" if one.guards else ""
            self._note(
                "re_embedded",
                person_id=one.person_id,
                name=one.name,
                note=f"{stored.samples} of {one.samples} samples, from their crops, for {care.encoder}{left}",
            )
        if waiting:
            self._keeper.keep_safe()
            self._refresh()

    def show(self) -> VaultStatus:
        """How the vault is, and which copies of it there are."""
        keeper = self._keeper
        return VaultStatus(
            fault=keeper.fault,
            change=keeper.generation,
            key=keeper.key_name,
            anchor=keeper.anchor_name,
            backups=keeper.backups(),
            quarantine=keeper.quarantined(),
            signs_as=self._identity.signs_as,
            address=self._identity.address,
        )

    def back_up(self) -> str:
        """Make a verified backup; its name."""
        name = self._keeper.back_up()
        self._note("vault", "backed_up", note=name)
        return name

    def restore(self, name: str, accept_older: bool) -> str:
        """Put a copy in the vault's place; which one."""
        restored = self._keeper.restore(name, accept_older=accept_older)
        self._refresh()
        self._note("vault", "restored", note=restored + (", older accepted" if accept_older else ""))
        self.tend()
        return restored

    def rekey(self) -> None:
        """Change the vault's key."""
        self._keeper.rekey(lambda: self._note("vault", "rekeyed"))

    def renew(self) -> None:
        """Give every record another rotation and data key."""
        self._keeper.renew()
        self._refresh()
        self._note("vault", "renewed")

    def export_people(self, passphrase: str, to: str) -> str:
        """A parcel with everybody of the present encoder, as base64 text."""
        records = tuple(self._keeper.records())
        if not records:
            raise EnrolmentRefused("nobody is enrolled with the present model", "enrol somebody first")
        parcel = pack(records, self._model_digest, self._identity, passphrase=passphrase, to=to)
        whom = f"to the door {to[:16]}" if to else "under a passphrase"
        self._note("vault", "exported", note=f"{len(records)} people {whom}")
        return base64.b64encode(parcel).decode("ascii")

    def import_people(self, parcel: str, passphrase: str, signed_by: str) -> list[Person]:
        """Enrol everybody in a parcel, or nobody."""
        try:
            raw = base64.b64decode(parcel, validate=True)
        except (binascii.Error, ValueError) as e:
            raise EnrolmentRefused("a parcel that is no base64 text", "send it with janusctl") from e
        opened = unpack(raw, self._model_digest, self._identity, passphrase=passphrase, signed_by=signed_by)
        if any(one.embeddings.shape[1:] != (self._dimensions,) for one in opened.people):
            raise EnrolmentRefused(
                f"a parcel whose embeddings do not have {self._dimensions} numbers, as this door's do",
                "export the people anew, at a door with this janusd",
            )
        try:
            stored = self._keeper.add_all(opened.people)
        except PersonExists as e:
            raise PersonExists(
                f"{e.what}, so nobody was imported", "forget or rename them here, then again"
            ) from e
        self._refresh()
        for person in stored:
            self._note("enrolled", name=person.name, note=f"from the door {opened.signed_by[:16]}")
            rules = describe(person.hours, person.terms)
            self._note("rules", person_id=person.person_id, name=person.name, note=rules)
        return [person_of(person) for person in stored]
