"""A camera exchanged for another, or played by a program (attacks 18 and 19): folders laid out as sysfs.

Not tested here: a real camera that is exchanged; the kernel's own vivid is, in test_camera_kernel.py.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd import config
from janusd.config import parse
from janusd.errors import CameraExchanged
from janusd.main import open_camera
from janusd_hw import discovery, v4l2
from janusd_hw.camera_opencv import OpenCvCamera
from janusd_hw.camera_watch import identity_finding
from janusd_hw.fakes import paint
from support.painted_door import QUICK, Rig, wait_until

PCIE = "platform/scb/fd500000.pcie/pci0000:00/0000:01:00.0"
REAL = {
    "on USB": f"{PCIE}/usb1/1-1/1-1.2/1-1.2:1.0",
    "on PCI": "pci0000:00/0000:00:02.0",
    "on the ribbon cable": "platform/axi/1000120000.pcie/1f00110000.csi",
}
PLAYED = {
    "v4l2loopback": "virtual",
    "vivid": "platform/vivid.0",
    "vimc": "platform/vimc.0",
    "USB/IP": "platform/vhci_hcd.0/usb3/3-1/3-1:1.0",
    "the kernel's own USB device": "platform/dummy_hcd.0/usb4/4-1/4-1:1.0",
}


class Board:
    """A /dev and a /sys with cameras in them."""

    def __init__(self, root: Path) -> None:
        self.dev, self.sys = root / "dev", root / "sys"
        self.dev.mkdir(parents=True)
        self.cards: dict[str, tuple[str, str]] = {}

    def plug(self, node: str, parent: str, card: str = "HD Webcam", bus: str = "usb-0000:01:00.0-1.2",
             make: str = "046d:0826", serial: str = "9D1A2B30") -> str:  # fmt: skip
        """Make a node, as the kernel does; its path."""
        self.unplug(node)
        behind = self.sys / "devices" / parent
        place = behind / "video4linux" / node
        place.mkdir(parents=True)
        if parent != "virtual":
            (place / "device").symlink_to(behind)
        if "usb" in parent:
            words = {"idVendor": make[:4], "idProduct": make[5:], "serial": serial}
            for name, word in words.items():
                (behind.parent / name).write_text(word + "\n")
        known = self.sys / "class" / "video4linux"
        known.mkdir(parents=True, exist_ok=True)
        (known / node).symlink_to(place)
        (self.dev / node).touch()
        self.cards[node] = (card, bus)
        return str(self.dev / node)

    def unplug(self, node: str) -> None:
        known = self.sys / "class" / "video4linux" / node
        if known.is_symlink():
            shutil.rmtree(known.resolve())
            known.unlink()
            (self.dev / node).unlink()

    def ioctl(self, fd: int, number: int, answer: bytearray) -> int:
        assert number == 0x80685600
        card, bus = self.cards[Path(f"/proc/self/fd/{fd}").readlink().name]
        both = 0x8000_0000 | 0x1
        packed = struct.pack("16s32s32sIII12x", b"uvcvideo", card.encode(), bus.encode(), 0x061200, both, 0x1)
        answer[:] = packed
        return 0


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="janus-") as folder:  # a path below /dev
        made = Board(Path(folder))
        monkeypatch.setattr(v4l2.fcntl, "ioctl", made.ioctl)
        monkeypatch.setattr(v4l2, "SYS", made.sys)
        monkeypatch.setattr(v4l2, "list_cameras", lambda listed=v4l2.list_cameras: listed(made.dev))
        yield made


class Capture:
    """A `cv2.VideoCapture` that always shows Ada."""

    def __init__(self, *_: object) -> None:
        self.number = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def set(self, *_: object) -> bool:
        return True

    def grab(self) -> bool:
        self.number += 1
        return True

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, cv2.cvtColor(paint("a", side=90, seed=self.number), cv2.COLOR_RGB2BGR)

    def release(self) -> None:
        pass


@pytest.mark.parametrize("parent", REAL.values(), ids=REAL)
def test_what_hangs_on_a_bus_of_this_board_is_a_camera(board: Board, parent: str) -> None:
    assert not v4l2.is_virtual(board.plug("video0", parent))


@pytest.mark.parametrize("parent", PLAYED.values(), ids=PLAYED)
def test_what_a_program_may_play_is_refused_by_its_place_whatever_it_calls_itself(
    board: Board, parent: str
) -> None:
    device = board.plug("video0", parent)
    with pytest.raises(CameraExchanged, match=r"no camera of this board.*insecure = true"):
        next(OpenCvCamera(device).frames())
    with pytest.raises(CameraExchanged):  # nor does the right name help it
        next(OpenCvCamera(device, identity=v4l2.identity(device)).frames())


def test_a_node_that_the_kernel_knows_nothing_of_is_refused(board: Board) -> None:
    (board.dev / "video7").touch()
    with pytest.raises(CameraExchanged, match="no camera of this board"):
        next(OpenCvCamera(str(board.dev / "video7")).frames())


def test_a_link_to_a_played_camera_is_seen_through(board: Board) -> None:
    (board.dev / "door").symlink_to(board.plug("video0", "virtual"))
    assert v4l2.is_virtual(str(board.dev / "door"))


def test_a_camera_is_known_by_name_socket_make_and_serial_number(board: Board) -> None:
    usb = REAL["on USB"]
    whole = "HD Webcam @ usb-0000:01:00.0-1.2, 046d:0826, serial 9D1A2B30"
    assert v4l2.identity(board.plug("video0", usb)) == whole
    assert v4l2.identity(board.plug("video0", usb, serial="\x1b[2J")).endswith("serial ?[2J")
    assert v4l2.identity(board.plug("video0", usb, make="")) == "HD Webcam @ usb-0000:01:00.0-1.2"
    assert v4l2.is_that(whole, whole)
    assert v4l2.is_that(whole, "HD Webcam @ usb-0000:01:00.0-1.2")  # written down before it had a number
    assert not v4l2.is_that(whole, "HD Webcam @ usb-0000:01:00.0-1")
    assert not v4l2.is_that("HD Webcam @ usb-0000:01:00.0-1.2", whole)


@pytest.mark.parametrize(
    "other",
    [{"serial": "00000000"}, {"make": "1bcf:2b8a"}, {"card": "Other"}, {"bus": "usb-0000:01:00.0-1.3"}],
    ids=["another of the same make", "another make", "another name", "another socket"],
)
def test_a_camera_that_was_exchanged_lets_nobody_in_and_is_an_alarm(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    device = board.plug("video0", REAL["on USB"])
    text = f'[camera]\ndriver = "opencv"\ndevice = "{device}"\nidentity = "{v4l2.identity(device)}"\n'
    settings = parse(QUICK + "[idle]\ngate = false\n" + text)
    house = Rig(tmp_path, settings)
    house.enrol("a", "Ada")
    house.door._watch._open_camera = lambda: open_camera(settings.camera)
    board.plug("video0", REAL["on USB"], **other)
    running = threading.Thread(target=house.door.run)
    running.start()
    try:
        wait_until(lambda: "there is another camera" in house.door.status().state)
        assert house.releases == []
        board.plug("video0", REAL["on USB"])
        wait_until(lambda: bool(house.releases))  # the right one again: Ada is let in
    finally:
        house.door.stop()
        running.join(10)
    alarms = [entry.note for entry in house.door.log("", 1000) if entry.kind == "alarm"]
    assert len(alarms) == 1
    assert "if you changed it on purpose, set camera.identity" in alarms[0]
    house.door.close()


def test_a_played_camera_lets_nobody_in_unless_the_file_says_insecure_which_is_logged(
    board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    device = board.plug("video0", "virtual")
    text = QUICK + f'[idle]\ngate = false\n[camera]\ndriver = "opencv"\ndevice = "{device}"\n'
    for settings in (parse(text), parse(text + "insecure = true\n")):
        house = Rig(tmp_path, settings)
        if not house.door.people():
            house.enrol("a", "Ada")
        house.door._watch._open_camera = lambda chosen=settings.camera: open_camera(chosen)
        running = threading.Thread(target=house.door.run)
        running.start()
        if settings.camera.insecure:
            wait_until(lambda house=house: bool(house.releases))
        else:
            wait_until(lambda house=house: "no camera of this board" in house.door.status().state)
            assert house.releases == []
        house.door.stop()
        running.join(10)
        kinds = [(entry.kind, entry.note) for entry in house.door.log("", 1000)]
        assert (("insecure", "[camera] insecure = true") in kinds) == settings.camera.insecure
        assert "alarm" in [kind for kind, _ in kinds]
        house.door.close()
    assert config.insecure(settings) == ["[camera] insecure = true"]


def test_setup_offers_cameras_of_this_board_alone_and_says_who_they_are(board: Board) -> None:
    root = board.dev.parent
    real, played = board.plug("video0", REAL["on USB"]), board.plug("video1", "virtual", card="Loopback")
    found = {camera.device: camera.identity for camera in discovery.cameras(root)}
    assert found == {real: v4l2.identity(real)}
    assert played not in found


def test_the_doctor_says_which_camera_sits_there(board: Board) -> None:
    found = v4l2.identity(board.plug("video0", REAL["on USB"]))
    assert identity_finding(found, found).verdict == "ok"
    assert identity_finding(found, found.partition(",")[0]).verdict == "ok"
    assert identity_finding(found, "another").verdict == "warn"
    assert "any other is accepted too" in identity_finding(found, "").detail
