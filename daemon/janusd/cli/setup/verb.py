"""`janusctl setup` as a verb: its arguments, and how it ends.

Nothing heavy is imported until it runs: every other verb imports this module.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from janusd.cli.exits import Exit
from janusd.cli.verbs import Usage

if TYPE_CHECKING:
    from janusd.cli.setup.scout import Line
    from janusd.cli.setup.wizard import Wizard

STEPS = ("board", "camera", "accelerator", "lines", "pulse", "nir", "promise", "keys", "units", "enrol")
MORE = """\
It asks for board, camera, lock, promise and key, shows what it would write, and writes
nothing before you agree. At every question '?' explains, 'back' goes back, 'skip' leaves
things as they are. Ctrl-C ends it at any time; your answers are kept for the next time."""
EXAMPLES = (
    "sudo janusctl setup",
    "sudo janusctl setup --step lines",
    "janusctl setup --answers-template > door.toml",
    "sudo janusctl setup --answers door.toml --dry-run",
    "sudo janusctl setup --undo",
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    root: Path
    steps: tuple[str, ...]
    answers: Path | None
    is_dry: bool
    undo: bool


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--step", action="append", choices=STEPS, metavar="STEP",
                        help=f"only this one, again; may be repeated: {', '.join(STEPS)}")  # fmt: skip
    parser.add_argument("--skip", action="append", choices=STEPS, metavar="STEP",
                        help="all but this one; may be repeated")  # fmt: skip
    parser.add_argument("--answers", type=Path, metavar="FILE", help="ask nothing: the answers are in FILE")
    parser.add_argument("--answers-template", action="store_true", help="print such a file with comments")
    parser.add_argument("--dry-run", action="store_true", help="show what would be written; change nothing")
    parser.add_argument("--undo", action="store_true", help="put back what was there before the last setup")
    parser.add_argument("--root", type=Path, default=None, metavar="DIR",
                        help="a folder that stands for the device, to try setup; or $JANUS_ROOT")  # fmt: skip


def run(args: argparse.Namespace, line: Line | None = None) -> Exit:
    """Set a door up. Raises JanusError, and Usage where nobody is there to be asked."""
    if args.answers_template:
        from janusd.cli.setup.answers import TEMPLATE

        print(TEMPLATE, end="")
        return Exit.OK
    if args.json:
        raise Usage("setup speaks with people: it has no --json; --answers FILE drives it without any")
    if args.answers is None and not args.undo and not sys.stdin.isatty():
        raise Usage("there is nobody here to ask; give --answers FILE (begin with --answers-template)")
    root = args.root or Path(os.environ.get("JANUS_ROOT") or "/")
    wanted = tuple(step for step in STEPS if step in (args.step or STEPS) and step not in (args.skip or ()))
    from janusd.cli.setup import wizard as the_wizard

    wizard = the_wizard.Wizard(Options(root.absolute(), wanted, args.answers, args.dry_run, args.undo), line)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(wizard)
    except KeyboardInterrupt:  # a lost line is told twice: the end of input, then SIGHUP
        return _stop(wizard)
    finally:
        wizard.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(wizard: Wizard) -> Exit:
    try:
        return wizard.run()
    except (KeyboardInterrupt, EOFError, SystemExit):  # SystemExit: of the live picture's handlers
        return _stop(wizard)
    except OSError as error:
        if error.errno != errno.EIO:  # what a terminal that is gone says to whoever writes there
            raise
        return _stop(wizard)


def _stop(wizard: Wizard) -> Exit:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return wizard.interrupted()


def _interrupt(number: int, frame: FrameType | None) -> None:
    """A connection that was lost ends like Ctrl-C: answers kept, a running relay test bounded by itself."""
    raise KeyboardInterrupt
