"""janus-mqtt between a real control socket and a broker: what is told, and what happens when either goes.

The broker of most tests is support/broker.py. Where mosquitto is installed, the last test asks it too.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from janusd import programs
from janusd.bridge import main, settings
from janusd.bridge.main import Bridge, place_of
from janusd.control import Access, Peer, Role
from support.broker import Broker, Said, publish
from support.fake_door import GRANTED, REFUSED, SIGHT, FakeDoor
from support.serving import serving

DURESS = replace(GRANTED, kind="duress", code="JANUS-DURESS", says="somebody called for help")


class Observer(Access):
    """Whoever asks is an observer."""

    def roles(self, peer: Peer) -> frozenset[Role]:
        return frozenset({Role.OBSERVER})


def until(holds: Callable[[], object], what: str = "waited too long") -> None:
    end_s = time.monotonic() + 60  # the machine may be busy
    while not holds():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


class Home:
    """A door, a broker, and what stands between them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.door = FakeDoor()
        self.broker = Broker()
        self.socket = folder / "control"
        self.lines: list[str] = []
        self.login: tuple[str, str] | None = None
        self.tls = ""

    @property
    def config(self) -> settings.Config:
        return settings.parse(self.text)

    @property
    def text(self) -> str:
        return (
            f'[broker]\nhost = "127.0.0.1"\nport = {self.broker.port}\n{self.tls}\n'
            f'[door]\nname = "Front door"\nid = "front"\ncontact = true\nsocket = "{self.socket}"\n'
        )

    def serving(self, *hears: str) -> object:
        return serving(self.socket, self.door, access=Observer(observers_hear=frozenset(hears)))

    @contextmanager
    def bridging(self, again_s: float = 60.0) -> Iterator[Bridge]:
        bridge = Bridge(
            self.config,
            place_of(self.config),
            self.login,
            say=self.lines.append,
            wait_s=0.05,
            again_s=again_s,
        )
        running = threading.Thread(target=bridge.run, name="bridge")
        running.start()
        try:
            yield bridge
        finally:
            bridge.stop()
            running.join(30)
            assert not running.is_alive()

    def is_online(self) -> bool:
        return self.broker.kept("janus/front/available") == "online"

    def events(self) -> list[Said]:
        return self.broker.of("janus/front/event")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.broker.open()
    yield home
    home.broker.close()
    assert home.broker.subscribed == []  # in no test at all: it goes one way


def test_a_door_appears_and_its_events_are_told_without_names(home: Home) -> None:
    with home.serving(), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED, REFUSED, DURESS)
        until(lambda: len(home.events()) == 2)
        home.door.seen = replace(SIGHT, is_released=True, is_open=True)
        until(lambda: json.loads(home.broker.kept("janus/front/state"))["lock"] == "ON")
    config = json.loads(home.broker.kept("homeassistant/device/janus_front/config"))
    assert config["device"]["sw_version"] == SIGHT.version
    assert config["components"]["person"] == {"platform": "sensor"}
    granted, refused = (event.json for event in home.events())
    assert (granted["event_type"], granted["code"]) == ("granted", "JANUS-DECISION-MATCHED")
    assert (refused["event_type"], refused["reason"]) == ("refused", "unknown")
    assert all(event.qos == 1 and not event.retain for event in home.events())
    everything = " ".join(said.payload for said in home.broker.said)
    assert "Anna" not in everything
    assert "called for help" not in everything
    assert home.broker.kept("janus/front/available") == "offline"  # it ended in good order
    (guest,) = home.broker.guests
    assert guest.is_clean
    assert guest.will == Said("janus/front/available", "offline", retain=True, qos=1)


def test_names_and_silent_alarms_are_told_where_the_owner_says_so(home: Home) -> None:
    with home.serving("names", "duress"), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED, DURESS)
        until(lambda: home.broker.of("janus/front/duress"))
    assert json.loads(home.broker.kept("janus/front/person"))["name"] == "Anna Berg"
    assert len(home.events()) == 1
    (silent,) = home.broker.of("janus/front/duress")
    assert (silent.json["event_type"], silent.retain) == ("duress", False)
    with home.serving(), home.bridging():  # and no longer
        until(home.is_online)
    assert "janus/front/person" not in home.broker.retained


def test_a_broker_that_comes_back_learns_everything_again_but_not_what_is_over(home: Home) -> None:
    with home.serving(), home.bridging():
        until(home.is_online)
        home.broker.close()
        home.broker.retained.clear()  # a broker without a disk
        until(lambda: any(line.startswith("broker: 127.0.0.1") for line in home.lines))
        home.door.tell(GRANTED)
        home.door.seen = replace(SIGHT, problems=["camera"])
        time.sleep(0.3)
        home.broker.open()
        until(home.is_online)
        assert json.loads(home.broker.kept("janus/front/state"))["problems"] == ["camera"]
        assert "homeassistant/device/janus_front/config" in home.broker.retained
        home.door.tell(REFUSED)
        until(home.events)
    assert [event.json["event_type"] for event in home.events()] == ["refused"]
    assert len([line for line in home.lines if line.startswith("broker: ")]) <= 3  # not one a try


