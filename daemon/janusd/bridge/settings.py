"""mqtt.toml: which broker, and what the door is called there.

TLS is used for every broker but one on this machine. What the door tells at all, names of people or calls for
help, is not decided here but by janusd, in janus.toml: what this process never hears it cannot give away.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from janusd import sections
from janusd.errors import ConfigError
from janusd.sections import where

DEFAULT_PATH = Path("/etc/janus/mqtt.toml")
CREDENTIAL = "janus-mqtt"
"""Of systemd: two lines, the user name and the password."""
_TLS_PORT, _PLAIN_PORT = 8883, 1883

_Name = Annotated[str, Meta(min_length=1, max_length=64)]


class _Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of all sections."""


class BrokerSection(_Section, frozen=True):
    """[broker]: where the broker is."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    """Its name or address; its certificate must say the same."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """0: 8883 with TLS, 1883 without."""
    tls: bool | None = None
    """Left out: with TLS, but on this machine itself."""
    ca: str = ""
    """A file with the certificates that vouch for the broker's; empty: those of the system."""
    insecure: bool = False
    """Allows tls = false to another machine: password and messages then pass in the clear."""

    @property
    def is_here(self) -> bool:
        """Whether the broker is on this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is sealed."""
        return not self.is_here if self.tls is None else self.tls

    @property
    def tcp_port(self) -> int:
        """Where to connect."""
        return self.port or (_TLS_PORT if self.uses_tls else _PLAIN_PORT)


class DoorSection(_Section, frozen=True):
    """[door]: which door, and what it has."""

    name: _Name = "Door"
    """What it is called at home."""
    id: Annotated[str, Meta(min_length=0, max_length=64)] = ""
    """Tells it from other doors there, for good; empty: made of this machine's own number."""
    contact: bool = False
    """Whether a contact tells that it stands open: latch.toml names one."""
    tamper: bool = False
    """Whether a contact tells that the enclosure is opened."""
    socket: str = "/run/janus/control"
    """Where janusd listens."""


class HomeSection(_Section, frozen=True):
    """[home]: topics at the broker."""

    discovery: _Name = "homeassistant"
    """Where Home Assistant looks for devices."""
    topic: _Name = "janus"
    """Before what the door says: janus/ID/state, janus/ID/event ..."""


class Config(_Section, frozen=True):
    """A whole mqtt.toml."""

    broker: BrokerSection
    door: DoorSection = DoorSection()
    home: HomeSection = HomeSection()


_SECTIONS: dict[str, type[_Section]] = {field.name: field.type for field in msgspec.structs.fields(Config)}


def load(path: Path) -> Config:
    """Read a file. Raises ConfigError that lists every wrong field with its line and what is allowed."""
    return parse(sections.text_of(path, "write it: see /opt/janus/share/mqtt.toml"), str(path))


def parse(text: str, name: str = "mqtt.toml") -> Config:
    """Read the text of a configuration; `name` stands for it in messages."""
    tables, problems = sections.tables(text, name, _SECTIONS, {bool | None: "must be true or false"})
    if "broker" not in tables:
        problems.append("[broker]: write this section, with the host of your broker")
    if problems:
        sections.refuse(name, problems)
    config = msgspec.convert(tables, Config)
    sections.refuse(name, _contradictions(config, text))
    return config


def login(folder: Path | None) -> tuple[str, str] | None:
    """User name and password from systemd's folder of credentials, or None where it holds none.

    Raises ConfigError for one that is not two lines; it never says what stands there.
    """
    if folder is None or not (folder / CREDENTIAL).exists():
        return None
    remedy = f"make it anew: systemd-creds encrypt --name={CREDENTIAL} - FILE, and type the two lines"
    try:
        lines = (folder / CREDENTIAL).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the credential {CREDENTIAL} cannot be read: {type(error).__name__}", remedy
        ) from None
    if len(lines) != 2 or not all(lines):
        raise ConfigError(f"the credential {CREDENTIAL} must be two lines, user name and password", remedy)
    return lines[0], lines[1]


def door_id(section: DoorSection, machine_id: Path = Path("/etc/machine-id")) -> str:
    """What tells this door from others: as configured, or made of the machine's number without telling it.

    Raises ConfigError where the machine has none.
    """
    if section.id:
        return section.id
    try:
        number = machine_id.read_bytes().strip()
    except OSError as error:
        raise ConfigError(
            f"{machine_id} cannot be read ({error.strerror}), so the door has no id of its own",
            'give it one in mqtt.toml: [door] id = "front"',
        ) from error
    return hmac.new(number, b"org.janusd.mqtt", hashlib.sha256).hexdigest()[:12]


def credentials_folder() -> Path | None:
    """Where systemd put this unit's credentials."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def _contradictions(config: Config, text: str) -> list[str]:
    """Fields that are each allowed but cannot be, or do not go together."""
    problems, broker = [], config.broker
    if not broker.uses_tls and not broker.is_here and not broker.insecure:
        problems.append(
            where(text, "broker", "tls")
            + "false sends the password to another machine in the clear; if that is meant, write"
            + " insecure = true beside it"
        )
    if broker.ca and not broker.uses_tls:
        problems.append(where(text, "broker", "ca") + "is not used without TLS; remove it, or set tls = true")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", config.door.id):
        problems.append(where(text, "door", "id") + "must be letters, digits, _ and - only")
    if not config.door.name.isprintable():
        problems.append(where(text, "door", "name") + "must be printable")
    for key in ("discovery", "topic"):
        if not re.fullmatch(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*", getattr(config.home, key)):
            problems.append(
                where(text, "home", key) + "must be words of letters, digits, _ and -, with / between them"
            )
    return problems
