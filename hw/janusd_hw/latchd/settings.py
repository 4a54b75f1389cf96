"""latch.toml: read, checked, frozen. This process knows nothing of cameras, faces and people.

Every number has bounds that no file can leave. All wrong fields are reported at once, as a `ConfigError`.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from typing import Any, TypeVar

from janusd.errors import ConfigError

DEFAULT_PATH = "/etc/janus/latch.toml"
LONGEST_S = 30.0
"""No configuration can make a release longer."""
OUTPUTS = ("relay", "led_released", "led_alarm", "led_status", "led_nir", "buzzer")
ROLES = (*OUTPUTS, "rex", "contact", "tamper")
T = TypeVar("T", "Line", "Door", "Settings")
_KINDS = {float: "a number", bool: "true or false", str: "text in quotes", dict: "a table", tuple: "a list"}


def _one_of(*choices: str) -> Any:  # noqa: ANN401 - dataclasses.field takes the type it is given
    return field(default=choices[0], metadata={"choices": choices})


def _within(default: float, low: float, high: float) -> Any:  # noqa: ANN401 - likewise
    return field(default=default, metadata={"bounds": (low, high)})


@dataclass(frozen=True, slots=True)
class Line:
    """One GPIO line; in latch.toml its offset, its name, or a table that says more."""

    line: int | str = ""
    chip: str = "/dev/gpiochip0"
    """A device, or "label:..." for the chip that calls itself so: numbers change between kernels."""
    active_low: bool = False
    """The kernel inverts: for us, active is always True."""
    bias: str = _one_of("as-is", "pull-up", "pull-down", "disabled")
    debounce_s: float = _within(0.03, 0.0, 1.0)
    """An input counts once it has lasted so long, by the kernel's own timer."""


@dataclass(frozen=True, slots=True)
class Door:
    """One [door.NAME]: what its owner decided."""

    name: str
    lines: dict[str, Line]
    """By role; that of a trigger is "trigger NAME"."""
    hold_max_s: float = _within(10.0, 0.5, LONGEST_S)
    """How long it may be released at a stretch, whoever asks."""
    hold_min_s: float = _within(0.0, 0.0, 10.0)
    rex_hold_s: float = _within(5.0, 0.5, LONGEST_S)
    held_open_s: float = _within(30.0, 0.5, 3600.0)
    heartbeat_s: float = _within(2.0, 0.5, 5.0)
    """A client that is silent for so long is hung."""
    retrigger: bool = True
    """Whether a release while one runs starts the hold anew."""
    lock: str = _one_of("fail-secure", "fail-safe")
    """A strike that opens while it has current, or a magnet that holds while it has."""
    shutdown: str = _one_of("locked", "off")

    @property
    def rests_energised(self) -> bool:
        """Whether the relay is to have current when this process has ended."""
        return (self.lock, self.shutdown) == ("fail-safe", "locked")


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole latch.toml."""

    doors: tuple[Door, ...]
    socket: str = "/run/janus-latch.sock"
    user: str = "janus"
    """Who may be a client, besides root and this process's own user."""
    interlock: bool = False
    """Whether no two doors may be released at once."""
    state: str = "/run/janus-latchd/locked"
    """Where janus-lock-now finds which levels mean locked."""


def load(path: str) -> Settings:
    """Read a file. Raises ConfigError that lists every wrong field."""
    try:
        with open(path, encoding="utf-8") as file:
            top = tomllib.loads(file.read())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path}: {reason}", "write it, or correct that line") from error
    problems: list[str] = []
    chip, doors = top.pop("chip", Line.__dataclass_fields__["chip"].default), top.pop("door", None)
    if not isinstance(doors, dict) or not doors:
        problems.append("door: there is none: write a table [door.front] with its relay")
        doors = {}
    settings = _fill(Settings, top, "", problems, doors=tuple(
        _door(name, table if isinstance(table, dict) else {}, chip, problems) for name, table in doors.items()
    ))  # fmt: skip
    used = [
        (f"door.{door.name}.{role}", line) for door in settings.doors for role, line in door.lines.items()
    ]
    for at, (where, line) in enumerate(used):
        same = [other for other, held in used[:at] if (held.chip, held.line) == (line.chip, line.line)]
        problems += [f"{where}: line {line.line} is {other} already" for other in same]
    if problems:
        raise ConfigError("\n".join(f"{path}: {problem}" for problem in problems), "nothing was changed")
    return settings


def _door(name: str, table: dict[str, Any], chip: str, problems: list[str]) -> Door:
    where, table = f"door.{name}.", dict(table)
    triggers = table.pop("triggers", {})
    found = {role: table.pop(role) for role in ROLES if role in table}
    found |= (
        {f"trigger {key}": value for key, value in triggers.items()} if isinstance(triggers, dict) else {}
    )
    lines: dict[str, Line] = {}
    for role, given in found.items():
        more = dict(given) if isinstance(given, dict) else {"line": given}
        line = more.pop("line", None)
        if type(line) not in (int, str) or line == "" or (type(line) is int and not 0 <= line < 1024):
            problems.append(f"{where}{role}: must be the offset or the name of a line, not {line!r}")
        lines[role] = _fill(Line, {"chip": chip} | more, f"{where}{role}.", problems, line=line)
    door = _fill(Door, table, where, problems, name=name, lines=lines)
    if "relay" not in lines:
        problems.append(f"{where}relay: is missing: which line drives the lock?")
    if max(door.hold_min_s, door.rex_hold_s) > door.hold_max_s:
        problems.append(f"{where}hold_max_s: {door.hold_max_s:g} is less than another hold of this door")
    if not (name.isascii() and name.isprintable() and len(name) <= 32):
        problems.append(f"{where[:-1]}: name a door in at most 32 plain letters")
    return door


def _fill(kind: type[T], table: dict[str, Any], where: str, problems: list[str], **given: object) -> T:
    """Make a `kind` of a table whose values are of the kind of its defaults, and within its bounds."""
    known = {name: made for name, made in kind.__dataclass_fields__.items() if name not in given}
    for key, value in table.items():
        if key not in known:
            problems.append(f"{where}{key}: no such key; there are {', '.join(known)}")
            continue
        default, allowed = known[key].default, known[key].metadata
        fitting = float(value) if type(value) is int and type(default) is float else value
        low, high = allowed.get("bounds", (0.0, 0.0))
        if type(fitting) is not type(default):
            problems.append(f"{where}{key}: must be {_KINDS[type(default)]}, not {value!r}")
        elif "bounds" in allowed and not low <= fitting <= high:
            problems.append(f"{where}{key}: must be from {low:g} to {high:g}, not {value}")
        elif fitting not in allowed.get("choices", (fitting,)):
            problems.append(f"{where}{key}: must be one of {', '.join(allowed['choices'])}, not {value!r}")
        else:
            given[key] = fitting
    return kind(**given)  # type: ignore[arg-type]  # each value was checked against its field
