"""The order of a setup: look, ask all, show what would change, and only then do it.

Everything up to the last question leaves the device as it was. From then on each thing is noted before it is
done and each file replaced by renaming, latch.toml first: no new janus.toml ever stands beside an old
latch.toml, and any pair that a kill leaves behind loads.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from janusd.cli.exits import Exit
from janusd.cli.setup import answers as answer_files
from janusd.cli.setup import memory, texts
from janusd.cli.setup.answers import Answers, UnitsAnswer
from janusd.cli.setup.memory import Action, Memory
from janusd.cli.setup.person import Back, Person, Quit, Skip
from janusd.cli.setup.place import Place
from janusd.cli.setup.scout import Line, Scout
from janusd.cli.setup.step import Desk, Step
from janusd.cli.setup.steps import STEPS
from janusd.cli.setup.systemd import Systemd
from janusd.cli.setup.texts import Texts
from janusd.cli.setup.verb import Options
from janusd.cli.when import local
from janusd.errors import ConfigError, JanusError, NotAllowed

_FILES = "files"
_TRIED_FIRST = "pulse"
"""A relay that does not do as it should is known before anything is written."""


class Wizard:
    """One run of `janusctl setup`."""

    def __init__(self, options: Options, line: Line | None = None) -> None:
        """`line` answers in place of the process `janusd --discover`, in tests."""
        self._options = options
        self._place = Place(options.root)
        self._person = Person(is_asked=options.answers is None)
        self._scout = Scout(str(options.root), line)
        self._desk: Desk | None = None
        self._at = ""
        """The step that is asked now."""
        self._is_applying = False

    def close(self) -> None:
        """End the process that looks."""
        self._scout.close()

    def run(self) -> Exit:
        """Do what was asked. Raises JanusError, KeyboardInterrupt, EOFError."""
        if not self._options.is_dry and not self._place.may_write():
            words = " ".join(sys.argv[1:]) or "setup"
            raise NotAllowed("setting a door up is root's business", f"type: sudo janusctl {words}")
        remembered = Memory(self._place.memory)
        if self._options.undo:
            return self._undo(remembered)
        desk = self._sit_down(remembered)
        self._greet(desk)
        self._answer(desk)
        wanted = [step for step in STEPS if step.name in self._options.steps]
        problems = [problem for step in wanted for problem in step.check(desk)]
        if problems:
            name = f"{self._options.answers}: " if self._options.answers else ""
            raise ConfigError("\n".join(f"{name}{problem}" for problem in problems), "nothing was changed")
        new = texts.build(desk)
        if wrong := self._scout.problems(new.janus, new.latch):
            raise ConfigError("\n".join(wrong), "nothing was changed; correct the file, or the answers")
        return self._finish(desk, new)

    def interrupted(self) -> Exit:
        """Say where it stopped and how to go on."""
        person = self._person
        with suppress(OSError, ValueError):  # the terminal may be gone
            person.blank()
            if self._is_applying:
                person.mark(
                    "warn",
                    "Interrupted while things were being done. Each file is the old one or the new one.",
                )
                undo = self._place.typed("setup --undo")
                person.say(f"Go on: {self._place.typed('setup')}      Go back: {undo}")
            else:
                where = f" at the step '{self._at}'" if self._at else ""
                kept = "Your answers so far are kept. " if self._keep() else ""
                person.mark("warn", f"Stopped{where}. Nothing was changed.")
                person.say(f"{kept}Go on: {self._place.typed('setup')}")
        return Exit.INTERRUPTED

    # Before the questions

    def _sit_down(self, remembered: Memory) -> Desk:
        options = self._options
        janus, latch = texts.tables(self._place)
        given = Answers()
        if options.answers is not None:
            given = answer_files.load(options.answers)
        elif draft := memory.read(remembered.draft) if self._place.may_write() else None:
            with suppress(ConfigError):  # of another version: then from the beginning
                given = answer_files.parse(draft)
        if self._person.is_asked:
            self._person.say("Looking at this device ...", "dim")
        found = self._scout.look()
        profile = given.board.profile if given.board else ""
        if profile in found.boards and profile != found.board.key:
            found = self._scout.look(profile)
        self._desk = Desk(
            place=self._place, person=self._person, scout=self._scout, systemd=Systemd(self._place),
            memory=remembered, found=found, answers=given, janus=janus, latch=latch, steps=options.steps,
            is_dry=options.is_dry,
        )  # fmt: skip
        return self._desk

    def _greet(self, desk: Desk) -> None:
        person = self._person
        if not person.is_asked:
            return
        if len(self._options.steps) == len(STEPS):
            person.heading("Setting up this door")
            person.say(
                "A few questions, then what would be written, then your yes. Until then nothing is changed. "
                "Enter takes what stands in brackets; ? explains; back, skip and quit work at every question."
            )
        last = desk.memory.last
        if last is not None and last.state == "applying":
            person.mark(
                "warn",
                f"The setup of {local(last.began_at)} was interrupted while it worked; this one goes on.",
            )
        elif desk.memory.draft.exists():
            person.mark("ok", "Your answers of last time are remembered.")

    # The questions

    def _answer(self, desk: Desk) -> None:
        """Fill `desk.answers`: by asking, or from the file with suggestions where it says nothing."""
        wanted = [step for step in STEPS if step.name in self._options.steps]
        if not self._person.is_asked:
            for step in STEPS:
                if step in wanted:
                    step.suggest(desk)
                else:
                    setattr(desk.answers, step.name, None)
            return
        for step in STEPS:
            if step not in wanted:
                setattr(desk.answers, step.name, None)
        at, way = 0, 1
        while at < len(wanted):
            questions = self._person.questions
            moved = self._ask(desk, wanted[at], at + 1, len(wanted))
            if way < 0 < at and self._person.questions == questions:
                moved = -1  # it had nothing to ask: whoever goes back goes on back
            at, way = max(0, at + moved), moved
            self._keep()
        self._at = ""

    def _ask(self, desk: Desk, step: Step, number: int, of: int) -> int:
        """Ask one step until its answer is possible; how many steps to go on."""
        person, before = self._person, getattr(desk.answers, step.name)
        self._at = step.name
        person.heading(step.title, number, of)
        person.explain_with(step.about)
        try:
            while True:
                step.ask(desk)
                problems = step.check(desk)
                for problem in problems:
                    person.mark("fail", problem.partition(": ")[2] or problem)
                if not problems:
                    return 1
        except Back:
            return -1
        except Skip:
            setattr(desk.answers, step.name, None)
            person.say("Left as it is.", "dim")
            return 1
        except Quit:
            setattr(desk.answers, step.name, before)
            raise KeyboardInterrupt from None

    def _keep(self) -> bool:
        """Keep the answers of a whole setup for the next time; whether they are."""
        is_whole = self._person.is_asked and len(self._options.steps) == len(STEPS)
        if self._desk is None or self._options.is_dry or not is_whole or not self._at:
            return False
        try:
            self._desk.memory.keep(answer_files.written(self._desk.answers))
        except JanusError:
            return False
        return True

    # What would change, and doing it

    def _finish(self, desk: Desk, new: Texts) -> Exit:
        person = self._person
        changes = texts.difference(desk, new)
        plan = [line for step in STEPS for line in step.plan(desk)]
        person.heading("What would change" if desk.is_dry else "What will change")
        person.explain_with(
            "Green lines are new, red ones go. Each old file stays beside its new one as FILE.bak, and "
            f"'{self._place.typed('setup --undo')}' puts everything back."
        )
        if not changes and not plan:
            person.mark("ok", "Nothing: everything is as you said.")
        person.quote(changes)
        if plan:
            person.blank()
            person.say("Then:")
            for line in plan:
                person.say(f"  {line}")
        if desk.is_dry:
            person.blank()
            person.mark("ok", "A dry run: nothing was changed.")
            return Exit.OK
        if person.is_asked and (changes or plan) and not self._agreed():
            person.mark("warn", f"Nothing was changed. Your answers are kept: {self._place.typed('setup')}")
            return Exit.REFUSED
        self._restart_too(desk, is_changed=bool(changes))
        self._apply(desk, new)
        self._farewell(desk)
        return Exit.OK

    def _restart_too(self, desk: Desk, *, is_changed: bool) -> None:
        """A door that runs reads its files when it starts: where units were not asked for, ask now."""
        if not is_changed or "units" in self._options.steps or not desk.systemd.program:
            return
        if not desk.systemd.state("janusd.service").endswith(" active"):
            return
        if not self._person.is_asked:
            self._person.mark("warn", "The door runs on with the old files until: systemctl restart janusd")
        elif self._person.yes("Restart the door, so that it counts?", default=True):
            desk.answers.units = UnitsAnswer()

    def _agreed(self) -> bool:
        try:
            return self._person.yes("Do that?", default=True)
        except (Back, Skip, Quit):
            return False

    def _apply(self, desk: Desk, new: Texts) -> None:
        """Do it. Raises JanusError where something cannot be; what was done before stays, and is noted."""
        for step in STEPS:
            if step.name == _TRIED_FIRST:
                step.apply(desk)
        self._is_applying = True
        run = desk.memory.begin(datetime.now().astimezone().isoformat(timespec="seconds"))
        for path, text in new.placed(self._place):
            before = memory.read(path)
            if (before or "") != text:
                desk.memory.note(Action(_FILES, "file", str(path), before, memory.digest(text or None)))
                desk.has_changed = True
                if text:
                    memory.replace(path, text, keep_old=True)
                    old = f", the old one is {path.name}.bak" if before is not None else ""
                    desk.done.append(f"wrote {path}{old}")
                else:
                    memory.remove(path)
                    desk.done.append(f"removed {path}: nothing needs it any more")
                if path == self._place.drop_in:
                    desk.systemd.reload()
        desk.janus, desk.latch = texts.tables(self._place)
        self._person.blank()
        self._tell(desk.done)
        for step in STEPS:
            if step.name != _TRIED_FIRST:
                told = len(desk.done)
                step.apply(desk)
                self._tell(desk.done[told:])
        desk.memory.end(run, "done")
        desk.memory.drop_draft()
        self._is_applying = False

    def _tell(self, done: Sequence[str]) -> None:
        for line in done:
            self._person.mark("ok", f"{line[0].upper()}{line[1:]}.")

    def _farewell(self, desk: Desk) -> None:
        person = self._person
        person.blank()
        verbs = ", ".join(map(self._place.typed, ("doctor", "watch", "enrol")))
        person.say(f"Setup took {desk.since()}. To look after the door: {verbs}.")
        if desk.done:
            person.say(f"To put back what was there before: {self._place.typed('setup --undo')}", "dim")

    # Undoing

    def _undo(self, remembered: Memory) -> Exit:
        """Put back what was there before the last setup, the newest thing first."""
        person, run = self._person, remembered.last
        if run is None:
            person.mark("ok", "There is nothing to undo: setup changed nothing here.")
            return Exit.OK
        janus, latch = texts.tables(self._place)
        desk = Desk(
            place=self._place, person=person, scout=self._scout, systemd=Systemd(self._place),
            memory=remembered, found=self._scout.look(), answers=Answers(), janus=janus, latch=latch,
            is_dry=self._options.is_dry,
        )  # fmt: skip
        person.heading(f"Undoing the setup of {local(run.began_at)}")
        # Files before units: what is restarted reads them. janus.toml before latch.toml, as in
        # `_apply` reversed.
        newest = run.actions[::-1]
        order = [action for action in newest if action.kind == "file"]
        order += [action for action in newest if action.kind != "file"]
        if desk.is_dry:
            for action in order:
                person.say(f"would put back: {action.kind} {action.name}")
            return Exit.OK
        for action in order:
            if action.kind == "file":
                said = self._put_back(action)
                if Path(action.name) == self._place.drop_in:
                    desk.systemd.reload()
            else:
                said = next(step for step in STEPS if step.name == action.step).undo(desk, action)
            if said:
                person.mark(
                    "warn" if "stays" in said or "not touched" in said else "ok",
                    f"{said[0].upper()}{said[1:]}.",
                )
        remembered.end(run, "undone")
        return Exit.OK

    def _put_back(self, action: Action) -> str:
        """A file as it was; one that somebody changed since stays as they left it."""
        path = Path(action.name)
        now = memory.read(path)
        if now == action.before:
            return f"{path} is as it was"
        if memory.digest(now) != action.after:
            old = "" if action.before is None else f"; the old one is {path.name}.bak"
            return f"{path} was changed since, by somebody else, and is not touched{old}"
        if action.before is None:
            memory.remove(path)
            return f"removed {path}: there was none before"
        memory.replace(path, action.before)
        return f"put back {path}"
