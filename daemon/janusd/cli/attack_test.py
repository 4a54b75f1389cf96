"""`janusctl attack-test`: present attacks to this very door, count, and say what the count allows to claim.

Layout of the record: one JSON object a line, {"at", "species", "accepted", "reason"}; a presentation is
written down when it is over, so an interrupted session loses only the present one. The species `genuine` is
people who are enrolled and try to come in. Trust boundary: a record is read back as hostile text.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.remote import RemoteDoor
from janusd.core import rates
from janusd.core.reason import Reason
from janusd.door import Event
from janusd.errors import ControlError, OwnerError
from janusd.escape import escape

GENUINE = "genuine"
CLAIM = 0.07
"""The rate claimed most often for a level of attack detection: ISO/IEC 30107-3 style, per species."""
_NOT_LOOKING = frozenset({Reason.LOCKED_OUT.value, Reason.FACE_OFF.value, Reason.STEP_AWAY.value})
"""A door that is not looking refuses for another reason than the attack: that presentation does not count."""
_NOTHING = frozenset(
    {Reason.NO_FACE.value, Reason.GATHERING.value, Reason.PAUSED.value, Reason.NO_NEWS.value}
)


@dataclass(frozen=True, slots=True)
class Presentation:
    """One thing held before the door, or one person who stood there."""

    at: str
    species: str
    accepted: bool
    """Whether the door opened."""
    reason: str
    """What the door said most often."""


@dataclass(frozen=True, slots=True)
class Species:
    """All presentations of one kind, and what they allow to claim."""

    name: str
    rate: str
    """APCER of an attack, BPCER of genuine tries (ISO/IEC 30107-3)."""
    errors: int
    trials: int
    low: float
    high: float
    """Clopper-Pearson bounds, 95 %, two-sided."""
    below: float
    """The rate lies below this with 95 % confidence: the smallest claim these tries carry."""
    more: int
    """How many further tries without an error it takes to claim 7 %."""


def arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    record = what.add_parser("record", help="present one species, one try after the other", parents=[common])
    record.add_argument("species", metavar="SPECIES", help=f'"glossy print", "phone" ..., or {GENUINE}')
    record.add_argument("-n", "--count", type=_count, default=rates.needed(CLAIM), metavar="N",
                        help="how many tries (%(default)s: none accepted then claims 7 %%)")  # fmt: skip
    record.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help="how long a try lasts (10)"
    )
    report = what.add_parser(
        "report", help="say what was counted, and what it allows to claim", parents=[common]
    )
    for one in (record, report):
        one.add_argument("--file", type=Path, default=Path("attack-test.jsonl"), metavar="FILE",
                         help="the record (%(default)s)")  # fmt: skip


def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Present, and write down what the door did. With --json all words go to standard error."""
    if not sys.stdin.isatty():
        raise OwnerError("nobody is here to present anything", "run it at a terminal, at the door")
    _append(args.file, "")  # before the first try: nobody presents anything twice for a file's sake
    tell = partial(print, file=sys.stderr if args.json else sys.stdout, flush=True)
    heard: queue.Queue[Event] = queue.Queue()
    threading.Thread(target=_listen, args=(door, heard), daemon=True).start()
    done = 0
    tell(
        f"{args.count} tries of {escape(args.species)!r}. The lock is real: it opens when the door is fooled."
    )
    while done < args.count:
        number = f"{done + 1} of {args.count}"
        tell(f"try {number}: nobody in view? Enter, then present for {args.seconds:g} s ... ", end="")
        input()
        made = outcome(args.species, _during(heard, args.seconds))
        if made is None:
            tell("  the door was not looking (too many failed tries): janusctl unlock-face, then again")
            continue
        _append(args.file, json.dumps(asdict(made)) + "\n")
        done += 1
        tell(f"  {'OPENED' if made.accepted else 'stayed shut'}: {made.reason}")
    return report(args)


