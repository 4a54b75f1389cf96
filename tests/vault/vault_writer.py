"""Adds and forgets people until it is killed; says what it is about to do, and what is done."""

from __future__ import annotations

import random
from multiprocessing.connection import Connection
from pathlib import Path

from vault_kit import DEVICE, MODEL, embeddings

from janusd.vault.keys import FileKey
from janusd.vault.store import Vault


def write(folder: Path, seed: int, say: Connection) -> None:
    chance = random.Random(seed)
    vault = Vault.open(folder / "vault.db", FileKey(folder / "key"), DEVICE, MODEL)
    enrolled = [person.name for person in vault.people()]
    say.send(("ready", ""))
    for i in range(1_000_000):
        if len(enrolled) < 12 and (not enrolled or chance.random() < 0.6):
            name = f"p {seed} {i}"
            say.send(("adding", name))
            vault.add(name, embeddings(i, chance.choice([1, 5, 40])))
            say.send(("added", name))
            enrolled.append(name)
        else:
            name = enrolled.pop(chance.randrange(len(enrolled)))
            say.send(("forgetting", name))
            vault.forget(name)
            say.send(("forgot", name))
