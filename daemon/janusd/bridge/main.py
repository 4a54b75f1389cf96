"""janus-mqtt: the program. One queue, one thread that acts; door and broker each put in what they say."""

from __future__ import annotations

import argparse
import contextlib
import queue
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from janusd import __version__
from janusd.bridge import broker, messages, settings
from janusd.bridge.broker import Connection, Lost, Ready
from janusd.bridge.messages import Message, Place
from janusd.bridge.settings import Config
from janusd.cli.client import Client
from janusd.cli.remote import RemoteDoor
from janusd.door import Sight, Told
from janusd.errors import ConfigError, InstallerError, JanusError

EXIT_CONFIG = 78
"""As the unit knows it: it stays so until somebody writes the file anew, or installs what is missing."""
MEANINGS = {
    0: "ended as asked",
    1: "--forget did not reach the broker",
    2: "the command line was not understood",
    EXIT_CONFIG: "the configuration is wrong, or paho-mqtt is missing",
}
_WAIT_S, _LONGEST_S = 1.0, 60.0
_FORGET_S = 20.0

DESCRIPTION = """\
Tell a home's MQTT broker what the door does; Home Assistant discovers the door there by itself.

It goes one way. Nothing that comes from the broker is read, and no message there unlocks the door: whoever
may write at a broker, a phone, a plug, a guest's tablet, would have its key."""

EXAMPLES = """\
examples:
  /opt/janus/bin/janus-mqtt --check
  sudo systemctl enable --now janus-mqtt
take the door out of the home again (the broker's login is the service's, so systemd runs it):
  sudo systemctl disable --now janus-mqtt
  sudo systemd-run --pipe --wait -p User=janus-mqtt -p LoadCredentialEncrypted=janus-mqtt \\
      /opt/janus/bin/janus-mqtt --forget"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What janusd says."""

    sight: Sight
    told: Sequence[Told]
    hears: frozenset[str]
    missed: int


@dataclass(frozen=True, slots=True)
class Away:
    """janusd is not to be reached."""

    why: str


class Stop:
    """Somebody asks this program to end."""


Word: TypeAlias = Seen | Away | Ready | Lost | Stop


class Bridge:
    """Between one door and one broker."""

    def __init__(
        self,
        config: Config,
        place: Place,
        login: tuple[str, str] | None,
        *,
        say: Callable[[str], None],
        wait_s: float = _WAIT_S,
        again_s: float = messages.SAID_AGAIN_S,
    ) -> None:
        """`wait_s` is the first of the growing waits."""
        self._config, self._place, self._login = config, place, login
        self._say, self._wait_s, self._again_s = say, wait_s, again_s
        # SimpleQueue, whose put may be called from a signal handler
        self._words: queue.SimpleQueue[Word] = queue.SimpleQueue()
        self._sight: Sight | None = None
        self._hears = frozenset[str]()
        self._connection: Connection | None = None
        self._is_ready = False
        self._failed = 0
        self._due_s = 0.0
        """When to connect again, or to say the state again."""
        self._trouble: dict[str, str] = {}
        """What was said last of the door's and the broker's absence."""

    def stop(self) -> None:
        """End `run`. From any thread, and from a signal handler."""
        self._words.put(Stop())

    def run(self) -> None:
        """Tell until `stop`. Raises ConfigError and InstallerError for what waiting does not cure."""
        threading.Thread(target=self._watch, name="door", daemon=True).start()
        try:
            self._connect()
            while True:
                try:
                    word = self._words.get(timeout=max(0.0, self._due_s - time.monotonic()))
                except queue.Empty:
                    self._on_time()
                    continue
                if isinstance(word, Stop):
                    return
                self._on(word)
        finally:
            self._leave()

    def _on(self, word: Seen | Away | Ready | Lost) -> None:
        match word:
            case Seen():
                self._seen(word)
            case Away(why):
                self._sight = None
                self._complain("janusd", why)
                self._publish(messages.available(self._place, False))
            case Ready(by) if by is self._connection:
                self._is_ready, self._failed = True, 0
                self._recovered("broker", f"the broker at {self._config.broker.host} listens")
                self._publish(*self._everything())
                self._due_s = time.monotonic() + self._again_s
            case Lost(by, why) if by is self._connection:
                self._connection, self._is_ready = None, False
                self._complain("broker", why)
                # Not all doors of a house at the same moment, when its broker comes back.
                wait_s = min(self._wait_s * 2**self._failed, _LONGEST_S) * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
                self._failed = min(self._failed + 1, 16)
                self._due_s = time.monotonic() + wait_s
            case Ready() | Lost():
                pass  # of a connection that was given up

    def _on_time(self) -> None:
        if self._connection is None:
            self._connect()
        else:
            if self._sight is not None:
                self._publish(messages.state(self._place, self._sight))
            self._due_s = time.monotonic() + self._again_s

    def _seen(self, seen: Seen) -> None:
        before, self._sight = self._sight, seen.sight
        heard, self._hears = self._hears, seen.hears
        if before is None:
            self._recovered("janusd", "janusd answers")
        if before is None or (before.version, heard) != (seen.sight.version, seen.hears):
            self._publish(*self._everything())
        elif replace(before, uptime_s=seen.sight.uptime_s) != seen.sight:
            self._publish(messages.state(self._place, seen.sight))
        for told in seen.told:
            self._publish(*messages.happened(self._place, told))
        if seen.missed:
            self._say(f"{seen.missed} events came faster than they could be told: the door log has them")

    def _everything(self) -> list[Message]:
        """What a broker has to know that knows nothing."""
        if self._sight is None:
            return [messages.available(self._place, False)]
        return [
            messages.discovery(self._place, self._sight.version, self._hears),
            *([] if "names" in self._hears else [messages.person(self._place, None)]),
            messages.state(self._place, self._sight),
            messages.available(self._place, True),
        ]

    def _publish(self, *said: Message) -> None:
        """Send, while the broker is there. What happens while it is away is in the door log alone."""
        if self._connection is not None and self._is_ready:
            for message in said:
                self._connection.publish(message)

    def _connect(self) -> None:
        will = messages.available(self._place, False)
        client_id = f"janus-{self._place.id}"
        self._connection = Connection(self._config.broker, self._login, client_id, will, self._words.put)
        self._due_s = time.monotonic() + self._again_s

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close(*([messages.available(self._place, False)] if self._is_ready else []))

    def _watch(self) -> None:
        """Put in what janusd says, for as long as this process lives."""
        failed = 0
        while True:
            with contextlib.suppress(AttributeError), Client(Path(self._config.door.socket)) as client:
                try:
                    for sight, told, hears, missed in RemoteDoor(client).observe():
                        self._words.put(Seen(sight, told, frozenset(hears), missed))
                        failed = 0
                    why = "janusd ended the conversation"
                except JanusError as error:
                    why = str(error)
                self._words.put(Away(why))
            time.sleep(min(self._wait_s * 2**failed, _LONGEST_S / 2))
            failed = min(failed + 1, 16)

    def _complain(self, of: str, why: str) -> None:
        """Say what is wrong, once for as long as it is the same."""
        if self._trouble.get(of) != why:
            self._trouble[of] = why
            where = f"{self._config.broker.host}:{self._config.broker.tcp_port}: " if of == "broker" else ""
            self._say(f"{of}: {where}{why}")

    def _recovered(self, of: str, how: str) -> None:
        self._trouble.pop(of, None)
        self._say(how)


