"""The vault: who is enrolled at this door, sealed in one SQLite file.

    vault    one row: the vault's random id, the canary, the roster
    person   one row a person: their wrapped data key, and the record it opens (see `format`)
    secret   one row: the seed of the rotation that embeddings are kept in (see `transform`), sealed
    crops    one row a person of whom crops are kept (see `crops`), sealed under their data key

The canary is a fixed text sealed under the KEK: it tells a wrong key or device (VaultLocked) from damage.
The roster seals the generation, which grows by one with each change, with a hash over all rows: a row
that was taken out, or put back from an older copy after its person was forgotten, does not match it. It
seals the hash before that too, and the floor (see `anchor`). A copy of the *whole* older file still opens;
the mark in the anchor, outside this file, tells it from the present one.

Every change is one transaction, then one mark in the anchor: a crash leaves it undone or done, and at most
the mark one behind, which the next opening makes good before anything else is changed.

Trust boundary: the rows are an attacker's until both seals held. Names, hours, terms and embeddings are only
in the records; in the clear stand random ids, encoder digests, generations and sizes.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from janusd.core.gallery import Template
from janusd.core.terms import ALWAYS, Terms
from janusd.core.types import Embedding
from janusd.errors import AnchorLost, InstallerError, OwnerError, PersonNotFound, VaultDamaged
from janusd.hardening import Secret, wipe
from janusd.ports import KeySource
from janusd.vault import anchor as marks
from janusd.vault import crops as pictures
from janusd.vault import format as sealed
from janusd.vault import people, transform
from janusd.vault.anchor import Anchor, Mark, State
from janusd.vault.crops import NONE, Crops
from janusd.vault.database import Database
from janusd.vault.names import name_key
from janusd.vault.people import StoredPerson
from janusd.vault.rows import KIND, KIND_1, Row, fingerprint, vault_row
from janusd.vault.seals import (
    Contents,
    Opened,
    Seals,
    choose_key,
    seal_canary,
    seal_seed,
    seal_state,
)

__all__ = ["StoredPerson", "Vault"]

Change: TypeAlias = Callable[[Sequence[Opened], Opened], sealed.Record]
"""Gives what is to be kept of a person, of all who are enrolled and of that one; see `people`."""
Embed: TypeAlias = Callable[[Crops], NDArray[np.float32]]
"""Gives the (c, D) embeddings of crops by the present encoder."""


class Vault:
    """The people of one door. Any thread may call; every change is durable when its call returns."""

    def __init__(
        self, database: Database, kek: Secret, device_id: bytes, model_digest: bytes, anchor: Anchor | None
    ) -> None:
        self._database = database
        self._seals = Seals(kek, device_id, model_digest)
        self._anchor = anchor
        self._changing = threading.RLock()
        self.anchor_fault = ""
        """Why the newest change is not anchored yet; empty where it is."""
        self.was_rekeyed = False
        """Whether it opened with a previous key, and was sealed anew under the present one."""

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
            canary = seal_canary(kek, device_id, vault_id)
            secret = seal_seed(kek, device_id, vault_id, secrets.token_bytes(transform.SEED_BYTES))
            state = State(0, fingerprint([], secret), bytes(32), 0)
            roster = seal_state(kek, device_id, vault_id, state)
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

        `model_digest` is that of the present encoder and detector. Where the vault opens with one of the
        `previous` keys instead, it is sealed anew under the present one. Raises VaultLocked for another key
        or device, VaultDamaged for altered bytes and its own kinds for older copies (see `janusd.errors`),
        KeyUnavailable, and InstallerError where the disk will not have it.
        """
        if len(model_digest) != sealed.DIGEST_BYTES:
            raise ValueError(f"a model digest has {sealed.DIGEST_BYTES} bytes, not {len(model_digest)}")
        keks = tuple(sealed.kek(source.key(), device_id) for source in (key_source, *previous))
        vault = cls(Database.open(path, KIND), keks[0], device_id, model_digest, anchor)
        try:
            with vault._database.reading() as connection:
                vault._seals.kek = choose_key(connection, keks, device_id, key_source.name)
            vault._check_anchor(keks)
            if vault._database.kind is not KIND:
                vault._upgrade()
            vault._check_crops()
            if vault._seals.kek != keks[0]:
                vault._change_key(keks[0])
                vault.was_rekeyed = True
        except BaseException:
            vault.close()
            raise
        finally:
            for former in keks[1:]:
                wipe(former)
        return vault

    @property
    def generation(self) -> int:
        """How many changes the vault has seen."""
        return self.state.generation

    @property
    def state(self) -> State:
        """Which of its states it is in. Raises VaultDamaged."""
        with self._database.reading() as connection:
            return self._seals.open_state(connection, is_first=self._is_first)

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
        found = [self._stored(*one) for one in self._contents().opened]
        return sorted(found, key=lambda person: name_key(person.name))

    def stale_people(self) -> list[StoredPerson]:
        """Those enrolled with another encoder, who must be enrolled anew to be matched."""
        return [person for person in self.people() if person.is_stale]

    def people_with_crops(self) -> int:
        """Of how many people crops are kept."""
        return sum(record.crops > 0 for _, record in self._contents().opened)

    def templates(self) -> list[Template]:
        """What the matcher needs of everybody enrolled with the present encoder. Raises VaultDamaged."""
        return [
            people.template(row, record)
            for row, record in self._contents().opened
            if row.model_digest == self._seals.model_digest
        ]

    def records(self) -> list[sealed.Record]:
        """All that is kept of everybody enrolled with the present encoder, to take it to another door."""
        return [
            record for row, record in self._contents().opened if row.model_digest == self._seals.model_digest
        ]

    def add(
        self,
        name: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        hours: str = "",
        at: datetime | None = None,
        terms: Terms = ALWAYS,
        crops: Crops = NONE,
    ) -> StoredPerson:
        """Enrol a person with (n, D) embeddings of the present encoder; `at` is now where it is None.

        `crops` are those of the samples, where they are to be kept too.

        Raises PersonExists, or EnrolmentRefused for a name, hours, terms or embeddings that cannot be;
        InstallerError where the disk will not have it: then nobody was enrolled.
        """
        at_text = (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="seconds")
        matrix = people.checked_embeddings(embeddings)
        (stored,) = self._add([(sealed.Record(name, hours, at_text, matrix, terms), crops)])
        return stored

    def add_all(self, records: Sequence[sealed.Record]) -> list[StoredPerson]:
        """Enrol all of them, or nobody, without crops. Raises what `add` raises."""
        return self._add([(record, NONE) for record in records])

    def _add(self, records: Sequence[tuple[sealed.Record, Crops]]) -> list[StoredPerson]:
        checked = [(people.checked(record), crops) for record, crops in records]
        stored = []
        with self._change() as (connection, contents):
            opened = list(contents.opened)
            for record, crops in checked:
                pictures.checked(crops, len(record.embeddings))
                people.refuse_taken(opened, record.name, self._seals.model_digest)
                people.refuse_taken_codes(opened, record.name, record.terms)
                row = self._seals.add_person(connection, contents, record, crops)
                opened.append((row, record))
                stored.append(self._stored(row, replace(record, crops=len(crops))))
        return stored

    def add_samples(
        self,
        person_id: str,
        embeddings: NDArray[np.float32] | Sequence[Embedding],
        crops: Crops = NONE,
    ) -> StoredPerson:
        """Add (n, D) embeddings of the present encoder to somebody enrolled with it, whole or not at all.

        Raises PersonNotFound, EnrolmentRefused, InstallerError.
        """
        more = people.checked_embeddings(embeddings)
        pictures.checked(crops, len(more))
        with self._change() as (connection, contents):
            found = _by_id(contents, person_id)
            if found is None or found[0].model_digest != self._seals.model_digest:
                raise PersonNotFound(
                    "they are not enrolled any more, or with another encoder or detector", "enrol them anew"
                )
            grown = replace(found[1], embeddings=np.concatenate([found[1].embeddings, more]))
            all_crops = np.concatenate([self._seals.open_crops(connection, found), crops])
            row = self._seals.replace_person(connection, contents, found, grown, all_crops)
        return self._stored(row, replace(grown, crops=len(all_crops)))

    def re_embed(self, person_id: str, embed: Embed) -> StoredPerson:
        """Make somebody's template anew from their crops, whole or not at all: by the present encoder.

        Their guards go: nothing was kept that these could be made anew from. Raises PersonNotFound where
        they are gone, or have no crops; what `embed` raises; InstallerError.
        """
        with self._change() as (connection, contents):
            found = _by_id(contents, person_id)
            if found is None or not found[1].crops:
                raise PersonNotFound("no crops are kept of them", "enrol them anew")
            rows = people.checked_embeddings(embed(self._seals.open_crops(connection, found)))
            record = replace(found[1], embeddings=rows, guards=np.empty((0, 0), np.float32))
            row = self._seals.re_embed_person(connection, contents, found, record)
        return self._stored(row, record)

    def drop_crops(self) -> int:
        """Destroy the crops of everybody, as `forget` would; of how many. Raises InstallerError."""
        if not any(record.crops for _, record in self._contents().opened):
            return 0
        with self._change(raises_floor=True) as (connection, contents):
            having = [one for one in contents.opened if one[1].crops]
            for one in having:
                self._seals.replace_person(connection, contents, one, one[1], NONE)
        self._end_taking("the crops are removed")
        return len(having)

    def check_copy(self, copy: Path) -> None:
        """Raise InstallerError unless that file is a whole copy of this vault as it is now.

        Its rows need not be opened: they are to the last byte those that were opened here.
        """
        database = Database.open(copy, KIND)
        try:
            with self._changing, database.reading() as theirs, self._database.reading() as ours:
                is_same = all(one == other for one, other in zip_longest(_rows(theirs), _rows(ours)))
        finally:
            database.close()
        if not is_same:
            raise InstallerError("a backup is not what was written", "its disk fails: replace it")

    def is_copied_in(self, copy: Path) -> bool:
        """Whether that file holds this vault in its present state, by its own row."""
        try:
            uri = f"{copy.absolute().as_uri()}?mode=ro&immutable=1"
            with contextlib.closing(sqlite3.connect(uri, uri=True)) as theirs:
                row = vault_row(theirs)
        except (sqlite3.Error, VaultDamaged):
            return False
        with self._database.reading() as ours:
            return row == vault_row(ours)

    def change(self, name: str, change: Change, *, takes_away: bool = True) -> StoredPerson:
        """Keep of a person what `change` gives, whole or not at all.

        Where it `takes_away` something, a right perhaps, no copy from before may be put back, as after
        `forget`. Raises PersonNotFound, what `change` raises, and InstallerError as `forget` does.
        """
        with self._change(raises_floor=takes_away) as (connection, contents):
            found = people.named(contents.opened, name)
            record = change(contents.opened, found)
            row = self._seals.replace_person(connection, contents, found, record)
        if takes_away:
            self._end_taking(f"{record.name} is changed")
        return self._stored(row, replace(record, crops=found[1].crops))

    def forget(self, name: str) -> None:
        """Remove a person: their data key and record are gone from file and WAL on return.

        Raises PersonNotFound; InstallerError where the person is removed but the disk would not erase, or
        where an older copy put back would not be noticed since the anchor cannot be written.
        """
        with self._change(raises_floor=True) as (connection, contents):
            found = people.named(contents.opened, name)
            pictures.put(connection, found[0].person_id, b"")
            connection.execute("DELETE FROM person WHERE number = ?", (found[0].number,))
        self._end_taking(f"{found[1].name} is removed")

    def rekey(self, key_source: KeySource) -> None:
        """Seal everything anew under another key, whole or not at all; the old key opens nothing then."""
        self._change_key(sealed.kek(key_source.key(), self._seals.device_id))

    def renew(self) -> None:
        """Give every record another rotation, data key and template id (ISO/IEC 24745, renewability)."""
        self._reseal(self._seals.kek, secrets.token_bytes(transform.SEED_BYTES))

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
            state = self._seals.open_all(connection, is_first=self._is_first).state
            if mark is not None:
                state = State(mark.generation, mark.fingerprint, b"", max(mark.floor, state.floor))
            self._seals.write_state(connection, state, raises_floor=False)

    def anchor_now(self) -> None:
        """Mark the present state, whatever the anchor holds. Raises InstallerError, AnchorLost."""
        if self._anchor is not None:
            with self._changing:
                marks.keep(self._anchor, self._seals.kek, self._seals.device_id, self.vault_id, self.state)
                self.anchor_fault = ""

    def anchor_in(self, anchor: Anchor) -> None:
        """Mark the present state in that anchor, whatever it holds. Raises InstallerError."""
        self._anchor = anchor
        self.anchor_now()

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._database.close()

    @property
    def _is_first(self) -> bool:
        return self._database.kind is KIND_1

    def _stored(self, row: Row, record: sealed.Record) -> StoredPerson:
        return people.stored(row, record, self._seals.model_digest)

    def _end_taking(self, what: str) -> None:
        """After a change that took something away: leave nothing of it. Raises InstallerError."""
        self._database.erase_history()
        if self.anchor_fault:
            raise InstallerError(
                f"{what}, but an older copy put back would not be noticed: {self.anchor_fault}",
                "mend the anchor's disk; the next change anchors both",
            )

    @contextlib.contextmanager
    def _change(self, *, raises_floor: bool = False) -> Iterator[tuple[sqlite3.Connection, Contents]]:
        """One change: the connection and all that is in the vault; the block makes its edits.

        Nothing begins while an earlier change is not anchored: the vault must never be two steps ahead.
        """
        with self._changing:
            if self.anchor_fault:
                self.anchor_now()
            with self._database.transaction() as connection:
                contents = self._seals.open_all(connection, is_first=self._is_first)
                yield connection, contents
                self._seals.write_state(connection, contents.state, raises_floor=raises_floor)
            try:
                self.anchor_now()
            except (InstallerError, AnchorLost) as e:
                self.anchor_fault = str(e)

    def _check_anchor(self, keks: tuple[Secret, ...]) -> None:
        """Refuse an older copy; make good what a crash between change and mark left."""
        contents = self._contents()
        if self._anchor is None:
            return
        mark = marks.read_mark(self._anchor, keks, self._seals.device_id)
        is_first = mark is None and self._database.kind is KIND_1  # made before there were anchors
        if is_first or not marks.check(mark, contents.vault_id, contents.state, self._anchor.name):
            self.anchor_now()

    def _upgrade(self) -> None:
        """Bring a vault up to date.

        One of version 2 says its version, and its records read as they are; one of version 1 gets a rotation
        for its embeddings, and the longer roster.
        """
        with self._changing:
            if not self._is_first:
                with self._database.transaction() as connection:
                    self._database.upgrade(connection, KIND)
                self._database.upgraded(KIND)
                self._database.erase_history()  # the file itself now says its version
                return
            with self._database.transaction() as connection:
                contents = self._seals.open_all(connection, is_first=True)
                self._database.upgrade(connection, KIND)
                connection.execute("INSERT INTO secret VALUES (1, x'')")
                seed = secrets.token_bytes(transform.SEED_BYTES)
                self._seals.write_all(connection, contents, self._seals.kek, seed)
                self._seals.write_state(connection, contents.state, raises_floor=True)
            self._database.upgraded(KIND)
            self._after_resealing()

    def _change_key(self, kek: Secret) -> None:
        self._reseal(kek, None)

    def _reseal(self, kek: Secret, seed: bytes | None) -> None:
        with self._changing:
            if self.anchor_fault:
                self.anchor_now()
            before = self._seals.kek
            try:
                with self._database.transaction() as connection:
                    contents = self._seals.open_all(connection, is_first=self._is_first)
                    self._seals.write_all(connection, contents, kek, contents.seed if seed is None else seed)
                    self._seals.kek = kek
                    self._seals.write_state(connection, contents.state, raises_floor=True)
            except BaseException:
                self._seals.kek = before
                raise
            if before is not kek:
                wipe(before)
            self._after_resealing()

    def _after_resealing(self) -> None:
        """Anchor it, and leave no old box in the file."""
        try:
            self.anchor_now()
        except (InstallerError, AnchorLost) as e:
            self.anchor_fault = str(e)
        self._database.erase_history()

    def _check_crops(self) -> None:
        with self._database.reading() as connection:
            self._seals.check_crops(connection, self._seals.open_all(connection, is_first=False))

    def _contents(self) -> Contents:
        with self._database.reading() as connection:
            return self._seals.open_all(connection, is_first=self._is_first)


def _by_id(contents: Contents, person_id: str) -> Opened | None:
    return next((one for one in contents.opened if one[0].person_id.hex() == person_id), None)


def _rows(connection: sqlite3.Connection) -> Iterator[tuple[object, ...]]:
    """Every row of every table."""
    for table in ("vault", "secret", "person", "crops"):
        yield (table,)
        yield from connection.execute(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - those four
