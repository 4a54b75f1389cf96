"""janus-export train."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
from pathlib import Path

WHAT = "run or resume a recipe"
MORE = "The run folder keeps checkpoint.pt and log.jsonl; start it again after an interruption."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="a TOML file; recipes/first.toml explains each number")
    parser.add_argument("--cache", type=Path, required=True, help="what import and teach wrote")
    parser.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    parser.add_argument(
        "--start-from", type=Path, metavar="FILE",
        help="begin with the weights of another run's checkpoint.pt, or of a released .tflite",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, help="stop after so many steps, to try a recipe")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.training import recipe
    from janusd_export.training.train import train

    asked, start_from = recipe.load(options.recipe), options.start_from
    if start_from is not None and start_from.suffix == ".tflite":
        from janusd_export.compiling.recover import recover

        options.run_dir.mkdir(parents=True, exist_ok=True)
        start_from = recover(asked, start_from, options.run_dir / "released.pt")
    train(
        asked,
        options.cache,
        options.run_dir,
        stop_after=options.steps,
        start_from=start_from,
    )
