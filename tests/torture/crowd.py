"""Everybody enrols at the same moment.

Harm: two enrolments open at once, somebody missing or there in part, a sample in another person's record.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

from janusd import config as configuration
from janusd import main
from janusd.cli.remote import RemoteDoor
from janusd.errors import ControlError, EnrolmentBusy, JanusError, PersonExists
from janusd.vault.keys import device_id
from janusd.vault.store import Vault
from torture.painted import PEOPLE, Door, face, who
from torture.row import Row, Tick

_PATIENCE_S = 900.0


class _Crowd:
    def __init__(self, door: Door, row: Row, tick: Tick, seed: int) -> None:
        self.door, self.row, self.tick, self.seed = door, row, tick, seed
        self.lock = threading.Lock()
        self.inside = 0
        self.enrolled: set[str] = set()

    def count(self, word: str) -> None:
        with self.lock:
            self.row.went[word] += 1

    def wizard(self, person: int) -> None:
        """Try until it is done, as often as it takes."""
        chance, end_s = random.Random(self.seed + person), time.monotonic() + _PATIENCE_S
        while time.monotonic() < end_s:
            try:
                with self.door.connect() as client:
                    self.enrol(RemoteDoor(client), person)
                return
            except EnrolmentBusy:
                self.count("told that somebody else is enrolling")
            except ControlError:
                self.count("told that all places are taken")
            except PersonExists:  # the answer to the commit came too late to be heard
                self.done(person)
                return
            except JanusError:
                with self.lock:
                    self.row.harm["refused"] += 1
                return
            time.sleep(chance.uniform(0.2, 2.0))
        self.count("gave up: the machine is too slow")

    def enrol(self, remote: RemoteDoor, person: int) -> None:
        token = remote.begin_enrolment(f"p{person:02}", "")
        with self.lock:
            self.inside += 1
            self.row.harm["two at once"] += self.inside > 1
        try:
            for seed in (1, 2):
                remote.add_image(token, face(person, seed))
        finally:
            with self.lock:  # before the commit: from its end on the next may begin
                self.inside -= 1
        remote.commit_enrolment(token)
        self.done(person)

    def done(self, person: int) -> None:
        with self.lock:
            self.row.went["enrolled"] += 1
            self.row.times += 1
            self.enrolled.add(f"p{person:02}")
            self.tick()


def enrolments(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """So many wizards at once, at most `PEOPLE`."""
    with Door(folder / "door", counts_steps=False) as door:
        return [_enrolments(times, seed, door, tick)]


def _enrolments(times: int, seed: int, door: Door, tick: Tick) -> Row:
    row = Row("enrolments at the same moment")
    if not door.start():
        row.harm["does not start"] += 1
        return row
    crowd = _Crowd(door, row, tick, seed)
    wizards = [threading.Thread(target=crowd.wizard, args=(person,)) for person in range(min(times, PEOPLE))]
    for thread in wizards:
        thread.start()
    for thread in wizards:
        thread.join()
    door.end(signal.SIGTERM)
    _look(door, crowd.enrolled, row)
    row.harm = +row.harm
    return row


def _look(door: Door, wanted: set[str], row: Row) -> None:
    """Who is in the vault, and with whose samples."""
    section = configuration.load(door.config).vault
    vault = Vault.open(
        Path(section.directory) / "vault.db",
        main.key_ring(section).present(),
        device_id(Path(section.machine_id)),
        bytes(32),
        anchor=main.anchor(section),
    )
    templates = {template.name: template.embeddings for template in vault.templates()}
    vault.close()
    row.harm["missing"] += len(wanted - templates.keys())
    row.harm["there unasked"] += len(templates.keys() - wanted)
    for name, embeddings in templates.items():
        row.harm["in part"] += len(embeddings) != 2
        row.harm["mixed samples"] += any(who(embedding) != int(name[1:]) for embedding in embeddings)
