"""SECURITY.md keeps its word: every attack has its row, every test that it names is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
ATTACKS = 56
DEFINED = set(
    re.findall(
        r"^\s*(?:async )?def (test_\w+)\(",
        "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")),
        re.MULTILINE,
    )
)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    numbers: tuple[int, ...]
    attack: str
    happens: str
    tests: str
    open: str


def rows() -> list[Row]:
    """Those of the numbered table."""
    found = []
    for line in TEXT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and re.fullmatch(r"\d+(, \d+)*", cells[0]):
            assert len(cells) == 5, line
            found.append(Row(tuple(map(int, cells[0].split(", "))), *cells[1:]))
    return found


def named(cell: str) -> list[str]:
    return re.findall(r"`(test_\w+|tests/[\w./]*)`", cell)


def test_each_of_the_attacks_has_one_row() -> None:
    numbers = [number for row in rows() for number in row.numbers]
    assert sorted(numbers) == list(range(1, ATTACKS + 1))


@pytest.mark.parametrize("name", sorted({name for name in named(TEXT) if name.startswith("test_")}))
def test_every_test_that_is_named_is_there(name: str) -> None:
    assert name in DEFINED


@pytest.mark.parametrize("name", sorted({name for name in named(TEXT) if "/" in name}))
def test_every_file_of_tests_that_is_named_has_some(name: str) -> None:
    path = ROOT / name
    assert path.exists()
    if path.name.startswith("test_"):
        assert "def test_" in path.read_text(encoding="utf-8")


def test_what_has_no_test_is_called_open() -> None:
    for row in rows():
        assert named(row.tests) or "open" in row.open, row.attack


def test_every_row_says_something_in_each_column() -> None:
    for row in rows():
        assert all(cell for cell in (row.attack, row.happens, row.tests, row.open)), row.numbers


def test_every_trial_of_the_torture_is_named_somewhere() -> None:
    trials = {path.name for path in (ROOT / "tests" / "torture").glob("*.py")}
    trials -= {"__init__.py", "__main__.py", "row.py", "kit.py", "painted.py", "test_torture.py"}
    assert trials == {Path(name).name for name in named(TEXT) if "tests/torture/" in name}
