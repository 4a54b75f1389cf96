"""What of keys, faces and pictures can be found outside the daemon, and in its memory by root.

Promised, and looked for here: no core, no look by others of the same user; in state and log no key, no
embedding, no picture and no name; in memory the vault's key once, locked, and neither the source key nor any
person's data key. Not promised: embeddings and pictures in memory, where the door compares them; swap is the
unit's `MemorySwapMax=0`, and was not tried here.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from janusd.cli.remote import RemoteDoor
from janusd.hardening import keep_in_ram, random_key, wipe
from janusd.vault import format as sealed
from janusd.vault.keys import device_id
from torture.painted import Door, codes, enrol, face

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into other processes")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux's /proc")

pytestmark = linux

HARDENED = "from janusd.hardening import harden; assert harden() == []; "


def run_in_a_process(code: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]  # whatever Popen takes


def test_a_hardened_process_writes_no_core_where_another_would(tmp_path: Path) -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    allow = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (-1, -1)); "
    for code, must_not in ((HARDENED + crash, True), (allow + crash, False)):
        process = run_in_a_process(code, cwd=tmp_path)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = status
        assert process.stdout is not None
        process.stdout.close()
        assert os.WTERMSIG(status) == signal.SIGSEGV
        if must_not:
            assert not os.WCOREDUMP(status)
        # The other one shows that a core would have been written, where this machine writes any.
    assert not list(tmp_path.glob("core*")) or os.WCOREDUMP(status)


def test_hardening_forbids_cores_to_the_process_and_its_children() -> None:
    tell = "import resource, subprocess, sys; print(resource.getrlimit(resource.RLIMIT_CORE))"
    process = run_in_a_process(HARDENED + tell)
    assert process.communicate()[0] == "(0, 0)\n"


@needs_root
@pytest.mark.parametrize("is_hardened", [True, False])
def test_another_process_of_the_same_user_cannot_look_in(is_hardened: bool) -> None:
    """As user 65534: may it read the memory, the environment and the open files of its own kind?"""
    wait = "print('ready', flush=True); import time; time.sleep(60)"
    nobody = {"user": 65534, "group": 65534, "extra_groups": [], "cwd": "/", "stdin": subprocess.DEVNULL}
    # Imports first: what is installed may lie where that user cannot read. The other one is made an ordinary
    # process again, which setuid made it cease to be.
    code = "import os, time; import janusd.hardening as h; os.setgid(65534); os.setuid(65534); "
    code += "h.harden(); " if is_hardened else "h.ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "
    looked_at = run_in_a_process(code + wait)
    try:
        assert looked_at.stdout is not None
        assert looked_at.stdout.readline() == "ready\n"
        looks = [["/bin/cat", f"/proc/{looked_at.pid}/{name}"] for name in ("environ", "maps")]
        seen = [subprocess.run(look, capture_output=True, check=False, **nobody).returncode for look in looks]  # type: ignore[call-overload]  # as above
        assert [bool(code) for code in seen] == [is_hardened] * 2
    finally:
        looked_at.kill()
        looked_at.communicate()


def test_a_key_is_locked_into_memory() -> None:
    code = (
        "from janusd.hardening import keep_in_ram, random_key\n"
        "key = random_key(); assert keep_in_ram(key)\n"
        "print([line for line in open('/proc/self/status') if line.startswith('VmLck')][0].split()[1])"
    )
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if soft == 0:
        pytest.skip("this machine locks nothing for ordinary users")
    assert int(run_in_a_process(code).communicate()[0]) >= 4


def test_a_wiped_key_is_zeros_and_bytes_are_left_alone() -> None:
    key = random_key()
    assert len(set(key)) > 1
    assert keep_in_ram(bytearray())
    wipe(key)
    assert key == bytearray(32)
    fixed = b"k" * 32
    wipe(fixed)
    assert fixed == b"k" * 32


@dataclass
class Secrets:
    """What must not be found, of a door that runs."""

    source: bytes
    kek: bytes
    data: list[bytes]
    embeddings: list[bytes]
    pictures: list[bytes]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A real daemon that has enrolled three people."""
    door = Door(tmp_path_factory.mktemp("hardened") / "door", counts_steps=False)
    assert door.start()
    with door.connect() as client:
        for person in range(3):
            enrol(RemoteDoor(client), f"Person {person}", person)
    yield door
    door.end()


