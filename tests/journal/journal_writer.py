"""Appends to a door log until it is killed; says each number once it is acknowledged."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

from janusd.journal import Journal
from janusd.vault.keys import FileKey


def write(folder: Path, say: Connection) -> None:
    journal = Journal.open(folder / "journal.db", FileKey(folder / "key"))
    say.send(0)
    while True:
        say.send(journal.append("decision", "matched", name="Ada", note="written before a kill").number)
