"""A vault through its troubles: opened or set aside, backed up, given another key, restored.

The door starts whatever the vault is: where it can't be believed, nobody is enrolled, `fault` says why, and
`restore` is the way out. What was refused is moved to the quarantine as it was found and never deleted; what
is merely not there now (a key, the anchor's disk, a newer version's program) is left where it is.

Every change is followed by a backup that was verified, so a card that eats the vault costs nobody. A backup
that fails undoes nothing: it is a fault for `janusctl doctor`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Template
from janusd.core.terms import ALWAYS, Terms
from janusd.core.types import Embedding
from janusd.errors import (
    AnchorLost,
    InstallerError,
    JanusError,
    OwnerError,
    VaultDamaged,
    VaultLocked,
    VaultRolledBack,
)
from janusd.vault import format as sealed
from janusd.vault.anchor import Anchor, Mark, State, read_mark
from janusd.vault.backups import Backups
from janusd.vault.crops import NONE, Crops
from janusd.vault.keys import KeyRing
from janusd.vault.private import sync_folder
from janusd.vault.store import Change, Embed, StoredPerson, Vault

_SET_ASIDE = frozenset({VaultDamaged, VaultRolledBack})
"""By exact class: a vault of a newer version, or one that stands open, is whole and stays where it is."""
_WAY_OUT = "see the copies: janusctl vault show; then restore one: janusctl vault restore"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a vault lives, and what it is bound to."""

    path: Path
    ring: KeyRing
    device_id: bytes
    model_digest: bytes
    anchor: Anchor
    seal_others: Callable[[], object] = lambda: None
    """Seals what else is under the vault's key anew under the present one; called before the old one goes."""


