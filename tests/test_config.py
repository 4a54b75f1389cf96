from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd import config
from janusd.errors import ConfigError


def message(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.parse(text, "janus.toml")
    return str(caught.value)


def test_an_empty_file_is_the_default_door() -> None:
    assert config.parse("") == config.Config()


def test_what_is_written_is_what_is_read() -> None:
    read = config.parse('[camera]\ndriver = "opencv"\nfps = 30\n[latch]\nline = "DOOR"\nhold_s = 3')
    assert (read.camera.driver, read.camera.fps, read.latch.line, read.latch.hold_s) == (
        "opencv",
        30,
        "DOOR",
        3,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[camera]\n\ndriver = "webcam"',
            'line 3: camera.driver: must be one of "picamera2", "opencv", "replay"',
        ),
        ("[camera]\nfps = 0", "line 2: camera.fps: must be a number from 1 to 120, not 0"),
        ("[camera]\nfps = nan", "line 2: camera.fps: must be a number from 1 to 120"),
        ("[latch]\nhold_s = 3600", "line 2: latch.hold_s: must be a number from 0.2 to 30, not 3600"),
        ('[latch]\nhold_s = "long"', "line 2: latch.hold_s: must be a number"),
        ("[latch]\nactive_low = 1", "line 2: latch.active_low: must be true or false"),
        ("[decision]\nagree = 1", "line 2: decision.agree: must be a whole number from 2 to 20, not 1"),
        ("[decision]\nagre = 3", "line 2: decision.agre: no such key; did you mean agree?"),
        ("[decision]\nfailures = 1000", "decision.failures"),
        ("[decision]\nlockout_s = 0", "decision.lockout_s"),
        ("[decision]\nmargin = 0", "decision.margin"),
        ("[decison]\nagree = 3", "line 1: [decison]: no such section; did you mean decision?"),
        ("decision = 3", "write a section [decision]"),
        ("[decision]\nagree = 9", "line 2: decision.agree: 9 frames cannot agree within a window of 8"),
        ("[enrolment]\nleast = 6", "enrolment.least: 6 is more than the 5 samples"),
        ("[promise]\nyears = 0.01", "line 2: promise.years: one false unlock in 7 tries is too many"),
        ('[camera]\ndriver = "replay"', "camera.path: a replay needs the path"),
        ('[vault]\nanchor = "/var/lib/janus/mark"', "line 2: vault.anchor: an anchor beside the vault"),
        ('[vault]\nbinding = "command"', "vault.binding_command: binding"),
        ("[vault]\nkey = 7", "vault.key"),
        ('[control]\nowners = ["root"]', "control.owners"),
        ("[camera\nfps = 1", "not valid TOML"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(text: str, said: str) -> None:
    assert said in message(text)


def test_every_wrong_field_gets_its_own_line() -> None:
    said = message("[camera]\nfps = 0\nwidth_px = 1\n[latch]\nhold_s = 99\n[nonsense]").splitlines()
    assert len(said) == 4
    assert all(line.startswith("janus.toml: ") for line in said)


def test_a_file_that_is_missing_or_not_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read"):
        config.load(tmp_path / "gone.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.toml: is not UTF-8"):
        config.load(tmp_path / "binary.toml")


SECTIONS = st.sampled_from(["camera", "latch", "promise", "decision", "enrolment", "idle", "model", "x"])
KEYS = st.sampled_from(["fps", "hold_s", "years", "agree", "window", "margin", "failures", "lockout_s", "y"])
VALUES = st.one_of(
    st.integers(-10, 10_000), st.floats(), st.booleans(), st.just('"text"'), st.just("[1, 2]"), st.just("{}")
)


@given(SECTIONS, KEYS, VALUES)
def test_no_file_lowers_a_floor(section: str, key: str, value: object) -> None:
    text = f"[{section}]\n{key} = {str(value).lower() if isinstance(value, bool | float) else value}"
    try:
        read = config.parse(text)
    except ConfigError:
        return
    assert read.decision.agree >= 2
    assert read.decision.failures <= 10
    assert read.decision.lockout_s >= 10
    assert read.latch.hold_s <= 30
    assert read.promise.years * read.promise.tries_a_day * 365.25 >= 1 / config.LARGEST_FPIR


ONLY_FOR_TRYING_THINGS_OUT = {"path", "pace", "follow", "timeline", "key_file"}


def test_the_example_configuration_shows_every_key_with_its_default() -> None:
    text = (Path(__file__).parents[1] / "systemd" / "janus.toml").read_text(encoding="utf-8")
    assert config.parse(text) == config.Config()
    for section in msgspec.structs.fields(config.Config):
        for key in msgspec.structs.fields(section.type):
            if key.name not in ONLY_FOR_TRYING_THINGS_OUT:
                assert f"\n{key.name} = " in text, f"{section.name}.{key.name} is not shown"
