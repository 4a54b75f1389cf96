"""janus-session: unlocks the screen of the user of this kiosk whose face janusd recognised.

    systemctl enable --now janus-session      # once /etc/janus/kiosk.toml names people

The screen is one more thing that a decision opens: whoever is let in, and is named in kiosk.toml, gets the
session they are logged in to at this machine's own screen unlocked (`loginctl unlock-session`). It looks at
nothing but decisions as they fall: without one it never unlocks. The screen locks itself again as its user
set it, and the password stays the way in when there is no camera, no janusd or no face.

Sessions of a network, of another seat, and those in the background are left alone: their user is not here.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from janusd.cli.client import Client
from janusd.cli.pam import DEFAULT_PATH, Kiosk, load
from janusd.cli.remote import RemoteDoor
from janusd.door import Event
from janusd.errors import ConfigError, JanusError

LOGINCTL = "/usr/bin/loginctl"
_HERE = {"Remote": "no", "Active": "yes", "Class": "user"}
_AGAIN_S, _PATIENCE_S = 2.0, 10.0
EXIT_CONFIG = 78


def users(kiosk: Kiosk, event: Event) -> list[str]:
    """Whose screens a decision unlocks."""
    return [user for user, person in kiosk.people.items() if event.unlocks and event.name == person]


def unlock(user: str, loginctl: str = LOGINCTL) -> list[str]:
    """Unlock that user's sessions at this machine's screen, and give their numbers. Raises OSError."""
    ids = [
        line.split()[0]
        for line in _ask(loginctl, "list-sessions", "--no-legend").splitlines()
        if line.strip()
    ]
    opened = []
    for session in ids:
        try:
            shown = _ask(
                loginctl, "show-session", session, *(f"-p{name}" for name in ("Name", "Seat", *_HERE))
            )
        except OSError:
            continue  # it ended since it was listed: the next one may be theirs
        about = dict(line.partition("=")[::2] for line in shown.splitlines())
        is_here = all(about.get(name) == value for name, value in _HERE.items()) and about.get("Seat")
        if about.get("Name") == user and is_here:
            _ask(loginctl, "unlock-session", session)
            opened.append(session)
    return opened


def serve(kiosk: Kiosk, events: Iterable[Event], loginctl: str = LOGINCTL) -> None:
    """Unlock for each decision, until the events end."""
    for event in events:
        for user in users(kiosk, event):
            try:
                opened = unlock(user, loginctl)
                what = f"session {' '.join(opened)} of {user} is unlocked" if opened else ""
                _say(what or f"{user} is recognised, and has no session at this machine's screen")
            except (OSError, subprocess.SubprocessError) as error:
                _say(f"the session of {user} cannot be unlocked: {error}; try: loginctl list-sessions")


def main(
    path: Path = DEFAULT_PATH, loginctl: str = LOGINCTL, pause: Callable[[float], None] = time.sleep
) -> int:
    """Serve for as long as this machine runs; a janusd that is away is waited for."""
    try:
        kiosk = load(path)
    except ConfigError as error:
        _say(str(error))
        return EXIT_CONFIG
    while True:
        try:
            with Client(Path(kiosk.socket)) as client:
                serve(kiosk, (event for event, _ in RemoteDoor(client).watch()), loginctl)
        except JanusError as error:
            _say(error.what)
        pause(_AGAIN_S)


def _ask(*command: str) -> str:
    done = subprocess.run(  # noqa: S603 - loginctl, and no word of an outsider
        command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
    if done.returncode:
        raise OSError(done.returncode, f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _say(text: str) -> None:
    print(f"janus-session: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
