"""The relay, released once: whether the lock hears."""

from __future__ import annotations

from janusd.cli.setup import texts
from janusd.cli.setup.answers import PulseAnswer
from janusd.cli.setup.step import Desk, Quiet
from janusd.errors import JanusError


class PulseStep(Quiet):
    """Releases the relay for a second, after asking. It changes no file."""

    name = "pulse"
    title = "Does the lock hear?"
    about = (
        "A janus-latchd of its own releases the relay once and locks it again; it bounds the "
        "release by itself and "
        "locks when this terminal goes away. The door can be opened in that second: stand there."
    )

    def look(self, desk: Desk) -> str:
        """Whether there is anything to pulse."""
        return "There is a relay to try." if _has_relay(desk) else "There is no lock to try."

    def ask(self, desk: Desk) -> None:
        """Ask first; then pulse, and ask what was heard."""
        person = desk.person
        if not _has_relay(desk):
            person.mark("ok", "There is no lock to try.")
            return
        person.mark("warn", "The lock will be released for one second. Whoever stands outside can come in.")
        while person.yes("Release it now?", default=False):
            if desk.is_dry:
                person.mark("ok", "A dry run releases nothing.")
                return
            if trouble := _pulse(desk, 1.0):
                person.mark("fail", trouble)
                if "busy" in trouble.lower():
                    person.say(
                        "A janus-latchd holds the line: systemctl stop janusd janus-latchd, then try again."
                    )
            else:
                person.mark("ok", "The relay was released for a second and is locked again.")
                if person.yes("Did you hear the lock, and is it locked now?", default=True):
                    return
                person.say(
                    "Look at the relay's own lamp. Dark: wrong pin, or no supply for the relay. Lit all the "
                    "time and dark "
                    "during the test: the relay pulls in on low; go back and type 'relay PIN low'. Lit as "
                    "it should: "
                    "the lock's supply or its wires. hw/WIRING.md has drawings."
                )
            person.say("'back' goes to the wires.", "dim")

    def suggest(self, desk: Desk) -> None:
        """Not without somebody there."""

    def check(self, desk: Desk) -> list[str]:
        """Nothing to pulse without a relay."""
        if desk.answers.pulse is not None and desk.answers.pulse.relay and not _has_relay(desk):
            return ["pulse.relay: there is no lock to release: choose one in [lines]"]
        return []

    def plan(self, desk: Desk) -> list[str]:
        """A release that an answers file asked for."""
        pulse = desk.answers.pulse
        return [f"release the relay for {pulse.hold_s:g} s"] if pulse is not None and pulse.relay else []

    def apply(self, desk: Desk) -> None:
        """Pulse where a file asked for it. Raises JanusError when the relay does not do what it should."""
        pulse = desk.answers.pulse or PulseAnswer()
        if not pulse.relay:
            return
        if trouble := _pulse(desk, pulse.hold_s):
            again = desk.place.typed("setup --step pulse")
            raise JanusError(f"the relay: {trouble}", f"look at the wires, then: {again}")
        desk.done.append(f"released the relay for {pulse.hold_s:g} s; it is locked again")


def _has_relay(desk: Desk) -> bool:
    lines = desk.answers.lines
    if lines is not None:
        return lines.lock != "none"
    return bool(desk.janus.get("latch", {}).get("driver") == "latchd")


def _pulse(desk: Desk, hold_s: float) -> str:
    try:
        return desk.scout.pulse(texts.build(desk).latch, desk.door, hold_s)
    except JanusError as error:
        return str(error)
