"""`janusctl model` as a person or a script uses it. No daemon runs, except where people are counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from janusd.cli.main import main
from janusd.door import Person
from support.bundles import VECTORS, write_bundle, write_public_key
from support.fake_door import FakeDoor
from support.serving import serving

Screen = pytest.CaptureFixture[str]


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options that keep away from the real /etc and /var."""
    monkeypatch.setenv("JANUS_SOCKET", str(tmp_path / "control"))
    keys = write_public_key(tmp_path / "keys")
    return ["--keys", str(keys), "--installed", str(tmp_path / "models" / "installed.janus")]


def test_verify_says_what_it_is_and_who_signed_it(tmp_path: Path, where: list[str], capsys: Screen) -> None:
    bundle = write_bundle(tmp_path / "b.janus", "7")
    assert main(["model", "verify", str(bundle), *where]) == 0
    shown = capsys.readouterr().out
    assert "tiny version 7, signed by" in shown
    assert "owner.pub" in shown
    assert "1,000 impostor comparisons, an FMR down to 0.01" in shown
    assert main(["model", "verify", str(bundle), *where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["version"] == "7"


def test_a_bad_bundle_ends_with_one_line_and_code_1(where: list[str], capsys: Screen) -> None:
    for verb in ("verify", "install"):
        for name in ("unsigned", "encoder-bit", "parent-folder", "interface-2", "no-calibration"):
            assert main(["model", verb, str(VECTORS / "bundles" / f"{name}.janus"), *where]) == 1
            said = capsys.readouterr()
            assert said.out == ""
            assert said.err.count("\n") == 1
            assert "; " in said.err
    assert main(["model", "verify", "nothing.janus", *where, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "ModelError"


def test_without_the_owners_key_the_same_bundle_is_refused(
    tmp_path: Path, where: list[str], capsys: Screen
) -> None:
    bundle = write_bundle(tmp_path / "b.janus", "7")
    where[1] = str(tmp_path / "no-keys")
    assert main(["model", "install", str(bundle), *where]) == 1
    assert "which this device does not trust" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_install_says_to_restart_and_that_everybody_must_be_enrolled_again(
    tmp_path: Path, where: list[str], capsys: Screen
) -> None:
    assert main(["model", "install", str(write_bundle(tmp_path / "70.janus", "70")), *where]) == 0
    shown = capsys.readouterr().out
    assert "tiny version 70 is installed, in place of janus-" in shown
    assert "systemctl restart janusd" in shown
    assert "Everybody enrolled so far will not be recognised" in shown
    assert main(["model", "install", str(write_bundle(tmp_path / "80.janus", "80")), *where]) == 0
    assert "recognised" not in capsys.readouterr().out  # the same encoder, newly calibrated
    assert main(["model", "install", str(tmp_path / "80.janus"), *where]) == 0
    assert "installed already; nothing changed" in capsys.readouterr().out
    assert main(["model", "show", *where]) == 0
    assert "tiny version 80" in capsys.readouterr().out


def test_where_a_door_runs_install_counts_the_people(
    tmp_path: Path, where: list[str], capsys: Screen
) -> None:
    people = [Person(name, "2026-11-22T06:40:00+00:00", 5, "") for name in ("Ada", "Ben")]
    with serving(tmp_path / "control", FakeDoor(people)):
        main(["model", "install", str(write_bundle(tmp_path / "70.janus", "70")), *where])
        assert "All 2 people enrolled so far" in capsys.readouterr().out
        bundle = write_bundle(tmp_path / "90.janus", "90", another_encoder=True)
        assert main(["model", "install", str(bundle), *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["people_to_enrol_again"] == 2
    assert told["before"]["version"] == "70"
    assert told["changed"]
    assert told["new_encoder"]


def test_older_is_said_aloud_or_refused(tmp_path: Path, where: list[str], capsys: Screen) -> None:
    old = str(write_bundle(tmp_path / "0.janus", "0.1"))
    assert main(["model", "install", old, *where]) == 1
    assert "--older" in capsys.readouterr().err
    assert main(["model", "install", old, *where, "--older"]) == 0


def test_the_other_verbs_do_not_load_what_verifies() -> None:
    script = (
        "import sys, janusd.cli.main as m; m.make_parser();"
        "print([n for n in ('numpy', 'cryptography', 'janusd.bundle.check') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
