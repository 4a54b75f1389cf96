"""What the networks run on."""

from __future__ import annotations

from janusd.cli.setup.answers import AcceleratorAnswer
from janusd.cli.setup.person import Option
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change


class AcceleratorStep(Quiet):
    """Chooses delegate and threads of [model]."""

    name = "accelerator"
    title = "What the networks run on"
    about = (
        "The released networks are small: a processor runs them in tens of milliseconds. An accelerator only "
        "helps where it is plugged in and its library is installed. One core is left for camera and kernel."
    )

    def look(self, desk: Desk) -> str:
        """What there is."""
        names = [one.name + (f" ({one.trouble})" if one.trouble else "") for one in desk.found.accelerators]
        return f"There is {', and '.join(names)}."

    def ask(self, desk: Desk) -> None:
        """Choose, where there is a choice."""
        person, found = desk.person, desk.found.accelerators
        if desk.found.model.trouble:
            person.mark("fail", f"The model: {desk.found.model.trouble}")
        else:
            person.mark("ok", f"The model is {desk.found.model.name}.")
        if len(found) == 1:
            self.suggest(desk)
            threads = desk.answers.accelerator.threads if desk.answers.accelerator else 1
            person.mark("ok", f"It runs on {found[0].name}, {threads} thread{'' if threads == 1 else 's'}.")
            return
        options = [Option(one.name, f"{one.threads} threads", one.trouble) for one in found]
        usable = [i for i, one in enumerate(found) if not one.trouble]
        chosen = found[person.choose("Run them on", options, usable[-1])]
        desk.answers.accelerator = AcceleratorAnswer(chosen.delegate, chosen.threads)

    def suggest(self, desk: Desk) -> None:
        """What is configured, else the processor with as many threads as suit the board."""
        if desk.answers.accelerator is None:
            model, cpu = desk.janus.get("model", {}), desk.found.accelerators[0]
            desk.answers.accelerator = AcceleratorAnswer(
                model.get("delegate", cpu.delegate), model.get("threads", cpu.threads)
            )

    def check(self, desk: Desk) -> list[str]:
        """A delegate's library must be there."""
        answer = desk.answers.accelerator
        missing = [one for one in desk.found.accelerators if one.trouble]
        if answer and answer.delegate and any(one.delegate == answer.delegate for one in missing):
            return [f"accelerator.delegate: {missing[0].name}: {missing[0].trouble}"]
        return []

    def settings(self, desk: Desk) -> list[Setting]:
        """[model]."""
        answer = desk.answers.accelerator
        if answer is None:
            return []
        values = [("threads", answer.threads, "so that camera and kernel keep a core"),
                  ("delegate", answer.delegate or None, "a TFLite delegate library")]  # fmt: skip
        return [Setting("janus", Change("model", *value)) for value in values]
