"""Completion of janusctl in a real bash, and in zsh and fish where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from janusd.cli.main import make_parser
from janusd.door import Person
from janusd.manual import commands
from janusd.manual.completion import fish, script, zsh
from support.fake_door import FakeDoor
from support.serving import serving
from support.terminal import Terminal

Complete = Callable[..., list[str]]
ASK = 'source "$0"; COMP_WORDS=(janusctl "$@") COMP_CWORD=$#; _janusctl; printf "%s\\n" "${COMPREPLY[@]}"'
NASTY = "Eve $(touch owned) `touch owned` \"x\" 'y' \\z"
NAMES = ("Anna Berg", "bob", "Zoë", NASTY)


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    people = [Person(name, "2026-11-22T08:00:00+00:00", 5, "") for name in NAMES]
    with serving(tmp_path / "control", FakeDoor(people)):
        yield tmp_path / "control"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with a janusctl that says in a file that it was started."""
    program = tmp_path / "bin" / "janusctl"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/bash\n: > "{tmp_path}/asked"\nexec {sys.executable} -m janusd.cli.main "$@"\n'
    )
    program.chmod(0o755)
    # Nobody's Tab waits here, and a machine that runs tests may be busy: no limit of two seconds.
    (program.parent / "timeout").write_text('#!/bin/bash\nshift\nexec "$@"\n')
    (program.parent / "timeout").chmod(0o755)
    (tmp_path / "completion").write_text(script(commands.read(make_parser())))
    (tmp_path / "here").mkdir()
    return {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "JANUS_SOCKET": str(tmp_path / "control"),
        "PYTHONPATH": ":".join(sys.path),
    }


