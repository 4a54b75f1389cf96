"""janus-export release."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

WHAT = "sign a measured model and pack it as one bundle for doors"
MORE = (
    "Writes model.sig into the model folder and, with --out, the bundle that `janusctl model install` takes: "
    "the networks, their manifest, MODEL_CARD.md, and layers.json, report.html and model.onnx where they are "
    "there. The same files and key give the same bytes. Refuses what a door would refuse."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "models", type=Path, help="the model folder: compiled, calibrated, with MODEL_CARD.md"
    )
    parser.add_argument("--key", type=Path, required=True, metavar="KEYFILE", help="made by keygen")
    parser.add_argument("--out", type=Path, metavar="BUNDLE.janus", help="the bundle; else only sign")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from dataclasses import asdict

    from janusd_export.compiling.bundle import release

    made = release(options.models, options.key, options.out)
    if options.json:
        print(json.dumps(asdict(made), indent=2, default=str))
        return
    print(f"{made.title}, signed with key {made.key[:16]}")
    for name, size in made.files.items():
        print(f"  {size:>12,} bytes  {name}")
    print(f"signature in {made.signed}")
    if made.bundle:
        print(f"{made.bundle}: {made.bundle_bytes:,} bytes")
        print(f"on a door: sudo janusctl model install {made.bundle.name}")
