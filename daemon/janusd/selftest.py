"""Whether this sandbox is one: what the service needs works, and what nobody needs is refused.

    janus-self-test [--config FILE] [--latchd]      also: janusd --self-test
    {"sandboxed": true, "passed": 41, "checks": [{"name": "exec: /bin/sh", "wants": "refused", ...

The unit runs it before the daemon (ExecStartPre), under the same user and the same limits, and `janusctl
doctor` shows what it found. It tries each thing for real, in a process of its own that ends afterwards, and
only what does no harm where it is allowed: to unmount what is no mount, to give the host the name it has.
It does not run as root, to whom too much is allowed.

A unit's score (`systemd-analyze security`) says which settings stand there, not what they do here: a kernel
without seccomp or without cgroups ignores them. That a check passes proves this one way in, no other.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import json
import mmap
import os
import socket
import stat
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

NAME = "self-test.json"
"""The report's name in the service's runtime directory."""
_LIBC = ctypes.CDLL(None, use_errno=True)
_OURS = {"janusd": ("video", "media", "v4l-subdev"), "latchd": ("gpiochip",)}
"""How the nodes are called that this service may open."""
_HARMLESS = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "rtc0"}
"""Nodes that every service may open; the clock's for reading alone."""
_CLONE_NEWUSER, _PTRACE_TRACEME, _MFD_EXEC = 0x10000000, 0, 0x10
# arm64 has the newer numbers. Called by number because their C functions would do something else.
_BPF, _MEMFD, _REBOOT, _SETTIME = (
    (321, 319, 169, 164) if os.uname().machine == "x86_64" else (280, 279, 142, 170)
)
_HELLO = b"#!/bin/sh\nexit 0\n"

