"""`janusd --discover`: what this device has, and what a choice would mean, as JSON for `janusctl setup`.

    janusd --discover              everything that is found, once
    janusd --discover serve        answers requests, one JSON object a line, until standard input ends:

    {"ask": "look", "root": "/", "board": ""}                       -> board, cameras, chips, keys ...
    {"ask": "promise", "years": 1, "people": 4, "tries_a_day": 2}   -> threshold, and whom it would refuse
    {"ask": "picture", "camera": {...}, "width": 64, "height": 36}  -> a small picture, faces, light
    {"ask": "pair", "camera": {...}, "latch": TEXT, "door": "front",
     "width": 64, "height": 36}                                     -> one of each camera of a pair
    {"ask": "lamp"}                                                 -> what the lamp of that pair lights
    {"ask": "check", "janus": TEXT, "latch": TEXT}                  -> what is wrong with both files
    {"ask": "settings", "janus": TEXT, "latch": TEXT}               -> both without any free text, as lines
    {"ask": "pulse", "latch": TEXT, "door": "front", "hold_s": 1}   -> what went wrong with the relay, or ""
    {"ask": "close"}                                                the camera is let go

A reply is {"found": ...}, or {"what", "remedy"} where something cannot be. janusctl runs this as a process
of its own, so that it needs no driver, no numpy and no camera itself. Composition like `main`, which lends
it the camera's driver and the detector.

Trust boundary: whoever writes to our standard input started us; nothing is read from anywhere else.
"""

from __future__ import annotations

import binascii
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, TextIO, TypeAlias, get_origin

import cv2
import msgspec
import numpy as np

from janusd import config, models
from janusd.config import CameraSection, Config
from janusd.core import manifest
from janusd.core.gallery import comparisons
from janusd.core.types import Face, Frame, Image
from janusd.errors import ConfigError, JanusError
from janusd.ports import Camera, Detector, KeySource
from janusd.vault.keys import BoundKey, CredentialBinding, CredentialKey, FileKey, what_it_stops
from janusd_hw import discovery, nir_lamp
from janusd_hw.camera_pair import PairCamera
from janusd_hw.discovery import LampLine
from janusd_hw.latchd import settings as latch_settings

Request: TypeAlias = dict[str, Any]

_LUMA = np.array([0.299, 0.587, 0.114])
_MOST_PICTURES_S = 3.0
"""How far back the frame rate is measured."""
_FIRST_FRAMES = 8
"""Of a pair, not looked at: one camera starts before the other, and both still find their exposure."""
_LAMP_S = 0.4
"""For how long a lamp is lit, dark and lit again; the first half of it the exposure settles."""


@dataclass(frozen=True, slots=True)
class KeyChoice:
    """A source of the vault's key, and which thief it stops."""

    key: str
    source: str
    """vault.key of janus.toml."""
    binding: str
    """vault.binding."""
    name: str
    stops_card_thief: bool
    stops: str
    """In the words that `janusctl doctor` uses later."""
    trouble: str
    """Why it cannot be had here; empty when it can."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a promise asks of the model, and what it costs the residents."""

    threshold: float
    fmr: float
    """What one comparison may do at most for it."""
    tries: float
    """One false unlock in so many tries."""
    is_extrapolated: bool
    comparisons: int
    refused: float
    """Share of single comparisons of a person with themselves that would fall below the threshold."""
    genuine_comparisons: int
    is_at_least: bool
    """The share is beyond what the manifest tells: at least so large."""


