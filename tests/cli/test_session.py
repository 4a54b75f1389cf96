"""janus-session: whose screen is unlocked by whose face, and which screens are left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from janusd.cli import session
from janusd.cli.pam import Kiosk
from janusd.door import Event
from support.fake_door import EVENT, FakeDoor
from support.serving import serving

KIOSK = Kiosk({"ada": "Ada Byron", "ben": "Ben"})
LOGIND = """#!/bin/sh
case $1 in
list-sessions)
    printf '  2 1000 ada seat0 tty2\\n c1 1000 ada - -\\n'
    printf '  7 1000 ada - pts/3\\n  9 1001 ben seat0 tty3\\n' ;;
show-session)
    case $2 in
    2) printf 'Name=ada\\nSeat=seat0\\nRemote=no\\nActive=yes\\nClass=user\\n' ;;
    c1) printf 'Name=ada\\nSeat=\\nRemote=no\\nActive=yes\\nClass=user\\n' ;;
    7) printf 'Name=ada\\nSeat=\\nRemote=yes\\nActive=yes\\nClass=user\\n' ;;
    9) printf 'Name=ben\\nSeat=seat0\\nRemote=no\\nActive=no\\nClass=user\\n' ;;
    esac ;;
unlock-session) echo "$2" >> "$0.unlocked" ;;
esac
"""


def event(name: str, *, unlocks: bool = True) -> Event:
    return Event("2026-01-01T00:00:00Z", 1, "matched" if unlocks else "unknown", unlocks, name, 0.9, "", {})


@pytest.fixture
def loginctl(tmp_path: Path) -> Path:
    """A logind with four sessions: ada at the screen, ada twice elsewhere, ben in the background."""
    program = tmp_path / "loginctl"
    program.write_text(LOGIND)
    program.chmod(0o755)
    return program


def unlocked(loginctl: Path) -> list[str]:
    log = Path(f"{loginctl}.unlocked")
    return log.read_text().split() if log.exists() else []


def test_who_is_let_in_finds_their_own_screen_unlocked_and_no_other(loginctl: Path) -> None:
    session.serve(KIOSK, [event("Ada Byron")], str(loginctl))
    assert unlocked(loginctl) == ["2"]


@pytest.mark.parametrize(
    "seen", [event("Ada Byron", unlocks=False), event("ada"), event("Chloe"), event(""), event("Ben")]
)
def test_nobody_else_does_nor_who_is_logged_in_where_they_are_not(loginctl: Path, seen: Event) -> None:
    session.serve(KIOSK, [seen], str(loginctl))
    assert unlocked(loginctl) == []


def test_a_logind_that_fails_is_told_and_the_next_face_is_served(
    loginctl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    works = loginctl.read_text()
    loginctl.write_text("#!/bin/sh\necho 'no bus' >&2; exit 1\n")
    session.serve(KIOSK, [event("Ada Byron")], str(loginctl))
    assert "the session of ada cannot be unlocked" in capsys.readouterr().err
    loginctl.write_text(works)
    session.serve(KIOSK, [event("Ada Byron")], str(loginctl))
    assert unlocked(loginctl) == ["2"]


def test_a_session_that_ends_between_two_questions_keeps_nobody_out(loginctl: Path) -> None:
    loginctl.write_text(
        loginctl.read_text()
        .replace("'  2 1000", "'  c44 1000 ada - -\\n  2 1000")
        .replace("    9)", "    c44) exit 1 ;;\n    9)")
    )
    session.serve(KIOSK, [event("Ada Byron")], str(loginctl))
    assert unlocked(loginctl) == ["2"]


class Enough(Exception):
    pass


def pausing(times: int) -> Callable[[float], None]:
    waited = list[float]()

    def pause(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == times:
            raise Enough

    return pause


def test_a_janusd_that_is_away_is_waited_for(
    loginctl: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kiosk.toml"
    path.write_text(f'socket = "{tmp_path}/none"\n[people]\nada = "Ada Byron"')
    with pytest.raises(Enough):
        session.main(path, str(loginctl), pausing(2))
    assert capsys.readouterr().err.count("janus-session: ") == 2


def test_it_hears_of_a_decision_at_the_door_s_own_socket(loginctl: Path, tmp_path: Path) -> None:
    door, path, ended = FakeDoor(), tmp_path / "kiosk.toml", list[str]()
    path.write_text(f'socket = "{tmp_path}/control"\n[people]\nada = "{EVENT.name}"')

    def run() -> None:
        try:
            session.main(path, str(loginctl), pausing(1))
        except Enough:
            ended.append("the door hung up")

    listening = threading.Thread(target=run)
    with serving(tmp_path / "control", door):
        listening.start()
        until(lambda: bool(door.listeners))
        door.decide()
        until(lambda: unlocked(loginctl) == ["2"])
    listening.join(10)
    assert ended


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.01)


def test_a_wrong_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kiosk.toml").write_text("people = 3")
    assert session.main(tmp_path / "kiosk.toml") == session.EXIT_CONFIG
    assert "people: must be a table" in capsys.readouterr().err