def test_a_janusd_that_goes_makes_the_door_unavailable_until_it_is_back(home: Home) -> None:
    with home.bridging():
        until(lambda: home.broker.kept("janus/front/available") == "offline")
        assert "homeassistant/device/janus_front/config" not in home.broker.retained  # nothing is known yet
        with home.serving():
            until(home.is_online)
        until(lambda: not home.is_online())
        with home.serving():
            until(home.is_online)
    assert sum("janusd answers" in line for line in home.lines) >= 2


def test_the_state_is_said_again_before_it_expires_at_home(home: Home) -> None:
    with home.serving(), home.bridging(again_s=0.2):
        until(lambda: len(home.broker.of("janus/front/state")) >= 4)


def test_a_wrong_password_is_said_once_without_it_and_tried_again(home: Home) -> None:
    home.broker.users, home.login = {"janus": "right"}, ("janus", "hunter2")
    with home.serving(), home.bridging():
        until(lambda: len(home.broker.guests) >= 3)
        assert home.broker.said == []
        home.broker.users["janus"] = "hunter2"
        until(home.is_online)
    assert sum("it refuses" in line for line in home.lines) == 1
    assert "hunter2" not in " ".join(home.lines)


def test_nothing_that_a_hostile_broker_sends_reaches_the_door(home: Home) -> None:
    commands = (
        "janus/front/lock/set",
        "janus/front/event",
        "homeassistant/status",
        "org.janusd.Door.UnlockFace",
    )
    home.broker.hostile = b"".join(publish(topic, b'{"method": "UNLOCK"}') for topic in commands)
    home.broker.hostile += publish("janus/front/set", b"\xff" * 100_000)
    with home.serving(), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED)
        until(home.events)
    assert home.door.asked == []  # it followed the door, and asked for nothing


def test_a_broker_that_talks_nonsense_is_left_and_tried_again(home: Home) -> None:
    home.broker.hostile = b"\xf0\xff\xff\xff\xff\xff" * 50
    with home.serving(), home.bridging():
        until(lambda: len(home.broker.guests) >= 2)
        home.broker.hostile = b""
        until(home.is_online)


