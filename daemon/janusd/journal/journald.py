"""A copy of the door log in systemd's journal: stable codes, no names.

Each line carries JANUS_CODE, a MESSAGE_ID made of it, and number and tag of the entry in the door log, so
that a journal kept elsewhere (systemd-journal-upload) bears witness to it. Names and notes stay in the sealed
log: the journal lies in the clear on the card. docs/codes.md lists the codes.

Native protocol: NAME=value and a newline; a value with a newline goes as NAME, newline, length (u64
little-endian), value, newline. https://systemd.io/JOURNAL_NATIVE_PROTOCOL
"""

from __future__ import annotations

import os
import socket
import struct
import uuid
from collections.abc import Mapping
from pathlib import Path

from janusd.core.reason import Reason

SOCKET = Path("/run/systemd/journal/socket")

KINDS = {
    "started": "the door begins to watch",
    "stopped": "the door stopped in good order",
    "reloaded": "the configuration was read again",
    "enrolled": "somebody was enrolled",
    "forgot": "somebody was forgotten",
    "rules": "on what terms somebody may come in",
    "renamed": "somebody was given another name",
    "confirmed": "a local program gave its word for somebody",
    "re_embedded": "somebody's samples were made anew from their crops, for another encoder",
    "disputed": "an owner said that an unlock was not of whom it names",
    "vault": "an owner looked after the vault: its key, its copies, people in or out",
    "face_on": "failed tries were forgiven and face unlock switched on",
    "checkpoint": "a checkpoint of the log was given to an owner",
    "snapshot": "the picture of a refusal was shown to an owner",
    "pruned": "old entries of the log were dropped",
    "fault": "something is wrong with camera, lock or disk, or well again",
    "alarm": "somebody may have tampered with the door",
    "insecure": "the configuration switches a protection off, and says so",
    "duress": "somebody who was let in, or recognised, called for help: they may be forced",
    "decision": "a decision; the code ends with its reason",
}
"""What is written down, and what it means."""

_NAMESPACE = uuid.UUID("6d1f6f0e-5d0e-4b43-9d6c-9a4f0c1f7a11")
_ALERT, _WARNING, _NOTICE, _INFO = "1", "4", "5", "6"
_PRIORITIES = {
    "duress": _ALERT,
    "fault": _WARNING,
    "alarm": _WARNING,
    "insecure": _WARNING,
    "decision": _NOTICE,
}


def code(kind: str, reason: str = "") -> str:
    """The stable code of an entry: JANUS-DECISION-MATCHED. What is no known kind or reason is JANUS-OTHER."""
    if kind not in KINDS or (kind == "decision" and reason not in set(Reason)):
        return "JANUS-OTHER"
    words = (kind, reason) if kind == "decision" else (kind,)
    return "-".join(["JANUS", *words]).upper().replace("_", "-")


def message_id(of: str) -> str:
    """The 128-bit MESSAGE_ID of a code, for `journalctl MESSAGE_ID=`."""
    return uuid.uuid5(_NAMESPACE, of).hex


def codes() -> dict[str, str]:
    """Every code and what it means."""
    reasons = {code("decision", reason): reason.explanation for reason in Reason}
    kinds = {code(kind): meaning for kind, meaning in KINDS.items() if kind != "decision"}
    return {**kinds, **reasons, "JANUS-OTHER": "anything else"}


def encode(fields: Mapping[str, str]) -> bytes:
    """The fields as one datagram. No value can end its field or begin another."""
    parts = []
    for name, text in fields.items():
        value = text.encode("utf-8", "backslashreplace")
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)


def tell(kind: str, reason: str, number: int, tag: bytes, path: Path = SOCKET) -> bool:
    """Send a copy of an entry; whether systemd's journal took it. Never waits."""
    of = code(kind, reason)
    fields = {
        "MESSAGE": f"#{number} {of}: {codes()[of]}",
        "MESSAGE_ID": message_id(of),
        "PRIORITY": _PRIORITIES.get(kind, _INFO),
        "SYSLOG_IDENTIFIER": "janusd",
        "JANUS_CODE": of,
        "JANUS_NUMBER": str(number),
        "JANUS_TAG": tag.hex(),
    }
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(encode(fields), socket.MSG_DONTWAIT, str(path))
    except OSError:
        return False
    return True


def is_there() -> bool:
    """Whether this process's output goes to systemd's journal."""
    return "JOURNAL_STREAM" in os.environ
