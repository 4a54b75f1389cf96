"""Tags that go forward, checkpoints, retention, and logs of version 1."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core import forward
from janusd.core.forward import Checkpoint, Line, first_wrong
from janusd.errors import InstallerError, JournalBroken
from janusd.journal import Journal, is_begun
from janusd.journal.keys import Keys
from janusd.journal.log import ERASE_EVERY
from janusd.journal.tables import KIND, journal_row
from janusd.vault.database import Database
from janusd.vault.keys import FileKey, create_key_file

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
VERSION_1 = Path(__file__).parents[1] / "vectors" / "door-log-v1.db"
"""Written by janusd's first release, key 00 01 02 .. 1f; five entries."""


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    create_key_file(tmp_path / "key")
    return FileKey(tmp_path / "key")


@pytest.fixture
def journal(tmp_path: Path, key: FileKey) -> Iterator[Journal]:
    opened = Journal.open(tmp_path / "journal.db", key)
    yield opened
    opened.close()


def fill(journal: Journal, count: int, start: datetime = NOON) -> None:
    for i in range(count):
        journal.append("decision", "matched", name="Ada", note=str(i), at=start + timedelta(hours=i))


def test_an_owner_verifies_what_came_after_their_checkpoint(journal: Journal) -> None:
    fill(journal, 3)
    carried_away = journal.checkpoint()
    fill(journal, 5)
    assert first_wrong(carried_away, journal.lines()) == (5, "")
    assert first_wrong(carried_away, journal.lines(after=3)) == (5, "")
    assert first_wrong(carried_away, journal.lines(after=5)) == (3, "")


@pytest.mark.parametrize("field", range(6))
def test_no_word_of_an_entry_can_be_changed(journal: Journal, field: int) -> None:
    start = journal.checkpoint()
    fill(journal, 3)
    lines = journal.lines()
    texts = list(lines[1].texts)
    texts[field] += "x"
    lines[1] = replace(lines[1], texts=tuple(texts))
    good, wrong = first_wrong(start, lines)
    assert (good, wrong) == (1, "entry 2 was altered, or written by somebody else")


def test_left_out_cut_off_swapped_or_moved_lines_are_named(journal: Journal) -> None:
    start = journal.checkpoint()
    fill(journal, 4)
    end = journal.checkpoint()
    one, two, three, four = journal.lines()
    assert first_wrong(start, [one, three, four]) == (1, "entry 2 is missing")
    assert "entry 2 is missing" in first_wrong(start, [one, three, two, four])[1]
    assert "ends at entry 3" in first_wrong(end, [one, two, three])[1]
    moved = replace(four, number=3)
    assert "entry 3 was altered" in first_wrong(start, [one, two, moved])[1]
    assert "entry 1 was altered" in first_wrong(start, [replace(one, at_us=one.at_us + 1)])[1]


def test_a_thief_of_todays_key_cannot_rewrite_yesterday(
    journal: Journal, tmp_path: Path, key: FileKey
) -> None:
    """The thief holds the source key, the file and every program; the owner a checkpoint from before."""
    carried_away = journal.checkpoint()
    fill(journal, 10)
    journal.close()
    forged = tmp_path / "forged.db"
    source = Database.open(tmp_path / "journal.db", KIND)
    with source.reading() as connection:
        journal_id, last, _, _ = journal_row(connection)
        keys = Keys(key.key(), journal_id)
        _, base_chain, box = connection.execute("SELECT base, base_chain, box FROM forward").fetchone()
    stolen = keys.open_forward(box, last, 0, base_chain)
    source.close()
    shutil.copy(tmp_path / "journal.db", forged)
    forged.chmod(0o600)
    connection = sqlite3.connect(forged)
    before = keys.first_chain()
    for number, at_us, body in connection.execute("SELECT number, at_us, body FROM entry").fetchall():
        own_tag = connection.execute("SELECT tag FROM tag WHERE number = ?", (number,)).fetchone()[0]
        if number == 4:  # Ada was never there
            told = replace_struct(keys.open(body, number, at_us), reason="unknown", name="")
            body = keys.seal(told, number, at_us)  # noqa: PLW2901
            texts = (told.at, told.kind, told.reason, told.name, told.note, told.person_id)
            own_tag = forward.tag(stolen, number, at_us, texts)
            connection.execute("UPDATE tag SET tag = ? WHERE number = 4", (own_tag,))
        before = keys.chain(before, number, at_us, body, own_tag)
        connection.execute("UPDATE entry SET body = ?, chain = ? WHERE number = ?", (body, before, number))
    connection.execute("UPDATE journal SET chain = ?, mark = ?", (before, keys.mark(last, before)))
    connection.commit()
    connection.close()
    believed = Journal.open(forged, key)
    assert believed.verify() == 10  # the door itself cannot know: its key makes all fixed marks
    assert first_wrong(carried_away, believed.lines()) == (
        3,
        "entry 4 was altered, or written by somebody else",
    )
    believed.close()


def replace_struct(body, **changes):
    return type(body)(**{field: changes.get(field, getattr(body, field)) for field in body.__struct_fields__})


def test_used_keys_are_overwritten(journal: Journal, tmp_path: Path, key: FileKey) -> None:
    boxes = []
    for _ in range(ERASE_EVERY):
        with journal._database.reading() as connection:
            boxes.append(connection.execute("SELECT box FROM forward").fetchone()[0])
        journal.append("decision")
    raw = b"".join(file.read_bytes() for file in tmp_path.glob("journal.db*"))
    assert not any(box in raw for box in boxes)


