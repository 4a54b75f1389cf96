"""The control server: lets in whom the kernel vouches for, a few at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from janusd.control import interface, listener
from janusd.control.desk import Desk
from janusd.control.pace import Pace
from janusd.control.peer import Access, Peer
from janusd.control.session import Limits, Session, encode
from janusd.control.wire import Wire
from janusd.door import Door
from janusd.errors import ControlError

_log = logging.getLogger("janusd.control")

_BACKLOG = 128
"""Connections the kernel keeps until they are let in or refused; beyond that connect(2) says EAGAIN."""

_DISPLACED_AFTER_S = 1.0
_MOST_OF_A_USER = 3
"""Connections of one user who is no owner: one program that went mad keeps the others talking."""
"""A connection that asked nothing for so long, and holds nothing, gives way when all places are taken."""

_CLOSE_TIMEOUT_S = 5.0
"""How long `close` waits for door calls that are under way."""


class ControlServer:
    """Serves a `Door` over Varlink at a Unix socket.

    With `listening` given (socket activation) that socket is served and no file is made or removed;
    otherwise one is made at `path`, for the daemon's user and the group `gid`.
    """

    def __init__(
        self,
        path: Path | str,
        door: Door,
        *,
        access: Access | None = None,
        gid: int | None = None,
        listening: socket.socket | None = None,
        max_connections: int = 8,
        max_message_bytes: int = 12 * 2**20,
        idle_s: float = 60.0,
        enrolment_idle_s: float = 600.0,
        whole_message_s: float = 10.0,
    ) -> None:
        self.access = access or Access()
        """Whom to let in. May be replaced at any time (SIGHUP); open connections feel it at once."""
        self._path = Path(path)
        self._door = door
        self._gid = gid
        self._listening = listening
        self._made: tuple[int, int] | None = None
        self._max_connections = max_connections
        self._limits = Limits(max_message_bytes, idle_s, enrolment_idle_s, whole_message_s)
        # One call a connection, and one to abandon an enrolment while such a call still waits for a face.
        self._threads = ThreadPoolExecutor(max_connections + 1, thread_name_prefix="control")
        self._sessions: dict[asyncio.Task[None], Session] = {}
        self._paces: dict[int, Pace] = {}
        """By user, so that another connection is no fresh start."""
        self._wires: set[Wire] = set()
        """Every connection the kernel has handed over, those about to be refused too."""
        self._is_closed = False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to serve. Raises ControlError when the socket cannot be made."""
        sock = self._listening
        if sock is None:
            sock = listener.listen(self._path, self._gid)
            self._made = listener.identity(self._path)
            listener.admit(self._path, self.access.uids)
        # From 3.13 on asyncio would remove the file of a socket that systemd owns, too.
        options: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._server = await asyncio.get_running_loop().create_unix_server(
            self._accept, sock=sock, backlog=_BACKLOG, **options
        )

    async def close(self) -> None:
        """End all connections, abandon what they had begun, and remove the socket file."""
        self._is_closed = True
        if self._server is not None:
            # Accept no more, and let what was accepted in this round become a wire in the next, before the
            # server is closed: asyncio would leave such a connection half made, and its socket open.
            for sock in self._server.sockets:
                asyncio.get_running_loop().remove_reader(sock)
            await asyncio.sleep(0)
            self._server.close()
            self._server = None
        if self._made is not None and listener.identity(self._path) == self._made:
            with contextlib.suppress(OSError):
                self._path.unlink()
        for wire in self._wires:
            wire.abort()
        if self._sessions:
            _, left = await asyncio.wait(self._sessions, timeout=_CLOSE_TIMEOUT_S)
            for session in left:
                _log.warning("a request did not end in %g s and is left behind", _CLOSE_TIMEOUT_S)
                session.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                while self._wires:
                    await next(iter(self._wires)).closed()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _accept(self) -> Wire:
        wire = Wire(self._connected, self._wires.discard)
        self._wires.add(wire)
        return wire

    def _connected(self, wire: Wire) -> None:
        """Let a connection in or not; nothing has been read from it."""
        if self._is_closed:  # it was accepted just before the door closed
            wire.abort()
            return
        try:
            peer = Peer.of(wire.socket)
        except ControlError as e:
            _log.error("%s", e)
            wire.abort()
            return
        if not self.access.roles(peer):
            _log.warning("uid %d (pid %d) may not use the control socket", peer.uid, peer.pid)
            wire.refuse(
                encode(
                    interface.NotAllowed(
                        verb="", uid=peer.uid, why="this user may not look after this door"
                    ).toreply()
                )
            )
            return
        of_theirs = sum(session.peer.uid == peer.uid for session in self._sessions.values())
        if of_theirs >= _MOST_OF_A_USER and not self.access.owns(peer):
            self._refuse(wire, peer, f"{of_theirs} programs of this user")
            return
        if len(self._sessions) >= self._max_connections and not self._displace(peer):
            self._refuse(wire, peer, f"{len(self._sessions)} programs")
            return
        desk = Desk(
            self._door,
            self._threads,
            self.access.shows_scores(peer),
            lambda: self.access.shows_duress(peer),
            lambda: self.access.hears(peer),
        )
        pace = self._paces.setdefault(peer.uid, Pace())
        session = Session(wire, peer, lambda: self.access, desk, self._limits, pace)
        task = asyncio.get_running_loop().create_task(session.serve())
        self._sessions[task] = session
        task.add_done_callback(self._ended)

    def _refuse(self, wire: Wire, peer: Peer, who: str) -> None:
        _log.warning("uid %d: refused, %s are talking to this door", peer.uid, who)
        wire.refuse(
            encode(
                interface.Failed(
                    kind="ControlError",
                    what=f"{who} are talking to this door already",
                    remedy="end one of them, a janusctl watch perhaps, and try again",
                ).toreply()
            )
        )

    def _displace(self, peer: Peer) -> bool:
        """Whether somebody made room: who only sits there, and for an owner whoever is none."""
        sessions = self._sessions.values()
        silent = [session for session in sessions if session.idle_s >= _DISPLACED_AFTER_S]
        others = [session for session in sessions if not self.access.owns(session.peer)]
        candidates = silent or (others if self.access.owns(peer) else [])
        if not candidates:
            return False
        max(candidates, key=lambda session: session.idle_s).drop()
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._sessions[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a connection ended badly", exc_info=error)
