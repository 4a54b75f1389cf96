"""The camera: which one, and whether it shows a face well."""

from __future__ import annotations

from typing import Any

import msgspec

from janusd.cli.setup import sandbox, view
from janusd.cli.setup.answers import CameraAnswer
from janusd.cli.setup.person import Option
from janusd.cli.setup.scout import Camera
from janusd.cli.setup.step import Desk, Quiet, Setting
from janusd.cli.setup.tomledit import Change
from janusd.errors import JanusError

_ADDRESS = "A network camera, by its address"


class CameraStep(Quiet):
    """Chooses [camera]."""

    name = "camera"
    title = "The camera"
    about = (
        "The camera should look at faces from the front, at about eye height, from half a metre "
        "to one and a half. "
        "Light from behind the visitor is its worst enemy. Nothing it sees leaves this device."
    )

    def look(self, desk: Desk) -> str:
        """What is configured, or found."""
        if "camera" in desk.janus:
            return f"Configured is {_named(_present(desk))}."
        count = len(desk.found.cameras)
        return f"Found {count} camera{'' if count == 1 else 's'}." if count else "No camera is found."

    def ask(self, desk: Desk) -> None:
        """Choose one and look through it."""
        person = desk.person
        while True:
            offered: list[CameraAnswer] = [_answer(camera) for camera in desk.found.cameras]
            options = [
                Option(
                    camera.name, "to try things out" if camera.driver == "replay" else _named(_answer(camera))
                )
                for camera in desk.found.cameras
            ]
            present = desk.answers.camera or _present(desk)
            default = next((i for i, one in enumerate(offered) if present and _same(one, present)), 0)
            if present and not any(_same(one, present) for one in offered):
                offered.append(present)
                options.append(Option("As it is configured now", _named(present)))
                default = len(offered) - 1 if desk.found.cameras else 0
            if not desk.found.cameras:
                person.mark(
                    "warn", "No camera is found. Plug one in and choose 'Look again', or give an address."
                )
            options += [Option(_ADDRESS, "rtsp:// or http://"), Option("Look again")]
            chosen = person.choose("Which camera", options, default)
            if chosen == len(options) - 1:
                desk.found = desk.scout.look(desk.found.board.key)
                continue
            if chosen == len(options) - 2:
                answer = CameraAnswer("opencv", person.ask("Its address", "rtsp://"))
            else:
                answer = offered[chosen]
            if self._try(desk, answer):
                desk.answers.camera = answer
                return

    def suggest(self, desk: Desk) -> None:
        """The first one found; one that is configured stays, plugged in or not."""
        if desk.answers.camera is None and "camera" not in desk.janus and desk.found.cameras:
            desk.answers.camera = _answer(desk.found.cameras[0])

    def check(self, desk: Desk) -> list[str]:
        """A camera on this device must be there."""
        answer = desk.answers.camera
        if answer is None:
            if "camera" in desk.janus or desk.person.is_asked:
                return []
            return ["camera: none is found; plug one in, or name one in [camera]"]
        return [problem] if (problem := self._problem(desk, answer)) else []

    def _problem(self, desk: Desk, answer: CameraAnswer) -> str:
        if answer.driver == "replay" and not answer.path:
            return "camera.path: a replay needs the folder of its pictures"
        if answer.driver == "opencv" and not answer.device:
            return "camera.device: name it, for example /dev/video0"
        host = sandbox.camera_host(msgspec.to_builtins(answer))
        if host and not sandbox.is_number(host):
            return f"camera.device: {host} is a name, and janusd reaches no name server: give its IP address"
        is_local = answer.driver == "picamera2" or answer.device.startswith("/dev/")
        if is_local and not any(_same(_answer(camera), answer) for camera in desk.found.cameras):
            there = ", ".join(_named(_answer(camera)) for camera in desk.found.cameras) or "none"
            return f"camera.device: there is no {_named(answer)} here; found: {there}"
        return ""

    def settings(self, desk: Desk) -> list[Setting]:
        """[camera]."""
        answer = desk.answers.camera
        if answer is None:
            return []
        values: list[tuple[str, Any, str]] = [("driver", answer.driver, "picamera2, opencv or replay")]
        if answer.driver == "replay":
            values += [("path", answer.path, "a folder of pictures, or a video"),
                       ("follow", answer.follow, "wait for further pictures")]  # fmt: skip
        else:
            values.append(("device", answer.device, "opencv: a node or an address; picamera2: its number"))
            values.append(("identity", _identity(desk, answer), "no other camera is accepted there"))
        values += [("width_px", answer.width_px, ""), ("height_px", answer.height_px, ""),
                   ("fps", answer.fps, "")]  # fmt: skip
        return [Setting("janus", Change("camera", *value)) for value in values]

    def _try(self, desk: Desk, answer: CameraAnswer) -> bool:
        """Show what it sees; whether to take it."""
        try:
            view.look_through(desk.person, desk.scout, msgspec.to_builtins(answer))
        except JanusError as error:
            desk.person.mark("fail", str(error))
            return desk.person.yes("Take it all the same?", default=False)
        return desk.person.yes("Take this camera?", default=True)


def _present(desk: Desk) -> CameraAnswer | None:
    try:
        known = {field.name for field in msgspec.structs.fields(CameraAnswer)}
        table = {key: value for key, value in desk.janus.get("camera", {}).items() if key in known}
        return msgspec.convert(table, CameraAnswer) if table else None
    except msgspec.ValidationError:
        return None


def _answer(camera: Camera) -> CameraAnswer:
    return CameraAnswer(
        camera.driver,  # type: ignore[arg-type]  # the drivers of discovery are those of janus.toml
        camera.device,
        camera.path,
        camera.follow,
        camera.identity,
    )


def _identity(desk: Desk, answer: CameraAnswer) -> str:
    """Which camera the door is bound to: as answered, else the one that sits there now."""
    if answer.identity:
        return answer.identity
    there = (camera.identity for camera in desk.found.cameras if _same(_answer(camera), answer))
    return next(there, "")


def _same(one: CameraAnswer, other: CameraAnswer) -> bool:
    return (one.driver, one.device, one.path) == (other.driver, other.device, other.path)


def _named(answer: CameraAnswer | None) -> str:
    if answer is None:
        return "one that is not understood"
    scheme, separator, rest = answer.device.partition("://")
    device = f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else answer.device  # no password
    return f"{answer.driver} {answer.path if answer.driver == 'replay' else device}".strip()
