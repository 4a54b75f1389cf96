"""janus.toml: read, checked, frozen.

Every field has a floor or ceiling that no file can lower, because whoever can edit a file on a stolen card
must not be able to make the door careless. All wrong fields are reported at once, each on its own line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from janusd import sections
from janusd.core.schedule import Holidays
from janusd.sections import where

DEFAULT_PATH = Path("/etc/janus/janus.toml")
LARGEST_FPIR = 0.01
"""No promise may be laxer than one false unlock in a hundred strangers' tries."""


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all sections."""


class CameraSection(_Section, frozen=True):
    """[camera]: where frames come from."""

    driver: Literal["picamera2", "opencv", "replay"] = "picamera2"
    """`picamera2` for a Raspberry Pi's own cameras, `opencv` for V4L2 and streams, `replay` for files."""
    device: str = "/dev/video0"
    """For opencv: a V4L2 node, or a stream at an IP address, which `janusctl setup --step camera` lets
    through the unit's sandbox. For picamera2: the camera's number."""
    identity: str = ""
    """Which camera must sit there, as `janusctl doctor` names it; empty accepts any of this board."""
    nir_device: str = ""
    """A second camera of the same driver, without an infrared filter and beside an IR lamp.

    For `replay` it is the path of the second recording.
    """
    nir_identity: str = ""
    """Which one that must be."""
    nir_lamp: Literal["always", "latchd"] = "always"
    """What lights the IR lamp: a supply of its own, or `led_nir` of janus-latchd while janusd looks."""
    pixels: Literal["auto", "mjpeg", "yuyv"] = "auto"
    """For V4L2: how the camera sends pictures. Larger ones than 640x480 need mjpeg on USB 2."""
    backlight: bool = True
    """Expose for the face, where the camera can, instead of for the sky behind it."""
    login: str = ""
    """For a stream: the name of the systemd credential that holds "user:password"."""
    width_px: Annotated[int, Meta(ge=160, le=4096)] = 1280
    """How wide a picture is asked of the camera, which may send another."""
    height_px: Annotated[int, Meta(ge=120, le=4096)] = 720
    """How high."""
    fps: Annotated[float, Meta(ge=1, le=120)] = 15.0
    """Pictures a second asked of the camera."""
    path: str = ""
    """For replay: a folder of images or a video file."""
    pace: Literal["real", "fast"] = "real"
    """For replay: pictures come as a camera would send them, or as fast as they are looked at."""
    follow: bool = False
    """For replay of a folder: wait for further images instead of ending."""
    insecure: bool = False
    """Whether a camera that a program plays is accepted too (v4l2loopback), to try things out."""


class LatchSection(_Section, frozen=True):
    """[latch]: what opens the door, and for how long."""

    driver: Literal["simulated", "gpiod", "latchd"] = "simulated"
    """`latchd` for a real lock (see latch.toml), `gpiod` for the workbench; `simulated` moves nothing."""
    chip: str = "/dev/gpiochip0"
    """For gpiod: without a process of its own the pulse ends with janusd, docs/adr/0004."""
    line: int | str = 17
    """For gpiod: an offset, or a line's name."""
    active_low: bool = False
    """For gpiod: whether a low level releases."""
    hold_s: Annotated[float, Meta(ge=0.2, le=30)] = 5.0
    """For how long an unlock releases the lock."""
    socket: str = "/run/janus-latch.sock"
    """For latchd: where janus-latchd listens; its own file latch.toml names the lines."""
    door: Annotated[str, Meta(min_length=1, max_length=32)] = "front"
    """For latchd: which of its doors this daemon watches."""
    timeline: str = ""
    """For simulated: a file that gets one JSON line each time the latch changes."""


class PromiseSection(_Section, frozen=True):
    """[promise]: one false unlock in so many years, with so many strangers' tries a day."""

    years: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """In so many years one stranger may be let in."""
    tries_a_day: Annotated[float, Meta(gt=0, le=10_000)] = 2.0
    """How often a stranger tries."""


