"""The promise: one false unlock in so many years, and what that costs the residents."""

from __future__ import annotations

from decimal import Decimal

from janusd.cli.setup.answers import PromiseAnswer
from janusd.cli.setup.scout import Meaning
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change
from janusd.errors import JanusError

LARGEST_SHARE = 0.01
"""As in janusd's configuration: no promise may be laxer than one false unlock in a hundred tries."""
_DAYS = 365.25


class PromiseStep(Quiet):
    """Asks for [promise]; nobody types a threshold."""

    name = "promise"
    title = "The promise"
    about = (
        "You say how rarely a stranger may be let in by mistake. The door finds the threshold "
        "from the model's "
        "measured scores and from how many people are enrolled. The stricter the promise, the more often a "
        "resident has to look twice."
    )

    def look(self, desk: Desk) -> str:
        """What is promised now."""
        now = desk.janus.get("promise", {})
        return f"Now: {_words(PromiseAnswer(now.get('years', 1.0), 4, now.get('tries_a_day', 2.0)))}"

    def ask(self, desk: Desk) -> None:
        """Ask the three numbers until what they mean is accepted."""
        person = desk.person
        self.suggest(desk)
        answer = desk.answers.promise or PromiseAnswer()
        person.say("How rarely may the door open for a stranger by mistake?")
        while True:
            years = person.number("One false unlock in how many years", answer.years, 0.01, 1000)
            people = person.number("How many people will be enrolled", answer.people, 1, 1000, whole=True)
            tries = person.number("How many strangers try on a day", answer.tries_a_day, 0.01, 10_000)
            answer = PromiseAnswer(years, int(people), tries)
            if problems := _problems(answer):
                person.mark("fail", problems[0])
                continue
            try:
                for kind, line in explain(answer, desk.scout.promise(years, people, tries)):
                    person.mark(kind, line)
            except JanusError as error:
                person.mark("warn", f"What it means cannot be said: {error}")
            if person.yes("Promise that?", default=True):
                desk.answers.promise = answer
                return

    def suggest(self, desk: Desk) -> None:
        """What is configured, else a year, four people, two tries."""
        if desk.answers.promise is None:
            now = desk.janus.get("promise", {})
            desk.answers.promise = PromiseAnswer(now.get("years", 1.0), 4, now.get("tries_a_day", 2.0))

    def check(self, desk: Desk) -> list[str]:
        """Not laxer than any door may be."""
        return _problems(desk.answers.promise) if desk.answers.promise else []

    def settings(self, desk: Desk) -> list[Setting]:
        """[promise]."""
        answer = desk.answers.promise
        if answer is None:
            return []
        return [
            Setting(
                "janus", Change("promise", "years", answer.years, "one false unlock in so many years ...")
            ),
            Setting(
                "janus",
                Change("promise", "tries_a_day", answer.tries_a_day, "... of so many strangers' tries"),
            ),
        ]


def explain(answer: PromiseAnswer, meaning: Meaning) -> list[tuple[str, str]]:
    """What the promise means, in sentences, each well (`ok`) or worth a look (`warn`)."""
    basis = f"measured on {meaning.comparisons:,} comparisons of strangers"
    if meaning.is_extrapolated:
        basis = f"beyond what {meaning.comparisons:,} comparisons can show: it rests on a fitted tail"
    share = f"{'more than ' if meaning.is_at_least else 'about '}{100 * meaning.refused:.0f} of 100"
    found = [
        ("ok", f"{_words(answer)} That is one in {meaning.tries:,.0f} tries."),
        (
            "warn" if meaning.is_extrapolated else "ok",
            f"Threshold {meaning.threshold:.3f} with {answer.people} people: one comparison may be "
            "wrong at a "
            f"rate of {Decimal(f'{meaning.fmr:.0e}'):f}, {basis}.",
        ),
        (
            "warn" if meaning.is_at_least or meaning.refused > 0.5 else "ok",
            f"Price: {share} single comparisons of a person with one older photo fall below it "
            f"({meaning.genuine_comparisons:,} measured). The door compares several frames with the "
            "mean of a person's samples, so most of them only cost a moment.",
        ),
    ]
    if meaning.is_at_least:
        found[-1:] = [
            (
                "warn",
                f"Price: {share} single comparisons of a person with one older photo fall below it "
                f"({meaning.genuine_comparisons:,} measured). Residents will often stay outside: promise "
                "a little less.",
            )
        ]
    return found


def _problems(answer: PromiseAnswer) -> list[str]:
    if answer.years * _DAYS * answer.tries_a_day * LARGEST_SHARE >= 1.0:
        return []
    least = 1.0 / (LARGEST_SHARE * _DAYS * answer.tries_a_day)
    return [
        "promise.years: one false unlock in fewer than a hundred tries is no lock; "
        f"with {answer.tries_a_day:g} tries a day give at least {least:.2f} years"
    ]


def _words(answer: PromiseAnswer) -> str:
    years = "a year" if answer.years == 1 else f"{answer.years:g} years"
    tries = "stranger tries" if answer.tries_a_day == 1 else "strangers try"
    return f"One false unlock in {years}, if {answer.tries_a_day:g} {tries} each day."
