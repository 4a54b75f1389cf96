"""What hardware there is: board, cameras, GPIO chips, accelerators. For `janusd --discover`.

Nothing is switched, requested or configured by looking, but for `pulse` and `LampLine`.

`root` is "/" on a device. Below another folder the same paths are looked at, and two kinds of folder
stand in for hardware there, so that everything above can be tried without any:

    ROOT/dev/video0/      a folder of pictures: a camera that shows them (`ReplayCamera`)
    ROOT/dev/gpiochip0/   a folder: a chip that remembers what its lines did (`fake_gpiod`)
"""

from __future__ import annotations

import ctypes.util
import fcntl
import importlib
import os
import pwd
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from janusd import programs
from janusd.errors import LatchError
from janusd_hw import boards, camera_picamera2, v4l2
from janusd_hw.boards import Board
from janusd_hw.latch_remote import RemoteLatch
from janusd_hw.latchd import settings as latch_settings
from janusd_hw.latchd.lines import HeldLine
from janusd_hw.nir_lamp import LAMP

_QUERYCAP = 0x80685600
"""VIDIOC_QUERYCAP, _IOR('V', 0, struct v4l2_capability of 104 bytes)."""
_CAPTURES, _HAS_DEVICE_CAPS = 0x00000001 | 0x00001000, 0x80000000
"""V4L2_CAP_VIDEO_CAPTURE, _MPLANE, and that device_caps says it for this very node."""
_NOT_A_CAMERA = ("bcm2835-isp", "bcm2835-codec", "rpi-hevc-dec", "rpivid", "pispbe", "unicam", "rp1-cfe")
"""Drivers of a Raspberry Pi whose nodes capture, but belong to libcamera or to a codec."""
_EDGE_TPU_USB = {("1a6e", "089a"), ("18d1", "9302")}
"""The stick before and after its firmware was loaded."""
_PULSE_READY_S = 15.0


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera, as janus.toml's [camera] would name it."""

    driver: str
    device: str
    name: str
    path: str = ""
    follow: bool = False
    identity: str = ""
    """By which the door is bound to it; empty where it has none."""


@dataclass(frozen=True, slots=True)
class FoundChip:
    """A GPIO chip."""

    path: str
    label: str
    lines: int
    trouble: str = ""
    """Why it cannot be used; empty when it can."""