Wants = Literal["works", "refused"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried."""

    name: str
    wants: Wants
    is_so: bool
    detail: str
    """What the kernel said, or what stood in the way."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was tried."""

    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """What is not as it should be."""
        return tuple(check for check in self.checks if not check.is_so)

    @property
    def in_words(self) -> str:
        """One line for `janusctl doctor`."""
        if not self.failed:
            return (
                f"{len(self.checks)} of {len(self.checks)} checks in the unit's sandbox are as they should be"
            )
        names = "; ".join(
            f"{check.name} {'fails' if check.wants == 'works' else 'is allowed'}" for check in self.failed[:4]
        )
        return f"{len(self.failed)} of {len(self.checks)} checks are not as they should be: {names}"

    def to_json(self) -> str:
        """The report as one object."""
        checks = [asdict(check) for check in self.checks]
        passed = len(self.checks) - len(self.failed)
        return json.dumps({"sandboxed": not self.failed, "passed": passed, "checks": checks}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read a report. Raises ValueError on anything else."""
        try:
            return cls(tuple(Check(**check) for check in json.loads(text)["checks"]))
        except (TypeError, KeyError) as error:
            raise ValueError(f"this is no report of a self-test: {error}") from error


def last_report(folder: str | None = None) -> Report | None:
    """The report that this service's start left in its runtime directory; None outside of a unit."""
    folder = os.environ.get("RUNTIME_DIRECTORY") if folder is None else folder
    try:
        return Report.from_json((Path(folder.split(":")[0]) / NAME).read_text()) if folder else None
    except (OSError, ValueError):
        return None


def run(part: str, needs: dict[str, Callable[[], object]], lets: tuple[str, ...] = ()) -> Report:
    """Try everything; checks whose names begin as one of `lets` may come out either way and are left out."""
    refusals = (check for check in _refusals(part) if not check.name.startswith(lets))
    return Report((*(works(name, attempt) for name, attempt in needs.items()), *refusals))


def works(name: str, attempt: Callable[[], object]) -> Check:
    """Whether it can be done."""
    try:
        said = attempt()
    except (OSError, ValueError, LookupError) as error:
        return Check(name, "works", False, str(error))
    return Check(name, "works", True, str(said or ""))


def refused(name: str, attempt: Callable[[], object], *answers: int) -> Check:
    """Whether it is refused; what is not there at all cannot be done either, and its detail says so.

    Where `answers` are given only these errors are a refusal: any other one came after the permission.
    """
    try:
        attempt()
    except OSError as error:
        is_so = not answers or error.errno in answers
        return Check(name, "refused", is_so, errno.errorcode.get(error.errno or 0, str(error)))
    return Check(name, "refused", False, "it was allowed")


# What is needed


def needs_of_janusd(config: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """What a daemon with this janus.toml cannot do without."""
    camera, latch, vault = (config.get(name, {}) for name in ("camera", "latch", "vault"))
    folder = Path(vault.get("directory", "/var/lib/janus"))
    driver, device = camera.get("driver", "picamera2"), str(camera.get("device", "/dev/video0"))
    needs: dict[str, Callable[[], object]] = {
        "the vault's folder takes files": lambda: _write_file(folder),
        "local sockets": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close(),
        "random numbers": lambda: os.getrandom(16) and None,
        "/proc/cpuinfo, without which inference is slow": lambda: Path("/proc/cpuinfo").read_text() and None,
        "an anonymous page": lambda: mmap.mmap(-1, 4096).close(),
    }
    if driver == "replay":
        needs["the camera's pictures"] = lambda: Path(camera.get("path", "")).stat() and None
    elif _is_stream(camera):
        needs["the network, for the camera"] = _see_interfaces
        needs["network sockets, for the camera"] = lambda: _socket("AF_INET")
    elif driver != "opencv" or device.startswith("/dev/"):
        node = device if driver == "opencv" else "/dev/media0"
        needs[f"camera {node}"] = lambda: _open(node)
    if latch.get("driver") == "latchd":
        needs["the latch's socket"] = lambda: _reach(latch.get("socket", "/run/janus-latch.sock"))
    if vault.get("key", "credential") == "credential":
        secret = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere")) / "janus-key"
        needs["the credential janus-key"] = lambda: secret.open("rb").close()
    return needs


def lets_of_janusd(config: dict[str, Any]) -> tuple[str, ...]:
    """How the names of those checks begin that this janus.toml wants no refusal of; see setup/sandbox.py."""
    lets: tuple[str, ...] = ()
    if _is_stream(config.get("camera", {})):
        lets += ("network: AF_INET", "network: an interface")
    if "edgetpu" in config.get("model", {}).get("delegate", ""):
        lets += ("network: AF_NETLINK", "device: /dev/apex", "device: /dev/bus/usb/")
    return lets


def _is_stream(camera: dict[str, Any]) -> bool:
    return camera.get("driver") == "opencv" and "://" in str(camera.get("device", ""))


def needs_of_latchd(config: dict[str, Any]) -> dict[str, Callable[[], object]]:
    """What janus-latchd cannot do without."""
    chip = str(config.get("chip", "/dev/gpiochip0"))
    if not chip.startswith("/"):
        chip = next((str(node) for node in sorted(Path("/dev").glob("gpiochip*"))), "/dev/gpiochip0")
    return {
        f"the chip {chip}": lambda: _open(chip),
        "its runtime directory takes files": lambda: _write_file(Path(os.environ["RUNTIME_DIRECTORY"])),
        "local sockets": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).close(),
    }


# What is refused


def _refusals(part: str) -> Iterator[Check]:
    for program in ("/bin/sh", "/usr/bin/env", "/usr/bin/curl"):
        yield refused(f"exec: {program}", lambda program=program: _spawn(program))  # type: ignore[misc]  # bound now
    for folder in (os.environ.get("STATE_DIRECTORY", ""), "/tmp", "/dev/shm"):  # noqa: S108 - whether it may is the question
        where = folder.split(":")[0]
        if where:
            yield refused(f"exec: a file of its own in {where}", lambda where=where: _spawn_own(where))  # type: ignore[misc]  # likewise
    yield refused("exec: a file in memory", _spawn_from_memory)

    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH", "AF_ALG"):
        yield refused(f"network: {family}", lambda family=family: _socket(family))  # type: ignore[misc]  # likewise
    yield refused("network: an interface other than lo", _see_interfaces)

    yield refused("device: /dev/vcio", lambda: _open("/dev/vcio"))
    for node in _foreign_nodes(part):
        yield refused(f"device: {node}", lambda node=node: _open(node))  # type: ignore[misc]  # likewise

    yield refused("memory: writable and executable at once", _map_writable_executable)
    yield refused("memory: executable after it was written", _make_executable)

    yield refused("file: /etc is writable", lambda: _write_file(Path("/etc")))
    yield refused("file: /usr is writable", lambda: _write_file(Path("/usr")))
    yield refused("file: /etc/janus is writable", lambda: _write_file(Path("/etc/janus")))
    yield refused("file: /etc/shadow is readable", lambda: Path("/etc/shadow").open("rb").close())
    yield refused("file: /home is readable", lambda: _list("/home"))
    yield refused("file: /root is readable", lambda: _list("/root"))
    yield refused("file: keys of the system", lambda: _list("/etc/credstore.encrypted"))
    yield refused("file: set-user-id", _make_setuid)
    yield refused(
        "kernel: /proc/sys is writable", lambda: Path("/proc/sys/kernel/core_pattern").open("r+b").close()
    )
    yield refused("kernel: /sys is writable", lambda: _write_file(Path("/sys/kernel")))
    yield refused("kernel: its log", lambda: _list("/dev/kmsg"))

    yield refused("other processes: init's", lambda: Path("/proc/1/exe").readlink())
    yield refused("other processes: are seen", _see_others)
    yield refused("privilege: capabilities", _have_capabilities)
    yield refused("privilege: set-user-id programs", _may_gain)
    # The kernel asks for the privilege first, and only then whether the request makes sense.
    yield refused("privilege: unmount", lambda: _call("umount2", b"/proc/self", 0), errno.EPERM)
    yield refused("privilege: set the clock", lambda: _call("syscall", _SETTIME, None, None), errno.EPERM)
    yield refused("privilege: reboot", lambda: _call("syscall", _REBOOT, 0, 0, 0, None), errno.EPERM)
    yield refused("privilege: BPF", lambda: _call("syscall", _BPF, 0, None, 0), errno.EPERM)
    yield refused("privilege: name the host", lambda: socket.sethostname(socket.gethostname()), errno.EPERM)
    yield refused("privilege: real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
    # Last: where these succeed this process is another one.
    yield refused("privilege: trace", lambda: _call("ptrace", _PTRACE_TRACEME, 0, None, None))
    yield refused("privilege: a user namespace", lambda: _call("unshare", _CLONE_NEWUSER))
    yield refused("privilege: become root", lambda: os.setuid(0))


def _foreign_nodes(part: str) -> list[str]:
    """Every node of /dev that is neither ours nor everybody's."""
    found = []
    for folder, folders, files in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in ("pts", "shm", "mqueue", "fd", "dma_heap")]
        for name in files:
            path = os.path.join(folder, name)  # noqa: PTH118 - os.walk gives strings
            kind = os.lstat(path).st_mode
            ours = (
                name.startswith((*_OURS[part], "watchdog")) or name in _HARMLESS
            )  # a watchdog once opened resets
            if (stat.S_ISCHR(kind) or stat.S_ISBLK(kind)) and not ours and path != "/dev/vcio":
                found.append(path)
    return sorted(found)


def _open(path: str) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))


