"""A real janus-latchd on a chip, under a stand-in for systemd: what the process tests share.

The chip is a folder (`FakeChip`) or the kernel's gpio-sim (`SimChip`); both are asked for levels alike.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import gpiod

import janusd
import janusd_hw
from janusd_hw.fake_gpiod import FakeChip
from janusd_hw.latch_remote import RemoteLatch, pack_ask
from janusd_hw.latchd.wire import Ask

RELAY, REX, CONTACT, TAMPER, PIR, SECOND, LAMP, BUZZER = 17, 27, 22, 23, 24, 18, 12, 26
DOOR = f"""\
relay = {RELAY}
rex = {{ line = {REX}, debounce_s = 0.02 }}
contact = {{ line = {CONTACT}, debounce_s = 0.02 }}
tamper = {{ line = {TAMPER}, debounce_s = 0.02 }}
triggers = {{ pir = {{ line = {PIR}, debounce_s = 0.005 }} }}
led_status = {LAMP}
buzzer = {BUZZER}
hold_max_s = 20
heartbeat_s = 5
"""
WATCHDOG_S = 2.0
"""As in systemd/janus-latchd.service; a test compares."""
CLIENT = """\
import sys, time
from janusd_hw.latch_remote import RemoteLatch
latch = RemoteLatch(sys.argv[1], "front", answer_s=20)
assert latch.wait_until_ready(20), latch.fault
latch.release(float(sys.argv[2]), "matched")
print("released", flush=True)
time.sleep(60)
"""


class Chip(Protocol):
    """What a scenario needs of a chip."""

    def level(self, line: int) -> int: ...

    def pull(self, line: int, level: int) -> None: ...

    def command(self, program: str) -> list[str]: ...

    @property
    def path(self) -> str: ...


class FolderChip(FakeChip):
    """A `FakeChip`, with how to run the two programs on it."""

    path = "/dev/gpiochip0"

    def command(self, program: str) -> list[str]:
        return [sys.executable, "-I", "-m", "janusd_hw.fake_gpiod", str(self.folder), self.after, program]


class SimChip:
    """A chip of the kernel's gpio-sim, already live."""

    def __init__(self, device: str, folder: Path) -> None:
        self.path, self._folder = device, folder

    def level(self, line: int) -> int:
        return int((self._folder / f"sim_gpio{line}" / "value").read_text())

    def pull(self, line: int, level: int) -> None:
        (self._folder / f"sim_gpio{line}" / "pull").write_text("pull-up" if level else "pull-down")

    def command(self, program: str) -> list[str]:
        return as_installed(program)


def until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> float:
    """Wait, and give how long it took."""
    start_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - start_s < timeout_s, "waited too long"
        time.sleep(0.002)
    return time.monotonic() - start_s


def as_installed(program: str) -> list[str]:
    """Start one of the two programs as the Debian package does: `program` in systemd/deb/build.sh."""
    module = {"janus-latchd": "main", "janus-lock-now": "lock_now"}[program]
    folders = [str(Path(str(package.__file__)).parents[1]) for package in (janusd, janusd_hw, gpiod)]
    start = (
        f"import sys; sys.path[:0] = {folders}; from janusd_hw.latchd.{module} import main; sys.exit(main())"
    )
    return [sys.executable, "-IS", "-c", start]


