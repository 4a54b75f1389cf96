"""A TPM 2.0's counter: a number that only grows, and that no disk can put back.

Four commands of the TCG's Trusted Platform Module Library, Part 3 (NV_DefineSpace, NV_ReadPublic, NV_Read,
NV_Increment), written to /dev/tpmrm0 by hand: janusd's unit lets no program run, tpm2-tools neither. All
numbers are big-endian.

    command     tag u16, size u32, code u32, handles u32 ..., [size of the authorisation u32, it], parameters
    answer      tag u16, size u32, code u32, [size of the parameters u32], parameters, [authorisation]
    the index   8 bytes, TPM_NT_COUNTER, read and moved with an empty password (`_ATTRIBUTES`)

Trust boundary: whoever may open the device may move the counter on, which is an alarm and lets nobody in. An
index that was removed and made anew goes on above all that this TPM ever counted (Part 3, 31.8); one made as
plain memory instead is told by its attributes. What no command tells is another TPM in its place, or a wire
between: a chip that is plugged in can be exchanged. Then only a key that the same TPM sealed helps.

Tried with swtpm, and tpm2-tools beside it; on no chip yet.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from janusd.errors import AnchorLost, InstallerError

DEVICE = "/dev/tpmrm0"
INDEX = 0x01804A41
"""Of those that an owner may use (TCG Registry of Reserved TPM 2.0 Handles: 0x01800000 to 0x01BFFFFF)."""

_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_DEFINE, _INCREMENT, _READ, _READ_PUBLIC = 0x12A, 0x134, 0x14E, 0x169
_OWNER, _PASSWORD, _SHA256 = 0x4000_0001, 0x4000_0009, 0x000B
_EMPTY_PASSWORD = struct.pack(">IHBH", _PASSWORD, 0, 0, 0)  # session, nonce, attributes, password
_HEADER = struct.Struct(">HII")
_LARGEST = 4096

_AUTHWRITE, _COUNTER, _AUTHREAD, _NO_DA, _WRITTEN = 1 << 2, 1 << 4, 1 << 18, 1 << 25, 1 << 29
_ATTRIBUTES = _AUTHWRITE | _COUNTER | _AUTHREAD | _NO_DA

_UNINITIALIZED, _IS_DEFINED, _NO_HANDLE = 0x14A, 0x14C, 0x18B
_BUSY = frozenset({0x908, 0x90A, 0x920, 0x922})  # yielded, testing, NV rate, retry
_BUSY_TRIES, _BUSY_S = 20, 0.1
_TIMEOUT_S = 5.0
_GONE = (
    "a TPM that was cleared or exchanged has another count: make the counter (sudo janusctl setup --step"
    " keys), take the vault as it is and look who is in it: janusctl vault restore vault.db --accept-older,"
    " janusctl people"
)


class _Refused(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"it answers 0x{code:03x}")
        self.code = code


@dataclass(frozen=True, slots=True)
class TpmCounter:
    """A `Counter` in a TPM."""

    device: str = DEVICE
    """The kernel's resource manager; or a socket of swtpm, the TPM of virtual machines and of tests."""
    index: int = INDEX

    @property
    def name(self) -> str:
        """Which counter."""
        return f"TPM counter 0x{self.index:08x}"

    def read(self) -> int:
        """What it stands at. Raises AnchorLost where it is none of ours, InstallerError."""
        with self._asked():
            self._look()
            where = struct.pack(">II", self.index, self.index)
            answer = self._ask(_READ, where, struct.pack(">HH", 8, 0))
        if len(answer) != 10:
            raise InstallerError(f"the {self.name} answered {len(answer)} bytes", "see what TPM that is")
        return int.from_bytes(answer[2:], "big")

    def increment(self) -> None:
        """Move it on by one, for good. Raises AnchorLost, InstallerError; it may have moved all the same."""
        with self._asked():
            self._look()
            self._ask(_INCREMENT, struct.pack(">II", self.index, self.index))

    def make(self) -> bool:
        """Make it where it is missing, and give it its first number; whether it was. Raises InstallerError.

        May be killed anywhere and called again.
        """
        with self._asked():
            public = struct.pack(">IHIHH", self.index, _SHA256, _ATTRIBUTES, 0, 8)
            is_new = True
            try:
                self._ask(
                    _DEFINE,
                    struct.pack(">I", _OWNER),
                    struct.pack(">HH", 0, len(public)) + public,
                )
            except _Refused as refused:
                if refused.code != _IS_DEFINED:
                    raise
                is_new = False
            if not self._look():
                self._ask(_INCREMENT, struct.pack(">II", self.index, self.index))
            return is_new

    def _look(self) -> bool:
        """Whether it was ever moved. Raises AnchorLost where what is at this index is no such counter."""
        answer = self._ask(_READ_PUBLIC, struct.pack(">I", self.index), session=False)
        _, index, _, attributes, policy = struct.unpack_from(">HIHIH", answer)
        if index != self.index or attributes & ~_WRITTEN != _ATTRIBUTES or policy:
            raise AnchorLost(f"at 0x{self.index:08x} the TPM has something else than our counter", _GONE)
        return bool(attributes & _WRITTEN)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """What the TPM says and the system, as errors of ours."""
        try:
            yield
        except _Refused as refused:
            if refused.code in (_NO_HANDLE, _UNINITIALIZED):
                raise AnchorLost(f"there is no {self.name}", _GONE) from refused
            raise InstallerError(
                f"the {self.name} is refused: {refused}",
                "where its owner has a password, make it by hand: tpm2_nvdefine"
                f" 0x{self.index:08x} -C o -P PASSWORD -s 8 -a 'nt=counter|authread|authwrite|no_da'",
            ) from refused
        except struct.error as e:
            raise InstallerError(f"{self.device} answers as no TPM 2.0 does", "see vault.counter") from e
        except OSError as e:
            if isinstance(e, InstallerError):
                raise
            raise InstallerError(
                f"the TPM cannot be asked: {self.device}: {e.strerror or e}",
                "see that it is there, and that this user may open it (99-janus.rules, DeviceAllow=)",
            ) from e

    def _ask(self, code: int, handles: bytes, parameters: bytes = b"", *, session: bool = True) -> bytes:
        """The parameters of the answer. Raises _Refused, OSError."""
        authorisation = struct.pack(">I", len(_EMPTY_PASSWORD)) + _EMPTY_PASSWORD if session else b""
        body = handles + authorisation + parameters
        tag = _SESSIONS if session else _NO_SESSIONS
        command = _HEADER.pack(tag, _HEADER.size + len(body), code) + body
        answer = self._exchange(command)
        for _ in range(_BUSY_TRIES):
            if _HEADER.unpack_from(answer)[2] not in _BUSY:
                break
            time.sleep(_BUSY_S)
            answer = self._exchange(command)
        answered_tag, size, result = _HEADER.unpack_from(answer)
        if result:
            raise _Refused(result)
        if size != len(answer):
            raise OSError(f"an answer of {len(answer)} bytes says it has {size}")
        if answered_tag == _NO_SESSIONS:
            return answer[_HEADER.size :]
        (length,) = struct.unpack_from(">I", answer, _HEADER.size)
        return answer[_HEADER.size + 4 : _HEADER.size + 4 + length]

    def _exchange(self, command: bytes) -> bytes:
        if stat.S_ISSOCK(os.stat(self.device).st_mode):  # noqa: PTH116 - as latchd does
            with socket.socket(socket.AF_UNIX) as software:
                software.settimeout(_TIMEOUT_S)
                software.connect(self.device)
                software.sendall(command)
                return software.recv(_LARGEST)
        descriptor = os.open(self.device, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(descriptor, command)
            return os.read(descriptor, _LARGEST)
        finally:
            os.close(descriptor)
