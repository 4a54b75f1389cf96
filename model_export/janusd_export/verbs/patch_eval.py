"""janus-export patch-eval."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from janusd_export.attacks.patches import SHAPES
from janusd_export.terminal import bars, measuring, plain

if TYPE_CHECKING:
    from janusd_export.evaluation.patch_eval import PatchReport

WHAT = "compute printed glasses against the encoder, and count whom they let in"
MORE = (
    "SIMULATED: strangers have the released int8 file and the photographs a resident was enrolled from, and "
    "wear what they computed as if it had been printed perfectly. Their frames go through the door's own "
    "path. Needs torch."
)
_SHOWN = {"worn": "worn, photographs it was made on", "worn anew": "worn, other photographs"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "--photos", type=Path, help="PERSON/*.jpg as folder or tar (the demo's people, who do not exist)"
    )
    parser.add_argument(
        "--shape", action="append", choices=sorted(SHAPES), help="what is worn (glasses); repeatable"
    )
    parser.add_argument("--pairs", type=int, default=12, help="strangers and residents a shape (12)")
    parser.add_argument("--portraits", type=int, default=4, help="photographs of each person at most (4)")
    parser.add_argument("--steps", type=int, default=80, help="of the search (80)")
    parser.add_argument("--batch", type=int, default=4, help="pictures a step (4)")
    parser.add_argument("--seed", type=int, default=1, help="of who is drawn and what is tried (1)")
    measuring(parser)


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd import models
    from janusd.config import ModelSection
    from janusd.main import open_pipeline
    from janusd_export.attacks.patch_search import Search
    from janusd_export.evaluation import patch_eval

    released = models.load(options.models)
    pipeline = open_pipeline(ModelSection(), released)
    cast = (
        patch_eval.of_photos(options.photos, pipeline, options.portraits, options.seed)
        if options.photos
        else patch_eval.of_demo(pipeline, options.portraits)
    )
    how = Search(options.steps, options.batch, mirrored=pipeline.spec.mirrored, seed=options.seed)
    with bars() as show:
        found = patch_eval.measure(
            pipeline, released.encoder, cast, options.shape or ["glasses"], options.pairs, how, show
        )
    if options.json:
        print(json.dumps(as_json(found), indent=2))
    else:
        print("\n".join(lines(found)))


def lines(found: PatchReport) -> Iterator[str]:
    """The report as it is printed."""
    yield (
        f"SIMULATED {found.residents} residents, threshold {found.threshold:.4f}; "
        f"intervals count tries as independent"
    )
    for who, trials in (("residents", found.visits), ("strangers without it", found.plain)):
        for asked, rate in found.rates(trials).items():
            yield f"SIMULATED {who}: {asked:34} {rate}"
    for shape in dict.fromkeys(pair.shape for pair in found.pairs):
        pairs = [pair for pair in found.pairs if pair.shape == shape]
        first, last = (_mean(pair.scores[at] for pair in pairs) for at in (0, -1))
        yield (
            f"SIMULATED {shape}: {len(pairs)} pairs, {pairs[0].share:.1%} of the crop, "
            f"mean score {first:.2f} at the search's first step, {last:.2f} at its last"
        )
        for shown, words in _SHOWN.items():
            for asked, rate in found.rates(found.tries(shape, shown)).items():
                if rate.trials:
                    yield f"SIMULATED {shape}, {words}: {asked:34} {rate}"
    for row in found.defended():
        yield (
            f"SIMULATED a region painted over, threshold {row.threshold:.3f} (refuses {row.cost:.0%} of the "
            f"residents): of the worn that match pass {row.passes}"
        )


def as_json(found: PatchReport) -> object:
    """The same for programs, each pair with its scores."""
    import msgspec

    shapes = list(dict.fromkeys(pair.shape for pair in found.pairs))
    told = {
        "kind": "SIMULATED",
        "threshold": found.threshold,
        "residents": found.rates(found.visits),
        "strangers": found.rates(found.plain),
        "shapes": {s: {shown: found.rates(found.tries(s, shown)) for shown in _SHOWN} for s in shapes},
        "painted_over": found.defended(),
        "pairs": found.pairs,
        "visits": found.visits,
        "plain": found.plain,
    }
    return plain(msgspec.to_builtins(told))


def _mean(values: Iterator[float]) -> float:
    every = list(values)
    return sum(every) / len(every)
