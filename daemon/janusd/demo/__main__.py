"""`make demo`: watch a door open for the people enrolled there and stay shut for everybody else."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from rich.console import Console
from rich.table import Table

from janusd.cli.remote import RemoteDoor
from janusd.config import AttackSection
from janusd.core.reason import Reason
from janusd.demo.album import album
from janusd.demo.running import RunningDoor
from janusd.demo.sheet import write_sheet
from janusd.demo.story import FPS, Outcome, enrol, play, write_street
from janusd.demo.street import street

STAGES = ("detect", "align", "quality", "embed", "match")


def main(arguments: list[str] | None = None) -> int:
    """Play the story; 0 when it came out right."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=options.json, highlight=False)
    people = album()
    visits = street(options.seed, people)[: options.visits]
    with tempfile.TemporaryDirectory(prefix="janusd-demo-") as scratch:
        door = RunningDoor(Path(scratch) / "door", fps=FPS)
        console.rule("[bold]1. Three residents are enrolled")
        with door:
            _introduce(console, door)
            for person in (person for person in people.values() if person.is_resident):
                feedbacks = list(enrol(door, person))
                good = sum(feedback.accepted for feedback in feedbacks)
                console.print(f"   {person.name:8} {good} of {len(feedbacks)} photographs taken as samples")
        console.print("   the daemon stops and starts again: the vault on disk is all it has")
        console.rule("[bold]2. A street walks past")
        painted = Path(scratch) / "street"
        with console.status("painting the street"):
            write_street(painted, visits, options.seed)
        outcomes: list[Outcome] = []
        for outcome in play(door, painted, visits):
            outcomes.append(outcome)
            console.print(_line(len(outcomes), outcome), soft_wrap=True)
        console.rule("[bold]3. What came of it")
        right = _conclude(console, outcomes)
    picture = write_sheet(options.picture, outcomes, people, seed=options.seed)
    console.print(f"   every visit as a picture: {picture}")
    if options.json:
        print(json.dumps(_figures(outcomes), indent=2))
    return 0 if right else 1


def _introduce(console: Console, door: RunningDoor) -> None:
    with door.connect() as client:
        status = RemoteDoor(client).status()
    console.print(f"   encoder   {status.encoder}, int8, on {status.accelerator}")
    console.print(f"   detector  {status.detector}")
    console.print(f"   promise   {status.promise}")
    console.print("   camera and latch are simulated; daemon, networks, vault and socket are the real ones")
    console.print(
        f"   attacks   level {AttackSection().level}, the default: its people are pictures, and are let in "
        "as people; nobody here is called live"
    )


def _line(number: int, outcome: Outcome) -> str:
    visit = outcome.visit
    reason = Reason(outcome.reason)
    door = f"[green]opens for {outcome.unlocked_for}[/]" if outcome.unlocked_for else f"stays shut: {reason}"
    score = f"{outcome.best_score:.2f}" if outcome.best_score is not None else "  - "
    decided_ms = [sum(event.stage_ms.values()) for event in outcome.events if "embed" in event.stage_ms]
    latency = f"{np.median(decided_ms):3.0f} ms a frame" if decided_ms else f"{'':14}"
    held = "".join(
        f", relay {pulse.held_s:.2f} s" for pulse in outcome.pulses[:1] if pulse.held_s is not None
    )
    verdict = "[green]right[/]" if outcome.is_right else "[bold red]WRONG[/]"
    who = " and ".join(visit.people)
    return f"   {number:2}  {who:22} {visit.light.value:10} {verdict}  score {score}  {latency}  {door}{held}"


def _conclude(console: Console, outcomes: Sequence[Outcome]) -> bool:
    figures = _figures(outcomes)
    counts = figures["visits"]
    table = Table(title="Decisions", title_justify="left", show_edge=False)
    for column in ("", "visits", "right"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("residents let in", str(counts["residents"]), str(counts["right_unlocks"]))
    table.add_row("everybody else kept out", str(counts["others"]), str(counts["right_refusals"]))
    table.add_row("[bold]wrong unlocks", "", f"[bold]{counts['wrong_unlocks']}")
    console.print(table)
    table = Table(title="Milliseconds a frame", title_justify="left", show_edge=False)
    for column in ("", *STAGES, "whole"):
        table.add_column(column, justify="right")
    for name in ("median", "p95"):
        row = figures["latency_ms"][name]
        table.add_row(name, *(f"{row[stage]:.1f}" for stage in (*STAGES, "whole")))
    console.print(table)
    right = all(outcome.is_right for outcome in outcomes)
    console.print("[bold green]The story came out right." if right else "[bold red]The story came out wrong.")
    return right


class _Figures(TypedDict):
    visits: dict[str, int]
    latency_ms: dict[str, dict[str, float]]


def _figures(outcomes: Sequence[Outcome]) -> _Figures:
    residents = [outcome for outcome in outcomes if outcome.visit.person]
    others = [outcome for outcome in outcomes if not outcome.visit.person]
    timed = [event.stage_ms for outcome in outcomes for event in outcome.events if "match" in event.stage_ms]
    per_stage = {stage: [ms[stage] for ms in timed] for stage in STAGES}
    per_stage["whole"] = [sum(ms.values()) for ms in timed]
    return {
        "visits": {
            "residents": len(residents),
            "right_unlocks": sum(outcome.is_right for outcome in residents),
            "others": len(others),
            "right_refusals": sum(outcome.is_right for outcome in others),
            "wrong_unlocks": sum(outcome.is_wrong_unlock for outcome in outcomes),
        },
        "latency_ms": {
            name: {
                stage: round(float(np.quantile(ms, share)), 2) if ms else 0.0
                for stage, ms in per_stage.items()
            }
            for name, share in (("median", 0.5), ("p95", 0.95))
        },
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m janusd.demo",
        description=__doc__,
        epilog="Exit status 0 when every visit came out right: residents let in, everybody else kept out.",
    )
    parser.add_argument("--seed", type=int, default=0, help="another street (default: %(default)s)")
    parser.add_argument("--visits", type=int, metavar="N", help="only the first N of the street's visits")
    parser.add_argument(
        "--json", action="store_true", help="print the figures as JSON; the story goes to stderr"
    )
    parser.add_argument("--picture", type=Path, default=Path("build/demo.png"), metavar="FILE",
                        help="where the contact sheet goes (default: %(default)s)")  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(main())
