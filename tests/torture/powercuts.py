"""Power cuts and failing disks, simulated beneath SQLite.

Harm: an acknowledged change that is lost, a forgotten person who is back, a vault that does not open again, a
template that is neither the old encoder's nor the new one's.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import apsw
import numpy as np
from numpy.typing import NDArray

from janusd.errors import JanusError
from janusd.vault import database
from janusd.vault.crops import NONE, Crops
from janusd.vault.store import Vault
from support import powercut
from torture.kit import DEVICE, MODEL, embeddings, new_key
from torture.row import Row, Tick

NAMES = ("Ada", "Bob", "Eve", "Zoe")
OTHER_MODEL = b"o" * 32
PATH = Path("/disk/vault.db")


class Door:
    """A vault on a simulated disk, and what its owner was told is in it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.key = new_key(folder / "key")
        real = folder / "made" / "vault.db"
        Vault.create(real, self.key, DEVICE)
        self.disk = powercut.Disk(self.chance)
        self.disk.put(str(PATH), real.read_bytes())
        self.told: set[str] = set()
        self.harm: Counter[str] = Counter()
        self.last_shut = ""

    @contextlib.contextmanager
    def in_place(self) -> Iterator[Door]:
        """While SQLite runs on the simulated disk."""
        with (
            mock.patch.object(database, "check_private"),
            mock.patch.object(database, "_connect", lambda path: powercut.Connection(self.disk, path)),
        ):
            yield self

    def open(self, model: bytes = MODEL) -> Vault:
        return Vault.open(PATH, self.key, DEVICE, model, anchor=powercut.DiskAnchor(self.disk))

    def change(self, vault: Vault, name: str) -> None:
        if name in self.told:
            vault.forget(name)
            self.told.discard(name)
        elif self.chance.random() < 0.15:
            vault.renew()
        else:
            vault.add(name, embeddings(len(name)))
            self.told.add(name)

    def look(self, asked: str) -> None:
        """Open it again with a healthy disk and compare; `asked` may have happened or not."""
        self.disk.heal()
        try:
            vault = self.open()
            found = {person.name for person in vault.people()}
            vault.close()
        except JanusError as e:
            self.last_shut = str(e)
            self.harm["shut"] += 1
            return
        self.harm["lost"] += len(self.told - found - {asked})
        self.harm["back"] += len(found - self.told - {asked})
        self.told = found

    def steps_of_a_life(self) -> int:
        """How many writes an opening and one change take, about."""
        vault = self.open()
        vault.add("Ada", embeddings(1))
        vault.close()
        self.told.add("Ada")
        return int(self.disk.steps)


def cuts(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The power goes at any write."""
    row, door = Row("power cuts"), Door(folder, seed)
    with door.in_place():
        longest = 2 * door.steps_of_a_life()
        while row.times < times:
            asked = ""
            door.disk.steps_left = door.chance.randrange(longest)
            try:
                vault = door.open()
                while True:
                    asked = door.chance.choice(NAMES)
                    door.change(vault, asked)
            except powercut.PowerCut:
                row.times += 1
            except JanusError:  # what the cut looks like to whoever asks in the same moment
                if not door.disk.is_dead:
                    raise
                row.times += 1
            row.went["within a change" if asked else "while opening"] += 1
            door.disk = door.disk.after_cut()
            door.look(asked)
            tick()
    row.harm = +door.harm
    return [row]


def re_embeddings(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The power goes while a door with another encoder makes everybody's template anew from their crops."""
    row, door, model = Row("power cuts within a re-embedding"), Door(folder, seed), MODEL
    with door.in_place():
        vault = door.open()
        for number, name in enumerate(NAMES[:2]):
            vault.add(name, _by(model, _crops(number)), crops=_crops(number))
        vault.close()
        door.disk.steps = 0
        _re_embed(door, OTHER_MODEL)
        longest, model = door.disk.steps, OTHER_MODEL
        while row.times < times:
            model = MODEL if model == OTHER_MODEL else OTHER_MODEL
            door.disk.steps_left = door.chance.randrange(longest)
            try:
                _re_embed(door, model)
            except powercut.PowerCut:
                row.times += 1
            except JanusError:  # what the cut looks like to whoever asks in the same moment
                if not door.disk.is_dead:
                    raise
                row.times += 1
            door.disk = door.disk.after_cut()
            _look_at_templates(door, model, row)
            tick()
    row.harm = +row.harm
    return [row]


def _re_embed(door: Door, model: bytes) -> None:
    """What a start does."""
    vault = door.open(model)
    for person in vault.stale_people():
        vault.re_embed(person.person_id, lambda crops: _by(model, crops))
    vault.close()


def _look_at_templates(door: Door, model: bytes, row: Row) -> None:
    try:
        vault = door.open(model)
        people, done = vault.people(), {template.name: template.embeddings for template in vault.templates()}
        vault.close()
        row.went[f"{len(done)} of {len(people)} made anew"] += 1
        row.harm["lost"] += 2 - len(people)
        _re_embed(door, model)  # which opens the crops of whoever was not
        vault = door.open(model)
        done = {template.name: template.embeddings for template in vault.templates()}
        vault.close()
    except JanusError:
        row.harm["shut"] += 1
        return
    for number, name in enumerate(NAMES[:2]):
        expected = _by(model, _crops(number))
        row.harm["wrong template"] += name not in done or not np.allclose(done[name], expected, atol=1e-5)


def _crops(number: int) -> Crops:
    return np.full((1, *NONE.shape[1:]), 100 + number, np.uint8)


def _by(model: bytes, crops: Crops) -> NDArray[np.float32]:
    """What the encoder of that digest makes of them."""
    return embeddings(1000 * model[0] + int(crops[0, 0, 0, 0]), len(crops))


def faults(stride: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The disk fails at every `stride`-th write: an I/O error, full, read-only; once, or from then on."""
    rows = []
    for error in ("IOError", "FullError", "ReadOnlyError"):
        for lasts in (False, True):
            row = Row(f"{error} at each write, {'for good' if lasts else 'once'}")
            door = Door(folder / error / str(lasts), seed)
            with door.in_place():
                longest = 2 * door.steps_of_a_life()
                for step in range(0, longest, stride):
                    _fail_at(door, row, getattr(apsw, error), lasts=lasts, step=step)
            row.harm += door.harm
            row.harm = +row.harm
            rows.append(row)
    tick()
    return rows


def _fail_at(door: Door, row: Row, error: type[apsw.Error], *, lasts: bool, step: int) -> None:
    asked, vault = "", None
    door.disk.error, door.disk.lasts, door.disk.steps_left = error, lasts, step
    try:
        vault = door.open()
        matched = {template.name for template in vault.templates()}
        for asked in ("Bob", "Bob", "Ada", "Ada"):
            door.change(vault, asked)
        row.went["passed by"] += 1
    except JanusError as e:
        row.times += 1
        row.went["refused clearly"] += bool(e.remedy)
        row.harm["refused without a next step"] += not e.remedy
        if vault is not None and lasts and not matched <= {*NAMES}:
            row.harm["matching went wrong"] += 1
    door.disk.heal()
    if vault is not None:
        vault.close()
    door.look(asked)
