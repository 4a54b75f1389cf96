"""janus-export compile."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from janusd_export.terminal import bars, plain

WHAT = "fold, quantize and write the int8 file with its manifest"
MORE = (
    "Writes layers.json, the signal-to-noise ratio of each int8 operator, and model.onnx, the float network "
    "for TensorRT, beside it. Refuses a network whose int8 file loses more than a point of TAR on held-out "
    "people at FAR 1e-3 or 1e-4, and one that an Edge TPU would not map whole."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="the recipe of the run")
    parser.add_argument("--cache", type=Path, required=True, help="what import and teach wrote")
    parser.add_argument("--run-dir", type=Path, required=True, help="the run's folder")
    parser.add_argument("--models", type=Path, required=True, help="where the model directory is written")
    parser.add_argument(
        "--aware-steps",
        type=int,
        default=0,
        metavar="N",
        help="fine-tune N steps with int8 rounding first (0: calibration alone)",
    )
    parser.add_argument(
        "--most-lost",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="of TAR that int8 may cost (1); of a few hundred pairs five are more than that by chance",
    )
    parser.add_argument("--no-onnx", action="store_true", help="write no model.onnx")
    parser.add_argument("--licence", default="", help="what the manifest says of its use, if more is known")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from dataclasses import asdict

    import msgspec

    from janusd_export.compiling import layers
    from janusd_export.compiling.compile import compile_run
    from janusd_export.training import recipe

    with bars() as show:
        made = compile_run(
            recipe.load(options.recipe),
            options.recipe,
            options.cache,
            options.run_dir,
            options.models,
            aware_steps=options.aware_steps,
            most_lost=options.most_lost / 100.0,
            with_onnx=not options.no_onnx,
            licence=options.licence,
            say=show,
        )
    if options.json:
        value: dict[str, Any] = plain(asdict(made))
        value["manifest"], value["layers"] = str(made.manifest), msgspec.to_builtins(made.layers)
        print(json.dumps(value, indent=2))
        return
    print(layers.table(made.layers))
    print(f"{made.model_bytes:,} bytes, {made.operators} operators, all of which an Edge TPU maps")
    if made.left_out:
        print(f"left out, for they add the same to every face: {', '.join(made.left_out)}")
    print(f"held-out people, {made.held_out_faces:,} faces; mean cosine float to int8 {made.cosine:.4f}")
    for gate in made.gates:
        print(gate)
    if made.onnx_bytes:
        print(
            f"model.onnx: {made.onnx_bytes:,} bytes, opset 13, batch 1; "
            f"lowest cosine of onnxruntime to torch {made.onnx_cosine:.6f}"
        )
