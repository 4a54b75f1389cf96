"""TOML files of sections, read against msgspec types: every wrong field is told at once, each with its line.

janus.toml and the answers of a setup are such files; what makes them different is their types.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from janusd.errors import ConfigError

Sections = Mapping[str, type[msgspec.Struct]]
"""What each section of a file is, by its name."""


def text_of(path: Path, remedy: str) -> str:
    """The file's text. Raises ConfigError, with that remedy where there is no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})", remedy) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text", "save it as UTF-8") from error


def tables(
    text: str, name: str, sections: Sections, words: Mapping[Any, str] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """The tables of a file, and what is wrong with them, a line each. Raises ConfigError where it is no TOML.

    `words` says what fields of some types may be, where the types themselves say it badly.
    """
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}", "correct that line") from error
    problems: list[str] = []
    for section, table in read.items():
        problems += _check(section, table, text, sections, words or {})
    return read, problems


def refuse(name: str, problems: list[str]) -> None:
    """Raise ConfigError where anything is wrong."""
    if problems:
        raise ConfigError("\n".join(f"{name}: {problem}" for problem in problems), "nothing was changed")


def allowed(kind: object) -> str:
    """Say what a field may be; empty where the library's own message says it better."""
    if get_origin(kind) is Literal:
        return "must be one of " + ", ".join(json.dumps(choice) for choice in get_args(kind))
    if get_origin(kind) is Annotated:
        base, meta = get_args(kind)
        if base is str:
            return f"must be text in quotes, of {meta.min_length} to {meta.max_length} characters"
        number = "a whole number" if base is int else "a number"
        low = f"above {meta.gt}" if meta.gt is not None else f"from {meta.ge}"
        return f"must be {number} {low} to {meta.le}"
    return {bool: "must be true or false", str: "must be text in quotes"}.get(kind, "")  # type: ignore[call-overload,no-any-return]  # a type is its own key


def where(text: str, section: str, key: str = "") -> str:
    """Say "line 12: camera.fps: ", without the line where the key is not written plainly."""
    inside = not key
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[\s*([\w.-]+)\s*\]", line)
        if header:
            inside = header[1] == section
            if inside and not key:
                return f"line {number}: [{section}]: "
        elif key and inside and re.match(rf"\s*{re.escape(key)}\s*=", line):
            return f"line {number}: {section}.{key}: "
    return f"{section}.{key}: " if key else f"[{section}]: "


def _check(section: str, table: object, text: str, sections: Sections, words: Mapping[Any, str]) -> list[str]:
    """A line for each key that is unknown, has a value it may not have, or is missing."""
    if section not in sections:
        return [where(text, section) + f"no such section{_nearest(section, list(sections))}"]
    if not isinstance(table, dict):
        return [where(text, section) + f"write a section [{section}], not a single value"]
    fields = {field.name: field for field in msgspec.structs.fields(sections[section])}
    problems = []
    for key, value in table.items():
        if key not in fields:
            problems.append(where(text, section, key) + f"no such key{_nearest(key, list(fields))}")
            continue
        try:
            msgspec.convert(value, fields[key].type)
        except msgspec.ValidationError as error:
            problems.append(where(text, section, key) + _said(fields[key], value, error, words))
    missing = [key for key, field in fields.items() if field.required and key not in table]
    return problems + [where(text, section) + f"{key} is missing" for key in missing]


def _said(field: msgspec.structs.FieldInfo, value: object, error: Exception, words: Mapping[Any, str]) -> str:
    library = str(error).replace("`", "").replace(" - at $", ", in ")
    limits = words.get(field.type) or allowed(field.type) or library
    # A default of None means: not given, which is nothing to write.
    default = (
        ""
        if field.required or field.default is None
        else f"; the default is {msgspec.json.encode(field.default).decode()}"
    )
    return f"{limits}, not {value!r}{default}"


def _nearest(word: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(choices)}"
