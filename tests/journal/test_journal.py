from __future__ import annotations

import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import journal_writer
import pytest
from cryptography.hazmat.primitives.ciphers import aead
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.forward import first_wrong
from janusd.door import Entry
from janusd.errors import InstallerError, JanusError, JournalBroken, KeyUnavailable, OwnerError
from janusd.journal import LONGEST_TEXT, Journal, line, log
from janusd.vault import database
from janusd.vault.keys import FileKey, create_key_file
from support.damage import run_sql

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone(timedelta(hours=1)))
HOSTILE = 'x"\n#9 2026-11-22 decision matched name="Mallory\x1b[2J\u202e\u2028\\'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    create_key_file(tmp_path / "key")
    return FileKey(tmp_path / "key")


@pytest.fixture
def journal(path: Path, key: FileKey) -> Iterator[Journal]:
    opened = Journal.open(path, key)
    yield opened
    opened.close()


def test_entries_come_back_in_order_after_a_restart(journal: Journal, path: Path, key: FileKey) -> None:
    told = [
        journal.append("started"),
        journal.append("enrolled", person_id="ab12", name="Ada", note="5 samples", at=NOON),
        journal.append("decision", "matched", person_id="ab12", name="Ada", at=NOON),
    ]
    journal.close()
    again = Journal.open(path, key)
    assert again.lines() == told
    assert again.verify() == 3
    assert [entry.number for entry in told] == [1, 2, 3]
    assert datetime.fromisoformat(told[1].texts[0]) == NOON
    assert again.append("stopped").number == 4
    assert again.verify() == 4
    again.close()


def test_a_new_log_is_empty_verifies_and_is_private(journal: Journal, path: Path) -> None:
    assert journal.entries() == []
    assert journal.verify() == 0
    assert path.stat().st_mode & 0o7777 == 0o600


def test_the_newest_entries_are_given_oldest_first(journal: Journal) -> None:
    for i in range(10):
        journal.append("decision", note=str(i), at=NOON + timedelta(minutes=i))
    assert [entry.note for entry in journal.entries(limit=3)] == ["7", "8", "9"]
    assert [entry.note for entry in journal.entries("2026-11-22T11:08:00+00:00")] == ["8", "9"]
    assert [entry.note for entry in journal.entries("2026-11-22T12:08+01:00", limit=1)] == ["9"]
    assert len(journal.entries("2026-11-21")) == 10
    assert journal.entries("2100-01-01") == []
    assert journal.entries(limit=0) == journal.entries(limit=-1) == []


@pytest.mark.parametrize("since", ["yesterday", "12:00", "2026-13-01", "\n\x1b"])
def test_a_time_that_cannot_be_read_shows_one_that_can(journal: Journal, since: str) -> None:
    with pytest.raises(OwnerError, match="write for example") as refused:
        journal.entries(since)
    assert str(refused.value).isprintable()


def test_the_order_holds_when_the_clock_goes_back(journal: Journal) -> None:
    journal.append("decision", note="first", at=NOON)
    journal.append("decision", note="second", at=datetime(1970, 1, 1, tzinfo=UTC))
    assert [entry.note for entry in journal.entries()] == ["first", "second"]
    assert journal.verify() == 2


def test_a_score_is_kept_to_two_places(journal: Journal) -> None:
    journal.append("decision", "unknown", score=0.41267381)
    journal.append("decision", note="2 frames", score=-0.5)
    assert [entry.note for entry in journal.entries()] == ["score 0.41", "2 frames, score -0.50"]


def test_no_name_stands_in_the_file_in_the_clear(journal: Journal, path: Path, key: FileKey) -> None:
    journal.append("decision", "matched", person_id="ab12cd34", name="Ada Lovelace", note="at the back door")
    whole = b"".join(file.read_bytes() for file in path.parent.glob("journal.db*"))
    for secret in (b"Ada", b"ab12cd34", b"back door", b"matched", key.key()):
        assert secret not in whole


def test_another_key_does_not_open_the_log(journal: Journal, path: Path, tmp_path: Path) -> None:
    journal.append("started")
    journal.close()
    create_key_file(tmp_path / "other")
    with pytest.raises(JournalBroken, match="does not verify with this key"):
        Journal.open(path, FileKey(tmp_path / "other"))
    with pytest.raises(KeyUnavailable):
        Journal.open(path, FileKey(tmp_path / "missing"))


