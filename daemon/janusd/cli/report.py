"""`janusctl report`: one text file that an owner can read before they send it to whoever helps them.

It holds how the door is and how it is set up, and nobody's name, face, key or address: `redact` says how.
Nothing is sent anywhere. It works without a running daemon too; then the journal's own words are left out,
since nobody knows which names would have to be replaced in them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from janusd import __version__
from janusd.cli import bench, device
from janusd.cli.exits import Exit
from janusd.cli.redact import Redactor
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.errors import ControlError, JanusError, NotAllowed, OwnerError
from janusd.escape import escape

_BENCH_S = 3.0
_ENTRIES = 10_000
"""Of the door log: for the names in it, of which some are of people who were forgotten."""
_LINES = 200
_HEAD = """\
janusd support report
Made by `janusctl report` on the device itself. Read it before you send it. People are called person-1,
person-2 ...; addresses, ids, keys and codes were replaced, settings that are free text say "(set)".
"""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report."""

    title: str
    says: str
    """What is in it, for whoever decides whether to send it."""
    lines: tuple[str, ...]


def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Gather, show what is inside, then write. Raises Usage where nobody is there to agree."""
    now = datetime.now(UTC)
    path: Path = args.file or Path(f"janus-report-{now:%Y%m%d-%H%M%S}.txt")
    prints = args.show or args.json
    if not prints and not args.yes and not sys.stdin.isatty():
        raise Usage("there is nobody here to ask; add --yes to write it, or --show to read it")
    if not prints and os.path.lexists(path):
        raise Usage(f"{escape(str(path), 200)} is there already; name another file: nothing is overwritten")
    sections, redactor = gather(door, with_bench=not args.no_bench)
    text = written(sections, now)
    if found := redactor.leaks("\n".join(line for one in sections for line in one.lines)):
        raise OwnerError(
            f"{len(found)} names are still in the report, so it was not written",
            "tell the janusd project; janusctl doctor --json holds no names but those you gave",
        )
    if args.json:
        told = {"made": now.isoformat(timespec="seconds"), "sections": [asdict(one) for one in sections]}
        print(json.dumps(told, indent=2))
        return Exit.OK
    if args.show:
        print(text, end="")
        return Exit.OK
    _list(sections, text)
    if not args.yes and not _agrees(path):
        print("Nothing was written.")
        return Exit.REFUSED
    _write(path, text)
    print(f"Written: {escape(str(path), 200)}. Read it before you send it; nothing was sent.")
    return Exit.OK


def gather(door: RemoteDoor, *, with_bench: bool = True) -> tuple[list[Section], Redactor]:
    """Every section, redacted, and what redacted it."""
    names = _names(door)
    redactor = Redactor(names or (), device.hosts(), device.users())
    is_known = names is not None
    sections = [
        _about(redactor),
        _asked(door, "status", "how the door is, without who is enrolled", redactor, _status),
        _asked(door, "doctor", "what the door finds wrong with itself", redactor, _doctor),
    ]
    if with_bench:
        sections.append(_asked(door, "bench", "how long each stage takes", redactor, _bench))
    sections += [
        _made("settings", "janus.toml and latch.toml: numbers, switches and choices; free text only says "
              "whether it is set", device.settings(), redactor),
        _made("hardware", "board, cameras, GPIO chips, accelerators, keys that are possible",
              device.survey(), redactor),
        _made("units", "how systemd sees our units", device.units(), redactor),
        _made("journal", f"the last {_LINES} lines of our units"
              + ("" if is_known else "; their words are left out, since no janusd tells the names in them"),
              device.journal(_LINES, with_words=is_known), redactor),
    ]  # fmt: skip
    return sections, redactor


def written(sections: list[Section], now: datetime) -> str:
    """The report as the file it becomes."""
    parts = [f"{_HEAD}Made: {now:%Y-%m-%d %H:%M} UTC\n"]
    parts += [
        "\n".join((f"\n== {one.title}: {one.says}", *(f"  {line}" for line in one.lines), ""))
        for one in sections
    ]
    return "".join(parts)


def _names(door: RemoteDoor) -> list[str] | None:
    """Everybody the door knows or knew; None where nobody tells."""
    try:
        entries = door.log("", _ENTRIES)
        names = [person.name for person in door.people()]
    except JanusError:
        return None
    for entry in entries:
        names.append(entry.name)
        if entry.kind == "renamed":
            names.append(entry.note.removeprefix("was "))
    return names


def _about(redactor: Redactor) -> Section:
    system = platform.uname()
    lines = (
        f"janusctl {__version__}, Python {platform.python_version()}",
        f"{system.system} {system.release} {system.machine}",
        f"board: {bench.board()}",
        f"system: {device.distribution()}",
    )
    return _made("about", "versions, kernel, board", list(lines), redactor)


def _asked(
    door: RemoteDoor, title: str, says: str, redactor: Redactor, ask: Callable[[RemoteDoor], list[str]]
) -> Section:
    try:
        lines = ask(door)
    except NotAllowed:
        lines = ["this user may not ask that: run janusctl report with sudo"]
    except ControlError:
        lines = ["no janusd answers"]
    except JanusError as error:
        lines = [f"it said: {error.what}"]
    return _made(title, says, lines, redactor)


def _made(title: str, says: str, lines: list[str], redactor: Redactor) -> Section:
    return Section(title, says, tuple(redactor.text(line) for line in lines))


def _status(door: RemoteDoor) -> list[str]:
    return [f"{key}: {value}" for key, value in asdict(door.status()).items()]


def _doctor(door: RemoteDoor) -> list[str]:
    return [
        f"{one.verdict:<4} {one.check}: {one.detail}{f' -> {one.remedy}' if one.remedy else ''}"
        for one in door.doctor()
    ]


def _bench(door: RemoteDoor) -> list[str]:
    measured = door.measure(_BENCH_S)
    lines = [
        f"{measured.frames} frames of {measured.width_px}x{measured.height_px}, {measured.faces} with faces, "
        f"{measured.detector} + {measured.encoder} on {measured.accelerator}"
    ]
    return lines + [
        f"{one.stage:<26} median {one.median_ms:9.3f} ms   p95 {one.p95_ms:9.3f} ms   {one.count} times"
        for one in measured.stages
    ]


def _list(sections: list[Section], text: str) -> None:
    from janusd.cli import show  # noqa: PLC0415  # rich takes longer to import than --json to answer

    print("What would be in it, and nothing else:\n")
    show.console().print(show.contents([(one.title, len(one.lines), one.says) for one in sections]))
    print(f"\n{len(text.encode()):,} bytes of plain text. To read all of it first: janusctl report --show")


def _agrees(path: Path) -> bool:
    answer = input(f"Write {escape(str(path), 200)}? [y/N] ")
    return answer.strip().lower() in ("y", "yes")


def _write(path: Path, text: str) -> None:
    """Into a new file that only its owner reads; through no link, over nothing."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError as e:
        raise Usage(f"{escape(str(path), 200)} is there already: nothing is overwritten") from e
    except OSError as e:
        raise Usage(f"{escape(str(path), 200)} cannot be written: {e.strerror}") from e
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
