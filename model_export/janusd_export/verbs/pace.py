"""janus-export pace."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from janusd import models
from janusd_export.terminal import bars

if TYPE_CHECKING:
    from janusd_export.evaluation.pace import Pace

WHAT = "time one embedding, or the whole way from frame to person, beside what others run"
MORE = (
    "One embedding: beside MobileFaceNet in float, both on LiteRT. The whole way (--stacks): beside dlib as "
    "face_recognition and howdy run it, and beside YuNet and MobileFaceNet in OpenCV, onnxruntime and ncnn. "
    "One thread, taking turns; what counts are ratios, for milliseconds are those of this machine. Needs "
    "torch."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "--models", type=Path, default=models.RELEASED, help="model directory (the released one)"
    )
    parser.add_argument(
        "--rounds", type=int, default=400, metavar="N", help="embeddings, or frames, of each (400)"
    )
    parser.add_argument(
        "--stacks", action="store_true", help="the whole way, on the demo's frames of 640x480 with one face"
    )
    parser.add_argument("--yunet", type=Path, metavar="ONNX", help="the detector of the other stacks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    if options.stacks:
        _race(options)
        return
    from janusd_export.evaluation import pace

    with bars() as show:
        found = pace.measure(models.load(options.models), options.rounds, show)
    print(json.dumps(asdict(found), indent=2) if options.json else "\n".join(lines(found)))


def lines(found: Pace) -> list[str]:
    """What is printed."""
    rows = [
        f"{one.name:<22} {one.macs / 1e6:6.1f} M multiply-accumulates {one.size / 1e6:6.2f} MB "
        f"{one.ms:7.3f} ms"
        for one in (found.ours, found.yardstick)
    ]
    each = (
        ""
        if found.views == 1
        else f"; a door embeds {found.views} views of a face: {found.views * found.ratio:.2f}"
    )
    spread = f"{found.low:.2f} to {found.high:.2f} between parts of the run"
    return [
        *rows,
        f"one view over MobileFaceNet: {found.ratio:.2f} ({spread}), {found.rounds} rounds, one thread{each}",
    ]


def _race(options: argparse.Namespace) -> None:
    from janusd.demo.album import album
    from janusd.demo.scene import Stance, compose
    from janusd_export.evaluation import stacks

    people = list(album().values())
    frames = [compose([Stance(people[k % len(people)].street[k // len(people)])], seed=k) for k in range(20)]
    with bars() as show:
        found = stacks.race(options.models, options.yunet, frames, options.rounds, show)
    if options.json:
        print(json.dumps(asdict(found), indent=2))
        return
    print(f"{'frame to person, ms':<52} detect   whole  over janusd's, between parts of the run")
    for one in found.stacks:
        print(
            f"{one.name:<52} {one.detect_ms:6.2f} {one.whole_ms:7.2f} {one.ratio:6.2f}, "
            f"{one.low:.2f} to {one.high:.2f}"
        )
    print(f"{found.rounds} frames of 640x480 with one face, a gallery of {stacks.PEOPLE}, one thread")
    for line in found.left_out:
        print(f"left out: {line}")
