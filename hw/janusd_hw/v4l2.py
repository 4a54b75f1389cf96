"""Which camera a /dev/videoN is, as the kernel says: one ioctl and sysfs, no library.

Numbers change with the order of plugging in; `identity` does not. It is what the camera calls itself, the
socket it sits in, and on USB its make and serial number, for example "HD Webcam C525 @ usb-0000:01:00.0-1.2,
046d:0826, serial 9D1A2B30", so another camera in that socket, or this one in another, is told.

A node may also be a program's: v4l2loopback, one of the kernel's own test drivers, a camera of another
machine (USB/IP). What hangs on no bus of this board is no camera for a door (`is_virtual`).

Trust boundary: the kernel is believed. A device made to lie says what it likes of its make and serial number;
the socket it cannot choose.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from janusd.errors import CameraError, CameraExchanged

SYS = Path("/sys")

_QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability)
_CAPABILITY = struct.Struct("16s32s32sIII12x")  # driver, card, bus_info, version, capabilities, device_caps
_DEVICE_CAPS, _VIDEO_CAPTURE = 0x8000_0000, 0x1
_SOFTWARE = ("vivid", "vimc", "vim2m", "vicodec", "visl", "vhci_hcd", "dummy_hcd")
"""Platform devices with nothing behind them: the kernel's test drivers, and USB that comes over a network."""


def identity(device: str, sys: Path | None = None) -> str:
    """Card and bus of what captures pictures at this node. Raises CameraError where nothing does, OSError."""
    fd = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        answer = bytearray(_CAPABILITY.size)
        try:
            fcntl.ioctl(fd, _QUERYCAP, answer)
        except OSError as e:
            raise CameraError(
                f"{device} is no V4L2 device ({e.strerror})", "see `v4l2-ctl --list-devices`"
            ) from e
    finally:
        os.close(fd)
    _, card, bus, _, capabilities, of_node = _CAPABILITY.unpack(answer)
    if not (of_node if capabilities & _DEVICE_CAPS else capabilities) & _VIDEO_CAPTURE:
        raise CameraError(f"{device} captures no pictures", "choose another: `v4l2-ctl --list-devices`")
    return ", ".join([f"{_text(card)} @ {_text(bus)}", *_usb(_place(device, sys or SYS))])


def is_that(found: str, wanted: str) -> bool:
    """Whether this is the camera that was meant; who wrote less down of it binds less."""
    return found == wanted or found.startswith(f"{wanted}, ")


def is_virtual(device: str, sys: Path | None = None) -> bool:
    """Whether no hardware of this board is behind the node, as far as the kernel tells."""
    sys = sys or SYS
    place = _place(device, sys)
    if place is None or not (place / "device").exists():
        return True
    parts = place.relative_to(sys.resolve()).parts
    return parts[:2] == ("devices", "virtual") or any(part.startswith(_SOFTWARE) for part in parts)


def refuse_virtual(device: str, sys: Path | None = None) -> None:
    """Raise CameraExchanged where a program may be behind the node."""
    if is_virtual(device, sys):
        raise CameraExchanged(
            f"at {device} is no camera of this board, but what a program makes of it",
            "plug one in and set camera.device; to try things out all the same: camera.insecure = true",
        )


def list_cameras(folder: Path = Path("/dev")) -> dict[str, str]:
    """Node -> identity of all cameras there are, in the order of their numbers."""
    found = {}
    for node in sorted(folder.glob("video*"), key=lambda node: (len(node.name), node.name)):
        try:
            found[str(node)] = identity(str(node))
        except OSError:  # CameraError is one: an encoder, metadata, or not ours to open
            continue
    return found


def _place(device: str, sys: Path) -> Path | None:
    """Where in the kernel's tree of devices the node is; None where the kernel knows of none."""
    node = sys / "class/video4linux" / Path(device).resolve().name
    return node.resolve() if node.exists() else None


def _usb(place: Path | None) -> list[str]:
    """Make and serial number of the USB device that the node is part of; nothing on another bus."""
    for folder in () if place is None else place.parents:
        vendor, product = _word(folder / "idVendor"), _word(folder / "idProduct")
        if vendor and product:
            serial = _word(folder / "serial")
            return [f"{vendor}:{product}", *([f"serial {serial}"] if serial else [])]
    return []


def _word(path: Path) -> str:
    try:
        return _text(path.read_bytes().strip())
    except OSError:
        return ""


def _text(raw: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in raw.partition(b"\0")[0].decode("utf-8", "replace"))
