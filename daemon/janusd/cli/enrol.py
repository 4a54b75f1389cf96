"""`janusctl enrol`: from a folder of pictures, or live before the camera."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from janusd.cli.client import PictureRefused
from janusd.cli.exits import Exit, exit_of, problem
from janusd.cli.remote import RemoteDoor
from janusd.cli.verbs import Usage
from janusd.door import Feedback
from janusd.errors import OwnerError
from janusd.escape import escape

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

MAX_PICTURE_BYTES = 9_000_000
"""In base64 this just fits the 12 MiB the daemon reads."""

_POSES = (
    "Look straight at the camera",
    "Turn your head a little to the left",
    "Turn your head a little to the right",
    "Lift your chin a little",
    "Lower your chin a little",
)
_LIVE_TIMEOUT_S = 10.0
_MAX_REFUSED_IN_A_ROW = 12
"""Two minutes without one usable frame: nobody is there, or it is too dark to go on."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What became of one picture or one live try."""

    source: str
    """The file's name, or "camera"."""
    accepted: bool
    reason: str
    hint: str
    samples: int
    wanted: int


def enrol(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Enrol somebody; nothing is stored unless it ends well."""
    files = None if args.live else find_pictures(args.from_images)
    samples: list[Sample] = []
    try:
        token = door.begin_enrolment(args.name, args.hours)
        tries = _live(door, token, is_asking=_can_ask(args)) if files is None else _files(door, token, files)
        if args.json:
            samples.extend(tries)
        else:
            _show(tries, samples, files)
        person = door.commit_enrolment(token)
    except OwnerError as e:
        if args.json:
            print(json.dumps({**problem(e), "samples": [asdict(s) for s in samples]}, indent=2))
            return exit_of(e)
        raise
    if args.json:
        print(json.dumps({"person": asdict(person), "samples": [asdict(s) for s in samples]}, indent=2))
    else:
        from janusd.cli import show  # noqa: PLC0415  # only where something is drawn

        wanted = max((sample.wanted for sample in samples), default=0)
        refused = [sample.reason for sample in samples if not sample.accepted]
        show.console().print(show.samples_report(person, wanted, refused))
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


def _live(door: RemoteDoor, token: str, *, is_asking: bool) -> Iterator[Sample]:
    """Take camera frames until they are enough, one pose after the other."""
    samples, wanted, refused_in_a_row = 0, 1, 0
    while samples < wanted and refused_in_a_row < _MAX_REFUSED_IN_A_ROW:
        if is_asking:
            input(f"{_POSES[samples % len(_POSES)]}, then press Enter. ")
        feedback = door.add_live(token, _LIVE_TIMEOUT_S)
        samples, wanted = feedback.samples, feedback.wanted
        refused_in_a_row = 0 if feedback.accepted else refused_in_a_row + 1
        yield _sample("camera", feedback)


def _sample(source: str, feedback: Feedback) -> Sample:
    return Sample(
        source, feedback.accepted, feedback.reason, feedback.hint, feedback.samples, feedback.wanted
    )


def _can_ask(args: argparse.Namespace) -> bool:
    return sys.stdin.isatty() and not args.json and not args.no_wait


def _show(tries: Iterator[Sample], samples: list[Sample], files: Sequence[Path] | None) -> None:
    """Show each try as it is made, and how far along it is."""
    from janusd.cli import show  # noqa: PLC0415

    console = show.console()
    with show.progress(console, len(files) if files else None) as advance:
        for sample in tries:
            samples.append(sample)
            console.print(show.sample(sample))
            advance()
