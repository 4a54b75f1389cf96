"""The report: one HTML page of everything that is known about a model, for eyes first.

Nothing is fetched: style and figures are in the page, so it can be mailed, archived beside the model and read
in twenty years. A section whose input is missing says which command makes it. Faces are shown only where
somebody states under which licence.
"""

from __future__ import annotations

from html import escape
from pathlib import Path

from janusd_export.errors import ExportError
from janusd_export.reporting import objectives, particulars, sections
from janusd_export.reporting.markup import Section, percent
from janusd_export.reporting.material import Inputs

_STYLE = Path(__file__).with_name("report.css")
_SECTIONS = (
    sections.draw_scores,
    sections.draw_tradeoff,
    sections.draw_promises,
    sections.draw_confusion,
    sections.draw_identification,
    sections.draw_robustness,
    particulars.draw_compared,
    particulars.draw_matchers,
    particulars.draw_subgroups,
    particulars.draw_map,
    particulars.draw_worst,
    particulars.draw_training,
    objectives.draw_objectives,
    particulars.draw_layers,
    particulars.draw_cost,
    particulars.draw_provenance,
)
"""In the order of the page."""


def write(path: Path, inputs: Inputs) -> Path:
    """Write the page. Raises ExportError."""
    beside = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(page(inputs), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror}") from error
    return path


def page(inputs: Inputs) -> str:
    """The whole page."""
    drawn = [draw(inputs) for draw in _SECTIONS]
    title, kicker = _title(inputs)
    links = " ".join(f'<a href="#{s.anchor}">{escape(s.title)}</a>' for s in drawn)
    body = "".join(
        f'<section id="{s.anchor}"><h2>{escape(s.title)}{_badge(s)}</h2>{s.html}</section>\n' for s in drawn
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}: "
        f"report</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f'<header><p class="kicker">{escape(kicker)}</p><h1>{escape(title)}</h1>{_lede(inputs)}'
        f"{_tiles(inputs)}<nav>{links}</nav></header>\n<main>\n{body}</main>\n"
        "<footer><p>Written by <code>janus-export report</code>. FMR and FNMR speak of one comparison, "
        "FPIR and "
        "FNIR of one search (ISO/IEC 19795-1). Intervals are 95 %, exact binomial (Clopper-Pearson) unless "
        "another is named; they say what the counts allow, and nothing about people, cameras and "
        "light that were not in the collection.</p></footer>\n</body>\n</html>\n"
    )


def _title(inputs: Inputs) -> tuple[str, str]:
    if inputs.model:
        return inputs.model.encoder.name, f"face encoder, version {inputs.model.encoder.version}"
    if inputs.evaluation:
        return inputs.evaluation.encoder.name, f"face encoder, version {inputs.evaluation.encoder.version}"
    named = [run.name for run in inputs.runs] or [f"{c.found.recipe}: objectives" for c in inputs.contests]
    return ", ".join(named), "training"


def _lede(inputs: Inputs) -> str:
    found = inputs.evaluation
    if found is None:
        return '<p class="lede">Not evaluated yet: what follows is what training and compilation left.</p>'
    return (
        f'<p class="lede">What stands between a stranger and the door: {escape(found.collection)}, each '
        f"sent through "
        f"the door's own path, from the raw photograph by {escape(found.encoder.detector)} and the int8 "
        f"encoder to "
        "a score.</p>"
    )


def _tiles(inputs: Inputs) -> str:
    found, model = inputs.evaluation, inputs.model
    tiles: list[tuple[str, str]] = []
    if found:
        low, high = 100 * found.pairs.accuracy.low, 100 * found.pairs.accuracy.high
        tiles.append(
            (
                percent(found.pairs.accuracy.value),
                f"of {found.pairs.accuracy.trials:,} listed pairs right [{low:.2f}, {high:.2f}]",
            )
        )
        best = next(
            (p for p in (found.cross.points if found.cross else []) if p.fmr == 1e-4 and p.matched), None
        )
        best = best or next((p for p in reversed(found.pairs.points) if p.matched), None)
        if best and best.matched:
            tiles.append(
                (
                    percent(best.matched.value),
                    f"of friends match where one stranger in {round(1 / best.fmr):,} does",
                )
            )
        door = next((d for d in reversed(found.doors) if d.enrolled <= 100 and d.thresholds), None)
        row = next((t for t in door.thresholds if t.fpir_promised == 1e-2), None) if door else None
        if door and row:
            tiles.append(
                (
                    percent(row.fnir.value),
                    f"of residents refused at first glance, {door.enrolled} enrolled from one photograph, "
                    f"1 % of strangers allowed in",
                )
            )
        tiles.append(
            (
                f"{found.encoder.encoder_ms * found.encoder.views:.1f} ms",
                "an embedding, one core of the machine that evaluated",
            )
        )
    size = model.bytes if model else found.encoder.bytes if found else None
    if size:
        tiles.append((f"{size / 1e6:.2f} MB", "int8 network"))
    if not tiles:
        return ""
    return (
        '<ul class="tiles">'
        + "".join(f"<li><b>{escape(a)}</b><span>{escape(b)}</span></li>" for a, b in tiles)
        + "</ul>"
    )


def _badge(section: Section) -> str:
    return f'<span class="simulated">{escape(section.badge)}</span>' if section.badge else ""
