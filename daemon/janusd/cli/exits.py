"""How janusctl ends, for scripts."""

from __future__ import annotations

from enum import IntEnum

from janusd.errors import ControlError, JanusError, NotAllowed


class Exit(IntEnum):
    """Exit codes. They are documented in `janusctl --help` and stay what they are."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    UNWELL = 5
    INTERRUPTED = 130


MEANINGS = {
    Exit.OK: "done",
    Exit.REFUSED: "the door refused, or failed to do it",
    Exit.USAGE: "the command line was not understood",
    Exit.UNREACHABLE: "no daemon answers at the socket",
    Exit.NOT_ALLOWED: "this user may not ask that",
    Exit.UNWELL: "doctor found something that fails",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
}


def exit_of(error: JanusError) -> Exit:
    """The exit code an error ends with."""
    match error:
        case ControlError():
            return Exit.UNREACHABLE
        case NotAllowed():
            return Exit.NOT_ALLOWED
        case _:
            return Exit.REFUSED


def problem(error: JanusError) -> dict[str, dict[str, str]]:
    """An error as `--json` prints it, on standard output."""
    return {"error": {"kind": type(error).__name__, "what": error.what, "remedy": error.remedy}}
