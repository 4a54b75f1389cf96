"""What an input of janus-latchd is to the door: a press counts once, and only on the input for codes."""

from __future__ import annotations

from janusd.main import CODE_INPUT, _hear
from janusd_hw.latch_remote import LatchNews
from janusd_hw.latchd.wire import Flag


class Heard:
    """A door that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def press(self, at_s: float) -> None:
        self.told.append(("press", at_s))

    def pull(self, name: str) -> None:
        self.told.append(("pull", name))


def test_a_press_is_a_press_once_however_long_it_lasts() -> None:
    door = Heard()
    for news in (
        LatchNews(1.0, Flag(0), CODE_INPUT),
        LatchNews(1.5, Flag(0), CODE_INPUT, lasts=True),
        LatchNews(2.0, Flag(0), "pir"),
        LatchNews(3.0, Flag.OPEN),
    ):
        _hear(door, news)  # type: ignore[arg-type]  # it needs no more of a door
    assert door.told == [("press", 1.0), ("pull", CODE_INPUT), ("pull", CODE_INPUT), ("pull", "pir")]
