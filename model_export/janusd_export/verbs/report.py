"""janus-export report."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
import json
from pathlib import Path

from janusd_export.errors import ExportError

WHAT = "draw everything that is known about a model on one HTML page"
MORE = (
    "Give any mix of run folders, folders of compare, model folders and files of evaluate --out; the first "
    "model is the page's subject, further runs and evaluations are drawn beside it. The page needs nothing "
    "but itself."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="RUN|COMPARED|MODELS|FILE", help="what to draw"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="the page (report.html)")
    parser.add_argument(
        "--may-show-faces",
        metavar="LICENCE",
        help="show the worst pairs as faces, under this licence, which the page states; needs --photos",
    )
    parser.add_argument(
        "--photos", type=Path, help="with --may-show-faces: the collection that was evaluated"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    from janusd import models
    from janusd_export.reporting import material, report

    if (options.may_show_faces is None) != (options.photos is None):
        raise ExportError("--may-show-faces and --photos go together: a licence, and the faces it is of")
    faces = None
    if options.photos:
        described = next((place for place in options.places if (place / "manifest.json").exists()), None)
        faces = material.allow_faces(options.may_show_faces, options.photos, described or models.RELEASED)
    path = report.write(options.out, material.gather(options.places, faces))
    size = path.stat().st_size
    if options.json:
        print(json.dumps({"report": str(path), "bytes": size}, indent=2))
    else:
        print(f"{path}, {size:,} bytes")
