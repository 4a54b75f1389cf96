"""What happened at a door, and when: as lines of text, and as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

LINES = ("relay", "exit button", "trigger", "contact")
_LEVELS = {"0": "low", "1": "high", "=0": "low, as found", "=1": "high, as found"}
_WIDTH, _LEFT, _ROW = 1000, 130, 46


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened."""

    at_s: float
    """Seconds on the guest's CLOCK_BOOTTIME."""
    who: str
    what: str
    """For a line its level: "0" or "1"; "=0" or "=1" where watching began: what was before is not known."""


def tell(moments: list[Moment], start_s: float) -> list[str]:
    """One line a moment, in milliseconds since the start."""
    return [
        f"{1000 * (moment.at_s - start_s):8.0f} ms  {moment.who:14} "
        + (_LEVELS.get(moment.what, moment.what) if moment.who in LINES else moment.what)
        for moment in moments
    ]


def draw(title: str, moments: list[Moment], start_s: float) -> str:
    """The lines as traces, everything else as marks above them: an SVG."""
    end_s = max([moment.at_s for moment in moments] + [start_s + 1]) + 0.5
    scale = (_WIDTH - _LEFT - 20) / (end_s - start_s)

    def x(at_s: float) -> float:
        return round(_LEFT + scale * (at_s - start_s), 1)

    marks = [moment for moment in moments if moment.who not in LINES]
    top = 60 + 15 * len(marks)
    height = top + _ROW * len(LINES) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        _text(10, 24, title[:130], 'font-size="14" font-weight="bold"'),
    ]
    for number, mark in enumerate(marks):
        y, at = 50 + 15 * number, x(mark.at_s)
        anchor, beside = ("end", -4) if at > _WIDTH / 2 else ("start", 4)
        parts.append(f'<path d="M{at} {y - 9} V{height - 34}" stroke="#b00" stroke-opacity=".35"/>')
        look = f'fill="#900" font-size="11" text-anchor="{anchor}"'
        parts.append(_text(at + beside, y, f"{mark.who}: {mark.what}", look))
    for row, line in enumerate(LINES):
        low = top + _ROW * (row + 1) - 14
        changes = [moment for moment in moments if moment.who == line]
        first = changes[0].what if changes else "1"
        path = [] if first.startswith("=") else [f"M{_LEFT} {low - 24 * (1 - int(first))}"]
        for change in changes:
            at, y = x(change.at_s), low - 24 * int(change.what[-1])
            path.append(f"M{at} {y}" if change.what.startswith("=") else f"H{at} V{y}")
        parts.append(_text(10, low - 6, line))
        parts.append(
            f'<path d="{" ".join(path)} H{_WIDTH - 20}" fill="none" stroke="#06c" stroke-width="2"/>'
        )
    step_s = next((step for step in (1, 2, 5, 10, 20, 60, 120) if (end_s - start_s) / step <= 15), 300)
    for number in range(int((end_s - start_s) / step_s) + 1):
        at_s = number * step_s
        parts.append(_text(x(start_s + at_s), height - 10, f"{at_s} s", 'text-anchor="middle" fill="#555"'))
    return "\n".join([*parts, "</svg>\n"])


def _text(x: float, y: float, text: str, look: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y}" {look}>{escape(text)}</text>'
