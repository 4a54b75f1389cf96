"""The board: which header pin is which line."""

from __future__ import annotations

from janusd.cli.setup.answers import BoardAnswer
from janusd.cli.setup.person import Option
from janusd.cli.setup.step import Desk, Quiet


class BoardStep(Quiet):
    """Asks which board this is; it only decides what the later steps show."""

    name = "board"
    title = "The board"
    about = (
        "The board's profile says which pin of the header is which GPIO line, what each line does while the "
        "board starts, and which lines are better left alone. It changes nothing by itself."
    )

    def look(self, desk: Desk) -> str:
        """The profile that the firmware's words, or an answer, chose."""
        board = desk.found.board
        said = f"; its firmware says {board.model}" if board.model and board.model != board.name else ""
        if board.key == "generic":
            said = f"; its firmware says {board.model}" if board.model else "; its firmware does not say more"
        return f"This is {board.name}{said}."

    def ask(self, desk: Desk) -> None:
        """Confirm what was found, or choose another profile."""
        desk.person.mark("ok", self.look(desk))
        if desk.found.board.key == "generic":
            desk.person.say(
                "Its pins are not known: lines are named by their numbers, and nothing is drawn.", "dim"
            )
        if desk.person.yes("Is that right?", default=True):
            self.suggest(desk)
            return
        names = desk.found.boards
        default = names.index(desk.found.board.key)
        chosen = names[desk.person.choose("Which board", [Option(name) for name in names], default)]
        desk.answers.board = BoardAnswer(chosen)
        desk.found = desk.scout.look(chosen)

    def suggest(self, desk: Desk) -> None:
        """Take what was found."""
        if desk.answers.board is None or not desk.answers.board.profile:
            desk.answers.board = BoardAnswer(desk.found.board.key)

    def check(self, desk: Desk) -> list[str]:
        """The profile must be one there is."""
        profile = desk.answers.board.profile if desk.answers.board else ""
        if profile and profile not in desk.found.boards:
            return [f"board.profile: there is no {profile!r}; there are {', '.join(desk.found.boards)}"]
        return []
