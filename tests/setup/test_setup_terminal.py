"""A person at a terminal: the real janusctl on a pseudo-terminal, its screen as pyte sees it.

Chip and camera are folders, systemctl is a stand-in that starts the real janusd and janus-latchd.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from setup_kit import FACES, device, fake_systemctl, files, show

from janusd import config
from janusd_hw.fake_gpiod import FakeChip

pytest.importorskip("pyte")
from typist import Terminal

JANUSCTL = [sys.executable, "-m", "janusd.cli.main", "setup"]
PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = device(tmp_path / "pi")
    show(root, "ada", "enrol-00")
    return root


@pytest.fixture
def systemctl(tmp_path: Path, root: Path) -> Iterator[Path]:
    """Starts the real daemons; what still runs at the end is stopped."""
    program = fake_systemctl(tmp_path, root)
    (root / "units/real").touch()
    yield program
    for unit in ("janusd.service", "janus-latchd.service"):
        subprocess.run([program, "stop", unit], check=True)


class Passing(threading.Thread):
    """Somebody who looks at the camera until told to go."""

    def __init__(self, root: Path, person: str) -> None:
        super().__init__()
        self.root, self.person, self.gone = root, person, threading.Event()

    def run(self) -> None:
        number = 1
        while not self.gone.wait(0.3):
            show(self.root, self.person, f"street-{number % 3:02}", number)
            number += 1


@pytest.mark.slow
def test_a_door_from_nothing_to_the_first_unlock_by_answers_alone(
    root: Path, tmp_path: Path, systemctl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time it prints is that of a machine that does all the typing; the issue allows three minutes."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for picture in FACES.glob("ada/enrol-*.webp"):
        shutil.copy(picture, pictures)
    (tmp_path / "door.toml").write_text(
        "[lines]\nrelay = 11\nrex = 13\nhold_s = 0.5\n[pulse]\nrelay = true\nhold_s = 0.2\n"
        '[keys]\nsource = "file"\n'
        f'[promise]\nyears = 1\n[enrol]\nname = "Ada Byron"\nfrom_images = "{pictures}"\ntry_for_s = 60\n'
    )
    chip, passing = FakeChip(root / "dev/gpiochip0", "falls"), Passing(root, "ada")
    command = [*JANUSCTL, "--root", str(root), "--answers", str(tmp_path / "door.toml")]
    start_s = time.monotonic()
    with Terminal(command, environment={"JANUS_SYSTEMCTL": str(systemctl)}) as terminal:
        terminal.see("Now try it: Ada Byron", 120)
        assert [level for _, level in chip.timeline(17)] == [1, 0]  # the pulse
        passing.start()
        try:
            assert terminal.end(90) == 0, terminal.all
        finally:
            passing.gone.set()
            passing.join()
        took_s = time.monotonic() - start_s
    said = terminal.all
    assert "Janusd answers, and starts with the board." in said
    assert "Ada Byron is enrolled" in said
    assert re.search(r"The door opened for a face, .* after setup began\.", said)
    assert [level for _, level in chip.timeline(17)][:3] == [1, 0, 1]
    assert {path.read_text() for path in (root / "units").glob("janus*.service")} == {"enabled active"}
    assert took_s < 180
    with capsys.disabled():
        print(f" [setup to first unlock: {took_s:.0f} s]", end="")


@pytest.mark.slow
def test_a_person_is_led_through_every_step_at_80_by_24(root: Path) -> None:
    with Terminal([*JANUSCTL, "--root", str(root)]) as terminal:
        screen = terminal.answer("Is that right?", "?")
        assert "This is Raspberry Pi 5; its firmware says" in screen
        terminal.answer("Is that right?")
        terminal.answer("Which camera", "1")
        screen = terminal.see("pixels wide: good")
        assert screen.count("▀") + screen.count("▄") > 200  # a picture, of half blocks
        terminal.type("\r")
        terminal.answer("Take this camera?")
        terminal.answer("What kind of lock", "1")
        screen = terminal.until("A change, or Enter")
        assert "3.3 V  1 │ + + │ 2  5 V" in screen  # the whole header is on one screen of 24 lines
        assert "ground 39 │ - ● │ 40 line 21" in screen
        assert "relay, line 17 11 │ ◆ ● │ 12 line 18" in screen
        terminal.answer("A change, or Enter", "rex 3")
        terminal.see("pin 3 is not to be used: I2C SDA")
        terminal.answer("A change, or Enter", "relay 24")
        terminal.see("pulled up at boot: the relay would pull in")
        terminal.answer("A change, or Enter", "rex 13")
        terminal.see("exit button, line 27 13 │ ◆ -")
        terminal.answer("A change, or Enter")
        terminal.answer("Are these the wires?")
        terminal.answer("how many seconds", "2")
        assert "Whoever stands outside can come" in terminal.answer("Release it now?", "n")
        terminal.answer("how many years", "back")
        terminal.answer("Release it now?", "n")
        terminal.answer("how many years", "1")
        terminal.answer("How many people", "4")
        terminal.answer("strangers try on a day", "2")
        screen = terminal.answer("Promise that?")
        assert "That is one in 730 tries" in " ".join(screen.split())
        assert "Threshold 0." in screen
        assert "neither a thief of the card" in terminal.answer("Which key")
        assert "make a key and an empty vault" in " ".join(terminal.until("Do that?").split())
        assert not (root / "etc/janus").exists()
        terminal.answer("Do that?", "y")
        assert terminal.end() == 0
    assert (config.load(root / "etc/janus/janus.toml").latch.hold_s, set(files(root))) == (
        2, {"janus.toml", "latch.toml"},
    )  # fmt: skip
    assert all(len(line) <= 80 for screen in terminal.screens for line in screen.splitlines())


@pytest.mark.parametrize(
    ("columns", "rows", "environment"),
    [(200, 60, {}), (80, 24, PLAIN)],
    ids=["200x60", "no colour, no UTF-8"],
)
def test_one_step_on_another_terminal_and_ctrl_c_says_how_to_go_on(
    root: Path, columns: int, rows: int, environment: dict[str, str]
) -> None:
    command = [*JANUSCTL, "--root", str(root), "--step", "lines"]
    with Terminal(command, columns, rows, environment) as terminal:
        terminal.answer("What kind of lock")
        screen = terminal.until("A change, or Enter")
        if environment:
            assert "relay, line 17 11 | * o | 12 line 18" in screen
            assert bytes(terminal.received).isascii()
            assert not re.search(rb"\x1b\[[\d;]*[34]\dm", terminal.received)
        else:
            assert "relay, line 17 11 │ ◆ ● │ 12 line 18" in screen
            assert b"\x1b[1;36m" in terminal.received
        terminal.type("\x03")
        assert terminal.end() == 130
        assert "Stopped at the step 'lines'. Nothing was changed." in terminal.all
        assert "Go on: janusctl setup --root" in terminal.all
    assert not (root / "etc/janus").exists()
    assert len(terminal.received) < 8000  # a second on a line of 56 kbit/s


def test_a_connection_that_is_lost_leaves_the_device_alone_and_the_answers_kept(root: Path) -> None:
    with Terminal([*JANUSCTL, "--root", str(root)]) as terminal:
        terminal.answer("Is that right?")
        terminal.answer("Which camera", "skip")
        terminal.until("What kind of lock")
        terminal.hang_up()
        assert terminal.process.wait(20) == 130
    assert not (root / "etc/janus").exists()
    assert "raspberry-pi-5" in (root / "var/lib/janus-setup/draft.toml").read_text()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[list[str]]:
    """A real sshd on loopback; the command that logs in there."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    if not Path(program).exists() or shutil.which("ssh") is None:
        pytest.skip("no sshd here: apt install openssh-server")
    if os.geteuid() != 0:
        pytest.skip("sshd lets root in without a password only when root runs it")
    folder = tmp_path / "ssh"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Path("/run/sshd").mkdir(exist_ok=True)
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", folder / "config"], stderr=log)
    options = [f"-oPort={port}", f"-i{folder}/user", "-oStrictHostKeyChecking=no",
               "-oUserKnownHostsFile=/dev/null", "-oIdentitiesOnly=yes", "-oLogLevel=ERROR"]  # fmt: skip
    try:
        for _ in range(100):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield ["ssh", "-tt", "-F", "none", *options, "root@127.0.0.1"]
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.slow
def test_over_ssh_a_lost_line_leaves_all_as_it_was_and_the_next_one_goes_on(
    root: Path, sshd: list[str]
) -> None:
    remote = " ".join(f"'{word}'" for word in [*JANUSCTL, "--root", str(root)])
    with Terminal([*sshd, remote]) as terminal:
        terminal.answer("Is that right?")
        terminal.answer("Which camera", "skip")
        terminal.until("What kind of lock")
        terminal.process.send_signal(signal.SIGKILL)  # the laptop's lid is closed
    draft, end_s = root / "var/lib/janus-setup/draft.toml", time.monotonic() + 20
    while not (draft.exists() and "raspberry-pi-5" in draft.read_text()):
        assert time.monotonic() < end_s
        time.sleep(0.1)
    assert not (root / "etc/janus").exists()
    step = " ".join(f"'{word}'" for word in [*JANUSCTL, "--root", str(root), "--step", "promise"])
    with Terminal([*sshd, step]) as terminal:
        terminal.answer("how many years", "3")
        terminal.answer("How many people")
        terminal.answer("strangers try on a day")
        terminal.answer("Promise that?")
        terminal.answer("Do that?")
        assert terminal.end() == 0, terminal.all
    assert config.load(root / "etc/janus/janus.toml").promise.years == 3
