"""The loop of janus-latchd: lines and clients in, levels and messages out, one thread, one poll.

Every decision is `machine`'s; every byte of a client is read by `wire`. Whatever goes wrong with a line or a
client is told and tried again, never the end of the process: the exit button must go on.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
from collections.abc import Set
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import compress

from janusd_hw.clock import boottime_s
from janusd_hw.latchd import machine
from janusd_hw.latchd.lines import Gpiod, HeldLine
from janusd_hw.latchd.settings import OUTPUTS, Settings
from janusd_hw.latchd.wire import ASK_BYTES, Ask, Flag, Tell, pack_tell, unpack_ask

LOOK_S = 0.5
"""How often all lines are written and read anew, missing ones tried again, and systemd hears of us."""
RETRY_S = 0.01
"""How soon a relay that did not do as told is told again."""
HELLO_S = 1.0
MOST_CLIENTS = 8


@dataclass(slots=True, eq=False)
class _Client:
    sock: socket.socket
    since_s: float
    door: int = -1
    """Which door it said hello for."""
    shows_until_s: dict[str, float] = field(default_factory=dict)
    """Until when it wants which lamp of its door lit."""


class Latchd:
    """The doors of one configuration."""

    def __init__(self, settings: Settings, listener: socket.socket, uids: Set[int], gpiod: Gpiod) -> None:
        """Take the lines: all locks that can be had are locked now."""
        self._settings, self._rules, self._listener, self._uids = settings, settings.doors, listener, uids
        doors = enumerate(settings.doors)
        lines = [HeldLine(at, *line, gpiod) for at, rules in doors for line in rules.lines.items()]
        self._relays = [line for line in lines if line.is_relay]
        self._inputs = [line for line in lines if line.is_input]
        self._lamps = [line for line in lines if not line.is_input and not line.is_relay]
        self._clients: dict[int, _Client] = {}
        self._stopping, self._resting = False, ""
        self._look_s = now_s = boottime_s()
        self._doors = [machine.Door(locked_s=now_s) for _ in settings.doors]
        self._told = [""] * len(self._doors)
        self._turn()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then leave every line at its shutdown level."""
        signals, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        notify("READY=1")
        while not self._stopping:
            self._wait(signals)
            self._turn()
        notify("STOPPING=1")
        for line in self._relays + self._lamps:
            line.put(line.is_relay and self._rules[line.at].rests_energised, anew=True)
            line.let_go()

    def stop(self, *_: object) -> None:
        """End `run`; also a signal handler."""
        self._stopping = True

    def _wait(self, signals: int) -> None:
        """Take in what comes, until something is due by itself."""
        inputs = [line for line in self._inputs if line.request]
        ready = {signals: self.stop, self._listener.fileno(): self._accept}
        ready |= {fd: partial(self._read, client) for fd, client in self._clients.items()}
        ready |= {line.request.fd: partial(self._sense, line, of_edges=True) for line in inputs}
        poller = select.poll()
        for fd in ready:
            poller.register(fd, select.POLLIN)
        now_s = boottime_s()
        due = [machine.due_s(rules, door) for rules, door in zip(self._rules, self._doors, strict=True)]
        retries = [now_s + RETRY_S for door in self._doors if door.fault]
        for fd, _ in poller.poll(1000 * max(0.0, min(self._look_s, *due, *retries) - now_s)):
            ready[fd]()

    def _turn(self) -> None:
        """Do what is due by itself; then levels, then news."""
        now_s = boottime_s()
        pairs = zip(self._rules, self._doors, strict=True)
        self._doors = [machine.advance(rules, door, now_s) for rules, door in pairs]
        for client in tuple(self._clients.values()):
            if client.door >= 0 and not self._doors[client.door].has_client:
                self._drop(client, "it was silent for too long")
            elif client.door < 0 and now_s - client.since_s >= HELLO_S:
                self._drop(client, "it said no hello")
        if is_look := now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look()
        self._drive(anew=is_look)
        for at, rules in enumerate(self._rules):
            flags, fault = self._state(at)
            news = f"{rules.name}: {'+'.join(flag.name or '' for flag in flags) or 'LOCKED'} {fault}"
            if news != self._told[at]:
                self._told[at] = news
                log(news)
                self._tell(at, Tell.DOOR)

    def _state(self, at: int) -> tuple[Flag, str]:
        door, lines = self._doors[at], self._relays + self._lamps + self._inputs
        fault = door.fault or next((line.fault for line in lines if line.at == at and line.fault), "")
        alarms = door.is_tampered, door.is_forced, door.is_held_open, bool(fault)
        return Flag(sum(compress(Flag, (door.is_released, door.is_open, *alarms)))), fault

    # Lines

    def _drive(self, *, anew: bool = False) -> None:
        """Bring outputs where they belong: relays that lock come first, and a failure locks.

        Only when all are written `anew` is a fault over whose relay does as told: people are to hear of it.
        """
        now_s = boottime_s()
        for relay in sorted(self._relays, key=lambda relay: self._doors[relay.at].is_released):
            rules, door = self._rules[relay.at], self._doors[relay.at]
            rests = rules.lock == "fail-safe"
            others = (other.fault for other in self._doors if other is not door and self._settings.interlock)
            fault = next(filter(None, others), "") if door.is_released else ""
            if fault or not relay.put(door.is_released is not rests, anew=anew):
                self._doors[relay.at] = machine.failed(rules, door, now_s, fault or relay.fault)
                relay.put(rests)
            elif anew:
                self._doors[relay.at] = machine.failed(rules, door, now_s, "")
        for lamp in self._lamps:
            is_lit = machine.lamps(self._doors[lamp.at], now_s).get(lamp.role, False)
            of_door = (client for client in self._clients.values() if client.door == lamp.at)
            is_shown = any(now_s < client.shows_until_s.get(lamp.role, 0) for client in of_door)
            lamp.put(is_lit or is_shown, anew=anew)

    def _look(self) -> None:
        """Read all inputs anew: edges may have been lost. Let systemd and janus-lock-now know of us."""
        notify("WATCHDOG=1")
        for line in self._inputs:
            self._sense(line)
        held = [relay for relay in self._relays if relay.request]
        self._remember("".join(relay.at_rest(self._rules[relay.at].rests_energised) for relay in held))

    def _remember(self, resting: str) -> None:
        """Leave for janus-lock-now which lines to set to which levels, whatever becomes of us."""
        if resting != self._resting:
            try:
                with open(f"{self._settings.state}.new", "w", encoding="ascii") as file:
                    file.write(resting)
                os.replace(f"{self._settings.state}.new", self._settings.state)
                self._resting = resting
            except OSError as error:
                log(f"{self._settings.state} cannot be written: {error.strerror}")

    def _sense(self, line: HeldLine, *, of_edges: bool = False) -> None:
        """Take in the levels of an input; a trigger that lasts is told of at each look."""
        at = line.at
        for is_active in line.level(of_edges=of_edges):
            now_s, before, line.was = boottime_s(), line.was, is_active
            if line.role == "contact":
                self._doors[at] = machine.opened(self._doors[at], now_s, not is_active)
            elif line.role == "tamper":
                self._doors[at] = machine.tampered(self._doors[at], now_s, is_active)
            elif line.role != "rex" and is_active:
                name, tell = line.role.removeprefix("trigger "), Tell.LASTS if before else Tell.TRIGGER
                self._tell(at, tell, text=name)
            elif is_active and before is False:  # a button that is held down while we start is not pressed
                self._doors[:], why = machine.exit_pressed(self._settings, tuple(self._doors), at, now_s)
                self._drive()
                log(f"{self._rules[at].name}: exit button {why}")

    # Clients

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
            # The kernel's word, from when it connected.
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        except OSError as error:  # gone again, or no descriptor left
            log(f"nobody could connect: {error}")
            return
        if uid in self._uids and len(self._clients) < MOST_CLIENTS:
            sock.setblocking(False)
            self._clients[sock.fileno()] = _Client(sock, boottime_s())
        else:
            sock.close()
            log(f"hung up on process {pid} of user {uid}")

    def _read(self, client: _Client) -> None:
        """Take one packet of a client. Whatever is wrong with it ends the connection and its release."""
        try:
            packet = client.sock.recv(ASK_BYTES + 1)
            if not packet:
                raise ConnectionError("it hung up")
            self._do(client, *unpack_ask(packet))
        except (OSError, ValueError) as error:
            self._drop(client, error)

    def _do(self, client: _Client, ask: Ask, number: int, hold_s: float, text: str) -> None:
        """Do what was asked. Raises ValueError when the client has to go."""
        now_s = boottime_s()
        if (ask is Ask.HELLO) is (client.door >= 0):
            raise ValueError("it said hello twice, or not at first")
        if ask is Ask.HELLO:
            free = [at for at, rules in enumerate(self._rules) if rules.name == text]
            if not free or self._doors[free[0]].has_client:
                why = f"the door {text} is {'taken by another client' if free else 'not in latch.toml'}"
                client.sock.send(pack_tell(Tell.REFUSED, number, Flag(0), now_s, why))
                raise ValueError(why)
            client.door = free[0]
        at, why = client.door, ""
        self._doors[at] = replace(self._doors[at], beat_s=now_s)
        if ask is Ask.RELEASE:
            self._doors[:], why = machine.release(self._settings, tuple(self._doors), at, now_s, hold_s)
            self._drive()
            why = why or self._doors[at].fault
            log(f"{self._rules[at].name}: release for {hold_s} s, {text} {why and 'refused: ' + why}")
        elif ask is Ask.LOCK:
            self._doors[at] = machine.lock(self._rules[at], self._doors[at], now_s)
            self._drive()
        elif ask is Ask.INDICATE and text in OUTPUTS:
            client.shows_until_s[text] = now_s + hold_s
        self._tell(at, Tell.REFUSED if why else Tell.DOOR, number, why)

    def _tell(self, at: int, tell: Tell, number: int = 0, text: str = "") -> None:
        flags, fault = self._state(at)
        for client in [client for client in self._clients.values() if client.door == at]:
            try:
                client.sock.send(pack_tell(tell, number, flags, boottime_s(), text or fault))
            except OSError as error:  # one that does not read what it is told is as good as dead
                self._drop(client, f"it does not listen: {error}")

    def _drop(self, client: _Client, why: object) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            client.sock.close()
            log(f"dropped a client: {why}")
            if client.door >= 0:
                rules, door = self._rules[client.door], self._doors[client.door]
                self._doors[client.door] = machine.leave(rules, door, boottime_s())
                self._drive()


def log(text: str) -> None:
    """One line for the journal, which may be gone; what a client wrote was checked to be printable."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())


def notify(state: str) -> None:
    """Tell systemd, where it listens: sd_notify(3). Never waits for it."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            address = "\0" + address[1:] if address[0] == "@" else address
            sock.sendto(state.encode(), socket.MSG_DONTWAIT, address)
