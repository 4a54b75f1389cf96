"""latch.toml, read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.errors import ConfigError
from janusd_hw.latchd import settings as configuration
from janusd_hw.latchd.settings import LONGEST_S, Line, Settings

ROOT = Path(__file__).parents[2]


def read(folder: Path, text: str) -> Settings:
    path = folder / "latch.toml"
    path.write_text(text)
    return configuration.load(str(path))


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


def test_a_relay_is_all_a_door_needs(tmp_path: Path) -> None:
    settings = read(tmp_path, "[door.front]\nrelay = 17")
    (door,) = settings.doors
    assert door.lines == {"relay": Line(17)}
    assert (settings.user, settings.interlock, door.hold_max_s, door.lock) == (
        "janus",
        False,
        10,
        "fail-secure",
    )


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    (door,) = read(
        tmp_path,
        'chip = "label:pinctrl-rp1"\n[door.front]\nrelay = "GPIO17"\nlock = "fail-safe"\nhold_min_s = 3\n'
        'rex = { line = 27, active_low = true, bias = "pull-up", debounce_s = 0.05 }\n'
        "triggers = { pir = 24 }",
    ).doors
    chip = "label:pinctrl-rp1"
    assert door.lines == {
        "relay": Line("GPIO17", chip),
        "rex": Line(27, chip, active_low=True, bias="pull-up", debounce_s=0.05),
        "trigger pir": Line(24, chip),
    }
    assert (door.lock, door.hold_min_s, door.rests_energised) == ("fail-safe", 3.0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "door: there is none"),
        ("[door.front]", "door.front.relay: is missing"),
        (
            "[door.front]\nrelay = 17\nhold_max_s = 60",
            "door.front.hold_max_s: must be from 0.5 to 30, not 60",
        ),
        ("[door.front]\nrelay = 17\nhold_max_s = nan", "door.front.hold_max_s: must be from 0.5 to 30"),
        ("[door.front]\nrelay = 17\nhold_max_s = true", "hold_max_s: must be a number, not True"),
        ("[door.front]\nrelay = 17\nhold_max_s = 3", "hold_max_s: 3 is less than another hold"),
        ("[door.front]\nrelay = -1", "door.front.relay: must be the offset or the name of a line, not -1"),
        ("[door.front]\nrelay = [17]", "door.front.relay: must be the offset or the name of a line"),
        ("[door.front]\nrelay = true", "door.front.relay: must be the offset"),
        (
            '[door.front]\nrelay = {line = 1, bias = "up"}',
            "door.front.relay.bias: must be one of as-is, pull-up",
        ),
        ("[door.front]\nrelay = {line = 1, debounce_s = 9}", "relay.debounce_s: must be from 0 to 1, not 9"),
        ("[door.front]\nrelay = 1\nrelais = 2", "door.front.relais: no such key"),
        (
            '[door.front]\nrelay = 1\nlock = "maglock"',
            "door.front.lock: must be one of fail-secure, fail-safe",
        ),
        ("[door.front]\nrelay = 1\nheartbeat_s = 60", "heartbeat_s: must be from 0.5 to 5"),
        ("[door.front]\nrelay = 1\nrex = 1", "door.front.rex: line 1 is door.front.relay already"),
        ('[door."Haust\u00fcr"]\nrelay = 1', "plain letters"),
        ("door = 3", "door: there is none"),
        ("[door]\nfront = 3", "door.front.relay: is missing"),
        ("interlock = 1\n[door.front]\nrelay = 1", "interlock: must be true or false, not 1"),
        ("[door.front]\nrelay = ", "latch.toml: "),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


def test_every_wrong_field_gets_its_own_line(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "[door.a]\nrelay=-1\nx=1\n[door.b]\nhold_max_s=99").splitlines()) == 4


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/latch\.toml: No such file"):
        configuration.load("/nowhere/latch.toml")


@given(
    st.sampled_from(["hold_max_s", "hold_min_s", "rex_hold_s", "held_open_s", "heartbeat_s"]),
    st.one_of(st.integers(-(10**6), 10**6), st.floats()),
)
def test_no_file_leaves_the_bounds(key: str, value: float) -> None:
    folder = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path("/tmp")
    path = folder / f"janus-latch-{key}.toml"
    path.write_text(f"[door.front]\nrelay = 1\n{key} = {value}")
    try:
        (door,) = configuration.load(str(path)).doors
    except ConfigError:
        return
    finally:
        path.unlink()
    assert 0 < door.hold_max_s <= LONGEST_S
    assert 0 <= door.hold_min_s <= door.hold_max_s
    assert 0 < door.rex_hold_s <= door.hold_max_s
    assert 0 < door.heartbeat_s <= 5


def test_the_example_shows_every_key_with_its_default(tmp_path: Path) -> None:
    text = (ROOT / "systemd" / "latch.toml").read_text(encoding="utf-8")
    settings = configuration.load(str(ROOT / "systemd" / "latch.toml"))
    assert settings.doors[0] == configuration.Door("front", settings.doors[0].lines)
    assert settings == Settings(settings.doors)
    for kind in (Settings, configuration.Door, Line):
        for key in set(kind.__dataclass_fields__) - {"doors", "name", "lines", "line"}:
            assert f"{key} = " in text, f"{key} is not shown"
    for role in configuration.ROLES:
        assert f"{role} = " in text, f"{role} is not shown"


@pytest.mark.parametrize(
    ("lock", "shutdown", "energised"),
    [
        ("fail-secure", "locked", False),
        ("fail-secure", "off", False),
        ("fail-safe", "locked", True),
        ("fail-safe", "off", False),
    ],
)
def test_where_the_relay_stays_when_the_process_has_ended(
    tmp_path: Path, lock: str, shutdown: str, energised: bool
) -> None:
    text = f'[door.front]\nrelay = 17\nlock = "{lock}"\nshutdown = "{shutdown}"'
    assert read(tmp_path, text).doors[0].rests_energised is energised
