"""Kill a process at its k-th step, for every k: no hook in the code that is tested.

A step is a call that reaches the disk or the database (`STEPS`). SIGKILL falls before the k-th one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

STEPS = frozenset(
    {
        "execute",
        "fsync",
        "rename",
        "replace",
        "unlink",
        "open",
        "write",
        "mkdir",
        "link",
        "rmdir",
        "close",
        "chmod",
    }
)


def until_killed(work: Callable[..., None], k: int, *arguments: object) -> list[object] | None:
    """What `work(say, *arguments)` said before it was killed at step k; None where it ended before that."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pytest", "janusd.journal", "janusd.vault.keeper"])
    hears, says = processes.Pipe(duplex=False)
    child = processes.Process(target=_count_down, args=(says, k, work, arguments))
    child.start()
    says.close()
    said: list[object] = []
    with hears:
        try:
            while True:
                said.append(hears.recv())
        except EOFError:
            child.join()
    is_killed = child.exitcode == -signal.SIGKILL
    assert is_killed or child.exitcode == 0, f"the work failed by itself: exit code {child.exitcode}, {said}"
    child.close()
    return said if is_killed else None


def _count_down(says: Connection, k: int, work: Callable[..., None], arguments: tuple[object, ...]) -> None:
    left = k

    def step(_: object, event: str, called: object) -> None:
        nonlocal left
        if event == "c_call" and getattr(called, "__name__", "") in STEPS:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def say(word: object) -> None:
        sys.setprofile(None)  # what is said about the work is not part of it
        says.send(word)
        sys.setprofile(step)

    sys.setprofile(step)
    try:
        work(say, *arguments)
    finally:
        sys.setprofile(None)