def report(args: argparse.Namespace) -> Exit:
    """Say what a record holds. Needs no door."""
    counted = summary(read(args.file))
    if args.json:
        print(json.dumps([asdict(one) for one in counted], indent=2))
        return Exit.OK
    for one in counted:
        print(
            f"{escape(one.name):24} {one.rate} {one.errors} of {one.trials}: "
            f"{_percent(one.errors / one.trials)} "
            f"[{_percent(one.low)}, {_percent(one.high)}]"
        )
        print(f"{'':24} {_claim(one)}")
    if not any(one.rate == "BPCER" for one in counted):
        print(f"No genuine tries: record them too (janusctl attack-test record {GENUINE}); a door that never")
        print("opens refuses every attack.")
    return Exit.OK


def outcome(species: str, events: Iterable[Event]) -> Presentation | None:
    """What became of one presentation; None where the door was not looking, or saw nothing at all."""
    told = list(events)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    if any(event.unlocks for event in told):
        return Presentation(at, species, True, Reason.MATCHED.value)
    if any(event.reason in _NOT_LOOKING for event in told):
        return None
    said = [event.reason for event in told if event.reason not in _NOTHING]
    return Presentation(at, species, False, max(set(said), key=said.count) if said else Reason.NO_FACE.value)


def read(path: Path) -> list[Presentation]:
    """The presentations of a record. Raises OwnerError that names the line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OwnerError(f"{path}: cannot be read", "record some: janusctl attack-test record") from error
    made = []
    for number, line in enumerate(lines, start=1):
        try:
            fields = json.loads(line)
            one = Presentation(**fields)
        except (ValueError, TypeError) as error:
            raise OwnerError(f"{path}, line {number}: is no presentation", "remove the line") from error
        if not isinstance(one.accepted, bool) or not isinstance(one.species, str):
            raise OwnerError(f"{path}, line {number}: accepted must be true or false", "remove the line")
        made.append(one)
    if not made:
        raise OwnerError(f"{path}: holds no presentation", "record some: janusctl attack-test record")
    return made


def summary(made: Sequence[Presentation]) -> list[Species]:
    """One line a species, genuine tries last."""
    counted = []
    for name in sorted({one.species for one in made}, key=lambda name: (name == GENUINE, name)):
        of = [one for one in made if one.species == name]
        errors = sum(one.accepted is (name != GENUINE) for one in of)
        low, high = rates.bounds(errors, len(of))
        rate = "BPCER" if name == GENUINE else "APCER"
        more = max(rates.needed(CLAIM, errors) - len(of), 0)
        counted.append(Species(name, rate, errors, len(of), low, high, rates.upper(errors, len(of)), more))
    return counted


def _claim(one: Species) -> str:
    said = f"with 95 % confidence the rate is below {_percent(one.below)}"
    if one.more == 0:
        return f"{said}: a claim of 7 % holds"
    least = rates.needed(CLAIM, one.errors)
    return f"{said}; to claim 7 % it takes {one.errors} of {least}: {one.more} more tries without an error"


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %"


def _during(heard: queue.Queue[Event], seconds: float) -> list[Event]:
    while not heard.empty():
        heard.get_nowait()
    end_s, told = time.monotonic() + seconds, []
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            event = heard.get(timeout=left_s)
        except queue.Empty:
            break
        told.append(event)
        if event.unlocks:
            break
    return told


def _append(path: Path, line: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as record:
            record.write(line)
    except OSError as error:
        remedy = "name another file: --file FILE"
        raise OwnerError(f"{path}: cannot be written: {error.strerror}", remedy) from error


def _listen(door: RemoteDoor, heard: queue.Queue[Event]) -> None:
    try:
        for event, _ in door.watch():
            heard.put(event)
    except ControlError:
        return


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from 1 to 10000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: give seconds") from error
    if not 1.0 <= seconds <= 120.0:
        raise argparse.ArgumentTypeError(f"{text!r}: from 1 to 120 seconds")
    return seconds