@dataclass(frozen=True, slots=True)
class FoundAccelerator:
    """What networks can run on, as janus.toml's [model] would name it."""

    key: str
    name: str
    delegate: str
    threads: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Pin:
    """One pin of a header, and what is to be known before a wire goes there."""

    pin: int
    line: int | None
    """None: no line, but what `words` says."""
    words: str
    pull: str
    """"up", "down" or "unknown": what it is from power-on until something drives it."""
    forbidden: str
    recommended: str
    """For which role; or empty."""
    relay_high: tuple[str, ...]
    relay_low: tuple[str, ...]
    """What speaks against a relay here that pulls in on high, on low."""
    buzzer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundBoard:
    """A board, as the wizard draws it."""

    key: str
    name: str
    model: str
    """What its firmware calls it; empty where it says nothing."""
    chip: str
    dead_owner: str
    threads: int
    why_wiring: str
    pins: tuple[Pin, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything."""

    board: FoundBoard
    boards: tuple[str, ...]
    cameras: tuple[FoundCamera, ...]
    chips: tuple[FoundChip, ...]
    accelerators: tuple[FoundAccelerator, ...]


def look(root: Path = Path("/"), board: str = "") -> Found:
    """Find what there is; `board` names a profile instead of the one that the firmware's words choose."""
    model = root / "proc/device-tree/model"
    words = model.read_text(encoding="utf-8", errors="replace").strip("\0\n") if model.exists() else ""
    profile = boards.load(board) if board else boards.detect(words)
    return Found(
        board=describe(profile, words),
        boards=tuple(boards.names()),
        cameras=tuple(cameras(root)),
        chips=tuple(chips(root)),
        accelerators=tuple(accelerators(root, profile)),
    )


def describe(board: Board, model: str = "") -> FoundBoard:
    """A profile with all its pins."""
    recommended = {line: role for role, line in board.wiring.items()}
    pins = []
    for number in sorted({*board.pins, *board.power}):
        line = board.pins.get(number)
        if line is None:
            pins.append(Pin(number, None, board.power[number], "", "", "", (), (), ()))
            continue
        pins.append(
            Pin(
                pin=number,
                line=line,
                words=f"line {line}",
                pull=board.boot_pull(line),
                forbidden=board.forbidden.get(line, ""),
                recommended=recommended.get(line, ""),
                relay_high=tuple(board.concerns("relay", line)),
                relay_low=tuple(board.concerns("relay", line, active_low=True)),
                buzzer=tuple(board.concerns("buzzer", line)),
            )
        )
    return FoundBoard(
        board.key, board.name, model, board.chip, board.dead_owner, board.threads,
        board.sources["wiring"], tuple(pins),
    )  # fmt: skip


def cameras(root: Path = Path("/")) -> list[FoundCamera]:
    """The cameras, those of libcamera first: on a Raspberry Pi they are the ribbon cable's."""
    found = _ribbon_cameras() if root == Path("/") else []
    nodes = sorted((root / "dev").glob("video*"), key=lambda node: (len(node.name), node.name))
    for node in nodes:
        if node.is_dir():
            found.append(FoundCamera("replay", "", f"pictures in {node}", str(node), follow=True))
        elif (name := _captures(node)) and not v4l2.is_virtual(str(node), root / "sys"):
            found.append(FoundCamera("opencv", str(node), name, identity=_identity(node, root)))
    return found


def _identity(node: Path, root: Path) -> str:
    try:
        return v4l2.identity(str(node), root / "sys")
    except OSError:  # it captures, but in a way that only another driver takes
        return ""


def _ribbon_cameras() -> list[FoundCamera]:
    os.environ.setdefault("LIBCAMERA_LOG_LEVELS", "*:ERROR")  # it talks on standard error otherwise
    try:
        library = importlib.import_module("picamera2").Picamera2
        return [
            FoundCamera(
                "picamera2",
                str(number),  # the place in this list is what picamera2 takes, not libcamera's "Num"
                str(info.get("Model", "camera")),
                identity=f"{info.get('Model', '?')} @ {info.get('Id', '?')}",
            )
            for number, info in enumerate(library.global_camera_info())
            if "usb" not in str(info.get("Id", ""))  # libcamera lists USB cameras too; V4L2 does better there
        ]
    except (*camera_picamera2.MISSING, RuntimeError):
        return []


def _captures(node: Path) -> str:
    """The name of what that node captures from; empty where it is no camera."""
    try:
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        answer = bytearray(104)
        fcntl.ioctl(fd, _QUERYCAP, answer)
    except OSError:
        return ""
    finally:
        os.close(fd)
    return camera_name(bytes(answer))


def camera_name(capability: bytes) -> str:
    """The card's name in a struct v4l2_capability, where it is a camera's; else empty."""
    driver, card, _, _, caps, device_caps = struct.unpack_from("<16s32s32sIII", capability)
    able = device_caps if caps & _HAS_DEVICE_CAPS else caps
    named = driver.partition(b"\0")[0].decode("ascii", "replace")
    if not able & _CAPTURES or named.startswith(_NOT_A_CAMERA):
        return ""
    return str(card.partition(b"\0")[0].decode("utf-8", "replace")) or named


def chips(root: Path = Path("/")) -> list[FoundChip]:
    """The GPIO chips."""
    found = []
    for path in sorted((root / "dev").glob("gpiochip*"), key=lambda path: (len(path.name), path.name)):
        named = f"/dev/{path.name}"
        if path.is_dir():
            label = path / "label"
            found.append(FoundChip(named, label.read_text().strip() if label.exists() else "folder", 54))
            continue
        try:
            import gpiod  # noqa: PLC0415 - only where there is a chip

            with gpiod.Chip(str(path)) as chip:
                info = chip.get_info()
                found.append(FoundChip(named, info.label, info.num_lines))
        except (ImportError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            found.append(FoundChip(named, "", 0, f"cannot be opened: {reason}"))
    return found


def accelerators(root: Path, board: Board) -> list[FoundAccelerator]:
    """The processor, and what else is plugged in; with what is missing before it can be used."""
    found = [FoundAccelerator("cpu", "the processor", "", board.threads)]
    usb = root / "sys/bus/usb/devices"
    ids = {(_word(device / "idVendor"), _word(device / "idProduct")) for device in usb.glob("*")}
    plugged = "Edge TPU on USB" if ids & _EDGE_TPU_USB else ""
    plugged = "Edge TPU on PCIe" if (root / "dev/apex_0").exists() else plugged
    if plugged:
        library = ctypes.util.find_library("edgetpu")
        missing = "" if library else "libedgetpu is not installed: apt install libedgetpu1-std"
        found.append(FoundAccelerator("edgetpu", plugged, library or "libedgetpu.so.1", 1, missing))
    return found


def _word(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip().lower()
    except (OSError, UnicodeDecodeError):
        return ""


def pulse(latch_text: str, door: str, hold_s: float, root: Path = Path("/")) -> str:
    """Release that door's relay once and see it locked again; what went wrong, or "".

    A janus-latchd of its own does it, with the relay's line alone: it bounds the release by itself, and locks
    when this process dies. It is told by the kernel, and ends, when we do.
    """
    with tempfile.TemporaryDirectory(prefix="janus-pulse-") as folder:
        file, state, sock = (Path(folder) / name for name in ("latch.toml", "locked", "sock"))
        file.write_text(latch_text, encoding="utf-8")
        settings = latch_settings.load(str(file))
        file.write_text(_relay_alone(settings, door, hold_s, state, sock), encoding="utf-8")
        child = subprocess.Popen(  # noqa: S603 - this very program's sibling
            [*_latchd(root), str(file)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_end_with(os.getpid()),  # noqa: PLW1509 - one thread here
        )
        latch = RemoteLatch(str(sock), door, answer_s=5.0)
        try:
            _wait(
                lambda: latch.wait_until_ready(0.02) or _is_told(latch.fault) or child.poll() is not None,
                _PULSE_READY_S,
            )
            if child.poll() is not None:
                return (child.stderr.read() if child.stderr else "").strip() or "janus-latchd ended at once"
            if latch.fault:
                return latch.fault
            latch.release(hold_s, "setup")
            if not _wait(lambda: not latch.is_released, hold_s + 5.0):
                return "the relay was not locked again in time: cut its supply, and look at its wiring"
            return latch.fault
        except LatchError as error:
            return latch.fault or str(error)
        finally:
            latch.close()
            child.terminate()
            child.communicate()


class LampLine:
    """The infrared lamp of a latch.toml, held by us: for setup, while no janus-latchd holds it."""

    def __init__(self, latch_text: str, door: str, root: Path = Path("/")) -> None:
        """Nothing is requested yet. Raises ConfigError of a text that is no latch.toml."""
        with tempfile.TemporaryDirectory(prefix="janus-lamp-") as folder:
            file = Path(folder) / "latch.toml"
            file.write_text(latch_text, encoding="utf-8")
            doors = latch_settings.load(str(file)).doors
        line = next((one.lines[LAMP] for one in doors if one.name == door and LAMP in one.lines), None)
        self._held = None if line is None else HeldLine(door, LAMP, line, _gpiod(root))

    def put(self, *, is_lit: bool) -> str:
        """Light it or put it out; what went wrong, or ""."""
        if self._held is None:
            return "latch.toml names no led_nir for this door"
        self._held.put(is_lit)
        return self._held.fault

    def close(self) -> None:
        """Put it out and give the line back."""
        if self._held is not None and self._held.request is not None:
            self._held.put(level=False)
            self._held.request.release()
            self._held.request = None


def _gpiod(root: Path) -> Any:  # noqa: ANN401 - libgpiod's module, or what stands in for it
    folder = root / "dev/gpiochip0"
    if folder.is_dir():
        from janusd_hw.fake_gpiod import FakeChip, FakeGpiod  # noqa: PLC0415 - only where a folder stands in

        return FakeGpiod(FakeChip(folder, "falls"))
    return importlib.import_module("gpiod")


def _is_told(fault: str) -> bool:
    """Whether it is the relay's fault that latchd told, not that latchd is still starting."""
    return bool(fault) and "reached" not in fault


def _relay_alone(settings: latch_settings.Settings, door: str, hold_s: float, state: Path, sock: Path) -> str:
    """A latch.toml for one pulse of that door's relay, and nothing else that could be held or missing."""
    (its,) = (one for one in settings.doors if one.name == door)
    relay = its.lines["relay"]
    line = f'"{relay.line}"' if isinstance(relay.line, str) else relay.line
    return (
        f'user = "{pwd.getpwuid(os.geteuid()).pw_name}"\nsocket = "{sock}"\nstate = "{state}"\n'
        f'chip = "{relay.chip}"\n[door.{door}]\nlock = "{its.lock}"\nshutdown = "{its.shutdown}"\n'
        f"hold_max_s = {max(hold_s, 0.5)}\nrex_hold_s = 0.5\nheartbeat_s = 5\n"
        f'relay = {{ line = {line}, active_low = {str(relay.active_low).lower()}, bias = "{relay.bias}" }}\n'
    )


def _latchd(root: Path) -> list[str]:
    folder = root / "dev/gpiochip0"
    if folder.is_dir():
        return programs.command("janusd_hw.fake_gpiod", str(folder), "falls", "janus-latchd")
    return programs.command("janusd_hw.latchd.main")


def _end_with(parent: int) -> Callable[[], None]:
    """For a child: ask the kernel to end it when its parent ends, prctl(2) PR_SET_PDEATHSIG."""
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(1, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(0)

    return ask


def _wait(is_so: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True
