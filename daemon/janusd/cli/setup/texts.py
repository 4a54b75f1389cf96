"""The configuration files as they are, as they would be, and what differs."""

from __future__ import annotations

import difflib
import os
import pwd
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from janusd.cli.setup import memory, sandbox
from janusd.cli.setup.place import Place
from janusd.cli.setup.step import Desk, Setting
from janusd.cli.setup.tomledit import Change, edit
from janusd.errors import ConfigError

JANUS_HEAD = """\
# What this door does. Written by janusctl setup; your own changes stay.
# Keys that are missing have their defaults. To check it: janusd --check --config {path}
"""
LATCH_HEAD = """\
# What janus-latchd holds. Written by janusctl setup; your own changes stay.
# How to wire all this: hw/WIRING.md.

"""


@dataclass(frozen=True, slots=True)
class Texts:
    """What stands in each file; one that nobody needs is empty."""

    janus: str
    latch: str
    drop_in: str

    def placed(self, place: Place) -> list[tuple[Path, str]]:
        """Each with its place, in the order in which they are written."""
        return [(place.latch, self.latch), (place.drop_in, self.drop_in), (place.janus, self.janus)]


def tables(place: Place) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both files say now. Raises ConfigError where one is not TOML."""
    read = []
    for path in (place.janus, place.latch):
        try:
            read.append(tomllib.loads(memory.read(path) or ""))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f"{path}: not valid TOML: {error}", "correct that line, or move the file away"
            ) from error
    return read[0], read[1]


def build(desk: Desk) -> Texts:
    """The files with the answers in them."""
    from janusd.cli.setup.steps import STEPS  # noqa: PLC0415 - steps build texts, and texts ask the steps

    settings = [setting for step in STEPS for setting in step.settings(desk)]
    settings += _elsewhere(desk, bool(desk.answers.lines))
    old_janus, old_latch = memory.read(desk.place.janus), memory.read(desk.place.latch)
    janus = [setting.change for setting in settings if setting.file == "janus"]
    latch = [setting.change for setting in settings if setting.file == "latch"]
    new_janus = _edit(old_janus, janus, JANUS_HEAD.format(path=desk.place.janus))
    return Texts(new_janus, _edit(old_latch, latch, LATCH_HEAD), sandbox.drop_in(tomllib.loads(new_janus)))


def difference(desk: Desk, new: Texts) -> list[Text]:
    """What would change, as a diff; empty where nothing would."""
    lines: list[Text] = []
    for path, text in reversed(new.placed(desk.place)):
        old = memory.read(path)
        if (old or "") == text:
            continue
        lines.append(Text(f"{path}" + ("" if old is not None else "  (new)"), style="bold"))
        found = difflib.unified_diff((old or "").splitlines(), text.splitlines(), lineterm="", n=1)
        for line in list(found)[2:]:
            style = {"+": "green", "-": "red", "@": "dim"}.get(line[:1], "")
            if not line.startswith("@@"):
                lines.append(Text(f"  {line}", style=style))
            elif old is not None:
                lines.append(Text("  ...", style="dim"))
    return lines


def _edit(old: str | None, changes: list[Change], head: str) -> str:
    """A file that is not there is begun only where there is something to write."""
    if old is None:
        changes = [change for change in changes if change.value is not None]
        return edit(head, changes) if changes else ""
    return edit(old, _different(old, changes))


def _different(old: str, changes: list[Change]) -> list[Change]:
    """Those that change something: a line that says the same already stays as it is written."""
    tables, wanted = tomllib.loads(old), []
    for change in changes:
        table: Any = tables
        for part in filter(None, change.table.split(".")):
            table = table.get(part, {})
        if table.get(change.key) != change.value:
            wanted.append(change)
    return wanted


def _elsewhere(desk: Desk, has_lines: bool) -> list[Setting]:
    """Below another folder everything lies below it, and the files say so."""
    place = desk.place
    if place.is_device:
        return []
    made = [
        Setting("janus", Change("vault", "directory", str(place.vault))),
        Setting("janus", Change("vault", "machine_id", str(place.machine_id))),
        Setting("janus", Change("control", "socket", str(place.socket))),
        Setting("janus", Change("latch", "socket", str(place.at("/run/janus-latch.sock")))),
    ]
    if has_lines and desk.answers.lines and desk.answers.lines.lock != "none":
        made += [
            Setting("latch", Change("", "socket", str(place.at("/run/janus-latch.sock")))),
            Setting("latch", Change("", "state", str(place.at("/run/janus-latchd-locked")))),
            Setting("latch", Change("", "user", pwd.getpwuid(os.geteuid()).pw_name)),
        ]
    return made
