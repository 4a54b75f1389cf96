"""The units: enabled and started, and janusd heard to answer."""

from __future__ import annotations

import pwd
import time

from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.cli.setup.answers import UnitsAnswer
from janusd.cli.setup.memory import Action
from janusd.cli.setup.step import Desk, Quiet
from janusd.errors import ControlError, InstallerError, JanusError

_ANSWERS_S = 90.0
"""As long as janusd.service itself may take to start."""
_USERS = ("janus", "janus-latch")


class UnitsStep(Quiet):
    """Enables and starts janusd, and janus-latchd where there is a lock."""

    name = "units"
    title = "At every start"
    about = (
        "janusd watches, janus-latchd holds the lock; systemd starts both with the board and "
        "again after a failure. "
        "Where no systemd runs, nothing is started and the commands are said instead."
    )

    def look(self, desk: Desk) -> str:
        """What systemd says of them."""
        if not desk.systemd.program:
            return "No systemd runs here."
        states = {unit: desk.systemd.state(unit) for unit in self._units(desk)}
        if set(states.values()) == {"disabled inactive"}:
            return "Nothing of the door is started yet."
        return ", ".join(f"{unit}: {state}" for unit, state in states.items()) + "."

    def ask(self, desk: Desk) -> None:
        """Ask whether to."""
        person = desk.person
        person.mark("ok" if desk.systemd.program else "warn", self.look(desk))
        if not desk.systemd.program:
            self._say_commands(desk)
            desk.answers.units = UnitsAnswer(enable=False)
            return
        answer = desk.answers.units or UnitsAnswer()
        desk.answers.units = UnitsAnswer(
            person.yes("Start the door now, and at every start of the board?", default=answer.enable)
        )

    def suggest(self, desk: Desk) -> None:
        """Where systemd runs, yes."""
        if desk.answers.units is None:
            desk.answers.units = UnitsAnswer()

    def check(self, desk: Desk) -> list[str]:
        """Units and users must be installed."""
        if not (desk.answers.units and desk.answers.units.enable and desk.systemd.program):
            return []
        missing = [unit for unit in self._units(desk) if desk.systemd.state(unit) == "unknown"]
        problems = [
            f"units.enable: {unit} is not installed: install the package, or systemd/" for unit in missing
        ]
        for user in _USERS if desk.place.is_device else ():
            try:
                pwd.getpwnam(user)
            except KeyError:
                problems.append(f"units.enable: there is no user {user}: run systemd-sysusers janus.conf")
        return problems

    def plan(self, desk: Desk) -> list[str]:
        """What will be started, or restarted."""
        if not (desk.answers.units and desk.answers.units.enable and desk.systemd.program):
            return []
        return [f"enable and start {', '.join(self._units(desk))}"]

    def apply(self, desk: Desk) -> None:
        """Enable and start them, and wait until janusd answers. Raises InstallerError."""
        if not (desk.answers.units and desk.answers.units.enable):
            return
        if not desk.systemd.program:
            self._say_commands(desk)
            return
        for unit in self._units(desk):
            before = desk.systemd.state(unit)
            desk.memory.note(Action(self.name, "unit", unit, before))
            if not before.startswith("enabled"):
                desk.systemd.run("enable", unit)
            runs = before.endswith(" active") and not unit.endswith(".socket")
            desk.systemd.run("restart" if runs and desk.has_changed else "start", unit)
        desk.person.say("Waiting for janusd to answer ...", "dim")
        wait_for(desk)
        desk.done.append("janusd answers, and starts with the board")

    def undo(self, desk: Desk, action: Action) -> str:
        """As it was: stopped and disabled, or started again with the old files."""
        if not desk.systemd.program:
            return f"{action.name} stays: no systemd runs here"
        enabled, _, active = (action.before or "").partition(" ")
        if not enabled.startswith("enabled"):
            desk.systemd.run("disable", action.name)
        if active != "active":
            desk.systemd.run("stop", action.name)
            return f"{action.name} is {enabled} and stopped, as before"
        if not action.name.endswith(".socket"):
            desk.systemd.run("restart", action.name)
        return f"{action.name} runs with the old configuration"

    def _units(self, desk: Desk) -> list[str]:
        lines = desk.answers.lines
        now = desk.janus.get("latch", {}).get("driver", "simulated")
        has_lock = lines.lock != "none" if lines else now == "latchd"
        return [*(("janus-latchd.socket", "janus-latchd.service") if has_lock else ()), "janusd.service"]

    def _say_commands(self, desk: Desk) -> None:
        desk.person.say("Start the door yourself, for instance:")
        if "janus-latchd.service" in self._units(desk):
            desk.person.say(f"    janus-latchd {desk.place.latch} &", "bold")
        desk.person.say(f"    janusd --config {desk.place.janus} &", "bold")


def wait_for(desk: Desk, timeout_s: float = _ANSWERS_S) -> None:
    """Wait until janusd answers. Raises InstallerError that says what to do where it does not."""
    end_s = time.monotonic() + timeout_s
    while True:
        try:
            with Client(desk.place.socket) as client:
                RemoteDoor(client).status()
        except ControlError as error:
            if "failed" in desk.systemd.state("janusd.service") or time.monotonic() > end_s:
                raise InstallerError(
                    "janusd was started and does not answer",
                    f"see why: journalctl -u janusd -n 30; to go back: {desk.place.typed('setup --undo')}",
                ) from error
            time.sleep(0.2)
        except JanusError:
            return  # it answers, if only that this user may not ask
        else:
            return
