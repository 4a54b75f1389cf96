"""The answers of a setup: what a person said, what a file says, what is kept of an interrupted one.

A section that is missing was not answered: with `--answers` the step takes what it would suggest, and lock,
relay test and enrolment are left alone. All wrong fields of a file are reported at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from janusd import sections
from janusd.cli.setup.tomledit import dumps

ROLES = ("relay", "rex", "contact", "tamper", "trigger", "led_released", "led_alarm", "led_nir", "buzzer")
"""As in latch.toml; relay first, the only one that a lock must have."""


class _Section(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Base of all sections."""


class BoardAnswer(_Section):
    """[board]."""

    profile: str = ""
    """Empty: what the firmware says."""


class CameraAnswer(_Section):
    """[camera], as in janus.toml."""

    driver: Literal["picamera2", "opencv", "replay"]
    device: str = ""
    path: str = ""
    follow: bool = False
    identity: str = ""
    """Empty: the one that sits there now."""
    width_px: Annotated[int, Meta(ge=160, le=4096)] = 1280
    height_px: Annotated[int, Meta(ge=120, le=4096)] = 720
    fps: Annotated[float, Meta(ge=1, le=120)] = 15.0


class AcceleratorAnswer(_Section):
    """[accelerator]."""

    delegate: str = ""
    threads: Annotated[int, Meta(ge=1, le=8)] = 1


class Wire(_Section):
    """Where one thing is connected: to a pin of the header, or to a line of the chip."""

    pin: Annotated[int, Meta(ge=1, le=40)] | None = None
    line: int | str | None = None
    active_low: bool | None = None
    bias: Literal["as-is", "pull-up", "pull-down", "disabled"] | None = None


Plug = int | Wire
"""A header pin, or a table that says more."""
_PLUG = "must be the number of a header pin, or a table like { pin = 11, active_low = true }"


class LinesAnswer(_Section):
    """[lines]."""

    lock: Literal["fail-secure", "fail-safe", "none"] = "fail-secure"
    hold_s: Annotated[float, Meta(ge=0.2, le=30)] = 5.0
    relay: Plug | None = None
    rex: Plug | None = None
    contact: Plug | None = None
    tamper: Plug | None = None
    trigger: Plug | None = None
    led_released: Plug | None = None
    led_alarm: Plug | None = None
    led_nir: Plug | None = None
    buzzer: Plug | None = None

    def wires(self) -> dict[str, Wire]:
        """What is connected, by role."""
        plugs = {role: getattr(self, role) for role in ROLES}
        return {
            role: Wire(pin=plug) if isinstance(plug, int) else plug
            for role, plug in plugs.items()
            if plug is not None
        }


class PulseAnswer(_Section):
    """[pulse]."""

    relay: bool = False
    hold_s: Annotated[float, Meta(ge=0.2, le=5)] = 1.0


class NirAnswer(_Section):
    """[nir]: a second camera, without infrared filter."""

    device: str = ""
    """Of the same driver as [camera]; of a replay the path of its recording. Empty: there is one camera."""
    identity: str = ""
    """Empty: the one that sits there now."""
    lamp: Literal["always", "latchd"] = "always"
    """As camera.nir_lamp."""
    required: bool = True
    """Whether a face must be found there: attack.nir."""


class PromiseAnswer(_Section):
    """[promise]."""

    years: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    people: Annotated[int, Meta(ge=1, le=1000)] = 4
    tries_a_day: Annotated[float, Meta(gt=0, le=10_000)] = 2.0


class KeysAnswer(_Section):
    """[keys]."""

    source: Literal["board", "tpm", "credential", "file"]


class UnitsAnswer(_Section):
    """[units]."""

    enable: bool = True


