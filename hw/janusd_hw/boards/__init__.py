"""Boards: which header pin is which line, what may be used, and what is known besides.

    python -m janusd_hw.boards                    which board is this, and its pins
    python -m janusd_hw.boards raspberry-pi-5     another one
    python -m janusd_hw.boards --check latch.toml whether those lines are wise here

One TOML file a board, in this folder. Every number has its source beside it, in a key that ends in `source`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from janusd.errors import ConfigError, InstallerError

MODEL = Path("/proc/device-tree/model")
ROLES = ("relay", "rex", "contact", "tamper", "trigger", "led_released", "led_alarm", "buzzer")
DEAD_OWNER = ("persists", "falls", "unknown")
_TABLES = {
    "pins": {"source"},
    "header": {"v3_3", "v5", "ground", "source"},
    "boot": {"pull_up", "pull_down", "unknown", "source"},
    "forbidden": set(),
    "wiring": {"logic_v", "why"},
    "camera": {"stack", "source"},
    "accelerator": {"kind", "also", "threads", "source"},
    "thermal": {"zone", "source"},
}
_TOP = ("name", "models", "chip", "chip_source", "kernel", "kernel_source", "dead_owner", "dead_owner_source")


@dataclass(frozen=True, slots=True)
class Board:
    """One board, as its file says."""

    key: str
    """The file's name without its ending."""
    name: str
    models: tuple[str, ...]
    """What /proc/device-tree/model begins with."""
    chip: str
    """As latch.toml names it."""
    dead_owner: str
    """What an output does once nobody holds it: "persists", "falls" or "unknown"."""
    pins: Mapping[int, int]
    """Header pin -> line."""
    power: Mapping[int, str]
    """Header pin -> what it carries instead of a line: "3.3 V", "5 V", "ground", or a bus that is no GPIO."""
    pull_up: frozenset[int]
    pull_down: frozenset[int]
    """What each line is from power-on until something drives it; the others are unknown."""
    forbidden: Mapping[int, str]
    """Line -> why not."""
    wiring: Mapping[str, int]
    """Role -> recommended line; empty where nothing is known."""
    camera: str
    accelerator: str
    threads: int
    """For the encoder, so that camera and kernel keep a core."""
    throttle_c: float | None
    limit_c: float | None
    """Degrees at which the board slows down, and at which it must not be; None where no source says it."""
    sources: Mapping[str, str]

    def pin_of(self, line: int) -> int | None:
        """The header pin of a line."""
        return next((pin for pin, its in self.pins.items() if its == line), None)

    def boot_pull(self, line: int) -> str:
        """Which way a line is pulled while the board starts: "up", "down" or "unknown"."""
        return "up" if line in self.pull_up else "down" if line in self.pull_down else "unknown"

    def concerns(self, role: str, line: int, *, active_low: bool = False) -> list[str]:
        """Say what speaks against that line for that role, each with what to do."""
        found = []
        if line in self.forbidden:
            found.append(f"line {line} ({role}) is not to be used: {self.forbidden[line]}")
        if self.pins and self.pin_of(line) is None:
            found.append(f"line {line} ({role}) is on no pin of the header of a {self.name}")
        if role == "relay":
            released = "down" if active_low else "up"
            pull = self.boot_pull(line)
            if pull == released:
                found.append(f"line {line} is pulled {pull} at boot: the relay would pull in; choose another")
            elif pull == "unknown":
                found.append(f"nobody knows what line {line} does at boot: measure it, and add a resistor")
        if role == "buzzer" and line in (self.pull_down if active_low else self.pull_up):
            found.append(
                f"line {line} is pulled there at boot: the buzzer would sound until janus-latchd starts"
            )
        return found


