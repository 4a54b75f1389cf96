"""janus-binding: asks this board for its own secret, and leaves the answer for systemd to hand to janusd.

    janus-binding                       the Raspberry Pi's OTP key, through rpi-fw-crypto
    janus-binding PROGRAM ARGUMENTS     any other board's: what `keys_command` says such a program does

Runs as root, once at boot, in janus-binding.service; janusd.service has `LoadCredential=janus-binding`, and
janus.toml `vault.binding = "credential"`. So janusd needs neither /dev/vcio nor the right to run programs.

Trust boundary: /run/credstore is root's alone, lies in memory and is gone at the next boot. The answer is
never printed. The question is fixed: another one would be another key, and the vault would not open.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from janusd.errors import KeyUnavailable
from janusd_hw.keys_command import CommandBinding
from janusd_hw.keys_rpi import RpiOtp

if TYPE_CHECKING:  # it would load numpy
    from janusd.ports import Binding

QUESTION = b"janusd binding credential v1"
STORE = Path("/run/credstore/janus-binding")


def hand_over(binding: Binding, store: Path) -> None:
    """Ask, and write the 32 bytes for root alone. Raises KeyUnavailable."""
    answer = binding.answer(QUESTION)
    if len(answer) != 32 or len(set(answer)) == 1:
        raise KeyUnavailable(
            f"{binding.name} answered {len(answer)} bytes that are no key", "see that its key is provisioned"
        )
    new = store.with_name(store.name + ".new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
        try:
            os.fchmod(descriptor, 0o400)
            os.write(descriptor, answer)
        finally:
            os.close(descriptor)
        new.replace(store)
    except OSError as error:
        raise KeyUnavailable(
            f"cannot write {store}: {error.strerror}", "make its folder: systemd-tmpfiles --create janus.conf"
        ) from error


def main(arguments: list[str] | None = None, store: Path = STORE) -> int:
    """Ask the board, and give an exit status."""
    command = sys.argv[1:] if arguments is None else arguments
    if command[:1] in (["-h"], ["--help"], ["--version"]):  # whoever asks what this is asks no board
        print(f"usage: janus-binding [PROGRAM ARGUMENTS]: ask this board for its secret, into {STORE}")
        return 0
    try:
        hand_over(CommandBinding(tuple(command)) if command else RpiOtp(), store)
    except KeyUnavailable as error:
        print(f"janus-binding: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
