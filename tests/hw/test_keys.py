"""Keys that a board answers, asked of stand-in programs. Not tested here: a Raspberry Pi, a Jetson."""

from __future__ import annotations

import hashlib
import hmac
import sys
from pathlib import Path

import pytest

from janusd.errors import KeyUnavailable
from janusd.vault.keys import BoundKey, CredentialBinding, FileKey, KeyRing, create_key_file, what_it_stops
from janusd_hw import keys_command
from janusd_hw.keys_command import CommandBinding
from janusd_hw.keys_rpi import RpiOtp

# The interface of raspberrypi/utils rpifwcrypto: hmac --in FILE --key-id N [--out FILE] [--outform hex]
FIRMWARE = """#!{python}
import hashlib, hmac, sys
words = sys.argv[1:]
option = dict(zip(words[1::2], words[2::2]))
if words[0] != "hmac" or "--in" not in option or "--key-id" not in option:
    sys.exit("Usage: rpi-fw-crypto <command> [args]")
if option["--key-id"] != "1":
    print("Last crypto error: 4 (Key not found)", file=sys.stderr)
    sys.exit(255)
message = open(option["--in"], "rb").read()
if len(message) > 2048:
    sys.exit("Input file too large (max 2048 bytes)")
answer = hmac.new(b"fuses of this board", message, hashlib.sha256)
if option.get("--outform") == "hex":
    sys.stdout.write(answer.hexdigest())
else:
    sys.stdout.buffer.write(answer.digest())
"""


def program(path: Path, text: str) -> str:
    path.write_text(text.format(python=sys.executable) if "{python}" in text else text)
    path.chmod(0o700)
    return str(path)


def test_the_firmware_is_asked_as_its_program_wants(tmp_path: Path) -> None:
    otp = RpiOtp(program(tmp_path / "rpi-fw-crypto", FIRMWARE))
    expected = hmac.digest(b"fuses of this board", b"question", hashlib.sha256)
    assert otp.answer(b"question") == otp.answer(b"question") == expected
    assert otp.answer(b"another") != expected


def test_an_unprovisioned_board_says_what_the_firmware_says(tmp_path: Path) -> None:
    otp = RpiOtp(program(tmp_path / "rpi-fw-crypto", FIRMWARE), slot=2)
    with pytest.raises(KeyUnavailable, match=r"Key not found\); .*genkey"):
        otp.answer(b"question")
    with pytest.raises(KeyUnavailable, match=r"No such file or directory; install rpi-fw-crypto"):
        RpiOtp(str(tmp_path / "missing")).answer(b"question")


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("#!/bin/sh\necho 00ff\n", "something that is no key"),
        ("#!/bin/sh\nhead -c 32 /dev/zero\n", "something that is no key"),
        ("#!/bin/sh\necho 'no TEE here' >&2; exit 3\n", "no TEE here"),
        ("#!/bin/sh\nexit 3\n", "exit status 3"),
        ("#!/bin/sh\nexec sleep 5\n", "no answer in"),
    ],
)
def test_a_command_that_gives_no_key_is_refused(
    tmp_path: Path, script: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in script:
        monkeypatch.setattr(keys_command, "_TIMEOUT_S", 0.2)
    with pytest.raises(KeyUnavailable, match=complaint):
        CommandBinding((program(tmp_path / "tee", script),)).answer(b"question")


def test_a_bound_key_is_worth_nothing_on_another_board(tmp_path: Path) -> None:
    create_key_file(tmp_path / "key")
    base = FileKey(tmp_path / "key")
    here = BoundKey(base, CommandBinding((program(tmp_path / "here", f"#!/bin/sh\necho {'01' * 31}02\n"),)))
    there = BoundKey(base, CommandBinding((program(tmp_path / "there", f"#!/bin/sh\necho {'03' * 31}04\n"),)))
    assert len({bytes(source.key()) for source in (here, there, base)}) == 3
    assert here.key() == here.key()
    blank = BoundKey(base, CommandBinding((program(tmp_path / "blank", f"#!/bin/sh\necho {'00' * 32}\n"),)))
    with pytest.raises(KeyUnavailable, match="are no key"):
        blank.key()


def test_a_board_may_answer_through_a_credential(tmp_path: Path) -> None:
    (tmp_path / "janus-binding").write_bytes(bytes(range(32)))
    (tmp_path / "janus-binding").chmod(0o400)
    binding = CredentialBinding(tmp_path)
    assert binding.answer(b"question") == hmac.digest(bytes(range(32)), b"question", hashlib.sha256)
    with pytest.raises(KeyUnavailable, match="janus-binding"):
        CredentialBinding(None).answer(b"question")


def test_doctor_is_told_which_thief_each_key_stops(tmp_path: Path) -> None:
    create_key_file(tmp_path / "key")
    plain = KeyRing(FileKey(tmp_path / "key"))
    bound = KeyRing(FileKey(tmp_path / "key"), CredentialBinding(tmp_path))
    assert what_it_stops(plain.present()) == (
        False,
        "stops other users of this device; neither a thief of the card nor of a backup",
    )
    stops, words = what_it_stops(bound.present())
    assert stops
    assert "not a thief of the whole board" in words
    assert "bound to hardware" in bound.present().name
