"""Show a board, or check a latch.toml against it."""

from __future__ import annotations

import argparse
import sys

from janusd.errors import JanusError
from janusd_hw import boards
from janusd_hw.latchd import settings as configuration


def main(arguments: list[str] | None = None) -> int:
    """Print a board's pins, or what speaks against a latch.toml; exit status 1 when something does."""
    parser = argparse.ArgumentParser(
        prog="python -m janusd_hw.boards", description="Pins of a board, and what to wire where."
    )
    parser.add_argument("board", nargs="?", help=f"one of {', '.join(boards.names())}; by default this one")
    parser.add_argument("--check", metavar="FILE", help="a latch.toml, to be held against the board")
    options = parser.parse_args(arguments)
    try:
        board = boards.load(options.board) if options.board else boards.detect()
        if options.check:
            return _check(board, configuration.load(options.check))
    except JanusError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{board.name}: chip {board.chip}, a dead owner's line {board.dead_owner}")
    roles = {line: role for role, line in board.wiring.items()}
    for pin, line in sorted(board.pins.items()):
        note = board.forbidden.get(line) or (f"recommended for: {roles[line]}" if line in roles else "")
        print(f"  pin {pin:2}  line {line:3}  pulled {board.boot_pull(line):7} {note}".rstrip())
    print(f"cameras: {board.camera}; networks: {board.accelerator}, {board.threads} threads")
    return 0


def _check(board: boards.Board, settings: configuration.Settings) -> int:
    concerns = [
        f"door.{door.name}.{role}: {why}"
        for door in settings.doors
        for role, line in door.lines.items()
        if isinstance(line.line, int) and line.chip == board.chip
        for why in board.concerns(role, line.line, active_low=line.active_low)
    ]
    unchecked = sum(
        line.chip != board.chip or isinstance(line.line, str)
        for d in settings.doors
        for line in d.lines.values()
    )
    print("\n".join(concerns) or f"nothing speaks against these lines on a {board.name}")
    if unchecked:
        print(f"{unchecked} lines were not checked: they have names, or are not on {board.chip}")
    return 1 if concerns else 0


if __name__ == "__main__":
    sys.exit(main())
