"""What several pages have: usages, options, keys, exit statuses, files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from janusd.manual import files
from janusd.manual.commands import Argument, Command
from janusd.manual.roff import Page, bold, italic, plain
from janusd.manual.settings import Key


def usage(command: Command, shared: frozenset[str] = frozenset(), *, ends: bool = False) -> list[str]:
    """Its options and places in roff; `ends` where no verb follows."""
    parts = []
    together = [option for group in command.exclusive for option in group]
    for option in command.options:
        if option in together:
            group = next(group for group in command.exclusive if option in group)
            if option == group[0]:
                parts.append(f"[{' | '.join(_called(one) for one in group)}]")
        elif not shared & set(option.flags):
            parts.append(f"[{_called(option)}]")
    parts += [_stands(one) if one.is_needed else f"[{_stands(one)}]" for one in command.places]
    return parts if ends or not command.verbs else [*parts, italic("VERB"), "..."]


def _called(option: Argument, *, every: bool = False) -> str:
    """An option and its value. In a usage its long spellings alone, of which --this and --no-this are two."""
    long = tuple(flag for flag in option.flags if flag.startswith("--"))
    flags = option.flags if every or not long else long
    spelled = (", " if every else " | ").join(bold(flag) for flag in flags)
    if not option.value:
        return spelled
    return f"{spelled} {_stands(option)}" if option.is_needed else f"{spelled} [{_stands(option)}]"


def _stands(one: Argument) -> str:
    """What stands for a value: FILE, or the words themselves of which one is typed."""
    if one.value == "|".join(one.choices):
        return "|".join(bold(choice) for choice in one.choices)
    return italic(one.value)


def options(page: Page, command: Command, shared: frozenset[str] = frozenset()) -> None:
    """Each place and option with what it is for; `shared` are said elsewhere."""
    for place in command.places:
        page.item(_stands(place), sentence(place.says))
    for option in command.options:
        if not shared & set(option.flags):
            page.item(_called(option, every=True), sentence(option.says))


def keys(page: Page, keys: Sequence[Key]) -> None:
    """Each key with its default, a word about it and its limits."""
    for key in keys:
        says = re.sub(r"docs/adr/0*(\d+)", r"ADR \1", key.says)
        default = f" = {plain(key.default)}" if key.default else ""
        page.item(bold(key.name) + default, f"{sentence(says)} {sentence(key.limits)}")


def sentence(text: str) -> str:
    """With a capital, but for what begins with a path, a program or a value, and an end."""
    text = text.strip()
    if not text:
        return ""
    first = text if re.match(r"\S*[./_]\w|\w+:|janus", text) else f"{text[0].upper()}{text[1:]}"
    return first if first.endswith((".", "...", "?")) else f"{first}."


def exit_status(page: Page, meanings: Mapping[int, str], remark: str = "") -> None:
    """How a program ends."""
    page.heading("EXIT STATUS")
    for code, meaning in meanings.items():
        page.item(bold(str(code)), sentence(meaning))
    if remark:
        page.paragraphs(remark)


def where(page: Page, on_device: dict[str, str], *paths: str) -> None:
    """The entries of ARCHITECTURE.md's table that begin with these paths."""
    page.heading("FILES")
    for entry, what in files.beginning(on_device, *paths):
        page.item(", ".join(bold(path) for path in re.findall(r"`(.+?)`", entry)), sentence(what))
