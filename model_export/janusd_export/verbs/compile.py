"""janus-export compile."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
from pathlib import Path

WHAT = "fold, quantize and write the int8 file with its manifest"
MORE = "Refuses a network whose int8 file loses more than a point of TAR at FAR 1e-3."


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="the recipe of the run")
    parser.add_argument("--cache", type=Path, required=True, help="what prepare wrote")
    parser.add_argument("--run", dest="run_dir", type=Path, required=True, help="the run's folder")
    parser.add_argument("--models", type=Path, required=True, help="where the model directory is written")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export import recipe
    from janusd_export.compile import compile_run

    compile_run(recipe.load(options.recipe), options.recipe, options.cache, options.run_dir, options.models)
