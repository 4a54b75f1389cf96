"""Changes values in a TOML text and leaves everything else as it stands: order, comments, other keys.

It knows tables in brackets and keys on one line each, which is how our files are written. The outcome is
parsed and compared with what it must mean; where that fails (a value over several lines, dotted keys), the
file is written anew from its values, and its comments are lost: the caller keeps the old file anyway.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = "str | bool | int | float | list[Any] | dict[str, Any] | None"
"""What TOML can hold; None removes the key."""

_HEADER = re.compile(r"\s*\[\s*([\w.-]+)\s*\]\s*(#.*)?$")
_COMMENT_COLUMN = 30


@dataclass(frozen=True, slots=True)
class Change:
    """One key's new value."""

    table: str
    """As in its brackets; empty for the keys before the first table."""
    key: str
    value: Value
    comment: str = ""
    """Written beside it where the key is new."""


def edit(text: str, changes: Sequence[Change]) -> str:
    """The text with these values. Raises ValueError where `text` is not TOML."""
    wanted = _applied(tomllib.loads(text), changes)
    lines = text.splitlines()
    for change in changes:
        _set(lines, change)
    edited = "\n".join(lines).strip("\n") + "\n"
    try:
        if tomllib.loads(edited) == wanted:
            return edited
    except tomllib.TOMLDecodeError:
        pass
    return dumps(wanted)


def dumps(tables: Mapping[str, Any]) -> str:
    """A TOML text of these values."""
    parts = [f"{key} = {literal(value)}\n" for key, value in tables.items() if not isinstance(value, dict)]
    for name, table in tables.items():
        if isinstance(table, dict):
            parts += _table(name, table)
    return "".join(parts).lstrip("\n")


def literal(value: object) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case dict():
            return "{ " + ", ".join(f"{key} = {literal(its)}" for key, its in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(literal, value)) + "]"
    raise TypeError(f"TOML has no {type(value).__name__}")


def _table(name: str, table: dict[str, Any]) -> list[str]:
    """A table whose values are tables themselves, like [door], gets one header each."""
    if table and all(isinstance(value, dict) for value in table.values()) and name == "door":
        return [part for key, its in table.items() for part in _table(f"{name}.{key}", its)]
    return [f"\n[{name}]\n", *(f"{key} = {literal(value)}\n" for key, value in table.items())]


def _applied(tables: dict[str, Any], changes: Sequence[Change]) -> dict[str, Any]:
    for change in changes:
        table = tables
        for part in filter(None, change.table.split(".")):
            table = table.setdefault(part, {})
        if change.value is None:
            table.pop(change.key, None)
        else:
            table[change.key] = change.value
    return tables


def _set(lines: list[str], change: Change) -> None:
    begin, end = _bounds(lines, change.table)
    if begin is None:
        if change.value is None:
            return
        if lines and lines[-1].strip():
            lines.append("")
        lines.append(f"[{change.table}]")
        begin = end = len(lines)
    for number in range(begin, end):
        if re.match(rf"\s*{re.escape(change.key)}\s*=", lines[number]):
            if change.value is None:
                del lines[number]
            else:
                lines[number] = _line(change, _comment_of(lines[number]))
            return
    if change.value is None:
        return
    while (
        end > begin and not lines[end - 1].strip()
    ):  # before the blank lines that part it from the next table
        end -= 1
    if (
        end < len(lines)
        and all(not line.strip() or line.startswith("#") for line in lines[begin:end])
        and end
    ):
        end += 1  # but after the one below the file's opening words
    lines.insert(end, _line(change, f"# {change.comment}" if change.comment else ""))
    if change.table == "" and end + 1 < len(lines) and lines[end + 1].strip():
        lines.insert(end + 1, "")


def _bounds(lines: Sequence[str], table: str) -> tuple[int | None, int]:
    """From which line to before which one a table reaches; None where there is none."""
    begin = 0 if table == "" else None
    for number, line in enumerate(lines):
        header = _HEADER.match(line)
        if not header and not line.lstrip().startswith("[["):
            continue
        if begin is not None:
            return begin, number
        if header and header[1] == table:
            begin = number + 1
    return begin, len(lines)


def _line(change: Change, comment: str) -> str:
    plain = f"{change.key} = {literal(change.value)}"
    return f"{plain:<{_COMMENT_COLUMN - 1}} {comment}" if comment else plain


def _comment_of(line: str) -> str:
    """The comment at the end of a line, with its "#"; a "#" in quotes begins none."""
    quote = ""
    for at, letter in enumerate(line):
        if quote:
            if letter == quote and (quote == "'" or line[at - 1] != "\\"):
                quote = ""
        elif letter in "\"'":
            quote = letter
        elif letter == "#":
            return line[at:]
    return ""
