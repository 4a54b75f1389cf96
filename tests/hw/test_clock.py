"""The clocks."""

from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from janusd.ports import Clock
from janusd_hw import clock as clock_module
from janusd_hw import timesync
from janusd_hw.clock import FakeClock, SystemClock


def test_both_clocks_are_what_the_port_asks_for() -> None:
    clocks: list[Clock] = [SystemClock(), FakeClock()]  # mypy reads this line, too
    assert len(clocks) == 2


def test_monotonic_time_does_not_go_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic_s() for _ in range(100)]
    assert times == sorted(times)


class Board:
    """A board whose two clocks are set by hand; stands in for the module's `datetime`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wall: datetime) -> None:
        self.up_s, self.shown, self.is_set = 12.0, wall, True
        monkeypatch.setattr(clock_module, "datetime", self)
        monkeypatch.setattr(clock_module, "boottime_s", lambda: self.up_s)
        self.clock = SystemClock(lambda _: self.is_set)

    def now(self, tz: tzinfo) -> datetime:
        return self.shown.astimezone(tz)

    def run(self, seconds: float) -> datetime | None:
        self.up_s += seconds
        self.shown += timedelta(seconds=seconds)
        return self.clock.wall()


NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_the_wall_clock_knows_its_zone() -> None:
    now = SystemClock(lambda _: True).wall()
    assert now is not None
    assert now.utcoffset() is not None
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_wall_clock_at_1970_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Board(monkeypatch, datetime(1970, 1, 1, 0, 0, 12, tzinfo=UTC)).clock.wall() is None


def test_a_date_that_nothing_has_set_is_not_trusted_until_something_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    board = Board(monkeypatch, NOON)
    board.is_set = False
    assert board.run(60) is None
    board.shown += timedelta(days=200)  # NTP's first answer is no jump: nothing was believed before
    board.is_set = True
    assert board.run(60) is not None
    board.is_set = False
    assert board.run(60) is None


@pytest.mark.parametrize("hours", [-3652 * 24, -5, -1, 1, 5, 3652 * 24])
def test_after_a_jump_the_wall_clock_is_not_trusted_for_an_hour(
    monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    board = Board(monkeypatch, NOON)
    assert board.run(1) is not None
    board.shown += timedelta(hours=hours)
    believable = board.shown.year >= 2024
    assert board.run(1) is None
    assert board.run(3500) is None
    assert (board.run(200) is not None) is believable


def test_neither_a_suspend_nor_a_change_to_summer_time_is_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(monkeypatch, datetime(2026, 3, 29, 0, 59, tzinfo=UTC))
    assert board.run(1) is not None
    assert board.run(7 * 3600) is not None  # CLOCK_BOOTTIME counts while the board sleeps


@pytest.mark.parametrize(
    ("synchronised", "flag", "rtc", "is_set"),
    [
        (True, False, None, True),
        (False, True, None, False),  # set by hand since timesyncd's answer: the kernel knows better
        (None, True, None, True),
        (None, False, None, False),
        (False, False, 0, True),
        (False, False, 119, True),
        (False, False, -1_000_000, False),
        (False, False, "", False),
    ],
)
def test_the_kernel_timesyncd_and_the_rtc_are_asked_in_turn(
    tmp_path: Path, synchronised: bool | None, flag: bool, rtc: int | str | None, is_set: bool
) -> None:
    if flag:
        (tmp_path / "flag").touch()
    if rtc is not None:
        (tmp_path / "rtc").write_text(f"{1_790_000_000 + rtc}\n" if isinstance(rtc, int) else rtc)
    where = {"flag": str(tmp_path / "flag"), "rtc": str(tmp_path / "rtc")}
    assert timesync.is_set(1_790_000_000.4, synchronised=synchronised, **where) is is_set


def test_this_kernel_answers_or_declines() -> None:
    assert timesync.kernel_is_synchronised() in (True, False, None)


def test_a_fake_clock_moves_only_when_told() -> None:
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    clock = FakeClock(100.0, noon)
    assert (clock.monotonic_s(), clock.wall()) == (100.0, noon)
    clock.advance(2.5)
    assert (clock.monotonic_s(), clock.wall()) == (102.5, noon + timedelta(seconds=2.5))
    clock.set_wall(None)
    clock.advance(1)
    assert clock.wall() is None


def test_a_fake_clock_refuses_what_a_real_one_cannot_do() -> None:
    with pytest.raises(ValueError, match="advance"):
        FakeClock().advance(-1)
    with pytest.raises(ValueError, match="zone"):
        FakeClock().set_wall(datetime(2026, 5, 4, 12))