def names() -> list[str]:
    """All boards there are a file for."""
    files = resources.files(__name__).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load(name: str) -> Board:
    """Read a board's file. Raises ConfigError where there is none, InstallerError where it is damaged."""
    if name not in names():
        raise ConfigError(f"there is no board {name!r}", f"choose one of {', '.join(names())}")
    return parse((resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8"), name)


def parse(text: str, key: str) -> Board:
    """Read the text of a board's file. Raises InstallerError that names what is missing or contradictory."""
    try:
        file = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InstallerError(
            f"the board file {key}.toml is not TOML: {error}", "install janusd again"
        ) from error
    problems = [f"{name} is missing" for name in _TOP if name not in file]
    for table, needed in _TABLES.items():
        problems += [f"{table}.{name} is missing" for name in sorted(needed - set(file.get(table, {})))]
        problems += [] if isinstance(file.get(table), dict) else [f"[{table}] is missing"]
    if problems:
        raise _damaged(key, problems)
    try:
        board = _board(key, file)
    except (TypeError, ValueError) as error:
        raise _damaged(key, [str(error)]) from error
    problems = _contradictions(board)
    if problems:
        raise _damaged(key, problems)
    return board


def detect(model: str | None = None) -> Board:
    """Name the board we run on, by the model its firmware gives; "generic" where that is none we know."""
    if model is None:
        model = MODEL.read_text(encoding="utf-8", errors="replace").strip("\0\n") if MODEL.exists() else ""
    fits = [(start, name) for name in names() for start in load(name).models if model.startswith(start)]
    return load(max(fits, key=lambda fit: len(fit[0]))[1] if fits else "generic")


def _board(key: str, file: dict[str, Any]) -> Board:
    boot, wiring, thermal = file["boot"], file["wiring"], file["thermal"]
    tables = {name: table for name, table in file.items() if isinstance(table, dict)}
    sources = {name: str(value) for name, value in file.items() if name.endswith("source")}
    sources |= {name: str(table["source"]) for name, table in tables.items() if "source" in table}
    sources["wiring"] = str(wiring["why"])
    return Board(
        key=key,
        name=str(file["name"]),
        models=tuple(map(str, file["models"])),
        chip=str(file["chip"]),
        dead_owner=str(file["dead_owner"]),
        pins={int(pin): int(line) for pin, line in file["pins"].items() if pin != "source"},
        power=_power(file["header"]),
        pull_up=frozenset(map(int, boot["pull_up"])),
        pull_down=frozenset(map(int, boot["pull_down"])),
        forbidden={int(line): str(why) for line, why in file["forbidden"].items()},
        wiring={str(role): int(line) for role, line in wiring.items() if role not in ("logic_v", "why")},
        camera=str(file["camera"]["stack"]),
        accelerator=str(file["accelerator"]["kind"]),
        threads=int(file["accelerator"]["threads"]),
        throttle_c=_degrees(thermal.get("throttle_c")),
        limit_c=_degrees(thermal.get("limit_c")),
        sources=sources,
    )


def _power(header: dict[str, Any]) -> dict[int, str]:
    carried = {"v3_3": "3.3 V", "v5": "5 V", "ground": "ground"}
    named = [(pin, words) for table, words in carried.items() for pin in header[table]]
    return {int(pin): str(words) for pin, words in (*named, *header.get("other", {}).items())}


def _degrees(value: object) -> float | None:
    return None if value is None else float(str(value))


def _contradictions(board: Board) -> list[str]:
    lines = list(board.pins.values())
    problems = [f"line {line} is on two pins" for line in sorted(set(lines)) if lines.count(line) > 1]
    problems += [f"pin {pin} is not on a 40-pin header" for pin in board.pins if not 1 <= pin <= 40]
    problems += [f"pin {pin} is a line, and {board.power[pin]}" for pin in board.pins if pin in board.power]
    problems += [f"line {line} is pulled up and down" for line in sorted(board.pull_up & board.pull_down)]
    problems += [f"forbidden line {line} is on no pin" for line in board.forbidden if line not in lines]
    problems += [f"there is no role {role}" for role in board.wiring if role not in ROLES]
    if board.pins:
        problems += [f"wiring.{role} is missing" for role in ROLES if role not in board.wiring]
    used = list(board.wiring.values())
    problems += [f"line {line} is recommended twice" for line in sorted(set(used)) if used.count(line) > 1]
    for role, line in board.wiring.items():
        concerns = board.concerns(role, line)
        problems += [why for why in concerns if "nobody knows" not in why]
    problems += [f"{name} is empty" for name, source in board.sources.items() if not source.strip()]
    if board.dead_owner not in DEAD_OWNER:
        problems.append(f"dead_owner is {board.dead_owner!r}, not one of {', '.join(DEAD_OWNER)}")
    if board.throttle_c is not None and board.limit_c is not None and board.throttle_c >= board.limit_c:
        problems.append("thermal.throttle_c is not below limit_c")
    return problems


def _damaged(key: str, problems: list[str]) -> InstallerError:
    return InstallerError(
        f"the board file {key}.toml: {'; '.join(problems)}", "correct it, or install janusd again"
    )
