"""NUL-framed messages over one connected stream socket, bounded in size and in time.

asyncvarlink brings a transport too. It is not used here because it buffers without a limit, in time that
grows with the square of the message (an 11 MiB call took it 14 s on a machine where this took 1 s), and
accepts file descriptors that nobody here wants.
"""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable
from typing import cast

from janusd.errors import ControlError

READ_AHEAD_BYTES = 64 * 1024
"""How much may wait unread while a request is being answered; then reading pauses."""

SEND_TIMEOUT_S = 10.0
"""A peer that takes no reply for that long is gone as far as we care."""


class Wire(asyncio.Protocol):
    """One connection's bytes. Handed to asyncio as the protocol.

    `connected` is called once it is open, `lost` once it is closed for good.
    """

    def __init__(self, connected: Callable[[Wire], None], lost: Callable[[Wire], None]) -> None:
        self._connected = connected
        self._on_lost = lost
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._scanned = 0
        """How much of the buffer is known to hold no NUL."""
        self._wanted_bytes = READ_AHEAD_BYTES
        self._at_end = False
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.gone = asyncio.Event()
        """Set once the peer has closed its end, or died."""
        self._lost = asyncio.Event()

    @property
    def socket(self) -> socket.socket:
        """The socket itself, to ask the kernel about the peer."""
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    async def receive(
        self, limit_bytes: Callable[[], int], idle_s: Callable[[], float], whole_s: float
    ) -> bytes | None:
        """The next message without its NUL, or None when there will be no more.

        The first byte must come within `idle_s()`, the NUL `whole_s` later; else TimeoutError. A message
        longer than `limit_bytes()` raises ControlError.
        """
        self._resume(limit_bytes())
        try:
            async with asyncio.timeout(None if self._buffer else idle_s()):
                while not self._buffer and not self._at_end:
                    await self._next_news()
            async with asyncio.timeout(whole_s):
                while (end := self._buffer.find(0, self._scanned)) < 0:
                    self._scanned = len(self._buffer)
                    if self._scanned > limit_bytes():
                        raise ControlError(f"a message longer than {limit_bytes()} bytes")
                    if self._at_end:
                        return None
                    self._resume(limit_bytes())
                    await self._next_news()
        finally:
            self._wanted_bytes = READ_AHEAD_BYTES
        if end > limit_bytes():
            raise ControlError(f"a message longer than {limit_bytes()} bytes")
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return message

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the peer reads slowly, TimeoutError when it does not at all."""
        self.post(message)
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await self._writable.wait()

    def post(self, message: bytes) -> None:
        """Send one message without waiting; a closed connection swallows it."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(message + b"\0")

    async def closed(self) -> None:
        """Wait until nothing more can be sent or read."""
        await self._lost.wait()

    async def finish(self) -> None:
        """Close once what was posted has left, or when the peer does not take it in time."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._lost.wait()
        except TimeoutError:
            self._transport.abort()
            await self._lost.wait()

    def refuse(self, message: bytes) -> None:
        """Say why, and close, before anything is read."""
        self.post(message)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _resume(self, wanted_bytes: int) -> None:
        self._wanted_bytes = max(wanted_bytes, READ_AHEAD_BYTES)
        if self._transport is not None and not self._at_end and not self._transport.is_closing():
            self._transport.resume_reading()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the connection is open; nothing has been read yet."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=READ_AHEAD_BYTES)
        self._connected(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: some bytes came."""
        self._buffer += data
        if len(self._buffer) > self._wanted_bytes and self._transport is not None:
            self._transport.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Asyncio: the peer sends no more. It may still read (`nc -N`), unless it closed its end whole."""
        self._at_end = True
        self._news.set()
        poll = select.poll()
        poll.register(self.socket.fileno(), select.POLLHUP)
        if poll.poll(0):
            self.gone.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: nothing more can be sent or read."""
        self._at_end = True
        self._lost.set()
        self.gone.set()
        self._news.set()
        self._writable.set()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """Asyncio: the peer reads more slowly than we send."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Asyncio: the peer has caught up."""
        self._writable.set()
