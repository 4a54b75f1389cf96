"""The report's section on objectives, and the picture that `compare` leaves beside its figures."""

from __future__ import annotations

from html import escape
from pathlib import Path

from janusd_export.errors import ExportError
from janusd_export.evaluation.comparison import RATES, Comparison, Outcome
from janusd_export.evaluation.findings import OperatingPoint
from janusd_export.reporting import figures
from janusd_export.reporting.markup import NOTHING, Section, gallery, how, missing, rare, table
from janusd_export.reporting.material import Contest, Inputs, contest
from janusd_export.reporting.plots import standalone

PICTURE = "comparison.svg"
_STYLE = Path(__file__).with_name("report.css")


def draw_objectives(inputs: Inputs) -> Section:
    """What each objective came to on the same faces and budget."""
    if not inputs.contests:
        return Section(
            "objectives",
            "Objectives compared",
            missing(
                "janus-export compare RECIPE.toml --cache CACHE --out DIR --steps N, then give DIR to "
                "janus-export report"
            ),
        )
    return Section(
        "objectives",
        "Objectives compared",
        how(
            "Each row is one student: same first weights, same faces, same augmentation, same budget; only "
            "what it was asked differs. All are judged on the same people, who taught none of them. With a "
            "budget as small as this one, one seed and one learning rate for all, it shows what is learnt "
            "soonest from this collection, and <b>not</b> what each would reach in the end. Those in the "
            "second colour know people and nothing else: they learnt from labelled faces alone."
        )
        + "".join(map(_drawn, inputs.contests)),
    )


def draw_picture(folder: Path, found: Comparison) -> Path | None:
    """Write the curves as a picture of their own, or else where each ended. Raises ExportError."""
    path = folder / PICTURE
    svg = _curves(contest(folder, found)) or _ends(found)
    if not svg:
        return None
    try:
        path.write_text(standalone(svg, _STYLE.read_text(encoding="utf-8")), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    return path


def _drawn(shown: Contest) -> str:
    found = shown.found
    pieces = [
        (
            _curves(shown),
            f"{found.recipe}, {found.budget} each",
            "Held-out people while it learnt. Where colours begin again, lines are dashed.",
        )
    ]
    pieces.append((_ends(found), "At the end", "Intervals: 95 %, bootstrap over people."))
    left = [name for name in found.wanted if name not in {row.name for row in found.outcomes}]
    head = (
        "objective",
        *(f"TAR at FAR {rare(fmr)}" for fmr in RATES),
        "EER",
        "learnt from",
        "faces seen",
        "time",
    )
    return (
        gallery(*[piece for piece in pieces if piece[0]])
        + table(head, [_row(row) for row in found.outcomes], is_html=True)
        + f"<p><small>{found.held_out_faces:,} faces of {found.held_out_people:,} people held out: "
        f"{found.genuine:,} genuine and {found.impostor:,} impostor pairs.</small></p>"
        + (f'<p class="warn">Not through yet: {escape(", ".join(left))}.</p>' if left else "")
    )


def _row(row: Outcome) -> tuple[str, ...]:
    return (
        f"{escape(row.name)}<small>{escape(row.asks)}</small>",
        *(_share(next((p for p in row.points if p.fmr == fmr), None)) for fmr in RATES),
        f"{100 * row.equal_error_rate:.2f} %",
        f"{row.learnt_from:,} faces{'<small>labelled</small>' if row.knows_people else ''}",
        f"{row.faces_seen:,}<small>{row.steps:,} steps</small>",
        f"{row.seconds:,.0f} s",
    )


def _share(point: OperatingPoint | None) -> str:
    if point is None or point.matched is None:
        return NOTHING
    low, high = point.by_people or (point.matched.low, point.matched.high)
    return f"{100 * point.matched.value:.2f} %<i>[{100 * low:.2f}, {100 * high:.2f}]</i>"


def _rarest(found: Comparison) -> float | None:
    """The rarest rate that all were judged at."""
    for fmr in sorted(RATES):
        points = [next((p for p in row.points if p.fmr == fmr), None) for row in found.outcomes]
        if points and all(point is not None and point.matched is not None for point in points):
            return fmr
    return None


def _curves(shown: Contest) -> str:
    """Held-out people over the run, by the rarest rate that can be seen; a run judged once has no curve."""
    fmr = _rarest(shown.found)
    if fmr is None:
        return ""
    key = f"tar@{fmr:g}"
    runs = [run for run in shown.runs if len(run.series(key, validated=True)) > 1]
    return figures.training(runs, key, f"TAR at FAR {rare(fmr)}", validated=True, percent=True)


def _ends(found: Comparison) -> str:
    fmr = _rarest(found)
    return "" if fmr is None else figures.objectives(found.outcomes, fmr)
