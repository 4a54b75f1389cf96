"""What the units say is what the programs and the tests believe. Nothing is started."""

from __future__ import annotations

import configparser
import inspect
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from latch_kit import WATCHDOG_S, as_installed

from janusd.bridge import main as bridge_main
from janusd.bridge import settings as bridge_settings
from janusd.cli.setup.sandbox import drop_in
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


UNITS = [*sorted(path.name for path in SYSTEMD.glob("*.service")), "janus-latchd.socket"]
needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_no_part_of_the_door_is_in_a_group_that_opens_more_than_it_needs(name: str) -> None:
    service = unit(name)["Service"]
    assert "SupplementaryGroups" not in service
    assert "Group" not in service


def test_only_latchd_may_open_a_gpio_chip_and_only_the_binding_the_board_s_key() -> None:
    text = {name: (SYSTEMD / name).read_text() for name in UNITS}
    allowed = {name: re.findall(r"^DeviceAllow=(\S+)", text[name], re.MULTILINE) for name in UNITS}
    assert [name for name in UNITS if "char-gpiochip" in allowed[name]] == ["janus-latchd.service"]
    assert [name for name in UNITS if "/dev/vcio" in allowed[name]] == ["janus-binding.service"]
    assert [name for name in UNITS if "/dev/tpmrm0" in allowed[name]] == ["janusd.service"]
    rules = (SYSTEMD / "99-janus.rules").read_text()
    assert re.search(r'^SUBSYSTEM=="tpmrm", RUN.*u:janus:rw', rules, re.MULTILINE)
    assert all(unit(name)["Service"]["DevicePolicy"] == "closed" for name in UNITS if allowed[name])


def test_a_workbench_gets_its_gpio_by_a_drop_in_that_nobody_installs() -> None:
    example = (SYSTEMD / "janusd.service.d" / "workbench.conf.example").read_text()
    assert "#SupplementaryGroups=gpio" in example
    assert not [line for line in example.splitlines() if line and not line.startswith("#")]


def test_a_part_that_failed_too_often_raises_an_alarm_and_is_tried_again() -> None:
    for name in ("janusd.service", "janus-latchd.service"):
        assert unit(name)["Unit"]["OnFailure"] == "janus-alarm@%N.service"
    alarm = (SYSTEMD / "janus-alarm@.service").read_text()
    assert re.findall(r"^ExecStart=/usr/bin/(\S+)", alarm, re.MULTILINE) == [
        "systemd-cat", "sleep", "systemctl", "systemctl",
    ]  # fmt: skip
    assert unit("janusd.service")["Unit"]["StartLimitBurst"] == "10"
    assert unit("janus-latchd.service")["Unit"]["StartLimitIntervalSec"] == "0"  # the exit button comes back


def test_every_program_of_a_unit_is_one_that_the_package_installs() -> None:
    recipe = (SYSTEMD / "deb" / "build.sh").read_text()
    for name in UNITS:
        for program in re.findall(r"/opt/janus/bin/([a-z-]+)", (SYSTEMD / name).read_text()):
            assert f"\nprogram {program} " in recipe, f"{name} starts {program}"
    for program in ("janus-latchd", "janus-lock-now"):  # as the tests start them, and measure their start
        flags, module = (
            as_installed(program)[1],
            re.findall(r"from (\S+) import", as_installed(program)[-1])[0],
        )
        assert f"\nprogram {program} {module} {flags}\n" in recipe


@pytest.fixture
def placed(tmp_path: Path) -> Path:
    """The units with programs that are there: `systemd-analyze verify` wants to see them."""
    for name in UNITS:
        text = re.sub(r"/opt/janus/bin/[a-z-]+", "/usr/bin/true", (SYSTEMD / name).read_text())
        (tmp_path / name.replace("@", "@janusd")).write_text(text)
    return tmp_path


