"""janus-export pairs."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from janusd_export.errors import ExportError

if TYPE_CHECKING:
    from janusd_export.faces.pairs import Pairs, People

WHAT = "list pairs of faces, or count those there could be"
MORE = (
    "Writes key_a,key_b,same as CSV. Training needs no such file: it draws its pairs as it goes. Without "
    "--all, --count or --mine it only counts."
)
LIMIT = 1_000_000
_BLOCK = 4096


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--cache", type=Path, required=True, help="what import wrote")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="every possible pair, of a small set")
    which.add_argument("--count", type=int, help="so many sampled pairs, half of them genuine")
    which.add_argument(
        "--mine", choices=["hard", "semi-hard"], help="for each face a genuine pair and a hard impostor one"
    )
    parser.add_argument(
        "--teacher", help="with --mine: whose embeddings say what is hard (the first there is)"
    )
    parser.add_argument(
        "--ceiling",
        type=float,
        default=0.6,
        help="with --mine: an impostor above this cosine is taken for a label mistake (0.6)",
    )
    parser.add_argument("--seed", type=int, default=0, help="which draw (0)")
    parser.add_argument(
        "--limit", type=int, default=LIMIT, help=f"refuse to write more pairs than this ({LIMIT:,})"
    )
    parser.add_argument("--out", type=Path, help="the CSV (standard output)")
    parser.add_argument("--json", action="store_true", help="with no pairs asked for: print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.faces.cache import open_labels
    from janusd_export.faces.pairs import group

    labels = open_labels(options.cache)
    people = group(labels.person, ~labels.is_dropped)
    if not (options.all or options.count is not None or options.mine):
        _print(people, as_json=options.json)
        return
    if options.count is not None and options.count < 1:
        raise ExportError("--count must be at least 1")
    asked = options.count or 2 * len(people.rows)
    if options.all:
        asked = people.genuine_pairs + people.impostor_pairs
    if asked > options.limit:
        size = asked * (2 * len(labels.keys[0]) + 5)
        raise ExportError(
            f"{asked:,} pairs would be a file of about {size / 1e9:,.1f} GB: take a sample with --count, or "
            f"say that you mean it with --limit {asked}"
        )
    if options.out is None:
        _write(sys.stdout, labels.keys, _wanted(options, people))
        return
    beside = options.out.with_suffix(".new")
    try:
        with beside.open("w", newline="", encoding="utf-8") as file:
            _write(file, labels.keys, _wanted(options, people))
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ExportError(f"{options.out}: {error.strerror}") from error
    beside.replace(options.out)


def _wanted(options: argparse.Namespace, people: People) -> Iterator[Pairs]:
    from janusd_export.faces import pairs

    if options.all:
        yield from pairs.all_pairs(people)
    elif options.count is not None:
        whole, rest = divmod(options.count, _BLOCK)
        yield from itertools.islice(pairs.sampled_pairs(people, options.seed, _BLOCK), whole)
        if rest:
            yield next(pairs.sampled_pairs(people, options.seed, rest, start=whole))
    else:
        yield from _mined(options, people)


def _mined(options: argparse.Namespace, people: People) -> Iterator[Pairs]:
    import numpy as np

    from janusd_export.faces import cache, pairs
    from janusd_export.faces.targets import unit
    from janusd_export.faces.teachers import choose

    rows = len(np.load(options.cache / "faces.npy", mmap_mode="r"))
    known = [t.name for t in choose([options.teacher] if options.teacher else None)]
    there = [name for name in known if (options.cache / f"teacher-{name}.npy").exists()]
    if not there:
        raise ExportError(f"{options.cache} has no teacher's embeddings: run janus-export teach")
    embeddings = unit(cache.opinion(options.cache, there[0], rows))
    hardness = pairs.Hardness(options.mine)
    for found in pairs.mined_triplets(embeddings, people, hardness, options.seed, ceiling=options.ceiling):
        count = len(found.anchor)
        yield pairs.Pairs(found.anchor, found.positive, np.ones(count, np.bool_))
        yield pairs.Pairs(found.anchor, found.negative, np.zeros(count, np.bool_))


def _write(file: IO[str], keys: list[str], blocks: Iterator[Pairs]) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["key_a", "key_b", "same"])
    for block in blocks:
        writer.writerows(
            (keys[a], keys[b], int(same))
            for a, b, same in zip(block.first, block.second, block.is_same, strict=True)
        )


def _print(people: People, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    found = {
        "labelled_faces": len(people.rows),
        "people": len(people.counts),
        "people_with_two": int((people.counts >= 2).sum()),
        "genuine_pairs": people.genuine_pairs,
        "impostor_pairs": people.impostor_pairs,
    }
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table("", "")
    table.columns[1].justify = "right"
    for name, value in found.items():
        table.add_row(name.replace("_", " "), f"{value:,}")
    Console().print(table)
