"""janus-export card."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

WHAT = "write what was measured into a model's card"
MORE = (
    "Fills the place for figures in MODELS/MODEL_CARD.md from the model folder, a file of evaluate --out and "
    "the output of identify --json; what you wrote around it stays. Refuses figures of another encoder. Sign "
    "the model again afterwards."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("models", type=Path, help="the model folder")
    parser.add_argument("evaluation", type=Path, help="what evaluate --out wrote")
    parser.add_argument("searches", type=Path, nargs="*", help="what identify --json printed, as files")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.reporting import card

    path = card.write(options.models, options.evaluation, options.searches)
    if options.json:
        print(json.dumps({"card": str(path)}, indent=2))
    else:
        print(f"{path}: sign the model again with janus-export release")
