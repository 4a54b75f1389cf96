"""janus-export mix."""

# ruff: noqa: PLC0415  # heavy libraries load only where they are used

from __future__ import annotations

import argparse
from pathlib import Path

from janusd_export.terminal import bars

WHAT = "ask the teachers about faces mixed from two training faces each"
MORE = (
    "A recipe with [mixtures] learns from them beside the photographs: the teachers' opinion of a face that "
    "nobody has is as true as of one that somebody has. Only their opinions are kept, 3 KB a mixture."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what it takes."""
    parser.add_argument("recipe", type=Path, help="the recipe that will learn from them")
    parser.add_argument("--teachers", type=Path, required=True, help="folder of the teachers' networks")
    parser.add_argument("--cache", type=Path, required=True, help="what import and teach wrote")
    parser.add_argument("--jobs", type=int, default=1, help="processes that ask (1)")
    parser.add_argument("--show", type=Path, metavar="PNG", help="draw some of them as a contact sheet")


def run(options: argparse.Namespace) -> None:
    """Run it."""
    import numpy as np

    from janusd_export.errors import ExportError
    from janusd_export.faces.cache import open_faces, split_people
    from janusd_export.faces.mixtures import Mixtures, ask_about_mixtures, draw_sheet
    from janusd_export.faces.teachers import choose
    from janusd_export.training import recipe

    wanted = recipe.load(options.recipe)
    if options.jobs < 1:
        raise ExportError("--jobs must be at least 1")
    if not wanted.mixtures.count:
        raise ExportError(f"{options.recipe}: it has no [mixtures] with a count: nothing to do")
    faces = open_faces(options.cache, wanted.faces.margin_px, wanted.wanted_teachers)
    split = split_people(faces, wanted.faces.held_out_people, np.random.default_rng(wanted.seed))
    mixtures = Mixtures(faces, split.train, wanted.seed, wanted.faces.margin_px)
    if options.show:
        draw_sheet(mixtures, options.show)
    with bars() as show:
        ask_about_mixtures(
            options.cache,
            options.teachers,
            mixtures,
            choose(faces.teacher_names),
            wanted.mixtures.count,
            jobs=options.jobs,
            progress=show,
        )