@pytest.fixture
def complete(tmp_path: Path, environment: dict[str, str]) -> Complete:
    def ask(*words: str) -> list[str]:
        """What Tab offers after these words; the last one is what was typed of the next."""
        done = subprocess.run(
            ["/bin/bash", "--norc", "-uc", ASK, str(tmp_path / "completion"), *words],
            cwd=tmp_path / "here", env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []

    return ask


def test_verbs_their_verbs_and_options_are_offered(complete: Complete) -> None:
    assert complete("un") == ["unlock-face"]
    assert complete("people", "re") == ["rename", "resume"]
    assert complete("people", "set", "anna", "--no") == ["--no-two-people"]
    assert complete("--json", "log", "--s") == ["--socket", "--since"]
    assert "--socket" in complete("--")
    assert complete("no-such-verb", "") == []


def test_choices_are_offered_for_options_and_places(complete: Complete) -> None:
    assert complete("people", "set", "anna", "--role", "") == ["owner", "resident", "guest"]
    assert complete("enrol", "--picture", "=", "s") == ["sixel"]
    assert complete("enrol", "--picture", "=") == ["auto", "blocks", "sixel", "kitty", "none"]
    assert complete("log", "--limit", "5", "ver") == ["verify"]
    assert complete("log", "verify", "") == []
    assert complete("setup", "--step", "li") == ["lines"]


def test_files_and_folders_are_offered_where_they_are_meant(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "here" / "front.people").touch()
    (tmp_path / "here" / "faces").mkdir()
    assert sorted(complete("people", "import", "f")) == ["faces", "front.people"]
    assert complete("enrol", "bob", "--from-images", "f") == ["faces"]


@pytest.mark.usefixtures("door")
def test_people_are_offered_wherever_a_name_is_asked(complete: Complete) -> None:
    assert complete("forget", "A") == [r"Anna\ Berg"]
    assert complete("people", "suspend", "b") == ["bob"]
    assert complete("forget", "--yes", "Z") == ["Zoë"]
    assert complete("why", r"Anna\ B") == [r"Anna\ Berg"]
    assert complete("confirm", '"An') == ["Anna Berg"]
    assert complete("people", "rename", "bob", "") == []  # the new name is not anybody's


def test_every_place_for_somebody_enrolled_is_known(tmp_path: Path, complete: Complete) -> None:
    text = (tmp_path / "completion").read_text()
    verbs = [
        "why",
        "confirm",
        "forget",
        *(f"people {verb}" for verb in ("set", "rename", "suspend", "resume")),
    ]
    for verb in verbs:
        assert "places=(@person" in text.split(f'"{verb}")')[1].split(";;")[0], verb


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("typed", ["Eve", '"Eve', "'Eve"])
def test_a_name_is_never_run_and_comes_back_as_it_is(typed: str, complete: Complete, tmp_path: Path) -> None:
    (offered,) = complete("forget", typed)
    quote = typed[0] if typed[0] in "'\"" else ""
    assert not (tmp_path / "here" / "owned").exists()
    said = subprocess.run(
        ["/bin/bash", "-c", f"printf %s {quote}{offered}{quote}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == NASTY
    assert not (tmp_path / "owned").exists()


def test_without_a_daemon_nobody_is_asked(complete: Complete, tmp_path: Path) -> None:
    assert complete("forget", "") == []
    (tmp_path / "control").touch()  # a file, not a socket
    assert complete("forget", "") == []
    assert not (tmp_path / "asked").exists()


def test_the_socket_on_the_command_line_is_the_one_that_is_asked(
    complete: Complete, environment: dict[str, str], door: Path
) -> None:
    environment["JANUS_SOCKET"] = "/nowhere"
    assert complete("forget", "b") == []
    assert complete("--socket", str(door), "forget", "b") == ["bob"]


@pytest.mark.usefixtures("door")
def test_tab_completes_in_an_interactive_shell(environment: dict[str, str], tmp_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    with Terminal([bash, "--norc", "--noprofile", "-i"], environment=environment) as terminal:
        terminal.type(f"PS1='> '; bind 'set bell-style none'; source {tmp_path}/completion; clear\n")
        terminal.until(lambda: terminal.text.strip() == ">")
        terminal.type("janusctl forg\tAn\t")
        terminal.says(r"janusctl forget Anna\ Berg")
        terminal.type('\x15janusctl forget "An\t')
        terminal.says('janusctl forget "Anna Berg"')


NEEDS_FISH = pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish here")
NEEDS_ZSH = pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh here")


@pytest.fixture
def in_fish(tmp_path: Path, environment: dict[str, str]) -> Complete:
    (tmp_path / "janusctl.fish").write_text(fish(commands.read(make_parser())))

    def ask(line: str) -> list[str]:
        """What Tab offers on this line, without what is said about each."""
        done = subprocess.run(
            ["fish", "--no-config", "-c", f"source {tmp_path}/janusctl.fish; complete -C $argv[1]", line],
            cwd=tmp_path / "here", env=environment | {"HOME": str(tmp_path)}, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return [offered.partition("\t")[0] for offered in done.stdout.splitlines()]

    return ask


@NEEDS_FISH
def test_fish_offers_verbs_options_choices_files_and_folders(in_fish: Complete, tmp_path: Path) -> None:
    assert in_fish("janusctl unl") == ["unlock-face"]
    assert in_fish("janusctl people re") == ["rename", "resume"]
    assert in_fish("janusctl --json log --s") == ["--since", "--socket"]
    assert in_fish("janusctl people set anna --role ") == ["guest", "owner", "resident"]
    assert in_fish("janusctl enrol --picture sixel bob --picture ") == [
        "auto", "blocks", "kitty", "none", "sixel"
    ]  # fmt: skip
    assert in_fish("janusctl log --limit 5 ver") == ["verify"]
    assert in_fish("janusctl log verify ") == []
    (tmp_path / "here" / "front.people").touch()
    (tmp_path / "here" / "faces").mkdir()
    assert sorted(in_fish("janusctl people import f")) == ["faces/", "front.people"]
    assert in_fish("janusctl enrol bob --from-images f") == ["faces/"]


@NEEDS_FISH
@pytest.mark.usefixtures("door")
def test_fish_offers_people_and_runs_nothing_of_their_names(in_fish: Complete, tmp_path: Path) -> None:
    assert in_fish("janusctl forget A") == ["Anna Berg"]
    assert in_fish("janusctl people suspend b") == ["bob"]
    assert in_fish("janusctl forget --yes Z") == ["Zoë"]
    assert in_fish("janusctl people rename bob ") == []
    assert in_fish("janusctl forget Eve") == [NASTY]
    assert not (tmp_path / "here" / "owned").exists()


@NEEDS_ZSH
@pytest.mark.usefixtures("door")
def test_zsh_completes_in_an_interactive_shell(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "_janusctl").write_text(zsh(commands.read(make_parser())))
    given = environment | {"HOME": str(tmp_path), "TERM": "xterm"}
    with Terminal(["/usr/bin/env", "zsh", "-f", "-i"], environment=given, columns=100) as terminal:
        terminal.type(f"PS1='> '; unsetopt beep; fpath=({tmp_path} $fpath); autoload -U compinit\n")
        terminal.type(f"compinit -u -d {tmp_path}/dump; cd {tmp_path}/here; clear\n")
        terminal.until(lambda: terminal.text.strip() == ">")
        terminal.type("janusctl forg\tAn\t")
        terminal.says(r"janusctl forget Anna\ Berg")
        terminal.type("\x15janusctl people set bob --two-p\t--role=gu\t")
        terminal.says("janusctl people set bob --two-people --role=guest")
        terminal.type("\x15janusctl enrol x --picture si\t")
        terminal.says("janusctl enrol x --picture sixel")
        terminal.type("\x15janusctl forget Ev\t")
        terminal.says(r"janusctl forget Eve\ \$\(touch\ owned")
        terminal.type("\x15janusctl vault \t")
        terminal.says("make a backup now")
    assert not (tmp_path / "here" / "owned").exists()


def test_each_shell_is_offered_the_same_verbs_and_options() -> None:
    program = commands.read(make_parser())
    made = {"bash": script(program), "zsh": zsh(program), "fish": fish(program)}
    every = [program, *program.verbs, *(inner for verb in program.verbs for inner in verb.verbs)]
    for command in every:
        for name, text in made.items():
            assert all(verb.words[-1] in text for verb in command.verbs), name
            for option in command.options:
                assert all(flag.lstrip("-") in text for flag in option.flags), (name, option.flags)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_good_syntax(shell: str, tmp_path: Path) -> None:
    if (program := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell} here")
    write = {"bash": script, "zsh": zsh, "fish": fish}[shell]
    (tmp_path / "script").write_text(write(commands.read(make_parser())))
    done = subprocess.run([program, "-n", tmp_path / "script"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
