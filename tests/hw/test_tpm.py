"""The counter in a TPM, asked of swtpm, with tpm2-tools as a second opinion. Not tested here: a chip, and the
kernel's /dev/tpmrm0."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from janusd.errors import AnchorLost, InstallerError
from janusd_hw import tpm
from janusd_hw.tpm import INDEX, TpmCounter
from support.software_tpm import software_tpm


@pytest.fixture
def device(tmp_path: Path) -> Iterator[str]:
    with software_tpm(tmp_path / "tpm") as socket:
        yield socket


@pytest.fixture
def counter(device: str) -> TpmCounter:
    made = TpmCounter(device)
    assert made.make()
    return made


def tools(device: str, *command: str) -> bytes:
    if shutil.which(command[0]) is None:
        pytest.skip("needs tpm2-tools and libtss2-tcti-swtpm0")
    done = subprocess.run(
        [*command, "-T", f"swtpm:path={device}"], capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def test_it_grows_by_one_and_by_nothing_else(counter: TpmCounter) -> None:
    first = counter.read()
    assert counter.read() == first
    for n in range(1, 4):
        counter.increment()
        assert counter.read() == first + n
    assert not counter.make()  # it is there: nothing is moved
    assert counter.read() == first + 3


def test_it_stays_when_the_tpm_is_switched_off(tmp_path: Path) -> None:
    with software_tpm(tmp_path / "tpm") as device:
        TpmCounter(device).make()
        TpmCounter(device).increment()
        before = TpmCounter(device).read()
    with software_tpm(tmp_path / "tpm") as device:
        assert TpmCounter(device).read() == before


def test_one_that_was_removed_and_made_anew_goes_on_above_what_it_was(counter: TpmCounter) -> None:
    """Who starts another system on the board may do that; it never brings an old number back."""
    for _ in range(5):
        counter.increment()
    before = counter.read()
    remove(counter)
    with pytest.raises(AnchorLost, match="there is no TPM counter 0x01804a41"):
        counter.read()
    with pytest.raises(AnchorLost):
        counter.increment()
    assert counter.make()
    assert counter.read() > before


def test_plain_memory_in_its_place_is_told(counter: TpmCounter) -> None:
    """It could be written with any number."""
    remove(counter)
    plain = struct.pack(">IHIHH", INDEX, tpm._SHA256, tpm._ATTRIBUTES & ~tpm._COUNTER, 0, 8)
    counter._ask(tpm._DEFINE, struct.pack(">I", tpm._OWNER), struct.pack(">HH", 0, len(plain)) + plain)
    where = struct.pack(">II", INDEX, INDEX)
    counter._ask(0x137, where, struct.pack(">H", 8) + (18).to_bytes(8, "big") + struct.pack(">H", 0))  # write
    for ask in (counter.read, counter.increment, counter.make):
        with pytest.raises(AnchorLost, match="something else than our counter"):
            ask()


def test_one_that_was_never_moved_gets_its_first_number(device: str) -> None:
    """Killed between the two steps of `make`."""
    counter = TpmCounter(device)
    public = struct.pack(">IHIHH", INDEX, tpm._SHA256, tpm._ATTRIBUTES, 0, 8)
    counter._ask(tpm._DEFINE, struct.pack(">I", tpm._OWNER), struct.pack(">HH", 0, len(public)) + public)
    with pytest.raises(AnchorLost, match="there is no"):
        counter.read()
    assert not counter.make()
    assert counter.read() > 0


def test_a_tpm_whose_owner_has_a_password_is_said_how_to_ask(device: str) -> None:
    counter = TpmCounter(device)
    counter._ask(
        0x129, struct.pack(">I", tpm._OWNER), struct.pack(">H", 6) + b"secret"
    )  # HierarchyChangeAuth
    with pytest.raises(InstallerError, match=r"0x9a2.*tpm2_nvdefine 0x01804a41 -C o -P PASSWORD"):
        counter.make()


def test_tpm2_tools_see_the_same_counter_and_what_the_remedy_says_makes_it(
    counter: TpmCounter, device: str
) -> None:
    index = f"0x{INDEX:08x}"
    assert b"authwrite|nt=0x1|authread|no_da|written" in tools(device, "tpm2_nvreadpublic", index)
    tools(device, "tpm2_nvincrement", index, "-C", index)
    told = tools(device, "tpm2_nvread", index, "-C", index)
    assert int.from_bytes(told, "big") == counter.read()
    tools(device, "tpm2_nvundefine", index, "-C", "o")
    tools(device, "tpm2_nvdefine", index, "-C", "o", "-s", "8", "-a", "nt=counter|authread|authwrite|no_da")
    assert not counter.make()
    assert counter.read() == int.from_bytes(told, "big") + 1


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(InstallerError, match=r"cannot be asked: /dev/no-tpm: No such file.*99-janus\.rules"):
        TpmCounter("/dev/no-tpm").read()


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"\x80", b"\x80\x01\0\0\0\x0a\0\0\0\0", b"\x80\x01\0\0\0\xff\0\0\0\0",
        b"\x80\x02\0\0\0\x0a\0\0\0\0", b"A" * 40,
    ],
    ids=["nothing", "a byte", "no parameters", "a wrong size", "sessions without a size", "letters"],
)  # fmt: skip
def test_whatever_answers_there_is_refused_and_never_believed(tmp_path: Path, answer: bytes) -> None:
    with listening(tmp_path, [answer]) as device, pytest.raises((InstallerError, AnchorLost)):
        TpmCounter(device).read()


def test_a_tpm_that_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tpm, "_BUSY_S", 0.0)
    busy = struct.pack(">HII", 0x8001, 10, 0x920)  # TPM_RC_NV_RATE: it spares its memory
    public = struct.pack(">HIHIHH", 14, INDEX, 0xB, tpm._ATTRIBUTES | tpm._WRITTEN, 0, 8) + b"\0\0"
    looked = struct.pack(">HII", 0x8001, 10 + len(public), 0) + public
    read = struct.pack(">HIIIH", 0x8002, 24, 0, 10, 8) + (41).to_bytes(8, "big")
    with listening(tmp_path, [busy, busy, looked, busy, read]) as device:
        assert TpmCounter(device).read() == 41


def remove(counter: TpmCounter) -> None:
    """NV_UndefineSpace, as its owner may."""
    counter._ask(0x122, struct.pack(">II", tpm._OWNER, counter.index))


class listening:  # noqa: N801
    """Answers each connection with the next of these."""

    def __init__(self, folder: Path, answers: list[bytes]) -> None:
        self.path, self.answers = str(folder / "s"), answers
        self.server = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> str:
        self.server.bind(self.path)
        self.server.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()
        return self.path

    def __exit__(self, *_: object) -> None:
        self.thread.join(10)
        self.server.close()

    def serve(self) -> None:
        for answer in self.answers:
            connection, _ = self.server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)
