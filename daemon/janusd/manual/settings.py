"""The keys of a configuration file: order and comments from the file that ships, the rest from its types."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import msgspec

from janusd import config, sections


@dataclass(frozen=True, slots=True)
class Key:
    """One key."""

    name: str
    default: str
    """As it is written in the file."""
    limits: str
    """What it may be; empty where its default says that."""
    says: str


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file; the first may have no name."""

    name: str
    says: str
    keys: tuple[Key, ...]
    unlisted: tuple[Key, ...] = ()
    """What the shipped file leaves out."""


@dataclass(slots=True)
class Commented:
    """A table as it stands in the file: `key: (value, comment)`."""

    comment: str
    keys: dict[str, tuple[str, str]]


def commented(text: str) -> dict[str, Commented]:
    """Read a TOML file of which each value is on one line: its tables, with all comments."""
    tables = {"": Commented("", {})}
    table = tables[""]
    for line in text.splitlines():
        if head := re.match(r"\[([\w.]+)\]\s*(?:# (.*))?$", line):
            table = tables.setdefault(head[1], Commented(head[2] or "", {}))
        elif key := re.match(r'(\w+) = ((?:"[^"]*"|\{.*?\}(?=\s|$)|[^#"])*?)\s*(?:# (.*))?$', line):
            table.keys[key[1]] = (key[2], key[3] or "")
    return tables


def documented(module: ModuleType) -> dict[str, dict[str, str]]:
    """The docstrings under the fields of each class of a module, which Python itself throws away."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = found.setdefault(node.name, {})
        field = ""
        for inside in node.body:
            if isinstance(inside, ast.AnnAssign) and isinstance(inside.target, ast.Name):
                field = inside.target.id
                continue
            match inside:
                case ast.Expr(value=ast.Constant(value=str(said))) if field:
                    fields[field] = said
            field = ""
    return found


def of_janusd(shipped: str) -> list[Section]:
    """Every section of janus.toml, in the order of the file that ships."""
    return of_structs(shipped, config, config.Config)


def of_structs(shipped: str, module: ModuleType, whole: type[msgspec.Struct]) -> list[Section]:
    """Every section of a file whose types are in that module, in the order of the file that ships."""
    tables, said = commented(shipped), documented(module)
    sections = []
    for name in [name for name in tables if name]:
        kind = next(field.type for field in msgspec.structs.fields(whole) if field.name == name)
        table, says = tables[name], said[kind.__name__]
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        keys = {key: _key(field, says.get(key, ""), table.keys) for key, field in fields.items()}
        sections.append(
            Section(
                name,
                (kind.__doc__ or "").partition(": ")[2],
                tuple(keys[key] for key in table.keys),
                tuple(keys[key] for key in fields if key not in table.keys),
            )
        )
    return sections


def of_latchd(shipped: str, module: ModuleType) -> list[Section]:
    """latch.toml's: the top, one door, and one line."""
    tables, said = commented(shipped), documented(module)
    top = _Plain(tables[""].keys, said["Settings"], module.Settings.__dataclass_fields__)
    door = _Plain(tables["door.front"].keys, said["Door"], module.Door.__dataclass_fields__)
    line = _Plain({}, said["Line"], module.Line.__dataclass_fields__)
    return [
        Section("", "", tuple(top.key(name) for name in top.written)),
        Section("door.NAME", tables["door.front"].comment, tuple(door.key(name) for name in door.written)),
        Section("", "", tuple(line.key(name) for name in line.fields if name != "line")),
    ]


def _key(field: msgspec.structs.FieldInfo, says: str, written: Mapping[str, tuple[str, str]]) -> Key:
    value, comment = written.get(field.name, ("", ""))
    # A field that must be written has none, and one of which None means "not given" shows no word for it.
    is_plain = not field.required and field.default is not None
    default = json.dumps(msgspec.to_builtins(field.default)) if is_plain else ""
    return Key(field.name, value or default, _limits(field.type), says or comment)


def _limits(kind: object) -> str:
    """What a value may be, where its default does not show that."""
    said = sections.allowed(kind).removeprefix("must be ")
    if said in ("true or false", "text in quotes"):
        return ""
    said = re.sub(r"above (\S+) to", r"above \1 and at most", said)
    return said or {
        int | str: "a whole number, or text in quotes",
        tuple[int, ...]: "a list of whole numbers",
        tuple[int | str, ...]: "a list of whole numbers, or texts in quotes",
        tuple[Literal["names", "duress"], ...]: 'a list of "names" and "duress"',
        tuple[str, ...]: "a list of texts in quotes",
    }.get(kind, "")  # type: ignore[call-overload]  # a type is its own key


@dataclass(frozen=True, slots=True)
class _Plain:
    """Keys of a dataclass whose bounds stand in its metadata, as janus-latchd has them."""

    written: Mapping[str, tuple[str, str]]
    says: Mapping[str, str]
    fields: Mapping[str, object]

    def key(self, name: str) -> Key:
        field = self.fields.get(name)
        value, comment = self.written.get(name, ("", ""))
        default, metadata = getattr(field, "default", ""), getattr(field, "metadata", {})
        limits = ""
        if "bounds" in metadata:
            limits = "from {:g} to {:g}".format(*metadata["bounds"])
        elif "choices" in metadata:
            limits = "one of " + ", ".join(json.dumps(choice) for choice in metadata["choices"])
        return Key(name, value or json.dumps(default), limits, self.says.get(name) or comment)
