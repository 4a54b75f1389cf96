"""The report's figures: what was found, drawn with `plots`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from janusd.core.manifest import Calibration
from janusd_export.compiling.layers import Layer
from janusd_export.evaluation.comparison import Outcome
from janusd_export.evaluation.findings import (
    Confusion,
    Curve,
    Door,
    Evaluation,
    Histogram,
    Map,
    Matchers,
    Network,
    Robustness,
    Subgroups,
    TailCheck,
)
from janusd_export.metrics import Rate
from janusd_export.reporting.markup import rare
from janusd_export.reporting.plots import Axis, Bar, Figure, bars, linear, rates, scatter
from janusd_export.training.runs import Run

KINDS = ("s1", "s2", "s3", "s4", "s5", "s6")
_LABEL_ROOM = 96.0


def kind(number: int) -> str:
    """The colour of the number-th of several things."""
    return KINDS[number % len(KINDS)]


def training(runs: Sequence[Run], key: str, name: str, *, validated: bool, percent: bool = False) -> str:
    """One logged quantity of every run over its epochs; "" where nobody logged it."""
    lines = [(run, run.series(key, validated=validated)) for run in runs]
    lines = [(run, series) for run, series in lines if series]
    if not lines:
        return ""
    values = [y for _, series in lines for _, y in series]
    furthest = max(x for _, series in lines for x, _ in series)
    first = min(x for _, series in lines for x, _ in series)
    span = max(values) - min(values)
    in_epochs = all(run.epochs_a_step for run, _ in lines)
    figure = Figure(
        f"{name} of {', '.join(run.name for run, _ in lines)}",
        linear(min(0.0, first), furthest, "epochs" if in_epochs else "steps"),
        linear(min(values) - 0.05 * span, max(values) + 0.05 * span, name, percent=percent),
        right=_LABEL_ROOM if len(lines) > 1 else 16.0,
    )
    for number, (run, series) in enumerate(lines):
        # where colours begin again, lines are dashed
        is_again = number >= len(KINDS)
        figure.line(series, kind(number), run.name if len(lines) > 1 else "", dashed=is_again)
        if validated:
            figure.dots(series, kind(number), 2.2)
    return figure.svg()


def terms(run: Run) -> str:
    """What each term added to a run's loss, over its epochs; "" where that was not logged."""
    names = list(dict.fromkeys(name for step in run.steps for name in step.get("terms", {})))
    if not names:
        return ""
    epoch = run.epochs_a_step or 1.0
    lines = [
        _smooth([(s["step"] * epoch, float(s["terms"][name])) for s in run.steps if name in s["terms"]])
        for name in names
    ]
    figure = Figure(
        f"terms of the loss of {run.name}",
        linear(0.0, max(x for line in lines for x, _ in line), "epochs" if run.epochs_a_step else "steps"),
        linear(0.0, 1.05 * max(y for line in lines for _, y in line), "share of the loss"),
        right=_LABEL_ROOM,
    )
    for number, (name, line) in enumerate(zip(names, lines, strict=True)):
        figure.line(line, kind(number), name)
    return figure.svg()


_TERMS_MEAN = 5  # a term is logged of one batch: so many entries make a line that can be read


