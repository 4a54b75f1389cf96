"""Small figures as SVG text: lines, bands, bars and dots, labelled where they stand and not in a legend.

Colours are classes (`s1` to `s6`, `genuine`, `impostor`), so that the page's style sheet decides what they
are by day, by night and on paper. Figures are 460 units wide: two beside each other on a desk, one on a
phone, readable on both. Every figure has a title that a screen reader speaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import NormalDist
from typing import Literal

Points = Sequence[tuple[float, float]]
_NORMAL = NormalDist()
_POWERS = "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"
_ROW = 14.0  # units between two labels that would collide


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a value lies between 0 and 1, and what is written beside it."""

    low: float
    high: float
    name: str
    ticks: tuple[tuple[float, str], ...] = ()
    scale: Literal["linear", "log", "probit"] = "linear"

    def __call__(self, value: float) -> float:
        """The share of the axis; outside it is cut off."""
        a, b, v = (self._bend(x) for x in (self.low, self.high, value))
        return min(1.0, max(0.0, (v - a) / (b - a))) if b != a else 0.5

    def _bend(self, value: float) -> float:
        if self.scale == "log":
            return math.log10(max(value, 1e-12))
        if self.scale == "probit":
            return _NORMAL.inv_cdf(min(max(value, 1e-9), 1.0 - 1e-9))
        return value


