"""Verbs about people who are enrolled: `people set|rename|suspend|resume`, `why`, `dispute`, `confirm`.

A code is never an argument: those stand in the shell's history and in every process list.
"""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.cli.when import local, parse_since
from janusd.door import Explanation, Person
from janusd.escape import escape

ROLES = ("owner", "resident", "guest")
SECONDS = ("none", "code", "confirm")


def arguments(
    table: argparse._SubParsersAction[argparse.ArgumentParser], common: argparse.ArgumentParser
) -> None:
    """Declare `set`, `rename`, `suspend` and `resume` below `people`."""

    def add(
        name: str, act: Callable[[RemoteDoor, argparse.Namespace], Exit], does: str, more: str = ""
    ) -> argparse.ArgumentParser:
        added = table.add_parser(
            name, help=does, parents=[common], description=f"{does[0].upper()}{does[1:]}.\n{more}".strip(),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.add_argument("name", metavar="NAME", help="as janusctl people lists them")
        added.set_defaults(act=act)
        return added

    one = add(
        "set", _set, "change on what terms somebody may come in",
        "What is not given stays. Days are those of this terminal's calendar.\n"
        "Hours are read in the door's zone; on a holiday only those that name 'hol' count:\n"
        '  --hours "mon-fri 08:00-18:00, hol 10:00-12:00"',
    )  # fmt: skip
    one.add_argument("--hours", metavar="HOURS", help="when they are welcome; '' for always")
    one.add_argument("--role", choices=ROLES, help="a guest needs --until")
    one.add_argument("--from", dest="valid_from", metavar="DAY", help="from then on; none for no such day")
    one.add_argument("--until", dest="valid_until", metavar="DAY",
                     help="until that day is over, or '2026-12-24 18:00'; none for ever")  # fmt: skip
    one.add_argument("--second", choices=SECONDS,
                     help="what they need besides their face: a code on the button at the door, or the word"
                     " of a local program")  # fmt: skip
    one.add_argument(
        "--code-file",
        type=Path,
        metavar="FILE",
        help="with --second code: its first line, as 3-1-4-2; asked for, if not given",
    )
    one.add_argument("--two-people", action=argparse.BooleanOptionalAction, default=None,
                     help="whether somebody else must be recognised just before")  # fmt: skip
    one.add_argument("--clear-guards", action="store_true", help="drop what was kept from disputes")

    one = add("rename", _rename, "call somebody by another name")
    one.add_argument("to", metavar="NEW", help="their new name")
    add("suspend", _suspend, "let somebody in no more, until they are resumed")
    add("resume", _resume, "let somebody in again who was suspended")


def declare(verb: Callable[..., argparse.ArgumentParser]) -> None:
    """Declare `why`, `dispute` and `confirm`, each with the command line's own `verb`."""
    one = verb(
        "why", why, "say what spoke for and against somebody at a time",
        "janusctl why anna", 'janusctl why bob --at "2026-11-22 18:05"',
        more="By the rules of that time where the door log holds them, else by today's; it says which.",
    )  # fmt: skip
    one.add_argument("name", metavar="NAME", help="as janusctl people lists them")
    one.add_argument("--at", type=_moment, metavar="WHEN", help="as for log; now, if not given")
    one = verb(
        "dispute", dispute, "say that an unlock was not of whom it names",
        "janusctl log", "janusctl dispute 1234",
        more="It is marked in the door log. Where [disputes] keep_unlocks is set, the face of that try\n"
        "is kept as a guard: whoever looks like it is no longer taken for that person.",
    )  # fmt: skip
    one.add_argument("number", type=_number, metavar="NUMBER", help="as janusctl log shows it")
    one = verb(
        "confirm", confirm, "give the word for somebody who needs it besides their face",
        "janusctl confirm bob",
    )  # fmt: skip
    one.add_argument("name", metavar="NAME", help="as janusctl people lists them")


def why(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """`why NAME --at TIME`: what spoke for and against somebody."""
    told = door.explain(args.name, args.at or "")
    if args.json:
        print(json.dumps(asdict(told), indent=2))
    else:
        _draw(told)
    return Exit.OK


def dispute(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """`dispute NUMBER`: that was not me."""
    done = door.dispute(args.number)
    if args.json:
        print(json.dumps(asdict(done), indent=2))
        return Exit.OK
    print(f"Entry {done.number}, {local(done.at)}, {escape(done.name)}: written down as disputed.")
    print(f"{escape(done.says[:1].upper() + done.says[1:], 500)}.")
    if not done.is_guarded:
        print("To keep what a guard needs, from now on: [disputes] keep_unlocks in janus.toml.")
    return Exit.OK


def confirm(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """`confirm NAME`: give the word for somebody whose second factor that is."""
    door.confirm(args.name)
    said = f"{escape(args.name)} is confirmed, for as long as the door waits: half a minute, unless set."
    print(json.dumps({"confirmed": args.name}) if args.json else said)
    return Exit.OK


def parse_day(text: str, *, is_end: bool) -> str:
    """ISO 8601 with a zone for a day or a moment, empty for "none"; a day alone is meant to its end.

    Raises ValueError.
    """
    words = text.strip()
    if words.lower() == "none":
        return ""
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        raise ValueError(f"cannot read {text!r}; write 2026-12-24, '2026-12-24 18:00' or none") from None
    if is_end and len(words) == len("2026-12-24"):
        moment += timedelta(days=1)
    if moment.tzinfo is None:
        moment = moment.astimezone()  # by that day's offset, not today's: summer time may lie between
    return moment.isoformat()


def _moment(text: str) -> str:
    try:
        return parse_since(text, datetime.now().astimezone())
    except (ValueError, OverflowError) as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}; give a number that janusctl log shows")
    return int(text)


def _set(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    code = None
    if args.second == "code":
        code = _code(args)
    elif args.code_file is not None:
        raise Usage("a code goes with --second code")
    dates: dict[str, str | None] = {}
    for key, is_end in (("valid_from", False), ("valid_until", True)):
        given = getattr(args, key)
        try:
            dates[key] = None if given is None else parse_day(given, is_end=is_end)
        except (ValueError, OverflowError) as e:
            raise Usage(str(e)) from e
    if args.role == "guest" and not dates["valid_until"]:
        raise Usage("a guest needs --until DAY")
    wanted = {
        "hours": args.hours,
        "role": args.role,
        **dates,
        "second": args.second,
        "code": code,
        "needs_two": args.two_people,
    }
    given = {key: value for key, value in wanted.items() if value is not None}
    if not given and not args.clear_guards:
        raise Usage("nothing is to be changed; see janusctl people set --help")
    return _tell(args, door.set_terms(args.name, given, clears_guards=args.clear_guards))


def _rename(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return _tell(args, door.rename(args.name, args.to))


def _suspend(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return _tell(args, door.suspend(args.name))


def _resume(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return _tell(args, door.resume(args.name))


def _tell(args: argparse.Namespace, person: Person) -> Exit:
    if args.json:
        print(json.dumps(asdict(person), indent=2))
    else:
        from janusd.cli import show  # noqa: PLC0415  # rich takes longer to import than --json to answer

        show.console().print(show.people([person]))
    return Exit.OK


def _code(args: argparse.Namespace) -> str:
    if args.code_file is not None:
        try:
            return str(args.code_file.read_text(encoding="utf-8")).split("\n", 1)[0].strip()
        except (OSError, UnicodeDecodeError) as e:
            raise Usage(f"{args.code_file} cannot be read as text") from e
    if not sys.stdin.isatty():
        raise Usage("there is nobody here to ask for a code; add --code-file FILE")
    first = getpass.getpass("Code, such as 3-1-4-2: ")
    if getpass.getpass("Again: ") != first:
        raise Usage("the two codes differ; nothing was changed")
    return first.strip()


def _draw(told: Explanation) -> None:
    from janusd.cli import show  # noqa: PLC0415

    console = show.console()
    verdict = "welcome" if told.is_welcome else "not welcome"
    console.print(f"{escape(told.name)}, {escape(told.at)} by the door's clock: {verdict}.")
    if told.reason:
        console.print(f"Why: {escape(told.reason, 200)}.")
    basis = (
        "as they were then, from the door log"
        if told.by_rules_of == "then"
        else "as they are now: the door log does not hold those of that time"
    )
    console.print(f"\nRules {basis}; holidays and what is asked of everybody as they are now.")
    console.print(f"  {escape(told.rules, 600)}")
    for question in told.questions:
        line = show.mark("ok" if question.holds else "fail")
        console.print(line.append(f" {escape(question.check):<14} {escape(question.says, 400)}"))
    if told.changes_since:
        console.print("\nThe rules were changed since:")
        console.print(show.log(told.changes_since))
    if told.entries:
        console.print("\nThe door log, five minutes around:")
        console.print(show.log(told.entries))
    else:
        console.print("\nThe door log holds nothing from five minutes around: no face was compared then.")
