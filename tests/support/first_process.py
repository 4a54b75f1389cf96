"""What a program needs that is the first process of a small kernel: see `small_kernel`."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE, DELETE_MODULE = 313, 176  # x86-64


def say(**what: object) -> None:
    """Tell the test something."""
    print("JANUS " + json.dumps(what), flush=True)


def mount(kind: str, where: str) -> None:
    """Mount a file system that needs no device. Raises OSError."""
    if LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mount {where}")


def modules() -> list[str]:
    """The modules that came along, in the order of loading."""
    words = Path("/proc/cmdline").read_text().split()
    found = next(word for word in words if word.startswith("janus_modules="))
    return found.partition("=")[2].split(",")


def insert(module: str, options: str = "") -> None:
    """Load a module. Raises OSError."""
    with Path(module).open("rb") as file:
        if LIBC.syscall(FINIT_MODULE, file.fileno(), options.encode(), 0):
            raise OSError(ctypes.get_errno(), f"{module} cannot be loaded")


def remove(module: str) -> None:
    """Unload a module, where it can be."""
    LIBC.syscall(DELETE_MODULE, module.encode(), 0)


def run(main: Callable[[], None], more: Sequence[tuple[str, str]] = ()) -> None:
    """Mount what any program needs, run `main`, say how it went, and switch the machine off."""
    try:
        for kind, where in (
            ("proc", "/proc"),
            ("sysfs", "/sys"),
            *more,
            ("tmpfs", "/tmp"),
            ("tmpfs", "/run"),
        ):
            mount(kind, where)
        os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        say(kernel=os.uname().release)
        main()
        say(done=True)
    except BaseException:  # noqa: BLE001 - the first process of a kernel has nobody else to tell
        say(error=traceback.format_exc())
    finally:
        sys.stdout.flush()
        Path("/proc/sysrq-trigger").write_text("o")
        time.sleep(10)
