"""The second camera of a pair: whether there is one, and whether it sees faces by its infrared lamp."""

from __future__ import annotations

from typing import Any

import msgspec

from janusd.cli.setup import texts, view, wiring
from janusd.cli.setup.answers import NirAnswer
from janusd.cli.setup.person import Option
from janusd.cli.setup.scout import Camera
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change
from janusd.errors import JanusError

_SUN = "By day the sun may outshine it: try again at dusk, with somebody before the door."


class NirStep(Quiet):
    """Chooses the nir_ keys of [camera], and attack.nir."""

    name = "nir"
    title = "A second camera, for near infrared"
    about = (
        "A camera without infrared filter, beside an 850 nm lamp, sees faces and paper, but screens are "
        "dark to it: a face on a phone is not there. It stands as near to the first camera as can be, looks "
        "the same way, and has the same driver. The lamp has a supply of its own, or is led_nir of the lines."
    )

    def look(self, desk: Desk) -> str:
        """What is configured, or could be."""
        now = _present(desk)
        if now.device:
            return f"Configured is {now.device}."
        count = len(_offered(desk))
        return f"{count} could be a second one." if count else "There is no second camera."

    def ask(self, desk: Desk) -> None:
        """Choose one and look through both; nothing is asked where there is none to choose."""
        person = desk.person
        now, offered = desk.answers.nir or _present(desk), [_answer(camera) for camera in _offered(desk)]
        if not offered and not now.device:
            person.mark("ok", "There is no second camera of the first one's kind: nothing to ask.")
            return
        names = [camera.name for camera in _offered(desk)]
        options = [Option("None: one camera, as it is")]
        options += [Option(name, one.device) for name, one in zip(names, offered, strict=True)]
        if now.device and all(one.device != now.device for one in offered):
            offered.append(now)
            options.append(Option("As it is configured now", now.device))
        default = next((at for at, one in enumerate(offered, start=1) if one.device == now.device), 0)
        while True:
            chosen = person.choose("Which one has no infrared filter", options, default)
            if not chosen:
                desk.answers.nir = NirAnswer()
                return
            device, identity = offered[chosen - 1].device, offered[chosen - 1].identity
            lamp = self._ask_for_lamp(desk)
            answer = NirAnswer(device, identity, lamp, required=now.required)
            fits = self._try(desk, answer)
            if person.yes("Take this pair?", default=fits):
                answer.required = person.yes(
                    "Let nobody in whose face is not found there too?", default=now.required and fits
                )
                desk.answers.nir = answer
                return

    def suggest(self, desk: Desk) -> None:
        """It stays as it is: no camera tells of itself that it has no filter."""

    def check(self, desk: Desk) -> list[str]:
        """Another camera than the first, that is there; a lamp that latch.toml names."""
        answer = desk.answers.nir
        if answer is None or not answer.device:
            return []
        first, problems = _first(desk), []
        if not first:
            problems.append("nir.device: there is no first camera to pair it with: see [camera]")
        elif answer.device == _device_of(first):
            problems.append("nir.device: must be another camera than the first")
        elif _is_local(first, answer.device) and all(
            _second(camera) != answer.device for camera in _offered(desk)
        ):
            there = ", ".join(_second(camera) for camera in _offered(desk)) or "none"
            problems.append(f"nir.device: there is no second camera {answer.device} here; found: {there}")
        if answer.lamp == "latchd" and not _has_lamp(desk):
            problems.append("nir.lamp: latchd needs led_nir in [lines]: which pin drives the lamp?")
        return problems

    def settings(self, desk: Desk) -> list[Setting]:
        """The second camera in [camera], and what it is for in [attack]."""
        answer = desk.answers.nir
        if answer is None:
            return []
        is_there = bool(answer.device)
        has_been = "nir" in desk.janus.get("attack", {})
        values = [
            Change("camera", "nir_device", answer.device or None, "without infrared filter, by an IR lamp"),
            Change("camera", "nir_identity", _identity(desk, answer) or None, "no other is accepted there"),
            Change("camera", "nir_lamp", answer.lamp if is_there else None, "its supply, or latchd: led_nir"),
            Change("attack", "nir", answer.required if is_there else False if has_been else None,
                   "a face must be found and match there too"),
        ]  # fmt: skip
        return [Setting("janus", change) for change in values]

    def _ask_for_lamp(self, desk: Desk) -> Any:  # noqa: ANN401 - one of NirAnswer.lamp's two words
        if not _has_lamp(desk):
            desk.person.say(
                "The lamp is taken to burn by a supply of its own. To have it lit only while the door looks, "
                "wire it as hw/WIRING.md draws it, go back to the lines and type 'led_nir PIN'.",
                "dim",
            )
            return "always"
        return "latchd" if desk.person.yes("Is its lamp the one on led_nir?", default=True) else "always"

    def _try(self, desk: Desk, answer: NirAnswer) -> bool:
        """Show what both see and what the lamp does; whether all is well."""
        person, camera = desk.person, {**_first(desk), "nir_device": answer.device}
        latch = texts.build(desk).latch if answer.lamp == "latchd" else ""
        try:
            said = view.look_through_pair(person, desk.scout, camera, latch, desk.door)
        except JanusError as error:
            person.mark("fail", str(error))
            return False
        for kind, words in said:
            person.mark(kind, words)
            if kind == "fail" and words.startswith("The lamp"):
                person.say(_SUN)
        return all(kind == "ok" for kind, _ in said)


