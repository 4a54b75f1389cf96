"""What a support report asks this device, not its daemon: settings, hardware, units, journal.

Each gives lines of text, and says in a line what it could not find out. Nothing here is redacted yet but the
settings, of which only numbers and choices ever come: `survey` decides that by their types.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import pwd
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from janusd.cli.setup.place import Place
from janusd.errors import JanusError

UNITS = (
    "janusd.service", "janus-latchd.service", "janus-latchd.socket", "janus-binding.service",
)  # fmt: skip
_PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "ExecMainStatus",
    "ActiveEnterTimestamp", "MemoryCurrent",
)  # fmt: skip
_SYSTEMD = Path("/run/systemd/system")
_WAIT_S = 20.0
_FIRST_USER = 1000
_OURS = frozenset({"janusd", "janus-latchd", "janus-lock-now", "janus-binding", "systemd"})
"""Who speaks for us in the journal; systemd's own lines say which unit they are about."""


def hosts() -> list[str]:
    """What this device is called."""
    names = [platform.node(), socket.gethostname()]
    return [name for name in dict.fromkeys(names) if name and name != "localhost"]


def users() -> list[str]:
    """Who logs in here: their names are not the report's business."""
    names = [one.pw_name for one in pwd.getpwall() if one.pw_uid >= _FIRST_USER and one.pw_name != "nobody"]
    named = [os.environ.get(variable, "") for variable in ("SUDO_USER", "LOGNAME")]
    return [*names, *(name for name in named if name not in ("", "root"))]


def distribution() -> str:
    """The system's name, as it gives itself."""
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    return "unknown"


def settings(place: Place | None = None) -> list[str]:
    """Both configuration files without free text, and what is wrong with them."""
    place = place or Place()
    texts = {}
    for path in (place.janus, place.latch):
        try:
            texts[path.name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            texts[path.name] = ""
            if not isinstance(error, FileNotFoundError):
                return [f"{path.name} cannot be read by this user"]
    from janusd.cli.setup.scout import Scout  # noqa: PLC0415  # with msgspec and subprocess: only here

    scout = Scout(str(place.root))
    try:
        said = scout.settings(texts["janus.toml"], texts["latch.toml"])
        return said or ["all at its default, or neither file is there"]
    except JanusError as error:
        return [error.what]
    finally:
        scout.close()


def survey(place: Place | None = None) -> list[str]:
    """What janusd finds on this device."""
    place = place or Place()
    from janusd.cli.setup.scout import Scout  # noqa: PLC0415

    scout = Scout(str(place.root))
    try:
        found = scout.look()
    except JanusError as error:
        return [error.what]
    finally:
        scout.close()
    lines = [f"board: {found.board.name} ({found.board.key}), chip {found.board.chip}"]
    lines += [f"camera: {one.driver} {one.device}: {one.name}" for one in found.cameras]
    lines += [f"chip: {one.path} {one.label}, {one.lines} lines{_but(one.trouble)}" for one in found.chips]
    lines += [
        f"accelerator: {one.name}, {one.threads} threads{_but(one.trouble)}" for one in found.accelerators
    ]
    lines += [f"key: {one.key}{_but(one.trouble)}" for one in found.keys]
    return [*lines, f"model: {found.model.name}{_but(found.model.trouble)}"]


def units() -> list[str]:
    """How systemd sees our units."""
    if not _has_systemd():
        return ["no systemd runs here"]
    lines = []
    for unit in UNITS:
        said = _run(["systemctl", "show", f"--property={','.join(_PROPERTIES)}", unit])
        lines.append(f"{unit}: " + (", ".join(said.split("\n")) if said else "systemctl does not say"))
    return lines


def journal(lines: int, *, with_words: bool) -> list[str]:
    """Our units' last lines. Without words: only codes, priorities, and what systemd itself says.

    That somebody called for help in silence is nothing for whoever reads reports (docs/adr/0020).
    """
    if not _has_systemd():
        return ["no systemd runs here"]
    chosen = [word for unit in UNITS for word in ("--unit", unit)]
    said = _run(["journalctl", *chosen, "--lines", str(lines), "--output", "json", "--no-pager"])
    shown = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("JANUS_CODE") != "JANUS-DURESS":
                shown.append(_line(entry, with_words=with_words))
    return shown or ["the journal holds nothing of our units, or this user may not read it"]


def _line(entry: dict[str, object], *, with_words: bool) -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    at = datetime.fromtimestamp(int(str(entry.get("__REALTIME_TIMESTAMP", 0))) / 1e6, UTC)
    who = str(entry.get("SYSLOG_IDENTIFIER", "?"))
    code = str(entry.get("JANUS_CODE", ""))
    message = entry.get("MESSAGE", "")
    if not isinstance(message, str):  # journald gives bytes that are no UTF-8 as a list of numbers
        message = "(not text)"
    elif code:
        message = code
    elif who != "systemd" and not with_words:
        message = "(left out)"
    shown = who if who in _OURS else "?"
    return f"{at:%Y-%m-%d %H:%M:%S} {shown} <{entry.get('PRIORITY', '?')}> {message}"


def _has_systemd() -> bool:
    return _SYSTEMD.exists()


def _run(command: Sequence[str]) -> str:
    program = shutil.which(command[0])
    if program is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603 - systemctl and journalctl, with our own words
            [program, *command[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_WAIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _but(trouble: str) -> str:
    return f"; {trouble}" if trouble else ""