class Keeper:
    """Fulfils what the door asks of a `Vault`, and outlives it. Any thread may call."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._backups = Backups(place.path)
        self._lock = threading.RLock()
        self._vault: Vault | None = None
        self._trouble: JanusError | None = None
        self._backup_fault = ""
        self._is_rekeyed = False
        """Whether a change of key waits for `end_rekey`."""

    @classmethod
    def open(cls, place: Place) -> Keeper:
        """Open the vault, or start without it.

        Raises VaultLocked, KeyUnavailable and InstallerError: a wrong key or a failing disk is not cured by
        anything that could be done from inside.
        """
        keeper = cls(place)
        with keeper._lock:
            keeper._open()
        return keeper

    @property
    def fault(self) -> str:
        """What is wrong with the vault; empty while all is well.

        Never waits: the watchdog's thread asks, and a change may take longer than systemd's patience.
        """
        trouble, vault = self._trouble, self._vault
        if trouble is not None:
            return trouble.what
        return "it is being restored" if vault is None else vault.anchor_fault or self._backup_fault

    @property
    def remedy(self) -> str:
        """What to do about the fault."""
        trouble = self._trouble
        return trouble.remedy if trouble else "see whether its disk is full, read-only or failing"

    @property
    def key_name(self) -> str:
        """Which key."""
        return self._place.ring.present().name

    @property
    def anchor_name(self) -> str:
        """Which anchor."""
        return self._place.anchor.name

    @property
    def generation(self) -> int:
        """How many changes the vault has seen; 0 where it is not open."""
        return self._vault.generation if self._vault is not None else 0

    @property
    def is_in_use(self) -> bool:
        """Whether somebody is enrolled; also where it is not open: a vault nobody used yet has no trouble."""
        return self._vault is None or bool(self._vault.people())

    def backups(self) -> list[str]:
        """The backups, the oldest first."""
        return [self._backups.path_of(generation).name for generation in self._backups.generations()]

    def quarantined(self) -> list[str]:
        """What was set aside, the oldest first."""
        return self._backups.quarantined()

    def people(self) -> list[StoredPerson]:
        """Everybody enrolled, by name. Raises VaultDamaged where the vault is not open."""
        return self._opened().people()

    def stale_people(self) -> list[StoredPerson]:
        """Those enrolled with another encoder; nobody where the vault is not open."""
        return self._vault.stale_people() if self._vault is not None else []

    def people_with_crops(self) -> int:
        """Of how many people crops are kept; none where the vault is not open."""
        return self._vault.people_with_crops() if self._vault is not None else 0

    def templates(self) -> list[Template]:
        """What the matcher needs; of nobody where the vault is not open."""
        return self._vault.templates() if self._vault is not None else []

    def records(self) -> list[sealed.Record]:
        """All that is kept of everybody of the present encoder."""
        return self._opened().records()

    def add(
        self,
        name: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        hours: str = "",
        terms: Terms = ALWAYS,
        crops: Crops = NONE,
    ) -> StoredPerson:
        """Enrol a person; see `Vault.add`."""
        with self._lock:
            stored = self._opened().add(name, embeddings, hours, terms=terms, crops=crops)
            self._back_up()
            return stored

    def add_all(self, records: Sequence[sealed.Record]) -> list[StoredPerson]:
        """Enrol all of them, or nobody; see `Vault.add`."""
        with self._lock:
            stored = self._opened().add_all(records)
            self._back_up()
            return stored

    def add_samples(
        self,
        person_id: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        crops: Crops = NONE,
    ) -> StoredPerson:
        """Add samples to a person; see `Vault.add_samples`."""
        with self._lock:
            stored = self._opened().add_samples(person_id, embeddings, crops)
            self._back_up()
            return stored

    def re_embed(self, person_id: str, embed: Embed) -> StoredPerson:
        """Make somebody's template anew from their crops; see `Vault.re_embed`.

        Not backed up: one backup after all of them (`keep_safe`) is enough, and as many would take minutes.
        """
        with self._lock:
            return self._opened().re_embed(person_id, embed)

    def keep_safe(self) -> None:
        """Make a backup where the newest change has none; a fault where that fails."""
        with self._lock:
            if not self._is_backed_up(self._opened()):
                self._back_up()

    def drop_crops(self) -> int:
        """Destroy the crops of everybody, here and in every backup; of how many. See `Vault.drop_crops`."""
        with self._lock:
            vault = self._opened()
            try:
                dropped = vault.drop_crops()
            finally:
                self._backups.remove_before(vault.state.floor)
            if dropped:
                self._back_up()
            return dropped

    def change(self, name: str, change: Change, *, takes_away: bool = True) -> StoredPerson:
        """Keep of a person what `change` gives; see `Vault.change`.

        Backups from before go once there is a new one.
        """
        with self._lock:
            vault = self._opened()
            stored = vault.change(name, change, takes_away=takes_away)
            self._back_up()
            if not self._backup_fault:
                self._backups.remove_before(vault.state.floor)
            return stored

    def forget(self, name: str) -> None:
        """Remove a person from the vault and from every backup; see `Vault.forget`."""
        with self._lock:
            vault = self._opened()
            try:
                vault.forget(name)
            finally:
                self._backups.remove_before(vault.state.floor)
            self._back_up()

    def renew(self) -> None:
        """Give every record another rotation and key; older backups are removed."""
        with self._lock:
            vault = self._opened()
            vault.renew()
            self._backups.remove_before(vault.state.floor)
            self._back_up()

    def rekey(self, tell: Callable[[], object] = lambda: None) -> None:
        """Change the key, and seal everything anew under it.

        `tell` is called when that is done, before the old key goes. Killed anywhere in between, the next
        start goes on from there, see `end_rekey`. Raises OwnerError where the key is not ours to change.
        """
        with self._lock:
            vault, ring = self._opened(), self._place.ring
            self.end_rekey(tell)
            if not ring.is_changing:
                ring.begin_change()
            # Else an earlier try made it. Whether or not the vault is sealed under it yet: after this it is.
            vault.rekey(ring.present())
            tell()
            self._end_change(vault)

    def end_rekey(self, tell: Callable[[], object]) -> None:
        """End a change of key that the opening found begun, or that systemd's other key brought.

        `tell` is called as `rekey` does: twice where a kill falls right after it, never not at all.
        """
        with self._lock:
            if self._vault is not None and self._is_rekeyed:
                tell()
                self._end_change(self._vault)

    def back_up(self) -> str:
        """Make a backup now; its name. Raises InstallerError."""
        with self._lock:
            generation = self._opened().generation
            self._back_up()
            if self._backup_fault:
                raise InstallerError(self._backup_fault, "free space on its disk")
            return self._backups.path_of(generation).name

    def restore(self, name: str = "", *, accept_older: bool = False) -> str:
        """Put a copy in the vault's place; which one. Without a name: the newest good backup.

        `accept_older` also takes one from before somebody was forgotten, or that no anchor vouches for.
        Raises OwnerError, InstallerError, and what is wrong with the copy.
        """
        with self._lock:
            names = [name] if name else list(reversed(self.backups()))
            if not names:
                raise OwnerError(
                    "there is no backup", "give a quarantined copy's name; janusctl vault show lists them"
                )
            for candidate in names:
                try:
                    self._restore(candidate, accept_older=accept_older)
                except JanusError as error:
                    if self._vault is None and (self._trouble is None or isinstance(error, InstallerError)):
                        self._open()  # whatever stands in its place now
                    is_of_this_copy = isinstance(error, VaultDamaged | VaultLocked)
                    if not is_of_this_copy or candidate == names[-1]:
                        raise
                    continue
                return candidate
            raise AssertionError  # the last candidate either returned or raised

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        with self._lock:
            if self._vault is not None:
                self._vault.close()

    def _open(self) -> None:
        place = self._place
        self._vault = self._trouble = None
        if not os.path.lexists(place.path):
            self._trouble = VaultDamaged(f"the vault {place.path} is gone", _WAY_OUT)
            return
        try:
            self._vault = self._open_at(place.path, place.anchor)
        except VaultDamaged as error:
            self._trouble = error
            if type(error) in _SET_ASIDE:
                try:
                    name = self._backups.set_aside()
                except InstallerError as failed:
                    self._trouble = type(error)(f"{error.what} ({failed.what})", _WAY_OUT)
                else:
                    self._trouble = type(error)(f"{error.what} (set aside as {name})", _WAY_OUT)
            return
        self._is_rekeyed = place.ring.is_changing or self._vault.was_rekeyed
        if not self._is_rekeyed:
            self._end_change(self._vault)

    def _open_at(self, path: Path, anchor: Anchor | None) -> Vault:
        place = self._place
        return Vault.open(
            path,
            place.ring.present(),
            place.device_id,
            place.model_digest,
            anchor=anchor,
            previous=place.ring.former(),
        )

    def _end_change(self, vault: Vault) -> None:
        """After an opening or a change of key: the old key goes, and backups that it opened."""
        if vault.anchor_fault:
            return  # the mark is still the old key's; both stay until it is written
        self._place.seal_others()
        self._place.ring.end_change()
        self._is_rekeyed = False
        self._backups.remove_before(vault.state.floor)
        if not self._is_backed_up(vault):
            self._back_up()

    def _is_backed_up(self, vault: Vault) -> bool:
        """Whether there is a backup of it as it is: one of another vault may have the same number."""
        return vault.is_copied_in(self._backups.path_of(vault.generation))

    def _back_up(self) -> None:
        vault = self._opened()

        def copy(target: Path) -> int:
            return vault.copy_to(target).generation

        try:
            self._backups.make(copy, vault.check_copy)
            self._backup_fault = ""
        except JanusError as error:
            self._backup_fault = f"the last backup failed: {error.what}"

    def _restore(self, name: str, *, accept_older: bool) -> None:
        place = self._place
        if self._vault is not None and name == place.path.name:
            raise OwnerError("that vault is open, and well", "nothing is to be restored")
        fresh = place.path.with_name(place.path.name + ".restored")
        self._backups.take(name, fresh)
        try:
            copy = self._open_at(fresh, None)
            try:
                mark = self._mark(accept_older=accept_older)
                if not accept_older:
                    _refuse_older(name, copy, mark)
                is_of_the_marked = mark is not None and mark.vault_id == copy.vault_id
                copy.adopt(mark if is_of_the_marked else None)
            finally:
                copy.close()
        except JanusError:
            self._backups.discard(fresh)  # it may hold somebody forgotten
            raise
        if self._vault is not None:
            self._vault.close()
            self._vault = None
        if os.path.lexists(place.path):
            self._backups.set_aside()
        fresh.rename(place.path)
        sync_folder(place.path.parent)
        if not is_of_the_marked:
            vault = self._open_at(place.path, None)
            try:
                vault.anchor_in(place.anchor)
            finally:
                vault.close()
        self._open()
        if self._trouble is not None:
            raise self._trouble

    def _mark(self, *, accept_older: bool) -> Mark | None:
        place = self._place
        sources = (place.ring.present(), *place.ring.former())
        keks = tuple(sealed.kek(source.key(), place.device_id) for source in sources)
        try:
            return read_mark(place.anchor, keks, place.device_id)
        except (AnchorLost, VaultRolledBack):
            if not accept_older:
                raise
            return None

    def _opened(self) -> Vault:
        if self._vault is None:
            assert self._trouble is not None
            raise self._trouble
        return self._vault


def _refuse_older(name: str, copy: Vault, mark: Mark | None) -> None:
    """Raise unless the copy holds nobody who was forgotten since."""
    accept = "to take it all the same, and then look who is in it: add --accept-older"
    if mark is None:
        raise AnchorLost(f"no anchor says whether {name} is new enough", accept)
    state: State = copy.state
    if mark.vault_id != copy.vault_id:
        raise VaultRolledBack(f"{name} is a copy of another vault", accept)
    if state.generation < mark.floor:
        raise VaultRolledBack(
            f"{name} is from before somebody was forgotten: change {state.generation}, not {mark.floor}",
            accept,
        )
    is_its_successor = state.generation == mark.generation + 1 and state.previous == mark.fingerprint
    if state.generation > mark.generation and not is_its_successor:
        raise AnchorLost(f"{name} is newer than the anchor knows", accept)
