"""`janusctl setup --answers`: what it writes, what it refuses, how it is done again and undone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from setup_kit import PI_5, HereAndNow, copy, device, fake_systemctl, files, setup, show

from janusd import config
from janusd.cli.exits import Exit
from janusd.cli.main import main, make_parser
from janusd.cli.setup import verb
from janusd.cli.setup.answers import PromiseAnswer
from janusd.cli.setup.memory import digest
from janusd.cli.setup.place import Place
from janusd.cli.setup.sandbox import drop_in
from janusd.cli.setup.scout import Key, Meaning
from janusd.cli.setup.step import Desk
from janusd.cli.setup.steps.promise import explain
from janusd.cli.verbs import Usage
from janusd.errors import ConfigError, InstallerError, JanusError, NotAllowed
from janusd_hw.fake_gpiod import FakeChip
from janusd_hw.latchd import settings as latch_settings

Screen = pytest.CaptureFixture[str]
WIRED = '[lines]\nrelay = 11\nrex = 13\nbuzzer = { pin = 37, active_low = true }\n[keys]\nsource = "file"\n'


def shown(capsys: Screen) -> str:
    """What was said, on one line."""
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return device(tmp_path / "device")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A device that was set up once."""
    root = device(tmp_path_factory.mktemp("made") / "device")
    assert setup(root, answers=WIRED) == 0
    return root


