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
from dataclasses import dataclass, replace

from janusd_hw.clock import boottime_s
from janusd_hw.latchd import machine
from janusd_hw.latchd.lines import Gpiod, HeldLine
from janusd_hw.latchd.settings import Settings
from janusd_hw.latchd.wire import ASK_BYTES, Ask, Flag, Tell, pack_tell, unpack_ask

LOOK_S = 0.5
"""How often all lines are written and read anew, missing ones tried again, and systemd hears of us."""
STEP_S = 0.01
"""How late a release may end at most, or a lock be tried again that failed."""
HELLO_S = 1.0
MOST_CLIENTS = 8


@dataclass(slots=True, eq=False)
class _Client:
    sock: socket.socket
    since_s: float
    door: int = -1
    """Which door it said hello for."""


class Latchd:
    """The doors of one configuration."""

    def __init__(self, settings: Settings, listener: socket.socket, uids: Set[int], gpiod: Gpiod) -> None:
        """Take the lines: all locks that can be had are locked now."""
        self._settings, self._rules, self._listener, self._uids = settings, settings.doors, listener, uids
        lines = [(at, *line) for at, rules in enumerate(settings.doors) for line in rules.lines.items()]
        self._lines = [(at, HeldLine(role, line, gpiod)) for at, role, line in lines]
        self._relays = [line for _, line in self._lines if line.role == "relay"]
        self._inputs = [(at, line) for at, line in self._lines if line.is_input]
        self._levels: dict[HeldLine, bool | None] = {}
        """What outputs were set to and inputs were last; None after a write that failed."""
        self._clients: dict[int, _Client] = {}
        self._stopping, self._resting = False, ""
        self._look_s = now_s = boottime_s()
        self._doors = tuple(machine.Door(locked_s=now_s) for _ in settings.doors)
        self._told = [""] * len(self._doors)
        self._turn()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then leave every line at its shutdown level."""
        wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken)
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        notify("READY=1")
        while not self._stopping:
            inputs = {held.request.fd: (at, held) for at, held in self._inputs if held.request}
            poller = select.poll()
            for fd in (wake, self._listener.fileno(), *self._clients, *inputs):
                poller.register(fd, select.POLLIN)
            is_busy = any(door.is_released for door in self._doors) or None in self._levels.values()
            for fd, _ in poller.poll(1000 * (STEP_S if is_busy else max(0.0, self._look_s - boottime_s()))):
                if fd in inputs:
                    at, line = inputs[fd]
                    for level in line.level(of_edges=True):
                        self._sense(at, line, level)
                elif fd in self._clients:
                    self._read(self._clients[fd])
                elif fd == self._listener.fileno():
                    self._accept()
            self._turn()
        notify("STOPPING=1")
        for at, line in self._lines:
            if not line.is_input:
                line.drive(line.role == "relay" and self._rules[at].rests_energised)
            line.let_go()

    def stop(self, *_: object) -> None:
        """End `run`; also a signal handler."""
        self._stopping = True

    def _turn(self) -> None:
        """Do what is due by itself; then levels, then news."""
        now_s = boottime_s()
        pairs = zip(self._rules, self._doors, strict=True)
        self._doors = tuple(machine.advance(rules, door, now_s) for rules, door in pairs)
        for client in tuple(self._clients.values()):
            if client.door >= 0 and not self._doors[client.door].has_client:
                self._drop(client, "was silent for too long")
            elif client.door < 0 and now_s - client.since_s >= HELLO_S:
                self._drop(client, "said no hello")
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look(now_s)
        self._drive()
        for at, rules in enumerate(self._rules):
            flags, fault = self._state(at)
            news = f"{rules.name}: {'+'.join(flag.name or '' for flag in flags) or 'LOCKED'} {fault}"
            if news != self._told[at]:
                self._told[at] = news
                log(news)
                self._tell(at, Tell.DOOR)

    def _state(self, at: int) -> tuple[Flag, str]:
        door = self._doors[at]
        fault = door.fault or next((line.fault for of, line in self._lines if of == at and line.fault), "")
        told = (
            door.is_released,
            door.is_open,
            door.is_tampered,
            door.is_forced,
            door.is_held_open,
            bool(fault),
        )
        return Flag(sum(flag for flag, is_so in zip(Flag, told, strict=True) if is_so)), fault

    # Lines

    def _drive(self) -> None:
        """Bring outputs where they belong: relays that lock come first, and a failure locks."""
        now_s = boottime_s()
        for at in sorted(range(len(self._doors)), key=lambda at: self._doors[at].is_released):
            rules, relay = self._rules[at], self._relays[at]
            others = (door.fault for of, door in enumerate(self._doors) if of != at)
            must_wait = self._settings.interlock and self._doors[at].is_released
            fault = next(filter(None, others), "") if must_wait else ""
            if fault or not self._set(relay, self._doors[at].is_released is not (rules.lock == "fail-safe")):
                self._put(at, machine.failed(rules, self._doors[at], now_s, fault or relay.fault))
                self._set(relay, rules.lock == "fail-safe")
        for at, line in self._lines:
            if line not in self._relays and not line.is_input:
                self._set(line, machine.lamps(self._doors[at], now_s)[line.role])

    def _set(self, line: HeldLine, level: bool) -> bool:
        if self._levels.get(line) is not level:
            self._levels[line] = level if line.drive(level) or line.role != "relay" else None
        return self._levels[line] is level

    def _look(self, now_s: float) -> None:
        """Write and read all lines anew: somebody else may have moved them, or edges were lost."""
        notify("WATCHDOG=1")
        for at, line in self._lines:
            if line.is_input:
                for level in line.level():
                    self._sense(at, line, level)
                continue
            before = self._levels.pop(line, None)
            if before is not None and self._set(line, before) and line.role == "relay":
                self._put(at, machine.failed(self._rules[at], self._doors[at], now_s, ""))
        doors = zip(self._relays, self._rules, strict=True)
        self._remember("".join(relay.at(rules.rests_energised) for relay, rules in doors if relay.request))

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

    def _sense(self, at: int, line: HeldLine, is_active: bool) -> None:
        """Take in the level of an input where it is another than before."""
        before, now_s, door = self._levels.get(line), boottime_s(), self._doors[at]
        self._levels[line] = is_active
        if before is is_active:
            return
        if line.role == "contact":
            self._put(at, machine.opened(door, now_s, not is_active))
        elif line.role == "tamper":
            self._put(at, machine.tampered(door, now_s, is_active))
        elif is_active and line.role != "rex":
            self._tell(at, Tell.TRIGGER, text=line.role.removeprefix("trigger "))
        elif is_active and before is not None:  # a button that is held down while we start is not pressed
            self._doors, why = machine.exit_pressed(self._settings, self._doors, at, now_s)
            self._drive()
            log(f"{self._rules[at].name}: exit button {why}")

    def _put(self, at: int, door: machine.Door) -> None:
        self._doors = machine.put(self._doors, at, door)

    # Clients

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:  # gone again, or no descriptor left
            log(f"nobody could connect: {error}")
            return
        # The kernel's word, from when it connected.
        pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in self._uids or len(self._clients) >= MOST_CLIENTS:
            log(f"hung up on process {pid} of user {uid}")
            sock.close()
            return
        sock.setblocking(False)
        self._clients[sock.fileno()] = _Client(sock, boottime_s())

    def _read(self, client: _Client) -> None:
        """Take one packet of a client. Whatever is wrong with it ends the connection and its release."""
        try:
            packet = client.sock.recv(ASK_BYTES + 1)
            why = self._do(client, *unpack_ask(packet)) if packet else "hung up"
        except BlockingIOError:
            return
        except (OSError, ValueError) as error:
            why = f"talked nonsense: {error}"
        if why:
            self._drop(client, why)

    def _do(self, client: _Client, ask: Ask, number: int, hold_s: float, text: str) -> str:
        """Do what was asked; why the client has to go, or ""."""
        now_s = boottime_s()
        if (ask is Ask.HELLO) is (client.door >= 0):
            return "said hello twice, or not at first"
        if ask is Ask.HELLO:
            free = [at for at, rules in enumerate(self._rules) if rules.name == text]
            if not free or self._doors[free[0]].has_client:
                why = f"the door {text} is {'taken by another client' if free else 'not in latch.toml'}"
                client.sock.send(pack_tell(Tell.REFUSED, number, Flag(0), now_s, why))
                return why
            client.door = free[0]
        at, why = client.door, ""
        self._put(at, replace(self._doors[at], beat_s=now_s))
        if ask is Ask.RELEASE:
            self._doors, why = machine.release(self._settings, self._doors, at, now_s, hold_s)
            self._drive()
            why = why or self._doors[at].fault
            log(f"{self._rules[at].name}: release for {hold_s} s, {text} {why and 'refused: ' + why}")
        elif ask is Ask.LOCK:
            self._put(at, machine.lock(self._rules[at], self._doors[at], now_s))
            self._drive()
        self._tell(at, Tell.REFUSED if why else Tell.DOOR, number, why)
        return ""

    def _tell(self, at: int, tell: Tell, number: int = 0, text: str = "") -> None:
        flags, fault = self._state(at)
        for client in tuple(self._clients.values()):
            if client.door == at:
                try:
                    client.sock.send(pack_tell(tell, number, flags, boottime_s(), text or fault))
                except OSError as error:  # one that does not read what it is told is as good as dead
                    self._drop(client, f"does not listen: {error}")

    def _drop(self, client: _Client, why: str) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            client.sock.close()
            log(f"a client {why}")
            if client.door >= 0:
                rules, door = self._rules[client.door], self._doors[client.door]
                self._put(client.door, machine.leave(rules, door, boottime_s()))
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
