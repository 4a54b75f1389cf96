"""`make torture` must not end well by saying nothing."""

from __future__ import annotations

import pytest

from support.torture import table


def test_the_table_counts_and_is_well_only_without_harm() -> None:
    drawn, is_well = table(["TORTURE power cuts|10000|0\n", ".TORTURE faults|12|0\n", "2 passed in 3 s\n"])
    assert is_well
    assert "power cuts   10,000      0" in drawn


@pytest.mark.parametrize(
    "lines",
    [[], ["2 passed\n"], ["TORTURE cuts|5|1\n"], ["TORTURE cuts|5|0\n", "FAILED tests/x.py::test_y\n"]],
    ids=["nothing", "no lines", "harm", "a failure"],
)
def test_it_is_not_well_otherwise(lines: list[str]) -> None:
    assert not table(lines)[1]
