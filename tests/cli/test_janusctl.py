"""janusctl as a person or a script uses it, against a real socket and a stand-in door."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd.cli.main import main
from janusd.control import Access, Peer, Role
from janusd.door import Entry, Person
from support.fake_door import EVENT, ILL, FakeDoor
from support.serving import eventually, serving

ANNA = Person("Anna Berg", "2026-11-21T07:02:11+00:00", 5, "mon-fri 08:00-18:00")
HOSTILE = "eve\x1b[2J\nUNLOCK\u202eroot"
ESCAPED = r"eve\x1b[2J\nUNLOCK\u202eroot"


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor([ANNA])


@pytest.fixture
def path(tmp_path: Path, door: FakeDoor, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    with serving(tmp_path / "control", door):
        yield tmp_path / "control"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four good pictures, two of them twins, one taken at night, and one file that is none."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(1)
    for name in ("a.jpg", "b.png", "c.webp"):
        cv2.imwrite(str(folder / name), rng.integers(60, 180, (48, 64, 3), dtype=np.uint8))
    (folder / "d.png").write_bytes((folder / "b.png").read_bytes())
    cv2.imwrite(str(folder / "night.PNG"), np.full((48, 64, 3), 9, np.uint8))
    (folder / "notes.jpg").write_text("hello")
    (folder / "readme.txt").write_text("not looked at")
    return folder


Screen = pytest.CaptureFixture[str]


def test_status_says_how_the_door_is(path: Path, capsys: Screen):
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "janusd 0.1.0 is watching" in shown
    assert "1 enrolled" in shown
    assert "one false unlock in 10 years" in shown
    assert "17 unlocks, 4 refusals in 1 d 2 h" in shown


def test_a_lockout_is_not_hidden(path: Path, door: FakeDoor, capsys: Screen):
    door.current = replace(door.current, state="locked out", is_released=True, locked_out_for_s=95)
    assert main(["status"]) == 0
    shown = capsys.readouterr().out
    assert "too many failed tries; waits 1 min more" in shown
    assert "released" in shown


def test_people_are_listed_with_their_hours(path: Path, capsys: Screen):
    assert main(["people"]) == 0
    assert re.search(r"Anna Berg +5 +mon-fri 08:00-18:00 +2026-11-21", capsys.readouterr().out)


def test_an_empty_door_says_how_to_begin(path: Path, door: FakeDoor, capsys: Screen):
    door.enrolled.clear()
    assert main(["people"]) == 0
    assert "janusctl enrol NAME --live" in capsys.readouterr().out


def test_the_log_tells_who_came(path: Path, door: FakeDoor, capsys: Screen):
    assert main(["log", "--since", "2026-11-21T07:00:00+00:00", "--limit", "20"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"unlocked +Anna Berg", shown)
    assert "nobody enrolled is similar enough" in shown
    assert "the camera went away" in shown
    assert door.asked[-1] == ("log", "2026-11-21T07:00:00+00:00", 20)
    door.entries.clear()
    main(["log"])
    assert "holds nothing" in capsys.readouterr().out
    assert door.asked[-1] == ("log", "", 50)


def test_a_reason_from_a_newer_daemon_is_shown_as_it_is(path: Path, door: FakeDoor, capsys: Screen):
    door.entries.append(Entry(6, "soon", "decision", "wears_a_mask", "", ""))
    assert main(["log"]) == 0
    assert re.search(r"soon +wears a mask", capsys.readouterr().out)


def test_doctor_ends_with_five_when_something_fails(path: Path, door: FakeDoor, capsys: Screen):
    assert main(["doctor"]) == 0
    assert "2 ok, 1 to look at, 0 failed" in capsys.readouterr().out
    door.findings = ILL
    assert main(["doctor"]) == 5
    assert "start systemd-timesyncd" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 5
    assert json.loads(capsys.readouterr().out) == [asdict(finding) for finding in ILL]


def test_forget_needs_a_yes(path: Path, door: FakeDoor, capsys: Screen, monkeypatch: pytest.MonkeyPatch):
    assert main(["forget", "Anna Berg"]) == 2
    assert "add --yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    assert main(["forget", "Anna Berg"]) == 1
    assert "Nobody was forgotten." in capsys.readouterr().out
    assert list(door.enrolled) == ["Anna Berg"]
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert main(["forget", "Anna Berg"]) == 0
    assert not door.enrolled
    assert "Anna Berg is forgotten." in capsys.readouterr().out


def test_forgetting_a_stranger_is_refused_with_what_to_do(path: Path, capsys: Screen):
    assert main(["forget", "bob", "--yes"]) == 1
    said = capsys.readouterr()
    assert said.err == "janusctl: nobody called bob is enrolled; janusctl people lists who is\n"
    assert main(["forget", "bob", "--yes", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "PersonNotFound"


class Terminal(io.StringIO):
    """A standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_enrolling_from_pictures_says_what_became_of_each(
    path: Path, door: FakeDoor, pictures: Path, capsys: Screen
):
    assert main(["enrol", "bob", "--from-images", str(pictures), "--hours", "sat 09:00-13:00"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"a\.jpg +taken, 1 of 5", shown)
    assert re.search(r"d\.png +Turn your head a little\.", shown)
    assert re.search(r"night\.PNG +Too dark: switch on the light", shown)
    assert re.search(r"notes\.jpg +this is no JPEG, PNG or WebP picture; convert it to JPEG", shown)
    assert "readme" not in shown
    assert "bob is enrolled with 3 samples" in shown
    assert "1 too much like a picture before it, 1 too dark, 1 not a picture" in shown
    assert "5 samples, from different sides" in shown
    assert door.enrolled["bob"].hours == "sat 09:00-13:00"


def test_too_few_good_pictures_enrol_nobody(path: Path, door: FakeDoor, pictures: Path, capsys: Screen):
    (pictures / "a.jpg").unlink()
    assert main(["enrol", "bob", "--from-images", str(pictures)]) == 1
    assert "2 of at least 3 usable samples of bob; add clear pictures" in capsys.readouterr().err
    assert "bob" not in door.enrolled
    assert eventually(lambda: door.open is None)
    assert main(["enrol", "bob", "--from-images", str(pictures), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error"]["kind"] == "EnrolmentRefused"
    assert [sample["source"] for sample in told["samples"]] == [
        "b.png",
        "c.webp",
        "d.png",
        "night.PNG",
        "notes.jpg",
    ]


def test_enrolling_as_json_tells_the_same(path: Path, pictures: Path, capsys: Screen):
    assert main(["--json", "enrol", "bob", "--from-images", str(pictures)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["person"]["samples"] == 3
    assert [sample["accepted"] for sample in told["samples"]] == [True, True, True, False, False, False]


def test_a_file_beyond_what_the_daemon_reads_is_not_sent(
    path: Path, pictures: Path, capsys: Screen, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("janusd.cli.enrol.MAX_PICTURE_BYTES", 500)
    (pictures / "e.jpg").symlink_to("/proc/self/mem")
    main(["enrol", "bob", "--from-images", str(pictures)])
    assert "larger than" in capsys.readouterr().out


def test_the_largest_picture_that_is_sent_fits_the_daemons_limit(path: Path, pictures: Path, capsys: Screen):
    (pictures / "z.jpg").write_bytes(b"\xff\xd8\xff" + bytes(8_999_997))
    assert main(["enrol", "bob", "--from-images", str(pictures)]) == 0
    assert re.search(r"z\.jpg +this is no JPEG", capsys.readouterr().out)


@pytest.mark.parametrize("folder", ["empty", "missing"])
def test_a_folder_without_pictures_is_a_usage_error(path: Path, tmp_path: Path, capsys: Screen, folder: str):
    (tmp_path / "empty").mkdir()
    assert main(["enrol", "bob", "--from-images", str(tmp_path / folder)]) == 2
    assert str(tmp_path / folder) in capsys.readouterr().err


def test_a_name_that_is_taken_and_hours_that_cannot_be_are_refused(
    path: Path, pictures: Path, capsys: Screen
):
    assert main(["enrol", "Anna Berg", "--from-images", str(pictures)]) == 1
    assert "forget them first" in capsys.readouterr().err
    assert main(["enrol", "bob", "--from-images", str(pictures), "--hours", "someday"]) == 1
    assert "write for example 'mon-fri 08:00-18:00'" in capsys.readouterr().err


def test_live_enrolment_goes_on_until_all_sides_are_covered(path: Path, door: FakeDoor, capsys: Screen):
    door.live = ["good", "no_face", "duplicate_view", "good", "good", "good", "another_person", "good"]
    assert main(["enrol", "bob"]) == 0
    shown = capsys.readouterr().out
    assert "taken: down, 5 of 5" in shown
    assert "bob is enrolled with 5 samples" in shown
    assert door.live == []


def test_live_enrolment_asks_for_one_side_after_the_other(path: Path, door: FakeDoor, capsys: Screen):
    door.live = ["good"] * 5
    assert main(["enrol", "bob", "--live"]) == 0
    asked = [asked[1] for asked in door.asked if asked[0] == "guide"]
    assert asked == ["front", "left", "right", "up", "down"]


def test_live_enrolment_before_an_empty_camera_gives_up(
    path: Path, door: FakeDoor, capsys: Screen, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("janusd.cli.guided.GIVE_UP_S", 0.3)
    assert main(["enrol", "bob", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["error"]["what"].startswith("no usable picture of bob")
    assert told["samples"] == []
    assert "bob" not in door.enrolled
    assert eventually(lambda: door.open is None)


def test_the_report_comes_before_the_person_is_stored(path: Path, door: FakeDoor, capsys: Screen):
    door.live = ["good"] * 5
    assert main(["enrol", "bob"]) == 0
    shown = capsys.readouterr().out
    assert "score 0.21, threshold 0.58, 0.37 below" in shown
    assert "one picture missed one sample in 41% [24%, 51%]" in " ".join(shown.split())
    assert "Come back at dusk" in shown
    verbs = [asked[0] for asked in door.asked]
    assert verbs.index("review") < verbs.index("commit")


def test_reinforcing_adds_samples_to_somebody(path: Path, door: FakeDoor, capsys: Screen):
    door.live = ["good"] * 5
    assert main(["enrol", "Anna Berg", "--reinforce"]) == 0
    assert ("reinforce", "Anna Berg") in door.asked
    assert main(["enrol", "carl", "--reinforce"]) == 1
    assert "nobody of that name" in capsys.readouterr().err
    assert main(["enrol", "Anna Berg", "--reinforce", "--hours", "sat 09:00-13:00"]) == 2


@pytest.mark.parametrize("stroke", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGKILL])
def test_an_enrolment_that_is_interrupted_leaves_nothing(path: Path, door: FakeDoor, stroke: signal.Signals):
    """Ctrl-C, a dropped SSH session, a kill: the door is free at once and nobody was enrolled."""
    door.live = ["good", "good"]
    with janusctl("enrol", "bob") as process:
        assert eventually(lambda: sum(asked[0] == "guide" for asked in door.asked) > 3, within_s=20)
        process.send_signal(stroke)
        _, said = process.communicate(timeout=20)
        if stroke is signal.SIGINT:
            assert process.returncode == 130
            assert "the enrolment was abandoned; nothing was stored" in said
            assert "Traceback" not in said
    assert eventually(lambda: door.open is None)
    assert set(door.enrolled) == {"Anna Berg"}


def janusctl(*arguments: str, **options: object) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "janusd.cli.main", *arguments], text=True, **{**pipes, **options}
    )  # type: ignore[call-overload,no-any-return]


def test_watch_prints_a_line_for_each_change(path: Path, door: FakeDoor):
    nobody = replace(EVENT, reason="no_face", unlocks=False, name="", score=None)
    with janusctl("watch") as process:
        assert eventually(lambda: door.listeners, within_s=20)
        door.decide(nobody, times=3)
        door.decide()
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20)[1] == ""
        assert process.returncode == 0
    assert re.search(r"\d\d:\d\d:\d\d  · no face +- +35 ms", first)
    assert re.search(r"● unlocked +Anna Berg +0\.74 +35 ms", second)


def test_watch_as_json_is_one_object_a_line(path: Path, door: FakeDoor):
    with janusctl("watch", "--json") as process:
        assert eventually(lambda: door.listeners, within_s=20)
        door.decide(times=2)
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert lines == [{**asdict(EVENT), "missed": 0}] * 2


def test_watch_ends_with_three_when_the_daemon_stops(tmp_path: Path, door: FakeDoor):
    with serving(tmp_path / "control", door):
        process = janusctl("--socket", str(tmp_path / "control"), "watch")
        assert eventually(lambda: door.listeners, within_s=20)
    assert "closed the connection" in process.communicate(timeout=20)[1]
    assert process.returncode == 3


def test_a_reader_that_has_seen_enough_is_no_error(path: Path, door: FakeDoor):
    with janusctl("watch", "--json") as process:
        assert eventually(lambda: door.listeners, within_s=20)
        assert process.stdout is not None
        process.stdout.close()
        door.decide(times=5)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def on_terminal(door: FakeDoor, *arguments: str, **environment: str) -> str:
    """What an 80 x 24 terminal receives, escape codes and all. `watch` ends once it has shown 40."""
    main_end, terminal = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24", **environment}
    with janusctl(*arguments, stdin=terminal, stdout=terminal, stderr=terminal, env=env) as process:
        os.close(terminal)
        if arguments[0] == "watch":
            assert eventually(lambda: door.listeners, within_s=20)
            for sequence in range(40):
                door.decide(replace(EVENT, name=f"person {sequence}"))
        seen, ended = b"", False
        with suppress(OSError):  # EIO: the other end is closed
            while chunk := os.read(main_end, 65536):
                seen += chunk
                if b"person 39" in seen and not ended:
                    process.send_signal(signal.SIGINT)
                    ended = True
        os.close(main_end)
    return seen.decode()


def test_a_terminal_gets_colour_and_no_color_is_respected(path: Path, door: FakeDoor):
    assert "\x1b[32m" in on_terminal(door, "doctor")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", on_terminal(door, "doctor", NO_COLOR="1"))


def test_watch_on_a_terminal_keeps_the_newest_decisions_in_view(path: Path, door: FakeDoor):
    shown = on_terminal(door, "watch")
    last_screen = shown[shown.rindex("time") :]
    assert "person 39" in last_screen
    assert "person 20" in last_screen
    assert "person 10" not in last_screen
    assert "Ctrl-C ends." in last_screen


def test_a_terminal_without_unicode_gets_ascii(path: Path, door: FakeDoor):
    door.enrolled["Zoë"] = replace(ANNA, name="Zoë")
    shown = on_terminal(door, "doctor", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert shown.isascii()
    assert "+" in shown
    assert r"Zo\xeb" in on_terminal(door, "people", PYTHONIOENCODING="ascii")


@pytest.mark.parametrize("verb", ["people", "log", "status", "doctor"])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_hostile_names_reach_no_terminal_unescaped(
    path: Path, door: FakeDoor, capsys: Screen, verb: str, form: list[str]
):
    door.enrolled = {HOSTILE: replace(ANNA, name=HOSTILE, hours=HOSTILE, enrolled_at=HOSTILE)}
    door.entries = [Entry(1, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)]
    door.current = replace(door.current, camera=HOSTILE, state=HOSTILE, promise=HOSTILE)
    door.findings = [replace(ILL[0], check=HOSTILE, detail=HOSTILE, remedy=HOSTILE, verdict="fail")]
    main([verb, *form])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not any(line.startswith("UNLOCK") for line in shown.splitlines())
    if not form:
        assert ESCAPED in re.sub(r"[\s│]+", " ", shown)


def test_a_hostile_name_in_an_error_is_one_escaped_line(path: Path, capsys: Screen):
    assert main(["forget", HOSTILE, "--yes"]) == 1
    assert (
        capsys.readouterr().err
        == f"janusctl: nobody called {ESCAPED} is enrolled; janusctl people lists who is\n"
    )


def test_rich_markup_in_a_name_is_only_text(path: Path, door: FakeDoor, capsys: Screen):
    door.enrolled = {"x": replace(ANNA, name="[red]x[/red] :smile:")}
    main(["people"])
    assert "[red]x[/red] :smile:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["people"], ["log"], ["doctor"], ["forget", "Anna Berg", "--yes"]],
    ids=lambda a: a[0],
)
def test_every_answer_can_be_had_as_json(path: Path, capsys: Screen, arguments: list[str]):
    assert main([*arguments, "--json"]) == 0
    after = capsys.readouterr().out
    json.loads(after)
    assert after.isascii()


def test_no_daemon_at_the_socket_ends_with_three(tmp_path: Path, capsys: Screen):
    assert main(["--socket", str(tmp_path / "none"), "status"]) == 3
    assert "systemctl start janusd" in capsys.readouterr().err
    assert main(["status", "--socket", str(tmp_path / "none"), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "ControlError"


@pytest.mark.parametrize("words", ["status --json", "people", "log checkpoint"])
def test_a_full_disk_behind_the_output_is_told_in_a_line(path: Path, words: str):
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "janusd.cli.main", *words.split()], stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "janusctl: No space left on device\n")


@pytest.mark.parametrize(
    "words", [["people", "export", "--to", "ADDRESS"], ["report", "--yes", "--no-bench"]], ids=lambda w: w[0]
)
def test_a_file_whose_name_is_too_long_is_told_in_a_line(path: Path, capsys: Screen, words: list[str]):
    assert main([*words, "n" * 300]) == 2
    assert "cannot be written: File name too long" in capsys.readouterr().err


def test_a_user_who_may_not_ask_ends_with_four(tmp_path: Path, capsys: Screen):
    class Nobody(Access):
        def roles(self, peer: Peer) -> frozenset[Role]:
            return frozenset()

    with serving(tmp_path / "control", FakeDoor(), access=Nobody()):
        assert main(["--socket", str(tmp_path / "control"), "status"]) == 4
    said = capsys.readouterr().err
    assert said.startswith("janusctl: this user may not look after this door; run janusctl with sudo, or ask")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["open"],
        ["enrol"],
        ["enrol", "bob", "--rate", "1"],
        ["log", "--since", "soon"],
        ["log", "--limit", "0"],
    ],
)
def test_a_command_line_that_cannot_be_meant_ends_with_two(words: list[str], capsys: Screen):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    assert "usage: janusctl" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["enrol", "people", "forget", "status", "watch", "log", "doctor"])
def test_the_help_of_each_verb_shows_an_example(verb: str, capsys: Screen):
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert f"examples:\n  janusctl {verb}" in shown
    assert "--json" in shown
    assert "--socket" in shown


def test_the_help_documents_the_exit_codes(capsys: Screen):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert re.search(r"5 +doctor found something that fails", shown)
    assert re.search(r"3 +no daemon answers at the socket", shown)


def test_starting_janusctl_loads_nothing_heavy():
    heavy = {"numpy", "cv2", "asyncio", "asyncvarlink", "msgspec", "sqlite3", "cryptography", "rich"}
    script = (
        "import sys; before = set(sys.modules); import janusd.cli.main; print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "janusd.cli.client" in loaded.split()
    assert not heavy & set(loaded.split())
