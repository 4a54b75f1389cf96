from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.core.reason import Reason
from janusd.journal import journald

CODES = Path(__file__).parents[2] / "docs" / "codes.md"


def decode(datagram: bytes) -> dict[str, bytes]:
    """As systemd-journald reads it."""
    fields: dict[str, bytes] = {}
    while datagram:
        head, _, datagram = datagram.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            (length,) = struct.unpack_from("<Q", datagram)
            value, datagram = datagram[8 : 8 + length], datagram[8 + length + 1 :]
        assert name.decode() not in fields
        fields[name.decode()] = value
    return fields


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True), st.text(max_size=5000)))
def test_no_value_ends_its_field_or_begins_another(fields: dict[str, str]) -> None:
    assert decode(journald.encode(fields)) == {
        name: value.encode("utf-8", "backslashreplace") for name, value in fields.items()
    }


def test_a_copy_says_code_number_and_tag_and_no_name(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "socket"))
        assert journald.tell("decision", "matched", 7, b"\xab", tmp_path / "socket")
        fields = decode(systemd.recv(65536))
    assert fields == {
        "MESSAGE": b"#7 JANUS-DECISION-MATCHED: enough agreeing frames matched this person",
        "MESSAGE_ID": journald.message_id("JANUS-DECISION-MATCHED").encode(),
        "PRIORITY": b"5",
        "SYSLOG_IDENTIFIER": b"janusd",
        "JANUS_CODE": b"JANUS-DECISION-MATCHED",
        "JANUS_NUMBER": b"7",
        "JANUS_TAG": b"ab",
    }


def test_a_journal_that_is_missing_or_full_never_holds_the_door_up(tmp_path: Path) -> None:
    assert not journald.tell("started", "", 1, b"", tmp_path / "nobody")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "socket"))
        told = [journald.tell("started", "", i, b"", tmp_path / "socket") for i in range(2000)]
    assert told[0]
    assert not told[-1]


def test_the_table_of_codes_is_the_one_in_the_documents() -> None:
    text = CODES.read_text(encoding="utf-8")
    rows = [f"| {code} | {journald.message_id(code)} | {means} |" for code, means in journald.codes().items()]
    assert [line for line in text.splitlines() if line.startswith("| JANUS")] == rows


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_code_of_its_own(reason: Reason) -> None:
    assert list(journald.codes()).count(journald.code("decision", reason)) == 1


def test_codes_and_ids_stay_what_they_are() -> None:
    assert journald.message_id("JANUS-DECISION-MATCHED") == "1a56c7f82906568eb436d1392128fa8f"
    assert journald.code("decision", "x\nJANUS_CODE=JANUS-STARTED") == "JANUS-OTHER"
    assert journald.code("x") == "JANUS-OTHER"