class Rig:
    """One janus-latchd that is started, watched and cleaned up after as its unit says."""

    def __init__(self, folder: Path, chip: Chip, door: str = DOOR, top: str = "") -> None:
        self.folder, self.chip = folder, chip
        self.socket = str(folder / "latch.sock")
        self.config = folder / "latch.toml"
        self.config.write_text(
            f'user = "root"\nsocket = "{self.socket}"\nstate = "{folder}/locked"\nchip = "{chip.path}"\n'
            f"{top}\n[door.front]\n{door}"
        )
        for line, level in ((CONTACT, 1), (REX, 0), (TAMPER, 0), (PIR, 0)):
            chip.pull(line, level)
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(folder / "notify"))
        self._notices.settimeout(0.01)
        self._latches: list[RemoteLatch] = []
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it, and give how long it took until READY."""
        start_s = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.chip.command("janus-latchd"), str(self.config)],
                env={"NOTIFY_SOCKET": str(self.folder / "notify")}, stderr=log,
            )  # fmt: skip
        while self._notice() != "READY=1":
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() - start_s < 60, self.log.read_text()
        return time.monotonic() - start_s

    def latch(self, door: str = "front") -> RemoteLatch:
        """Connect as janusd does."""
        self._latches.append(RemoteLatch(self.socket, door, answer_s=20))  # the machine may be busy
        assert self._latches[-1].wait_until_ready(20), self._latches[-1].fault
        return self._latches[-1]

    def client(self, hold_s: float) -> subprocess.Popen[bytes]:
        """A process that released the door for so long and then sleeps."""
        client = subprocess.Popen(
            [sys.executable, "-I", "-c", CLIENT, self.socket, str(hold_s)], stdout=subprocess.PIPE
        )
        assert client.stdout is not None
        assert client.stdout.readline() == b"released\n"
        assert self.chip.level(RELAY) == 1
        return client

    def plain(self) -> socket.socket:
        """Connect without saying anything."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.settimeout(10)
        sock.connect(self.socket)
        return sock

    def greeted(self) -> socket.socket:
        """Connect and say hello, no more."""
        sock = self.plain()
        sock.send(pack_ask(Ask.HELLO, 1, text="front"))
        sock.recv(512)
        return sock

    def locked_after(self, since_s: float) -> float:
        """Wait for the relay; how long after `since_s` (monotonic) it was seen locked."""
        until(lambda: self.chip.level(RELAY) == 0)
        return time.monotonic() - since_s

    def watch(self) -> None:
        """Wait as systemd does for a process that ends or misses its watchdog, then clean up after it."""
        assert self.process is not None
        heard_s = time.monotonic()
        while self.process.poll() is None:
            if self._notice() == "WATCHDOG=1":
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > WATCHDOG_S:
                self.process.send_signal(signal.SIGKILL)  # WatchdogSignal=SIGKILL
                self.process.wait()
        self.lock_now()

    def lock_now(self) -> int:
        """Run what ExecStopPost runs."""
        with self.log.open("ab") as log:
            return subprocess.run(
                [*self.chip.command("janus-lock-now"), f"{self.folder}/locked"], stderr=log, check=False
            ).returncode

    def end(self) -> int:
        """Stop it as systemd does; its exit status."""
        for latch in self._latches:
            latch.close()
        self._latches.clear()
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        status = self.process.wait(30)
        self.process = None
        return status

    def close(self) -> None:
        self.end()
        self._notices.close()

    def _notice(self) -> str:
        try:
            return self._notices.recv(256).decode()
        except TimeoutError:
            return ""


def kill_times(rig: Rig) -> dict[str, float]:
    """Seconds until the relay is locked after each way to die in the middle of a release of 15 s."""
    times = {}

    def dies(name: str, client: subprocess.Popen[bytes], number: signal.Signals) -> None:
        start_s = time.monotonic()
        client.send_signal(number)
        times[name] = rig.locked_after(start_s)
        client.kill()
        client.communicate()

    rig.start()
    dies("client SIGKILL", rig.client(15), signal.SIGKILL)
    dies("client SIGSEGV", rig.client(15), signal.SIGSEGV)
    dies("client SIGSTOP", rig.client(15), signal.SIGSTOP)
    for name, number in (
        ("SIGTERM", signal.SIGTERM),
        ("SIGKILL", signal.SIGKILL),
        ("SIGSTOP", signal.SIGSTOP),
    ):
        client = rig.client(15)
        assert rig.process is not None
        while rig._notice():
            pass
        start_s = time.monotonic()
        rig.process.send_signal(number)
        supervisor = threading.Thread(target=rig.watch)
        supervisor.start()
        times[f"latchd {name}"] = rig.locked_after(start_s)
        supervisor.join()
        client.kill()
        client.communicate()
        if name != "SIGSTOP":
            rig.start()
    rig.process = None
    return times


def show(times: dict[str, float], how: str) -> None:
    """Print what was measured; a watchdog and a heartbeat of 2 s are part of what SIGSTOP takes."""
    print(f"\nlocked after, {how}:")
    for name, seconds in times.items():
        print(f"  {name:16} {1000 * seconds:7.0f} ms")


def foreign_user(path: str) -> str:
    """Say what happens to a process of another user; the tests run as root."""
    program = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET);"
        f"s.connect({path!r}); s.settimeout(9); print(len(s.recv(512)))"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    ).stdout.strip()


def is_root() -> bool:
    return os.geteuid() == 0
