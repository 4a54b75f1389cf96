"""Which camera a /dev/videoN is, as the kernel says: one ioctl, no library.

Numbers change with the order of plugging in; `identity` does not. It is what the camera calls itself and the
socket it sits in, for example "HD Webcam C525 @ usb-0000:01:00.0-1.2", so another camera in that socket, or
this one in another, is told.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from janusd.errors import CameraError

_QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability)
_CAPABILITY = struct.Struct("16s32s32sIII12x")  # driver, card, bus_info, version, capabilities, device_caps
_DEVICE_CAPS, _VIDEO_CAPTURE = 0x8000_0000, 0x1


def identity(device: str) -> str:
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
    return f"{_text(card)} @ {_text(bus)}"


def list_cameras(folder: Path = Path("/dev")) -> dict[str, str]:
    """Node -> identity of all cameras there are, in the order of their numbers."""
    found = {}
    for node in sorted(folder.glob("video*"), key=lambda node: (len(node.name), node.name)):
        try:
            found[str(node)] = identity(str(node))
        except OSError:  # CameraError is one: an encoder, metadata, or not ours to open
            continue
    return found


def _text(raw: bytes) -> str:
    return "".join(c if c.isprintable() else "?" for c in raw.partition(b"\0")[0].decode("utf-8", "replace"))
