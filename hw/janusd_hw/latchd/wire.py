"""What janus-latchd and its client say to each other: bytes only.

A Unix socket of type SOCK_SEQPACKET: one packet is one message, whole or not at all. Little-endian.

    to latchd    0  u8   version, 1           from latchd   0  u8   version, 1
                 1  u8   an `Ask`                           1  u8   a `Tell`
                 2  u16  number, 1 or more                  2  u16  number of the request it answers, or 0
                 4  u32  milliseconds (RELEASE,             4  u32  `Flag`s: the door as it is now
                         INDICATE), else 0                  8  u64  microseconds on CLOCK_BOOTTIME
                 8  text, at most 32 bytes: the door       16  text, at most 240 bytes: which trigger, why not
                    (HELLO), the reason (RELEASE),
                    the lamp (INDICATE)

A client says HELLO within a second and then something at least every `heartbeat_s`. Each request is answered
by one DOOR or REFUSED with its number; changes of the door and triggers are told with the number 0, a
trigger that lasts again and again.

Trust boundary: the kernel told which user the peer was when it connected; nothing else is believed. A packet
that is not exactly a request raises ValueError: latchd then ends what that peer released, and hangs up.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

VERSION = 1
ASK, TELL = struct.Struct("<BBHI"), struct.Struct("<BBHIQ")
ASK_BYTES, TELL_BYTES = ASK.size + 32, TELL.size + 240


class Ask(IntEnum):
    """What a client may ask. Every request is a heartbeat too."""

    HELLO = 1
    BEAT = 2
    RELEASE = 3
    LOCK = 4
    INDICATE = 5
    """Light a lamp or sound the buzzer for so long at most; one that the door does not have is nothing."""


class Tell(IntEnum):
    """What a client is told."""

    DOOR = 1
    REFUSED = 2
    TRIGGER = 3
    LASTS = 4
    """A trigger that was told is active still."""


class Flag(IntFlag):
    """A door at one moment."""

    RELEASED = 1
    OPEN = 2
    TAMPERED = 4
    FORCED = 8
    HELD_OPEN = 16
    FAULT = 32


def unpack_ask(packet: bytes) -> tuple[Ask, int, float, str]:
    """Give kind, number, seconds and text of a request. Raises ValueError on anything else."""
    if not ASK.size <= len(packet) <= ASK_BYTES:
        raise ValueError(f"a request of {len(packet)} bytes" if packet else "it hung up")
    version, kind, number, hold_ms = ASK.unpack_from(packet)
    ask, text = Ask(kind), packet[ASK.size :].decode("ascii")
    must, takes_time = ask in (Ask.HELLO, Ask.INDICATE), ask in (Ask.RELEASE, Ask.INDICATE)
    may = must or ask is Ask.RELEASE
    fits = text.isprintable() and must <= bool(text) <= may
    if version != VERSION or not number or (hold_ms > 0) is not takes_time or not fits:
        raise ValueError(f"version {version}, number {number}, {hold_ms} ms, {text!r} to {ask.name}")
    return ask, number, hold_ms / 1000, text


def pack_tell(tell: Tell, number: int, flags: Flag, at_s: float, text: str = "") -> bytes:
    """Make a message to a client; a text is cut where it is too long."""
    fitting = text.encode("ascii", "replace")[: TELL_BYTES - TELL.size]
    return TELL.pack(VERSION, tell, number, flags, round(at_s * 1e6)) + fitting
