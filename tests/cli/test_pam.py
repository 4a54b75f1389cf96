"""janus-pam: whose face lets a user log in, and that the password is asked for in time all the same."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from janusd.cli import pam
from janusd.door import Event
from janusd.errors import ConfigError

KIOSK = pam.Kiosk({"ada": "Ada Byron"})


def event(name: str, *, unlocks: bool = True) -> Event:
    return Event("2026-01-01T00:00:00Z", 1, "matched" if unlocks else "unknown", unlocks, name, 0.9, "", {})


def written(folder: Path, text: str) -> Path:
    path = folder / "kiosk.toml"
    path.write_text(text)
    return path


def test_the_face_of_the_very_person_that_is_named_for_a_user_lets_them_in() -> None:
    assert pam.is_recognised("Ada Byron", [event("", unlocks=False), event("Ada Byron")])


@pytest.mark.parametrize(
    "seen", [event("Ben"), event("Ada Byron", unlocks=False), event("ada byron"), event("")]
)
def test_nobody_else_s_face_does_nor_one_that_opens_no_door(seen: Event) -> None:
    assert not pam.is_recognised("Ada Byron", [seen])


@pytest.mark.parametrize(
    ("environment", "person"),
    [
        ({"PAM_USER": "ada", "PAM_TYPE": "auth"}, "Ada Byron"),
        ({"PAM_USER": "ada", "PAM_RHOST": "localhost"}, "Ada Byron"),
        ({"PAM_USER": "ada", "PAM_RHOST": "192.0.2.7"}, ""),  # who sits elsewhere is not before this camera
        ({"PAM_USER": "root"}, ""),
        ({"PAM_USER": "ada", "PAM_TYPE": "open_session"}, ""),
        ({}, ""),
    ],
)
def test_only_a_user_who_is_named_and_sits_here_is_looked_for(
    environment: dict[str, str], person: str
) -> None:
    assert pam.expected(KIOSK, environment) == person


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("wait_s = 3", "people: must be a table"),
        ('[people]\nada = ""', "people: must be a table"),
        ("wait_s = 0\n[people]", "wait_s: must be from 1 to 30"),
        ("wait_s = 3600\n[people]", "wait_s: must be from 1 to 30"),
        ("wait_s = true\n[people]", "wait_s: must be from 1 to 30"),
        ("waits = 3\n[people]", "waits: no such key"),
        ("socket = 3\n[people]", "socket: no such key, or not text"),
        ("[people", "kiosk.toml: "),
    ],
)
def test_a_wrong_file_lets_nobody_in_and_says_why(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=said):
        pam.load(path)
    assert pam.main({"PAM_USER": "ada"}, path) == 1
    assert said in capsys.readouterr().err


def test_without_janusd_the_password_is_asked_for_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, f'socket = "{tmp_path}/none"\n[people]\nada = "Ada"')
    start_s = time.monotonic()
    assert pam.main({"PAM_USER": "ada"}, path) == 1
    assert time.monotonic() - start_s < 1


def test_a_janusd_that_says_nothing_is_not_waited_for_longer_than_promised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"{tmp_path}/control")
        listener.listen()
        taken: list[socket.socket] = []
        server = threading.Thread(target=lambda: taken.append(listener.accept()[0]))
        server.start()
        path = written(tmp_path, f'wait_s = 1\nsocket = "{tmp_path}/control"\n[people]\nada = "Ada"')
        start_s = time.monotonic()
        assert pam.main({"PAM_USER": "ada"}, path) == 1
        assert 0.9 < time.monotonic() - start_s < 6
        server.join()
        taken[0].close()
    assert "After 1 s, or Ctrl-C, your password is asked for." in capsys.readouterr().out


def test_the_example_names_every_key() -> None:
    example = Path(__file__).parents[2] / "systemd" / "kiosk.toml"
    assert pam.load(example) == pam.Kiosk({})
    assert "pam_exec.so" in (example.parent / "pam-janus").read_text()