class Surveyor:
    """Answers requests. It holds a camera open between pictures of the same one."""

    def __init__(
        self, open_camera: Callable[[CameraSection], Camera], open_detector: Callable[[], Detector]
    ) -> None:
        self._open_camera, self._open_detector = open_camera, open_detector
        self._detector: Detector | None = None
        self._camera: Camera | None = None
        self._frames: Iterator[Frame] = iter(())
        self._of: CameraSection | None = None
        self._shown_s: list[float] = []
        self._lamp: LampLine | None = None

    def answer(self, request: Request) -> object:  # noqa: PLR0911 - one for each thing asked
        """What was asked. Raises JanusError."""
        root = Path(str(request.get("root", "/")))
        match request.get("ask"):
            case "look":
                found = discovery.look(root, str(request.get("board", "")))
                return {
                    **asdict(found),
                    "keys": [asdict(choice) for choice in keys(root)],
                    "tpm": has_tpm(root),
                    "model": _model(),
                }
            case "promise":
                years, people, tries = (float(request[name]) for name in ("years", "people", "tries_a_day"))
                return asdict(meaning(years, people, tries, int(request.get("samples", 5))))
            case "picture":
                camera = msgspec.convert(request["camera"], CameraSection)
                return self.picture(camera, int(request["width"]), int(request["height"]))
            case "pair":
                camera = msgspec.convert(request["camera"], CameraSection)
                latch, door = str(request["latch"]), str(request["door"])
                lamp = LampLine(latch, door, root) if latch else None
                return self.pair(camera, int(request["width"]), int(request["height"]), lamp)
            case "lamp":
                return self.lamp()
            case "close":
                self.close()
                return {}
            case "check":
                return check(str(request["janus"]), str(request.get("latch", "")))
            case "settings":
                return {"lines": settings(str(request["janus"]), str(request.get("latch", "")))}
            case "pulse":
                trouble = discovery.pulse(
                    str(request["latch"]), str(request["door"]), float(request["hold_s"]), root
                )
                return {"trouble": trouble}
            case other:
                raise ConfigError(f"nobody knows what {other!r} asks", "use the janusctl of this janusd")

    def picture(self, section: CameraSection, width: int, height: int) -> dict[str, object]:
        """One picture, made small. Raises CameraError."""
        return self._small(self._frame(section).image, width, height)

    def pair(self, section: CameraSection, width: int, height: int, lamp: LampLine | None) -> object:
        """One picture of each camera of a pair, taken at the same moment, with its lamp lit where it has one.

        Raises CameraError where one gives no frame of the moment of the other's.
        """
        is_new = section != self._of
        if is_new:
            self.close()
            self._lamp = lamp
        trouble = "" if self._lamp is None else self._lamp.put(is_lit=True)
        frame = self._frame(section)
        for _ in range(_FIRST_FRAMES if is_new else 0):
            frame = self._frame(section)
        if frame.nir is None or not isinstance(self._camera, PairCamera):
            raise ConfigError("that is one camera, not a pair", "name a second one: camera.nir_device")
        offset_s = self._camera.seen.standing(frame.captured_s).offset_s or 0.0
        return {
            "colour": self._small(frame.image, width, height),
            "infrared": self._small(frame.nir, width, height),
            "skew_ms": round(1000 * abs(offset_s), 1),
            "lamp_trouble": trouble,
        }

    def lamp(self) -> object:
        """What the lamp of the pair that was looked through last lights: the infrared picture's mean level.

        Raises ConfigError where none is open or it has no lamp, CameraError where a camera fails.
        """
        pair, lamp = self._camera, self._lamp
        if lamp is None or not isinstance(pair, PairCamera):
            raise ConfigError("there is no lamp to try", "look through a pair with led_nir first")
        levels, trouble = [], ""
        for is_lit in (True, False, True):
            trouble = trouble or lamp.put(is_lit=is_lit)
            end_s = time.monotonic() + _LAMP_S
            last: list[float] = []
            while time.monotonic() < end_s:
                frame = next(self._frames, None)
                if frame is None or frame.nir is None:
                    break
                if time.monotonic() > end_s - _LAMP_S / 2:
                    last.append(float(frame.nir[::8, ::8, 1].mean()))
            levels.append(fmean(last) if last else 0.0)
        lit, dark, _ = levels
        shines = not trouble and nir_lamp.makes_light(lit, dark)
        return {"lit": round(lit, 1), "dark": round(dark, 1), "shines": shines, "trouble": trouble}

    def _frame(self, section: CameraSection) -> Frame:
        """The next frame of that camera, or that pair. Raises CameraError."""
        if section != self._of:
            self._open(section)
            self._shown_s = []
        frame = next(self._frames, None)
        if frame is None:  # a replay that ended: from its start
            self._open(section)
            frame = next(self._frames)
        self._shown_s = [s for s in self._shown_s if time.monotonic() - s < _MOST_PICTURES_S]
        self._shown_s.append(time.monotonic())
        return frame

    def _open(self, section: CameraSection) -> None:
        self._let_go()
        self._camera = self._open_camera(section)
        self._frames, self._of = self._camera.frames(), section

    def _small(self, image: Image, width: int, height: int) -> dict[str, object]:
        rows, columns = image.shape[:2]
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        if self._detector is None:
            self._detector = self._open_detector()
        return {
            "width_px": columns,
            "height_px": rows,
            "brightness": round(float(np.mean(small @ _LUMA)), 1),
            "faces": [_where(face, image) for face in self._detector.detect(image)],
            "width": width,
            "height": height,
            "rgb": binascii.b2a_base64(np.ascontiguousarray(small).tobytes(), newline=False).decode("ascii"),
        }

    def close(self) -> None:
        """Let go of the camera, and of a lamp."""
        self._let_go()
        if self._lamp is not None:
            self._lamp.close()
        self._lamp = None

    def _let_go(self) -> None:
        if self._camera is not None:
            self._camera.close()
            close = getattr(self._frames, "close", None)
            if close is not None:
                close()
        self._camera, self._of = None, None