def _list(path: str) -> None:
    """Read a folder or a file. An empty folder put in its place is as good as none."""
    if not Path(path).is_dir():
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    elif not any(Path(path).iterdir()):
        raise OSError(errno.ENOENT, "an empty folder stands there")


def _write_file(folder: Path) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".janus-self-test-") as file:
        file.write(b"janus")
        file.flush()
        os.fsync(file.fileno())


def _reach(path: str) -> None:
    """See that the socket is there and takes this user, without connecting: a door has one client."""
    if not stat.S_ISSOCK(Path(path).stat().st_mode):
        raise OSError(errno.ENOTSOCK, f"{path} is no socket")
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, f"{path} does not take this user")


def _spawn(program: str) -> None:
    """Start a program and wait for it. Raises OSError where the kernel did not let it begin."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1, 2)]
    child = os.posix_spawn(program, [program, "--version"], {}, file_actions=quiet)
    os.waitpid(child, 0)


def _spawn_own(folder: str) -> None:
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".janus-self-test-", delete=False) as file:
        file.write(_HELLO)
    try:
        Path(file.name).chmod(0o700)
        _spawn(file.name)
    finally:
        Path(file.name).unlink()


def _spawn_from_memory() -> None:
    fd = _LIBC.syscall(_MEMFD, b"janus", _MFD_EXEC)
    if fd < 0 and ctypes.get_errno() == errno.EINVAL:  # before Linux 6.3 there was no such flag
        fd = _LIBC.syscall(_MEMFD, b"janus", 0)
    if fd < 0:
        _raise()
    os.write(fd, _HELLO)
    _spawn(f"/proc/self/fd/{fd}")


def _socket(family: str) -> None:
    number = getattr(socket, family, None)
    if number is None:
        raise OSError(errno.EAFNOSUPPORT, "Python knows no such family")
    kind = socket.SOCK_SEQPACKET if family == "AF_ALG" else socket.SOCK_RAW
    with socket.socket(number, socket.SOCK_STREAM if family in ("AF_INET", "AF_INET6", "AF_VSOCK") else kind):
        pass


def _see_interfaces() -> None:
    if {name for _, name in socket.if_nameindex()} <= {"lo"}:
        raise OSError(errno.ENODEV, "there is none")


def _map_writable_executable() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def _make_executable() -> None:
    page = mmap.mmap(-1, 4096)
    page[:4] = b"\x90\x90\x90\xc3"
    start = ctypes.addressof((ctypes.c_char * 4096).from_buffer(page))
    _call("mprotect", ctypes.c_void_p(start), ctypes.c_size_t(4096), mmap.PROT_READ | mmap.PROT_EXEC)


def _make_setuid() -> None:
    with tempfile.NamedTemporaryFile(prefix=".janus-self-test-") as file:
        Path(file.name).chmod(0o4700)


def _see_others() -> None:
    mine, me = os.getuid(), str(os.getpid())
    others = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and entry.name != me]
    if all(entry.stat().st_uid == mine for entry in others):
        raise OSError(errno.ENOENT, "no process of another user is to be seen")


def _have_capabilities() -> None:
    status = Path("/proc/self/status").read_text()
    sets = {key: int(status.partition(f"{key}:")[2].split()[0], 16) for key in ("CapEff", "CapPrm", "CapBnd")}
    if not any(sets.values()):
        raise OSError(errno.EPERM, "there is none, nor can one be had")


def _may_gain() -> None:
    if "NoNewPrivs:\t1" in Path("/proc/self/status").read_text():
        raise OSError(errno.EPERM, "no_new_privs is set")


def _call(function: str, *arguments: Any) -> None:  # noqa: ANN401 - what libc takes
    if getattr(_LIBC, function)(*arguments) < 0:
        _raise()


def _raise() -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number))


def main(arguments: list[str] | None = None) -> int:
    """Try everything, print the report, leave it in the runtime directory; 1 where something is not so."""
    parser = argparse.ArgumentParser(prog="janus-self-test", description="Whether this sandbox is one.")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="default: /etc/janus/janus.toml or latch.toml"
    )
    parser.add_argument("--latchd", action="store_true", help="as janus-latchd, not as janusd")
    options = parser.parse_args(arguments)
    if os.geteuid() == 0:
        print("janus-self-test: not as root, who may do nearly everything; the unit runs it", file=sys.stderr)
        return 2
    part = "latchd" if options.latchd else "janusd"
    path = options.config or Path("/etc/janus") / ("latch.toml" if options.latchd else "janus.toml")
    try:
        config = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"janus-self-test: {path}: {error}", file=sys.stderr)
        return 1
    if options.latchd:
        report = run(part, needs_of_latchd(config))
    else:
        report = run(part, needs_of_janusd(config), lets_of_janusd(config))
    print(report.to_json() if sys.stdout.isatty() or "INVOCATION_ID" not in os.environ else report.in_words)
    if folder := os.environ.get("RUNTIME_DIRECTORY"):
        (Path(folder.split(":")[0]) / NAME).write_text(report.to_json())
    return 0 if not report.failed else 1


if __name__ == "__main__":
    sys.exit(main())
