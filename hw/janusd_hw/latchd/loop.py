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
        doors = enumerate(settings.doors)
        lines = [HeldLine(at, *line, gpiod) for at, rules in doors for line in rules.lines.items()]
        self._relays = [line for line in lines if line.is_relay]
        self._inputs = [line for line in lines if line.is_input]
        self._lamps = [line for line in lines if not line.is_input and not line.is_relay]
        self._clients: dict[int, _Client] = {}
        self._shown: dict[tuple[int, str], float] = {}
        """Until when a client wants a lamp of its door lit."""
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
            inputs = {line.request.fd: line for line in self._inputs if line.request}
            poller = select.poll()
            for fd in (wake, self._listener.fileno(), *self._clients, *inputs):
                poller.register(fd, select.POLLIN)
            is_busy = any(door.is_released for door in self._doors) or None in (r.was for r in self._relays)
            for fd, _ in poller.poll(1000 * (STEP_S if is_busy else max(0.0, self._look_s - boottime_s()))):
                if fd in inputs:
                    for level in inputs[fd].level(of_edges=True):
                        self._sense(inputs[fd], level)
                elif fd in self._clients:
                    self._read(self._clients[fd])
                elif fd == self._listener.fileno():
                    self._accept()
            self._turn()
        notify("STOPPING=1")
        for line in self._relays + self._lamps:
            line.drive(line.is_relay and self._rules[line.at].rests_energised)
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
        door, lines = self._doors[at], self._relays + self._lamps + self._inputs
        fault = door.fault or next((line.fault for line in lines if line.at == at and line.fault), "")
        alarms = door.is_tampered, door.is_forced, door.is_held_open, bool(fault)
        pairs = zip(Flag, (door.is_released, door.is_open, *alarms), strict=True)
        return Flag(sum(flag for flag, is_so in pairs if is_so)), fault

    # Lines

    def _drive(self) -> None:
        """Bring outputs where they belong: relays that lock come first, and a failure locks."""
        now_s = boottime_s()
        for relay in sorted(self._relays, key=lambda relay: self._doors[relay.at].is_released):
            door, rests = self._doors[relay.at], self._rules[relay.at].lock == "fail-safe"
            others = (other.fault for other in self._doors if other is not door and self._settings.interlock)
            fault = next(filter(None, others), "") if door.is_released else ""
            if fault or not relay.put(door.is_released is not rests):
                self._put(relay.at, machine.failed(self._rules[relay.at], door, now_s, fault or relay.fault))
                relay.put(rests)
        for lamp in self._lamps:
            is_lit = machine.lamps(self._doors[lamp.at], now_s).get(lamp.role, False)
            lamp.put(is_lit or now_s < self._shown.get((lamp.at, lamp.role), 0))

    def _look(self, now_s: float) -> None:
        """Write and read all lines anew: somebody else may have moved them, or edges were lost."""
        notify("WATCHDOG=1")
        for line in self._inputs:
            for level in line.level():
                self._sense(line, level)
        for line in self._relays + self._lamps:
            before, line.was = line.was, None
            if before is not None and line.put(before) and line.is_relay:
                self._put(line.at, machine.failed(self._rules[line.at], self._doors[line.at], now_s, ""))
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

    def _sense(self, line: HeldLine, is_active: bool) -> None:
        """Take in the level of an input where it is another than before."""
        at, now_s, door = line.at, boottime_s(), self._doors[line.at]
        before, line.was = line.was, is_active
        lasts = is_active and line.role.startswith("trigger ")  # told again at each look: still there
        if before is is_active and not lasts:
            return
        if line.role == "contact":
            self._put(at, machine.opened(door, now_s, not is_active))
        elif line.role == "tamper":
            self._put(at, machine.tampered(door, now_s, is_active))
        elif is_active and line.role != "rex":
            self._tell(at, Tell.LASTS if before else Tell.TRIGGER, text=line.role.removeprefix("trigger "))
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
            return log(f"nobody could connect: {error}")
        # The kernel's word, from when it connected.
        pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in self._uids or len(self._clients) >= MOST_CLIENTS:
            sock.close()
            return log(f"hung up on process {pid} of user {uid}")
        sock.setblocking(False)
        self._clients[sock.fileno()] = _Client(sock, boottime_s())
        return None

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
        elif ask is Ask.INDICATE and any((lamp.at, lamp.role) == (at, text) for lamp in self._lamps):
            self._shown[at, text] = now_s + hold_s
        self._tell(at, Tell.REFUSED if why else Tell.DOOR, number, why)
        return ""

    def _tell(self, at: int, tell: Tell, number: int = 0, text: str = "") -> None:
        flags, fault = self._state(at)
        for client in [client for client in self._clients.values() if client.door == at]:
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
                self._shown = {
                    lamp: until_s for lamp, until_s in self._shown.items() if lamp[0] != client.door
                }
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
