"""Verbs about people who are enrolled: `people set|rename|suspend|resume`, `why`, `dispute`, `confirm`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from janusd.cli import terms
from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.cli.when import local, parse_since
from janusd.door import Explanation, Person
from janusd.escape import escape


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
        "Who is forced to open gives their code for duress: it opens as theirs does, and is an alert in\n"
        "systemd's journal (JANUS-DURESS) and an entry of the door log that owners alone are shown.\n"
        "Hours are read in the door's zone; on a holiday only those that name 'hol' count:\n"
        '  --hours "mon-fri 08:00-18:00, hol 10:00-12:00"',
    )  # fmt: skip
    terms.arguments(one)
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
    one.add_argument("number", type=entry_number, metavar="NUMBER", help="as janusctl log shows it")
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


def _moment(text: str) -> str:
    try:
        return parse_since(text, datetime.now().astimezone())
    except (ValueError, OverflowError) as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def entry_number(text: str) -> int:
    """An entry of the door log, for argparse."""
    if not text.isdecimal() or len(text) > 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}; give a number that janusctl log shows")
    return int(text)


def _set(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    given = terms.given(args)
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
