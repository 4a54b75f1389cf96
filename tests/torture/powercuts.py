"""Power cuts and failing disks, simulated beneath SQLite.

Harm: an acknowledged change that is lost, a forgotten person who is back, a vault that does not open again.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import apsw

from janusd.errors import JanusError
from janusd.vault import database
from janusd.vault.store import Vault
from support import powercut
from torture.kit import DEVICE, MODEL, embeddings, new_key
from torture.row import Row, Tick

NAMES = ("Ada", "Bob", "Eve", "Zoe")
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

    def open(self) -> Vault:
        return Vault.open(PATH, self.key, DEVICE, MODEL, anchor=powercut.DiskAnchor(self.disk))

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
