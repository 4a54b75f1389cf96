"""What the daemon's command line does before there is a door to watch."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusd import config as configuration
from janusd import main as composition
from janusd.config import CameraSection, Config, ControlSection, LatchSection, VaultSection, parse
from janusd.control import Access, ControlServer
from janusd.errors import AnchorLost, CameraError, ConfigError, KeyUnavailable, LatchError
from janusd.vault.keys import CredentialKey, FileKey
from support.filled import add_somebody
from support.painted_door import QUICK, Rig
from support.software_tpm import software_tpm


def written(folder: Path, more: str = "") -> Path:
    (folder / "machine-id").write_text(f"{7:032x}\n")
    path = folder / "janus.toml"
    path.write_text(
        f'[vault]\ndirectory = "{folder}/state"\nkey = "file"\nmachine_id = "{folder}/machine-id"\n{more}'
    )
    return path


def test_check_accepts_a_good_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert composition.main(["--config", str(written(tmp_path)), "--check"]) == 0
    shown = capsys.readouterr().out
    assert "good" in shown
    assert ", signed by janusd (key " in shown


def test_check_names_what_is_wrong_and_exits_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "[latch]\nhold_s = 900\n")
    assert composition.main(["--config", str(path), "--check"]) == 78
    assert "latch.hold_s: must be a number from 0.2 to 30, not 900" in capsys.readouterr().err


def test_an_accelerator_of_no_known_name_is_said_with_those_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, "[model]\nthreads = 1\n")
    assert composition.main(["--config", str(path), "--probe-accelerators", "bogus"]) == 1
    said = capsys.readouterr().err
    assert "there is no 'bogus' to probe; name one of cpu:1, " in said
    assert "detector/gpu:1" in said


def test_prepare_makes_key_and_vault_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path)
    assert composition.main(["--config", str(path), "--prepare"]) == 0
    assert "made key" in capsys.readouterr().out
    key = tmp_path / "state" / "key"
    before = key.read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    assert composition.main(["--config", str(path), "--prepare"]) == 0
    assert "everything was there already" in capsys.readouterr().out
    assert key.read_bytes() == before


def test_prepare_makes_no_second_key_for_a_vault_that_lost_its_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path)
    composition.main(["--config", str(path), "--prepare"])
    (tmp_path / "state" / "key").unlink()
    assert composition.main(["--config", str(path), "--prepare"]) == 1
    assert "put the key back" in capsys.readouterr().err
    assert not (tmp_path / "state" / "key").exists()


def test_prepare_makes_the_counter_and_counts_an_anchor_of_before_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way of an installer who turns it on later; with a TPM in software."""
    path = written(tmp_path)
    composition.main(["--config", str(path), "--prepare"])
    add_somebody(configuration.load(path), "Ada")
    with software_tpm(tmp_path / "tpm") as device:
        path.write_text(path.read_text() + f'counter = "tpm2"\ncounter_device = "{device}"\n')
        counted = configuration.load(path)
        with pytest.raises(AnchorLost, match="janusctl setup --step keys"):
            add_somebody(counted, "Eve")
        capsys.readouterr()
        assert composition.main(["--config", str(path), "--prepare"]) == 0
        assert "made TPM counter 0x01804a41" in capsys.readouterr().out
        add_somebody(counted, "Bob")
        assert composition.main(["--config", str(path), "--prepare"]) == 0
        assert "everything was there already" in capsys.readouterr().out
        finding = composition._anchor_finding(counted.vault, composition.anchor(counted.vault))
        assert (finding.verdict, "counted by TPM counter" in finding.detail) == ("ok", True)
    path.write_text(path.read_text().replace(device, str(tmp_path / "gone")))
    assert composition.main(["--config", str(path), "--prepare"]) == 1
    assert "the TPM cannot be asked" in capsys.readouterr().err


def test_without_a_vault_the_daemon_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, f'[control]\nsocket = "{tmp_path}/control"\n')
    composition.main(["--config", str(path), "--prepare"])
    (tmp_path / "state" / "vault.db").unlink()
    capsys.readouterr()
    assert composition.main(["--config", str(path)]) == 1
    assert "vault" in capsys.readouterr().err


def test_the_key_comes_from_the_credentials_that_systemd_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section = VaultSection(key="credential")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(KeyUnavailable, match="start janusd from its unit"):
        composition.key_source(section)
    (tmp_path / "janus-key").write_bytes(bytes(range(32)))
    (tmp_path / "janus-key").chmod(0o400)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    source = composition.key_source(section)
    assert isinstance(source, CredentialKey)
    assert source.key() == bytes(range(32))


def test_a_key_file_may_lie_elsewhere() -> None:
    source = composition.key_source(VaultSection(key="file", key_file="/somewhere/else"))
    assert isinstance(source, FileKey)
    assert "/somewhere/else" in source.name


@pytest.mark.parametrize(
    "section",
    [
        CameraSection(driver="replay", path="/nowhere"),
        CameraSection(driver="picamera2"),
    ],
)
def test_a_camera_that_is_not_there_is_named_with_a_remedy(section: CameraSection) -> None:
    with pytest.raises(CameraError, match=";"):
        composition.open_camera(section)


def test_a_v4l2_camera_that_is_not_there_fails_at_its_first_frame() -> None:
    camera = composition.open_camera(CameraSection(driver="opencv", device="/dev/video-none"))
    with pytest.raises(CameraError, match="video-none"):
        next(iter(camera.frames()))


def test_a_gpio_chip_that_is_not_there_is_named() -> None:
    with pytest.raises(LatchError, match="gpiochip-none"):
        composition.open_latch(LatchSection(driver="gpiod", chip="/dev/gpiochip-none"))


def test_a_group_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="no-such-group"):
        composition._access(Config(control=ControlSection(group="no-such-group")))
    assert composition._access(Config(control=ControlSection(group="root"))).owner_gids == {0}


def test_the_default_configuration_path_is_the_documented_one() -> None:
    assert str(configuration.DEFAULT_PATH) == "/etc/janus/janus.toml"


def test_a_configuration_is_taken_over_whole_or_not_at_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, parse(QUICK))
    before, access = rig.door.status().promise, Access(owner_uids=frozenset({65534}))
    control = ControlServer(tmp_path / "control", rig.door, access=access)
    path = tmp_path / "janus.toml"
    path.write_text(QUICK + '[promise]\nyears = 100\n[control]\nobservers = ["nobody-of-that-name"]\n')
    composition._reload(path, rig.door, control)
    assert "was not reloaded: control.observers: there is no user" in caplog.text
    assert (rig.door.status().promise, control.access) == (before, access)
    path.write_text(QUICK + "[promise]\nyears = 100\n")
    composition._reload(path, rig.door, control)
    assert "100 years" in rig.door.status().promise
    assert control.access.owner_uids == frozenset()
    rig.door.close()
