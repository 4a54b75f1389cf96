"""What a step of the setup is, and the desk that all of them work at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from janusd.cli.setup.answers import Answers
from janusd.cli.setup.memory import Action, Memory
from janusd.cli.setup.person import Person
from janusd.cli.setup.place import Place
from janusd.cli.setup.scout import Found, Scout
from janusd.cli.setup.systemd import Systemd
from janusd.cli.setup.tomledit import Change
from janusd.cli.when import duration


@dataclass(slots=True)
class Desk:
    """What the steps share. Only `answers` and `found` change while somebody is asked."""

    place: Place
    person: Person
    scout: Scout
    systemd: Systemd
    memory: Memory
    found: Found
    answers: Answers
    janus: dict[str, Any]
    """janus.toml as it is now; empty where there is none."""
    latch: dict[str, Any]
    """latch.toml likewise."""
    steps: tuple[str, ...] = ()
    """Which were asked for, by name."""
    is_dry: bool = False
    has_changed: bool = False
    """Whether this run replaced a file, so that a running janusd must be restarted."""
    done: list[str] = field(default_factory=list)
    """What `apply` did, in words."""
    began_s: float = field(default_factory=time.monotonic)

    @property
    def door(self) -> str:
        """The name of the door: as it is, or "front". Setup never renames it, so that both files agree."""
        return str(self.janus.get("latch", {}).get("door", "front"))

    def since(self) -> str:
        """How long setup has run."""
        return duration(time.monotonic() - self.began_s)


@dataclass(frozen=True, slots=True)
class Setting:
    """A change that a step asks of one of the two files."""

    file: Literal["janus", "latch"]
    change: Change


class Step(Protocol):
    """One step. Between `look` and `apply` nothing on the device is changed."""

    name: str
    """For --step."""
    title: str
    about: str
    """What `?` says."""

    def look(self, desk: Desk) -> str:
        """What is there now, in a line."""
        ...

    def ask(self, desk: Desk) -> None:
        """Ask the person, into `desk.answers`."""
        ...

    def suggest(self, desk: Desk) -> None:
        """Answer as the person would who presses Enter; leaves an answer that is there."""
        ...

    def check(self, desk: Desk) -> list[str]:
        """What is impossible about the answer on this device, each with what to do."""
        ...

    def settings(self, desk: Desk) -> list[Setting]:
        """What the answer changes in the two files."""
        ...

    def plan(self, desk: Desk) -> list[str]:
        """What `apply` will do besides the files, in words."""
        ...

    def apply(self, desk: Desk) -> None:
        """Do it; each thing is noted in `desk.memory` before."""
        ...

    def undo(self, desk: Desk, action: Action) -> str:
        """Take back one thing it noted; what was done, in words."""
        ...


class Quiet:
    """What most steps share: they only ask, and change the two files."""

    def check(self, desk: Desk) -> list[str]:
        """Nothing can be impossible."""
        del desk
        return []

    def settings(self, desk: Desk) -> list[Setting]:
        """Nothing to write."""
        del desk
        return []

    def plan(self, desk: Desk) -> list[str]:
        """Nothing to do."""
        del desk
        return []

    def apply(self, desk: Desk) -> None:
        """Do nothing."""

    def undo(self, desk: Desk, action: Action) -> str:
        """Nothing was done."""
        del desk, action
        return ""
