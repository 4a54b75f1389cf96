"""The lines: lock, exit button, sensors and lamps, by the pins of the header."""

from __future__ import annotations

from janusd.cli.setup import header, wiring
from janusd.cli.setup.answers import ROLES, LinesAnswer, Wire
from janusd.cli.setup.header import ROLE_WORDS
from janusd.cli.setup.person import Option
from janusd.cli.setup.scout import Board
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change

_LOCKS = ("fail-secure", "fail-safe", "none")
_ALIASES = {
    "exit": "rex",
    "button": "rex",
    "door": "contact",
    "pir": "trigger",
    "bell": "trigger",
    "lock": "relay",
    "infrared": "led_nir",
}
_NOTHING = ("-", "none", "no", "off")


class LinesStep(Quiet):
    """Writes latch.toml, and [latch] of janus.toml."""

    name = "lines"
    title = "The lock and its lines"
    about = (
        "A relay opens the lock; how to wire it stands in hw/WIRING.md. Exit buttons and fire "
        "alarms are wired so "
        "that they work without any software. Pins are counted as on the header: pin 1 is the square one."
    )

    def look(self, desk: Desk) -> str:
        """What is connected now."""
        now = self._now(desk)
        if now is None or now.lock == "none":
            return "No lock is configured yet."
        wires = ", ".join(
            f"{ROLE_WORDS[role]} {wiring.said(wire, desk.found.board)}" for role, wire in now.wires().items()
        )
        return f"Configured: {now.lock}, {wires}."

    def ask(self, desk: Desk) -> None:
        """The kind of lock, then what is connected, then for how long."""
        person, found = desk.person, desk.found
        answer = desk.answers.lines or self._now(desk) or LinesAnswer(lock="none")
        has_chip = any(not chip.trouble for chip in found.chips)
        if not has_chip:
            person.mark("warn", "No GPIO chip can be used here: a lock cannot be driven from this device.")
        no_chip = "" if has_chip else "no GPIO chip"
        options = [
            Option(
                "A strike that opens while it has current (fail-secure)",
                "people leave by the handle",
                no_chip,
            ),
            Option(
                "A magnet that holds while it has current (fail-safe)", "people leave by a button", no_chip
            ),
            Option("No lock yet", "decisions are made and logged; nothing is released"),
        ]
        is_new = desk.answers.lines is None and self._now(desk) is None
        default = 2 if not has_chip else 0 if is_new else _LOCKS.index(answer.lock)
        lock = _LOCKS[person.choose("What kind of lock", options, default)]
        wires = answer.wires()
        if lock != "none":
            self._recommend(desk, wires)
            wires = self._wires(desk, lock, wires)
        hold_s = person.number("Release the door for how many seconds", answer.hold_s, 0.2, 30)
        desk.answers.lines = _answer(lock, hold_s, wires)

    def suggest(self, desk: Desk) -> None:
        """As it is; without a latch.toml no lock: a relay is nothing to be guessed."""
        if desk.answers.lines is None:
            desk.answers.lines = self._now(desk) or LinesAnswer(lock="none")

    def check(self, desk: Desk) -> list[str]:
        """Every wire on a line that may be used for it."""
        return wiring.refusals(desk.answers.lines, desk.found) if desk.answers.lines else []

    def settings(self, desk: Desk) -> list[Setting]:
        """The door in latch.toml, and what janus.toml says of it."""
        answer, door = desk.answers.lines, desk.door
        if answer is None:
            return []
        driver = "simulated" if answer.lock == "none" else "latchd"
        made = [
            Setting("janus", Change("latch", "driver", driver, "latchd: what latch.toml says")),
            Setting("janus", Change("latch", "hold_s", answer.hold_s, "for how long; at most 30")),
        ]
        had_trigger = desk.janus.get("idle", {}).get("trigger") in ("gpio", "both")
        has_trigger = answer.lock != "none" and answer.trigger is not None
        if has_trigger and not had_trigger:
            made.append(Setting("janus", Change("idle", "trigger", "both", "motion, or a trigger input")))
        elif had_trigger and not has_trigger:
            made.append(Setting("janus", Change("idle", "trigger", "motion")))
        if answer.lock == "none":
            return made
        made.append(Setting("janus", Change("latch", "door", door, "its [door.NAME]")))
        return made + [Setting("latch", change) for change in self._latch(desk, answer, door)]

    def _latch(self, desk: Desk, answer: LinesAnswer, door: str) -> list[Change]:
        board, table = desk.found.board, f"door.{door}"
        now = desk.latch.get("door", {}).get(door, {})
        changes = [
            Change("", "chip", wiring.chip_of(desk.found), "gpiodetect lists the chips"),
            Change(table, "lock", answer.lock, "fail-secure: a strike; fail-safe: a magnet"),
        ]
        longest_s = max(float(now.get("hold_max_s", 10.0)), answer.hold_s)
        if longest_s != now.get("hold_max_s", 10.0):
            changes.append(Change(table, "hold_max_s", longest_s, "no release lasts longer, whoever asks"))
        wires = answer.wires()
        for role in ROLES:
            wire = wires.get(role)
            if role == "trigger":
                changes.append(self._triggers(now, wire, desk, table))
                continue
            comment = "" if wire is None else _comment(wire, board)
            changes.append(
                Change(table, role, None if wire is None else wiring.table(role, wire, board), comment)
            )
        return changes

    def _triggers(self, now: dict[str, object], wire: Wire | None, desk: Desk, table: str) -> Change:
        """The first trigger is ours to set; others stay."""
        had = now.get("triggers")
        triggers = dict(had) if isinstance(had, dict) else {}
        name = next(iter(triggers), "pir")
        triggers.pop(name, None)
        if wire is not None:
            triggers = {name: wiring.table("trigger", wire, desk.found.board), **triggers}
        comment = "" if wire is None else _comment(wire, desk.found.board)
        return Change(table, "triggers", triggers or None, comment)

    def _now(self, desk: Desk) -> LinesAnswer | None:
        latch = desk.janus.get("latch", {})
        answer = wiring.from_latch(desk.latch, desk.door, desk.found.board, latch.get("hold_s", 5.0))
        if answer is not None and latch.get("driver", "simulated") == "simulated":
            answer.lock = "none"
        return answer

    def _recommend(self, desk: Desk, wires: dict[str, Wire]) -> None:
        """Begin with the relay on its recommended pin."""
        pin = next((one.pin for one in desk.found.board.pins if one.recommended == "relay"), None)
        if "relay" not in wires and pin is not None:
            wires["relay"] = Wire(pin)

    def _wires(self, desk: Desk, lock: str, wires: dict[str, Wire]) -> dict[str, Wire]:
        """Let the person move wires until they are as they are."""
        person, board = desk.person, desk.found.board
        self._draw(desk, wires)
        while True:
            said = person.ask("A change, or Enter").lower()
            if not said:
                trial = _answer(lock, 5.0, wires)
                if problems := wiring.refusals(trial, desk.found):
                    for problem in problems:
                        person.mark("fail", problem.partition(": ")[2])
                    continue
                told = wiring.warnings(trial, desk.found)
                for warning in told:
                    person.mark("warn", warning)
                if person.yes("Are these the wires?", default=True):
                    return wires
            elif said in ("draw", "all"):
                if said == "all":
                    taken = {wiring.line_of(wire, board) for wire in wires.values()}
                    wires |= {
                        pin.recommended: Wire(pin.pin)
                        for pin in board.pins
                        if pin.recommended and pin.recommended not in wires and pin.line not in taken
                    }
                self._draw(desk, wires)
            elif self._change(desk, lock, wires, said.split()):
                self._draw(desk, wires)

    def _change(self, desk: Desk, lock: str, wires: dict[str, Wire], words: list[str]) -> bool:
        """Do `ROLE PIN [low|high]` or `ROLE -`; whether anything changed."""
        person, board = desk.person, desk.found.board
        role = _ALIASES.get(words[0], words[0])
        place = words[1].removeprefix("pin") if len(words) > 1 else ""
        if role not in ROLES or not (place.isdecimal() or place in _NOTHING):
            person.mark("warn", f"Type what and where, like 'exit 13'. There are {', '.join(ROLES)}.")
            return False
        before = wires.pop(role, None)
        if place in _NOTHING:
            return before is not None
        wire = Wire(pin=int(place[:4])) if board.pins else Wire(line=int(place[:4]))
        if len(words) > 2:
            wire.active_low = words[2] == "low"
        problems = [
            problem for problem in wiring.refusals(_answer(lock, 5.0, {**wires, role: wire}), desk.found)
            if problem.startswith(f"lines.{role}: ")
        ]  # fmt: skip
        other = [
            other for other, its in wires.items() if wiring.line_of(its, board) == wiring.line_of(wire, board)
        ]
        if problems or other:
            for problem in problems or [f": that is the {ROLE_WORDS[other[0]]} already"]:
                person.mark("fail", problem.partition(": ")[2])
            if before is not None:
                wires[role] = before
            return False
        wires[role] = wire
        return True

    def _draw(self, desk: Desk, wires: dict[str, Wire]) -> None:
        board, person = desk.found.board, desk.person
        roles = {pin: role for role, wire in wires.items() if (pin := wiring.pin_of(wire, board)) is not None}
        if board.pins:
            person.blank()
            person.draw(header.draw(board, roles, is_unicode=person.is_unicode, width=person.console.width))
        for role, wire in wires.items():
            level = "low" if wiring.is_low(role, wire) else "high"
            if not board.pins or wire.active_low is not None:
                person.say(f"{ROLE_WORDS[role]}: {wiring.said(wire, board)}, active on {level}")
        if board.pins:
            person.say(
                "Type changes like 'exit 13', 'relay 16 low', 'buzzer -'; 'all' takes what is recommended.",
                "dim",
            )
        else:
            person.say(
                "Type a line of the chip, like 'relay 17', 'rex 27 low'; 'buzzer -' takes one away.", "dim"
            )


def _comment(wire: Wire, board: Board) -> str:
    pin = wiring.pin_of(wire, board)
    return "" if pin is None else f"pin {pin}"


def _answer(lock: str, hold_s: float, wires: dict[str, Wire]) -> LinesAnswer:
    answer = LinesAnswer(lock=lock, hold_s=hold_s)  # type: ignore[arg-type]  # one of _LOCKS
    for role, wire in wires.items():
        setattr(answer, role, wire.pin if wire == Wire(wire.pin) and wire.pin is not None else wire)
    return answer
