"""The bytes between janusd and janus-latchd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd_hw.latch_remote import pack_ask, unpack_tell
from janusd_hw.latchd.wire import ASK_BYTES, TELL_BYTES, Ask, Flag, Tell, pack_tell, unpack_ask

NUMBERS = st.integers(1, 0xFFFF)


def test_the_layout_is_the_documented_one() -> None:
    assert pack_ask(Ask.RELEASE, 0x0102, 5000, "matched") == b"\x01\x03\x02\x01\x88\x13\x00\x00matched"
    told = pack_tell(Tell.TRIGGER, 0, Flag.OPEN | Flag.FAULT, 1.5, "pir")
    assert told == b"\x01\x03\x00\x00\x22\x00\x00\x00\x60\xe3\x16\x00\x00\x00\x00\x00pir"


@given(NUMBERS, st.integers(1, 2**32 - 1), st.text())
def test_a_release_arrives_as_it_was_sent(number: int, hold_ms: int, why: str) -> None:
    packet = pack_ask(Ask.RELEASE, number, hold_ms, why)
    ask, arrived, hold_s, text = unpack_ask(packet)
    assert (ask, arrived, hold_s) == (Ask.RELEASE, number, hold_ms / 1000)
    assert text.isprintable()
    assert len(packet) <= ASK_BYTES


@given(st.sampled_from(Tell), st.integers(0, 0xFFFF), st.integers(0, 63), st.floats(0, 1e9), st.text())
def test_what_latchd_tells_arrives_as_it_was_sent(
    tell: Tell, number: int, flags: int, at_s: float, text: str
) -> None:
    packet = pack_tell(tell, number, Flag(flags), at_s, text)
    assert len(packet) <= TELL_BYTES
    arrived = unpack_tell(packet)
    assert arrived[:3] == (tell, number, Flag(flags))
    assert arrived[3] == pytest.approx(at_s, abs=1e-6)


@given(st.binary(max_size=ASK_BYTES + 8))
def test_bytes_are_a_request_or_nonsense_and_nothing_else(packet: bytes) -> None:
    try:
        ask, number, hold_s, text = unpack_ask(packet)
    except ValueError:
        return
    assert packet == pack_ask(ask, number, round(hold_s * 1000), text)


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"\x01",
        b"\x02\x02\x01\x00\x00\x00\x00\x00",  # another version
        b"\x01\x09\x01\x00\x00\x00\x00\x00",  # no such request
        b"\x01\x02\x00\x00\x00\x00\x00\x00",  # without a number
        b"\x01\x03\x01\x00\x00\x00\x00\x00",  # a release for no time at all
        b"\x01\x02\x01\x00\x01\x00\x00\x00",  # a beat that wants time
        b"\x01\x01\x01\x00\x00\x00\x00\x00",  # hello, from nobody
        b"\x01\x02\x01\x00\x00\x00\x00\x00x",  # a beat that talks
        b"\x01\x05\x01\x00\x01\x00\x00\x00",  # a lamp without a name
        b"\x01\x05\x01\x00\x00\x00\x00\x00led_status",  # for no time at all
        b"\x01\x01\x01\x00\x00\x00\x00\x00a\nb",  # a line for the journal
        b"\x01\x01\x01\x00\x00\x00\x00\x00\xff",
        b"\x01\x01\x01\x00\x00\x00\x00\x00" + 33 * b"a",
    ],
)
def test_nonsense_is_refused(packet: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        unpack_ask(packet)
