"""SIGKILL at every step of a setup: at each question, and at each thing that is opened, renamed, removed
or run.

A child of this process runs the real wizard and kills itself at the n-th such moment; then it is looked
at what it left. Each file must be the old one or the new one, both must load, and a new janus.toml never
stands beside an old latch.toml. How a disk behaves that loses power is not tested here: files are forced
to it before renames.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from setup_kit import HereAndNow, copy, device, setup

from janusd import config
from janusd.errors import JanusError
from janusd_hw.latchd import settings as latch_settings

OLD_JANUS = """\
[camera]
driver = "opencv"             # the old one
device = "/dev/video9"

[latch]
driver = "latchd"
hold_s = 3

[vault]
key = "file"
"""
OLD_LATCH = """\
[door.front]                  # as the installer left it
relay = 22
rex = 27
"""
NEW = """
[lines]
relay = 11
hold_s = 20
[promise]
years = 5
[keys]
source = "file"
[units]
enable = false
"""
_MOMENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.link",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "subprocess.Popen",
)
_ENDED_WELL, _ENDED_BADLY = 0, 3


class _Counter:
    """Counts moments below a folder, and kills this process at one of them."""

    def __init__(self, root: Path, deadly: int) -> None:
        self.root, self.deadly, self.count = str(root), deadly, 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in _MOMENTS or not any(self.root in str(one) for one in arguments):
            return
        self.count += 1
        if self.count == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hardware is looked at once a test; what is killed here is setup, not looking."""
    monkeypatch.setattr(HereAndNow, "known", {})


def killed_at(root: Path, moment: int, run: Callable[[], object]) -> bool:
    """Run that in a child which is killed at the n-th moment; whether it came so far."""
    child = os.fork()
    if child == 0:
        status = _ENDED_BADLY
        try:
            sys.stdout, sys.stderr = io.StringIO(), sys.__stderr__
            sys.addaudithook(_Counter(root, moment))
            run()
            status = _ENDED_WELL
        except BaseException:  # noqa: BLE001 - a child must not come back into pytest
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == _ENDED_WELL
    return False


def both(root: Path) -> tuple[str | None, str | None]:
    """janus.toml and latch.toml."""
    paths = (root / "etc/janus/janus.toml", root / "etc/janus/latch.toml")
    janus, latch = (path.read_text() if path.exists() else None for path in paths)
    return janus, latch


def loads(root: Path) -> None:
    """Both files load, and the door that one names stands in the other."""
    janus, latch = root / "etc/janus/janus.toml", root / "etc/janus/latch.toml"
    doors = latch_settings.load(str(latch)).doors if latch.exists() else ()
    if janus.exists():
        read = config.load(janus)
        if read.latch.driver == "latchd":
            (door,) = (one for one in doors if one.name == read.latch.door)
            assert door.hold_max_s >= read.latch.hold_s


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A door that works, with a vault."""
    root = device(tmp_path / "old")
    (root / "etc/janus").mkdir()
    (root / "etc/janus/janus.toml").write_text(OLD_JANUS)
    (root / "etc/janus/latch.toml").write_text(OLD_LATCH)
    (root / "var/lib/janus").mkdir(parents=True)
    (root / "var/lib/janus/vault.db").touch()
    return root


@pytest.mark.slow
def test_a_working_door_is_the_old_or_the_new_one_wherever_setup_is_killed(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "here"  # always the same path: it stands in the files
    setup(copy(old, here), answers=NEW)
    new = both(here)
    assert new != (OLD_JANUS, OLD_LATCH)
    seen, moment = set(), 0
    while True:
        moment += 1
        if not killed_at(copy(old, here), moment, lambda: setup(here, answers=NEW)):
            break
        janus, latch = both(here)
        assert janus in (OLD_JANUS, new[0])
        assert latch in (OLD_LATCH, new[1])
        assert not (janus == new[0] and latch == OLD_LATCH)
        loads(here)
        seen.add((janus == new[0], latch == new[1]))
        if moment % 8 == 0:  # it goes on where it was ...
            again = copy(here, tmp_path / "again")
            assert setup(again, answers=NEW) == 0
            assert tuple(str(text).replace("/again/", "/here/") for text in both(again)) == new
        if moment % 8 == 4:  # ... or back
            assert setup(here, "--undo") == 0
            assert both(here) == (OLD_JANUS, OLD_LATCH)
    assert both(here) == new
    assert seen == {(False, False), (False, True), (True, True)}
    assert moment > 30
    capsys.readouterr()
    with capsys.disabled():
        print(f" [{moment - 1} kills]", end="")


@pytest.mark.slow
def test_an_undo_that_is_killed_is_done_again(old: Path, tmp_path: Path) -> None:
    here, done = tmp_path / "here", tmp_path / "done"
    setup(copy(old, here), answers=NEW)
    new, moment = both(here), 0
    copy(here, done)
    while True:
        moment += 1
        if not killed_at(copy(done, here), moment, lambda: setup(here, "--undo")):
            break
        janus, latch = both(here)
        assert janus in (OLD_JANUS, new[0])
        assert latch in (OLD_LATCH, new[1])
        loads(here)
        assert setup(here, "--undo") == 0
        assert both(here) == (OLD_JANUS, OLD_LATCH)
    assert both(here) == (OLD_JANUS, OLD_LATCH)
    assert moment > 10


@pytest.mark.slow
def test_a_first_setup_that_is_killed_left_nothing_or_a_door_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`janusd --prepare` is a stand-in here; that it survives kills itself is tested with the vault."""
    empty, here = device(tmp_path / "empty"), tmp_path / "here"
    prepare = tmp_path / "prepare"
    prepare.write_text(f'#!/bin/sh\nmkdir -p "{here}/var/lib/janus" && : > "{here}/var/lib/janus/vault.db"\n')
    prepare.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(prepare))
    first, moment = '[lines]\nrelay = 11\n[keys]\nsource = "file"\n', 0
    while True:
        moment += 1
        if not killed_at(copy(empty, here), moment, lambda: setup(here, answers=first)):
            break
        janus, latch = both(here)
        assert not (janus and not latch)
        loads(here)
        if moment % 5 == 0:
            assert setup(here, answers=first) == 0
            loads(here)
            assert (here / "var/lib/janus/vault.db").exists()
    assert moment > 20


