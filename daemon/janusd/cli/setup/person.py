"""Whoever sits at the terminal: what is said to them, and what they answer.

Lines of words, nothing else: it works over any SSH connection, without colour, without UTF-8, at 56
kbit/s and with a screen reader. At every question `?` explains, `back` goes back, `skip` leaves things as
they are, and `quit` ends without a change.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.text import Text

from janusd.cli import show
from janusd.escape import escape

_WIDEST = 100
_INDENT = 2
_MOST_LETTERS = 400


class Back(Exception):
    """They want the step before."""


class Skip(Exception):
    """They want this step left as it is."""


class Quit(Exception):
    """They want to end."""


@dataclass(frozen=True, slots=True)
class Option:
    """One of several answers."""

    name: str
    note: str = ""
    trouble: str = ""
    """Why it cannot be taken now; it is listed all the same."""


class Person:
    """At the terminal; or nobody, with answers from a file: then words are printed and nothing is asked."""

    def __init__(self, *, is_asked: bool) -> None:
        """`is_asked` says whether there is somebody to answer."""
        self.is_asked = is_asked
        self.console = show.console()
        if self.console.width > _WIDEST:
            self.console = Console(highlight=False, markup=False, emoji=False, width=_WIDEST)
        self.is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
        self._about = ""
        self.questions = 0
        """How many were asked."""

    # Telling

    def heading(self, title: str, number: int = 0, of: int = 0) -> None:
        """Begin a part."""
        dash = "─" if self.is_unicode else "-"
        count = f" {number} of {of} " if of else ""
        rule = dash * max(0, self.console.width - len(title) - len(count) - 5)
        line = Text.assemble((f"{dash}{dash} ", "dim"), (title, "bold"), (f" {rule}{count}", "dim"))
        self.console.print()
        self.console.print(line, no_wrap=True, crop=True)

    def say(self, text: str, style: str = "") -> None:
        """Say a sentence or two."""
        self._hanging(Text(text, style=style), _INDENT, _INDENT)

    def mark(self, kind: str, text: str, style: str = "") -> None:
        """Say something that is well (`ok`), worth a look (`warn`) or wrong (`fail`)."""
        self._hanging(Text.assemble(show.mark(kind), " ", (text, style)), _INDENT, _INDENT + 2)

    def show(self, what: RenderableType) -> None:
        """Show something, a little indented."""
        self.console.print(Padding(what, (0, 0, 0, _INDENT), expand=False))

    def draw(self, lines: Sequence[Text]) -> None:
        """Show lines as they are, each on one row."""
        for line in lines:
            self.console.print(line, no_wrap=True, crop=True)

    def quote(self, lines: Sequence[Text]) -> None:
        """Show lines of a file: those that are too long go on below."""
        for line in lines:
            self._hanging(line, _INDENT, _INDENT + 6)

    def blank(self) -> None:
        """Part what was from what comes."""
        self.console.print()

    def _hanging(self, text: Text, first: int, further: int) -> None:
        """Print a text whose further lines stand further in."""
        room = max(20, self.console.width - 1 - further)
        for number, line in enumerate(text.wrap(self.console, room)):
            line.rstrip()
            self.console.print(Text(" " * (further if number else first)) + line, no_wrap=True, crop=True)

    def _line(self) -> str:
        """What they type. Raises EOFError when the terminal is gone."""
        try:
            return input()
        except OSError as error:
            raise EOFError from error

    # Asking

    def explain_with(self, about: str) -> None:
        """What `?` says from now on."""
        self._about = about

    def ask(self, question: str, default: str = "") -> str:
        """One line of text; `default` for Enter alone. Raises Back, Skip, Quit, EOFError."""
        if not self.is_asked:
            raise RuntimeError(f"nobody is here to answer: {question}")
        self.questions += 1
        while True:
            hint = f" [{escape(default)}]" if default else ""
            prompt = Text.assemble(" " * _INDENT, (question, "bold"), (hint, "dim"), ": ")
            self.console.print(prompt, end="", soft_wrap=True)
            answer = escape(self._line().strip(), _MOST_LETTERS)
            match answer.lower():
                case "back" | "b":
                    raise Back
                case "skip" | "s":
                    raise Skip
                case "quit" | "q" | "exit":
                    raise Quit
                case "?" | "help" | "h":
                    self.say(f"{self._about} (back, skip and quit work at every question.)", "dim")
                case "":
                    return default
                case _:
                    return answer

    def yes(self, question: str, *, default: bool) -> bool:
        """Yes or no."""
        while True:
            answer = self.ask(f"{question} {'[Y/n]' if default else '[y/N]'}").lower()
            if answer in ("", "y", "yes", "n", "no"):
                return default if not answer else answer.startswith("y")
            self.mark("warn", "Type y or n.")

    def choose(self, question: str, options: Sequence[Option], default: int = 0) -> int:
        """Which of them, from 0; by its number, or Enter for the default."""
        for number, option in enumerate(options, start=1):
            style = "dim" if option.trouble else ""
            self.show(Text.assemble((f"{number:>2}  ", "bold"), (escape(option.name), style)))
            note = f"not here: {option.trouble}" if option.trouble else option.note
            if note:
                self._hanging(Text(escape(note, _MOST_LETTERS), style="dim"), _INDENT + 4, _INDENT + 4)
        while True:
            answer = self.ask(question, str(default + 1))
            if answer.isdecimal() and 1 <= int(answer[:4]) <= len(options):
                chosen = options[int(answer) - 1]
                if not chosen.trouble:
                    return int(answer) - 1
                self.mark("fail", f"That cannot be had here: {chosen.trouble}.")
            else:
                self.mark("warn", f"Type a number from 1 to {len(options)}.")

    def number(self, question: str, default: float, low: float, high: float, *, whole: bool = False) -> float:
        """A number within bounds."""
        while True:
            answer = self.ask(question, f"{default:g}").replace(",", ".")
            try:
                value = float(answer)
            except ValueError:
                value = float("nan")
            if low <= value <= high and (not whole or value.is_integer()):
                return value
            kind = "a whole number" if whole else "a number"
            self.mark("warn", f"Type {kind} from {low:g} to {high:g}.")
