"""mqtt.toml: TLS unless the broker is on this machine, all wrong fields at once, secrets nowhere in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusd.bridge import settings
from janusd.bridge.main import place_of
from janusd.errors import ConfigError

ROOT = Path(__file__).parents[2]


def broker(lines: str) -> settings.BrokerSection:
    return settings.parse(f"[broker]\n{lines}\n").broker


def test_the_file_that_ships_is_good_and_shows_the_defaults() -> None:
    config = settings.load(ROOT / "systemd/mqtt.toml")
    assert (config.door, config.home) == (settings.DoorSection(name="Front door"), settings.HomeSection())
    assert (config.broker.uses_tls, config.broker.tcp_port) == (True, 8883)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_a_broker_on_this_machine_needs_no_tls(host: str) -> None:
    section = broker(f'host = "{host}"')
    assert (section.uses_tls, section.tcp_port) == (False, 1883)
    assert broker(f'host = "{host}"\ntls = true').tcp_port == 8883


@pytest.mark.parametrize(
    "host", ["homeassistant.local", "192.168.1.2", "localhost.example.org", "2130706433", "0.0.0.0"]
)
def test_every_other_gets_tls_and_without_it_only_what_says_insecure(host: str) -> None:
    assert broker(f'host = "{host}"').uses_tls
    with pytest.raises(
        ConfigError, match=r"line 3: broker\.tls: false sends the password .* insecure = true"
    ):
        broker(f'host = "{host}"\ntls = false')
    assert not broker(f'host = "{host}"\ntls = false\ninsecure = true').uses_tls


def test_every_wrong_field_is_told_at_once_with_its_line() -> None:
    with pytest.raises(ConfigError) as told:
        settings.parse(
            '[broker]\nhost = ""\nport = 70000\npassword = "x"\ntls = "no"\n'
            '[door]\nid = 3\n[hom]\ntopic = "a"\n',
            "m.toml",
        )
    assert told.value.what.splitlines() == [
        "m.toml: line 2: broker.host: must be text in quotes, of 1 to 253 characters, not ''",
        "m.toml: line 3: broker.port: must be a whole number from 0 to 65535, not 70000; the default is 0",
        "m.toml: line 4: broker.password: no such key; there are host, port, tls, ca, insecure",
        "m.toml: line 5: broker.tls: must be true or false, not 'no'",
        'm.toml: line 7: door.id: must be text in quotes, of 0 to 64 characters, not 3; the default is ""',
        "m.toml: line 8: [hom]: no such section; did you mean home?",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "[broker]: write this section"),
        ("[broker]\nport = 1", "host is missing"),
        ('[broker]\nhost = "localhost"\nca = "/x.pem"', "broker.ca: is not used without TLS"),
        ('[broker]\nhost = "h"\n[door]\nid = "a b"', "door.id: must be letters"),
        ('[broker]\nhost = "h"\n[door]\nname = "a\\nb"', "door.name: must be printable"),
        ('[broker]\nhost = "h"\n[home]\ntopic = "janus/#"', "home.topic: must be words"),
        ('[broker]\nhost = "h"\n[home]\ndiscovery = "/x"', "home.discovery: must be words"),
    ],
)
def test_what_cannot_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        settings.parse(text)
    assert complaint in told.value.what


def test_a_file_that_is_not_there_is_told_with_where_an_example_lies(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"share/mqtt\.toml"):
        settings.load(tmp_path / "mqtt.toml")


def test_user_name_and_password_are_two_lines_of_a_credential(tmp_path: Path) -> None:
    assert settings.login(None) is None
    assert settings.login(tmp_path) is None
    (tmp_path / "janus-mqtt").write_text("janus\nhunter 2\n")
    assert settings.login(tmp_path) == ("janus", "hunter 2")


@pytest.mark.parametrize("secret", [b"hunter2", b"", b"janus\n\n", b"a\nhunter2\nb", b"janus\n\xff"])
def test_a_credential_that_is_something_else_is_refused_without_a_word_of_it(
    tmp_path: Path, secret: bytes
) -> None:
    (tmp_path / "janus-mqtt").write_bytes(secret)
    with pytest.raises(ConfigError) as told:
        settings.login(tmp_path)
    assert "hunter2" not in str(told.value)
    assert told.value.__cause__ is None


def test_a_door_has_an_id_that_lasts_and_does_not_tell_the_machine_s_number(tmp_path: Path) -> None:
    number = tmp_path / "machine-id"
    number.write_text("0123456789abcdef0123456789abcdef\n")
    config = settings.parse('[broker]\nhost = "h"\n[door]\nname = "Cellar"')
    place = place_of(config, number)
    assert place == place_of(config, number)
    assert (len(place.id), place.name) == (12, "Cellar")
    assert place.id not in number.read_text()
    number.write_text("another")
    assert place_of(config, number).id != place.id
    named = settings.parse('[broker]\nhost = "h"\n[door]\nid = "cellar"')
    assert place_of(named, tmp_path / "none").id == "cellar"
    with pytest.raises(ConfigError, match="no id of its own"):
        place_of(config, tmp_path / "none")