def test_only_one_process_writes_a_log(
    journal: Journal, path: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_S", 0.05)
    with pytest.raises(InstallerError, match="in use"):
        Journal.open(path, key)


def test_a_log_open_to_others_is_refused(journal: Journal, path: Path, key: FileKey) -> None:
    journal.close()
    path.chmod(0o644)
    with pytest.raises(JournalBroken, match="stands open to others"):
        Journal.open(path, key)


def test_a_log_written_without_siv_reads_and_grows_with_it(
    path: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older_library:
        older_library.delattr(aead, "AESGCMSIV", raising=False)
        older = Journal.open(path, key)
        older.append("started")
        older.close()
    newer = Journal.open(path, key)
    newer.append("stopped")
    assert newer.verify() == 2
    newer.close()


# --- tampering


@pytest.fixture
def edit(journal: Journal, path: Path) -> Callable[[str], None]:
    """Runs SQL on a closed log of five entries."""
    for i in range(5):
        journal.append("decision", "matched", name="Ada", note=str(i), at=NOON + timedelta(minutes=i))
    journal.close()

    return lambda script: run_sql(path, script)


def complaint(path: Path, key: FileKey) -> str:
    with pytest.raises(JournalBroken) as broken:  # noqa: PT012 - opening or verifying, either may notice
        journal = Journal.open(path, key)
        try:
            journal.verify()
        finally:
            journal.close()
    assert broken.value.remedy
    return str(broken.value)


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("UPDATE entry SET body = flip(body, 300) WHERE number = 3", "entry 3 of the door log was altered"),
        ("UPDATE entry SET chain = flip(chain, 1) WHERE number = 2", "entry 2 of the door log was altered"),
        ("UPDATE entry SET chain = flip(chain, 1) WHERE number = 5", "entry 5 of the door log"),
        ("UPDATE entry SET at_us = at_us + 1 WHERE number = 4", "entry 4 of the door log was altered"),
        ("DELETE FROM entry WHERE number = 1", "entry 1 of the door log is missing"),
        ("DELETE FROM entry WHERE number = 3", "entry 3 of the door log is missing"),
        ("DELETE FROM entry WHERE number = 5", "entry 5 of the door log is missing"),
        ("DELETE FROM entry", "entry 5 of the door log is missing"),
        ("INSERT INTO entry SELECT 6, at_us, body, chain FROM entry LIMIT 1", "entry 5 of the door log"),
        ("DELETE FROM entry WHERE number = 3; UPDATE entry SET number = 3 WHERE number = 4;"
         "UPDATE entry SET number = 4 WHERE number = 5", "entry 5 of the door log"),
        ("UPDATE entry SET number = 99 WHERE number = 2; UPDATE entry SET number = 2 WHERE number = 3;"
         "UPDATE entry SET number = 3 WHERE number = 99", "entry 2 of the door log was altered"),
        ("DELETE FROM entry WHERE number = 5; UPDATE journal SET last = 4,"
         " chain = (SELECT chain FROM entry WHERE number = 4)", "mark after entry 4"),
        ("UPDATE journal SET mark = flip(mark, 8)", "mark after entry 5"),
        ("DELETE FROM journal", "own row is missing"),
        ("PRAGMA user_version = 3", "version 3, this janusd reads version 2"),
        ("UPDATE forward SET box = flip(box, 300)", "forward key was altered"),
        ("UPDATE forward SET base = 1", "beginning or its forward key"),
        ("UPDATE forward SET base = 2; DELETE FROM entry WHERE number < 3", "beginning or its forward key"),
        ("UPDATE tag SET tag = flip(tag, 9) WHERE number = 2", "entry 2 of the door log was altered"),
        ("DELETE FROM tag WHERE number = 4", "entry 4 of the door log was altered"),
        ("DELETE FROM forward", "forward row is missing"),
        ("PRAGMA application_id = 2", "is not a janusd door log"),
        ("DROP TABLE entry", "the tables of"),
    ],
)  # fmt: skip
def test_an_altered_log_names_where(
    edit: Callable[[str], None], path: Path, key: FileKey, script: str, says: str
) -> None:
    edit(script)
    assert says in complaint(path, key)


def test_an_altered_entry_is_not_shown_as_if_it_were_true(
    edit: Callable[[str], None], path: Path, key: FileKey
) -> None:
    edit("UPDATE entry SET body = flip(body, 300) WHERE number = 3")
    journal = Journal.open(path, key)
    with pytest.raises(JournalBroken, match="entry 3"):
        journal.entries()
    assert [entry.number for entry in journal.entries(limit=2)] == [4, 5]
    journal.close()


def test_random_edits_of_the_file_are_refused_or_change_nothing(
    edit: Callable[[str], None], path: Path, key: FileKey
) -> None:
    untouched = Journal.open(path, key)
    told = untouched.entries()
    untouched.close()
    whole, chance, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        altered = bytearray(whole)
        start = chance.randrange(len(altered))
        for at in range(start, min(start + chance.choice([1, 1, 4, 64, 2000]), len(altered))):
            altered[at] = chance.randrange(256)
        path.write_bytes(altered)
        try:
            journal = Journal.open(path, key)
        except JanusError:
            refused += 1
            continue
        try:
            assert journal.verify() == 5
            assert journal.entries() == told
        except JournalBroken:
            refused += 1
        finally:
            journal.close()
    assert refused > 30  # the rest fell on unused bytes


# --- hostile words


def test_hostile_words_are_stored_as_said_and_forge_no_line(journal: Journal) -> None:
    journal.append("decision", "unknown", name=HOSTILE, note=HOSTILE)
    (entry,) = journal.entries()
    assert entry.name == HOSTILE
    shown = line(entry)
    assert shown.isprintable()
    assert shown.startswith("#1 ")
    assert shown.count(' name="') == 1
    assert "\\x1b" in shown
    assert "\\u202e" in shown