@pytest.fixture
def set_up(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with paths that point into the copy."""
    root = copy(made, tmp_path / "device")
    journal = root / "var/lib/janus-setup/journal.json"
    for path in (*(root / "etc/janus").iterdir(), journal):
        before = path.read_text()
        path.write_text(before.replace(str(made), str(root)))
        journal.write_text(journal.read_text().replace(digest(before), digest(path.read_text())))
    return root


def test_one_file_of_answers_makes_a_door_that_loads(made: Path) -> None:
    written = config.load(made / "etc/janus/janus.toml")
    assert written.camera.driver == "replay"
    assert (written.latch.driver, written.latch.door, written.vault.key) == ("latchd", "front", "file")
    (door,) = latch_settings.load(str(made / "etc/janus/latch.toml")).doors
    assert {role: line.line for role, line in door.lines.items()} == {"relay": 17, "rex": 27, "buzzer": 26}
    assert door.lines["relay"].chip == "label:pinctrl-rp1"
    assert (door.lines["rex"].active_low, door.lines["rex"].bias) == (True, "pull-up")
    assert door.lines["buzzer"].active_low
    assert "# pin 11" in (made / "etc/janus/latch.toml").read_text()
    assert (made / "var/lib/janus/vault.db").exists()
    assert (made / "var/lib/janus-setup").stat().st_mode & 0o777 == 0o700


def test_nothing_at_all_is_answered_by_suggestions_and_no_lock(root: Path) -> None:
    assert setup(root, "--skip", "keys", answers="") == 0
    assert config.load(root / "etc/janus/janus.toml").latch.driver == "simulated"
    assert "latch.toml" not in files(root)


def test_a_dry_run_shows_the_difference_and_writes_nothing(root: Path, capsys: Screen) -> None:
    before = sorted(root.rglob("*"))
    assert setup(root, "--dry-run", answers=WIRED) == 0
    said = shown(capsys)
    assert "+relay = { line = 17, active_low = false } # pin 11" in said
    assert "make a key and an empty vault" in said
    assert "A dry run: nothing was changed." in said
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ("[lines]\nrelay = 6", "lines.relay: pin 6 is ground, and no GPIO line"),
        ("[lines]\nrelay = 3", "lines.relay: pin 3 is not to be used: I2C SDA"),
        ("[lines]\nrelay = 24", "line 8 is pulled up at boot: the relay would pull in"),
        (
            "[lines]\nrelay = { pin = 11, active_low = true }",
            "line 17 is pulled down at boot: the relay would pull in",
        ),
        ("[lines]\nrelay = 11\nrex = 11", "lines.rex: pin 11 (line 17) is the relay already"),
        ("[lines]\nrex = 13", "lines.relay: is missing: which pin drives the lock?"),
        ("[lines]\nrelay = { line = 17, pin = 11 }", "give a pin or a line, one of them"),
        (
            '[camera]\ndriver = "opencv"\ndevice = "/dev/video7"',
            "there is no opencv /dev/video7 here; found: replay",
        ),
        (
            '[camera]\ndriver = "opencv"\ndevice = "rtsp://garden.local/door"',
            "garden.local is a name, and janusd reaches no name server: give its IP address",
        ),
        ('[camera]\ndriver = "replay"', "camera.path: a replay needs the folder"),
        ('[board]\nprofile = "raspberry-pi-9"', "there is no 'raspberry-pi-9'"),
        ('[keys]\nsource = "tpm"', "keys.source: tpm: "),
        ("[promise]\nyears = 0.01\ntries_a_day = 1", "fewer than a hundred tries is no lock"),
        ('[pulse]\nrelay = true\n[lines]\nlock = "none"', "pulse.relay: there is no lock to release"),
        ('[enrol]\nname = "Ada"\nfrom_images = "/nowhere"', "enrol.from_images: there is no folder /nowhere"),
    ],
)
def test_what_is_impossible_here_is_said_before_anything_is_touched(
    root: Path, answers: str, said: str
) -> None:
    if "[keys]" not in answers:
        answers += '\n[keys]\nsource = "file"'
    with pytest.raises(ConfigError) as refused:
        setup(root, answers=answers)
    assert said in str(refused.value)
    assert "nothing was changed" in str(refused.value)
    assert not (root / "etc/janus").exists()
    assert not (root / "var").exists()


def test_each_problem_of_a_file_is_a_line_of_its_own(tmp_path: Path, capsys: Screen) -> None:
    file = tmp_path / "answers.toml"
    file.write_text("[promise]\n" + "".join(f"field_{number} = 1\n" for number in range(20)))
    assert main(["setup", "--root", str(tmp_path / "device"), "--answers", str(file)]) == Exit.REFUSED
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert all(line.startswith("janusctl: ") and "field_" in line for line in lines)
    assert lines[-1].endswith("; nothing was changed")


@pytest.mark.parametrize(("fmr", "said"), [(0.00021, "0.0002"), (0.0000034, "0.000003"), (0.01, "0.01")])
def test_a_rate_is_told_in_plain_decimals(fmr: float, said: str) -> None:
    meaning = Meaning(0.412, fmr, 730, False, 3_568_975, 0.2, 1000, False)
    told = " ".join(line for _, line in explain(PromiseAnswer(), meaning))
    assert f"one comparison may be wrong at a rate of {said}, measured on 3,568,975" in told


def test_without_a_chip_there_is_no_lock_to_choose(tmp_path: Path) -> None:
    bare = device(tmp_path / "bare", chip="")
    with pytest.raises(ConfigError, match=r'no GPIO chip to use .none is found.; write lock = "none"'):
        setup(bare, answers="[lines]\nrelay = 11")


def test_a_magnet_may_have_current_at_boot(root: Path) -> None:
    assert setup(root, "--skip", "keys", answers='[lines]\nlock = "fail-safe"\nrelay = 24') == 0
    assert latch_settings.load(str(root / "etc/janus/latch.toml")).doors[0].lock == "fail-safe"


def test_a_computer_without_a_known_header_takes_line_numbers(tmp_path: Path) -> None:
    box = device(tmp_path / "box", model="Some box", chip="gpio-mockup")
    assert setup(box, "--skip", "keys", answers="[lines]\nrelay = { line = 4 }") == 0
    written = (box / "etc/janus/latch.toml").read_text()
    assert 'chip = "/dev/gpiochip0"' in written
    assert "relay = { line = 4, active_low = false }" in written
    with pytest.raises(ConfigError, match=r"is not known: write { line = 17 }"):
        setup(box, answers="[lines]\nrelay = 11")


def test_what_an_owner_wrote_besides_stays(set_up: Path) -> None:
    path = set_up / "etc/janus/janus.toml"
    path.write_text(path.read_text() + "\n[decision]\nagree = 4   # my own\n")
    assert setup(set_up, "--step", "promise", answers="[promise]\nyears = 7") == 0
    assert "agree = 4   # my own" in path.read_text()
    written = config.load(path)
    assert (written.promise.years, written.decision.agree) == (7, 4)
    assert "years = 1 " in path.with_name("janus.toml.bak").read_text()


def test_one_step_alone_changes_nothing_else(set_up: Path) -> None:
    before = files(set_up)
    assert setup(set_up, "--step", "lines", answers="[lines]\nrelay = 16\nhold_s = 20\ntrigger = 18") == 0
    written = config.load(set_up / "etc/janus/janus.toml")
    (door,) = latch_settings.load(str(set_up / "etc/janus/latch.toml")).doors
    assert {role: line.line for role, line in door.lines.items()} == {"relay": 23, "trigger pir": 24}
    assert (door.hold_max_s, written.latch.hold_s, written.idle.trigger) == (20, 20, "both")
    assert setup(set_up, "--step", "lines", answers=WIRED.partition("[keys]")[0] + "hold_s = 5") == 0
    assert setup(set_up, "--undo") == 0
    assert setup(set_up, "--undo") == 0
    assert {name: text for name, text in files(set_up).items() if not name.endswith(".bak")} == before


def test_the_same_answers_again_change_nothing(set_up: Path, capsys: Screen) -> None:
    before = files(set_up)
    assert setup(set_up, answers=WIRED) == 0
    assert "Nothing: everything is as you said." in shown(capsys)
    assert files(set_up) == before


def test_undo_takes_away_what_was_not_there_and_keeps_the_vault(set_up: Path, capsys: Screen) -> None:
    assert setup(set_up, "--undo", "--dry-run") == 0
    assert set(files(set_up)) == {"janus.toml", "latch.toml"}
    assert setup(set_up, "--undo") == 0
    assert files(set_up) == {}
    assert (set_up / "var/lib/janus/vault.db").exists()
    assert "stays: people may be in it" in shown(capsys)
    assert setup(set_up, "--undo") == 0
    assert "There is nothing to undo" in shown(capsys)


def test_undo_leaves_a_file_that_somebody_changed_since(set_up: Path, capsys: Screen) -> None:
    path = set_up / "etc/janus/janus.toml"
    assert setup(set_up, "--step", "promise", answers="[promise]\nyears = 7") == 0
    path.write_text(path.read_text() + "# by hand\n")
    assert setup(set_up, "--undo") == 0
    assert "# by hand" in path.read_text()
    assert "changed since, by somebody else, and is not touched" in shown(capsys)


def test_below_a_folder_no_command_that_is_named_reaches_the_device(root: Path, capsys: Screen) -> None:
    assert setup(root, "--skip", "keys", answers="") == 0
    said = shown(capsys)
    assert f"janusctl setup --root {root} --undo" in said.replace("- ", "-")
    assert f"janusctl --socket {root}/run/janus/control doctor" in said
    assert "sudo" not in said
    assert Place().typed("setup --undo") == "sudo janusctl setup --undo"
    assert Place().typed("doctor") == "janusctl doctor"


def test_a_folder_without_an_id_is_given_one_which_stays_with_the_vault(root: Path, capsys: Screen) -> None:
    (root / "etc/machine-id").unlink()
    assert setup(root, "--dry-run", answers=WIRED) == 0
    assert "the id that the vault will be bound to" in shown(capsys)
    assert not (root / "etc/machine-id").exists()
    assert setup(root, answers=WIRED) == 0
    made = (root / "etc/machine-id").read_text()
    assert setup(root, "--undo") == 0
    assert (root / "etc/machine-id").read_text() == made


def test_a_vault_keeps_its_key(set_up: Path) -> None:
    with pytest.raises(ConfigError, match="the vault here is sealed with file"):
        setup(set_up, answers='[keys]\nsource = "credential"')


def test_a_vault_keeps_its_key_after_the_files_were_undone(set_up: Path, capsys: Screen) -> None:
    assert setup(set_up, "--undo") == 0
    with pytest.raises(ConfigError, match="the vault here is sealed with file"):
        setup(set_up, answers='[keys]\nsource = "credential"')
    assert setup(set_up, answers="") == 0
    assert "make a key" not in shown(capsys)
    assert config.load(set_up / "etc/janus/janus.toml").vault.key == "file"


def test_what_a_vault_lacks_is_made_only_where_that_step_alone_is_asked_for(
    set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Screen
) -> None:
    monkeypatch.setenv("JANUS_SYSTEMCTL", str(fake_systemctl(tmp_path, set_up)))
    (set_up / "units/janusd.service").write_text("enabled active")
    states = []

    def prepare(desk: Desk, key: Key) -> list[str]:
        del desk, key
        states.append((set_up / "units/janusd.service").read_text())
        return ["made TPM counter 0x01804a41"]

    monkeypatch.setattr("janusd.cli.setup.steps.keys._prepare", prepare)
    assert setup(set_up, answers=WIRED + "[units]\nenable = false") == 0
    assert not states
    assert setup(set_up, "--step", "keys", answers="") == 0
    assert states == ["enabled inactive"]
    assert (set_up / "units/janusd.service").read_text() == "enabled active"
    assert "Made TPM counter 0x01804a41." in shown(capsys)


def test_a_file_that_is_broken_is_named_and_left_alone(set_up: Path) -> None:
    path = set_up / "etc/janus/janus.toml"
    path.write_text("[camera\n")
    with pytest.raises(ConfigError, match=r"janus\.toml: not valid TOML"):
        setup(set_up, answers="")
    path.write_text("[decision]\nagree = 99\n")
    with pytest.raises(ConfigError, match=r"decision.agree: must be a whole number from 2 to 20"):
        setup(set_up, "--skip", "keys", answers="")
    assert path.read_text() == "[decision]\nagree = 99\n"


def test_units_are_enabled_and_started_and_undo_stops_them(
    set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Screen
) -> None:
    monkeypatch.setenv("JANUS_SYSTEMCTL", str(fake_systemctl(tmp_path, set_up)))
    monkeypatch.setattr("janusd.cli.setup.steps.units.wait_for", lambda desk: None)
    assert setup(set_up, answers=WIRED) == 0
    state = {path.name: path.read_text() for path in (set_up / "units").glob("janus*")}
    assert set(state.values()) == {"enabled active"}
    assert setup(set_up, "--step", "promise", answers="[promise]\nyears = 9") == 0
    assert "systemctl restart janusd" in shown(capsys)
    assert setup(set_up, answers=WIRED + "[promise]\nyears = 8") == 0
    assert "restart janusd.service" in (set_up / "units/log").read_text()
    for _ in range(3):
        assert setup(set_up, "--undo") == 0
    state = {path.name: path.read_text() for path in (set_up / "units").glob("janus*")}
    assert set(state.values()) == {"disabled inactive"}


def test_the_unit_lets_through_what_was_chosen_and_no_more(
    set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_SYSTEMCTL", str(fake_systemctl(tmp_path, set_up)))
    drop_in = Place(set_up).drop_in
    before = files(set_up)

    def reloads() -> int:
        said = (set_up / "units/log").read_text().splitlines()
        return sum(line.startswith("daemon-reload") for line in said)

    stream = '[camera]\ndriver = "opencv"\ndevice = "rtsp://10.0.0.7:554/door"\n'
    assert setup(set_up, "--step", "camera", answers=stream) == 0
    said = drop_in.read_text()
    assert "IPAddressAllow=10.0.0.7\n" in said
    assert "PrivateNetwork=no" in said
    assert "LoadCredential" not in said
    assert reloads() == 1
    assert setup(set_up, "--step", "camera", answers=stream) == 0  # nothing new, nothing done
    assert reloads() == 1
    assert setup(set_up, "--undo") == 0
    assert not drop_in.exists()
    assert files(set_up)["janus.toml"] == before["janus.toml"]
    assert reloads() == 2


def test_a_unit_no_longer_lets_through_what_is_no_longer_chosen(set_up: Path, capsys: Screen) -> None:
    drop_in = Place(set_up).drop_in
    replay = '[camera]\ndriver = "replay"\npath = "/pictures"\n'
    assert (
        setup(set_up, "--step", "camera", answers='[camera]\ndriver = "opencv"\ndevice = "rtsp://[fd00::7]/"')
        == 0
    )
    said = drop_in.read_text()
    assert "IPAddressAllow=fd00::7\n" in said
    assert setup(set_up, "--step", "camera", answers=replay) == 0
    assert not drop_in.exists()
    assert "nothing needs it any more" in shown(capsys)
    assert setup(set_up, "--undo") == 0
    assert drop_in.read_text() == said


@pytest.mark.parametrize(
    ("janus", "lines"),
    [
        ({}, ()),
        ({"camera": {"driver": "opencv", "device": "/dev/video0"}}, ()),
        ({"camera": {"driver": "picamera2", "device": "0"}}, ()),
        ({"camera": {"driver": "opencv", "device": "http://10.0.0.7/", "login": "garden"}},
         ("IPAddressAllow=10.0.0.7", "LoadCredentialEncrypted=garden")),
        ({"camera": {"driver": "opencv", "device": "rtsp://[broken"}}, ()),
        ({"model": {"delegate": "libedgetpu.so.1"}},
         ("DeviceAllow=char-apex rw", "RestrictAddressFamilies=AF_NETLINK")),
        ({"model": {"delegate": "/opt/other.so"}}, ()),
    ],
)  # fmt: skip
def test_what_a_drop_in_holds_follows_from_the_door_s_file(
    janus: dict[str, dict[str, str]], lines: tuple[str, ...]
) -> None:
    said = drop_in(janus).splitlines()
    assert set(lines) <= set(said)
    assert bool(said) == bool(lines)


def test_a_unit_that_does_not_start_is_told_with_the_way_back(
    set_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_SYSTEMCTL", str(fake_systemctl(tmp_path, set_up)))
    (set_up / "units/broken").touch()
    before = files(set_up)
    with pytest.raises(InstallerError, match=r"Job for janus-latchd.socket failed"):
        setup(set_up, answers=WIRED + "[promise]\nyears = 8")
    (set_up / "units/broken").unlink()
    assert setup(set_up, "--undo") == 0
    assert files(set_up)["janus.toml"] == before["janus.toml"]


def test_a_unit_that_is_not_installed_is_said_at_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JANUS_SYSTEMCTL", str(fake_systemctl(tmp_path, root)))
    (root / "units/janusd.service").unlink()
    with pytest.raises(ConfigError, match=r"janusd.service is not installed"):
        setup(root, answers="")
    assert not (root / "etc/janus").exists()


def test_a_relay_is_pulsed_once_and_locked_again_before_anything_is_written(root: Path) -> None:
    chip = FakeChip(root / "dev/gpiochip0", "falls")
    assert (
        setup(root, "--skip", "keys", answers="[lines]\nrelay = 11\n[pulse]\nrelay = true\nhold_s = 0.2") == 0
    )
    levels = [level for _, level in chip.timeline(17)]
    assert levels == [1, 0]
    assert not chip.is_held(17)


def test_a_relay_that_somebody_holds_stops_the_setup_untouched(root: Path) -> None:
    held = FakeChip(root / "dev/gpiochip0", "falls").hold(17)
    try:
        with pytest.raises(JanusError, match="busy"):
            setup(root, answers="[lines]\nrelay = 11\n[pulse]\nrelay = true")
    finally:
        os.close(held)
    assert not (root / "etc/janus").exists()


def test_a_sealed_credential_is_made_once_and_undone_while_nothing_is_sealed_with_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "run/systemd/system").mkdir(parents=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    creds = programs / "systemd-creds"
    creds.write_text('#!/bin/sh\necho "$@" >> "$0.log"\nfor last; do :; done\ncat > "$last"\n')
    creds.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr("janusd.cli.setup.steps.keys._prepare", lambda desk, key: None)
    assert setup(root, answers='[keys]\nsource = "credential"\n[units]\nenable = false') == 0
    key = Place(root).credential
    assert len(key.read_bytes()) == 32
    assert key.stat().st_mode & 0o777 == 0o600
    assert (programs / "systemd-creds.log").read_text().startswith("encrypt --name=janus-key - ")
    first = key.read_bytes()
    assert (
        setup(root, answers='[keys]\nsource = "credential"\n[promise]\nyears = 3\n[units]\nenable = false')
        == 0
    )
    assert key.read_bytes() == first
    for _ in range(2):
        assert setup(root, "--undo") == 0
    assert not key.exists()


def test_an_owner_who_is_no_root_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("sys.argv", ["janusctl", "setup", "--answers", "a.toml"])
    with pytest.raises(NotAllowed, match=r"type: sudo janusctl setup --answers a.toml"):
        verb.run(make_parser().parse_args(["setup", "--answers", "a.toml"]), HereAndNow())


def test_where_nobody_can_be_asked_answers_are_wanted(capsys: Screen) -> None:
    assert main(["setup"]) == Exit.USAGE
    assert "give --answers FILE" in capsys.readouterr().err
    with pytest.raises(Usage, match="has no --json"):
        verb.run(make_parser().parse_args(["--json", "setup"]))
    assert main(["setup", "--answers-template"]) == 0
    assert "[promise]" in shown(capsys)


def test_a_damaged_journal_is_named(set_up: Path) -> None:
    (set_up / "var/lib/janus-setup/journal.json").write_text("[{")
    with pytest.raises(InstallerError, match=r"journal\.json: cannot be read"):
        setup(set_up, answers="")


def test_the_real_process_looks_at_a_device_as_this_one_does(root: Path) -> None:
    from janusd.cli.setup.scout import Process, Scout  # noqa: PLC0415

    show(root, "ada", "enrol-00")
    scout = Scout(str(root), Process())
    try:
        found = scout.look()
        assert found == Scout(str(root), HereAndNow()).look()
        assert (found.board.key, found.board.model) == ("raspberry-pi-5", PI_5)
        picture = scout.picture({"driver": "replay", "path": str(root / "dev/video0")}, 64, 36)
        assert len(picture.faces) == 1
        scout.let_go()
        with pytest.raises(JanusError, match="does not exist"):
            scout.picture({"driver": "replay", "path": "/nowhere"}, 64, 36)
        meaning = scout.promise(1, 4, 2)
        assert 0.3 < meaning.threshold < 0.6
        assert scout.promise(100, 4, 2).threshold > meaning.threshold
    finally:
        scout.close()
