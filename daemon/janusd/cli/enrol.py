"""`janusctl enrol`: live before the camera, or from a folder of pictures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from janusd.cli import terms
from janusd.cli.client import PictureRefused
from janusd.cli.exits import Exit, exit_of, problem
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.door import Feedback, Person, Review
from janusd.errors import OwnerError
from janusd.escape import escape
from janusd.language import language_of, words

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

MAX_PICTURE_BYTES = 9_000_000
"""In base64 this just fits the 12 MiB the daemon reads."""

PICTURES = ("auto", "blocks", "sixel", "kitty", "none")
SLOWEST_KB, FASTEST_KB = 4, 2000


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of one picture, or of one side before the camera."""

    source: str
    """The file's name, or "camera"."""
    accepted: bool
    reason: str
    hint: str
    """What was wrong; of a live sample the side it shows."""
    samples: int
    wanted: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """What `janusctl enrol` takes besides the name."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--live", action="store_true", help="before the door's own camera (default)")
    source.add_argument("--from-images", type=Path, metavar="DIR",
                        help="take the .jpg .png .webp files in DIR, one face each")  # fmt: skip
    parser.add_argument("--reinforce", action="store_true",
                        help="add samples to somebody enrolled: at dusk, with glasses")  # fmt: skip
    terms.arguments(parser)
    parser.add_argument("--yes", action="store_true", help="store without a question at the end")
    parser.add_argument("--picture", choices=PICTURES, default="auto",
                        help="how to show the live picture; none gives hints alone (auto)")  # fmt: skip
    parser.add_argument("--rate", type=_rate, default=100, metavar="KB",
                        help="kilobytes a second at most for the live picture (100)")  # fmt: skip


def enrol(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Enrol somebody; nothing is stored unless it ends well."""
    wanted = terms.given(args)
    if args.reinforce and wanted:
        raise Usage("--reinforce leaves the terms as they are; change them with janusctl people set")
    hours = str(wanted.pop("hours", ""))
    files = find_pictures(args.from_images) if args.from_images else None
    samples: list[Sample] = []
    try:
        token = (
            door.begin_reinforcement(args.name) if args.reinforce else door.begin_enrolment(args.name, hours)
        )
        if wanted:  # at once: what cannot be is said before anybody turns their head
            door.set_enrolment_terms(token, wanted)
        if files is None:
            samples.extend(_live(door, token, args))
        elif args.json:
            samples.extend(_files(door, token, files))
        else:
            _show(_files(door, token, files), samples, files)
        review = door.review_enrolment(token) if samples and samples[-1].samples else None
        if not _confirmed(args, review, lambda other: door.set_enrolment_terms(token, other)):
            return Exit.REFUSED
        person = door.commit_enrolment(token)
    except OwnerError as e:
        if args.json:
            print(json.dumps({**problem(e), "samples": [asdict(s) for s in samples]}, indent=2))
            return exit_of(e)
        raise
    _tell(args, person, review, samples)
    return Exit.OK


def find_pictures(folder: Path) -> list[Path]:
    """The pictures directly in that folder, by name. Raises Usage when there are none."""
    try:
        found = sorted(
            path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
        )
    except OSError as e:
        raise Usage(f"cannot look into {escape(str(folder), 200)}: {e.strerror}") from e
    if not found:
        raise Usage(f"no pictures in {escape(str(folder), 200)}; put {' '.join(SUFFIXES)} files there")
    return found


def _files(door: RemoteDoor, token: str, files: Sequence[Path]) -> Iterator[Sample]:
    """Offer each file. A file that is no picture is refused like a bad sample; the others still count."""
    samples, wanted = 0, 0
    for path in files:
        try:
            if path.stat().st_size > MAX_PICTURE_BYTES:
                hint = f"larger than {MAX_PICTURE_BYTES // 1_000_000} MB: save it smaller"
                yield Sample(path.name, False, "too_large", hint, samples, wanted)
                continue
            feedback = door.add_image(token, path.read_bytes())
        except PictureRefused as e:
            yield Sample(path.name, False, "not_a_picture", str(e), samples, wanted)
        except OSError as e:
            yield Sample(path.name, False, "unreadable", f"cannot be read: {e.strerror}", samples, wanted)
        else:
            samples, wanted = feedback.samples, feedback.wanted
            yield _sample(path.name, feedback)


