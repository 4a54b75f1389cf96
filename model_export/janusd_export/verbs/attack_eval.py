"""janus-export attack-eval."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from janusd_export.errors import ExportError
from janusd_export.terminal import bars, measuring

if TYPE_CHECKING:
    from collections.abc import Iterator

    from janusd.pipeline import Pipeline
    from janusd_export.evaluation.attack_eval import Progress, Row

WHAT = "measure attack detection: on recorded clips, or on simulated attacks"
MORE = (
    "FOLDER/SPECIES/CLIP: a folder for each attack species and one called genuine, clips are video files or "
    "folders of pictures. Every clip's own face is enrolled first: only attack detection can refuse it. "
    "Live: the nose stood out on a way without a break. Challenge: the turns asked for were shown. Opens "
    "passive, opens live, opens asked: a door at that level, or one that asks for turns, would have opened. "
    "What is no clip is named, and not counted; one without a face is refused, and named. Films are of "
    "people and draws that no bound was chosen on, unless --development asks for the others. Figures of "
    "--simulated say SIMULATED in every line, and nothing about real prints, screens or cameras."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("folder", type=Path, nargs="?", help="recorded clips")
    parser.add_argument("--simulated", action="store_true", help="make the attacks instead")
    parser.add_argument(
        "--count", type=int, default=300, help="simulated presentations a species (300; 0: none)"
    )
    parser.add_argument(
        "--pictures", type=int, default=12, help="of which whole frames are drawn (12; 0: none)"
    )
    parser.add_argument(
        "--films", type=int, default=12, help="films a species, of stills and of heads (12; 0: none)"
    )
    parser.add_argument(
        "--asked",
        type=int,
        default=12,
        help="actors a species before a door that asks for turns (12; 0: none)",
    )
    parser.add_argument(
        "--development",
        action="store_true",
        help="films and actors of the people and draws that bounds were chosen on",
    )
    parser.add_argument(
        "--generator", type=Path, help="the generator's folder, as for synthesize: actors and heads it draws"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulation (1)")
    parser.add_argument(
        "--fps",
        type=float,
        help="of clips that are folders (10), or against a video's own; of challenges by landmarks (15)",
    )
    measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd import models
    from janusd.config import ModelSection
    from janusd.main import open_pipeline
    from janusd_export.evaluation import attack_eval

    if options.simulated == (options.folder is not None):
        raise ExportError("give a folder of clips, or --simulated: see janus-export attack-eval --help")
    pipeline = open_pipeline(ModelSection(), models.load(options.models))
    label = "SIMULATED" if options.simulated else "recorded"
    rows: list[Row] = []
    with bars() as show:
        for row in _rows(options, pipeline, show):
            rows.append(row)
            if not options.json:
                print("\n".join(_lines(row, label)), flush=True)
    cost = attack_eval.added_time(pipeline)
    if options.json:
        entries = [_entry(row, label) for row in rows]
        print(json.dumps({"kind": label, "time": cost, "rows": entries}, indent=2))
        return
    print(
        f"{label} time added a frame: {cost['share']:.1%} of detect + embed "
        f"({cost['added_ms']:.2f} of {cost['detect_and_embed_ms']:.1f} ms; "
        f"the longest look {cost['longest_ms']:.1f} ms)"
    )


def _rows(options: argparse.Namespace, pipeline: Pipeline, show: Progress) -> Iterator[Row]:
    from janusd_export.attacks.films import Part
    from janusd_export.evaluation import attack_eval

    if not options.simulated:
        yield from attack_eval.clips(options.folder, pipeline, options.fps, show)
        return
    if options.count:
        yield from attack_eval.simulated_heads(options.count, options.seed, show)
        yield from attack_eval.simulated_challenges(options.count, options.seed, show, options.fps or 15.0)
    if options.pictures:
        yield from attack_eval.simulated_pictures(pipeline, options.pictures, options.seed, show)
    part = Part.DEVELOPMENT if options.development else Part.HELD_OUT
    if options.films:
        yield from attack_eval.simulated_films(
            pipeline, options.films, part, options.seed, show, options.generator
        )
    if options.asked:
        yield from attack_eval.simulated_askings(
            pipeline, options.asked, part, options.seed, show, options.generator
        )


def _lines(row: Row, label: str) -> list[str]:
    from janusd.core import rates

    held_out = ", held out" if row.is_held_out else ", development" if row.part in {"films", "asked"} else ""
    given = ", ".join(f"{reason} {count}" for reason, count in sorted(row.reasons.items()))
    lines = []
    for asked in row.passed:
        errors = row.errors(asked)
        low, high = rates.bounds(errors, row.trials)
        lines.append(
            f"{label} {row.part:9} {row.species + held_out:56} {asked:13} {row.rate_name} "
            f"{errors / row.trials:6.1%} [{low:.1%}, {high:.1%}]  {errors} of {row.trials}"
        )
    lines += [f"{label} {row.part:9} {row.species:46} said: {given}"] if given else []
    if row.faceless:
        without = f"no face in {row.faceless} of {row.trials}, which count as refused"
        lines.append(f"{label} {row.part:9} {row.species:46} {without}")
    for one in row.clips:
        words = ", ".join(one.passed) or "refused"
        why = ", ".join(one.reasons)
        seen = f"a face in {one.faces} of {one.frames} frames"
        lines.append(f"{label} clip      {row.species}/{one.clip}: {words}; {seen}{why and '; said: '}{why}")
    return [*lines, *(f"{label} not played, not counted: {why}" for why in row.unplayed)]


def _entry(row: Row, label: str) -> dict[str, object]:
    return {
        "kind": label, "part": row.part, "species": row.species, "held_out": row.is_held_out,
        "rates": {asked: row.figure(asked) for asked in row.passed}, "reasons": row.reasons,
        "faceless": row.faceless,
        "clips": [asdict(one) for one in row.clips], "not_played": row.unplayed,
    }  # fmt: skip
