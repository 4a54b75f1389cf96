"""What the units say is what the programs and the tests believe. Nothing is started."""

from __future__ import annotations

import configparser
import inspect
import re
import struct
from pathlib import Path

import pytest
from latch_kit import WATCHDOG_S

from janusd.config import LatchSection
from janusd_hw.latchd import lock_now
from janusd_hw.latchd.settings import DEFAULT_PATH, Settings

SYSTEMD = Path(__file__).parents[2] / "systemd"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read_string((SYSTEMD / name).read_text())
    return parser


def test_the_watchdog_kills_what_does_not_come_round() -> None:
    service = unit("janus-latchd.service")["Service"]
    assert float(service["WatchdogSec"]) == WATCHDOG_S
    assert service["WatchdogSignal"] == "SIGKILL"  # a stopped process hears no other
    assert service["Restart"] == "always"


def test_the_program_that_locks_afterwards_reads_what_latchd_writes() -> None:
    service = unit("janus-latchd.service")["Service"]
    program, state = service["ExecStopPost"].split()
    assert program.endswith("/janus-lock-now")
    assert state == lock_now.STATE == Settings(()).state
    assert Path(state).parent.name == service["RuntimeDirectory"]
    assert service["ExecStart"].split() == ["/opt/janus/bin/janus-latchd", DEFAULT_PATH]


def test_all_mean_the_same_socket() -> None:
    listens = unit("janus-latchd.socket")["Socket"]["ListenSequentialPacket"]
    assert listens == Settings(()).socket == LatchSection().socket


def test_the_program_that_locks_afterwards_shares_nothing_with_latchd() -> None:
    source = inspect.getsource(lock_now)
    imported = re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE)
    assert not {"gpiod", "janusd", "janusd_hw", "tomllib"} & set(imported)


def test_a_request_to_the_kernel_has_the_layout_of_linux_gpio_h() -> None:
    request = lock_now.request(17, 1)
    assert struct.unpack_from("<I", request, 0) == (17,)
    assert request[256:270] == b"janus-lock-now"
    assert struct.unpack_from("<QI", request, 288) == (1 << 3, 1)  # output, one attribute
    assert struct.unpack_from("<IIQQ", request, 320) == (2, 0, 1, 1)  # its value, for the first line
    assert struct.unpack_from("<I", request, 560) == (1,)  # one line
    assert (lock_now.REQUEST_BYTES, lock_now.GET_LINE) == (592, 0xC250B407)


def test_lock_now_does_every_line_says_which_it_could_not_and_waits_for_a_dying_owner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "locked"
    assert lock_now.main([str(state)]) == 0  # latchd never held a line
    state.write_text("/dev/gpiochip0 17 0\n/dev/gpiochip0 18 1\n/dev/gpiochip0 19 1\n")
    done, patience = [], [OSError(16, "Device or resource busy")] * 3

    def drive(chip: str, offset: int, level: int) -> None:
        if offset == 18:
            raise OSError(5, "Input/output error")
        if offset == 19 and patience:
            raise patience.pop()
        done.append((chip, offset, level))

    assert lock_now.main([str(state)], drive) == 1
    assert done == [("/dev/gpiochip0", 17, 0), ("/dev/gpiochip0", 19, 1)]
    assert "line 18: Input/output error" in capsys.readouterr().err