def _live(door: RemoteDoor, token: str, args: argparse.Namespace) -> Iterator[Sample]:
    """Guide the face before the camera, with as much of a picture as this terminal shows."""
    from janusd.cli import stages  # noqa: PLC0415  # with termios and signals: only where somebody is guided
    from janusd.cli.guided import Stage, lead  # noqa: PLC0415
    from janusd.cli.terminal.ability import Way, best_way, can_draw, has_true_colour  # noqa: PLC0415
    from janusd.cli.terminal.line import Line  # noqa: PLC0415
    from janusd.cli.terminal.screen import Keys, Screen  # noqa: PLC0415

    out, is_asked = (sys.stderr if args.json else sys.stdout), sys.stdin.isatty() and not args.json
    with ExitStack() as opened:
        say = words(language_of(os.environ))
        stage: Stage = stages.LineStage(out, input if is_asked else None, say=say)
        if is_asked and args.picture != "none" and can_draw(out, os.environ):
            keys = opened.enter_context(Keys(sys.stdin.fileno()))
            way = Way(args.picture) if args.picture != "auto" else best_way(out, os.environ, keys_fd=keys.fd)
            stage = stages.ScreenStage(
                opened.enter_context(Screen(out)),
                keys,
                way,
                true_colour=has_true_colour(os.environ),
                bytes_a_second=1000 * args.rate,
                say=say,
                line=Line(1000 * args.rate),
            )
        for side, count, wanted in lead(door, token, args.name, stage):
            yield Sample("camera", True, "good", side, count, wanted)


def _sample(source: str, feedback: Feedback) -> Sample:
    return Sample(
        source, feedback.accepted, feedback.reason, feedback.hint, feedback.samples, feedback.wanted
    )


def _show(tries: Iterator[Sample], samples: list[Sample], files: Sequence[Path]) -> None:
    """Show each picture as it is looked at, and how far along it is."""
    from janusd.cli import show  # noqa: PLC0415

    console = show.console()
    with show.progress(console, len(files)) as advance:
        for sample in tries:
            samples.append(sample)
            console.print(show.sample(sample))
            advance()


def _confirmed(
    args: argparse.Namespace, review: Review | None, change_terms: Callable[[terms.Given], None]
) -> bool:
    """Show what is about to be stored, and ask; without somebody to ask, the command line was the answer."""
    if review is None or args.json:
        return True
    from janusd.cli import enrol_report, show  # noqa: PLC0415

    show.console().print(enrol_report.draw(review))
    if args.yes or review.looks_alike or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True  # where it looks like somebody else, the daemon refuses, and says why
    keys = "[Y/n]" if args.reinforce else "[Y/n, or t for role, hours and expiry]"
    while True:
        answer = input(f"Store these samples as {escape(review.name)}? {keys} ").strip().lower()
        if answer in ("", "y", "yes"):
            return True
        if answer != "t" or args.reinforce:
            print("Nothing was stored.")
            return False
        try:
            change_terms(terms.ask(input))
        except OwnerError as e:
            print(f"  {escape(str(e), 400)}")


def _tell(args: argparse.Namespace, person: Person, review: Review | None, samples: Sequence[Sample]) -> None:
    """Say what was stored."""
    if args.json:
        told = {
            "person": asdict(person),
            "review": asdict(review) if review else None,
            "samples": [asdict(sample) for sample in samples],
        }
        print(json.dumps(told, indent=2))
        return
    from janusd.cli import show  # noqa: PLC0415  # only where something is drawn

    wanted = max((sample.wanted for sample in samples), default=0)
    refused = [sample.reason for sample in samples if not sample.accepted]
    show.console().print(show.samples_report(person, wanted, refused))


def _rate(text: str) -> int:
    if not text.isdecimal() or not SLOWEST_KB <= int(text[:6]) <= FASTEST_KB:
        raise argparse.ArgumentTypeError(
            f"cannot use {text!r}; give a number from {SLOWEST_KB} to {FASTEST_KB}"
        )
    return int(text)
