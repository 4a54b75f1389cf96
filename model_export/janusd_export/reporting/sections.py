"""The report's sections on errors. One whose input is missing says which command makes it."""

from __future__ import annotations

from html import escape

from janusd.core.manifest import Calibration
from janusd_export.evaluation.findings import Evaluation
from janusd_export.reporting import figures
from janusd_export.reporting.markup import (
    NOTHING,
    Section,
    gallery,
    how,
    measured_on,
    missing,
    points,
    rare,
    rate,
    table,
)
from janusd_export.reporting.material import Inputs


def draw_scores(inputs: Inputs) -> Section:
    """Both hills of scores."""
    found = inputs.evaluation
    if found is None:
        return Section(
            "scores",
            "Scores",
            missing("janus-export evaluate --lfw LFW --models OUT --cross --out OUT/evaluation.json"),
        )
    which = found.cross or found.pairs
    threshold = found.pairs.confusion.threshold if found.pairs.confusion else None
    of = "all pairs" if found.cross else "the listed pairs"
    drawn = gallery(
        (
            figures.histogram(which.histogram, threshold, f"scores of {of}"),
            f"Scores of {of}",
            f"{which.genuine:,} pairs of one person, {which.impostor:,} of two. Each hill is scaled to its "
            f"own count.",
        ),
        (
            figures.histogram(which.histogram, threshold, f"scores of {of}, log", logarithmic=True),
            "The same, to see the tails",
            "Every line of the grid is ten times rarer. The strangers' right tail is what may open a door.",
        ),
    )
    return Section(
        "scores",
        "Scores",
        how(
            "A score says how alike two embeddings are: about 1 is the same picture, 0 is nothing in common. "
            "The further apart the two hills, the better; where they overlap, any threshold errs in both "
            "directions."
        )
        + drawn,
    )


def draw_tradeoff(inputs: Inputs) -> Section:
    """DET, ROC and the points people ask for."""
    found = inputs.evaluation
    if found is None:
        return Section(
            "tradeoff",
            "Errors at every threshold",
            missing("janus-export evaluate --lfw LFW --models OUT --cross --out OUT/evaluation.json"),
        )
    every = [found, *inputs.rivals]
    use_cross = all(e.cross for e in every)
    of = "all pairs" if use_cross else "the listed pairs"
    curves = [(e.encoder.name, e.cross.curve if use_cross and e.cross else e.pairs.curve) for e in every]
    drawn = gallery(
        (
            figures.det(curves, f"DET of {of}"),
            "Detection error trade-off (DET)",
            "Axes are normal deviates: normally distributed scores give a straight line. Lower left is "
            "better." + (" Bands are 95 % intervals of either error." if len(curves) == 1 else ""),
        ),
        (
            figures.roc(curves, f"ROC of {of}"),
            "The same as ROC",
            "Upper left is better. Bands are 95 % intervals.",
        ),
    )
    tables = f"<h3>Listed pairs</h3>{points(found.pairs.points)}"
    if found.cross:
        tables += (
            f"<h3>All pairs of {found.cross.photos:,} photographs of {found.cross.people:,} people</h3>"
            + points(found.cross.points)
        )
    return Section(
        "tradeoff",
        "Errors at every threshold",
        how(
            "Choose how many strangers may match (FAR, the same as FMR), read off how many friends do (TAR). "
            f"Where the two errors are equal, each is <b>{100 * found.pairs.equal_error_rate:.2f} %</b> on "
            f"the listed pairs."
        )
        + drawn
        + tables,
    )


def draw_promises(inputs: Inputs) -> Section:
    """The manifest's thresholds, their tail, and what they let through elsewhere."""
    name = "What the thresholds promise"
    command = "janus-export calibrate RECIPE.toml --cache CACHE --models OUT"
    if inputs.model is None or not inputs.model.encoder.calibration.table:
        return Section("promises", name, missing(command))
    model, calibration = inputs.model, inputs.model.encoder.calibration
    pieces = [
        (
            figures.thresholds(calibration, inputs.evaluation),
            "Thresholds in the manifest",
            "Bars are 95 % intervals from a bootstrap over people. Where the dashed line of another "
            "collection "
            "lies above the dots, its strangers match more often than was promised.",
        )
    ]
    rest = ""
    if model.tail:
        inside = sum(
            a <= x <= b for x, a, b in zip(model.tail.observed, model.tail.low, model.tail.high, strict=True)
        )
        pieces.append(
            (
                figures.quantiles(model.tail),
                "Does the tail fit?",
                f"The {model.tail.scores:,} highest impostor scores against the generalised Pareto tail. "
                f"{inside} of "
                f"{len(model.tail.observed)} dots lie in the band in which independent scores would fall "
                f"95 times "
                "of 100; pairs that share a face are not independent, so a few may stray.",
            )
        )
        rest = table(
            ("tail begins at the highest", "shape", "threshold for FMR 1e-6"),
            [
                (f"{c.exceed_rate:.2g} of scores", f"{c.shape:.3f}", f"{c.threshold:.4f}")
                for c in model.tail.choices
            ],
        )
        rest = (
            "<h3>Had the tail begun elsewhere</h3><p>The further these thresholds lie apart, the less an "
            f"extrapolation is worth.</p>{rest}"
        )
    else:
        rest = missing(command, "How well the tail fits is not beside this model.")
    return Section(
        "promises",
        name,
        how(
            "Nobody types a threshold in. The owner promises, say, one false unlock a year; the impostor "
            "scores of "
            f"{calibration.impostor_comparisons:,} comparisons say which threshold keeps it. Rates too "
            f"rare to have been seen are "
            "<b>extrapolated</b> with a fitted tail, and are marked so."
        )
        + gallery(*pieces)
        + _thresholds(calibration, inputs.evaluation)
        + rest
        + f"<p><small>{escape(calibration.description)}</small></p>",
    )