def _smooth(series: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each value with the few before it."""
    windows = (series[max(0, n - _TERMS_MEAN + 1) : n + 1] for n in range(len(series)))
    return [(window[-1][0], sum(y for _, y in window) / len(window)) for window in windows]


def histogram(found: Histogram, threshold: float | None, title: str, *, logarithmic: bool = False) -> str:
    """Genuine and impostor scores as shares of their own; with a threshold where there is one."""
    bins = len(found.genuine)
    edges = [found.low + (found.high - found.low) * i / bins for i in range(bins + 1)]
    shares = [[n / max(1, sum(counts)) for n in counts] for counts in (found.impostor, found.genuine)]
    top = max(max(s) for s in shares)
    if logarithmic:
        least = min(n for s in shares for n in s if n > 0)
        y = rates(10 ** math.floor(math.log10(least)), 1.0, "share of pairs a bin, log")
    else:
        y = Axis(0.0, 1.08 * top, "share of pairs a bin")
    figure = Figure(
        title, linear(found.low, found.high, "score (cosine)", count=6), y, left=58.0 if logarithmic else 30.0
    )
    for share, name in zip(shares, ("impostor", "genuine"), strict=True):
        figure.area(edges, [max(s, y.low) for s in share], name)
    if threshold is not None:
        figure.rule(threshold, f"threshold {threshold:.3f}")
    for share, name, word in zip(shares, ("impostor", "genuine"), ("strangers", "same person"), strict=True):
        peak = max(range(bins), key=lambda i, share=share: share[i])  # type: ignore[misc]
        at = (edges[peak] + edges[peak + 1]) / 2
        if logarithmic:
            figure.word(at, share[peak], word, name, "middle")
        else:
            side = "end" if name == "impostor" else "start"
            shift = (edges[1] - edges[0]) * (-2.5 if name == "impostor" else 2.5)
            figure.word(at + shift, 0.93 * share[peak], word, name, side)
    return figure.svg()


_MOST = 0.45  # the rate a DET plot ends at: beyond it lies nothing to choose


def _limits(curves: Sequence[Curve]) -> tuple[float, float]:
    fmr = min(x for c in curves for x in c.fmr if x > 0)
    kept = [y for c in curves for x, y in zip(c.fmr, c.fnmr, strict=True) if x <= _MOST and y > 0]
    return 10 ** math.floor(math.log10(fmr)), max(1e-5, min(kept, default=1e-2) / 1.5)


def det(curves: Sequence[tuple[str, Curve]], title: str) -> str:
    """Both errors on normal deviate axes: straight where scores are normal, lower left is better."""
    low_fmr, low_fnmr = _limits([c for _, c in curves])
    figure = Figure(
        title,
        rates(low_fmr, _MOST, "false matches (FMR)", "probit"),
        rates(low_fnmr, 0.97, "false non-matches (FNMR)", "probit"),
        right=_LABEL_ROOM if len(curves) > 1 else 16.0,
        height=360.0,
    )
    for number, (name, curve) in enumerate(curves):
        kept = [i for i, x in enumerate(curve.fmr) if 0 < x <= _MOST and curve.fnmr[i] > 0]
        x = [curve.fmr[i] for i in kept]
        if len(curves) == 1:
            figure.band(
                x, [curve.fnmr_low[i] for i in kept], [curve.fnmr_high[i] for i in kept], kind(number)
            )
            # FMR has an interval too, along x: where the line is steep it is the wider one
            there = [(max(curve.fmr_low[i], low_fmr), curve.fnmr[i]) for i in kept]
            back = [(curve.fmr_high[i], curve.fnmr[i]) for i in reversed(kept)]
            figure.shape([*there, *back], kind(number))
        figure.line(
            [(curve.fmr[i], curve.fnmr[i]) for i in kept], kind(number), name if len(curves) > 1 else ""
        )
    return figure.svg()


def roc(curves: Sequence[tuple[str, Curve]], title: str) -> str:
    """The matched share of friends over the rate of false matches."""
    low_fmr, _ = _limits([c for _, c in curves])
    worst = min(1 - y for _, c in curves for x, y in zip(c.fmr, c.fnmr, strict=True) if x >= low_fmr)
    figure = Figure(
        title,
        rates(low_fmr, 1.0, "false accept rate (FAR), log"),
        linear(max(0.0, worst), 1.0, "true accept rate (TAR)", percent=True),
        right=_LABEL_ROOM if len(curves) > 1 else 16.0,
        height=360.0,
    )
    for number, (name, c) in enumerate(curves):
        points = [(x, 1 - y) for x, y in zip(c.fmr, c.fnmr, strict=True) if x > 0]
        figure.band(
            [x for x, _ in points],
            [1 - h for h, x in zip(c.fnmr_high, c.fmr, strict=True) if x > 0],
            [1 - low for low, x in zip(c.fnmr_low, c.fmr, strict=True) if x > 0],
            kind(number),
        )
        # labels stand where a line ends, and all end in the upper right: let them end at the left
        figure.line(points, kind(number), "")
        if len(curves) > 1:
            figure.line(points[-1:], kind(number), name)
    return figure.svg()


def quantiles(check: TailCheck) -> str:
    """The tail's quantiles against the scores': on the diagonal where it fits."""
    low = min(*check.fitted, *check.observed)
    high = max(*check.high, *check.observed, *check.fitted)
    figure = Figure(
        "quantile-quantile plot of the impostor tail",
        linear(low, high, "what the fitted tail expects"),
        linear(low, high, "highest impostor scores"),
        height=360.0,
    )
    figure.band(check.fitted, check.low, check.high, "s1")
    figure.line([(low, low), (high, high)], "quiet", dashed=True)
    figure.dots(list(zip(check.fitted, check.observed, strict=True)), "impostor")
    return figure.svg()


def thresholds(calibration: Calibration, found: Evaluation | None) -> str:
    """Threshold over rate: measured, extrapolated, each with its interval, and the tail between them."""
    rows = [(row, "s1") for row in calibration.table] + [(row, "s2") for row in calibration.extrapolated]
    lows = [row.low for row, _ in rows] + [row.threshold for row, _ in rows]
    highs = [row.high for row, _ in rows]
    figure = Figure(
        "thresholds of the manifest by promised rate",
        rates(min(row.fmr for row, _ in rows) / 3, 0.3, "false match rate (FMR), log"),
        linear(min(lows) - 0.02, max(highs) + 0.04, "threshold"),
        height=360.0,
    )
    if found and found.cross and found.cross.promises:
        here = [(p.found.value, p.threshold) for p in found.cross.promises if p.found.hits]
        figure.line(here, "genuine", dashed=True)
        figure.dots(here, "genuine", 3.0)
        x, y = here[len(here) // 2]
        figure.word(x, y, f"found on {found.collection.split(':')[0]}", "genuine", right=8.0, down=-6.0)
    for row, colour in rows:
        figure.whisker(row.fmr, row.low, row.high, colour)
        figure.dots([(row.fmr, row.threshold)], colour, 4.0, [f"FMR {rare(row.fmr)}: {row.threshold:.4f}"])
    figure.word(rows[0][0].fmr, rows[0][0].threshold, "measured", "s1", "end", right=-9.0, down=4.0)
    if calibration.extrapolated:
        last = calibration.extrapolated[-1]
        figure.word(last.fmr, last.high, "extrapolated", "s2", "start", right=6.0, down=8.0)
    return figure.svg()


def confusion(found: Confusion) -> str:
    """Four fields: what is so, against what the threshold says. Shade is the share of its row."""
    rows = (
        ("same person", found.true_match, found.false_non_match, "genuine"),
        ("strangers", found.false_match, found.true_non_match, "impostor"),
    )
    width, height, left, top = 460.0, 220.0, 104.0, 34.0
    w, h = (width - left - 10) / 2, (height - top - 10) / 2
    parts = [
        f'<text class="axis" x="{left + w * (i + 0.5):.0f}" y="22" text-anchor="middle">{word}</text>'
        for i, word in enumerate(("match", "do not match"))
    ]
    for row, (name, match, other, colour) in enumerate(rows):
        y = top + row * h
        parts.append(
            f'<text class="row" x="{left - 10}" y="{y + h / 2 + 4:.0f}" text-anchor="end">{name}</text>'
        )
        for column, count in enumerate((match, other)):
            share = count / max(1, match + other)
            x = left + column * w
            is_wrong = (row == 0) == (column == 1)
            parts.append(
                f'<rect class="cell {colour}" x="{x + 2:.0f}" y="{y + 2:.0f}" width="{w - 4:.0f}" '
                f'height="{h - 4:.0f}" rx="4" style="--share:{0.06 + 0.5 * share:.3f}"/>'
                f'<text class="{"count wrong" if is_wrong else "count"}" x="{x + w / 2:.0f}" '
                f'y="{y + h / 2:.0f}" '
                f'text-anchor="middle">{count:,}</text>'
                f'<text class="tick" x="{x + w / 2:.0f}" y="{y + h / 2 + 18:.0f}" text-anchor="middle">'
                f"{100 * share:.2f} %</text>"
            )
    title = f"decisions at threshold {found.threshold:.4f}"
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{title}"><title>{title}</title>'
        + "".join(parts)
        + "</svg>"
    )


def doors(found: Sequence[Door]) -> str:
    """FNIR over FPIR at each gallery size; dots where the manifest's thresholds land."""
    lowest = min((x for d in found for x in d.curve_fpir if x > 0), default=1e-3)
    values = [y for d in found for y in d.curve_fnir]
    figure = Figure(
        "identification errors by gallery size",
        rates(10 ** math.floor(math.log10(lowest)), 1.0, "strangers let in (FPIR), log"),
        linear(0.0, min(1.0, max(values) * 1.05), "residents refused (FNIR)", percent=True),
        right=84.0,
        height=360.0,
    )
    for number, door in enumerate(found):
        points = [(x, y) for x, y in zip(door.curve_fpir, door.curve_fnir, strict=True) if x > 0]
        figure.line(points[::-1], kind(number), f"{door.enrolled:,} people")
        figure.dots(
            [(max(t.fpir.value, lowest), t.fnir.value) for t in door.thresholds],
            kind(number),
            4.0,
            [f"promised {t.fpir_promised:.3g}: FPIR {t.fpir}, FNIR {t.fnir}" for t in door.thresholds],
        )
    return figure.svg()


def matchers(found: Matchers) -> str:
    """Residents refused where one stranger in a hundred is let in."""
    highest = max(row.fnir.high for row in found.rows)
    return bars(
        "residents refused by each matcher",
        [_bar(row.name, row.fnir, "s1" if n == 0 else "quiet", row.how) for n, row in enumerate(found.rows)],
        linear(
            0.0, highest, "residents refused (FNIR) where one stranger in a hundred gets in", percent=True
        ),
        left=104.0,
    )


def robustness(found: Robustness, highest: float) -> str:
    """Refusals as one thing gets worse; the share whose face was not even found below.

    Things that cannot be ordered are rows.
    """
    if found.kind == "occlusion":
        return bars(
            f"SIMULATED {found.kind}",
            [
                _bar(point.label, point.fnmr, "s2", f"no face found in {point.missed.hits}")
                for point in found.points
            ],
            linear(0.0, highest, "refused (FNMR)", percent=True),
            left=92.0,
            width=360.0,
        )
    at = list(range(len(found.points)))
    ticks = tuple((float(i), point.label) for i, point in zip(at, found.points, strict=True))
    figure = Figure(
        f"SIMULATED {found.kind}",
        Axis(-0.3, at[-1] + 0.3, found.axis, ticks),
        linear(0.0, highest, "refused (FNMR)", percent=True),
        height=236.0,
        width=360.0,
    )
    missed = [point.missed.value for point in found.points]
    figure.area(
        [i - 0.3 for i in at] + [at[-1] + 0.3],
        missed,
        "quiet",
    )
    figure.line([(i, point.fnmr.value) for i, point in zip(at, found.points, strict=True)], "s2")
    for i, point in zip(at, found.points, strict=True):
        figure.whisker(i, point.fnmr.low, point.fnmr.high, "s2")
    names = [f"{point.label}: FNMR {point.fnmr}; no face {point.missed.hits}" for point in found.points]
    figure.dots([(i, point.fnmr.value) for i, point in zip(at, found.points, strict=True)], "s2", 3.4, names)
    return figure.svg()


def subgroups(found: Subgroups, attribute: str, *, friends: bool) -> str:
    """One attribute's values: refusals of friends, or matches of strangers."""
    rows = [row for row in found.rows if row.attribute == attribute]
    chosen = [(row, row.fnmr if friends else row.fmr) for row in rows]
    chosen = [(row, share) for row, share in chosen if share.trials]
    if not chosen:
        return ""
    highest = max(share.high for _, share in chosen)
    name = "friends refused (FNMR)" if friends else "strangers matched (FMR)"
    return bars(
        f"{name} by {attribute}",
        [_bar(row.value, share, "genuine" if friends else "impostor") for row, share in chosen],
        linear(0.0, highest, name, percent=True, count=4),
        left=110.0,
    )


def layers(rows: Sequence[Layer]) -> str:
    """Signal over int8's error, operator by operator, from the input down."""
    shown = [(number, row) for number, row in enumerate(rows) if row.sqnr_db is not None]
    if not shown:
        return ""
    worst = min(row.sqnr_db or 0.0 for _, row in shown)
    return bars(
        "signal over int8 error by operator",
        [
            Bar(
                f"{number + 1} {row.layer}",
                row.sqnr_db or 0.0,
                f"{row.sqnr_db:.1f} dB",
                "s2" if row.sqnr_db == worst else "s1",
                note=f"{row.layer}: {row.op}, {row.sqnr_db:.1f} dB, {row.macs:,} MAC",
            )
            for number, row in shown
        ],
        linear(0.0, max(row.sqnr_db or 0.0 for _, row in shown), "signal to quantization noise, dB"),
        left=180.0,
    )


def networks(found: Sequence[Network]) -> str:
    """Encoders by the rarest rate that all of them were measured at."""
    rows = []
    for number, network in enumerate(found):
        point = hardest(network, found)
        if point is not None:
            rows.append(_bar(network.name, point[1], "s1" if number == 0 else "quiet", network.what))
    if not rows:
        return ""
    lowest = min(row.low or 0.0 for row in rows)
    point = hardest(found[0], found)
    named = f"TAR at FAR {rare(point[0])}" if point else "TAR"
    return bars(
        "encoders compared",
        rows,
        linear(max(0.0, lowest - 0.02), 1.0, named, percent=True, count=4),
        left=170.0,
    )


def objectives(found: Sequence[Outcome], fmr: float) -> str:
    """Objectives by the share of friends matched at one rate, with intervals over people."""
    rows = []
    for row in found:
        point = next((p for p in row.points if p.fmr == fmr and p.matched), None)
        if point is None or point.matched is None:
            continue
        low, high = point.by_people or (point.matched.low, point.matched.high)
        name = f"{row.name}: {100 * point.matched.value:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"
        colour = "s2" if row.knows_people else "s1"
        text = f"{100 * point.matched.value:.1f} %"
        rows.append(Bar(row.name, point.matched.value, text, colour, low, high, name))
    if not rows:
        return ""
    lowest, highest = min(row.low or 0.0 for row in rows), max(row.high or 1.0 for row in rows)
    room = 0.05 * (highest - lowest)
    return bars(
        f"objectives by TAR at FAR {rare(fmr)}",
        rows,
        linear(
            max(0.0, lowest - room),
            min(1.0, highest + room),
            f"TAR at FAR {rare(fmr)}",
            percent=True,
            count=4,
        ),
        left=110.0,
    )


def hardest(network: Network, all_of: Sequence[Network]) -> tuple[float, Rate] | None:
    """(FAR, TAR) at the rarest rate that every network has."""
    for rate in (1e-5, 1e-4, 1e-3, 1e-2):
        every = [
            next((p for p in (*n.cross, *n.points) if p.fmr == rate and p.matched is not None), None)
            for n in all_of
        ]
        if all(every) and rate >= 1e-4:
            point = every[list(all_of).index(network)]
            return (rate, point.matched) if point and point.matched else None
    return None


def people(found: Map) -> str:
    """The map of people the network never saw; names are said when a pointer rests on a dot."""
    groups = [
        (name, [(x, y) for x, y, p in zip(found.x, found.y, found.person, strict=True) if p == number])
        for number, name in enumerate(found.people)
    ]
    return scatter(f"{found.method} of {len(found.people)} people", groups)


def _bar(name: str, share: Rate, colour: str, note: str = "") -> Bar:
    text = f"{100 * share.value:.2f} %" if share.value >= 1e-4 or not share.hits else f"{share.value:.1e}"
    return Bar(name, share.value, text, colour, share.low, share.high, f"{name}: {share}. {note}".strip())
