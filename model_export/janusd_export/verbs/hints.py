"""janus-export hints."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
from pathlib import Path

from janusd_export.terminal import bars

WHAT = "keep a teacher's feature maps of every face"
MORE = (
    "A recipe with losses.hints learns from them. They take 150 KB a face on disk, and the teacher's time "
    "for two views of each."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the teachers' networks")
    parser.add_argument("--cache", type=Path, required=True, help="the prepared faces")
    parser.add_argument("--margin", type=int, default=16, help="pixels around the crop in the cache (16)")
    parser.add_argument("--again", action="store_true", help="make them anew")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd_export.faces.cache import open_faces
    from janusd_export.training.hints import make_hints

    faces = open_faces(options.cache, options.margin)
    with bars() as show:
        make_hints(
            options.cache,
            options.teachers,
            faces,
            again=options.again,
            progress=lambda done, total: show("hints", done, total),
        )
