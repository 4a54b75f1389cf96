"""A real control server on a real socket, in a thread, for blocking tests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from janusd.control import ControlServer
from janusd.door import Door


@contextmanager
def serving(path: Path, door: Door, **options: Any) -> Iterator[ControlServer]:
    """Serve the door at that path until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="control")
    thread.start()
    try:
        server = ControlServer(path, door, **options)
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Caller:
    """A bare peer: sends what it is told, whole or broken."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(path))  # blocking: with a timeout set, a full backlog would be an error at once
        self.sock.settimeout(10)
        self._buffer = b""

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def call(self, verb: str, **parameters: object) -> dict[str, Any]:
        """Ask once and give the whole reply."""
        self.ask(verb, **parameters)
        reply = self.reply()
        assert reply is not None, f"the connection was closed instead of an answer to {verb}"
        return reply

    def ask(self, verb: str, *, more: bool = False, **parameters: object) -> None:
        """Send a call without waiting."""
        method = verb if "." in verb else f"org.janusd.Door.{verb}"
        call: dict[str, object] = {"method": method, "parameters": parameters}
        self.send(json.dumps({**call, "more": True} if more else call).encode() + b"\0")

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.sock.sendall(data)

    def reply(self) -> dict[str, Any] | None:
        """The next reply, or None when the daemon closed the connection."""
        while b"\0" not in self._buffer:
            try:
                chunk = self.sock.recv(65536)
            except ConnectionError:
                chunk = b""
            if not chunk:
                return None
            self._buffer += chunk
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


def eventually(holds: Callable[[], object], within_s: float = 30.0) -> bool:
    """Whether it comes to hold in that time."""
    end_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.005)
    return True