class DecisionSection(_Section, frozen=True):
    """[decision]: how many frames must agree, and how failures are answered."""

    agree: Annotated[int, Meta(ge=2, le=20)] = 3
    """How many frames must name the same person."""
    window: Annotated[int, Meta(ge=2, le=60)] = 8
    """Among how many frames they must be."""
    window_s: Annotated[float, Meta(ge=0.2, le=10)] = 3.0
    """Within how many seconds they must be."""
    margin: Annotated[float, Meta(ge=0.02, le=0.5)] = 0.05
    """By how much their score must beat the second most similar person's."""
    failures: Annotated[int, Meta(ge=1, le=10)] = 5
    """After how many failed tries of a stranger the door waits."""
    lockout_s: Annotated[float, Meta(ge=10, le=3600)] = 30.0
    """For so long, and twice as long each time."""


class AttackSection(_Section, frozen=True):
    """[attack]: what a face must show besides being known; docs/adr/0016 says what each choice promises."""

    level: Literal["off", "passive", "live"] = "passive"
    """"passive" refuses what is found out; "live" asks everybody to show what no still picture can."""
    challenge: Literal["never", "doubt", "always"] = "never"
    """When turns of the head are asked for, through the indicator."""
    nir: bool = False
    """Whether the camera is a pair, and a face must be found and match in near infrared too."""
    insecure: bool = False
    """Must be true where level is "off"."""


class EnrolmentSection(_Section, frozen=True):
    """[enrolment]: how many samples make a template."""

    samples: Annotated[int, Meta(ge=1, le=20)] = 5
    """How many an enrolment asks for."""
    least: Annotated[int, Meta(ge=1, le=20)] = 3
    """With how many it may be finished."""


class IdleSection(_Section, frozen=True):
    """[idle]: when to look closely."""

    gate: bool = True
    """False looks at every frame, whatever `trigger` says."""
    trigger: Literal["always", "motion", "gpio", "both"] = "motion"
    """What wakes recognition: motion in the picture, a trigger input of janus-latchd, or either of both."""
    window_s: Annotated[float, Meta(ge=1, le=120)] = 10.0
    """For how long after an edge on a trigger input."""
    linger_s: Annotated[float, Meta(ge=0.5, le=60)] = 4.0
    """For how long after the last motion."""


class VaultSection(_Section, frozen=True):
    """[vault]: where people are kept and which key seals them."""

    directory: str = "/var/lib/janus"
    """A folder of the daemon's own, for the vault, its copies and the door log."""
    key: Literal["credential", "file"] = "credential"
    """A systemd credential, or while developing a file: that opens on a stolen card."""
    key_file: str = ""
    """For key = "file"; empty means the file `key` in the directory. A development choice: see doctor."""
    machine_id: str = "/etc/machine-id"
    """What says which device this is: the vault opens on no other."""
    anchor: str = ""
    """A file, best on another disk, that tells an older vault put back; empty means the file `vault` in a
    folder beside the directory, with "-anchor" after its name."""
    counter: Literal["none", "tpm2"] = "none"
    """What tells an anchor put back together with its vault: a counter in this board's TPM 2.0."""
    counter_device: str = "/dev/tpmrm0"
    """For counter = "tpm2": the kernel's device of it, or a socket of swtpm."""
    counter_index: Annotated[int, Meta(ge=0x0180_0000, le=0x01BF_FFFF)] = 0x0180_4A41
    """For counter = "tpm2": where in the TPM; janusctl setup --step keys makes it. Two vaults need two."""
    keep_crops: bool = False
    """Whether sealed pictures of the enrolled faces are kept, so that another encoder needs nobody to enrol
    anew. False destroys what is kept, at the next start. Ask the people first; docs/adr/0019."""
    binding: Literal["none", "rpi-otp", "command", "credential"] = "none"
    """Hardware whose answer is mixed into the key, so that the card opens nowhere else."""
    binding_command: tuple[str, ...] = ()
    """For binding = "command": a program and its arguments; it writes 64 hexadecimal digits."""


class LogSection(_Section, frozen=True):
    """[log]: what the door log keeps."""

    keep_days: Annotated[int, Meta(ge=7, le=3650)] = 365
    """Older entries are dropped; what is left stays verifiable."""
    snapshots: bool = False
    """Whether sealed pictures of whom the door refused are kept. Ask first who may be pictured there."""
    snapshot_days: Annotated[int, Meta(ge=1, le=90)] = 14
    """For so long."""


class RulesSection(_Section, frozen=True):
    """[rules]: what is asked of everybody at this door, and in which zone hours are read."""

    zone: str = ""
    """A time zone as "Europe/Berlin"; empty takes the system's."""
    two_people: bool = False
    """Whether two different people must be recognised before the door opens for either."""
    two_people_s: Annotated[float, Meta(ge=5, le=120)] = 30.0
    """Within which."""
    second_s: Annotated[float, Meta(ge=5, le=120)] = 30.0
    """Within which a second factor must come, for people who need one."""


