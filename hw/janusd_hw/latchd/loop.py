"""The loop of janus-latchd: lines and clients in, levels and messages out, one thread, one select.

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
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress

from janusd_hw.boottime import boottime_s
from janusd_hw.latchd import machine
from janusd_hw.latchd.lines import Gpiod, HeldLine
from janusd_hw.latchd.settings import OUTPUTS, Settings
from janusd_hw.latchd.wire import ASK_BYTES, Ask, Flag, Tell, pack_tell, unpack_ask

LOOK_S = 0.5
"""How often all lines are read anew, missing ones tried again, and systemd hears of us."""
HELLO_S = 1.0
MOST_CLIENTS = 8


@dataclass(slots=True, eq=False)
class _Client:
    sock: socket.socket
    since_s: float
    door: str = ""
    """Which door it said hello for."""


class Latchd:
    """The doors of one configuration."""

    def __init__(self, settings: Settings, listener: socket.socket, uids: set[int], gpiod: Gpiod) -> None:
        """Take the lines: all locks that can be had are locked now."""
        self._settings, self._listener, self._uids = settings, listener, uids
        lines = [HeldLine(door.name, *line, gpiod) for door in settings.doors for line in door.lines.items()]
        self._inputs = [line for line in lines if line.is_input]
        self._outputs = [line for line in lines if not line.is_input]
        self._clients: dict[int, _Client] = {}
        self._look_s = now_s = boottime_s()
        self._doors = {rules.name: machine.Door(rules, locked_s=now_s) for rules in settings.doors}
        self._told: dict[str, tuple[Flag, str]] = {}
        self._resting = ""
        self._turn()

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then leave every line at its shutdown level."""
        signals, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(woken)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # the pipe says it
        notify("READY=1")
        while not self._wait(signals):
            self._turn()
        notify("STOPPING=1")
        for line in self._outputs:
            line.put(line.is_relay and self._doors[line.door].rules.rests_energised)

    def _wait(self, signals: int) -> bool:
        """Take in what comes, until something is due by itself; whether a signal came."""
        sources = {self._listener.fileno(): self._accept}
        sources |= {fd: partial(self._read, client) for fd, client in self._clients.items()}
        held = [line for line in self._inputs if line.request]
        sources |= {line.request.fd: partial(self._sense, line, of_edges=True) for line in held}
        now_s = boottime_s()
        due_s = min(self._look_s, *(machine.due_s(door, now_s) for door in self._doors.values()))
        ready, _, _ = select.select([signals, *sources], [], [], max(0.0, due_s - now_s))
        for fd in sources.keys() & ready:
            sources[fd]()
        return signals in ready

    def _turn(self) -> None:
        """Do what is due by itself; then levels, then news."""
        now_s = boottime_s()
        self._doors = {name: machine.advance(door, now_s) for name, door in self._doors.items()}
        for client in tuple(self._clients.values()):
            if client.door and not self._doors[client.door].has_client:
                self._drop(client, "it was silent for too long")
            elif not client.door and now_s - client.since_s >= HELLO_S:
                self._drop(client, "it said no hello")
        if is_look := now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._look()
        self._drive(anew=is_look)
        for name in self._doors:
            flags, fault = state = self._state(name)
            if state != self._told.get(name):
                self._told[name] = state
                log(f"{name}: {'+'.join(flag.name or '' for flag in flags) or 'LOCKED'} {fault}")
                self._tell(name, Tell.DOOR)

    def _state(self, name: str) -> tuple[Flag, str]:
        door, lines = self._doors[name], self._outputs + self._inputs
        fault = door.fault or next((line.fault for line in lines if line.door == name and line.fault), "")
        alarms = door.is_tampered, door.is_forced, door.is_held_open, bool(fault)
        return Flag(sum(compress(Flag, (door.is_released, door.is_open, *alarms)))), fault

    # Lines

    def _drive(self, *, anew: bool = False) -> None:
        """Bring outputs where they belong: relays that lock come first, and a failure locks.

        Only at a look is a fault over whose relay does as told: people are to hear of it.
        """
        now_s = boottime_s()
        for line in sorted(self._outputs, key=lambda line: self._doors[line.door].is_released):
            door = self._doors[line.door]
            others = machine.others(self._settings, self._doors, line.door).values()
            fault = next((o.fault for o in others if door.is_released and o.fault), "")
            is_there = not fault and line.put(machine.outputs(door, now_s).get(line.role, False))
            if line.is_relay and (anew or not is_there):
                door = self._doors[line.door] = machine.failed(door, now_s, fault or line.fault)
                line.put(machine.outputs(door, now_s)["relay"])

    def _look(self) -> None:
        """Read all inputs anew: edges may have been lost. Let systemd and janus-lock-now know of us."""
        notify("WATCHDOG=1")
        for line in self._inputs:
            self._sense(line)
        held = [line for line in self._outputs if line.is_relay and line.request]
        self._remember("".join(line.at_rest(self._doors[line.door].rules.rests_energised) for line in held))

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
        name = line.door
        for is_active in line.level(of_edges=of_edges):
            now_s, before, line.was = boottime_s(), line.was, is_active
            if line.role == "contact":
                self._doors[name] = machine.opened(self._doors[name], now_s, not is_active)
            elif line.role == "tamper":
                self._doors[name] = machine.tampered(self._doors[name], now_s, is_active)
            elif line.role != "rex" and is_active:
                tell = Tell.LASTS if before else Tell.TRIGGER
                self._tell(name, tell, text=line.role.removeprefix("trigger "))
            elif is_active and before is False:  # a button that is held down while we start is not pressed
                self._doors, why = machine.exit_pressed(self._settings, self._doors, name, now_s)
                log(f"{name}: exit button {why}")

    # Clients

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # it is gone again
            sock, _ = self._listener.accept()
            # The kernel's word, from when it connected.
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid in self._uids and len(self._clients) < MOST_CLIENTS:
                sock.setblocking(False)
                self._clients[sock.fileno()] = _Client(sock, boottime_s())
            else:
                sock.close()
                log(f"hung up on process {pid} of user {uid}")

    def _read(self, client: _Client) -> None:
        """Take one packet of a client. Whatever is wrong with it ends the connection and its release."""
        try:
            self._do(client, *unpack_ask(client.sock.recv(ASK_BYTES + 1)))
        except (OSError, ValueError) as error:
            self._drop(client, error)

    def _do(self, client: _Client, ask: Ask, number: int, hold_s: float, text: str) -> None:
        """Do what was asked. Raises ValueError when the client has to go."""
        now_s = boottime_s()
        if (ask is Ask.HELLO) is bool(client.door):
            raise ValueError("it said hello twice, or not at first")
        if ask is Ask.HELLO:
            wanted = self._doors.get(text)
            if wanted is None or wanted.has_client:
                why = f"the door {text} is {'taken by another client' if wanted else 'not in latch.toml'}"
                client.sock.send(pack_tell(Tell.REFUSED, number, Flag(0), now_s, why))
                raise ValueError(why)
            client.door = text
        name, why = client.door, ""
        self._doors[name] = door = replace(self._doors[name], beat_s=now_s)
        if ask is Ask.RELEASE:
            self._doors, why = machine.release(self._settings, self._doors, name, now_s, hold_s)
            log(f"{name}: release for {hold_s} s, {text} {why and 'refused: ' + why}")
        elif ask is Ask.LOCK:
            self._doors[name] = machine.lock(door, now_s)
        elif ask is Ask.INDICATE and text in OUTPUTS:
            self._doors[name] = replace(door, shows_until_s=door.shows_until_s | {text: now_s + hold_s})
        self._drive()
        is_refused = why or (ask is Ask.RELEASE and self._doors[name].fault)
        self._tell(name, Tell.REFUSED if is_refused else Tell.DOOR, number, why)

    def _tell(self, name: str, tell: Tell, number: int = 0, text: str = "") -> None:
        flags, fault = self._state(name)
        for client in [client for client in self._clients.values() if client.door == name]:
            try:
                client.sock.send(pack_tell(tell, number, flags, boottime_s(), text or fault))
            except OSError as error:  # one that does not read what it is told is as good as dead
                self._drop(client, f"it does not listen: {error}")

    def _drop(self, client: _Client, why: object) -> None:
        if self._clients.pop(client.sock.fileno(), None) is not None:
            client.sock.close()
            log(f"dropped a client: {why}")
            if client.door:
                self._doors[client.door] = machine.leave(self._doors[client.door], boottime_s())
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
