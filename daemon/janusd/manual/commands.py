"""A command line as argparse knows it, as values: for the manual page and for the shell alike."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or a place for a word."""

    flags: tuple[str, ...]
    """Its spellings; none for a place."""
    value: str
    """What stands for its value: "FILE", or the choices; empty for a switch."""
    choices: tuple[str, ...]
    is_needed: bool
    """Of a place, that it must be filled; of an option, that its value must follow."""
    says: str


@dataclass(frozen=True, slots=True)
class Command:
    """A program, a verb, or a verb's verb."""

    words: tuple[str, ...]
    """("janusctl", "people", "set")"""
    does: str
    """What lists say about it."""
    description: str
    options: tuple[Argument, ...]
    exclusive: tuple[tuple[Argument, ...], ...]
    """Options of which one may be given."""
    places: tuple[Argument, ...]
    verbs: tuple[Command, ...]
    is_verb_needed: bool
    examples: tuple[str, ...]
    remarks: str
    """Paragraphs without a heading after the examples."""


def read(parser: argparse.ArgumentParser, words: tuple[str, ...] = (), does: str = "") -> Command:
    """What a parser knows of itself and of all its verbs. `words` lead to it; for a program, none."""
    words = words or (parser.prog,)
    verbs: tuple[Command, ...] = ()
    is_verb_needed = False
    actions: dict[int, Argument] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
            verbs = tuple(read(one, (*words, name), said[name]) for name, one in action.choices.items())
            is_verb_needed = action.required
        elif not isinstance(action, argparse._HelpAction):
            actions[id(action)] = _argument(parser, action)
    exclusive = (
        tuple(actions[id(action)] for action in group._group_actions)
        for group in parser._mutually_exclusive_groups
    )
    examples, remarks = _epilog(parser.epilog or "")
    return Command(
        words=words,
        does=does,
        description=parser.description or "",
        options=tuple(one for one in actions.values() if one.flags),
        exclusive=tuple(exclusive),
        places=tuple(one for one in actions.values() if not one.flags),
        verbs=verbs,
        is_verb_needed=is_verb_needed,
        examples=examples,
        remarks=remarks,
    )


def _argument(parser: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    choices = tuple(str(choice) for choice in action.choices or ())
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    value = metavar or "|".join(choices) or action.dest.upper()
    says = (action.help or "") % {**vars(action), "prog": parser.prog}
    return Argument(
        flags=tuple(action.option_strings),
        value="" if action.nargs == 0 else value,
        choices=choices,
        is_needed=action.nargs not in ("?", 0),
        says=says.replace("show program's version", "show the program's version"),
    )


def _epilog(text: str) -> tuple[tuple[str, ...], str]:
    """The lines under "examples:", and the paragraphs that have no such title."""
    examples: tuple[str, ...] = ()
    remarks = []
    for block in text.split("\n\n"):
        title, *lines = block.splitlines() or [""]
        if title == "examples:":
            examples = tuple(line.strip() for line in lines)
        elif not title.endswith(":"):
            remarks.append(block)
    return examples, "\n\n".join(remarks)
