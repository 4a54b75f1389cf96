"""janus-export import."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from janusd_export.errors import ExportError
from janusd_export.terminal import bars

if TYPE_CHECKING:
    from janusd_export.faces.intake import Summary

WHAT = "find, align and measure the faces of photographs, and keep them in a cache"
MORE = (
    "A source is a folder per person (also below images/train/), a folder of unknown people, a .csv of paths "
    "and people, .tar shards of photographs, or shards of aligned faces. What becomes no face is in "
    "CACHE/refused.csv with the reason. It can be interrupted, and repeated when a source has changed: only "
    "what is new is looked at."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("sources", nargs="+", metavar="[NAME=]SOURCE", help="what to import")
    parser.add_argument("--cache", type=Path, required=True, help="where the faces are kept")
    parser.add_argument(
        "--kind",
        choices=["tree", "flat", "csv", "tars", "shards"],
        help="how the sources are laid out, where it is not recognised",
    )
    parser.add_argument("--margin", type=int, default=16, help="pixels kept around the 112 px crop (16)")
    parser.add_argument("--grey", action="store_true", help="store faces without colour")
    parser.add_argument(
        "--min-eyes-px", type=float, default=16.0, help="fewest pixels between the eyes in a photograph (16)"
    )
    parser.add_argument(
        "--same-people", action="store_true", help="a name means the same person in all sources"
    )
    parser.add_argument("--moved", action="store_true", help="a source of this name is at another place now")
    parser.add_argument("--jobs", type=int, default=1, help="processes that look at pictures (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from rich.console import Console

    from janusd_export.faces.intake import run_import
    from janusd_export.faces.sources import Kind, recognise
    from janusd_export.faces.stored import Wanted

    if options.margin < 0 or options.jobs < 1:
        raise ExportError("--margin must be at least 0 and --jobs at least 1")
    kind = Kind(options.kind) if options.kind else None
    sources = [recognise(given, kind) for given in options.sources]
    say = Console(stderr=True, highlight=False, soft_wrap=True)
    for source in sources:
        say.print(f"{source.name}: {source.kind.explanation} in {source.path}", markup=False)
    with bars() as show:
        summaries = run_import(
            sources,
            options.cache,
            Wanted(options.margin, options.grey, options.min_eyes_px),
            jobs=options.jobs,
            same_people=options.same_people,
            has_moved=options.moved,
            progress=show,
        )
    if options.json:
        print(json.dumps({"cache": str(options.cache), "sources": [asdict(s) for s in summaries]}, indent=2))
    else:
        _print(summaries, options.cache)


def _print(summaries: list[Summary], cache: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from janusd_export.faces.sources import Refusal

    console = Console(highlight=False)
    table = Table(title=f"in {cache}")
    table.add_column("")
    for summary in summaries:
        table.add_column(summary.name, justify="right")

    def add(what: str, values: list[int]) -> None:
        if any(values):
            table.add_row(what, *(f"{value:,}" for value in values))

    add("pictures", [s.pictures for s in summaries])
    add("  of them looked at before", [s.kept for s in summaries])
    add("faces", [s.faces for s in summaries])
    add("  of known people", [s.labelled for s in summaries])
    add("  a door would refuse (kept, see `fails`)", [s.unfit for s in summaries])
    add("  the door's detector does not see (kept)", [s.unseen for s in summaries])
    add("people", [s.people for s in summaries])
    add("  with a single face", [s.one_photo_people for s in summaries])
    table.add_section()
    add("refused", [sum(s.refused.values()) for s in summaries])
    for reason in Refusal:
        add(f"  {reason.explanation}", [s.refused.get(reason.value, 0) for s in summaries])
    add("no longer in the source", [s.gone for s in summaries])
    console.print(table)
    if any(s.refused for s in summaries):
        console.print(f"{cache / 'refused.csv'} names each refused picture", soft_wrap=True)
