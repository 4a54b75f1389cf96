"""Installing a bundle: all or nothing, never older by accident, never two at once. Not tested: power cuts."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from dataclasses import replace
from pathlib import Path

import installer
import msgspec
import pytest

from janusd.bundle import check
from janusd.bundle import install as installing
from janusd.bundle.install import Installed, install, present
from janusd.core.manifest import Detector, TensorSpec
from janusd.errors import ModelError
from support.bundles import KEYS, maker, write_bundle, write_folder
from support.damage import flip

KILLS = 12
SPEC = TensorSpec((1, 8, 8, 3), 0.01, 0)


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "shipped", "2")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "installed.janus"


def test_a_newer_bundle_is_installed_and_is_what_a_door_then_runs(
    tmp_path: Path, target: Path, shipped: Path
) -> None:
    assert present(KEYS, target, shipped).title == "tiny version 2"
    new = write_bundle(tmp_path / "3.janus", "2.10", another_encoder=True)
    done = install(new, KEYS, target=target, shipped=shipped)
    assert done.is_new_encoder
    assert done.asks_to_enrol
    assert target.read_bytes() == new.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o644
    assert present(KEYS, target, shipped).title == "tiny version 2.10"
    assert [path.name for path in target.parent.iterdir()] == ["installed.janus"]


def test_the_daemons_user_can_read_it_whatever_the_umask(tmp_path: Path, target: Path, shipped: Path) -> None:
    before = os.umask(0o077)
    try:
        install(write_bundle(tmp_path / "3.janus", "3"), KEYS, target=target, shipped=shipped)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o644


def test_installing_the_same_again_changes_nothing_and_says_so(
    tmp_path: Path, target: Path, shipped: Path
) -> None:
    new = write_bundle(tmp_path / "3.janus", "3")
    assert not install(new, KEYS, target=target, shipped=shipped).was_there
    written = target.stat().st_mtime_ns
    done = install(new, KEYS, target=target, shipped=shipped)
    assert done.was_there
    assert not done.asks_to_enrol
    assert target.stat().st_mtime_ns == written


def test_older_than_what_came_with_this_version_or_was_installed_is_refused_unless_asked_for(
    tmp_path: Path, target: Path, shipped: Path
) -> None:
    old = write_bundle(tmp_path / "1.janus", "1.9")
    with pytest.raises(ModelError, match=r"version 1\.9 is older than tiny version 2, .*--older"):
        install(old, KEYS, target=target, shipped=shipped)
    install(write_bundle(tmp_path / "10.janus", "10"), KEYS, target=target, shipped=shipped)
    with pytest.raises(ModelError, match="version 9 is older than tiny version 10"):
        install(write_bundle(tmp_path / "9.janus", "9"), KEYS, target=target, shipped=shipped)
    done = install(old, KEYS, target=target, shipped=shipped, allow_older=True)
    assert done.before is not None
    assert present(KEYS, target, shipped).title == "tiny version 1.9"


def test_another_model_under_the_same_number_is_refused(tmp_path: Path, target: Path, shipped: Path) -> None:
    twin = write_bundle(tmp_path / "2.janus", "2", another_encoder=True)
    with pytest.raises(ModelError, match="is another model"):
        install(twin, KEYS, target=target, shipped=shipped)
    install(write_bundle(tmp_path / "same.janus", "2"), KEYS, target=target, shipped=shipped)


def test_a_bad_bundle_leaves_the_installed_one_as_it_is(tmp_path: Path, target: Path, shipped: Path) -> None:
    new = write_bundle(tmp_path / "3.janus", "3")
    install(new, KEYS, target=target, shipped=shipped)
    bad = tmp_path / "bad.janus"
    bad.write_bytes(flip(write_bundle(tmp_path / "4.janus", "4").read_bytes(), 5000))
    with pytest.raises(ModelError):
        install(bad, KEYS, target=target, shipped=shipped)
    with pytest.raises(ModelError, match="is a folder"):
        install(shipped, KEYS, target=target, shipped=shipped)
    assert target.read_bytes() == new.read_bytes()


def test_a_damaged_installed_bundle_is_mended_but_not_by_an_older_one_than_came_with_this_version(
    tmp_path: Path, target: Path, shipped: Path
) -> None:
    target.parent.mkdir()
    target.write_bytes(b"ruined")
    with pytest.raises(ModelError):
        present(KEYS, target, shipped)
    with pytest.raises(ModelError, match="is older"):
        install(write_bundle(tmp_path / "1.janus", "1"), KEYS, target=target, shipped=shipped)
    done = install(write_bundle(tmp_path / "3.janus", "3"), KEYS, target=target, shipped=shipped)
    assert done.before is None
    assert done.is_new_encoder
    assert done.asks_to_enrol
    assert present(KEYS, target, shipped).title == "tiny version 3"


def test_a_damaged_package_is_mended_too(tmp_path: Path, target: Path, shipped: Path) -> None:
    (shipped / "tiny.tflite").write_bytes(b"ruined")
    install(write_bundle(tmp_path / "3.janus", "3"), KEYS, target=target, shipped=shipped)
    assert present(KEYS, target, shipped).title == "tiny version 3"


@pytest.mark.parametrize("step", ["fsync", "replace", "sync_folder"])
def test_a_full_or_failing_disk_at_any_step_leaves_a_whole_bundle(
    tmp_path: Path, target: Path, shipped: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(write_bundle(tmp_path / "3.janus", "3"), KEYS, target=target, shipped=shipped)

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    where = {"fsync": (os, "fsync"), "replace": (Path, "replace"), "sync_folder": (installing, "sync_folder")}
    with monkeypatch.context() as patched:
        patched.setattr(*where[step], fails)
        with pytest.raises(ModelError, match=r"No space left on device.*make room"):
            install(write_bundle(tmp_path / "4.janus", "4"), KEYS, target=target, shipped=shipped)
    now = present(KEYS, target, shipped).title
    assert now == ("tiny version 4" if step == "sync_folder" else "tiny version 3")
    install(write_bundle(tmp_path / "5.janus", "5"), KEYS, target=target, shipped=shipped)
    assert present(KEYS, target, shipped).title == "tiny version 5"


def test_who_may_not_write_there_is_told_to_be_root(tmp_path: Path, shipped: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        install(
            write_bundle(tmp_path / "3.janus", "3"),
            KEYS,
            target=tmp_path / "file" / "installed.janus",
            shipped=shipped,
        )
    refused = installing._cannot_write(Path("/var/lib"), PermissionError(13, "Permission denied"))
    assert "sudo janusctl model install" in str(refused)


def test_a_symbolic_link_planted_beside_is_not_written_through(
    tmp_path: Path, target: Path, shipped: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    target.parent.mkdir()
    (target.parent / ".installing").symlink_to(victim)
    install(write_bundle(tmp_path / "3.janus", "3"), KEYS, target=target, shipped=shipped)
    assert victim.read_text() == "mine"


def test_killed_at_any_moment_the_old_or_the_new_bundle_is_there_whole(tmp_path: Path, target: Path) -> None:
    shipped = write_folder(tmp_path / "shipped", "1")
    bundles = [write_bundle(tmp_path / f"{n}.janus", str(n), padding=4_000_000) for n in (2, 3)]
    whole = {path.read_bytes() for path in bundles}
    install(bundles[0], KEYS, target=target, shipped=shipped)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pytest", "installer"])
    chance, midway = random.Random(0), 0
    for _ in range(KILLS):
        hears, says = processes.Pipe(duplex=False)
        worker = processes.Process(target=installer.install_for_ever, args=(bundles, target, shipped, says))
        worker.start()
        says.close()
        with hears:
            hears.recv()
            time.sleep(chance.uniform(0, 0.06))
            worker.kill()
            worker.join()
        midway += (target.parent / ".installing").exists()
        assert target.read_bytes() in whole
        assert check.verify(target, KEYS).raw in whole
    print(f"{KILLS} kills, {midway} while a bundle was half written beside, 0 half bundles installed")
    install(bundles[1], KEYS, target=target, shipped=shipped, allow_older=True)  # the leftovers do not matter
    assert [path.name for path in target.parent.iterdir()] == ["installed.janus"]


def test_another_detector_asks_to_enrol_again_and_is_not_called_another_encoder() -> None:
    signed = check.verify_bytes(maker.signed(maker.files()), KEYS, "good")
    described = signed.manifest
    eye = Detector("eye", "eye.tflite", "1" * 64, "1", SPEC, SPEC, 0.2, 0.5)
    later = msgspec.structs.replace(eye, sha256="2" * 64)

    def change(before: Detector | None, now: Detector | None) -> Installed:
        return Installed(
            *(
                replace(signed, manifest=msgspec.structs.replace(described, detector=found_by))
                for found_by in (before, now)
            )
        )

    for before, now in ((None, eye), (eye, later), (eye, None)):
        done = change(before, now)
        assert (done.asks_to_enrol, done.is_new_encoder) == (True, False)
    assert not change(eye, eye).asks_to_enrol
