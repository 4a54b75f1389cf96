"""An `Indicator` on the lamps and the buzzer that janus-latchd holds: `led_status`, `buzzer` in latch.toml.

One lamp and one tone say little, so they say the same few things everywhere:

    lamp on       look here, somebody is looked at      short tone    a sample was taken, the door is open
    lamp blinks   something is in the way               long tone     not let in

The released lock has a lamp of its own (`led_released`), and alarms have theirs: latchd lights those itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from janusd.ports import Sign

LAMP, BUZZER = "led_status", "buzzer"
_LASTING_S: Final = 30.0
"""A lamp that nobody changes goes out after this: janusd may have forgotten it."""
_OFF_S: Final = 0.001

SIGNS: Final[dict[Sign, dict[str, float]]] = {
    Sign.IDLE: {LAMP: _OFF_S},
    Sign.LOOK: {LAMP: _LASTING_S},
    Sign.TURN_LEFT: {LAMP: _LASTING_S},
    Sign.TURN_RIGHT: {LAMP: _LASTING_S},
    Sign.CHIN_UP: {LAMP: _LASTING_S},
    Sign.CHIN_DOWN: {LAMP: _LASTING_S},
    Sign.HOLD: {LAMP: _LASTING_S},
    Sign.TAKEN: {LAMP: _LASTING_S, BUZZER: 0.08},
    Sign.DONE: {LAMP: _OFF_S, BUZZER: 0.25},
    Sign.PROBLEM: {LAMP: 0.2},
    Sign.OPEN: {LAMP: _OFF_S, BUZZER: 0.08},
    Sign.SHUT: {LAMP: _OFF_S, BUZZER: 0.6},
}
"""For each sign, for how many seconds which output is on."""


class LatchdIndicator:
    """Over whoever can reach latchd: `RemoteLatch.indicate`."""

    def __init__(self, indicate: Callable[[str, float], None]) -> None:
        self._indicate = indicate

    @property
    def name(self) -> str:
        """Which indicator this is."""
        return "lamp and buzzer of janus-latchd"

    def show(self, sign: Sign, words: str) -> None:
        """Light and sound it; the words are for displays."""
        del words
        for output, seconds in SIGNS[sign].items():
            self._indicate(output, seconds)
