"""`janusctl watch`: decisions as they fall, live on a terminal, one line each elsewhere."""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from janusd.cli import show
from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.door import Event

_FRAME_LINES = 4
"""Lines of the screen that are not decisions: the heading, the hint, and room for the prompt."""


@dataclass(slots=True)
class Run:
    """Decisions in a row that say the same."""

    event: Event
    """The latest of them."""
    times: int = 1


class Street:
    """The last runs of decisions, newest at the bottom."""

    def __init__(self, height: int, width: int) -> None:
        self._runs: deque[Run] = deque(maxlen=max(1, height - _FRAME_LINES))
        self._width = width
        self._missed = 0

    def add(self, event: Event, missed: int) -> bool:
        """Take a decision; whether it says something new."""
        self._missed += missed
        last = self._runs[-1].event if self._runs else None
        if last and (last.reason, last.name, last.unlocks) == (event.reason, event.name, event.unlocks):
            self._runs[-1] = Run(event, self._runs[-1].times + 1)
            return False
        self._runs.append(Run(event))
        return True

    def __rich__(self) -> RenderableType:
        """As rich draws it."""
        heading = "time      what              who                      score       took"
        lines = [show.event(run.event, run.times, self._width) for run in self._runs]
        hint = Text(
            self._runs[-1].event.hint if self._runs else "Waiting for the first decision ...", "italic"
        )
        missed = Text(f"  ({self._missed} not shown)" if self._missed else "", "dim")
        return Group(
            Text(heading[: self._width], "dim"), *lines, Text.assemble("Ctrl-C ends.  ", hint, missed)
        )


def watch(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Show decisions until the door or the user ends it."""
    decisions = door.watch()
    with suppress(KeyboardInterrupt):  # that is how one stops watching
        if args.json:
            _print(decisions)
        else:
            _follow(decisions)
    return Exit.OK


def _print(decisions: Iterable[tuple[Event, int]]) -> None:
    for event, missed in decisions:
        print(json.dumps({**asdict(event), "missed": missed}), flush=True)


def _follow(decisions: Iterable[tuple[Event, int]]) -> None:
    console = show.console()
    street = Street(console.height, console.width)
    if not console.is_terminal:
        for event, missed in decisions:
            if street.add(event, missed):
                console.print(show.event(event))
                console.file.flush()
        return
    with Live(street, console=console, auto_refresh=False, redirect_stdout=False) as live:
        for event, missed in decisions:
            street.add(event, missed)
            live.refresh()
