"""What keeps the daemon's memory to itself: no core, nobody looks in, keys stay out of swap.

    harden        once, first of all: PR_SET_DUMPABLE 0 (no core, no ptrace, no /proc/PID/mem for others of
                  the same user; prctl(2)) and RLIMIT_CORE 0, which the children inherit too
    keep_in_ram   mlock(2) for the pages a key lies in; small, and allowed without capabilities
    random_key    a new key that was never anything but a bytearray
    wipe          overwrites a key that is no longer needed

What this can't do: Python and the libraries below it copy. A `bytes` object can't be overwritten, so keys are
bytearrays, and what a library gives back as bytes is copied into one at once; the bytes go to the allocator,
which does not clear them. Embeddings and pictures are plain arrays: the door compares with them. Root reads
all of it in the running process. SECURITY.md says what is promised and which test holds it.
"""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path
from typing import TypeAlias

Secret: TypeAlias = bytes | bytearray
"""A key. Those that this program makes are bytearrays; a test's may be bytes, which nobody can wipe."""

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def harden() -> list[str]:
    """Forbid cores and other processes' looks; what could not be had, in words, empty where all is well."""
    missing = []
    if resource.getrlimit(resource.RLIMIT_CORE) != (
        0,
        0,
    ):  # the unit has said it, and forbids saying it again
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        except (OSError, ValueError):
            missing.append("the limit for cores cannot be set; add LimitCORE=0 to the unit")
    if not sys.platform.startswith("linux"):
        return ["this is no Linux: other processes of the same user may look into this one's memory"]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
        missing.append("the kernel would still write a core of this process (PR_SET_DUMPABLE)")
    return missing


def keep_in_ram(secret: bytearray) -> bool:
    """Whether the pages that this key lies in are locked into memory; they stay so while the process lives.

    The bytearray must not grow afterwards: it would move.
    """
    if not secret:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    view = (ctypes.c_char * len(secret)).from_buffer(secret)
    return bool(libc.mlock(ctypes.byref(view), ctypes.c_size_t(len(secret))) == 0)


def random_key(length: int = 32) -> bytearray:
    """A key from the kernel's random numbers, without a copy in a bytes object."""
    key = bytearray(length)
    with Path("/dev/urandom").open("rb", buffering=0) as kernel:
        if kernel.readinto(key) != length:
            raise OSError("the kernel gave too few random bytes")
    return key


def wipe(secret: Secret) -> None:
    """Overwrite a key with zeros. Bytes stay as they are: somebody else may hold the very same object."""
    if isinstance(secret, bytearray):
        secret[:] = bytes(len(secret))
