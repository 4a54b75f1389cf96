"""What the terminal at the other end can show."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO

from janusd.cli.terminal import kitty

_ANSWER_S = 0.6
"""For a terminal to answer, over a line round half the world."""
_DEVICE = "\x1b[c"
_DEVICE_ANSWER = re.compile(rb"\x1b\[\?([\d;]*)c")
_SIXEL = "4"
"""The extension that primary device attributes list for sixel graphics."""


class Way(StrEnum):
    """How a live picture is shown."""

    TEXT = "text"
    """Not at all: hints, one a line."""
    BLOCKS = "blocks"
    SIXEL = "sixel"
    KITTY = "kitty"


def can_draw(out: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether pictures may be drawn at all: a terminal with colours and UTF-8, and nobody said no."""
    return (
        out.isatty()
        and "NO_COLOR" not in environment
        and environment.get("TERM", "dumb")
        not in ("dumb", "unknown", "vt100", "vt220", "linux-m", "xterm-mono")
        and (out.encoding or "").lower().replace("-", "") == "utf8"
        and environment.get("LC_ALL", "") not in ("C", "POSIX")  # Python takes UTF-8 to be meant by these
    )


def has_true_colour(environment: Mapping[str, str]) -> bool:
    """Whether the terminal says that it takes 24 bits a colour; sshd passes COLORTERM on only where told."""
    term = environment.get("TERM", "")
    return environment.get("COLORTERM", "") in ("truecolor", "24bit") or "direct" in term or "kitty" in term


def best_way(out: TextIO, environment: Mapping[str, str], *, keys_fd: int) -> Way:
    """The best way this terminal has. Asks it, so that its keys must be read raw already."""
    if not can_draw(out, environment):
        return Way.TEXT
    answer = _ask(out, keys_fd)
    if b"\x1b_Gi=31;OK" in answer:
        return Way.KITTY
    found = _DEVICE_ANSWER.search(answer)
    has_sixel = found is not None and _SIXEL in found.group(1).decode("ascii").split(";")
    # Where colours are few, greys as sixels show a face better than blocks in 240 colours.
    return Way.SIXEL if has_sixel and not has_true_colour(environment) else Way.BLOCKS


def _ask(out: TextIO, keys_fd: int) -> bytes:
    """What the terminal says of itself; every terminal answers the second question, and that last."""
    out.write(kitty.QUERY + _DEVICE)
    out.flush()
    answer, end_s = b"", time.monotonic() + _ANSWER_S
    while not _DEVICE_ANSWER.search(answer) and (left_s := end_s - time.monotonic()) > 0:
        if select.select([keys_fd], [], [], left_s)[0]:
            chunk = os.read(keys_fd, 1024)
            if not chunk:
                break
            answer += chunk
    return answer
