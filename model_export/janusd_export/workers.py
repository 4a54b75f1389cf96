"""Processes that work for the first one, and end with it, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVarTuple

import cv2

Given = TypeVarTuple("Given")


def pool(jobs: int, start: Callable[[*Given], object], *given: *Given) -> ProcessPoolExecutor:
    """So many fresh processes, each begun with `start(*given)`; all of it must be picklable."""
    return ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), begin, (start, *given))


def begin(start: Callable[[*Given], object], *given: *Given) -> None:
    """The first thing that such a process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process ends the others
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    cv2.setNumThreads(1)
    start(*given)


def _end_with_the_first() -> None:
    first = multiprocessing.parent_process()
    if first is not None:
        first.join()
        os._exit(1)  # it was killed: nobody is left to take what this one makes
