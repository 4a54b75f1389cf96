"""The verbs that ask once: status, people, forget, log, doctor."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.door import Entry, Finding, Person, Status
from janusd.escape import escape

Value: TypeAlias = Status | Sequence[Person] | Sequence[Entry] | Sequence[Finding] | dict[str, str]

_LINES = 50
"""Of the door log, if not said otherwise."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb found, before it is drawn or printed as JSON."""

    value: Value
    exit: Exit = Exit.OK


class Usage(Exception):
    """The command line asks for something that cannot be meant."""


def status(door: RemoteDoor, _: argparse.Namespace) -> Answer:
    """How the door is."""
    return Answer(door.status())


def people(door: RemoteDoor, _: argparse.Namespace) -> Answer:
    """Who is enrolled."""
    return Answer(door.people())


def forget(door: RemoteDoor, args: argparse.Namespace) -> Answer:
    """Remove somebody, after asking."""
    if not args.yes:
        if args.json or not sys.stdin.isatty():
            raise Usage("there is nobody here to ask; add --yes to forget without a question")
        question = (
            f"Forget {escape(args.name)}? Their samples are destroyed and cannot be brought back. [y/N] "
        )
        if input(question).strip().lower() not in ("y", "yes"):
            return Answer({"forgot": ""}, Exit.REFUSED)
    door.forget(args.name)
    return Answer({"forgot": args.name})


def unlock_face(door: RemoteDoor, _: argparse.Namespace) -> Answer:
    """Forgive all failed tries."""
    door.unlock_face()
    return Answer({"face": "on"})


def log(door: RemoteDoor, args: argparse.Namespace) -> Answer:
    """Who came in, who did not, and what was changed."""
    return Answer(door.log(args.since or "", args.limit or _LINES))


def doctor(door: RemoteDoor, _: argparse.Namespace) -> Answer:
    """Whether all is well; the exit code says so too."""
    findings = door.doctor()
    is_ill = any(finding.verdict not in ("ok", "warn") for finding in findings)
    return Answer(findings, Exit.UNWELL if is_ill else Exit.OK)
