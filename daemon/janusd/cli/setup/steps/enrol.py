"""The owner: enrolled as the first person, and let in once."""

from __future__ import annotations

import contextlib
import select
import shlex
import sys
import time
from pathlib import Path

from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.cli.setup.answers import EnrolAnswer
from janusd.cli.setup.memory import Action
from janusd.cli.setup.person import Option
from janusd.cli.setup.step import Desk, Quiet
from janusd.errors import JanusError

_TRY_S = 120.0
_LOOK_S = 0.1


class EnrolStep(Quiet):
    """Calls `janusctl enrol`; setup knows nothing of faces itself."""

    name = "enrol"
    title = "The owner's face"
    about = (
        "The first person enrolled is usually whoever looks after the door. Pictures are looked "
        "at and thrown away; "
        "sealed numbers stay. Others follow at any time: janusctl enrol NAME."
    )

    def look(self, desk: Desk) -> str:
        """Who is enrolled, as far as a running door tells."""
        people = _people(desk)
        if people is None:
            return "The door does not run yet."
        return f"Enrolled: {', '.join(people)}." if people else "Nobody is enrolled yet."

    def ask(self, desk: Desk) -> None:
        """Whom, and from what."""
        person = desk.person
        if not desk.systemd.program and _people(desk) is None:
            later = desk.place.typed("enrol NAME")
            person.mark("warn", f"The door does not run, so nobody can be enrolled now. Later: {later}")
            desk.answers.enrol = None
            return
        people = _people(desk)
        if people:
            person.mark("ok", f"Enrolled: {', '.join(people)}.")
        if not person.yes("Enrol somebody now?" if people else "Enrol the owner now?", default=not people):
            desk.answers.enrol = None
            return
        before = desk.answers.enrol
        name = ""
        while not name:
            name = person.ask("Their name", before.name if before else "")[:64]
        options = [Option("Live, before the camera"), Option("From a folder of pictures", "one face in each")]
        folder = ""
        if person.choose("How", options, 1 if before and before.from_images else 0) == 1:
            while not (folder and Path(folder).expanduser().is_dir()):
                folder = person.ask("Which folder", before.from_images if before else "")
                if folder and not Path(folder).expanduser().is_dir():
                    person.mark("fail", f"There is no folder {folder}.")
        desk.answers.enrol = EnrolAnswer(name, str(Path(folder).expanduser()) if folder else "", _TRY_S)

    def suggest(self, desk: Desk) -> None:
        """Nobody is enrolled without being asked for."""

    def check(self, desk: Desk) -> list[str]:
        """The folder must be there."""
        answer = desk.answers.enrol
        if answer and answer.name.startswith("-"):
            return [f"enrol.name: {answer.name!r} reads like an option: begin it with a letter"]
        if answer and answer.from_images and not Path(answer.from_images).is_dir():
            return [f"enrol.from_images: there is no folder {answer.from_images}"]
        return []

    def plan(self, desk: Desk) -> list[str]:
        """Whom it will enrol."""
        answer = desk.answers.enrol
        if answer is None:
            return []
        return [f"enrol {answer.name}, {f'from {answer.from_images}' if answer.from_images else 'live'}"]

    def apply(self, desk: Desk) -> None:
        """Enrol them as `janusctl enrol` does, then let them try. Raises JanusError."""
        answer, person = desk.answers.enrol, desk.person
        if answer is None:
            return
        if answer.name in (_people(desk) or ()):
            person.mark("ok", f"{answer.name} is enrolled already.")
        else:
            self._enrol(desk, answer)
        if answer.try_for_s:
            self._try(desk, answer)

    def undo(self, desk: Desk, action: Action) -> str:
        """People are nobody's to forget on the side."""
        forget = desk.place.typed(f"forget {shlex.quote(action.name)}")
        return f"{action.name} stays enrolled; to remove them: {forget}"

    def _enrol(self, desk: Desk, answer: EnrolAnswer) -> None:
        from janusd.cli.main import main  # noqa: PLC0415 - it is what called us

        desk.memory.note(Action(self.name, "person", answer.name))
        source = ["--from-images", answer.from_images] if answer.from_images else ["--live"]
        asked = [] if desk.person.is_asked else ["--yes"]
        asked += [] if _people(desk) else ["--role", "owner"]  # whoever is first looks after the door
        code = main(["--socket", str(desk.place.socket), "enrol", answer.name, *source, *asked])
        if code:
            again = desk.place.typed("setup --step enrol")
            raise JanusError(f"{answer.name} was not enrolled", f"try again: {again}")
        desk.done.append(f"enrolled {answer.name}")

    def _try(self, desk: Desk, answer: EnrolAnswer) -> None:
        """Wait for the first unlock, or for Enter."""
        person = desk.person
        with Client(desk.place.socket) as client:
            door = RemoteDoor(client)
            before = door.status().unlocks
            person.blank()
            person.say(
                f"Now try it: {answer.name}, look at the camera. {'(Enter ends)' if person.is_asked else ''}"
            )
            end_s = time.monotonic() + answer.try_for_s
            while time.monotonic() < end_s:
                if door.status().unlocks > before:
                    desk.done.append(f"the door opened for a face, {desk.since()} after setup began")
                    return
                if self._pressed_enter(desk):
                    break
        person.mark("warn", f"The door did not open. '{desk.place.typed('watch')}' says why at each look.")

    def _pressed_enter(self, desk: Desk) -> bool:
        if not desk.person.is_asked:
            time.sleep(_LOOK_S)
            return False
        ready, _, _ = select.select([sys.stdin], [], [], _LOOK_S)
        return bool(ready) and sys.stdin.readline() is not None


def _people(desk: Desk) -> list[str] | None:
    """Who is enrolled; None where no door answers."""
    with contextlib.suppress(JanusError), Client(desk.place.socket) as client:
        return [person.name for person in RemoteDoor(client).people()]
    return None