@pytest.fixture(scope="module")
def secret(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """What an owner with all the keys finds in a copy of its state."""
    state, copy = door.folder / "state", tmp_path_factory.mktemp("copy")
    for path in state.glob("vault.db*"):
        shutil.copy(path, copy)
    source, device = (state / "key").read_bytes(), device_id(door.folder / "machine-id")
    kek = sealed.kek(bytearray(source), device)
    with sqlite3.connect(copy / "vault.db") as connection:
        rows = connection.execute("SELECT person_id, wrapped_key FROM person").fetchall()
    connection.close()
    data = [bytes(sealed.unwrap_key(kek, wrapped, device, person)) for person, wrapped in rows]
    assert len(data) == 3
    embeddings = [codes()[person].astype(dtype).tobytes() for person in range(3) for dtype in ("<f4", "<f8")]
    pictures = [face(person, seed) for person in range(3) for seed in (1, 2)]
    return Secrets(source, bytes(kek), data, embeddings, pictures)


def test_state_and_log_hold_no_key_embedding_picture_or_name(door: Door, secret: Secrets) -> None:
    looked_at = 0
    for path in door.folder.rglob("*"):
        if not path.is_file() or path.name in ("key", "janus.toml"):
            continue
        raw, looked_at = path.read_bytes(), looked_at + 1
        for hidden in (secret.source, secret.kek, *secret.data):
            assert hidden not in raw, path
            assert hidden.hex().encode() not in raw, path
        for plain in (*(one[:16] for one in secret.embeddings), *(one[40:72] for one in secret.pictures)):
            assert plain not in raw, path
        for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n"):
            assert magic not in raw, path
        if path.suffix == ".db":
            assert b"Person" not in raw, path
    assert looked_at > 5


@needs_root
def test_root_finds_the_vaults_key_once_and_no_other_in_memory(door: Door, secret: Secrets) -> None:
    """The second half of each: the allocator writes over the first bytes of what was freed."""
    needles = {
        "source": secret.source,
        "kek": secret.kek,
        **{f"data {i}": k for i, k in enumerate(secret.data)},
    }
    for _ in range(2):
        found = in_memory(door, {name: key[16:] for name, key in needles.items()})
        assert found == {"kek": 1}
        with door.connect() as client:  # what reads the vault again leaves nothing more
            RemoteDoor(client).people()
    status = Path(f"/proc/{door.pid}/status").read_text()
    assert int(status.split("VmLck:")[1].split()[0]) > 0


@needs_root
def test_the_search_finds_what_is_there(door: Door) -> None:
    """That it finds nothing elsewhere means something."""
    assert in_memory(door, {"a word of the daemon's": b"Watch a door and unlock it for the people"})


def in_memory(door: Door, needles: dict[str, bytes]) -> dict[str, int]:
    """How often each is in the daemon's readable memory."""
    found: dict[str, int] = {}
    with Path(f"/proc/{door.pid}/maps").open() as maps:
        regions = [line.split(None, 5) for line in maps]
    try:
        memory = Path(f"/proc/{door.pid}/mem").open("rb", buffering=0)  # noqa: SIM115  # closed below
    except PermissionError:
        pytest.skip("root may not look into other processes here")
    with memory:
        for region, rights, *rest in regions:
            if "r" not in rights or (rest and rest[-1].strip() in ("[vvar]", "[vsyscall]", "[vvar_vclock]")):
                continue
            start, end = (int(address, 16) for address in region.split("-"))
            try:
                memory.seek(start)
                raw = memory.read(end - start)
            except (OSError, OverflowError):
                continue
            for name, needle in needles.items():
                if times := raw.count(needle):
                    found[name] = found.get(name, 0) + times
    return found
