"""A small MQTT 3.1.1 broker: takes, keeps and counts what a bridge says, and can be hostile.

Not a broker for anybody else: no sessions, no deliveries. Whoever subscribes is written down, for the one
program that is tested with it never may.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, PINGRESP, DISCONNECT = 1, 2, 3, 4, 8, 12, 13, 14
BAD_PASSWORD = 4


@dataclass(frozen=True)
class Said:
    """One message as it came."""

    topic: str
    payload: str
    retain: bool
    qos: int

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.payload))


@dataclass(frozen=True)
class Guest:
    """One connection as it began."""

    client_id: str
    is_clean: bool
    keepalive_s: int
    will: Said | None
    login: tuple[str, str] | None


@dataclass
class Broker:
    """Serves at a port of its own from `open` to `close`; after the next `open` with what it kept."""

    users: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    port: int = 0
    guests: list[Guest] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    retained: dict[str, Said] = field(default_factory=dict)
    subscribed: list[bytes] = field(default_factory=list)
    hostile: bytes = b""
    """Sent to each guest after it was let in."""
    is_deaf: bool = False
    """Whether it takes no message, though it lets guests in."""

    def __post_init__(self) -> None:
        self._open: set[socket.socket] = set()
        self._listening: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port), reuse_port=True)
        self.port = self._listening.getsockname()[1]
        self._start(self._accept, self._listening)

    def close(self) -> None:
        """Go without a word."""
        for sock in (self._listening, *tuple(self._open)):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def of(self, topic: str) -> list[Said]:
        """What was said there, oldest first."""
        return [said for said in tuple(self.said) if said.topic == topic]

    def kept(self, topic: str) -> str:
        """What is retained there."""
        return self.retained[topic].payload if topic in self.retained else ""

    def _start(self, run: Any, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        will: Said | None = None
        try:
            if self.tls is not None:
                self._open.discard(sock)
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._open.add(sock)
            for kind, flags, body in packets(sock):
                if kind == CONNECT:
                    guest = read_connect(body)
                    self.guests.append(guest)
                    is_known = not self.users or (
                        guest.login and self.users.get(guest.login[0]) == guest.login[1]
                    )
                    sock.sendall(bytes([CONNACK << 4, 2, 0, 0 if is_known else BAD_PASSWORD]))
                    if not is_known:
                        return
                    will = guest.will
                    sock.sendall(self.hostile)
                elif kind == PUBLISH and not self.is_deaf:
                    said, number = read_publish(flags, body)
                    self._take(said)
                    if number:
                        sock.sendall(struct.pack(">BBH", PUBACK << 4, 2, number))
                elif kind == PINGREQ:
                    sock.sendall(bytes([PINGRESP << 4, 0]))
                elif kind == SUBSCRIBE:
                    self.subscribed.append(body)
                elif kind == DISCONNECT:
                    will = None
        except OSError:
            pass
        finally:
            if will is not None:
                self._take(will)
            self._open.discard(sock)
            sock.close()

    def _take(self, said: Said) -> None:
        self.said.append(said)
        if said.retain:
            self.retained[said.topic] = said
            if not said.payload:
                del self.retained[said.topic]


def packets(sock: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Kind, flags and body of each packet, until the peer goes. MQTT 3.1.1, clause 2.2."""
    buffer = b""

    def take(count: int) -> bytes:
        nonlocal buffer
        while len(buffer) < count:
            chunk = sock.recv(65536)
            if not chunk:
                raise ConnectionError
            buffer += chunk
        taken, buffer = buffer[:count], buffer[count:]
        return taken

    while True:
        first = take(1)[0]
        length, shift = 0, 0
        while True:
            digit = take(1)[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        yield first >> 4, first & 0x0F, take(length)


def read_connect(body: bytes) -> Guest:
    """Clause 3.1."""
    protocol, rest = text(body)
    level, flags, keepalive_s = struct.unpack_from(">BBH", rest)
    assert (protocol, level) == ("MQTT", 4)
    client_id, rest = text(rest[4:])
    will = login = None
    if flags & 0x04:
        topic, rest = text(rest)
        payload, rest = text(rest)
        will = Said(topic, payload, bool(flags & 0x20), flags >> 3 & 3)
    if flags & 0x80:
        user, rest = text(rest)
        password, rest = text(rest)
        login = (user, password)
    return Guest(client_id, bool(flags & 0x02), keepalive_s, will, login)


def read_publish(flags: int, body: bytes) -> tuple[Said, int]:
    """Clause 3.3; with the number that asks for an acknowledgement, or 0."""
    topic, rest = text(body)
    qos, number = flags >> 1 & 3, 0
    if qos:
        (number,) = struct.unpack_from(">H", rest)
        rest = rest[2:]
    return Said(topic, rest.decode(), bool(flags & 1), qos), number


def text(data: bytes) -> tuple[str, bytes]:
    """A string with its length before it, and the rest."""
    (length,) = struct.unpack_from(">H", data)
    return data[2 : 2 + length].decode(), data[2 + length :]


def publish(topic: str, payload: bytes) -> bytes:
    """A message as a broker would deliver it."""
    body = struct.pack(">H", len(topic)) + topic.encode() + payload
    length, digits = len(body), b""
    while True:
        length, digit = divmod(length, 128)
        digits += bytes([digit | (0x80 if length else 0)])
        if not length:
            return bytes([PUBLISH << 4]) + digits + body
