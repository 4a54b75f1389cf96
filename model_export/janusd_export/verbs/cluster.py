"""janus-export cluster."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from janusd import models
from janusd_export.terminal import bars

if TYPE_CHECKING:
    from janusd_export.faces.cluster import Collection

WHAT = "sort a photo folder into stacks of the same person, and enrol from them"
MORE = (
    "Writes each stack's faces, stacks.json and sheet.html, a contact sheet, into OUT. Name stacks by the "
    "numbers on the sheet, and join two by giving them one name; the photographs are not looked at again "
    "unless they change. A named stack is enrolled with the printed command, or with --enrol at once. "
    "Nothing leaves this machine."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("photos", type=Path, help="a folder of photographs, with folders in it or not")
    parser.add_argument("--out", type=Path, required=True, help="where stacks and sheet are written")
    parser.add_argument(
        "--models", type=Path, default=models.RELEASED, help="model directory (the released one)"
    )
    parser.add_argument("--fmr", type=float, default=1e-3, help="false match rate of one comparison (1e-3)")
    parser.add_argument(
        "--name", action="append", default=[], metavar="STACK=NAME", help="say whom a stack shows; repeatable"
    )
    parser.add_argument("--ask", action="store_true", help="ask for the name of each unnamed stack")
    parser.add_argument("--least", type=int, default=3, help="faces a stack needs to be enrolled (3)")
    parser.add_argument("--enrol", action="store_true", help="enrol the named stacks now, through janusctl")
    parser.add_argument(
        "--score", action="store_true", help="the folders are people: say how well the stacks agree with them"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from dataclasses import asdict

    import msgspec

    from janusd_export.errors import ExportError
    from janusd_export.faces.cluster import agreement, name_stack, parse_names, sort_photos
    from janusd_export.faces.contact_sheet import write_sheet
    from janusd_export.faces.device import open_pipeline

    if not 0.0 < options.fmr < 1.0:
        raise ExportError(f"--fmr {options.fmr:g}: give a rate between 0 and 1")
    names = parse_names(options.name)
    with bars() as show:
        found = sort_photos(
            options.photos,
            options.out,
            open_pipeline(options.models),
            fmr=options.fmr,
            progress=lambda done, total: show("photographs", done, total),
        )
    for number, name in names.items():
        found = name_stack(options.out, found, number, name)
    sheet = write_sheet(options.out, found)
    if options.ask:
        found = _ask(options, found)
        sheet = write_sheet(options.out, found)
    commands = _commands(options, found)
    if options.json:
        value = msgspec.to_builtins(found)
        if options.score:
            value["agreement"] = asdict(agreement(found))
        print(json.dumps({**value, "sheet": str(sheet), "enrol": commands}, indent=2))
    else:
        _say(found, sheet, commands)
        if options.score:
            print(agreement(found))
    if options.enrol:
        _enrol(commands)


def _ask(options: argparse.Namespace, found: Collection) -> Collection:
    from janusd_export.errors import ExportError
    from janusd_export.faces.cluster import name_stack

    if not sys.stdin.isatty():
        raise ExportError("there is nobody here to ask: give --name STACK=NAME")
    print(f"Look at {options.out / 'sheet.html'}. Enter leaves a stack without a name.")
    for stack in found.stacks:
        if len(stack.faces) >= options.least and not stack.name:
            name = input(f"Stack {stack.number}, {len(stack.faces)} faces, is: ").strip()
            if name:
                found = name_stack(options.out, found, stack.number, name)
    return found


def _commands(options: argparse.Namespace, found: Collection) -> list[list[str]]:
    """What janusctl is told to enrol each named stack that has enough faces."""
    return [
        ["enrol", stack.name, "--from-images", str(options.out / stack.folder)]
        for stack in found.stacks
        if stack.name and len(stack.faces) >= options.least
    ]


def _say(found: Collection, sheet: Path, commands: list[list[str]]) -> None:
    several = [stack for stack in found.stacks if len(stack.faces) > 1]
    faces = sum(len(stack.faces) for stack in found.stacks)
    alone = len(found.stacks) - len(several)
    print(f"{found.photos} photographs, {faces} faces: {len(several)} stacks, {alone} alone")
    for stack in found.stacks:
        if len(stack.faces) < 2 and not stack.name:
            continue
        print(
            f"  {stack.number:>4}  {len(stack.faces):>4} faces  mean score {stack.cohesion:.2f}  {stack.name}"
        )
    for what, names in (("no face in", found.no_face), ("not a picture:", found.unreadable)):
        for name in names:
            print(f"  {what} {name}")
    if found.unfit:
        print(f"  {len(found.unfit)} faces too small, turned or blurred to compare")
    print(f"contact sheet: {sheet}")
    for command in commands:
        print(f"to enrol: janusctl {shlex.join(command)}")


def _enrol(commands: list[list[str]]) -> None:
    from janusd.cli.main import main as janusctl
    from janusd_export.errors import ExportError

    refused = [command[1] for command in commands if janusctl(command) != 0]
    if refused:
        raise ExportError(f"janusctl did not enrol {', '.join(refused)}: it says why above")
