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
        "--start-from", type=Path, metavar="CHECKPOINT", help="begin with another run's weights"
    )
    parser.add_argument("--steps", type=int, help="stop after so many steps, to try a recipe")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.training import recipe
    from janusd_export.training.train import train

    train(
        recipe.load(options.recipe),
        options.cache,
        options.run_dir,
        stop_after=options.steps,
        start_from=options.start_from,
    )