def forget(config: Config, place: Place, login: tuple[str, str] | None) -> str:
    """Take the door out of the home again: remove all that is retained; why not, or ""."""
    words: queue.SimpleQueue[Ready | Lost] = queue.SimpleQueue()
    will = messages.available(place, False)
    connection = Connection(config.broker, login, f"janus-{place.id}", replace(will, retain=False), words.put)
    try:
        word = words.get(timeout=_FORGET_S)
        if isinstance(word, Lost):
            return word.why
        if not connection.close(*messages.forgotten(place)):
            return "it did not say that it has forgotten: try again"
    except queue.Empty:
        return f"no answer in {_FORGET_S:g} s"
    return ""


def place_of(config: Config, machine_id: Path = Path("/etc/machine-id")) -> Place:
    """The door as the home is to know it. Raises ConfigError."""
    door, home = config.door, config.home
    of = settings.door_id(door, machine_id)
    return Place(of, door.name, home.discovery, home.topic, door.contact, door.tamper)


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="janus-mqtt",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", type=Path, default=settings.DEFAULT_PATH, metavar="FILE", help="mqtt.toml to read"
    )
    parser.add_argument("--check", action="store_true", help="read mqtt.toml, say what is wrong, and end")
    parser.add_argument(
        "--forget",
        action="store_true",
        help="remove from the broker all that it keeps of this door, and end; stop the service first, or it"
        " says all anew",
    )
    parser.add_argument("--version", action="version", version=f"janus-mqtt {__version__}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell until SIGTERM or SIGINT."""
    options = make_parser().parse_args(arguments)
    try:
        config = settings.load(options.config)
        place = place_of(config)
        login = settings.login(settings.credentials_folder())
        broker.library()
        if options.check:
            how = "TLS" if config.broker.uses_tls else "no TLS"
            print(f"{options.config}: {place.name} at {config.broker.host}:{config.broker.tcp_port}, {how}")
            return 0
        if options.forget:
            why = forget(config, place, login)
            _say(why or f"the broker keeps nothing of {place.name} any more")
            return 1 if why else 0
        bridge = Bridge(config, place, login, say=_say)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: bridge.stop())
        bridge.run()
    except (ConfigError, InstallerError) as error:
        _say(str(error))
        return EXIT_CONFIG
    return 0


def _say(text: str) -> None:
    print(f"janus-mqtt: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