def _where(face: Face, image: Image) -> dict[str, float]:
    """A face's box as parts of the picture's width and height, and its size."""
    rows, columns = image.shape[:2]
    box = face.box_px
    return {
        "x": round(box.x / columns, 4), "y": round(box.y / rows, 4),
        "width": round(box.width / columns, 4), "height": round(box.height / rows, 4),
        "width_px": round(box.width),
    }  # fmt: skip


def keys(root: Path = Path("/")) -> list[KeyChoice]:
    """Where the vault's key can come from, the best that is possible first."""
    credential, file = CredentialKey(None), FileKey(Path("key"))
    no_systemd = ""
    if not (root / "run/systemd/system").exists() or shutil.which("systemd-creds") is None:
        no_systemd = "no systemd with systemd-creds runs here"
    no_otp = "rpi-fw-crypto is not installed, or this is no Raspberry Pi"
    if (root / "dev/vcio").exists() and (
        root / "usr/bin/rpi-fw-crypto"
    ).exists():  # as in janus-binding.service
        no_otp = ""
    choices: list[tuple[str, str, str, str, KeySource, str]] = [
        ("board", "credential", "credential", "A systemd credential, bound to this board's own key",
         BoundKey(credential, CredentialBinding(None)), no_otp or no_systemd),
        ("tpm", "credential", "none", "A systemd credential, sealed by this device's TPM",
         credential, no_systemd or ("" if has_tpm(root) else "there is no TPM (/dev/tpmrm0)")),
        ("credential", "credential", "none", "A systemd credential, sealed by a key on this disk",
         credential, no_systemd),
        ("file", "file", "none", "A file beside the vault: for trying it out", file, ""),
    ]  # fmt: skip
    return [
        KeyChoice(
            key,
            source,
            binding,
            name,
            what_it_stops(made)[0] or key == "tpm",
            what_it_stops(made)[1],
            trouble,
        )
        for key, source, binding, name, made, trouble in choices
    ]


def has_tpm(root: Path = Path("/")) -> bool:
    """Whether the kernel drives a TPM 2.0 here."""
    return (root / "dev/tpmrm0").exists()


def _model() -> dict[str, str]:
    """The model that this door would run; what is wrong with it, where that is so."""
    try:
        released = models.for_door()
    except JanusError as error:
        return {"name": "", "trouble": str(error)}
    encoder = released.manifest.encoder
    return {"name": f"{encoder.name} version {encoder.version}", "trouble": ""}


def meaning(years: float, people: float, tries_a_day: float, samples: int = 5) -> Meaning:
    """What that promise means for a gallery of so many people. Raises ModelError."""
    calibration = models.for_door().manifest.encoder.calibration
    promise = manifest.Promise(years, tries_a_day)
    fmr = manifest.fmr_for_gallery(promise.fpir, max(1, round(people)) * comparisons(samples))
    point = manifest.promised_point(calibration, fmr)
    below = sorted((float(share), score) for share, score in calibration.genuine_quantiles.items())
    refused, is_at_least = 0.0, not below
    if below:
        shares, scores = [share for share, _ in below], [score for _, score in below]
        refused = float(np.interp(point.threshold, scores, shares))
        is_at_least = point.threshold > scores[-1]
    return Meaning(
        threshold=point.threshold,
        fmr=fmr,
        tries=1.0 / promise.fpir,
        is_extrapolated=point.is_extrapolated,
        comparisons=calibration.impostor_comparisons,
        refused=refused,
        genuine_comparisons=calibration.genuine_comparisons,
        is_at_least=is_at_least,
    )


def check(janus: str, latch: str) -> dict[str, object]:
    """What is wrong with a janus.toml and the latch.toml beside it; and what they say, where nothing is."""
    problems: list[str] = []
    janus_is = Config()
    doors: tuple[latch_settings.Door, ...] = ()
    try:
        janus_is = config.parse(janus, "janus.toml")
    except ConfigError as error:
        problems += error.what.splitlines()
    if latch:
        with tempfile.TemporaryDirectory(prefix="janus-check-") as folder:
            path = Path(folder) / "latch.toml"
            path.write_text(latch, encoding="utf-8")
            try:
                doors = latch_settings.load(str(path)).doors
            except ConfigError as error:
                problems += [line.replace(f"{folder}/", "") for line in error.what.splitlines()]
    if not problems and janus_is.latch.driver == "latchd":
        wanted = [door for door in doors if door.name == janus_is.latch.door]
        if wanted and janus_is.camera.nir_lamp == "latchd" and nir_lamp.LAMP not in wanted[0].lines:
            problems.append(
                f"janus.toml: camera.nir_lamp: {wanted[0].name!r} of latch.toml has no {nir_lamp.LAMP}"
            )
        if not wanted:
            problems.append(f"janus.toml: latch.door: there is no door {janus_is.latch.door!r} in latch.toml")
        elif wanted[0].hold_max_s < janus_is.latch.hold_s:
            problems.append(
                f"janus.toml: latch.hold_s: {janus_is.latch.hold_s:g} s is longer than latch.toml allows "
                f"(hold_max_s = {wanted[0].hold_max_s:g})"
            )
    return {"problems": problems}


