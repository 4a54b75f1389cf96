"""The figures of a model card, from the files that hold them; what a person wrote around them stays.

A card says in its own words what a model is for, how it was made and what it is bad at. Between the two
comments of `BEGIN` and `END` stands what was measured, and nobody types that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from janusd.bundle.format import SIGNATURE_FILE
from janusd.core import embed
from janusd.core.manifest import Attenuation, Calibration
from janusd_export.errors import ExportError
from janusd_export.evaluation import findings, identify
from janusd_export.evaluation.findings import Cross, Evaluation, OperatingPoint, Pairs, Sturdiness
from janusd_export.evaluation.identify import IdentifyReport
from janusd_export.metrics import Rate
from janusd_export.reporting import material
from janusd_export.reporting.material import Model

CARD = "MODEL_CARD.md"
BEGIN = "<!-- measured: written by janus-export card -->"
END = "<!-- end of what was measured -->"


def write(models_dir: Path, evaluation: Path, searches: Sequence[Path]) -> Path:
    """Write the figures into a model folder's card; give its path. Raises ExportError.

    All must be of that folder's encoder. The folder's signature was over another card, and goes.
    """
    (model,) = material.gather([models_dir]).models
    found = findings.read(evaluation)
    searched = [identify.read(path) for path in searches]
    for path, sha256 in [
        (evaluation, found.encoder.sha256),
        *zip(searches, (one.sha256 for one in searched), strict=True),
    ]:
        if sha256 != model.encoder.sha256:
            raise ExportError(
                f"{path} was measured with another encoder than {models_dir}'s {model.encoder.name}: "
                "measure it again"
            )
    path = models_dir / CARD
    try:
        text = path.read_text(encoding="utf-8")
        if text.count(BEGIN) != 1 or END not in text.partition(BEGIN)[2]:
            raise ExportError(f"{path} has no place for figures: put these two lines there\n{BEGIN}\n{END}")
        before, _, rest = text.partition(BEGIN)
        after = rest.partition(END)[2]
        beside = path.with_suffix(".new")
        beside.write_text(
            f"{before}{BEGIN}\n\n{figures(model, found, searched)}\n{END}{after}", encoding="utf-8"
        )
        beside.replace(path)
        (models_dir / SIGNATURE_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise ExportError(
            f"{path}: {error.strerror}: begin a card with these two lines\n{BEGIN}\n{END}"
        ) from error
    return path


def figures(model: Model, found: Evaluation, searched: Sequence[IdentifyReport]) -> str:
    """All of it, as Markdown."""
    parts = [_about(model), _listed(found.pairs, found.collection)]
    if found.cross:
        parts.append(_crossed(found.cross))
    if searched:
        parts.append(_searched(searched))
    if len(found.networks) > 1:
        parts.append(_beside(found))
    if found.sturdiness:
        parts.append(_changed(found.sturdiness))
    parts.append(_calibrated(model.encoder.calibration))
    return "\n".join(line for part in parts for line in (*part, ""))


def _table(*rows: Sequence[str]) -> Iterator[str]:
    """A Markdown table: the first row heads it."""
    for number, row in enumerate(rows):
        yield f"| {' | '.join(row)} |"
        if number == 0:
            yield "|" + "---|" * len(row)


def _about(model: Model) -> Iterator[str]:
    encoder = model.encoder
    taken, given = encoder.input, encoder.output
    operators = Counter(layer.op for layer in model.layers)
    yield from _table(
        ("", ""),
        ("file", f"`{encoder.file}`, {model.bytes:,} bytes, SHA-256 `{encoder.sha256[:16]}...`"),
        ("input", f"{taken.dtype} {taken.shape} RGB; real = (q - {taken.zero_point}) * {taken.scale:.7f}"),
        ("output", f"{given.dtype} {given.shape}; real = (q - {given.zero_point}) * {given.scale:.6f}"),
        ("alignment", f"five points of `{encoder.detector}` onto the template {encoder.template}"),
        ("views", "the crop and its mirror image, embeddings summed" if encoder.mirrored else "the crop"),
        ("length", _length(encoder.attenuation)),
        ("operators", ", ".join(f"{count} {kind}" for kind, count in operators.most_common())),
        ("on an Edge TPU", _mapped(model)),
        (
            "arithmetic",
            f"{sum(layer.macs for layer in model.layers) / 1e6:.1f} M multiply-accumulates a view",
        ),
        ("weakest operator", _weakest(model)),
    )


def _length(attenuation: Attenuation | None) -> str:
    """Of an embedding."""
    if attenuation is None:
        return "1"
    longest = f"{embed.SHORTEST} to {embed.LONGEST}"
    return f"(the answer's / {attenuation.typical:g}) ** -{attenuation.exponent:g}, {longest}"


def _mapped(model: Model) -> str:
    if model.edge_tpu is None:
        return "not known"
    complaints = "; ".join(model.edge_tpu.complaints)
    return f"not all would be mapped: {complaints}" if complaints else "all would be mapped (static check)"


def _weakest(model: Model) -> str:
    told = [(layer.sqnr_db, layer.layer) for layer in model.layers if layer.sqnr_db is not None]
    return "{:.1f} dB signal to noise against float, {}".format(*min(told)) if told else "not known"


def _listed(pairs: Pairs, collection: str) -> Iterator[str]:
    yield f"{collection}, {pairs.genuine:,} of friends and {pairs.impostor:,} of strangers:"
    yield ""
    yield from _table(
        ("", ""),
        ("accuracy, 10 folds of our own (fixed seed)", str(pairs.accuracy)),
        ("equal error rate", f"{100 * pairs.equal_error_rate:.2f} %"),
        *((f"TAR at FAR {point.fmr:g}", _matched(point)) for point in pairs.points),
        (
            "photographs in which no face was found",
            f"{pairs.missed_photos} of {pairs.photos:,}; {pairs.missed_pairs} pairs, which do not match",
        ),
    )


def _matched(point: OperatingPoint) -> str:
    if point.matched is None or point.false is None:
        return point.note
    few = f"; rests on {point.false.hits} pairs of strangers" if point.false.hits < 10 else ""
    return f"{point.matched}{few}"


def _crossed(cross: Cross) -> Iterator[str]:
    yield (
        f"All pairs of the {cross.photos:,} photographs of the {cross.people:,} people with two or more: "
        f"{cross.genuine:,} genuine, {cross.impostor:,} impostor."
    )
    yield ""
    yield from _table(
        ("TAR at FAR", "", "drawing people"),
        *((f"{point.fmr:g}", _matched(point), _interval(point.by_people)) for point in cross.points),
    )
    yield ""
    yield "What the manifest's best estimates of thresholds let through; a door rests on their upper ends:"
    yield ""
    yield from _table(
        ("promised FMR", "threshold", "found"),
        *(
            (
                f"{one.fmr:g}{' (extrapolated)' * one.is_extrapolated}",
                f"{one.threshold:.4f}",
                _tiny(one.found),
            )
            for one in cross.promises
        ),
    )


def _tiny(rate: Rate) -> str:
    return f"{rate.value:.1e} [{rate.low:.1e}, {rate.high:.1e}], {rate.hits:,} of {rate.trials:,}"


def _interval(ends: tuple[float, float] | None) -> str:
    return f"[{100 * ends[0]:.2f}, {100 * ends[1]:.2f}]" if ends else ""


def _searched(searched: Sequence[IdentifyReport]) -> Iterator[str]:
    yield (
        "People enrolled from photographs, others shown, each one forced answer (`janus-export identify`). "
        "FNIR counts a missed face, a score below the threshold and a wrong person; a promise of 0.00137 is "
        "one false unlock a year at two strangers' tries a day."
    )
    yield ""
    yield from _table(
        ("enrolled, from photos each", "promised FPIR", "threshold", "FNIR", "FPIR"),
        *(
            (
                f"{one.enrolled} of {one.drawn}; {one.samples}{', by the nearest' * one.is_nearest}",
                f"{row.fpir_promised:.3g}",
                f"{row.threshold:.4f}{' (extrapolated)' * row.is_extrapolated}",
                str(row.fnir),
                str(row.fpir),
            )
            for one in searched
            for row in one.thresholds
        ),
    )
    yield ""
    yield "Rank 1 at any score: " + "; ".join(str(one.rank_1) for one in searched) + "."


def _beside(found: Evaluation) -> Iterator[str]:
    yield "Other encoders on the same photographs, behind the same detector, with our cosine:"
    yield ""
    rare = [f"{point.fmr:g}" for point in found.networks[0].cross if point.fmr <= 1e-3]
    yield from _table(
        ("", "accuracy", "TAR at FAR 0.001, listed pairs", *(f"{fmr}, all pairs" for fmr in rare)),
        *(
            (
                f"{network.name if number else found.encoder.name + ', ' + network.name}"
                + (f" ({network.bytes / 1e6:.1f} MB)" if network.bytes else ""),
                str(network.accuracy),
                *(_short(point) for point in network.points if point.fmr == 1e-3),
                *(_short(point) for point in network.cross if f"{point.fmr:g}" in rare),
            )
            for number, network in enumerate(found.networks)
        ),
    )


def _short(point: OperatingPoint) -> str:
    return f"{100 * point.matched.value:.2f} %" if point.matched else "-"


def _changed(sturdiness: Sturdiness) -> Iterator[str]:
    plain = sturdiness.curves[0].points[0].fnmr
    worst = max(point.fmr.value for curve in sturdiness.curves for point in curve.points)
    yield (
        f"SIMULATED changes to one photograph of each of {sturdiness.pairs} pairs of friends, at the "
        f"manifest's threshold for FMR {sturdiness.fmr:g}; without a change {plain} are refused. "
        f"Strangers match at {worst:.1e} at most."
    )
    yield ""
    yield from _table(
        ("change", f"refused of {sturdiness.pairs}", "of them no face found"),
        *(
            (
                f"{curve.axis}: {', '.join(point.label for point in changed)}",
                ", ".join(f"{point.fnmr.hits}" for point in changed),
                ", ".join(f"{point.missed.hits}" for point in changed),
            )
            for curve in sturdiness.curves
            for changed in [curve.points[1:]]
        ),
    )


def _calibrated(calibration: Calibration) -> Iterator[str]:
    yield (
        f"Thresholds: {calibration.description} {calibration.impostor_comparisons:,} impostor and "
        f"{calibration.genuine_comparisons:,} genuine comparisons."
    )
    yield ""
    yield from _table(
        ("FMR", "threshold", "interval"),
        *(
            (f"{row.fmr:g}{note}", f"{row.threshold:.4f}", f"{row.low:.4f} to {row.high:.4f}")
            for note, rows in (("", calibration.table), (" (extrapolated)", calibration.extrapolated))
            for row in rows
        ),
    )
    tail = calibration.tail
    yield ""
    yield (
        f"Rarer rates come from a generalised Pareto tail above {tail.location:.4f} (scale {tail.scale:.4f}, "
        f"shape {tail.shape:.4f})."
    )
