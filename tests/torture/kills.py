"""The daemon killed at every step of an enrolment and a forgetting; the wizard cut off at every byte.

Harm: somebody who was acknowledged is gone, somebody forgotten is back, somebody is there in part, the daemon
does not start again or finds its vault or door log broken, an enrolment outlives its wizard.
"""

from __future__ import annotations

import json
import random
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

from janusd.cli.remote import RemoteDoor
from janusd.errors import EnrolmentBusy, JanusError
from support.serving import Caller
from torture.painted import Door, enrol, face
from torture.row import Row, Tick

_CHECKED = ("vault", "door log")


class _Owner:
    """What an owner was told, and who was asked for when the daemon died."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.asked = ""
        self.number = 0

    def enrol_and_forget(self, door: Door) -> None:
        """Enrol somebody, and forget whoever was there before."""
        with door.connect() as client:
            remote = RemoteDoor(client)
            self.number += 1
            name = self.asked = f"p{self.number}"
            enrol(remote, name, self.number % 40)
            self.told.add(name)
            for other in sorted(self.told - {name}):
                self.asked = other
                self.told.discard(other)
                remote.forget(other)
            self.asked = ""

    def look(self, door: Door, row: Row) -> None:
        """Compare with a daemon that has just started."""
        with door.connect() as client:
            remote = RemoteDoor(client)
            people = {person.name: person.samples for person in remote.people()}
            found = remote.doctor()
        row.harm["lost"] += len(self.told - people.keys() - {self.asked})
        row.harm["back"] += len(people.keys() - self.told - {self.asked})
        row.harm["in part"] += sum(samples != 2 for samples in people.values())
        row.harm["broken"] += any(f.verdict == "fail" and f.check in _CHECKED for f in found)
        self.told, self.asked = set(people), ""


def daemon(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Killed at every step, spread over `times` runs; each next start is a look at what is left."""
    with Door(folder / "door") as door:
        return [_daemon(times, door, tick)]


def _daemon(times: int, door: Door, tick: Tick) -> Row:
    row, owner = Row("daemon killed within an enrolment"), _Owner()
    if not door.start():
        row.harm["does not start"] += 1
        return row
    owner.enrol_and_forget(door)
    door.count_anew()
    owner.enrol_and_forget(door)
    steps = door.steps
    door.end()
    for run in range(times + 1):
        if not door.start():
            row.harm["does not start"] += 1
            break
        owner.look(door, row)
        if run == times:
            break
        door.die_after(steps * run // times)
        with suppress(JanusError):
            owner.enrol_and_forget(door)
        row.went["killed on the way" if door.end() else "killed after it"] += 1
        row.times += 1
        tick()
    row.harm = +row.harm
    row.note = f"an enrolment and a forgetting are {steps} steps"
    return row


def wizard(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The connection ends after any byte of an enrolment."""
    with Door(folder / "door", counts_steps=False) as door:
        return [_wizard(times, seed, door, tick)]


def _wizard(times: int, seed: int, door: Door, tick: Tick) -> Row:
    row, chance = Row("wizard cut off within an enrolment"), random.Random(seed)
    if not door.start():
        row.harm["does not start"] += 1
        return row
    told: set[str] = set()
    for run in range(times):
        name = f"w{run}"
        is_stored = _cut_off(door, name, run % 40, chance.random())
        with door.connect() as client:
            remote = RemoteDoor(client)
            row.harm["an enrolment outlived it"] += not _is_free(remote)
            people = {person.name: person.samples for person in remote.people()}
            row.harm["lost"] += is_stored and name not in people
            row.harm["in part"] += sum(samples != 2 for samples in people.values())
            row.harm["others gone"] += len(told - people.keys())
            row.went["stored" if name in people else "absent"] += 1
            for known in people:
                remote.forget(known)
        row.times += 1
        tick()
    row.harm = +row.harm
    return row


def _cut_off(door: Door, name: str, person: int, part: float) -> bool:
    """Send that part of an enrolment's bytes, then vanish; whether it was acknowledged."""
    with Caller(door.folder / "control") as caller:
        token = caller.call("BeginEnrolment", name=name)["parameters"]["token"]
        calls = [("AddImage", {"token": token, "image": b64encode(face(person, s)).decode()}) for s in (1, 2)]
        calls.append(("CommitEnrolment", {"token": token}))
        parts = [
            json.dumps({"method": f"org.janusd.Door.{verb}", "parameters": given}).encode() + b"\0"
            for verb, given in calls
        ]
        # as often within the short last call as within the pictures
        index = min(int(part * 4), 3)
        for whole in parts[:index]:
            caller.send(whole)
            if caller.reply() is None:
                return False
        if index == 3:
            return True
        caller.send(parts[index][: int((part * 4 - index) * (len(parts[index]) + 1))])
        return False


def _is_free(remote: RemoteDoor) -> bool:
    """Whether somebody else can begin, soon."""
    end_s = time.monotonic() + 10
    while time.monotonic() < end_s:
        try:
            remote.begin_enrolment("somebody else", "")
        except EnrolmentBusy:
            time.sleep(0.01)
        else:
            return True
    return False