@needs_analyze
@pytest.mark.parametrize("name", UNITS)
def test_systemd_has_nothing_to_say_about_a_unit(placed: Path, name: str) -> None:
    command = [
        "systemd-analyze",
        "verify",
        "--recursive-errors=no",
        str(placed / name.replace("@", "@janusd")),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.stdout + said.stderr == ""  # it ends with 0 for an unknown key, and says so


@needs_analyze
@pytest.mark.parametrize(("name", "most"), [("janusd.service", 5), ("janus-latchd.service", 4)])
def test_a_unit_s_exposure_stays_as_low_as_it_was_brought(placed: Path, name: str, most: int) -> None:
    """Tenths. janusd reaches 4 with since-257.conf, as the rig's systemd counts it: see docs/adr/0014."""
    path = placed / name
    assert is_at_most(most, path)
    path.write_text(path.read_text().replace("[Service]", "[Service]\nPrivateUsers=yes"))
    assert is_at_most(4 if name == "janusd.service" else 2, path)


def is_at_most(tenths: int, path: Path) -> bool:
    command = [
        "systemd-analyze",
        "security",
        "--offline=yes",
        f"--threshold={tenths}",
        "--no-pager",
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    print(done.stdout.splitlines()[-1])
    return done.returncode == 0


@needs_analyze
@pytest.mark.parametrize(
    "janus",
    [
        {"camera": {"driver": "opencv", "device": "rtsp://10.0.0.7/door", "login": "garden"}},
        {"model": {"delegate": "libedgetpu.so.1"}},
    ],
)
def test_systemd_understands_what_setup_adds_to_the_unit(
    placed: Path, janus: dict[str, dict[str, str]]
) -> None:
    folder = placed / "janusd.service.d"
    folder.mkdir()
    (folder / "janus-setup.conf").write_text(drop_in(janus))
    said = subprocess.run(
        ["systemd-analyze", "verify", placed / "janusd.service"], capture_output=True, text=True, check=True
    )
    assert said.stdout + said.stderr == ""
    (folder / "janus-setup.conf").write_text(f"{drop_in(janus)}AskAround=yes\n")  # it does read that file
    said = subprocess.run(
        ["systemd-analyze", "verify", placed / "janusd.service"], capture_output=True, text=True, check=False
    )
    assert "AskAround" in said.stderr


def test_from_systemd_257_on_everybody_keeps_their_number() -> None:
    assert unit("since-257.conf")["Service"] == {"PrivateUsers": "identity", "RestartMode": "direct"}
    for name in ("janusd.service", "janus-latchd.service"):  # the value that would make all peers 65534
        assert "PrivateUsers" not in unit(name)["Service"]


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


def test_only_the_bridge_to_the_home_has_a_network_and_nothing_enables_it() -> None:
    services = {name: unit(name)["Service"] for name in UNITS if name.endswith(".service")}
    families = {name: service.get("RestrictAddressFamilies", "") for name, service in services.items()}
    assert [name for name, of in families.items() if "AF_INET" in of] == ["janus-mqtt.service"]
    assert families["janus-mqtt.service"].split() == ["AF_UNIX", "AF_INET", "AF_INET6"]
    bridge = services["janus-mqtt.service"]
    assert bridge["User"] == "janus-mqtt"
    assert f"u {bridge['User']} " in (SYSTEMD / "sysusers.conf").read_text()
    assert bridge["ExecStart"].split()[1:] == ["--config", str(bridge_settings.DEFAULT_PATH)]
    assert bridge["LoadCredentialEncrypted"] == bridge_settings.CREDENTIAL
    assert bridge["RestartPreventExitStatus"] == str(bridge_main.EXIT_CONFIG)
    assert not {"Environment", "EnvironmentFile"} & set(bridge)
    postinst = (SYSTEMD / "deb" / "postinst").read_text()
    assert not re.search(r"(systemctl enable|for unit in)[^\n]*janus-mqtt", postinst)


@pytest.mark.skipif(shutil.which("deb-systemd-helper") is None, reason="needs Debian's init-system-helpers")
def test_an_upgrade_enables_nothing_that_an_owner_disabled(tmp_path: Path) -> None:
    """The lines of postinst that enable units, run upon a folder instead of the system."""
    installed, wanted = (
        tmp_path / "lib/systemd/system",
        tmp_path / "etc/systemd/system/multi-user.target.wants",
    )
    installed.mkdir(parents=True)
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/lib").symlink_to("../lib")
    for name in UNITS:
        shutil.copy(SYSTEMD / name, installed)
    postinst = (SYSTEMD / "deb" / "postinst").read_text()
    assert "systemctl enable" not in postinst
    (enables,) = re.findall(r"^for unit in janus-latchd.socket .*?^done$", postinst, re.DOTALL | re.MULTILINE)
    as_dpkg = {**os.environ, "DPKG_ROOT": str(tmp_path), "DPKG_MAINTSCRIPT_PACKAGE": "janusd"}

    def install() -> list[str]:
        subprocess.run(["sh", "-ec", enables], env=as_dpkg, check=True)
        return sorted(path.name for path in wanted.iterdir())

    assert install() == ["janus-binding.service", "janus-latchd.service", "janusd.service"]
    (wanted / "janusd.service").unlink()  # systemctl disable janusd
    assert install() == ["janus-binding.service", "janus-latchd.service"]


def test_an_upgrade_leaves_no_program_running_that_is_not_there_any_more() -> None:
    (restarts,) = re.findall(r"systemctl try-restart (.*) \|\|", (SYSTEMD / "deb" / "postinst").read_text())
    lasting = [name for name in UNITS if unit(name).has_section("Install") and name.endswith(".service")]
    assert sorted(restarts.split()) == sorted(set(lasting) - {"janus-binding.service"})


@needs_analyze
def test_what_a_network_costs_the_bridge_s_exposure_is_all_it_costs(placed: Path) -> None:
    """1.2, of which 1.0 is the network itself."""
    assert is_at_most(12, placed / "janus-mqtt.service")
