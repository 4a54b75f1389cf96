"""A thousand clients that want nothing: a program of its own, for which the door's process does not pay.

    idlers.py SOCKET COUNT

A line "on" makes them come, "off" makes them go; each is answered by how many connections there have been so
far. Half are silent, a quarter send half a message, a quarter ask for the status without end. Whoever is
turned away comes again a second later.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

_STATUS = b'{"method":"org.janusd.Door.GetStatus","parameters":{}}\0'


class Crowd:
    """All of them."""

    def __init__(self, path: str, count: int) -> None:
        self.path, self.count = path, count
        self.connections = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self) -> None:
        if self._tasks:
            return
        self._tasks = [asyncio.ensure_future(self._client(number)) for number in range(self.count)]
        before = self.connections
        for _ in range(100):  # until each has been there once, or ten seconds are over
            if self.connections - before >= self.count:
                return
            await asyncio.sleep(0.1)

    async def go(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _client(self, number: int) -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._visit(number)
            await asyncio.sleep(1.0)

    async def _visit(self, number: int) -> None:
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.connections += 1
        try:
            if number % 4 == 0:
                while True:
                    writer.write(_STATUS)
                    await reader.readuntil(b"\0")
            if number % 4 == 1:
                writer.write(_STATUS[:20])
            await reader.read()
        finally:
            writer.close()


async def serve(path: str, count: int) -> None:
    """Do as standard input says."""
    crowd = Crowd(path, count)
    asked = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    while line := (await asked.readline()).decode().strip():
        await (crowd.come() if line == "on" else crowd.go())
        print(crowd.connections, flush=True)
    await crowd.go()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
