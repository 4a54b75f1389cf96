"""The manual pages: up to date, whole, and printed by groff without a warning."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import msgspec
import pytest

from janusd import config
from janusd.cli.exits import MEANINGS
from janusd.cli.main import make_parser
from janusd.errors import ConfigError
from janusd.manual import commands, settings
from janusd.manual.__main__ import FOLDER, written
from janusd.manual.commands import Command
from janusd.manual.pages import EXAMPLE_LATCH, EXAMPLES_TOML, pages
from janusd.manual.roff import Page
from janusd_hw.latchd import main as latchd
from janusd_hw.latchd import settings as latch_settings

ROOT = Path(__file__).parents[2]
SHIPPED = (ROOT / "systemd/janus.toml").read_text(encoding="utf-8")
PAGES = {page.file: page for page in pages(ROOT)}


def printed(text: str) -> str:
    """What groff makes of a page, without bold and underlined. Fails on any warning."""
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        [groff, "-man", "-Tutf8", "-ww", "-P-cbou"], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode and "cannot open" in done.stderr:
        pytest.skip("groff is here without its man macros (package groff)")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def every(command: Command) -> list[Command]:
    return [command, *(inner for verb in command.verbs for inner in every(verb))]


def test_what_is_committed_is_what_would_be_written_now() -> None:
    there = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / FOLDER).iterdir()}
    made = written(ROOT)
    assert there.keys() == made.keys()
    stale = [name for name in made if there[name] != made[name]]
    assert not stale, "run `make man`"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_printed_without_a_warning_and_has_what_a_page_has(name: str) -> None:
    text = printed(PAGES[name].text())
    headings = re.findall(r"^[A-Z][A-Z ]+$", text, re.MULTILINE)
    for heading in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "FILES", "EXAMPLES", "SEE ALSO"):
        assert heading in headings
    assert headings == list(dict.fromkeys(headings))
    assert not re.search(r"`|\\|None|docs/adr/0", text)


def test_each_verb_and_each_option_of_janusctl_is_on_its_page() -> None:
    text = " ".join(printed(PAGES["janusctl.1"].text()).split())
    for command in every(commands.read(make_parser())):
        assert " ".join(command.words) in text
        for one in command.options + command.places:
            assert f"{', '.join(one.flags)} {one.value}".strip() in text
            assert one.says.rstrip(".")[1:] in text
    for code, meaning in MEANINGS.items():
        assert re.search(rf" {int(code)} .{re.escape(meaning[1:])}\.", text)


def test_an_option_of_which_one_is_to_be_chosen_shows_its_choices() -> None:
    text = printed(PAGES["janusctl.1"].text())
    assert "[--live | --from-images DIR]" in text
    assert "--role owner|resident|guest" in text
    assert "[--two-people | --no-two-people]" in text


def test_each_key_of_janus_toml_is_on_its_page_with_default_limits_and_a_word_about_it() -> None:
    sections = settings.of_janusd(SHIPPED)
    assert {section.name for section in sections} == set(config.Config.__struct_fields__)
    for section in sections:
        assert section.says
        fields = {
            field.name: field
            for field in msgspec.structs.fields(type(getattr(config.Config(), section.name)))
        }
        keys = (*section.keys, *section.unlisted)
        assert sorted(key.name for key in keys) == sorted(fields)
        for key in keys:
            assert key.says, f"{section.name}.{key.name} needs a docstring"
            value = tomllib.loads(f"key = {key.default}")["key"]
            assert msgspec.convert(value, fields[key.name].type) == fields[key.name].default
    text = printed(PAGES["janus.toml.5"].text())
    assert re.search(r'level = "passive"\n.*\n.*One of "off", "passive", "live"\.', text)
    assert re.search(r"hold_s = 5\n +For how long.* A number from 0\.2 to\s+30\.", text)


def test_sections_follow_in_the_order_of_the_file_that_ships() -> None:
    order = re.findall(r"^\[(\w+)\]", SHIPPED, re.MULTILINE)
    assert re.findall(r"^   \[(\w+)\]$", printed(PAGES["janus.toml.5"].text()), re.MULTILINE) == order


def test_each_key_of_latch_toml_is_on_the_page_of_its_daemon() -> None:
    shipped = (ROOT / "systemd/latch.toml").read_text(encoding="utf-8")
    keys = [key for section in settings.of_latchd(shipped, latch_settings) for key in section.keys]
    assert all(key.says or key.limits for key in keys)
    names = {key.name for key in keys}
    assert set(latch_settings.Settings.__dataclass_fields__) - {"doors"} <= names
    assert set(latch_settings.Door.__dataclass_fields__) - {"name", "lines"} <= names
    assert {*latch_settings.ROLES, "triggers"} <= names


def test_the_examples_of_the_pages_are_good(tmp_path: Path) -> None:
    for text in EXAMPLES_TOML.values():
        config.parse(text)
    latch = tmp_path / "latch.toml"
    latch.write_text(EXAMPLE_LATCH)
    latch_settings.load(str(latch))


@pytest.mark.parametrize(
    "text",
    [
        ".so /etc/passwd",
        "'br",
        r"\fBbold\fR \(bu \n",
        'a "quoted" word',
        "^ ~ ` ' - --",
        "Käse, naïve «quotes» €",
        "%s",
    ],
)
def test_no_text_becomes_a_command_or_another_sign(text: str) -> None:
    page = Page("x", 1, text)
    page.paragraphs(f"A\n\n{text}")
    page.example([text])
    shown = printed(page.text())
    assert f"           {text}\n" in shown
    if "`" not in text:  # in a sentence they mark what is typed
        assert f"       {text}\n" in shown.replace("\N{HYPHEN}", "-")


def test_janus_latchd_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("-h", "--help", "--version"):
        assert latchd.main([flag]) == 0
        assert capsys.readouterr().out == latchd.HELP + "\n"


def test_text_that_is_too_long_is_told_in_characters() -> None:
    with pytest.raises(
        ConfigError, match=r"latch\.door: must be text in quotes, of 1 to 32 characters, not ''"
    ):
        config.parse('[latch]\ndoor = ""\n')


def test_the_package_installs_each_page_and_the_completion(tmp_path: Path) -> None:
    build = (ROOT / "systemd/deb/build.sh").read_text(encoding="utf-8")
    (to,) = re.findall(r"^to\(\) .*$", build, re.MULTILINE)
    (step,) = re.findall(r"^for page in .*?^done\n(?:to [^\n]*\n)+", build, re.MULTILINE | re.DOTALL)
    script = f"set -euo pipefail\nroot=$1 tree=$2\n{to}\n{step}\n"
    subprocess.run(["bash", "-c", script, "build", str(ROOT), str(tmp_path)], check=True)
    installed = {str(path.relative_to(tmp_path)): path for path in tmp_path.rglob("*") if path.is_file()}
    assert set(installed) == {
        "usr/share/man/man1/janusctl.1.gz",
        "usr/share/man/man5/janus.toml.5.gz",
        "usr/share/man/man8/janus-latchd.8.gz",
        "usr/share/man/man8/janus-mqtt.8.gz",
        "usr/share/man/man8/janusd.8.gz",
        "usr/share/bash-completion/completions/janusctl",
        "usr/share/zsh/vendor-completions/_janusctl",
        "usr/share/fish/vendor_completions.d/janusctl.fish",
    }
    packed = installed["usr/share/man/man1/janusctl.1.gz"].read_bytes()
    assert gzip.decompress(packed).decode() == PAGES["janusctl.1"].text()
    assert packed[4:8] == b"\0\0\0\0"  # gzip -n: no time of packing
