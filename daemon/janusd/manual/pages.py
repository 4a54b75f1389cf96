"""The manual pages, and every sentence of them that no source has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path

from janusd import config, main
from janusd.bridge import main as bridge
from janusd.bridge import settings as bridge_settings
from janusd.cli import exits
from janusd.cli.main import make_parser
from janusd.manual import commands, files, parts, settings
from janusd.manual.commands import Command
from janusd.manual.roff import Page, bold, italic
from janusd.manual.settings import Section
from janusd_hw.latchd import main as latchd
from janusd_hw.latchd import settings as latch_settings

HOME = "https://github.com/janusd/janusd"
_NAMES = {
    "janusctl(1)": "look after a door that janusd keeps",
    "janusd(8)": "watch a door and unlock it for the people enrolled there",
    "janus-latchd(8)": "hold the lock, the exit button and the sensors of a door",
    "janus-mqtt(8)": "tell a home's MQTT broker what a door does",
    "janus.toml(5)": "configuration of janusd",
}
EXAMPLES_TOML = {
    "A Raspberry Pi with its own camera and a lock on janus-latchd:": """\
[camera]
driver = "picamera2"

[latch]
driver = "latchd"
door = "front"
""",
    "A USB camera, a stricter promise, and everybody shows that they are no picture:": """\
[camera]
driver = "opencv"
device = "/dev/video0"

[promise]
years = 10
tries_a_day = 5

[attack]
level = "live"
""",
    "Members of the group janus-owners may use janusctl; user 1001 may look and suspend people:": """\
