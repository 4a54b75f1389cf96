"""A blocking Varlink client: NUL-framed JSON over a Unix socket, standard library only.

asyncvarlink has a client; importing it, and asyncio with it, takes longer than most calls.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from janusd import errors
from janusd.errors import ControlError, JanusError, NotAllowed, OwnerError

Reply: TypeAlias = dict[str, Any]
"""A decoded JSON object."""

_INTERFACE = "org.janusd.Door"
_CHUNK_BYTES = 64 * 1024
CALL_TIMEOUT_S = 30.0
"""Longer than a Pi takes to look at a large picture."""


class PictureRefused(OwnerError, ValueError):
    """The daemon cannot take that file as a picture."""


class Client:
    """One connection, opened at the first call. An enrolment lives as long as its connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sock: socket.socket | None = None
        self._buffer = bytearray()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up; the daemon abandons what was begun here."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def call(self, verb: str, *, reply_within_s: float = CALL_TIMEOUT_S, **parameters: object) -> Reply:
        """Ask once; the reply's parameters. Raises what the daemon raised, as its own class."""
        self._send(verb, parameters, more=False)
        return _unpack(self._receive(reply_within_s))

    def stream(
        self, verb: str, *, reply_within_s: float | None = None, **parameters: object
    ) -> Iterator[Reply]:
        """Ask for replies without end, each within that time where the daemon promises one."""
        self._send(verb, parameters, more=True)
        continues = True
        while continues:
            reply = self._receive(reply_within_s)
            continues = reply.get("continues") is True
            yield _unpack(reply)

    def _send(self, verb: str, parameters: dict[str, object], *, more: bool) -> None:
        if self._sock is None:
            self._sock = self._connect()
        call: dict[str, object] = {"method": f"{_INTERFACE}.{verb}", "parameters": parameters}
        if more:
            call["more"] = True
        self._sock.settimeout(CALL_TIMEOUT_S)
        try:
            self._sock.sendall(json.dumps(call).encode() + b"\0")
        except TimeoutError as e:
            raise ControlError("janusd does not listen", "look at its log: journalctl -u janusd") from e
        except OSError:
            return  # it hung up; what it said before that is still to be read

    def _receive(self, timeout_s: float | None) -> Reply:
        assert self._sock is not None
        self._sock.settimeout(timeout_s)
        scanned = 0
        while (end := self._buffer.find(0, scanned)) < 0:
            scanned = len(self._buffer)
            try:
                chunk = self._sock.recv(_CHUNK_BYTES)
            except TimeoutError as e:
                raise ControlError(
                    f"janusd did not answer in {timeout_s:g} s", "look at its log: journalctl -u janusd"
                ) from e
            except OSError:
                chunk = b""
            if not chunk:
                raise ControlError(
                    "janusd closed the connection", "look at its log (journalctl -u janusd), then try again"
                )
            self._buffer += chunk
        message = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        try:
            reply = json.loads(message)
        except ValueError as e:
            raise _no_varlink(self._path) from e
        if not isinstance(reply, dict) or not isinstance(reply.get("parameters", {}), dict):
            raise _no_varlink(self._path)
        return reply

    def _connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(CALL_TIMEOUT_S)
        try:
            sock.connect(str(self._path))
        except PermissionError as e:
            sock.close()
            raise NotAllowed(
                f"this user may not open {self._path}",
                "run janusctl with sudo, or join the group that owns the socket",
            ) from e
        except OSError as e:
            sock.close()
            raise ControlError(
                f"no janusd answers at {self._path} ({e.strerror or e})",
                "start it (systemctl start janusd), or name its socket with --socket",
            ) from e
        return sock


def _no_varlink(path: Path) -> ControlError:
    return ControlError(f"what listens at {path} is no janusd", "name janusd's socket with --socket")


def _unpack(reply: Reply) -> Reply:
    """The reply's parameters, or the error it carries, raised as the class it was."""
    parameters: Reply = reply.get("parameters", {})
    name = reply.get("error")
    if name is None:
        return parameters
    what, remedy = (str(parameters.get(field, "")) for field in ("what", "remedy"))
    match str(name).removeprefix(f"{_INTERFACE}."):
        case "NotAllowed":
            remedy = "run janusctl with sudo, or ask whoever set the door up"
            raise NotAllowed(str(parameters.get("why", "this user may not ask that")), remedy)
        case "InvalidImage":
            raise PictureRefused(what, remedy)
        case "Failed":
            kind = getattr(errors, str(parameters.get("kind")), None)
            if not (isinstance(kind, type) and issubclass(kind, JanusError)):
                kind = JanusError
            raise kind(what, remedy)
        case other:
            remedy = "use the janusctl that came with this janusd"
            raise ControlError(f"janusd does not understand this janusctl ({other} {parameters})", remedy)
