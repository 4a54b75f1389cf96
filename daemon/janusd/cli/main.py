"""janusctl's entry: the command line, its help, and how it ends."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from janusd import __version__, streams
from janusd.cli import attack_test as attack_verb
from janusd.cli import enrol as enrol_verb
from janusd.cli import model as look_at_models
from janusd.cli import people as people_verbs
from janusd.cli import vault as vault_verbs
from janusd.cli import verbs
from janusd.cli.client import Client
from janusd.cli.exits import MEANINGS, Exit, exit_of, problem
from janusd.cli.remote import RemoteDoor
from janusd.cli.setup import verb as setup_verb
from janusd.cli.when import parse_since
from janusd.errors import JanusError
from janusd.escape import escape

DEFAULT_SOCKET = "/run/janus/control"
_MOST_SECONDS = 20.0
"""The daemon measures no longer."""
_LOG_TAKES = {
    "number": ("snapshot",), "checkpoint": ("verify",), "file": ("verify", "snapshot"),
    "since": ("show",), "limit": ("show",),
}  # fmt: skip
"""Which of its words each argument of `log` belongs to."""

Run: TypeAlias = Callable[[RemoteDoor, argparse.Namespace], Exit]
"""A verb, ready to run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; its exit code. argparse ends the process by itself for --help and usage errors."""
    streams.fill()
    for stream in (sys.stdout, sys.stderr):  # a name this terminal cannot show must not end the program
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    args = make_parser().parse_args(arguments)
    try:
        code = _run(args)
        sys.stdout.flush()  # here, where a full disk can still be told
    except JanusError as e:
        if args.json:
            print(json.dumps(problem(e), indent=2))
        # What setup lists comes from files of this device; elsewhere a name could forge a line.
        return _complain(*(str(e).splitlines() if args.verb == "setup" else (str(e),)), code=exit_of(e))
    except verbs.Usage as e:
        return _complain(str(e), code=Exit.USAGE)
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)  # the terminal's cursor stands behind ^C
        what = "the enrolment was abandoned; nothing was stored" if args.verb == "enrol" else "interrupted"
        return _complain(what, code=Exit.INTERRUPTED)
    except BrokenPipeError:  # `janusctl log | head`: the reader has seen enough
        _drop_output()
        return Exit.OK
    except OSError as e:
        _drop_output()
        where = f"{e.filename}: " if e.filename else ""
        return _complain(f"{where}{e.strerror or e}", code=Exit.REFUSED)
    return code


def _run(args: argparse.Namespace) -> int:
    if (alone := _needs_no_daemon(args)) is not None:
        return alone(args)
    with Client(args.socket) as client:
        run: Run = args.run
        return run(RemoteDoor(client), args)


def _drop_output() -> None:
    """What is still to be written goes nowhere, or Python complains of it when it ends."""
    with suppress(OSError, ValueError):  # ValueError: not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _needs_no_daemon(args: argparse.Namespace) -> Callable[[argparse.Namespace], int] | None:
    match args.verb:
        case "model":  # looks at files
            return look_at_models.run
        case "setup":  # makes the daemon
            return setup_verb.run
        case "attack-test" if args.what == "report":  # looks at a file
            return attack_verb.report
        case _:
            return None


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    socket = Path(os.environ.get("JANUS_SOCKET") or DEFAULT_SOCKET)
    parser = argparse.ArgumentParser(
        prog="janusctl",
        description="Look after a door that janusd keeps: who may enter, who came, and whether it is well.",
        epilog=_examples(
            'janusctl enrol "Anna Berg"',
            "janusctl watch",
            "janusctl log --since today",
            "janusctl doctor && echo all is well",
        )
        + "\n\nexit codes:\n"
        + "\n".join(f"  {code:<3}  {meaning}" for code, meaning in MEANINGS.items())
        + "\n\nThe socket is $JANUS_SOCKET, or else /run/janus/control; --socket wins over both."
        "\nColour is left out where NO_COLOR is set or the output is no terminal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"janusctl {__version__}")
    parser.add_argument("--socket", type=Path, default=socket, metavar="PATH", help="janusd's control socket")
    parser.add_argument("--json", action="store_true", help="print JSON instead of words")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--socket", type=Path, default=argparse.SUPPRESS, metavar="PATH",
                        help="janusd's control socket")  # fmt: skip
    common.add_argument("--json", action="store_true", default=argparse.SUPPRESS,
                        help="print JSON instead of words")  # fmt: skip
    table = parser.add_subparsers(title="verbs", dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: Run, does: str, *examples: str, more: str = "") -> argparse.ArgumentParser:
        added = table.add_parser(
            name, help=does, parents=[common], description=f"{does[0].upper()}{does[1:]}.\n{more}".strip(),
            epilog=_examples(*examples), formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        added.set_defaults(run=run)
        return added

    setup = table.add_parser(
        "setup", help="set this door up, step by step",
        description=f"Set this door up, step by step.\n{setup_verb.MORE}",
        epilog=_examples(*setup_verb.EXAMPLES), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    setup_verb.arguments(setup)
    enrol = verb(
        "enrol", _enrol, "teach the door a face",
        'janusctl enrol "Anna Berg"', 'janusctl enrol "Anna Berg" --reinforce    # at dusk, with glasses ...',
        'janusctl enrol bob --from-images ~/bob --hours "mon-fri 08:00-18:00"',
        "janusctl enrol cleo --role guest --until 2026-12-24",
        more="Nothing is stored unless it ends well: Ctrl-C, a lost connection or too few good\n"
        "pictures leave the door as it was.",
    )  # fmt: skip
    enrol.add_argument("name", metavar="NAME", help="how the person is called in lists and logs")
    enrol_verb.arguments(enrol)

    people = verb(
        "people", _people, "list who is enrolled, change their rules, take them to another door",
        "janusctl people", "janusctl people suspend bob",
        'janusctl people set bob --role guest --until 2026-12-24 --hours "mon-fri 08:00-18:00"',
        "janusctl people set anna --second code --two-people", "janusctl people export front.people",
        "janusctl people import front.people",
    )  # fmt: skip
    people_verbs.arguments(vault_verbs.people_arguments(people, common), common)

    people_verbs.declare(verb)

    forget = verb(
        "forget", _ask(verbs.forget), "remove somebody for good",
        'janusctl forget "Anna Berg"', "janusctl forget bob --yes",
    )  # fmt: skip
    forget.add_argument("name", metavar="NAME", help="as janusctl people lists them")
    forget.add_argument("--yes", action="store_true", help="do not ask first")

    verb("unlock-face", _ask(verbs.unlock_face), "forgive failed tries, and switch face unlock on again",
         "janusctl unlock-face",
         more="After twenty failed tries faces open nothing until somebody does this.")  # fmt: skip

    verb("status", _ask(verbs.status), "show how the door is", "janusctl status",
         "janusctl status --json | jq .state")  # fmt: skip
    verb("watch", _watch, "show each decision as it falls", "janusctl watch",
         "janusctl watch --json | jq 'select(.unlocks)'",
         more="Ctrl-C ends. Decisions that repeat are folded;\nwith --json each is one line.")  # fmt: skip

    log = verb(
        "log", _log, "show who came in, and what was changed; verify or export it",
        "janusctl log", "janusctl log --since today", 'janusctl log --since "2026-11-22 08:00" --limit 20',
        "janusctl log checkpoint > door.checkpoint    # keep it elsewhere", "janusctl log export > log.jsonl",
        "janusctl log verify --checkpoint door.checkpoint", "janusctl log snapshot 4711 > who.jpg",
        more="A checkpoint that you keep away from the door shows whether anything after it was changed,\n"
        "even by somebody who has the door's key by now. Snapshots are there only where [log] keeps them.",
    )  # fmt: skip
    log.add_argument("what", nargs="?", default="show",
                     choices=("show", "verify", "export", "checkpoint", "snapshot"),
                     help="show it, check it, print JSON lines, get a checkpoint or a picture")  # fmt: skip
    log.add_argument("number", nargs="?", type=people_verbs.entry_number,
                     help="with snapshot: the entry of a refusal")  # fmt: skip
    log.add_argument("--checkpoint", type=Path, metavar="FILE", help="with verify: what you carried away")
    log.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="with verify: an exported log, not the door's; with snapshot: where to write it",
    )
    log.add_argument("--since", type=_since, metavar="WHEN",
                     help="30m, 2h, 3d, 1w, today, yesterday, 2026-11-22, '2026-11-22 08:00'")  # fmt: skip
    log.add_argument("--limit", type=_count, metavar="N", help="the newest N lines (50)")

    visits = verb("visits", _visits, "count who was let in, by day", "janusctl visits --since 1w",
                  "janusctl visits --json")  # fmt: skip
    visits.add_argument("--since", type=_since, metavar="WHEN", help="as for log; all there is, if not given")

    verb("doctor", _ask(verbs.doctor), "check the whole door and say what to do", "janusctl doctor",
         "janusctl doctor --json", more="Ends with 5 when something fails.")  # fmt: skip

    bench = verb(
        "bench", _bench, "time every stage on this door's own camera and networks",
        "janusctl bench", "janusctl bench --seconds 10", "janusctl bench --json > bench.json",
        more="The door goes on meanwhile. Beside its figures stand those of other boards, and of each\n"
        "whether somebody measured it or whether it is only the least that can be.",
    )  # fmt: skip
    bench.add_argument("--seconds", type=_seconds, default=5.0, metavar="S",
                       help=f"for how long to measure, 1 to {_MOST_SECONDS:g} (5)")  # fmt: skip

    report = verb(
        "report", _report, "gather what somebody who helps needs, without anybody's name or face",
        "sudo janusctl report", "sudo janusctl report --show | less", "sudo janusctl report door.txt --yes",
        more="One text file: versions, settings without free text, doctor, bench, units, journal, hardware.\n"
        "It says first what is in it, overwrites nothing, and sends nothing anywhere.",
    )  # fmt: skip
    report.add_argument("file", nargs="?", type=Path, metavar="FILE",
                        help="where to write it; a new file here, if not given")  # fmt: skip
    report.add_argument("--yes", action="store_true", help="write it without a question")
    report.add_argument("--show", action="store_true", help="print all of it instead of writing it")
    report.add_argument("--no-bench", action="store_true", help="do not time the door's stages")

    test = verb(
        "attack-test", attack_verb.run, "hold attacks before this door, and say what that allows to claim",
        'janusctl attack-test record "glossy print"', "janusctl attack-test record genuine -n 60",
        "janusctl attack-test report",
        more="The report gives APCER of each species and BPCER with Clopper-Pearson bounds.",
    )  # fmt: skip
    attack_verb.arguments(test, common)

    vault = verb(
        "vault", vault_verbs.run, "look after the vault: its copies, its key", "janusctl vault show",
        "janusctl vault restore", "janusctl vault rekey",
    )  # fmt: skip
    vault_verbs.vault_arguments(vault, common)

    model = table.add_parser(
        "model", help="verify and install signed model bundles",
        description="Verify and install signed model bundles. A bundle counts when the janusd project\n"
        "signed it, or somebody whose public key stands in /etc/janus/model-keys. Needs no running daemon.",
        epilog=_examples("janusctl model verify MODEL.janus", "sudo janusctl model install MODEL.janus",
                         "janusctl model show --json"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    look_at_models.arguments(model, common)
    return parser


def _ask(verb: Callable[[RemoteDoor, argparse.Namespace], verbs.Answer]) -> Run:
    """A verb that asks once: its answer drawn, or as JSON (in ASCII: no name reaches a terminal raw)."""

    def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
        answer = verb(door, args)
        if args.json:
            print(json.dumps(answer.value, indent=2, default=asdict))
        else:
            from janusd.cli import show  # noqa: PLC0415  # rich takes longer to import than --json to answer

            show.draw(args.verb, answer.value)
        return answer.exit

    return run


def _people(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return vault_verbs.run(door, args) if args.what else _ask(verbs.people)(door, args)


def _enrol(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    return enrol_verb.enrol(door, args)


def _watch(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    from janusd.cli.watch import watch  # noqa: PLC0415

    return watch(door, args)


def _log(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    for name, words in _LOG_TAKES.items():
        if getattr(args, name) is not None and args.what not in words:
            given = "a number" if name == "number" else f"--{name}"
            raise verbs.Usage(f"{given} is for janusctl log {' and '.join(words)}, not for {args.what}")
    if args.what == "show":
        return _ask(verbs.log)(door, args)
    from janusd.cli import logs  # noqa: PLC0415

    return logs.run(door, args)


def _bench(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    from janusd.cli import bench  # noqa: PLC0415

    return bench.run(door, args)


def _report(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    from janusd.cli import report  # noqa: PLC0415

    return report.run(door, args)


def _visits(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    from janusd.cli import logs  # noqa: PLC0415

    return logs.visits(door, args)


def _since(text: str) -> str:
    try:
        return parse_since(text, datetime.now().astimezone())
    except (ValueError, OverflowError) as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:6]) <= 10_000:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}; give a number from 1 to 10000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"cannot use {text!r}; give a number from 1 to {_MOST_SECONDS:g}")
    return seconds


def _examples(*lines: str) -> str:
    return "examples:\n" + "\n".join(f"  {line}" for line in lines)


def _complain(*lines: str, code: Exit) -> Exit:
    for line in lines:
        print(f"janusctl: {escape(line, 500)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
