"""`janusctl log` beyond showing it, and `janusctl visits`.

Verification happens here, not in the daemon: a daemon that was tampered with would say that all is well. An
exported log and a checkpoint can be checked on another machine, without a door.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.core.forward import Checkpoint, Line, first_wrong
from janusd.core.reason import Reason
from janusd.door import Entry, Exported
from janusd.errors import ControlError
from janusd.escape import escape

_PAGE = 1000
_MOST_ENTRIES = 10_000
"""As many as the daemon gives at once."""
_DISPUTED = re.compile(r"entry (\d+): ")


@dataclass(frozen=True, slots=True)
class Visits:
    """How often somebody was let in on a day of this terminal's calendar."""

    day: str
    name: str
    times: int
    first: str
    last: str
    disputed: int = 0
    """Of how many of them an owner said that it was somebody else."""


def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """`log verify`, `log export` or `log checkpoint`."""
    match args.what:
        case "verify":
            return _verify(door, args)
        case "export":
            for exported in _export(door):
                print(json.dumps(asdict(exported)))
            return Exit.OK
        case "snapshot":
            return _snapshot(door, args)
        case _:
            checkpoint = door.log_checkpoint()
            print(json.dumps({"checkpoint": checkpoint}) if args.json else checkpoint)
            if not args.json and sys.stdout.isatty():
                print("Keep this line away from the door, and secret.", file=sys.stderr)
            return Exit.OK


def _snapshot(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """The picture goes to standard output, or to a file of its own mode 0600."""
    if args.number is None:
        raise Usage("which entry? janusctl log snapshot NUMBER > who.jpg")
    if args.file is None and sys.stdout.isatty():
        raise Usage("a picture is nothing for a terminal: add > who.jpg, or --file who.jpg")
    jpeg = door.snapshot(args.number)
    if args.json:
        print(json.dumps({"number": args.number, "jpeg": base64.b64encode(jpeg).decode()}))
    elif args.file is None:
        sys.stdout.buffer.write(jpeg)
    else:
        try:
            with open(args.file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(jpeg)
        except OSError as e:
            raise Usage(f"cannot write {escape(str(args.file), 200)}: {e.strerror}") from e
    return Exit.OK


def visits(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Who was let in how often, by day."""
    entries = door.log(args.since or "", _MOST_ENTRIES)
    found = count(entries)
    if len(entries) == _MOST_ENTRIES:
        print(f"Older than the newest {_MOST_ENTRIES} lines: not counted.", file=sys.stderr)
    if args.json:
        print(json.dumps([asdict(one) for one in found], indent=2))
        return Exit.OK
    if not found:
        print("Nobody was let in since then.")
    width = max((len(escape(one.name)) for one in found), default=0)
    for one in found:
        when = one.first if one.times == 1 else f"{one.first} to {one.last}"
        doubt = f"  ({one.disputed} disputed)" if one.disputed else ""
        print(f"{one.day}  {escape(one.name):<{width}}  {one.times:3}x  {when}{doubt}")
    return Exit.OK


def count(entries: Sequence[Entry]) -> list[Visits]:
    """Unlocks by person and day, in the order of the days; what has no readable time counts under "?"."""
    disputed = {mark[1] for one in entries if one.kind == "disputed" and (mark := _DISPUTED.match(one.note))}
    days: dict[tuple[str, str], list[str]] = {}
    doubts: dict[tuple[str, str], int] = {}
    for entry in entries:
        if entry.is_decision and entry.reason == Reason.MATCHED:
            day, clock = _local(entry.at)
            days.setdefault((day, entry.name), []).append(clock)
            doubts[day, entry.name] = doubts.get((day, entry.name), 0) + (str(entry.number) in disputed)
    return [
        Visits(day, name, len(clocks), min(clocks), max(clocks), doubts[day, name])
        for (day, name), clocks in sorted(days.items())
    ]


def _local(at: str) -> tuple[str, str]:
    try:
        when = datetime.fromisoformat(at).astimezone()
    except (ValueError, OverflowError):
        return "?", "?"
    return when.strftime("%Y-%m-%d"), when.strftime("%H:%M")


def _verify(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    told: dict[str, object] = {}
    if args.file is None:
        told["entries"] = door.verify_log()
    if args.checkpoint is not None:
        checkpoint = _checkpoint(args.checkpoint)
        lines = _read(args.file) if args.file is not None else _told(door)
        good, wrong = first_wrong(checkpoint, lines)
        told |= {"after": checkpoint.number, "good": good, "wrong": wrong}
    elif args.file is not None:
        raise Usage("an exported log is checked against a checkpoint; add --checkpoint FILE")
    if args.json:
        print(json.dumps(told, indent=2))
    else:
        if "entries" in told:
            print(f"The door finds its log whole, up to entry {told['entries']}.")
        if "good" in told:
            print(f"{told['good']} entries after {told['after']} bear the tags this checkpoint leads to.")
        else:
            print(
                "Without a checkpoint this does not stop a thief of the door's key: see janusctl log --help."
            )
        if told.get("wrong"):
            print(f"janusctl: {told['wrong']}; find out who could write to the log", file=sys.stderr)
    return Exit.UNWELL if told.get("wrong") else Exit.OK


def _checkpoint(path: Path) -> Checkpoint:
    try:
        return Checkpoint.parse(path.read_text(encoding="ascii"))
    except OSError as e:
        raise Usage(f"cannot read {escape(str(path), 200)}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise Usage(f"{escape(str(path), 200)}: this is no checkpoint of a door log") from e
    except ValueError as e:
        raise Usage(f"{escape(str(path), 200)}: {e}") from e


def _export(door: RemoteDoor) -> Iterator[Exported]:
    after = 0
    while page := door.export_log(after, _PAGE):
        yield from page
        after = page[-1].number


def _told(door: RemoteDoor) -> Iterator[Line]:
    """As a running door tells it. Raises ControlError."""
    for one in _export(door):
        try:
            line = _line(one)
        except ValueError as e:
            remedy = "use the janusctl that came with this janusd"
            raise ControlError(f"janusd tells a line of its log that is none: {e}", remedy) from e
        yield line


def _read(path: Path) -> Iterator[Line]:
    """As `log export` wrote it. Raises Usage."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield _line(Exported(**json.loads(line)))
    except OSError as e:
        raise Usage(f"cannot read {escape(str(path), 200)}: {e.strerror}") from e
    except (ValueError, TypeError, RecursionError) as e:
        raise Usage(f"{escape(str(path), 200)} is no log that janusctl log export wrote") from e


def _line(one: Exported) -> Line:
    """What its tag covers. Raises ValueError where no door wrote it so: anybody may have altered it."""
    texts = (one.at, one.kind, one.reason, one.name, one.note, one.person_id)
    if not all(type(number) is int and -(1 << 63) <= number < 1 << 63 for number in (one.number, one.at_us)):
        raise ValueError("a number is none")
    if not all(isinstance(text, str) and _is_text(text) for text in (*texts, one.tag)):
        raise ValueError("a text is none")
    return Line(one.number, one.at_us, texts, bytes.fromhex(one.tag))


def _is_text(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON can carry halves of a character."""
    return not any("\ud800" <= char <= "\udfff" for char in text)