_KNOWN_DEVICE = re.compile(r"/dev/(video|gpiochip|tpmrm)\d{1,3}")
_KNOWN_LATCH = re.compile(
    r"GPIO\d{1,3}|/dev/gpiochip\d{1,3}|label:pinctrl-[a-z0-9]+|as-is|pull-up|pull-down|disabled"
    r"|fail-secure|fail-safe|locked|released|off"
)


def settings(janus: str, latch: str) -> list[str]:
    """Both files without anything that somebody typed freely: numbers, switches, choices, and what is wrong.

    By the fields' types, so that a key that is new tomorrow is shown only where it can hold no secret.
    """
    found = check(janus, latch)["problems"]
    # What is wrong is said with the value that was written: that may be anything.
    lines = [re.sub(r", not .*|'[^']*'|\"[^\"]*\"", " (not shown)", one) for one in _texts(found)]
    try:
        read = config.parse(janus, "janus.toml")
    except ConfigError:
        return lines
    for section in read.__struct_fields__:
        table, said = getattr(read, section), []
        for field in msgspec.structs.fields(table):
            value = getattr(table, field.name)
            if value != field.default:
                said.append(f"{field.name} = {_shareable(value, field.type)}")
        if said:
            lines.append(f"[{section}] {', '.join(said)}")
    try:
        tables = tomllib.loads(latch)
    except tomllib.TOMLDecodeError:
        return lines
    return [
        *lines,
        *(
            f"latch: {key if key in _LATCH_KEYS else '(a name)'} = {_known(value)}"
            for key, value in tables.items()
        ),
    ]


def _texts(given: object) -> list[str]:
    return [str(one) for one in given] if isinstance(given, list) else []


def _shareable(value: object, kind: object) -> str:
    if isinstance(value, bool | int | float) or get_origin(kind) is Literal:
        return json.dumps(value)
    if isinstance(value, str) and _KNOWN_DEVICE.fullmatch(value):
        return json.dumps(value)
    return f"({len(value)} set)" if isinstance(value, tuple) else "(set)"


def _known(value: object) -> str:
    """A value of latch.toml: tables with their keys, but for names that somebody gave."""
    if isinstance(value, dict):
        inner = ", ".join(
            f"{key if key in _LATCH_KEYS else f'({number})'} = {_known(one)}"
            for number, (key, one) in enumerate(value.items(), start=1)
        )
        return f"{{ {inner} }}"
    if isinstance(value, bool | int | float) or (isinstance(value, str) and _KNOWN_LATCH.fullmatch(value)):
        return json.dumps(value)
    return "(set)"


_LATCH_KEYS = frozenset(
    {
        field.name
        for kind in (latch_settings.Settings, latch_settings.Door, latch_settings.Line)
        for field in dataclasses.fields(kind)
    }
    | {*latch_settings.ROLES, "triggers", "door", "chip"}
)


def run(how: str, surveyor: Surveyor, requests: TextIO = sys.stdin, replies: TextIO = sys.stdout) -> int:
    """Print what is found, or answer until the requests end; the exit status."""
    # What a library prints would spoil the JSON: standard output is ours alone, theirs goes to
    # standard error.
    out = os.fdopen(os.dup(replies.fileno()), "w", encoding="ascii")
    os.dup2(2, replies.fileno())
    with out:
        if how == "print":
            print(json.dumps(surveyor.answer({"ask": "look"}), indent=2), file=out)
            return 0
        for line in requests:
            print(json.dumps(_reply(surveyor, line)), file=out, flush=True)
    surveyor.close()
    return 0


def _reply(surveyor: Surveyor, line: str) -> dict[str, object]:
    try:
        return {"found": surveyor.answer(json.loads(line))}
    except JanusError as error:
        surveyor.close()
        return {"what": error.what, "remedy": error.remedy}
    except (KeyError, TypeError, ValueError) as error:  # ValueError: also msgspec's and json's
        return {"what": f"the request cannot be read: {error!r}", "remedy": "use the janusctl of this janusd"}
