"""What is connected to which line, between the answers, the board's profile and latch.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from janusd.cli.setup.answers import ROLES, LinesAnswer, Wire
from janusd.cli.setup.header import ROLE_WORDS
from janusd.cli.setup.scout import Board, Found

_USUAL: dict[str, dict[str, Any]] = {
    "relay": {"active_low": False},
    "rex": {"active_low": True, "bias": "pull-up"},
    "contact": {"active_low": True, "bias": "pull-up"},
    "tamper": {"active_low": False, "bias": "pull-up"},
    "trigger": {"active_low": False},
    "led_released": {"active_low": False},
    "led_alarm": {"active_low": False},
    "led_nir": {"active_low": False},
    "buzzer": {"active_low": False},
}
"""As hw/WIRING.md draws them: inputs close to ground, outputs drive a transistor with high."""


def line_of(wire: Wire, board: Board) -> int | str | None:
    """Which line of the chip that is; None where the pin carries none."""
    if wire.line is not None:
        return wire.line
    pin = board.at(wire.pin or 0)
    return pin.line if pin else None


def pin_of(wire: Wire, board: Board) -> int | None:
    """Which pin of the header; None where it is on none, or the board's header is not known."""
    if wire.pin is not None:
        return wire.pin
    pin = board.of(wire.line) if wire.line is not None else None
    return pin.pin if pin else None


def is_low(role: str, wire: Wire) -> bool:
    """Whether it is active on low."""
    return bool(_USUAL[role]["active_low"]) if wire.active_low is None else wire.active_low


def table(role: str, wire: Wire, board: Board) -> dict[str, Any]:
    """The line as latch.toml writes it."""
    made: dict[str, Any] = {"line": line_of(wire, board), "active_low": is_low(role, wire)}
    bias = wire.bias or _USUAL[role].get("bias")
    if bias:
        made["bias"] = bias
    if role == "trigger":
        made["debounce_s"] = 0.005
    return made


def from_latch(latch: Mapping[str, Any], door: str, board: Board, hold_s: float) -> LinesAnswer | None:
    """The answer that a latch.toml amounts to; None where it has no such door."""
    its = latch.get("door", {}).get(door)
    if not isinstance(its, dict) or "relay" not in its:
        return None
    answer = LinesAnswer(lock=its.get("lock", "fail-secure"), hold_s=hold_s)
    given = {role: its[role] for role in ROLES if role in its}
    if triggers := its.get("triggers"):
        given["trigger"] = next(iter(triggers.values()))
    for role, value in given.items():
        more = value if isinstance(value, dict) else {"line": value}
        pin = board.of(more.get("line", ""))
        wire = Wire(None if pin is None else pin.pin, more.get("line") if pin is None else None)
        if more.get("active_low", False) is not is_low(role, Wire()):
            wire.active_low = more.get("active_low", False)
        if more.get("bias") != _USUAL[role].get("bias"):
            wire.bias = more.get("bias", "as-is")
        setattr(answer, role, wire)
    return answer


def chip_of(found: Found) -> str:
    """The chip as latch.toml names it: by its label where that is there, for no kernel renumbers labels."""
    label = found.board.chip.removeprefix("label:")
    if any(chip.label == label for chip in found.chips):
        return found.board.chip
    usable = [chip.path for chip in found.chips if not chip.trouble]
    return found.board.chip if found.board.chip in usable or not usable else usable[0]


def refusals(answer: LinesAnswer, found: Found) -> list[str]:
    """What is impossible or dangerous about these wires."""
    board, problems = found.board, []
    wires = answer.wires()
    used: dict[int | str, str] = {}
    for role, wire in wires.items():
        if (wire.pin is None) is (wire.line is None):
            problems.append(f"lines.{role}: give a pin or a line, one of them")
            continue
        if wire.pin is not None and not board.pins:
            problems.append(f"lines.{role}: the header of {board.name} is not known: write {{ line = 17 }}")
            continue
        pin = board.at(wire.pin) if wire.pin is not None else board.of(wire.line or "")
        line = line_of(wire, board)
        if wire.pin is not None and (pin is None or line is None):
            what = pin.words if pin else f"not on the header of a {board.name}"
            problems.append(f"lines.{role}: pin {wire.pin} is {what}, and no GPIO line")
        elif pin is not None and pin.forbidden:
            problems.append(f"lines.{role}: pin {pin.pin} is not to be used: {pin.forbidden}")
        elif line in used:
            problems.append(f"lines.{role}: {said(wire, board)} is the {ROLE_WORDS[used[line]]} already")
        elif line is not None:
            used[line] = role
            if pin is not None:
                problems += [
                    f"lines.{role}: {why}" for why in _at_boot(answer, role, wire, pin) if _is_sure(why)
                ]
    if answer.lock != "none":
        if "relay" not in wires:
            problems.append("lines.relay: is missing: which pin drives the lock?")
        if not any(not chip.trouble for chip in found.chips):
            trouble = found.chips[0].trouble if found.chips else "none is found"
            problems.append(f'lines.lock: there is no GPIO chip to use ({trouble}); write lock = "none"')
    return problems


def warnings(answer: LinesAnswer, found: Found) -> list[str]:
    """What is to be known before these wires are used."""
    told = []
    for role, wire in answer.wires().items():
        pin = found.board.at(pin_of(wire, found.board) or 0)
        if pin is not None:
            told += [
                f"{ROLE_WORDS[role]}: {why}" for why in _at_boot(answer, role, wire, pin) if not _is_sure(why)
            ]
        elif role == "relay":
            told.append("relay: nobody knows what that line does at boot: measure it, and add a resistor")
    if found.board.dead_owner == "unknown" and "relay" in answer.wires():
        told.append(
            "relay: nobody measured what a line does here once its process is gone: both must mean locked"
        )
    return told


def said(wire: Wire, board: Board) -> str:
    """A wire's place in words: "pin 11 (line 17)"."""
    line, pin = line_of(wire, board), pin_of(wire, board)
    return f"pin {pin} (line {line})" if pin is not None else f"line {line}"


def _at_boot(answer: LinesAnswer, role: str, wire: Wire, pin: Any) -> tuple[str, ...]:  # noqa: ANN401 - a scout's Pin
    if role == "relay":
        if answer.lock == "fail-safe":
            return ()  # a magnet: the relay has current while the door is locked, at boot too
        return tuple(pin.relay_low if is_low(role, wire) else pin.relay_high)
    return tuple(pin.buzzer) if role == "buzzer" and not is_low(role, wire) else ()


def _is_sure(concern: str) -> bool:
    """Whether a concern is known to open the door, not merely unknown or a nuisance."""
    return "the relay would pull in" in concern
