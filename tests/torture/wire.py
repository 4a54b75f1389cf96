"""Messages that no client would send: through the real wire and session in memory, and over a real socket.

Harm: a stumble (an error nobody foresaw), a session that does not end with its connection, more than 16 MiB
of memory that does not come back. A message counts once it was parsed; a broken one ends its connection, as
at the door, and the next begins another.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import random
import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest import mock

import cv2
import numpy as np

from janusd.control import session as sessions
from janusd.control.desk import Desk
from janusd.control.peer import VERBS, Access, Peer
from janusd.control.session import Limits, Session
from janusd.control.wire import Wire
from janusd.core.types import Image
from janusd.door import Feedback
from support.fake_door import FakeDoor
from support.serving import Caller, serving
from torture.row import Row, Tick

P = ParamSpec("P")
R = TypeVar("R")

MIB = 2**20
LARGEST_GROWTH = 16 * MIB
_PICTURE = base64.b64encode(cv2.imencode(".png", np.zeros((16, 16, 3), np.uint8))[1]).decode()
_PARAMETERS: dict[str, tuple[Any, ...]] = {
    "token": ("", "token-1", 7, None, "\0", "x" * 2000),
    "name": ("Ada", "", "eve\nUNLOCK root\x1b[2J\u202e", "\ud800", "n" * 5000, ["Ada"], 3.5, None),
    "hours": ("", "mon-fri 08:00-18:00", "mon 25:00", "🕐" * 300, 0),
    "image": (_PICTURE, "", "????", "/9j/" + "A" * 3000, {}),
    "since": ("", "today", "2026-11-22", "9" * 400, "2026-13-45T99:99"),
    "limit": (0, 5, 10_000, 10_001, -1, 2**63, 10**400, 1.5, True),
    "after": (0, -1, 2**64, "0"),
    "timeout_s": (0, 60, 61, -1, 1e308, "1"),
    "passphrase": ("", "short", "p" * 1025),
    "part": ("A" * 8192, "A" * 8193, "\n", 1),
    "signed_by": ("", "00" * 32, "xyz"),
    "to": ("00" * 32, "ff" * 32, ""),
    "accept_older": (True, "yes", 1),
    "extra": ([[[[]]]], {"a": {"b": {}}}),
}
_VERBS = [verb for verb in VERBS if verb not in ("Watch", "Observe", "Preview")]
_ENDLESS = [verb for verb in VERBS if verb in ("Watch", "Observe", "Preview")]
_OTHERS = (
    "org.varlink.service.GetInfo",
    "org.varlink.service.GetInterfaceDescription",
    "org.janusd.Door.getStatus",
    "org.janusd.Door.",
    ".",
    "org.janusd.Door.__init__",
    "x" * 300,
)


def hostile(chance: random.Random) -> bytes:
    """One message, without its NUL."""
    kind = chance.random()
    if kind < 0.03:
        return chance.choice(
            (b"", b"null", b"[]", b"{", b"[" * 5000, b'{"a":' * 2000, b"\xed\xa0\x80", b"\xff\xfe")
        )
    if kind < 0.05:
        return chance.randbytes(chance.randrange(1, 300)).replace(b"\0", b"\1")
    verb = chance.choice(_VERBS)
    method = f"org.janusd.Door.{verb}" if chance.random() < 0.93 else chance.choice(_OTHERS)
    if chance.random() < 0.0002 and _ENDLESS:
        method = f"org.janusd.Door.{chance.choice(_ENDLESS)}"
    names = chance.sample(list(_PARAMETERS), chance.randrange(4))
    call: dict[str, Any] = {"method": method, "parameters": {n: chance.choice(_PARAMETERS[n]) for n in names}}
    if chance.random() < 0.05:
        call[chance.choice(("more", "oneway", "upgrade", "x"))] = chance.choice((True, False, 1, "yes", None))
    message = json.dumps(call).encode()
    if kind < 0.12:
        return _bent(chance, message)
    return message


def _bent(chance: random.Random, message: bytes) -> bytes:
    """The same with bytes changed, left out, doubled, or with what JSON does not know."""
    altered = bytearray(message)
    at = chance.randrange(len(altered))
    match chance.randrange(6):
        case 0:
            altered[at] = chance.randrange(1, 256)
        case 1:
            del altered[at]
        case 2:
            altered[at:at] = altered[max(at - 20, 0) : at]
        case 3:
            del altered[at:]
        case 4:
            altered = altered.replace(b"{", chance.choice((b'{"method":"a",', b"{NaN:", b"[")), 1)
        case _:
            altered += b" " * chance.choice((100, 17_000))
    return bytes(altered)


class FuzzDoor(FakeDoor):
    """Answers at once, and remembers little."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = deque(maxlen=10)  # type: ignore[assignment]  # it would remember a million

    def add_live(self, token: str, timeout_s: float) -> Feedback:
        return self._feedback(token, "no_face")

    def add_image(self, token: str, image: Image) -> Feedback:
        return self._feedback(token, "too_dark")


