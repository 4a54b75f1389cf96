"""Power cuts and failing disks, simulated beneath SQLite; `make torture` runs 10,000 of them.

Counted as harm: an acknowledged change that is gone, a forgotten person who is back, a vault that does not
open again.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from vault_kit import DEVICE, MODEL, embeddings, new_key

from janusd.errors import JanusError
from janusd.vault import database
from janusd.vault.store import Vault

apsw = pytest.importorskip("apsw")
powercut = pytest.importorskip("powercut")

# SQLite goes on for a moment after a cut, to roll back; what it meets then reaches nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CUTS = int(os.environ.get("JANUS_TORTURE", "0")) or 120
NAMES = ("Ada", "Bob", "Eve", "Zoe")
PATH = Path("/disk/vault.db")


class Door:
    """A vault on a simulated disk, and what its owner was told is in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.chance = random.Random(seed)
        self.key = new_key(folder / "key")
        real = folder / "made" / "vault.db"
        Vault.create(real, self.key, DEVICE)
        self.disk = powercut.Disk(self.chance)
        self.disk.put(str(PATH), real.read_bytes())
        self.told: set[str] = set()
        self.lost = self.back = self.shut = 0
        monkeypatch.setattr(database, "check_private", lambda *_: None)
        monkeypatch.setattr(database, "_connect", lambda path: powercut.Connection(self.disk, path))

    def open(self) -> Vault:
        return Vault.open(PATH, self.key, DEVICE, MODEL, anchor=powercut.DiskAnchor(self.disk))

    def change(self, vault: Vault, name: str) -> None:
        if name in self.told:
            vault.forget(name)
            self.told.discard(name)
        elif self.chance.random() < 0.15:
            vault.renew()
        else:
            vault.add(name, embeddings(len(name), 2, 32))
            self.told.add(name)

    def look(self, asked: str) -> None:
        """Open it again with a healthy disk and compare; `asked` may have happened or not."""
        self.disk.heal()
        try:
            vault = self.open()
            found = {person.name for person in vault.people()}
            vault.close()
        except JanusError as e:
            print(f"shut: {e}")
            self.shut += 1
            return
        self.lost += len(self.told - found - {asked})
        self.back += len(found - self.told - {asked})
        self.told = found


@pytest.fixture
def door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Door:
    return Door(tmp_path, monkeypatch, seed=5)


def steps_of_a_life(door: Door) -> int:
    """How many writes an opening and one change take, about."""
    vault = door.open()
    vault.add("Ada", embeddings(1, 2, 32))
    vault.close()
    door.told.add("Ada")
    return int(door.disk.steps)


@pytest.mark.slow
def test_power_cuts_at_any_write_lose_nothing_and_bring_nobody_back(door: Door) -> None:
    longest, cuts = 2 * steps_of_a_life(door), 0
    while cuts < CUTS:
        asked = ""
        door.disk.steps_left = door.chance.randrange(longest)
        try:
            vault = door.open()
            while True:
                asked = door.chance.choice(NAMES)
                door.change(vault, asked)
        except powercut.PowerCut:
            cuts += 1
        except JanusError:  # what the cut looks like to whoever asks in the same moment
            if not door.disk.is_dead:
                raise
            cuts += 1
        door.disk = door.disk.after_cut()
        door.look(asked)
    print(f"TORTURE power cuts|{cuts}|{door.lost + door.back + door.shut}")
    assert (door.lost, door.back, door.shut) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("lasts", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("error", ["IOError", "FullError", "ReadOnlyError"])
def test_a_fault_at_every_write_refuses_clearly_and_loses_nothing(
    door: Door, error: str, lasts: bool
) -> None:
    longest, faults, step, nameless = 2 * steps_of_a_life(door), 0, 0, 0
    stride = 1 if CUTS >= 1000 else 5
    while step < longest:
        asked = ""
        door.disk.error, door.disk.lasts, door.disk.steps_left = getattr(apsw, error), lasts, step
        vault = None
        try:
            vault = door.open()
            matched = {template.name for template in vault.templates()}
            for asked in ("Bob", "Bob", "Ada", "Ada"):
                door.change(vault, asked)
        except JanusError as e:
            faults += 1
            nameless += not e.remedy
            if vault is not None and door.disk.lasts:
                assert matched <= {*NAMES}  # what the door matches with is in its memory, untouched
        door.disk.heal()
        if vault is not None:
            vault.close()
        door.look(asked)
        step += stride
    harm = door.lost + door.back + door.shut
    print(f"TORTURE {error} at each write, {'for good' if lasts else 'once'}|{faults}|{harm}")
    assert faults > 3
    assert nameless == 0
    assert (door.lost, door.back, door.shut) == (0, 0, 0)


def test_a_healthy_simulated_disk_is_an_ordinary_disk(door: Door) -> None:
    """The harness itself: without cuts and faults nothing is lost, and with a disk that forgets, it shows."""
    steps_of_a_life(door)
    door.look("")
    assert (door.told, door.lost, door.back, door.shut) == ({"Ada"}, 0, 0, 0)
    before = door.disk.synced[str(PATH)]
    vault = door.open()
    vault.forget("Ada")
    vault.close()
    door.told.clear()
    door.disk.put(str(PATH), before)  # a disk that lies about its sync
    door.disk.put(str(PATH) + "-wal", b"")
    door.look("")
    assert door.shut == 1  # the anchor tells
