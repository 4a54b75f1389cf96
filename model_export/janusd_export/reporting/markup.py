"""Pieces of the report's HTML. Whatever was not made here is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from janusd_export.evaluation.findings import OperatingPoint
from janusd_export.metrics import Rate

NOTHING = "\N{EN DASH}"
"""In a cell that has no value."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page."""

    anchor: str
    title: str
    html: str
    badge: str = ""


def how(html: str) -> str:
    """A sentence or two on how to read a section."""
    return f'<p class="how"><b>How to read this.</b> {html}</p>'


def missing(command: str, why: str = "") -> str:
    """What stands where an input is missing."""
    return f'<p class="missing">{escape(why)} Made by <code>{escape(command)}</code></p>'


def gallery(*pieces: tuple[str, str, str], small: bool = False, beside: str = "") -> str:
    """Figures (svg, title, caption) beside each other, or `small` ones; `beside` is HTML in the last."""
    shown = "".join(
        f"<figure>{svg}<figcaption><h3>{escape(title)}</h3>{escape(caption)}</figcaption></figure>"
        for svg, title, caption in pieces
    )
    return f'<div class="figures{" small" if small else ""}">{shown}{beside}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, is_html: bool = False) -> str:
    """A table; an empty head has none."""

    def cell(text: str) -> str:
        return text if is_html else escape(text)

    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell(text)}</td>" for text in row) + "</tr>" for row in rows)
    heading = f"<thead><tr>{top}</tr></thead>" if any(head) else ""
    return f'<div class="table"><table>{heading}<tbody>{body}</tbody></table></div>'


def points(found: Sequence[OperatingPoint]) -> str:
    """A table of matched shares at each rate, and what could not be measured."""
    rows = []
    for point in found:
        if point.matched is None or point.threshold is None:
            rows.append((rare(point.fmr), NOTHING, NOTHING, f"<small>{escape(point.note)}</small>"))
            continue
        people = (
            f"[{100 * point.by_people[0]:.2f}, {100 * point.by_people[1]:.2f}] %"
            if point.by_people
            else NOTHING
        )
        note = f"<small>{escape(point.note)}</small>" if point.note else ""
        rows.append((rare(point.fmr), f"{point.threshold:.4f}", rate(point.matched) + note, people))
    return table(("FAR", "threshold", "TAR", "interval over people"), rows, is_html=True)


def share_at(found: Sequence[OperatingPoint], fmr: float) -> str:
    """The matched share at one rate."""
    point = next((p for p in found if p.fmr == fmr and p.matched), None)
    return rate(point.matched, narrow=True) if point and point.matched else NOTHING


def rate(share: Rate, *, inline: bool = False, narrow: bool = False) -> str:
    """A share, its interval and its counts."""
    if not share.trials:
        return NOTHING
    if share.value < 1e-4 and share.high < 1e-4:
        value, interval = tiny(share.value), f"[{tiny(share.low)}, {tiny(share.high)}]"
    elif share.value < 1e-2 and share.high < 2e-2:
        value, interval = f"{100 * share.value:.3f} %", f"[{100 * share.low:.3f}, {100 * share.high:.3f}]"
    else:
        value, interval = percent(share.value), f"[{100 * share.low:.2f}, {100 * share.high:.2f}]"
    counts = f"{share.hits:,} of {share.trials:,}"
    if narrow:
        return f'{value}<small class="n">{interval}</small><small class="n">{counts}</small>'
    return f"{value} {interval} ({counts})" if inline else f"{value}<i>{interval}</i><small>{counts}</small>"


def tiny(value: float) -> str:
    """Two digits and a power: 1.6e-5."""
    return rare(float(f"{value:.1e}"))


def rare(value: float) -> str:
    """A chosen rate as a power of ten where it is one: 1e-4, 1.37e-3."""
    if not value:
        return "0"
    digits, power = f"{value:.2e}".split("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}"


def score(value: float) -> str:
    """Three digits, and no zero below zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def listing(rows: Sequence[tuple[str, str]]) -> str:
    """Names and what they are; rows that say nothing are left out."""
    pairs = "".join(f"<dt>{escape(a)}</dt><dd>{escape(b)}</dd>" for a, b in rows if b)
    return f"<dl>{pairs}</dl>"


def measured_on(collection: str) -> str:
    """A line that says that a section is of another collection than the page; nothing for an empty name."""
    return f'<p class="on">Measured on {escape(collection)}.</p>' if collection else ""


def percent(value: float) -> str:
    """Two digits behind the point."""
    return f"{100 * value:.2f} %"


def words(value: Any) -> str:  # noqa: ANN401  # the manifest's free text
    """A list as words."""
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