def certificate(folder: Path, name: str, host: str) -> Path:
    """A key and a certificate that vouches for itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(key.private_bytes(pem, *plain) + made.public_bytes(pem))
    return path


# paho leaves the socket of a handshake that failed to the collector
@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("vouched", "host", "complaint"),
    [
        ("broker", "127.0.0.1", ""),
        ("another", "127.0.0.1", "TLS failed: self-signed certificate"),
        ("broker", "127.0.0.9", "TLS failed: IP address mismatch"),
    ],
)
def test_a_broker_is_believed_by_its_certificate_alone(
    home: Home, tmp_path: Path, vouched: str, host: str, complaint: str
) -> None:
    paths = {name: certificate(tmp_path, name, host) for name in ("broker", "another")}
    home.broker.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    home.broker.tls.load_cert_chain(paths["broker"])
    home.login = ("janus", "hunter2")
    home.tls = f'tls = true\nca = "{paths[vouched]}"'
    with home.serving(), home.bridging():
        if not complaint:
            until(home.is_online)
            return
        until(lambda: any(complaint in line for line in home.lines), str(home.lines))
    assert home.broker.guests == []  # not even a name was told


class Program:
    """janus-mqtt as systemd starts it."""

    def __init__(self, home: Home, *arguments: str, secret: str = "janus\nhunter2\n") -> None:
        (home.folder / "mqtt.toml").write_text(home.text)
        (home.folder / "janus-mqtt").write_text(secret)
        self.environment = {**os.environ, "CREDENTIALS_DIRECTORY": str(home.folder)}
        self.command = programs.command(
            "janusd.bridge.main", "--config", str(home.folder / "mqtt.toml"), *arguments
        )
        self.process = subprocess.Popen(
            self.command, env=self.environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_the_program_is_announced_as_gone_however_it_goes(home: Home) -> None:
    home.broker.users = {"janus": "hunter2"}
    with home.serving():
        with Program(home) as program:
            until(home.is_online)
            assert "hunter2" not in " ".join([*program.command, *program.environment.values()])
            assert home.broker.guests[0].login == ("janus", "hunter2")
            program.process.send_signal(signal.SIGKILL)
            until(lambda: home.broker.kept("janus/front/available") == "offline")  # its last will
        with Program(home) as program:
            until(home.is_online)
            program.process.send_signal(signal.SIGTERM)
            _, errors = program.process.communicate(timeout=60)
            assert program.process.returncode == 0
            assert home.broker.kept("janus/front/available") == "offline"
            assert "Traceback" not in errors
    assert len(home.broker.guests) == 2


def run(home: Home, *arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    path = home.folder / "mqtt.toml"
    path.write_text(home.text)
    code = main.main(["--config", str(path), *arguments])
    told = capsys.readouterr()
    return code, told.out + told.err


def test_it_forgets_a_door_on_request_so_that_nothing_of_it_stays(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with home.serving("names"), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED)
        until(lambda: "janus/front/person" in home.broker.retained)
    assert run(home, "--forget", capsys=capsys) == (
        0, "janus-mqtt: the broker keeps nothing of Front door any more\n",
    )  # fmt: skip
    until(lambda: not home.broker.retained)
    home.broker.close()
    code, told = run(home, "--forget", capsys=capsys)
    assert (code, "refused" in told) == (1, True)


def test_a_broker_that_does_not_say_that_it_forgot_is_not_said_to_have_forgotten(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    with home.serving("names"), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED)
        until(lambda: "janus/front/person" in home.broker.retained)
    home.broker.is_deaf = True
    code, told = run(home, "--forget", capsys=capsys)
    assert "Anna" in home.broker.kept("janus/front/person")
    assert (code, told) == (1, "janus-mqtt: it did not say that it has forgotten: try again\n")


def test_one_thread_alone_is_at_the_connection(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    import paho.mqtt.client as paho  # noqa: PLC0415

    wrote, send = set[str](), paho.Client._sock_send

    def remember(client: paho.Client, part: bytes) -> int:
        wrote.add(threading.current_thread().name)
        return send(client, part)

    monkeypatch.setattr(paho.Client, "_sock_send", remember)
    with home.serving(), home.bridging():
        until(home.is_online)
        home.door.tell(GRANTED)
        until(home.events)
    assert wrote == {"broker"}


def test_it_checks_its_file_and_says_what_is_wrong(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(home, "--check", capsys=capsys)
    assert (code, told) == (
        0,
        f"{home.folder}/mqtt.toml: Front door at 127.0.0.1:{home.broker.port}, no TLS\n",
    )
    home.tls = "user = 3"
    code, told = run(home, "--check", capsys=capsys)
    assert (code, "broker.user: no such key" in told) == (main.EXIT_CONFIG, True)
    home.tls = f'tls = true\nca = "{home.folder}/none.pem"'
    code, told = run(home, capsys=capsys)
    assert (code, "broker.ca: " in told) == (main.EXIT_CONFIG, True)


def test_without_paho_it_says_what_to_install(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    code, told = run(home, "--check", capsys=capsys)
    assert code == main.EXIT_CONFIG
    assert "paho-mqtt is missing; install it: pip install 'janusd[mqtt]'" in told


def test_its_help_says_that_it_goes_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main.main(["--help"])
    assert "no message there unlocks the door" in " ".join(capsys.readouterr().out.split())


def test_it_loads_neither_pixels_nor_networks_nor_paho_before_it_needs_it() -> None:
    code = (
        "import sys, janusd.bridge.main; print({'numpy', 'cv2', 'paho', 'cryptography'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto (Debian: apt-get install mosquitto)")
def test_mosquitto_takes_it_too(home: Home, tmp_path: Path) -> None:
    import paho.mqtt.client as paho  # noqa: PLC0415

    assert MOSQUITTO is not None
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    real = subprocess.Popen(
        [MOSQUITTO, "-c", str(tmp_path / "mosquitto.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    heard: dict[str, str] = {}
    listener = paho.Client(paho.CallbackAPIVersion.VERSION2)
    listener.on_message = lambda client, _, message: heard.update({message.topic: message.payload.decode()})
    listener.on_connect = lambda client, *_: client.subscribe("#", 1)
    listener.reconnect_delay_set(1, 1)
    home.broker.close()
    home.broker.port = port
    try:
        listener.connect_async("127.0.0.1", port)
        listener.loop_start()
        with home.serving():
            with Program(home):
                until(lambda: heard.get("janus/front/available") == "online")
                home.door.tell(GRANTED)
                until(lambda: "janus/front/event" in heard)
                assert json.loads(heard["homeassistant/device/janus_front/config"])["origin"]["name"]
            until(lambda: heard["janus/front/available"] == "offline")  # killed: mosquitto says its will
    finally:
        listener.loop_stop()
        real.kill()
        real.wait()
