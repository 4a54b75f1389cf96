"""What janusd.service must let through for what was chosen, as a drop-in beside it; mostly nothing.

The unit has no network and opens cameras only: what an ordinary door needs. A camera at an address and an
accelerator that is plugged in need more, and are let have that much.
"""

from __future__ import annotations

import ipaddress
import urllib.parse
from typing import Any

_HEAD = (
    "# What the unit must let through for /etc/janus/janus.toml. Written by janusctl setup, anew each time.\n"
)


def drop_in(janus: dict[str, Any]) -> str:
    """The drop-in for a door with this janus.toml; empty where the unit is enough."""
    lines = [
        *_for_camera(janus.get("camera", {})),
        *_for_delegate(janus.get("model", {}).get("delegate", "")),
    ]
    return "\n".join((f"{_HEAD}[Service]", *lines, "")) if lines else ""


def camera_host(camera: dict[str, Any]) -> str:
    """The host of a camera at an address; empty for one of this device."""
    device = str(camera.get("device", ""))
    if camera.get("driver") != "opencv" or "://" not in device:
        return ""
    try:
        return urllib.parse.urlsplit(device).hostname or ""
    except ValueError:  # brackets that do not close
        return ""


def is_number(host: str) -> bool:
    """Whether that is an IP address, not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _for_camera(camera: dict[str, Any]) -> list[str]:
    host, login = camera_host(camera), str(camera.get("login", ""))
    if not is_number(host):
        return []  # a name would need a name server: `CameraStep.check` asks for the number
    return [
        "# The camera's address, and no other.",
        "PrivateNetwork=no",
        "RestrictAddressFamilies=AF_INET AF_INET6",
        f"IPAddressAllow={host}",
        *([f"LoadCredentialEncrypted={login}"] if login else []),
    ]


def _for_delegate(library: str) -> list[str]:
    if "edgetpu" not in library:
        return []
    return [
        "# The Edge TPU; on USB its library listens for devices. Nobody has tried this with a real one yet.",
        "DeviceAllow=char-apex rw",
        "DeviceAllow=char-usb_device rw",
        "RestrictAddressFamilies=AF_NETLINK",
    ]