class HolidaysSection(_Section, frozen=True):
    """[holidays]: days that are no weekday; hours that name `hol` are for them."""

    dates: tuple[str, ...] = ()
    """"2027-03-26" for one day, "12-25" for that of each year."""


class SignsSection(_Section, frozen=True):
    """[signs]: what a display at the door says."""

    language: Literal["", "en", "de", "fr", "es"] = ""
    """In which language; empty takes the system's."""


class DisputesSection(_Section, frozen=True):
    """[disputes]: what is kept of each unlock, for an owner who says: that was not me."""

    keep_unlocks: Annotated[int, Meta(ge=0, le=64)] = 0
    """How many unlocks' embeddings, sealed; 0 keeps none. docs/adr/0012 says why that is the default."""
    keep_days: Annotated[int, Meta(ge=1, le=30)] = 7
    """For how long."""


class ControlSection(_Section, frozen=True):
    """[control]: the socket of janusctl."""

    socket: str = "/run/janus/control"
    """Where janusd listens."""
    owners: tuple[int, ...] = ()
    """User ids that may enrol and forget, besides root and the daemon's own user."""
    group: str = ""
    """A group that owns the socket, and whose members are owners too, but for those named below."""
    operators: tuple[int, ...] = ()
    """User ids that may look, suspend people and switch face unlock on again, and nothing more."""
    residents: tuple[int, ...] = ()
    """User ids that may ask how the door is."""
    sensors: tuple[int, ...] = ()
    """User ids of programs that may give a second factor, a token reader perhaps."""
    observers: tuple[int | str, ...] = ()
    """Users, by number or name, that are told what the door does and may ask nothing: "janus-mqtt"."""
    observers_hear: tuple[Literal["names", "duress"], ...] = ()
    """What they are told besides codes: "names" of people, "duress" where somebody calls for help."""


class ModelSection(_Section, frozen=True):
    """[model]: which released models to run, and on what."""

    directory: str = ""
    """A signed bundle or model folder; empty: the installed bundle, else what came with this version."""
    runtime: Literal["auto", "ai-edge-litert", "tflite-runtime"] = "auto"
    """What runs TFLite files; auto takes ai-edge-litert where it is installed."""
    accelerator: Literal["auto", "cpu", "edgetpu", "gpu", "npu", "tensorrt"] = "auto"
    """auto: what `janusd --probe-accelerators` found best, before that the processor."""
    delegate: str = ""
    """A TFLite delegate library of another accelerator."""
    threads: Annotated[int, Meta(ge=0, le=8)] = 0
    """Of the processor; 0 takes what the board's profile says."""


class Config(_Section, frozen=True):
    """A whole janus.toml."""

    camera: CameraSection = CameraSection()
    latch: LatchSection = LatchSection()
    promise: PromiseSection = PromiseSection()
    decision: DecisionSection = DecisionSection()
    attack: AttackSection = AttackSection()
    enrolment: EnrolmentSection = EnrolmentSection()
    idle: IdleSection = IdleSection()
    vault: VaultSection = VaultSection()
    log: LogSection = LogSection()
    rules: RulesSection = RulesSection()
    holidays: HolidaysSection = HolidaysSection()
    signs: SignsSection = SignsSection()
    disputes: DisputesSection = DisputesSection()
    control: ControlSection = ControlSection()
    model: ModelSection = ModelSection()


def load(path: Path) -> Config:
    """Read a file. Raises ConfigError that lists every wrong field with its line and what is allowed."""
    return parse(sections.text_of(path, "write it, or name another with --config"), str(path))


def parse(text: str, name: str = "janus.toml") -> Config:
    """Read the text of a configuration; `name` stands for it in messages."""
    tables, problems = sections.tables(text, name, _SECTIONS)
    config = Config()
    if not problems:
        config = msgspec.convert(tables, Config)
        problems = _contradictions(config, text)
    sections.refuse(name, problems)
    return config


def insecure(config: msgspec.Struct) -> list[str]:
    """What a file switches off with a key named `insecure`: each is written to the door log at every start.

    There is no other way below the floors, and this one is not quiet.
    """
    return [
        f"[{section}] insecure = {json.dumps(msgspec.to_builtins(chosen))}"
        for section in config.__struct_fields__
        if (chosen := getattr(getattr(config, section), "insecure", False))
    ]


