"""Board profiles: complete, consistent, and honest about what nobody knows.

The numbers are those of the sources the files name. That a board behaves so is not tested anywhere.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from janusd.errors import ConfigError, InstallerError
from janusd_hw import boards
from janusd_hw.boards.__main__ import main

ROOT = Path(__file__).parents[2]
WANTED = {
    "generic", "jetson-nano", "jetson-orin-nano", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-cm4",
    "raspberry-pi-cm5", "raspberry-pi-zero-2-w",
}  # fmt: skip


def text(name: str) -> str:
    return (resources.files(boards) / f"{name}.toml").read_text()


def test_there_is_a_file_for_each_board_we_name() -> None:
    assert set(boards.names()) == WANTED


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_board_is_complete_and_does_not_contradict_itself(name: str) -> None:
    board = boards.load(name)
    assert {"chip_source", "kernel_source", "dead_owner_source", "pins", "boot", "thermal"} <= set(
        board.sources
    )
    assert board.threads >= 1
    if name == "generic":
        return
    assert set(board.wiring) == set(boards.ROLES)
    assert len(board.pins) >= 20
    if name.startswith("raspberry-pi"):
        assert board.boot_pull(board.wiring["relay"]) == "down"
        assert board.pull_up | board.pull_down >= set(board.pins.values())
        assert (board.throttle_c, board.limit_c) == (80, 85)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "raspberry-pi-4"),
        ("Raspberry Pi 5 Model B Rev 1.0", "raspberry-pi-5"),
        ("Raspberry Pi Compute Module 4 Rev 1.1", "raspberry-pi-cm4"),
        ("Raspberry Pi Compute Module 5 Rev 1.0", "raspberry-pi-cm5"),
        ("Raspberry Pi Zero 2 W Rev 1.0", "raspberry-pi-zero-2-w"),
        ("NVIDIA Jetson Nano Developer Kit", "jetson-nano"),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit", "jetson-orin-nano"),
        ("Some other computer", "generic"),
        ("", "generic"),
    ],
)
def test_a_board_is_known_by_the_model_its_firmware_gives(model: str, name: str) -> None:
    assert boards.detect(model).key == name


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("11 = 17", "11 = 18", "line 18 is on two pins"),
        ("40 = 21", "41 = 21", "pin 41 is not on a 40-pin header"),
        ("relay = 17", "relay = 2", "line 2 (relay) is not to be used: I2C SDA"),
        ("relay = 17", "relay = 4", "line 4 is pulled up at boot: the relay would pull in"),
        ("relay = 17", "relay = 27", "line 27 is recommended twice"),
        ("relay = 17", "", "wiring.relay is missing"),
        ("throttle_c = 80", "throttle_c = 90", "throttle_c is not below limit_c"),
        ('chip = "label:', 'cheap = "label:', "chip is missing"),
        ("[camera]", "[kamera]", "[camera] is missing"),
        ("pull_up = [0, 1", "pull_up = [9, 0, 1", "line 9 is pulled up and down"),
        ('dead_owner = "persists"', 'dead_owner = "sleeps"', "not one of persists"),
        ("[pins]", "[pins", "is not TOML"),
        ("11 = 17", 'x = "y"', "invalid literal"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(old: str, new: str, said: str) -> None:
    good = text("raspberry-pi-4")
    assert old in good
    with pytest.raises(InstallerError, match=r"raspberry-pi-4\.toml") as refused:
        boards.parse(good.replace(old, new, 1), "raspberry-pi-4")
    assert said in str(refused.value)


def test_a_board_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"there is no board 'pi'; choose one of generic, jetson-nano"):
        boards.load("pi")


def test_nothing_speaks_against_the_example_s_lines_on_a_pi_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = (ROOT / "systemd" / "latch.toml").read_text()
    path = tmp_path / "latch.toml"
    path.write_text(example.replace('chip = "/dev/gpiochip0"', 'chip = "label:pinctrl-bcm2711"'))
    assert main(["raspberry-pi-4", "--check", str(path)]) == 0
    path.write_text('chip = "label:pinctrl-bcm2711"\n[door.front]\nrelay = 3\nrex = 40')
    assert main(["raspberry-pi-4", "--check", str(path)]) == 1
    said = capsys.readouterr().out
    assert "door.front.relay: line 3 (relay) is not to be used" in said
    assert "line 40 (rex) is on no pin" in said


def test_a_board_is_shown_pin_by_pin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["raspberry-pi-5"]) == 0
    said = capsys.readouterr().out
    assert "pin 11  line  17  pulled down    recommended for: relay" in said
    assert main(["jetson-orin-nano"]) == 0
    assert main(["nothing"]) == 1
