"""`janusctl bench`: the door times its own stages; what came of it, and how other boards stand beside it."""

from __future__ import annotations

import argparse
import json
import platform
from dataclasses import asdict
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.references import REFERENCES, Reference
from janusd.cli.remote import RemoteDoor
from janusd.door import Measurement
from janusd.escape import escape

_WHOLE = "frame to decision"
_MODEL = Path("/proc/device-tree/model")
_PROCESSORS = Path("/proc/cpuinfo")


def run(door: RemoteDoor, args: argparse.Namespace) -> Exit:
    """Let the door measure itself; print median and 95th percentile a stage, and its place."""
    measured = door.measure(args.seconds)
    rows = REFERENCES.get(measured.encoder, ())
    if args.json:
        told = {
            "board": board(),
            "measurement": asdict(measured),
            "references": [asdict(row) for row in rows],
            "place": place(measured, rows),
        }
        print(json.dumps(told, indent=2))
        return Exit.OK
    _draw(measured, rows)
    return Exit.OK


def board() -> str:
    """What this device calls itself: the board, else its processor."""
    try:
        return _MODEL.read_text(encoding="utf-8").strip("\0\n ")
    except (OSError, UnicodeDecodeError):
        pass
    try:
        lines = _PROCESSORS.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{platform.machine()}, {named[0]}" if named else platform.machine()


def median_ms(measured: Measurement, stage: str) -> float | None:
    """The median of a stage; None where it was not timed."""
    return next((timing.median_ms for timing in measured.stages if timing.stage == stage), None)


def place(measured: Measurement, rows: tuple[Reference, ...]) -> list[str]:
    """This door among the rows by the encoder's time, the fastest first; itself as ""."""
    own_ms = median_ms(measured, "embed")
    if own_ms is None:
        return []
    ranked = sorted([(row.embed_ms, row.board) for row in rows] + [(own_ms, "")])
    return [name for _, name in ranked]


def _draw(measured: Measurement, rows: tuple[Reference, ...]) -> None:
    from rich.table import Table  # noqa: PLC0415  # slow to import, and --json does without

    from janusd.cli import show  # noqa: PLC0415

    console = show.console()
    seen = f"{measured.faces} of {measured.frames} frames with a face"
    assumed = "" if measured.faces == measured.frames else "; in the others one was assumed in the middle"
    console.print(
        f"{escape(board(), 120)}: {escape(measured.camera, 120)}, {measured.width_px}x{measured.height_px}, "
        f"{seen}{assumed}."
    )
    console.print(
        f"{escape(measured.detector)} + {escape(measured.encoder)} on {escape(measured.accelerator)}, "
        f"compared with {measured.templates} samples. The door went on meanwhile.\n"
    )
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("stage", "median ms", "p95 ms", "times"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for timing in measured.stages:
        row = (escape(timing.stage), _ms(timing.median_ms), _ms(timing.p95_ms), str(timing.count))
        table.add_row(*row, style="bold" if timing.stage == _WHOLE else None)
    console.print(table)
    own_ms = median_ms(measured, "embed")
    if own_ms is None:
        return
    if not rows:
        console.print(
            f"\nNobody has measured {escape(measured.encoder)} elsewhere: nothing stands beside it."
        )
        return
    console.print("\nBeside other boards, by the encoder alone:")
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 3, 0, 0))
    for heading in ("embed ms", "to decision", "", "how it is known"):
        table.add_column(heading, justify="right" if "m" in heading or "to" in heading else "left")
    own = Reference("this door", "measured", own_ms, median_ms(measured, _WHOLE), "just now")
    for one in sorted([*rows, own], key=lambda one: (one.embed_ms, one.board)):
        embed = f"{'≥ ' if one.kind == 'derived' else ''}{_ms(one.embed_ms)}"
        decision = "-" if one.decision_ms is None else _ms(one.decision_ms)
        words = one.source if one.kind == "measured" else f"not measured: a floor; {one.source}"
        table.add_row(embed, decision, one.board, words, style="bold" if one is own else None)
    console.print(table)
    console.print("A floor is what the arithmetic alone needs; nobody has run janusd on those boards yet.")


def _ms(ms: float) -> str:
    return f"{ms:.2f}" if ms < 1 else f"{ms:.1f}"