_SECTIONS: dict[str, type[_Section]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


def _contradictions(config: Config, text: str) -> list[str]:
    """Fields that are each allowed but do not go together."""
    problems = []
    decision, enrolment, promise = config.decision, config.enrolment, config.promise
    if decision.agree > decision.window:
        problems.append(
            where(text, "decision", "agree")
            + f"{decision.agree} frames cannot agree within a window of {decision.window}"
        )
    if config.attack.level == "off" and not config.attack.insecure:
        problems.append(
            where(text, "attack", "level")
            + '"off" lets any photograph in; if that is meant, write insecure = true beside it'
        )
    if enrolment.least > enrolment.samples:
        problems.append(
            where(text, "enrolment", "least")
            + f"{enrolment.least} is more than the {enrolment.samples} samples asked for"
        )
    fpir = 1.0 / (promise.years * 365.25 * promise.tries_a_day)
    if fpir > LARGEST_FPIR:
        problems.append(
            where(text, "promise", "years")
            + f"one false unlock in {1 / fpir:.0f} tries is too many; years * tries_a_day must be at least "
            + f"{1 / (LARGEST_FPIR * 365.25):.2f}"
        )
    if config.vault.anchor and Path(config.vault.anchor).is_relative_to(config.vault.directory):
        problems.append(
            where(text, "vault", "anchor")
            + "an anchor beside the vault would be put back with it; name a file outside vault.directory"
        )
    if config.vault.binding == "command" and not config.vault.binding_command:
        problems.append(
            where(text, "vault", "binding_command")
            + 'binding = "command" needs the program to ask, for example ["/usr/local/bin/janus-tee-key"]'
        )
    if config.idle.trigger in ("gpio", "both") and config.latch.driver != "latchd":
        problems.append(
            where(text, "idle", "trigger")
            + f'"{config.idle.trigger}" needs latch.driver = "latchd": its process holds the trigger inputs'
        )
    if config.idle.trigger == "gpio" and not config.idle.gate:
        problems.append(
            where(text, "idle", "gate") + 'false looks at every frame; remove it, or trigger = "gpio"'
        )
    control = config.control
    named = [*control.owners, *control.operators, *control.residents, *control.sensors, *control.observers]
    if twice := sorted({str(uid) for uid in named if named.count(uid) > 1}):
        problems.append(
            where(text, "control", "operators")
            + f"user {twice[0]} stands in two lists; a user is owner, operator, resident, sensor or observer"
        )
    try:
        Holidays.parse(config.holidays.dates)
    except ValueError as error:
        problems.append(where(text, "holidays", "dates") + str(error))
    try:
        zone_of(config.rules)
    except (LookupError, ValueError, OSError):
        problems.append(
            where(text, "rules", "zone")
            + f'no such time zone {config.rules.zone!r} on this system; write one as "Europe/Berlin"'
        )
    problems += _camera_contradictions(config.camera, text)
    problems += _pair_contradictions(config, text)
    return problems


def _camera_contradictions(camera: CameraSection, text: str) -> list[str]:
    problems = []
    if "@" in camera.device and "://" in camera.device:
        problems.append(
            where(text, "camera", "device")
            + "a login does not belong into this file; name a credential: camera.login"
        )
    if camera.driver == "replay" and not camera.path:
        problems.append(
            where(text, "camera", "path") + "a replay needs the path of an image folder or video file"
        )
    if camera.nir_device and camera.nir_device == camera.device:
        problems.append(where(text, "camera", "nir_device") + "must be another camera than camera.device")
    return problems


def _pair_contradictions(config: Config, text: str) -> list[str]:
    problems = []
    if config.attack.nir and not config.camera.nir_device:
        problems.append(
            where(text, "attack", "nir")
            + "needs a second camera, or every face is refused: name it in camera.nir_device"
        )
    if config.camera.nir_lamp == "latchd" and config.latch.driver != "latchd":
        problems.append(
            where(text, "camera", "nir_lamp")
            + '"latchd" needs latch.driver = "latchd": its process holds the lamp\'s line'
        )
    return problems


def zone_of(section: RulesSection) -> ZoneInfo | None:
    """The zone hours are read in; None for the system's. Raises LookupError, ValueError, OSError."""
    return ZoneInfo(section.zone) if section.zone else None
