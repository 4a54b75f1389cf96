"""On what terms somebody may come in, as a command line gives them or a question asks for them.

A code is never an argument: those stand in the shell's history and in every process list.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from janusd.cli.verbs import Usage
from janusd.escape import escape

ROLES = ("owner", "resident", "guest")
SECONDS = ("none", "code", "confirm")
DURESSES = ("none", "code", "always")

Given: TypeAlias = dict[str, str | bool]
"""What is to change, by the names of `door.TermsChange`."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--hours", metavar="HOURS", help="when they are welcome; '' for always")
    parser.add_argument("--role", choices=ROLES, help="a guest needs --until")
    parser.add_argument("--from", dest="valid_from", metavar="DAY",
                        help="from then on; none for no such day")  # fmt: skip
    parser.add_argument("--until", dest="valid_until", metavar="DAY",
                        help="until that day is over, or '2026-12-24 18:00'; none for ever")  # fmt: skip
    parser.add_argument("--second", choices=SECONDS,
                        help="what they need besides their face: a code on the button at the door, or the"
                        " word of a local program")  # fmt: skip
    parser.add_argument("--code-file", type=Path, metavar="FILE",
                        help="with --second code: its first line, as 3-1-4-2; else it is asked")  # fmt: skip
    parser.add_argument("--duress", choices=DURESSES,
                        help="how they call for help where somebody forces them: by another code, or always,"
                        " by coming; the door opens as ever and tells owners alone")  # fmt: skip
    parser.add_argument("--duress-file", type=Path, metavar="FILE",
                        help="with --duress code: its first line, as 3-5-4-1; else it is asked")  # fmt: skip
    parser.add_argument("--two-people", action=argparse.BooleanOptionalAction, default=None,
                        help="whether somebody else must be recognised just before")  # fmt: skip


def given(args: argparse.Namespace) -> Given:
    """What the command line says, and nothing else; codes that it announces are asked for. Raises Usage."""
    if args.code_file is not None and args.second != "code":
        raise Usage("a code goes with --second code")
    if args.duress_file is not None and args.duress != "code":
        raise Usage("a code for duress goes with --duress code")
    code = _code("Code, such as 3-1-4-2", args.code_file, "--code-file") if args.second == "code" else None
    duress_code = None
    if args.duress == "code":
        duress_code = _code("Code for duress, such as 3-5-4-1", args.duress_file, "--duress-file")
    dates = {}
    for key, is_end in (("valid_from", False), ("valid_until", True)):
        text = getattr(args, key)
        try:
            dates[key] = None if text is None else parse_day(text, is_end=is_end)
        except (ValueError, OverflowError) as e:
            raise Usage(str(e)) from e
    if args.role == "guest" and not dates["valid_until"]:
        raise Usage("a guest needs --until DAY")
    wanted = {"hours": args.hours, "role": args.role, **dates, "second": args.second, "code": code,
              "needs_two": args.two_people, "duress": args.duress,
              "duress_code": duress_code}  # fmt: skip
    return {key: value for key, value in wanted.items() if value is not None}


def ask(put: Callable[[str], str], say: Callable[[str], None] = print) -> Given:
    """Ask somebody at a terminal, each until the answer can be meant; Enter takes the first choice."""
    role = ""
    while role not in ROLES:
        role = put("Role: resident, guest or owner? [resident] ").strip().lower() or "resident"
    asked: Given = {"role": role}
    while role == "guest" and not asked.get("valid_until"):
        try:
            asked["valid_until"] = parse_day(put("Until when, as 2026-12-24? "), is_end=True)
        except (ValueError, OverflowError) as e:
            say(f"  {escape(str(e), 200)}")
    asked["hours"] = put("Hours, as mon-fri 08:00-18:00? [always] ").strip()
    return asked


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


def _code(what: str, file: Path | None, option: str) -> str:
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        except (OSError, UnicodeDecodeError) as e:
            raise Usage(f"{file} cannot be read as text") from e
    if not sys.stdin.isatty():
        raise Usage(f"there is nobody here to ask for a code; add {option} FILE")
    first = getpass.getpass(f"{what}: ")
    if getpass.getpass("Again: ") != first:
        raise Usage("the two codes differ; nothing was changed")
    return first.strip()
