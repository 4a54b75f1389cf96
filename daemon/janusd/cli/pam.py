"""janus-pam: lets a user of this machine log in or unlock the screen with the face that janusd knows.

    auth  sufficient  pam_exec.so quiet stdout type=auth /opt/janus/bin/janus-pam

PAM starts it as root with PAM_USER; it says what to do, watches the door's decisions for a few seconds, and
ends with 0 where the person that kiosk.toml names for this user was recognised meanwhile. Everything else is
1, and PAM goes on to the password: no camera, no janusd, a stranger, nobody, or the time being up. Nobody has
to wait for that: Ctrl-C goes on at once.

It does not answer for who sits elsewhere: a log-in over a network is never granted because somebody stands
before this camera. What janusd decides it takes as it is; it holds no picture, no score and no key.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.door import Event
from janusd.errors import ConfigError, JanusError

DEFAULT_PATH = Path("/etc/janus/kiosk.toml")
LONGEST_S, USUAL_S = 30.0, 6.0
SOCKET = "/run/janus/control"
_HERE = ("", "localhost", "::1", "127.0.0.1")


class _TimeIsUp(Exception):  # no OSError, which a client would take for one of its socket
    pass


@dataclass(frozen=True, slots=True)
class Kiosk:
    """A kiosk.toml: who may log in with whose face."""

    people: Mapping[str, str]
    """User name on this machine -> name of the person as enrolled."""
    wait_s: float = USUAL_S
    """For how long a face is waited for before the password is asked for."""
    socket: str = SOCKET


def load(path: Path) -> Kiosk:
    """Read a kiosk.toml. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}", "write it: see /opt/janus/share/kiosk.toml") from error
    people, wait_s = table.pop("people", None), table.pop("wait_s", USUAL_S)
    where = table.pop("socket", SOCKET)
    if not isinstance(people, dict) or not all(isinstance(name, str) and name for name in people.values()):
        raise ConfigError(f"{path}: people: must be a table of names", 'for instance ada = "Ada Byron"')
    if type(wait_s) not in (int, float) or not 1 <= wait_s <= LONGEST_S:
        raise ConfigError(f"{path}: wait_s: must be from 1 to {LONGEST_S:g}, not {wait_s!r}", "correct it")
    if table or not isinstance(where, str):
        raise ConfigError(f"{path}: {', '.join(table) or 'socket'}: no such key, or not text", "correct it")
    return Kiosk(people, float(wait_s), where)


def expected(kiosk: Kiosk, environment: Mapping[str, str]) -> str:
    """The person whose face lets this user in, or "" where no face does."""
    if environment.get("PAM_TYPE", "auth") != "auth" or environment.get("PAM_RHOST", "") not in _HERE:
        return ""
    return kiosk.people.get(environment.get("PAM_USER", ""), "")


def is_recognised(person: str, events: Iterable[Event]) -> bool:
    """Whether the door lets that very person in, before the events or the time end."""
    return any(event.unlocks and event.name == person for event in events)


def main(environment: Mapping[str, str] = os.environ, path: Path = DEFAULT_PATH) -> int:
    """Wait for the face; 0 where it came."""
    try:
        kiosk = load(path)
        person = expected(kiosk, environment)
        if not person:
            return 1
        print(
            f"Look at the camera. After {kiosk.wait_s:g} s, or Ctrl-C, your password is asked for.",
            flush=True,
        )
        # Whatever hangs, a socket or a clock, the password is asked for in time.
        signal.signal(signal.SIGALRM, _time_is_up)
        signal.signal(signal.SIGINT, _time_is_up)
        signal.setitimer(signal.ITIMER_REAL, kiosk.wait_s)
        with contextlib.suppress(_TimeIsUp), Client(Path(kiosk.socket)) as client:
            if is_recognised(person, (event for event, _ in RemoteDoor(client).watch())):
                return 0
    except JanusError as error:
        print(f"janus-pam: {error.what}", file=sys.stderr)
    return 1


def _time_is_up(number: int, frame: FrameType | None) -> None:
    raise _TimeIsUp


if __name__ == "__main__":
    sys.exit(main())