[control]
group = "janus-owners"
operators = [1001]
""",
}
EXAMPLE_OBSERVERS = """\
[control]
observers = ["janus-mqtt"]
"""
EXAMPLE_MQTT = [
    "sudo systemd-creds encrypt --name=janus-mqtt - /etc/credstore.encrypted/janus-mqtt",
    "sudo cp /opt/janus/share/mqtt.toml /etc/janus/",
    "sudo systemctl restart janusd && sudo systemctl enable --now janus-mqtt",
]
EXAMPLE_LATCH = """\
[door.front]
lock = "fail-secure"
relay = { line = 17, active_low = false }
rex = { line = 27, active_low = true, bias = "pull-up" }
"""


def pages(root: Path) -> list[Page]:
    """All of them, from the repository at `root`."""
    on_device = files.on_device((root / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    shipped = (root / "systemd/janus.toml").read_text(encoding="utf-8")
    shipped_latch = (root / "systemd/latch.toml").read_text(encoding="utf-8")
    shipped_mqtt = (root / "systemd/mqtt.toml").read_text(encoding="utf-8")
    return [
        _janusctl(commands.read(make_parser()), on_device),
        _janusd(commands.read(main.make_parser()), on_device),
        _latchd(settings.of_latchd(shipped_latch, latch_settings), on_device),
        _mqtt(
            commands.read(bridge.make_parser()),
            settings.of_structs(shipped_mqtt, bridge_settings, bridge_settings.Config),
            on_device,
        ),
        _toml(settings.of_janusd(shipped), on_device),
    ]


def _janusctl(program: Command, on_device: dict[str, str]) -> Page:
    page = _page("janusctl(1)")
    page.heading("SYNOPSIS")
    page.synopsis("janusctl", *parts.usage(program))
    page.synopsis("janusctl", italic("VERB"), bold("--help"))
    page.heading("DESCRIPTION")
    page.paragraphs(program.description)
    page.paragraphs(
        "It asks janusd(8) over its control socket and does nothing by itself: no camera, no key, no "
        "network. Only `setup`, `model` and `attack-test report` work without a running daemon. A new door "
        "begins with `janusctl setup`."
    )
    page.heading("OPTIONS")
    page.paragraphs("`--socket` and `--json` may stand before the verb or after it.")
    parts.options(page, program)
    page.item(f"{bold('-h')}, {bold('--help')}", "Explain the program, or the verb before it, and end.")
    page.heading("VERBS")
    for verb in program.verbs:
        page.item(bold(verb.words[-1]), verb.does)
    shared = frozenset(flag for option in program.options for flag in option.flags)
    for verb in program.verbs:
        _verb(page, verb, shared)
    parts.exit_status(page, {int(code): meaning for code, meaning in exits.MEANINGS.items()})
    page.heading("ENVIRONMENT")
    for line in program.remarks.splitlines():
        for variable in re.findall(r"\b[A-Z]+_[A-Z]+\b", line):
            page.item(bold(variable), line.replace("$", ""))
    page.item(bold("JANUS_ROOT"), "For `janusctl setup`: as --root.")
    parts.where(page, on_device, "/run/janus/control", "/etc/janus/", "/var/lib/janus-models")
    page.heading("EXAMPLES")
    page.example(program.examples)
    page.paragraphs("Each verb has examples of its own above.")
    _see_also(page, "jq(1)")
    return page


def _verb(page: Page, verb: Command, shared: frozenset[str]) -> None:
    page.subheading(" ".join(verb.words))
    if not (verb.verbs and verb.is_verb_needed):
        page.synopsis(" ".join(verb.words), *parts.usage(verb, shared, ends=True))
    if verb.verbs:
        page.synopsis(" ".join(verb.words), italic("WHAT"), "...")
    page.paragraphs(verb.description or f"{verb.does[0].upper()}{verb.does[1:]}.")
    parts.options(page, verb, shared)
    if verb.examples:
        page.paragraphs("For example:")
        page.example(verb.examples)
    for inner in verb.verbs:
        _verb(page, inner, shared)


def _janusd(program: Command, on_device: dict[str, str]) -> Page:
    page = _page("janusd(8)")
    page.heading("SYNOPSIS")
    page.synopsis("janusd", *parts.usage(program))
    page.heading("DESCRIPTION")
    page.paragraphs(program.description.replace("janusctl", "janusctl(1)"))
    page.paragraphs(
        "systemd starts it as janusd.service, in a sandbox without a network. It reads janus.toml(5) and "
        "says that it is ready once it has looked at a first picture. The lock is held by "
        "janus-latchd(8), which locks when janusd ends or hangs. Decisions go to a sealed door log "
        "(`janusctl log`) and, without names, to the journal."
    )
    page.heading("OPTIONS")
    parts.options(page, program)
    page.item(f"{bold('-h')}, {bold('--help')}", "Explain all this, and end.")
    page.heading("SIGNALS")
    page.item(f"{bold('SIGTERM')}, {bold('SIGINT')}", "Lock, write down what is to be written, and end.")
    page.item(
        bold("SIGHUP"),
        "Read the configuration again. One that is wrong changes nothing; what takes a restart is said.",
    )
    parts.exit_status(
        page, main.MEANINGS, "The reason stands on standard error. systemd does not start it again after 78."
    )
    parts.where(
        page, on_device, "/etc/janus/janus.toml", "/etc/janus/model-keys", "/var/lib/janus", "/run/janus/"
    )
    page.heading("EXAMPLES")
    page.paragraphs("Look whether a configuration is good before it is used:")
    page.example(["/opt/janus/bin/janusd --check --config janus.toml"])
    page.paragraphs("Let the running one read it:")
    page.example(["sudo systemctl reload janusd"])
    page.paragraphs("What the door refused today:")
    page.example(["journalctl JANUS_CODE=JANUS-DECISION-UNKNOWN --since today"])
    _see_also(page, "systemd.exec(5)", "journalctl(1)")
    return page


def _latchd(sections: list[Section], on_device: dict[str, str]) -> Page:
    _, description, _ = latchd.HELP.split("\n\n")
    page = _page("janus-latchd(8)")
    page.heading("SYNOPSIS")
    page.synopsis("janus-latchd", f"[{bold('-h')}]", f"[{italic('FILE')}]")
    page.heading("DESCRIPTION")
    page.paragraphs(description)
    page.paragraphs(
        "It is a small process with GPIO and nothing else. It bounds every release, locks when janusd(8) "
        "ends or is silent, and serves the exit button while everything else is down. When it ends "
        "itself, systemd runs janus-lock-now, which drives the relays to locked. `latch.driver` in "
        "janus.toml(5) makes janusd use it."
    )
    page.heading("OPTIONS")
    page.item(italic("FILE"), f"The configuration; {latch_settings.DEFAULT_PATH}, if not given.")
    page.item(f"{bold('-h')}, {bold('--help')}", "Say how it is called, and end.")
    page.heading("CONFIGURATION")
    page.paragraphs(
        "The file is TOML and belongs to root. These keys stand at its top; each is shown with its "
        "default, the lines as an example. A field that is wrong is named, with what is allowed, and "
        "janus-latchd does not start."
    )
    top, door, line = sections
    parts.keys(page, top.keys)
    page.subheading(f"[{door.name}]")
    page.paragraphs("One table a door.")
    parts.keys(page, door.keys)
    page.subheading("A line")
    page.paragraphs(
        'A line is an offset, a name such as "GPIO17", or a table with `line` and any of these keys. '
        "Active means: relay with current, button pressed, door closed, enclosure opened, somebody there."
    )
    parts.keys(page, line.keys)
    parts.exit_status(
        page,
        latchd.MEANINGS,
        "The reason stands on standard error. systemd does not start it again after 78.",
    )
    parts.where(page, on_device, "/etc/janus/latch.toml", "/run/janus-latch.sock", "/run/janus-latchd")
    page.heading("EXAMPLES")
    page.paragraphs("A strike on line 17 and an exit button on line 27:")
    page.example(EXAMPLE_LATCH.splitlines())
    page.paragraphs("Ask for what it does:")
    page.example(["journalctl -u janus-latchd --since today"])
    _see_also(page, "gpioinfo(1)")
    return page


def _mqtt(program: Command, sections: list[Section], on_device: dict[str, str]) -> Page:
    page = _page("janus-mqtt(8)")
    page.heading("SYNOPSIS")
    page.synopsis("janus-mqtt", *parts.usage(program))
    page.heading("DESCRIPTION")
    page.paragraphs(program.description)
    page.paragraphs(
        "It is a process and a user of its own: janusd(8) has no network. It hears of codes, as the "
        "journal does, once janus.toml(5) names its user (`control.observers`), and of names of people and "
        "silent alarms only where `control.observers_hear` says so. What happens while the broker is away "
        "stands in the door log alone. systemd starts it as janus-mqtt.service where somebody enables that."
    )
    page.heading("OPTIONS")
    parts.options(page, program)
    page.item(f"{bold('-h')}, {bold('--help')}", "Explain all this, and end.")
    page.heading("CONFIGURATION")
    page.paragraphs(
        "The file is TOML and belongs to root. User name and password are no part of it but of the "
        f"credential {bridge_settings.CREDENTIAL}, in two lines."
    )
    for section in sections:
        page.subheading(f"[{section.name}]")
        page.paragraphs(parts.sentence(section.says))
        parts.keys(page, (*section.keys, *section.unlisted))
    parts.exit_status(
        page,
        bridge.MEANINGS,
        "The reason stands on standard error. systemd does not start it again after 78.",
    )
    parts.where(page, on_device, "/etc/janus/mqtt.toml", "/run/janus/control")
    page.heading("EXAMPLES")
    page.paragraphs("Let the door appear at home. In janus.toml:")
    page.example(EXAMPLE_OBSERVERS.splitlines())
    page.paragraphs(
        "In a shell; the first command reads user name and password, a line each, until Ctrl-D, and "
        "mqtt.toml wants the name of your broker:"
    )
    page.example(EXAMPLE_MQTT)
    _see_also(page, "systemd-creds(1)", "mosquitto(8)")
    return page


def _toml(sections: list[Section], on_device: dict[str, str]) -> Page:
    page = _page("janus.toml(5)")
    page.heading("SYNOPSIS")
    page.paragraphs(f"`{config.DEFAULT_PATH}`")
    page.heading("DESCRIPTION")
    _, why = inspect.cleandoc(config.__doc__ or "").split("\n\n")
    page.paragraphs(
        "What janusd(8) is to do. The file is TOML; what it leaves out has the default shown here."
    )
    page.paragraphs(why)
    page.paragraphs(
        "Sections follow in the order of the file that is installed as /opt/janus/share/janus.toml."
    )
    page.heading("SECTIONS")
    for section in sections:
        page.subheading(f"[{section.name}]")
        page.paragraphs(parts.sentence(re.sub(r"docs/adr/0*(\d+)", r"ADR \1", section.says)))
        parts.keys(page, (*section.keys, *section.unlisted))
    page.heading("EXIT STATUS")
    page.paragraphs("Of `janusd --check`, which reads this file and the models and then ends:")
    for code, meaning in {**main.MEANINGS, 0: "the file is good"}.items():
        page.item(bold(str(code)), parts.sentence(meaning))
    parts.where(page, on_device, "/etc/janus/janus.toml", "/etc/janus/latch.toml")
    page.heading("EXAMPLES")
    for says, text in EXAMPLES_TOML.items():
        page.paragraphs(says)
        page.example(text.splitlines())
    page.paragraphs("Let the running daemon read it again:")
    page.example(["sudo systemctl reload janusd"])
    _see_also(page)
    page.paragraphs(f"An ADR is a decision record: {HOME}/tree/main/docs/adr")
    return page


def _page(title: str) -> Page:
    name, section = re.fullmatch(r"(.+)\((\d)\)", title).groups()  # type: ignore[union-attr]  # ours
    return Page(name, int(section), _NAMES[title])


def _see_also(page: Page, *others: str) -> None:
    page.heading("SEE ALSO")
    ours: Iterable[str] = (name for name in _NAMES if name != f"{page.name}({page.section})")
    page.paragraphs(", ".join(f"`{name[:-3]}`{name[-3:]}" for name in (*ours, *others)) + f"\n\n{HOME}")
