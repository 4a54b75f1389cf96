"""Runs the trials and draws the table: `make torture`, `make torture-short`; --help says the rest.

Ends with 1 after any harm, and where a row tried nothing.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from support.powercut import PowerCut
from torture import crowd, forgetting, forging, guessing, kills, latency, powercuts, tampering, wire
from torture.row import Row, Tick, is_well, table

Run: TypeAlias = Callable[[int, int, Path, Tick], list[Row]]
"""How often, which seed, an empty folder, and whom to tell of each."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One kind of trouble."""

    name: str
    run: Run
    full: int
    short: int


TRIALS = (
    Trial("cuts", powercuts.cuts, 10_000, 600),
    Trial("crops", powercuts.re_embeddings, 500, 40),
    Trial("faults", powercuts.faults, 1, 6),
    Trial("kills", kills.daemon, 200, 12),
    Trial("drops", kills.wizard, 200, 20),
    Trial("crowd", crowd.enrolments, 50, 12),
    Trial("rows", tampering.rows, 1000, 100),
    Trial("database", tampering.database, 1000, 100),
    Trial("models", tampering.models, 1000, 60),
    Trial("config", tampering.config, 1000, 1000),
    Trial("credential", tampering.credential, 1000, 100),
    Trial("others", tampering.others, 1000, 100),
    Trial("messages", wire.messages, 1_000_000, 20_000),
    Trial("socket", wire.over_socket, 20_000, 1000),
    Trial("guessing", guessing.lives, 1000, 40),
    Trial("forging", forging.lines, 20_000, 1000),
    Trial("forgetting", forgetting.lives, 100, 10),
    Trial("latency", latency.beside_clients, 2000, 80),
)


def _all_but_power_cuts(told: sys.UnraisableHookArgs) -> None:
    """A database whose power is gone cannot close itself, and apsw tells Python so."""
    if not isinstance(told.exc_value, PowerCut):
        sys.__unraisablehook__(told)


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for."""
    options = parser().parse_args(arguments)
    chosen = [trial for trial in TRIALS if not options.only or trial.name in options.only]
    logging.disable(logging.CRITICAL)  # a daemon that is tortured says much
    sys.unraisablehook = _all_but_power_cuts
    try:
        rows = run(options, chosen)
    finally:
        logging.disable(logging.NOTSET)
        sys.unraisablehook = sys.__unraisablehook__
    if options.json:
        print(json.dumps({"seed": options.seed, "rows": [row.as_json() for row in rows]}, indent=2))
    else:
        print(table(rows))
    return 0 if is_well(rows) else 1


def run(options: argparse.Namespace, chosen: list[Trial]) -> list[Row]:
    """One after the other, with a bar each."""
    rows: list[Row] = []
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        for trial in chosen:
            times = options.times or (trial.short if options.short else trial.full)
            task = progress.add_task(trial.name, total=times)
            begun_s = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="torture-") as folder:
                found = trial.run(times, options.seed, Path(folder), lambda task=task: progress.advance(task))
            found[0].seconds = time.monotonic() - begun_s
            progress.update(task, completed=times)
            rows += found
            if not options.json and not sys.stderr.isatty():
                print(f"{trial.name} done", file=sys.stderr, flush=True)
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    asked = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    asked.add_argument("--short", action="store_true", help="about three minutes instead of an hour")
    asked.add_argument("--seed", type=int, default=5, help="draws the same trouble again (default 5)")
    asked.add_argument("--only", nargs="+", choices=[trial.name for trial in TRIALS], help="these alone")
    asked.add_argument("--times", type=int, default=0, help="how often, instead of the usual number")
    asked.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return asked


if __name__ == "__main__":
    sys.exit(main())