@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**40))
def test_a_checkpoint_is_read_back_and_a_mistyped_one_is_not(key: bytes, number: int) -> None:
    checkpoint = Checkpoint(b"i" * 16, number, key)
    text = str(checkpoint)
    assert Checkpoint.parse(f" {text}\n") == checkpoint
    for other in (text[:-1], text[:20] + ("A" if text[20] != "A" else "B") + text[21:], text[5:], ""):
        with pytest.raises(ValueError, match="no checkpoint"):
            Checkpoint.parse(other)


@given(st.lists(st.text(), min_size=6, max_size=6), st.lists(st.text(), min_size=6, max_size=6))
def test_two_different_entries_have_different_tags(one: list[str], other: list[str]) -> None:
    one, other = ([t.encode("utf-8", "replace").decode() for t in texts] for texts in (one, other))
    tags = [forward.tag(b"k" * 32, 1, 2, texts) for texts in (one, other)]
    assert (tags[0] == tags[1]) == (one == other)


def test_hostile_words_are_tagged_as_they_are(journal: Journal) -> None:
    start = journal.checkpoint()
    for name in ("a\nb", "\x1b[2J", "\u202eadA", "x" * 4096, "\ud800", "\0"):
        journal.append("decision", "unknown", name=name)
    assert first_wrong(start, journal.lines()) == (6, "")


# --- retention


def test_what_is_left_after_old_entries_are_dropped_still_verifies(
    journal: Journal, tmp_path: Path, key: FileKey
) -> None:
    start = journal.checkpoint()
    fill(journal, 48)
    assert journal.prune(NOON + timedelta(hours=24)) == 24
    assert journal.prune(NOON + timedelta(hours=24)) == 0
    assert journal.append("pruned", note="24 entries").number == 49
    assert journal.verify() == 49
    assert [entry.number for entry in journal.entries()] == list(range(25, 50))
    assert first_wrong(start, journal.lines()) == (25, "")
    journal.close()
    again = Journal.open(tmp_path / "journal.db", key)
    assert again.verify() == 49
    again.close()


def test_the_newest_entry_and_those_after_a_clock_jump_are_kept(journal: Journal) -> None:
    fill(journal, 2)
    fill(journal, 2, start=datetime(1970, 1, 1, tzinfo=UTC))
    assert journal.prune(NOON + timedelta(minutes=30)) == 1
    assert journal.prune(NOON + timedelta(days=999)) == 2
    assert journal.verify() == 4
    assert [entry.number for entry in journal.entries()] == [4]


def test_entries_dropped_by_somebody_else_are_missed(journal: Journal, tmp_path: Path, key: FileKey) -> None:
    fill(journal, 4)
    journal.close()
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("DELETE FROM entry WHERE number < 3")
    connection.commit()
    connection.close()
    again = Journal.open(tmp_path / "journal.db", key)
    with pytest.raises(JournalBroken, match="entry 1 of the door log is missing"):
        again.verify()
    again.close()


# --- version 1


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, FileKey]:
    folder = tmp_path / "old"
    folder.mkdir(mode=0o700)
    shutil.copy(VERSION_1, folder / "door-log.db")
    (folder / "key").write_bytes(bytes(range(32)))
    for file in folder.iterdir():
        file.chmod(0o600)
    return folder / "door-log.db", FileKey(folder / "key")


def test_a_log_of_version_1_is_read_kept_and_tagged_from_then_on(old: tuple[Path, FileKey]) -> None:
    journal = Journal.open(*old)
    assert journal.verify() == 5
    assert [entry.kind for entry in journal.entries()] == [
        "started", "enrolled", "decision", "decision", "stopped",
    ]  # fmt: skip
    start = journal.checkpoint()
    fill(journal, 3)
    assert [len(line.tag) for line in journal.lines()] == [0] * 5 + [32] * 3
    assert first_wrong(start, journal.lines()) == (3, "")
    journal.close()
    again = Journal.open(*old)
    assert again.verify() == 8
    again.close()


def test_a_log_of_version_1_stays_one_when_the_disk_is_full(
    old: tuple[Path, FileKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as failing:
        failing.setattr(Database, "upgrade", full)
        with pytest.raises((InstallerError, JournalBroken)):
            Journal.open(*old)
    journal = Journal.open(*old)
    assert journal.verify() == 5
    journal.close()


def test_a_ledger_is_missed_beside_a_log_of_today_only(old: tuple[Path, FileKey], tmp_path: Path) -> None:
    assert not is_begun(tmp_path / "nowhere")
    assert not is_begun(old[0])
    Journal.open(*old).close()
    assert is_begun(old[0])
    (tmp_path / "dangling").symlink_to("nowhere")
    assert is_begun(tmp_path / "dangling")


def test_an_edited_log_of_version_1_is_not_brought_up_to_date(old: tuple[Path, FileKey]) -> None:
    connection = sqlite3.connect(old[0])
    connection.execute("UPDATE journal SET mark = ?", (os.urandom(32),))
    connection.commit()
    connection.close()
    with pytest.raises(JournalBroken, match="mark after entry 5"):
        Journal.open(*old)


def test_a_line_is_what_its_tag_covers() -> None:
    assert Line.__slots__ == ("number", "at_us", "texts", "tag")
