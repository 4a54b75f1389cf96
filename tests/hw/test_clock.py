"""The clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from janusd.ports import Clock
from janusd_hw import clock as clock_module
from janusd_hw.clock import FakeClock, SystemClock


def test_both_clocks_are_what_the_port_asks_for() -> None:
    clocks: list[Clock] = [SystemClock(), FakeClock()]  # mypy reads this line, too
    assert len(clocks) == 2


def test_monotonic_time_does_not_go_back() -> None:
    clock = SystemClock()
    times = [clock.monotonic_s() for _ in range(100)]
    assert times == sorted(times)


def test_the_wall_clock_knows_its_zone() -> None:
    now = SystemClock().wall()
    assert now is not None
    assert now.utcoffset() is not None
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_wall_clock_at_1970_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    class Board(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(1970, 1, 1, 0, 0, 12, tzinfo=tz)

    monkeypatch.setattr(clock_module, "datetime", Board)
    assert SystemClock().wall() is None


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