def _thresholds(calibration: Calibration, found: Evaluation | None) -> str:
    seen = {p.fmr: p for p in found.cross.promises} if found and found.cross else {}
    rows = []
    for row in (*calibration.table, *calibration.extrapolated):
        here = seen.get(row.fmr)
        rows.append(
            (
                rare(row.fmr) + (" <small>extrapolated</small>" if row in calibration.extrapolated else ""),
                f"{row.threshold:.4f}<i>[{row.low:.4f}, {row.high:.4f}]</i>",
                rate(here.found) if here else NOTHING,
            )
        )
    name = found.collection.split(":")[0] if found else "elsewhere"
    return table(("promised FMR", "threshold", f"found on {name}"), rows, is_html=True)


def draw_confusion(inputs: Inputs) -> Section:
    """What one threshold decides."""
    name = "Confusion at the chosen threshold"
    found = inputs.evaluation.pairs.confusion if inputs.evaluation else None
    if found is None:
        return Section(
            "confusion",
            name,
            missing(
                "janus-export calibrate, then janus-export evaluate --lfw LFW --models OUT --out "
                "OUT/evaluation.json"
            ),
        )
    drawn = gallery(
        (
            figures.confusion(found),
            f"Threshold {found.threshold:.4f}",
            f"The manifest's for FMR {rare(found.fmr)}{', extrapolated' if found.is_extrapolated else ''}; "
            f"listed pairs. "
            "Underlined counts are errors.",
        )
    )
    return Section(
        "confusion",
        name,
        how(
            f"Of {found.true_match + found.false_non_match:,} pairs of one person "
            f"{found.false_non_match:,} are refused; "
            f"of {found.false_match + found.true_non_match:,} pairs of two people {found.false_match:,} "
            f"match. A door asks "
            "several frames to agree before it acts; this is one forced answer."
        )
        + drawn,
    )


def draw_identification(inputs: Inputs) -> Section:
    """Searches of galleries of several sizes."""
    found = inputs.evaluation
    if found is None or not found.doors:
        return Section(
            "identification",
            "Who is it?",
            missing("janus-export evaluate --lfw LFW --models OUT --cross --out OUT/evaluation.json"),
        )
    rows = []
    for door in found.doors:
        for t in door.thresholds:
            rows.append(
                (
                    f"{door.enrolled:,}",
                    f"{100 * t.fpir_promised:.3g} %",
                    f"{t.threshold:.4f}" + ("<small>extrapolated</small>" if t.is_extrapolated else ""),
                    rate(t.fpir),
                    rate(t.fnir),
                    f"{t.wrong_person:,}",
                )
            )
    listed = table(
        (
            "gallery",
            "promised FPIR",
            "threshold",
            "strangers let in",
            "residents refused",
            "taken for another",
        ),
        rows,
        is_html=True,
    )
    ranks = table(
        ("gallery", "galleries drawn", "most similar is right, at any score"),
        [(f"{d.enrolled:,}", f"{d.draws}", rate(d.rank_1)) for d in found.doors],
        is_html=True,
    )
    return Section(
        "identification",
        "Who is it?",
        how(
            "People are enrolled from <b>one</b> photograph each, then others of theirs and of strangers "
            "are shown. The larger "
            "the gallery, the more chances a stranger has, so the threshold rises with it. Each photograph "
            "is one "
            "forced answer; a door waits for a better frame. Where a gallery was drawn several times, "
            "counts are sums, and "
            "intervals are somewhat too narrow, for the same strangers came by again."
        )
        + gallery(
            (
                figures.doors(found.doors),
                "Residents refused, strangers let in",
                "Lines: any threshold. Dots: where the manifest's thresholds for four promises land.",
            ),
            beside=ranks,
        )
        + listed
        + measured_on(inputs.borrowed("doors")),
    )


def draw_robustness(inputs: Inputs) -> Section:
    """SIMULATED changes."""
    found = inputs.evaluation.sturdiness if inputs.evaluation else None
    if found is None:
        return Section(
            "robustness",
            "Bad light, far away, turned away",
            missing(
                "janus-export evaluate --lfw LFW --models OUT --robustness 200 --out OUT/evaluation.json"
            ),
        )
    highest = max(point.fnmr.high for curve in found.curves for point in curve.points)
    drawn = gallery(
        *(
            (
                figures.robustness(curve, highest),
                curve.kind.capitalize(),
                f"{curve.what[0].upper()}{curve.what[1:]}.",
            )
            for curve in found.curves
        ),
        small=True,
    )
    rose = max((point for curve in found.curves for point in curve.points), key=lambda p: p.fmr.value)
    return Section(
        "robustness",
        "Bad light, far away, turned away",
        how(
            f"The second photograph of {found.pairs} pairs of one person gets worse and worse; the first "
            f"and the threshold "
            f"({found.threshold:.4f}) stay. Lines are refusals with their intervals; grey is the share "
            f"whose face was not even "
            "found. Computed on photographs, not filmed: good for ranking encoders and seeing where one "
            "falls off, "
            "not for promising anything."
        )
        + measured_on(inputs.borrowed("sturdiness"))
        + drawn
        + f"<p>Strangers' matches over all changes: at most {rate(rose.fmr, inline=True)} (promised "
        f"{rare(found.fmr)}).</p>",
        "SIMULATED",
    )