def _present(desk: Desk) -> NirAnswer:
    """The pair as it is configured; without a device where there is one camera."""
    camera = desk.janus.get("camera", {})
    device = camera.get("nir_device", "")
    if not device:
        return NirAnswer()
    return NirAnswer(
        str(device),
        str(camera.get("nir_identity", "")),
        "latchd" if camera.get("nir_lamp") == "latchd" else "always",
        bool(desk.janus.get("attack", {}).get("nir", False)),
    )


def _first(desk: Desk) -> dict[str, Any]:
    """The first camera as [camera] names it; empty where there is none."""
    if desk.answers.camera is not None:
        return dict(msgspec.to_builtins(desk.answers.camera))
    before = dict(desk.janus.get("camera", {}))
    return {key: value for key, value in before.items() if not key.startswith("nir_")}


def _device_of(first: dict[str, Any]) -> str:
    return str(first.get("path" if first.get("driver") == "replay" else "device", ""))


def _second(camera: Camera) -> str:
    """That camera as nir_device names it."""
    return camera.path if camera.driver == "replay" else camera.device


def _offered(desk: Desk) -> list[Camera]:
    """The cameras that could be the second one."""
    first = _first(desk)
    return [
        camera for camera in desk.found.cameras
        if camera.driver == first.get("driver") and _second(camera) != _device_of(first)
    ]  # fmt: skip


def _answer(camera: Camera) -> NirAnswer:
    return NirAnswer(_second(camera), camera.identity)


def _identity(desk: Desk, answer: NirAnswer) -> str:
    """Which camera the door is bound to: as answered, else the one that sits there now."""
    there = (camera.identity for camera in _offered(desk) if _second(camera) == answer.device)
    return answer.identity or next(there, "")


def _is_local(first: dict[str, Any], device: str) -> bool:
    return first.get("driver") == "picamera2" or device.startswith("/dev/")


def _has_lamp(desk: Desk) -> bool:
    """Whether a lock is there whose lines name an infrared lamp."""
    lines = desk.answers.lines
    if lines is None:
        if desk.janus.get("latch", {}).get("driver") != "latchd":
            return False
        lines = wiring.from_latch(desk.latch, desk.door, desk.found.board, 5.0)
    return lines is not None and lines.lock != "none" and lines.led_nir is not None
