"""A board's header, drawn as it lies on the board: odd pins left, even pins right, pin 1 at the top.

What a pin is says its letter as well as its colour: drawings are read without colour, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from janusd.cli.setup.scout import Board, Pin

ROLE_WORDS = {
    "relay": "relay",
    "rex": "exit button",
    "contact": "door contact",
    "tamper": "tamper loop",
    "trigger": "trigger",
    "led_released": "LED open",
    "led_alarm": "LED alarm",
    "led_nir": "IR lamp",
    "buzzer": "buzzer",
}
_LABEL, _MIDDLE = 22, 17
"""Columns beside the pins, and of the pins with their numbers."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a kind of pin is drawn."""

    glyph: str
    plain: str
    """The same in ASCII."""
    style: str
    words: str


_CHOSEN = Look("◆", "*", "bold cyan", "yours")
_FREE = Look("●", "o", "green", "down at boot")
_UP = Look("▲", "^", "yellow", "up at boot")
_UNKNOWN = Look("?", "?", "yellow", "floats at boot")
_NOT = Look("✗", "x", "red", "not to be used")
_POWER = Look("+", "+", "bold red", "5 V, 3.3 V")
_GROUND = Look("-", "-", "dim", "ground")
_BUS = Look("·", ".", "dim", "a bus")


def draw(board: Board, roles: Mapping[int, str], *, is_unicode: bool, width: int = 80) -> list[Text]:
    """The header as lines; `roles` says what is connected to which pin."""
    if not board.pins:
        return []
    rows = [
        _row(board, odd, roles, is_unicode=is_unicode) for odd in range(1, max(p.pin for p in board.pins), 2)
    ]
    legend = _legend(board, roles, is_unicode=is_unicode)
    drawn = 2 * _LABEL + _MIDDLE
    room = max((line.cell_len for line in legend), default=0)
    if drawn + room > width:
        return [*rows, *legend]
    for number, line in enumerate(legend, start=1):
        rows[number].pad_right(drawn - rows[number].cell_len)
        rows[number].append_text(line)
    return rows


def look_of(pin: Pin, roles: Mapping[int, str]) -> Look:
    """What kind of pin that is."""
    if pin.pin in roles:
        return _CHOSEN
    if pin.line is None:
        return _GROUND if pin.words == "ground" else _POWER if pin.words.endswith(" V") else _BUS
    if pin.forbidden:
        return _NOT
    return {"up": _UP, "down": _FREE}.get(pin.pull, _UNKNOWN)


def _row(board: Board, odd: int, roles: Mapping[int, str], *, is_unicode: bool) -> Text:
    left, right = board.at(odd), board.at(odd + 1)
    label = _label(left, roles) if left else Text("")
    label.truncate(_LABEL)
    line = Text(" " * (_LABEL - label.cell_len)) + label
    line.append(f" {odd:>2} ", style="dim")
    edges = "││" if is_unicode else "||"
    line.append(edges[0], style="dim")
    for pin in (left, right):
        kind = look_of(pin, roles) if pin else _BUS
        line.append(f" {kind.glyph if is_unicode else kind.plain}", style=kind.style)
    line.append(f" {edges[1]}", style="dim")
    line.append(f" {odd + 1:<2} ", style="dim")
    label = _label(right, roles) if right else Text("")
    label.truncate(_LABEL)
    return line + label


def _label(pin: Pin, roles: Mapping[int, str]) -> Text:
    """What stands beside a pin."""
    kind = look_of(pin, roles)
    if pin.pin in roles:
        return Text.assemble((ROLE_WORDS[roles[pin.pin]], kind.style), (f", line {pin.line}", "dim"))
    if pin.line is None:
        return Text(pin.words, style=kind.style)
    if pin.forbidden:
        return Text(f"{pin.forbidden.partition(':')[0]}, line {pin.line}", style="dim")
    if pin.recommended and ROLE_WORDS[pin.recommended] not in (ROLE_WORDS[role] for role in roles.values()):
        return Text.assemble((f"({ROLE_WORDS[pin.recommended]}) ", "italic"), f"line {pin.line}")
    return Text(f"line {pin.line}")


def _legend(board: Board, roles: Mapping[int, str], *, is_unicode: bool) -> list[Text]:
    """What the letters mean, of those that are drawn."""
    order = (_CHOSEN, _FREE, _UP, _UNKNOWN, _NOT, _BUS, _POWER, _GROUND)
    drawn = {look_of(pin, roles) for pin in board.pins}
    lines = [
        Text.assemble((f"{kind.glyph if is_unicode else kind.plain}", kind.style), f" {kind.words}")
        for kind in order
        if kind in drawn
    ]
    return [*lines, Text("( ) recommended", style="italic")]
