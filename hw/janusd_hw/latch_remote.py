"""The latch of a janus-latchd: asked over its socket, which is written down in `latchd/wire.py`.

A thread keeps the connection: it says hello, beats, hears what the door does, and comes back when latchd
was away. While it has no word from latchd the door is locked and stays so, and `fault` says why. When this
process dies or hangs, latchd locks; when an answer does not come, this side hangs up, and latchd locks too.

Trust boundary: the socket lies in a folder where only root and janus-latchd can put one.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from janusd.errors import LatchError
from janusd.ports import Contact
from janusd_hw.latchd.wire import ASK, ASK_BYTES, TELL, TELL_BYTES, VERSION, Ask, Flag, Tell

BEAT_S = 0.5
ANSWER_S = 1.0
"""latchd answers within milliseconds; whoever stands before the door must not wait long for a dead one."""
RETURN_S, RETURN_MAX_S = 0.5, 4.0
"""Until it is called again; longer where it hung up without a word: a call starts what is set up wrong."""
_REMEDY = "see `systemctl status janus-latchd`; the exit button works without janusd"
_ALARMS = {
    Flag.TAMPERED: "the enclosure is open",
    Flag.FORCED: "the door was forced open",
    Flag.HELD_OPEN: "the door stands open",
}


@dataclass(frozen=True, slots=True)
class LatchNews:
    """What janus-latchd told of its own accord."""

    at_s: float
    """On the clock of the frames."""
    flags: Flag
    trigger: str = ""
    """The name of the input that became active; empty when it is the door that changed."""
    lasts: bool = False
    """Whether that input was told before, and is active still."""


class RemoteLatch:
    """A `Latch` in another process."""

    def __init__(
        self,
        path: str,
        door: str,
        *,
        on_news: Callable[[LatchNews], None] | None = None,
        beat_s: float = BEAT_S,
        answer_s: float = ANSWER_S,
    ) -> None:
        """Start to connect, and return at once: a latchd that is not there yet is a `fault`, not an error.

        `on_news` is called on this latch's thread; it must return quickly, and not call the latch.
        """
        self._path, self._door, self._on_news = path, door, on_news
        self._beat_s, self._answer_s = beat_s, answer_s
        self._word = threading.Condition()
        """Guards all below; notified at each answer."""
        self._sock: socket.socket | None = None
        self._number = 0
        self._answers: dict[int, tuple[Tell, str] | None] = {}
        """By number of a request somebody waits for."""
        self._flags = Flag(0)
        self._trouble = f"janus-latchd at {path} was not reached yet"
        self._heard_s = 0.0
        self._unheard = 0
        """Calls in a row that nobody answered."""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="latch", daemon=True)
        self._thread.start()

    def listen(self, on_news: Callable[[LatchNews], None]) -> None:
        """Hear from now on what latchd tells; as `on_news` of the constructor."""
        self._on_news = on_news

    @property
    def name(self) -> str:
        """Which door of which latchd, for example "janus-latchd front"."""
        return f"janus-latchd {self._door}"

    @property
    def is_released(self) -> bool:
        """Whether the door is released, by whomever, as far as latchd said."""
        with self._word:
            return bool(self._flags & Flag.RELEASED)

    @property
    def is_open(self) -> bool:
        """Whether the door contact says that the door stands open."""
        with self._word:
            return bool(self._flags & Flag.OPEN)

    @property
    def fault(self) -> str:
        """What is wrong with the lock, or what alarm there is; empty when all is well."""
        with self._word:
            alarms = [words for flag, words in _ALARMS.items() if self._flags & flag]
            return "; ".join([self._trouble, *alarms] if self._trouble else alarms)

    @property
    def contact(self) -> Contact:
        """What latchd says of the door; nothing is known while it is away.

        A door without a sensor is told as one whose sensor is quiet: the wire does not say which are there.
        """
        with self._word:
            if self._sock is None or self._trouble:
                return Contact(trouble=self._trouble)
            is_open, is_forced, is_held_open, is_tampered = (
                bool(self._flags & flag) for flag in (Flag.OPEN, Flag.FORCED, Flag.HELD_OPEN, Flag.TAMPERED)
            )
            return Contact(is_open, is_forced, is_held_open, is_tampered)

    def release(self, hold_s: float, why: str) -> None:
        """Unlock for `hold_s` seconds, within latchd's own bounds.

        Raises LatchError when latchd is away, refuses, or does not answer; the door is locked then. Only the
        first word of `why` goes to latchd: it has no business with names.
        """
        if not 0.001 <= hold_s <= 3600:
            raise ValueError(f"hold_s is {hold_s}, must be from 0.001 to 3600")
        self._ask(Ask.RELEASE, round(hold_s * 1000), why.partition(" ")[0])

    def lock(self) -> None:
        """End a running release now. A latchd that does not answer has lost us as its client: it locks."""
        with contextlib.suppress(LatchError):
            self._ask(Ask.LOCK)

    def indicate(self, lamp: str, seconds: float) -> None:
        """Light a lamp of this door, or sound its buzzer, for so long; does not wait, and raises nothing."""
        with self._word, contextlib.suppress(LatchError):
            self._send(Ask.INDICATE, max(1, round(seconds * 1000)), lamp)

    def close(self) -> None:
        """Hang up: latchd locks. May be called twice."""
        self._closed.set()
        with self._word:
            self._hang_up("the latch is closed")
        self._thread.join(timeout=2)

    def wait_until_ready(self, timeout_s: float) -> bool:
        """Wait until latchd has answered; whether it has."""
        with self._word:
            return self._word.wait_for(lambda: not self._trouble, timeout_s)

    def _ask(self, ask: Ask, hold_ms: int = 0, text: str = "") -> None:
        with self._word:
            number = self._send(ask, hold_ms, text)
            self._answers[number] = None
            try:
                self._word.wait_for(lambda: self._answers[number] or self._sock is None, self._answer_s)
                answer = self._answers[number]
                if answer is None:
                    self._hang_up(f"janus-latchd at {self._path} does not answer")
                    raise LatchError(self._trouble, _REMEDY)
            finally:
                del self._answers[number]
        if answer[0] is Tell.REFUSED:
            raise LatchError(f"{self.name} refuses: {answer[1]}", _REMEDY)

    def _send(self, ask: Ask, hold_ms: int = 0, text: str = "") -> int:
        """Send a request and give its number. Raises LatchError when there is nobody to send to."""
        if self._sock is None:
            raise LatchError(self._trouble, _REMEDY)
        self._number = self._number % 0xFFFF + 1
        try:
            self._sock.send(pack_ask(ask, self._number, hold_ms, text))
        except OSError as error:
            self._hang_up(f"janus-latchd at {self._path} is gone: {error.strerror}")
            raise LatchError(self._trouble, _REMEDY) from error
        return self._number

    def _hang_up(self, trouble: str) -> None:
        self._trouble, self._flags = trouble, Flag(0)
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closes it
            self._sock = None
            self._word.notify_all()

    # The thread

    def _keep(self) -> None:
        while not self._closed.is_set():
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                try:
                    sock.connect(self._path)
                    sock.setblocking(False)
                except OSError as error:
                    with self._word:
                        self._hang_up(f"janus-latchd cannot be reached at {self._path}: {error.strerror}")
                else:
                    self._unheard += 1
                    self._listen(sock)
            doublings = min(max(0, self._unheard - 2), 16)  # unheard for an hour, 2 to that power is no float
            self._closed.wait(min(RETURN_S * 2**doublings, RETURN_MAX_S))

    def _listen(self, sock: socket.socket) -> None:
        """Beat and hear, until the connection ends."""
        with self._word:
            self._sock, self._heard_s = sock, time.monotonic()
            with contextlib.suppress(LatchError):
                self._send(Ask.HELLO, text=self._door)
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        beat_s = time.monotonic() + self._beat_s
        while True:
            ready = poller.poll(max(0.0, beat_s - time.monotonic()) * 1000)
            with self._word:
                if self._sock is not sock:
                    return
                if ready and not self._hear(sock):
                    return
                now_s = time.monotonic()
                if now_s >= beat_s:
                    beat_s = now_s + self._beat_s
                    if now_s - self._heard_s > self._beat_s + self._answer_s:
                        self._hang_up(f"janus-latchd at {self._path} hangs")
                        return
                    with contextlib.suppress(LatchError):
                        self._send(Ask.BEAT)

    def _hear(self, sock: socket.socket) -> bool:
        """Take one message; whether the connection goes on."""
        try:
            packet = sock.recv(TELL_BYTES + 1)
            if not packet:
                # latchd says why before it hangs up on a hello; otherwise it ended
                self._hang_up(self._trouble or f"janus-latchd at {self._path} hung up")
                return False
            tell, number, flags, at_s, text = unpack_tell(packet)
        except (OSError, ValueError) as error:
            self._hang_up(f"janus-latchd at {self._path} talks nonsense: {error}")
            return False
        self._heard_s, self._unheard = time.monotonic(), 0
        is_refused_hello = tell is Tell.REFUSED and number not in self._answers
        if is_refused_hello:
            self._trouble = f"janus-latchd refuses: {text}"
        else:
            fault = text if flags & Flag.FAULT and tell is Tell.DOOR else ""
            self._trouble = fault or ("janus-latchd reports a fault" if flags & Flag.FAULT else "")
        self._flags = flags
        if number in self._answers:
            self._answers[number] = (tell, text)
        self._word.notify_all()
        if number == 0 and self._on_news is not None:
            of_input = tell in (Tell.TRIGGER, Tell.LASTS)
            self._on_news(LatchNews(at_s, flags, text if of_input else "", tell is Tell.LASTS))
        return True


def pack_ask(ask: Ask, number: int, hold_ms: int = 0, text: str = "") -> bytes:
    """Make a request; a text is made to fit."""
    fitting = "".join(letter if letter.isprintable() else "?" for letter in text).encode("ascii", "replace")
    return ASK.pack(VERSION, ask, number, hold_ms) + fitting[: ASK_BYTES - ASK.size]


def unpack_tell(packet: bytes) -> tuple[Tell, int, Flag, float, str]:
    """Give kind, number, flags, time and text of what latchd said. Raises ValueError on anything else."""
    if not TELL.size <= len(packet) <= TELL_BYTES or packet[0] != VERSION:
        raise ValueError(f"a message of {len(packet)} bytes, version {packet[:1].hex()}")
    _, tell, number, flags, at_us = TELL.unpack_from(packet)
    return Tell(tell), number, Flag(flags), at_us / 1e6, packet[TELL.size :].decode("ascii")
