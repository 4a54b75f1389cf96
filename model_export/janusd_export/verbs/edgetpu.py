"""janus-export edgetpu."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path

WHAT = "check statically whether an Edge TPU maps every operator"
MORE = (
    "Reads the .tflite file against Coral's table of supported operations and limitations, and TensorFlow "
    "Lite's rules for int8. Ends with 1 and says why where something would stay on the processor. Coral's "
    "compiler itself is not run."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("model", type=Path, help="a .tflite file, or a model folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it. Raises ExportError where not all is mapped."""
    from dataclasses import asdict

    from janusd import models
    from janusd_export.compiling import edgetpu, graph
    from janusd_export.errors import ExportError

    path: Path = options.model
    if path.is_dir():
        path = path / models.load(path).manifest.encoder.file
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    report = edgetpu.check(graph.read(raw, str(path)))
    if options.json:
        print(json.dumps({**asdict(report), "is_mapped": report.is_mapped}, indent=2))
    else:
        for kind, count in sorted(Counter(v.kind for v in report.verdicts if v.is_mapped).items()):
            print(f"{kind:<24} {count:>3}  mapped to the Edge TPU")
        for verdict in report.verdicts:
            if not verdict.is_mapped:
                print(
                    f"{verdict.kind:<24} {verdict.number:>3}  NOT mapped: {verdict.layer} {verdict.why_not}"
                )
        for complaint in report.of_the_file:
            print(f"the file: {complaint}")
        share = report.parameter_bytes / edgetpu.ON_CHIP_BYTES
        fits = "stay on the chip" if share <= 1 else "are fetched at each run"
        print(
            f"{report.parameter_bytes:,} bytes of parameters, {100 * share:.0f} % of its memory: they {fits}"
        )
    if not report.is_mapped:
        count = len(report.complaints)
        raise ExportError(f"{path}: {count} thing{'s' * (count != 1)} would not run on an Edge TPU")
