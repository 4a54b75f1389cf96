"""Strangers who try again and again, and pull the plug, and put older copies of the tally back.

Each life is a week at most: strangers who stay or pass, blank and double frames, kills before and after a
charge is written and before its verdict is known, restarts that set the clock to zero, an older copy of the
tally in place of the present one. The tally lies in real files.

Harm: more guesses than the budget grants (see `core.limiter`), an unlock, a charge that was written and is
gone, a resident who must wait longer than the policy says. A guess is a stranger compared often enough in a
row to be let in.
"""

from __future__ import annotations

import random
from datetime import datetime
from pathlib import Path

import numpy as np

from janusd.core import limiter, policy
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import Admission, Budget
from janusd.core.policy import Policy, State
from janusd.core.reason import Reason
from janusd.core.schedule import Schedule
from janusd.core.types import Candidate, Evidence
from janusd.journal.ledger import Ledger
from torture.kit import new_key
from torture.row import Row, Tick

BUDGET = Budget()
POLICY = Policy(threshold=0.5, hold_s=5.0, budget=BUDGET)
GALLERY = Gallery.of([Template("ada", "Ada", np.ones((1, 2), np.float32), Schedule())])
NOON = datetime(2026, 6, 1, 12, 0)
FRAME_S = 0.125
WEEK_S = 7 * 86_400.0
NOBODY = {".": Reason.NO_FACE, "2": Reason.TWO_FACES, "~": Reason.BLURRED}


class Life:
    """One door, and an onlooker who counts."""

    def __init__(self, folder: Path, chance: random.Random, row: Row) -> None:
        self.chance, self.row = chance, row
        folder.mkdir(mode=0o700)
        self.paths = (folder / "tries", folder / "elsewhere" / "tries")
        self.key = new_key(folder / "key")
        self.now_s = self.up_s = 0.0
        self.guesses = 0
        self.streak = ("", 0)
        self.older: list[bytes] = []
        self.ledger = self.open(may_begin=True)
        self.state = State(limits=limiter.resume(self.ledger.tally, self.now_s))

    def open(self, *, may_begin: bool = False) -> Ledger:
        return Ledger.open(self.paths[0], self.key, may_begin=may_begin, twin=self.paths[1])

    def restart(self) -> None:
        """The plug is pulled, perhaps an older copy of the tally is put back, and the clock begins anew."""
        written = self.ledger.tally
        self.ledger.close()
        if self.older and self.chance.random() < 0.3:
            self.paths[0].write_bytes(self.chance.choice(self.older))
            self.row.went["older tallies put back"] += 1
        self.ledger = self.open()
        if self.ledger.tally.spent < written.spent and not self.ledger.tally.is_off:
            self.row.harm["charges gone"] += 1
        self.now_s = 5.0
        self.state = State(limits=limiter.resume(self.ledger.tally, self.now_s))
        self.streak = ("", 0)
        self.row.went["kills"] += 1

    def write(self) -> None:
        self.older.append(self.paths[0].read_bytes())
        self.ledger.write(self.state.limits.tally)

    def see(self, who: str, killed: str = "") -> None:
        self.now_s += FRAME_S
        self.up_s += FRAME_S
        if who in NOBODY:
            evidence = Evidence(self.now_s, NOBODY[who])
        else:
            evidence = Evidence(self.now_s, None, Candidate("ada", 0.1))
        before, self.state = self.state, policy.admit(POLICY, self.state, evidence)
        if self.state.limits.is_charged and not before.limits.is_charged:
            if killed == "before the charge":
                return self.restart()
            self.write()
            if killed == "before the verdict":
                return self.restart()
        spent = self.state.limits.tally.spent
        if self.state.admission is Admission.COMPARE and who not in NOBODY:
            streak = self.streak[1] + 1 if self.streak[0] == who and self.state.limits.compared > 1 else 1
            self.streak = (who, streak)
            self.guesses += streak == POLICY.agree
        else:
            self.streak = ("", 0)
        self.state, decision = policy.judge(POLICY, GALLERY, self.state, evidence, NOON)
        self.row.harm["unlocks"] += decision.unlocks
        if self.state.limits.tally.spent < spent:
            self.write()
        if killed:
            self.restart()
        return None

    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        self.up_s += seconds

    def act(self) -> None:
        """One thing that somebody does."""
        chance = self.chance
        moment = ("", "", "", "before the charge", "before the verdict", "after the verdict")
        match chance.choice(("crowd", "lingers", "glances", "waits", "waits", "pulls the plug")):
            case "crowd":
                for _ in range(chance.randint(1, 12)):
                    self.stand(chance.choice("ABCDEFGH") * 8, chance.choice(("", "..")))
            case "lingers":
                self.stand(chance.choice("ABCD") * chance.randint(9, 60), "")
            case "glances":
                self.stand("".join(chance.choices("ABC.2~", k=chance.randint(1, 20))), ".")
            case "waits":
                # not a second longer than an attacker would
                until_s = max(self.state.limits.locked_until_s - self.now_s, 0.0)
                self.pass_time(until_s if chance.random() < 0.7 else chance.uniform(0, 4000))
            case _:
                self.stand(chance.choice("AB") * 2, "")
                self.see("A", chance.choice(moment))

    def stand(self, who: str, after: str) -> None:
        for letter in who + after:
            self.see(letter)

    def judge(self) -> None:
        """Is it all within the budget?"""
        granted = (BUDGET.off_after + self.up_s / BUDGET.forgive_s) * (POLICY.window // POLICY.agree)
        self.row.harm["guesses beyond the budget"] += self.guesses > granted
        wait_s = self.state.limits.locked_until_s - self.now_s
        if not self.state.limits.is_off and wait_s > BUDGET.lockout_max_s:
            self.row.harm["residents wait too long"] += 1


def lives(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """So many lives of a door."""
    row = Row("guessing: lives of a door")
    most = 0
    for number in range(times):
        chance = random.Random(seed * 1_000_003 + number)
        life = Life(folder / str(number), chance, row)
        for _ in range(60):
            life.act()
            if life.up_s > WEEK_S:
                break
        life.judge()
        life.ledger.close()
        most = max(most, life.guesses)
        row.went["guesses"] += life.guesses
        row.times += 1
        tick()
    row.note = f"at most {most} guesses in one of them"
    row.harm = +row.harm
    return [row]