def linear(low: float, high: float, name: str, *, percent: bool = False, count: int = 5) -> Axis:
    """An axis with about `count` round ticks."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough - 1e-12)
    first = math.ceil(low / step - 1e-9)
    values = [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]
    return Axis(low, high, name, tuple((v, _percent(v) if percent else f"{v:.6g}") for v in values))


def rates(low: float, high: float, name: str, scale: Literal["log", "probit"] = "log") -> Axis:
    """An axis of error rates: 0.001 % to 50 %."""
    known: tuple[float, ...] = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
    if scale == "log":
        known = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    # 1e-4 and less read better as powers
    ticks = tuple((v, _percent(v) if v >= 1e-3 else _power(v)) for v in known if low <= v <= high)
    return Axis(low, high, name, ticks, scale)


@dataclass(slots=True)
class Figure:
    """A drawing area with two axes. Values are in the axes' units; parts are drawn in the order given."""

    title: str
    x: Axis
    y: Axis
    width: float = 460.0
    height: float = 310.0
    right: float = 14.0
    """Room for labels at the ends of lines."""
    left: float = 58.0
    _parts: list[str] = field(default_factory=list)
    _labels: list[tuple[float, float, str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make room for the longest of the words beside the upright axis, and for the axis's name."""
        longest = max((len(text) for _, text in self.y.ticks), default=0)
        self.left = max(self.left, 7.0 * longest + 26.0 if longest else 0.0)

    def px(self, x: float) -> float:
        """Units from the left."""
        return self.left + self.x(x) * (self.width - self.left - self.right)

    def py(self, y: float) -> float:
        """Units from the top."""
        return 12.0 + (1.0 - self.y(y)) * (self.height - 12.0 - 42.0)

    def line(self, points: Points, kind: str, label: str = "", *, dashed: bool = False) -> None:
        """A line; its label stands at its end."""
        shown = [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]
        if not shown:
            return
        path = " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in shown)
        self._parts.append(f'<polyline class="line {kind}{" dashed" if dashed else ""}" points="{path}"/>')
        if label:
            self._labels.append((self.px(shown[-1][0]) + 5.0, self.py(shown[-1][1]) + 4.0, label, kind))

    def band(self, xs: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> None:
        """The area between two lines, as an interval."""
        there = [(self.px(x), self.py(a)) for x, a in zip(xs, low, strict=True)]
        back = [(self.px(x), self.py(b)) for x, b in zip(xs, high, strict=True)][::-1]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*there, *back])
        self._parts.append(f'<polygon class="band {kind}" points="{path}"/>')

    def shape(self, points: Points, kind: str) -> None:
        """A closed area."""
        path = " ".join(f"{self.px(x):.1f},{self.py(y):.1f}" for x, y in points)
        self._parts.append(f'<polygon class="band {kind}" points="{path}"/>')

    def area(self, edges: Sequence[float], heights: Sequence[float], kind: str) -> None:
        """A histogram's outline; one more edge than heights."""
        base = self.py(self.y.low)
        path = [(self.px(edges[0]), base)]
        for a, b, h in zip(edges[:-1], edges[1:], heights, strict=True):
            path += [(self.px(a), self.py(h)), (self.px(b), self.py(h))]
        path.append((self.px(edges[-1]), base))
        self._parts.append(
            f'<polygon class="area {kind}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in path)}"/>'
        )

    def dots(self, points: Points, kind: str, radius: float = 2.6, names: Sequence[str] = ()) -> None:
        """Dots; `names` are shown when a pointer rests on them."""
        for number, (x, y) in enumerate(points):
            said = f"<title>{escape(names[number])}</title>" if names else ""
            self._parts.append(
                f'<circle class="dot {kind}" cx="{self.px(x):.1f}" cy="{self.py(y):.1f}" '
                f'r="{radius}">{said}</circle>'
            )

    def whisker(self, x: float, low: float, high: float, kind: str) -> None:
        """An upright interval."""
        self._parts.append(
            f'<line class="whisker {kind}" x1="{self.px(x):.1f}" x2="{self.px(x):.1f}" '
            f'y1="{self.py(low):.1f}" y2="{self.py(high):.1f}"/>'
        )

    def rule(self, x: float, label: str) -> None:
        """An upright line with a word at its top."""
        at = self.px(x)
        anchor, shift = ("end", -5) if self.x(x) > 0.7 else ("start", 5)
        self._parts.append(
            f'<line class="rule" x1="{at:.1f}" x2="{at:.1f}" y1="12" y2="{self.height - 42:.1f}"/>'
            f'<text class="note" x="{at + shift:.1f}" y="22" text-anchor="{anchor}">{escape(label)}</text>'
        )

    def word(
        self,
        x: float,
        y: float,
        text: str,
        kind: str,
        anchor: str = "start",
        *,
        right: float = 0.0,
        down: float = 0.0,
    ) -> None:
        """A word beside what it names, moved by so many units."""
        self._parts.append(
            f'<text class="label {kind}" x="{self.px(x) + right:.1f}" y="{self.py(y) + down:.1f}" '
            f'text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def svg(self) -> str:
        """The whole figure."""
        bottom = self.height - 42.0
        frame = []
        for value, text in self.y.ticks:
            at = self.py(value)
            frame.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right:.1f}" y1="{at:.1f}" '
                f'y2="{at:.1f}"/>'
                f'<text class="tick" x="{self.left - 6}" y="{at + 4:.1f}" '
                f'text-anchor="end">{escape(text)}</text>'
            )
        free = -math.inf
        for value, text in self.x.ticks:
            at = self.px(value)
            frame.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="12" y2="{bottom:.1f}"/>')
            half = 3.4 * sum(0.6 if c in _POWERS else 1.0 for c in text) + 3.0
            if at - half >= free:  # else it would run into the one before
                free = at + half
                frame.append(
                    f'<text class="tick" x="{at:.1f}" y="{bottom + 16:.1f}" text-anchor="middle">'
                    f"{escape(text)}</text>"
                )
        middle = (self.left + self.width - self.right) / 2
        frame.append(
            f'<text class="axis" x="{middle:.1f}" y="{self.height - 8:.1f}" text-anchor="middle">'
            f"{escape(self.x.name)}</text>"
            f'<text class="axis" transform="translate(12 {(12 + bottom) / 2:.1f}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.name)}</text>'
        )
        return _wrap(self.title, self.width, self.height, "".join([*frame, *self._parts, *self._placed()]))

    def _placed(self) -> list[str]:
        """Labels at the ends of lines, moved apart where they would cover each other."""
        ordered = sorted(self._labels, key=lambda label: label[1])
        heights: list[float] = []
        for _, y, _, _ in ordered:
            heights.append(max(y, heights[-1] + _ROW) if heights else y)
        floor = self.height - 44.0  # pushed out at the bottom: move up from there
        for number in range(len(heights) - 1, -1, -1):
            heights[number] = min(heights[number], floor)
            floor = heights[number] - _ROW
        return [
            f'<text class="label {kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
            for y, (x, _, text, kind) in zip(heights, ordered, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a list of bars or of dots with intervals."""

    name: str
    value: float
    text: str
    kind: str = "s1"
    low: float | None = None
    high: float | None = None
    note: str = ""


def bars(title: str, rows: Sequence[Bar], axis: Axis, *, left: float = 150.0, width: float = 460.0) -> str:
    """Rows with a name, a bar from the axis's low end, and the value in words."""
    step, top = 19.0, 8.0
    height = top + step * len(rows) + 34.0
    room = width - left - 74.0
    parts = [
        f'<line class="grid" x1="{left + axis(v) * room:.1f}" x2="{left + axis(v) * room:.1f}" y1="{top}" '
        f'y2="{height - 34:.1f}"/><text class="tick" x="{left + axis(v) * room:.1f}" y="{height - 20:.1f}" '
        f'text-anchor="middle">{escape(text)}</text>'
        for v, text in axis.ticks
    ]
    for number, row in enumerate(rows):
        y = top + step * number
        end = left + axis(row.value) * room
        said = f"<title>{escape(row.note or f'{row.name}: {row.text}')}</title>"
        parts.append(
            f'<g>{said}<text class="row" x="{left - 7:.1f}" y="{y + 13:.1f}" text-anchor="end">'
            f"{escape(_shorten(row.name, left))}</text>"
        )
        if row.low is None or row.high is None:
            parts.append(
                f'<rect class="bar {row.kind}" x="{left}" y="{y + 4:.1f}" '
                f'width="{max(1.0, end - left):.1f}" height="11"/>'
            )
            reach = end
        else:
            reach = left + axis(row.high) * room
            parts.append(
                f'<line class="whisker {row.kind}" x1="{left + axis(row.low) * room:.1f}" x2="{reach:.1f}" '
                f'y1="{y + 9:.1f}" y2="{y + 9:.1f}"/>'
                f'<circle class="dot {row.kind}" cx="{end:.1f}" cy="{y + 9:.1f}" r="4"/>'
            )
        parts.append(
            f'<text class="value" x="{reach + 6:.1f}" y="{y + 13:.1f}">{escape(row.text)}</text></g>'
        )
    parts.append(
        f'<text class="axis" x="{left + room / 2:.1f}" y="{height - 4:.1f}" text-anchor="middle">'
        f"{escape(axis.name)}</text>"
    )
    return _wrap(title, width, height, "".join(parts))


def scatter(
    title: str, groups: Sequence[tuple[str, Points]], width: float = 460.0, height: float = 400.0
) -> str:
    """Dots in a plane -1..1 without axes: a colour and shape for each group, its name under a pointer."""
    parts = []
    for number, (name, points) in enumerate(groups):
        kind, shape = f"s{number % 6 + 1}", number // 6 % 3
        for x, y in points:
            cx, cy = width / 2 + x * (width / 2 - 14), height / 2 + y * (height / 2 - 14)
            parts.append(_mark(cx, cy, shape, kind, name))
    return _wrap(title, width, height, "".join(parts))


def _mark(cx: float, cy: float, shape: int, kind: str, name: str) -> str:
    said = f"<title>{escape(name)}</title>"
    if shape == 0:
        return f'<circle class="dot {kind}" cx="{cx:.1f}" cy="{cy:.1f}" r="3.2">{said}</circle>'
    if shape == 1:
        return (
            f'<rect class="dot {kind}" x="{cx - 2.9:.1f}" y="{cy - 2.9:.1f}" width="5.8" height="5.8">'
            f"{said}</rect>"
        )
    tip = f"{cx:.1f},{cy - 4:.1f} {cx + 3.8:.1f},{cy + 3:.1f} {cx - 3.8:.1f},{cy + 3:.1f}"
    return f'<polygon class="dot {kind}" points="{tip}">{said}</polygon>'


def standalone(svg: str, style: str) -> str:
    """A figure as a file of its own, with the style sheet that its classes are of."""
    head, rest = svg.split(">", 1)
    return (
        f'{head} xmlns="http://www.w3.org/2000/svg"><style><![CDATA[{style}\nsvg {{ font-family: sans-serif; '
        f"background: var(--card); }}]]></style>{rest}\n"
    )


def _wrap(title: str, width: float, height: float, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>{inside}</svg>"
    )


def _shorten(name: str, room: float) -> str:
    most = max(6, int((room - 10) / 6.3))
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-(most - most // 2) :]}"


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"


def _power(value: float) -> str:
    exponent = round(math.log10(value))
    return "10" + str(exponent).translate(str.maketrans("-0123456789", _POWERS))
