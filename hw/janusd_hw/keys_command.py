"""A board's own key behind any program: Jetson's OP-TEE with an EKB key, a secure element's tool.

The program gets the question on standard input and writes 32 bytes as 64 hexadecimal digits on standard
output, the same ones each time, and ends with 0. What it writes is never logged.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from janusd.errors import KeyUnavailable

_TIMEOUT_S = 10.0
_ANSWER = re.compile(rb"[0-9a-fA-F]{64}\s*")


@dataclass(frozen=True, slots=True)
class CommandBinding:
    """Hardware that a command asks."""

    command: tuple[str, ...]
    """Program, by its whole path, and arguments; no shell."""

    @property
    def name(self) -> str:
        """Which program."""
        return f"hardware behind {self.command[0]}"

    def answer(self, question: bytes) -> bytes:
        """The 32 bytes it writes. Raises KeyUnavailable."""
        return ask(list(self.command), question, self.name, "run it by hand to see what it lacks")


def ask(command: list[str], question: bytes, what: str, remedy: str) -> bytes:
    """Run the program on the question; its 32 bytes. Raises KeyUnavailable that never shows an answer."""
    try:
        done = subprocess.run(  # noqa: S603  # the program the owner's configuration names
            command, input=question, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        why = getattr(e, "strerror", None) or f"no answer in {_TIMEOUT_S:g} s"
        raise KeyUnavailable(f"{what} cannot be asked: {command[0]}: {why}", remedy) from e
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1][:200] if said else f"exit status {done.returncode}"
        raise KeyUnavailable(f"{what} did not answer: {command[0]}: {why}", remedy)
    if not _ANSWER.fullmatch(done.stdout):
        raise KeyUnavailable(f"{what} answered something that is no key", remedy)
    return bytes.fromhex(done.stdout.decode().strip())