class _DirectDesk(Desk):
    """Asks the door without a thread: that is what takes time, and is not what is tried."""

    async def ask(self, method: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return method(*args, **kwargs)


class _Transport(asyncio.Transport):
    """What asyncio would give a wire, over a peer that reads everything."""

    def __init__(self, wire: Wire, sock: socket.socket, heard: Callable[[bytes], None]) -> None:
        super().__init__()
        self._wire, self._sock, self._heard, self._closing = wire, sock, heard, False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._sock if name == "socket" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self._heard(bytes(data))

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._wire.connection_lost, None)

    abort = close


class _Ear:
    """Counts what was logged that must not be, and what was answered."""

    def __init__(self, row: Row) -> None:
        self.row = row

    def heard(self, reply: bytes) -> None:
        if b'"InternalError"' in reply:
            self.row.harm["stumbles"] += 1
        self.row.went["refused" if b'"error"' in reply[:9000] else "answered"] += 1


LIMITS = Limits(12 * MIB, idle_s=60.0, enrolment_idle_s=600.0, whole_message_s=10.0)


async def _converse(door: FuzzDoor, batch: list[bytes], sock: socket.socket, ear: _Ear) -> None:
    """One connection that sends a batch and hangs up."""
    wire = Wire(lambda _: None, lambda _: None)
    transport = _Transport(wire, sock, ear.heard)
    wire.connection_made(transport)
    access = Access()
    me = Peer(os.getpid(), os.geteuid(), frozenset())
    session = Session(wire, me, lambda: access, _DirectDesk(door, None, True), LIMITS)  # type: ignore[arg-type]
    serving_it = asyncio.ensure_future(session.serve())
    wire.data_received(b"\0".join(batch) + b"\0")
    wire.eof_received()
    done, _ = await asyncio.wait({serving_it}, timeout=0.2)
    if not done:  # it watches, and would for ever: now the peer is gone for good
        transport.close()
        done, _ = await asyncio.wait({serving_it}, timeout=10)
    if not done:
        ear.row.harm["hung"] += 1
        serving_it.cancel()
    elif serving_it.exception() is not None:
        ear.row.harm["came out"] += 1


def messages(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Through the real wire and session, in memory."""
    row, chance, door = Row("messages, in memory"), random.Random(seed), FuzzDoor()
    ear, parse, growth, pending = _Ear(row), sessions.parse_call, _Growth(), list[bytes]()

    def counting(message: bytes) -> Any:
        row.times += 1
        tick()
        try:
            return parse(message)
        except Exception:
            row.went["connection closed"] += 1
            raise

    async def converse() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            while row.times < times:
                while len(pending) < 32:
                    pending.append(hostile(chance))
                before = row.times
                await _converse(door, pending[:32], ours, ear)
                del pending[
                    : max(row.times - before, 1)
                ]  # what a broken one kept from being read comes again
                if row.times > times // 20:
                    growth.begin()

    with mock.patch.object(sessions, "parse_call", counting), _errors_counted(row):
        asyncio.run(converse())
    growth.tell(row)
    row.harm = +row.harm
    return [row]


def over_socket(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """To a real server on a real socket."""
    row, chance, growth = Row("messages, over a socket"), random.Random(seed), _Growth()
    ear, path = _Ear(row), folder / "control"
    with serving(path, FuzzDoor()), _errors_counted(row):
        while row.times < times:
            batch = [message for message in (hostile(chance) for _ in range(8)) if _ends(message)]
            with Caller(path) as caller:
                with suppress(ConnectionError):
                    caller.send(b"\0".join(batch) + b"\0")
                    caller.sock.shutdown(socket.SHUT_WR)
                while (reply := _answer(caller)) is not None:
                    ear.heard(json.dumps(reply).encode())
            row.times += len(batch)
            for _ in batch:
                tick()
            if row.times > times // 20:
                growth.begin()
        with Caller(path) as caller:
            row.harm["gone"] += "status" not in caller.call("GetStatus")["parameters"]
    growth.tell(row)
    row.harm = +row.harm
    return [row]


def _answer(caller: Caller) -> dict[str, Any] | None:
    try:
        return caller.reply()
    except TimeoutError:
        return None


def _ends(message: bytes) -> bool:
    return not any(verb.encode() in message for verb in _ENDLESS)


class _Growth:
    """How much this process has grown since the beginning was over."""

    def __init__(self) -> None:
        self._before = 0

    def begin(self) -> None:
        if not self._before:
            gc.collect()
            self._before = rss_bytes()

    def tell(self, row: Row) -> None:
        gc.collect()
        grown = rss_bytes() - (self._before or rss_bytes())
        row.note = f"memory grew by {grown / MIB:.1f} MiB"
        row.harm["memory"] += grown > LARGEST_GROWTH


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _errors_counted(logging.Handler):  # noqa: N801  # reads as a word where it is used
    """While in force, each log record of an error is a stumble."""

    def __init__(self, row: Row) -> None:
        super().__init__(logging.ERROR)
        self._row = row

    def emit(self, record: logging.LogRecord) -> None:
        self._row.harm["errors in the log"] += 1

    def __enter__(self) -> None:
        self._disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)
        logging.getLogger("janusd").addHandler(self)
        self._propagates, logging.getLogger("janusd").propagate = logging.getLogger("janusd").propagate, False

    def __exit__(self, *_: object) -> None:
        logging.getLogger("janusd").removeHandler(self)
        logging.getLogger("janusd").propagate = self._propagates
        logging.disable(self._disabled)
