"""The tally of tries on disk: kills, torn writes, edited, missing and older files."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.limiter import Tally
from janusd.errors import InstallerError, KeyUnavailable, LedgerBroken
from janusd.journal import ledger as ledgers
from janusd.journal.ledger import SLOT_BYTES, Ledger
from janusd.vault.keys import FileKey, create_key_file
from support.damage import flip


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    create_key_file(tmp_path / "key")
    return FileKey(tmp_path / "key")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tries"


@pytest.fixture
def ledger(path: Path, key: FileKey) -> Iterator[Ledger]:
    opened = Ledger.open(path, key, may_begin=True)
    yield opened
    opened.close()


def reopened(path: Path, key: FileKey, *, may_begin: bool = False) -> Tally:
    again = Ledger.open(path, key, may_begin=may_begin)
    again.close()
    return again.tally


def test_a_new_ledger_has_counted_nothing_and_is_private(ledger: Ledger, path: Path, key: FileKey) -> None:
    assert ledger.tally == Tally()
    assert path.stat().st_mode & 0o7777 == 0o600
    assert reopened(path, key) == Tally()


@given(
    st.lists(
        st.builds(Tally, st.integers(0, 20), st.integers(0, 20), st.just(30.0), st.booleans()), min_size=1
    )
)
def test_the_last_tally_written_comes_back(tallies: list[Tally]) -> None:
    slots = bytearray(2 * SLOT_BYTES)
    file = os.memfd_create("ledger")
    writer = Ledger([file], b"k" * 32, 0, Tally())
    for tally in tallies:
        writer.write(tally)
    slots[:] = os.pread(file, len(slots), 0).ljust(len(slots), b"\0")
    writer.close()
    newest, is_torn = ledgers._latest(bytes(slots), b"k" * 32)
    assert newest is not None
    assert (newest.sequence, newest.tally) == (len(tallies), tallies[-1])
    assert is_torn == (len(tallies) == 1)  # the other slot was never written


def test_a_write_is_one_block_in_place(ledger: Ledger, path: Path) -> None:
    before = path.read_bytes()
    ledger.write(Tally(1, 1))
    after = path.read_bytes()
    assert len(before) == len(after) == 2 * SLOT_BYTES
    assert sum(before[i : i + SLOT_BYTES] != after[i : i + SLOT_BYTES] for i in (0, SLOT_BYTES)) == 1


@pytest.mark.parametrize("torn", [0, 1, 60, 512, SLOT_BYTES - 1])
def test_a_torn_write_costs_a_charge_and_forgives_none(
    ledger: Ledger, path: Path, key: FileKey, torn: int
) -> None:
    ledger.write(Tally(7, 2))
    before = path.read_bytes()
    ledger.write(Tally(8, 3))
    after = bytearray(path.read_bytes())
    ledger.close()
    start = next(i for i in (0, SLOT_BYTES) if before[i : i + SLOT_BYTES] != after[i : i + SLOT_BYTES])
    after[start + torn : start + SLOT_BYTES] = os.urandom(SLOT_BYTES - torn)
    path.write_bytes(after)
    assert reopened(path, key).spent in (8, 9)


def test_no_flipped_bit_forgives_a_try(ledger: Ledger, path: Path, key: FileKey) -> None:
    ledger.write(Tally(19, 19, 120.0))
    ledger.write(Tally(19, 19, 120.0))
    ledger.close()
    whole, its_key = path.read_bytes(), ledgers.sealed.derive(key.key(), b"", "janusd ledger v1")
    for bit in [*range(0, 120), *range(8 * SLOT_BYTES, 8 * SLOT_BYTES + 120)]:
        newest, _ = ledgers._latest(flip(whole, bit), its_key)
        assert newest is not None
        assert newest.tally.spent >= 19


def test_a_ledger_taken_away_or_spoiled_switches_faces_off(ledger: Ledger, path: Path, key: FileKey) -> None:
    ledger.close()
    for spoiled in (bytes(2 * SLOT_BYTES), b"", os.urandom(2 * SLOT_BYTES)):
        path.write_bytes(spoiled)
        assert reopened(path, key).is_off
    path.write_bytes(os.urandom(2 * SLOT_BYTES))
    assert reopened(path, key, may_begin=True).is_off
    path.unlink()
    assert reopened(path, key).is_off


def test_another_key_does_not_open_it(ledger: Ledger, path: Path, tmp_path: Path) -> None:
    ledger.close()
    create_key_file(tmp_path / "other")
    assert reopened(path, FileKey(tmp_path / "other")).is_off
    with pytest.raises(KeyUnavailable):
        Ledger.open(path, FileKey(tmp_path / "none"), may_begin=False)


def test_a_ledger_open_to_others_or_linked_is_refused(ledger: Ledger, path: Path, key: FileKey) -> None:
    ledger.close()
    path.chmod(0o644)
    with pytest.raises(LedgerBroken, match="stands open"):
        Ledger.open(path, key, may_begin=True)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    with pytest.raises(LedgerBroken, match="not a regular file"):
        Ledger.open(path, key, may_begin=True)


def test_a_disk_that_will_not_is_said_and_the_old_tally_stays(
    ledger: Ledger, path: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.write(Tally(3, 3))

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", fail)
        with pytest.raises(InstallerError, match="Input/output error"):
            ledger.write(Tally(4, 4))
    assert ledger.tally == Tally(3, 3)
    ledger.write(Tally(5, 5))
    assert reopened(path, key) == Tally(5, 5)


@pytest.fixture
def twin(tmp_path: Path) -> Path:
    return tmp_path / "elsewhere" / "tries"


def with_twin(path: Path, key: FileKey, twin: Path, *, may_begin: bool = False) -> Ledger:
    opened = Ledger.open(path, key, may_begin=may_begin, twin=twin)
    opened.close()
    return opened


def spend(path: Path, key: FileKey, twin: Path, spent: int) -> None:
    """A ledger and its twin with that much spent."""
    opened = Ledger.open(path, key, may_begin=not path.exists(), twin=twin)
    for count in range(opened.tally.spent + 1, spent + 1):
        opened.write(Tally(count, count))
    opened.close()


def test_an_older_copy_of_the_tally_forgives_nothing_and_is_told(
    path: Path, key: FileKey, twin: Path
) -> None:
    spend(path, key, twin, 3)
    older = path.read_bytes()
    spend(path, key, twin, 19)
    path.write_bytes(older)
    found = with_twin(path, key, twin)
    assert found.tally == Tally(19, 19)
    assert "is an older copy" in found.alarm
    again = with_twin(path, key, twin)
    assert (again.tally, again.alarm) == (Tally(19, 19), "")


def test_an_older_twin_forgives_nothing_either(path: Path, key: FileKey, twin: Path) -> None:
    spend(path, key, twin, 3)
    older = twin.read_bytes()
    spend(path, key, twin, 19)
    twin.write_bytes(older)
    found = with_twin(path, key, twin)
    assert found.tally == Tally(19, 19)
    assert f"{twin} is an older copy" in found.alarm
    path.unlink()
    assert with_twin(path, key, twin, may_begin=True).tally.is_off  # where one is, both were


@pytest.mark.parametrize("which", ["path", "twin"])
@pytest.mark.parametrize("content", [None, b"", bytes(2 * SLOT_BYTES), b"x" * 2 * SLOT_BYTES])
def test_one_of_the_two_taken_away_or_spoiled_switches_faces_off(
    path: Path, key: FileKey, twin: Path, which: str, content: bytes | None
) -> None:
    spend(path, key, twin, 3)
    gone = {"path": path, "twin": twin}[which]
    gone.unlink()
    if content is not None:
        gone.write_bytes(content)
        gone.chmod(0o600)
    found = with_twin(path, key, twin)
    assert found.tally.is_off
    assert "gone or spoiled" in found.alarm
    assert with_twin(path, key, twin).alarm == ""


def test_a_ledger_from_before_there_were_twins_gets_one(
    path: Path, key: FileKey, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(ledgers, "_MAGIC", ledgers._TWINLESS)
        spend_without = Ledger.open(path, key, may_begin=True)
        spend_without.write(Tally(7, 2))
        spend_without.close()
    found = with_twin(path, key, twin)
    assert (found.tally, found.alarm) == (Tally(7, 2), "")
    twin.unlink()
    assert with_twin(path, key, twin).tally.is_off


def test_a_kill_between_the_two_writes_is_no_alarm(path: Path, key: FileKey, twin: Path) -> None:
    spend(path, key, twin, 3)
    before = twin.read_bytes()
    spend(path, key, twin, 4)
    twin.write_bytes(before)  # as if the power had gone after the first of the two
    found = with_twin(path, key, twin)
    assert (found.tally, found.alarm) == (Tally(4, 4), "")


def test_where_one_disk_fails_the_other_still_counts(
    path: Path, key: FileKey, twin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spend(path, key, twin, 3)
    opened = Ledger.open(path, key, may_begin=False, twin=twin)
    here, sync = opened._descriptors[0], os.fdatasync

    def fail_here(descriptor: int) -> None:
        if descriptor == here:
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as failing:
        failing.setattr(os, "fdatasync", fail_here)
        with pytest.raises(InstallerError, match="Input/output error"):
            opened.write(Tally(9, 9))
    assert opened.tally == Tally(9, 9)
    opened.close()
    assert with_twin(path, key, twin).tally == Tally(9, 9)


@pytest.mark.slow
def test_no_acknowledged_charge_is_lost_to_a_kill(tmp_path: Path, ledger: Ledger, key: FileKey) -> None:
    ledger.close()
    chance, spent = random.Random(0), 0
    for _ in range(12):
        spent = max(kill_a_writer(tmp_path, chance.uniform(0, 0.05)), spent)
        found = reopened(tmp_path / "tries", key).spent
        assert spent <= found <= spent + 2  # one may be durable without its word getting out, one torn
        spent = found
    assert spent > 12


def charge(folder: Path, say: Connection) -> None:
    """Charges until it is killed; says each charge once it is acknowledged."""
    opened = Ledger.open(folder / "tries", FileKey(folder / "key"), may_begin=False)
    say.send(opened.tally.spent)
    while True:
        opened.write(Tally(opened.tally.spent + 1))
        say.send(opened.tally.spent)


def kill_a_writer(folder: Path, after_s: float) -> int:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["pytest", "janusd.journal.ledger", "janusd.vault.store"])
    hears, says = processes.Pipe(duplex=False)
    writer = processes.Process(target=charge, args=(folder, says))
    writer.start()
    says.close()
    with hears:
        last = int(hears.recv())
        time.sleep(after_s)
        writer.kill()
        try:
            while True:
                last = int(hears.recv())
        except EOFError:
            writer.join()
            writer.close()
    return last