def test_a_line_reads_at_a_glance() -> None:
    entry = Entry(12, "2026-11-22T12:00:00.000+01:00", "decision", "matched", "Ada L.", "score 0.71")
    assert line(entry) == '#12 2026-11-22T12:00:00.000+01:00 decision matched name="Ada L." note="score 0.71"'
    assert line(Entry(1, "2026-11-22", "started", "", "", "")) == "#1 2026-11-22 started"


@given(st.text(), st.text())
def test_two_different_entries_never_read_alike(one: str, other: str) -> None:
    a, b = (line(Entry(1, "now", "decision", "unknown", name, "")) for name in (one[:400], other[:400]))
    assert a.isprintable()
    assert (a == b) == (one[:400] == other[:400])


def test_a_very_long_or_broken_text_is_cut_not_refused(journal: Journal) -> None:
    journal.append("fault", note="x" * 100_000, name="\ud800")
    (entry,) = journal.entries()
    assert len(entry.note) == LONGEST_TEXT
    assert entry.note.endswith("...")
    assert entry.name == "\\ud800"


# --- threads, kills


def test_threads_append_side_by_side(journal: Journal) -> None:
    def work() -> None:
        for _ in range(25):
            journal.append("decision")
            journal.entries(limit=2)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.verify() == 100


def test_a_full_disk_refuses_an_entry_and_keeps_the_rest(journal: Journal) -> None:
    journal.append("started")
    with journal._database.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchall()[0][0]
        connection.execute(f"PRAGMA max_page_count={pages}").fetchall()
    with pytest.raises(InstallerError, match="disk is full"):  # noqa: PT012 - some still find room
        for _ in range(100):
            journal.append("decision", note="x" * 500)
    count = journal.verify()
    assert count >= 1
    assert journal.entries(limit=1)[0].number == count


@pytest.mark.slow
def test_acknowledged_entries_survive_kills(tmp_path: Path, key: FileKey, path: Path) -> None:
    chance, total = random.Random(0), 0
    journal = Journal.open(path, key)
    start = journal.checkpoint()
    journal.close()
    for _ in range(40):
        acknowledged = max(kill_a_writer(tmp_path, chance.uniform(0, 0.08)), total)
        journal = Journal.open(path, key)
        total = journal.verify()
        assert first_wrong(start, journal.lines(limit=10**6)) == (total, "")
        journal.close()
        assert total in (acknowledged, acknowledged + 1)  # one may be durable without its word getting out
    print(f"40 kills, {total} entries, 0 lost")
    assert total > 0


def kill_a_writer(folder: Path, after_s: float) -> int:
    """The last number a writer acknowledged before it was killed, or 0."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(
        ["pytest", "janusd.journal", "janusd.vault.store"]
    )  # not for each kill anew
    hears, says = processes.Pipe(duplex=False)
    writer = processes.Process(target=journal_writer.write, args=(folder, says))
    writer.start()
    says.close()
    with hears:
        assert hears.recv() == 0
        last = 0
        time.sleep(after_s)
        writer.kill()
        try:
            while True:
                last = hears.recv()
        except EOFError:
            writer.join()
            writer.close()
    return last


def test_a_door_that_writes_does_not_wait_for_a_check_of_all_entries(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checking 200,000 entries takes a small board longer than systemd waits for its watchdog."""
    monkeypatch.setattr(log, "_PAGE", 4)
    for i in range(10):
        journal.append("decision", note=str(i), at=NOON + timedelta(minutes=i))
    opened = journal._keys.open
    seen: list[int] = []

    def beside(box: bytes, number: int, at_us: int) -> object:
        seen.append(number)
        if number == 3:  # two more are written, and the oldest five dropped, while the first page is checked
            writers = [
                threading.Thread(target=journal.append, args=("decision",), kwargs={"note": "beside"}),
                threading.Thread(target=journal.prune, args=(NOON + timedelta(minutes=5),)),
            ]
            for writer in writers:
                writer.start()
                writer.join(10)
                assert not writer.is_alive(), "a check of the log holds up what writes"
        return opened(box, number, at_us)

    monkeypatch.setattr(journal._keys, "open", beside)
    assert journal.verify() == 11
    assert seen == [1, 2, 3, 4, *range(6, 12)]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entry SET body = zeroblob(40) WHERE number = 4",
        "UPDATE entry SET body = zeroblob(40) WHERE number = 8",
        "DELETE FROM tag WHERE number = 5",
        "DELETE FROM entry WHERE number = 5",
        "INSERT INTO entry SELECT 9, at_us, body, chain FROM entry WHERE number = 8",  # behind a full page
        "INSERT INTO entry SELECT 0, at_us, body, chain FROM entry WHERE number = 8",
    ],
)
def test_an_entry_is_checked_on_whichever_page_it_stands(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(log, "_PAGE", 4)
    for i in range(8):
        journal.append("decision", note=str(i))
    assert journal.verify() == 8
    with journal._database.transaction() as connection:
        connection.execute(change)
    with pytest.raises(JournalBroken, match="entry"):
        journal.verify()
