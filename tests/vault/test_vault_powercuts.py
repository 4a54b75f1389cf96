"""Power cuts and failing disks, simulated beneath SQLite: some here, 10,000 with `make torture`.

Counted as harm: an acknowledged change that is gone, a forgotten person who is back, a vault that does not
open again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("apsw")

from torture import powercuts

# SQLite goes on for a moment after a cut, to roll back; what it meets then reaches nobody.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.mark.slow
def test_power_cuts_at_any_write_lose_nothing_and_bring_nobody_back(tmp_path: Path) -> None:
    (row,) = powercuts.cuts(120, 5, tmp_path, lambda: None)
    assert (row.times, dict(row.harm)) == (120, {})


@pytest.mark.slow
def test_a_fault_at_every_write_refuses_clearly_and_loses_nothing(tmp_path: Path) -> None:
    rows = powercuts.faults(5, 5, tmp_path, lambda: None)
    assert len(rows) == 6
    for row in rows:
        assert row.times > 3
        assert dict(row.harm) == {}


def test_a_healthy_simulated_disk_is_an_ordinary_disk(tmp_path: Path) -> None:
    """The harness itself: without cuts and faults nothing is lost, and with a disk that forgets, it shows."""
    door = powercuts.Door(tmp_path, 5)
    with door.in_place():
        door.steps_of_a_life()
        door.look("")
        assert (door.told, dict(+door.harm)) == ({"Ada"}, {})
        before = door.disk.synced[str(powercuts.PATH)]
        vault = door.open()
        vault.forget("Ada")
        vault.close()
        door.told.clear()
        door.disk.put(str(powercuts.PATH), before)  # a disk that lies about its sync
        door.disk.put(str(powercuts.PATH) + "-wal", b"")
        door.look("")
        assert door.harm["shut"] == 1  # the anchor tells