class _Typed:
    """A person who types these answers, and loses power at the n-th question."""

    def __init__(self, answers: list[str], deadly: int) -> None:
        self.answers, self.deadly, self.asked = list(answers), deadly, 0

    def __call__(self, *_: object) -> str:
        self.asked += 1
        if self.asked == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.answers.pop(0)

    def isatty(self) -> bool:
        return True


TYPED = ["", "1", "", "1", "relay 11", "", "", "8", "n", "3", "5", "2", "", ""]
"""Board, camera and its picture, kind of lock, wires, hold, pulse, promise and whether, and whether to do
it."""


@pytest.mark.slow
def test_a_kill_at_any_question_leaves_the_door_as_it_was_and_keeps_the_answers(
    old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, question = tmp_path / "here", 0
    (old / "dev/video0/still.webp").write_bytes(
        (Path(__file__).parents[2] / "daemon/janusd/demo/faces/ada/enrol-00.webp").read_bytes()
    )

    def ask(deadly: int) -> Callable[[], object]:
        def run() -> object:
            typed = _Typed(TYPED, deadly)
            monkeypatch.setattr(builtins, "input", typed)
            monkeypatch.setattr(sys, "stdin", typed)
            return setup(here)

        return run

    HereAndNow().ask({"root": str(copy(old, here)), "ask": "look", "board": ""})
    while True:
        question += 1
        if not killed_at(copy(old, here), 0, ask(question)):
            break
        assert both(here) == (OLD_JANUS, OLD_LATCH)
        assert not (here / "var/lib/janus-setup/journal.json").exists()
        if question > 5:
            draft = (here / "var/lib/janus-setup/draft.toml").read_text()
            assert 'driver = "replay"' in draft
            assert ("relay = 11" in draft) is (question > 8)
    assert question == len(TYPED) + 1
    loads(here)
    written = config.load(here / "etc/janus/janus.toml")
    assert (written.promise.years, written.latch.hold_s) == (3, 8)
    assert not (here / "var/lib/janus-setup/draft.toml").exists()
    assert json.loads((here / "var/lib/janus-setup/journal.json").read_text())[0]["state"] == "done"


def test_a_setup_that_was_killed_while_it_wrote_is_told_of(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    setup(old, answers=NEW)
    journal = old / "var/lib/janus-setup/journal.json"
    journal.write_text(journal.read_text().replace('"done"', '"applying"'))
    assert setup(old, "--undo") == 0
    assert both(old) == (OLD_JANUS, OLD_LATCH)
    with pytest.raises(JanusError):
        setup(old, answers="[promise]\nyears = 0.01")
    capsys.readouterr()