class EnrolAnswer(_Section):
    """[enrol]."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    from_images: str = ""
    """A folder; empty: live before the camera."""
    try_for_s: Annotated[float, Meta(ge=0, le=600)] = 0.0
    """Then wait so long for them to open the door once."""


class Answers(_Section):
    """All of them."""

    board: BoardAnswer | None = None
    camera: CameraAnswer | None = None
    accelerator: AcceleratorAnswer | None = None
    lines: LinesAnswer | None = None
    pulse: PulseAnswer | None = None
    nir: NirAnswer | None = None
    promise: PromiseAnswer | None = None
    keys: KeysAnswer | None = None
    units: UnitsAnswer | None = None
    enrol: EnrolAnswer | None = None


_SECTIONS: dict[str, type[_Section]] = {
    field.name: get_args(field.type)[0] for field in msgspec.structs.fields(Answers)
}


def load(path: Path) -> Answers:
    """Read a file. Raises ConfigError that lists every wrong field with its line."""
    return parse(sections.text_of(path, "begin one: janusctl setup --answers-template"), str(path))


def parse(text: str, name: str = "answers.toml") -> Answers:
    """Read the text of an answers file; `name` stands for it in messages."""
    tables, problems = sections.tables(text, name, _SECTIONS, {Plug | None: _PLUG})
    sections.refuse(name, problems)
    return msgspec.convert(tables, Answers)


def written(answers: Answers) -> str:
    """The answers as a file that `parse` reads."""
    return dumps(msgspec.to_builtins(answers))


TEMPLATE = """\
# Answers for: sudo janusctl setup --answers FILE
# A section that you leave out is answered as setup itself would suggest; without [lines], [pulse] and [enrol]
# no lock is chosen, no relay pulsed, nobody enrolled. Nothing is touched while anything here is wrong.

[board]
profile = ""                  # empty: what the firmware says; or raspberry-pi-5, generic ...

[camera]                      # without this section: the first camera that is found
driver = "picamera2"          # or "opencv" (USB, streams), "replay" (a folder of pictures, to try things out)
device = "0"                  # picamera2: its number; opencv: "/dev/video0", or an address like rtsp://...
path = ""                     # replay: the folder
follow = false                # replay: wait for more pictures instead of ending
identity = ""                 # which camera must sit there; empty: the one that does now
width_px = 1280
height_px = 720
fps = 15

[accelerator]
delegate = ""                 # empty: the processor; or "libedgetpu.so.1"
threads = 1

[lines]                       # what is connected, by the pin of the header (not by GPIO number)
lock = "fail-secure"          # a strike; "fail-safe": a magnet; "none": no lock yet
hold_s = 5                    # for how long the door is released
relay = 11                    # or { pin = 11, active_low = true }; without a header { line = 17 }
rex = 13                      # the exit button's second contact; leave out what is not connected
# contact = 15                # the door contact
# tamper = 16                 # a closed loop through the enclosure
# trigger = 18                # a PIR or a bell that wakes recognition
# led_released = 22
# led_alarm = 36
# led_nir = 33                # the transistor of an infrared lamp
# buzzer = 37

[pulse]
relay = false                 # true: release the relay once, without asking: somebody must stand at the door
hold_s = 1

[nir]                         # without this section a second camera stays as it is configured
device = ""                   # of the same driver as [camera]: "1", "/dev/video2"; empty: there is one camera
identity = ""                 # which camera must sit there; empty: the one that does now
lamp = "always"               # by a supply of its own; "latchd": led_nir of [lines], lit while the door looks
required = true               # a face must be found and match in near infrared too

[promise]                     # one false unlock in so many years ...
years = 1
people = 4                    # ... with so many people enrolled: only to show what it means
tries_a_day = 2               # ... and so many strangers who try each day

[keys]
source = "credential"         # "board", "tpm", "credential" or "file": setup says what each stops

[units]
enable = true                 # enable and start them, where systemd runs

[enrol]
name = "Ada Byron"
from_images = "photos/ada"    # a folder with pictures of one face each; leave out: live before the camera
try_for_s = 0                 # then wait so many seconds for them to open the door once
"""
"""What `--answers-template` prints."""
