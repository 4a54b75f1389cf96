"""An answers file: what it may say, and how it is told what is wrong; the TOML that setup changes."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janusd.cli.setup import answers
from janusd.cli.setup.answers import Answers
from janusd.cli.setup.tomledit import Change, dumps, edit
from janusd.errors import ConfigError

KEYS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**40), 2**40), st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)  # fmt: skip
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(KEYS, SCALARS, min_size=1, max_size=3)
)
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=3)


def test_the_template_is_read_and_names_every_answer() -> None:
    read = answers.parse(answers.TEMPLATE)
    for section in msgspec.structs.fields(Answers):
        given = getattr(read, section.name)
        assert given is not None, section.name
        said = answers.TEMPLATE.split(f"\n[{section.name}]")[1].split("\n[")[0]
        for field in msgspec.structs.fields(type(given)):
            assert f"{field.name} = " in said, f"{section.name}.{field.name}"


def test_answers_are_kept_as_they_were_given() -> None:
    read = answers.parse(answers.TEMPLATE)
    assert answers.parse(answers.written(read)) == read
    assert answers.parse(answers.written(Answers())) == Answers()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[lines]\nrelais = 11", "line 2: lines.relais: no such key; did you mean relay?"),
        ("[line]\nrelay = 11", "line 1: [line]: no such section; did you mean lines?"),
        ("lines = 3", "write a section [lines]"),
        ('[lines]\nrelay = "eleven"', "lines.relay: must be the number of a header pin, or a table"),
        ("[lines]\nrelay = { pin = 41 }", "lines.relay: must be the number of a header pin"),
        ('[lines]\nlock = "open"', 'must be one of "fail-secure", "fail-safe", "none"'),
        ("[promise]\nyears = 0", "line 2: promise.years: must be a number above 0 to 1000, not 0"),
        ("[promise]\npeople = 1.5", "promise.people: must be a whole number from 1 to 1000"),
        ("[camera]\nfps = 12", "line 1: [camera]: driver is missing"),
        ("[enrol]\nname = ''", "enrol.name: must be text in quotes, of 1 to 64 characters"),
        ("[units]\nenable = 'yes'", "units.enable: must be true or false"),
        ("[units", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        answers.parse(text, "door.toml")
    assert said in str(refused.value)
    assert str(refused.value).startswith("door.toml: ")


def test_all_wrong_fields_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as refused:
        answers.parse("[promise]\nyears = 0\ntries = 3\n[keys]\nsource = 'usb'")
    assert len(refused.value.what.splitlines()) == 3


def test_a_file_that_is_not_there_is_said_with_how_to_begin_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--answers-template"):
        answers.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not UTF-8"):
        answers.load(tmp_path / "latin.toml")


@settings(max_examples=30)
@given(TABLES)
def test_what_is_written_is_what_is_read(tables: dict[str, object]) -> None:
    assert tomllib.loads(dumps(tables)) == tables


@settings(max_examples=50)
@given(TABLES, st.lists(st.tuples(KEYS, KEYS, st.none() | VALUES), max_size=5))
def test_an_edited_file_means_what_it_is_to_mean(
    tables: dict[str, dict[str, object]], changes: list[tuple[str, str, object]]
) -> None:
    text = "# kept\n" + dumps(tables)
    edited = edit(text, [Change(*change) for change in changes])  # type: ignore[arg-type]
    wanted = {name: dict(table) for name, table in tables.items()}
    for name, key, value in changes:
        wanted.setdefault(name, {})
        if value is None:
            wanted[name].pop(key, None)
        else:
            wanted[name][key] = value
    read = tomllib.loads(edited)
    assert {name: table for name, table in read.items() if table} == {n: t for n, t in wanted.items() if t}


COMMENTED = """\
# ours
socket = "/run/a # b"   # where

[camera]   # eyes
driver = "opencv"       # a "quoted" word
fps = 10

[door.front]
relay = 17
"""


def test_comments_and_order_survive_an_edit() -> None:
    edited = edit(
        COMMENTED,
        [
            Change("", "socket", "/run/c"),
            Change("camera", "driver", "picamera2"),
            Change("camera", "width_px", 640, "new"),
            Change("door.front", "relay", {"line": 4}, "not used: it has none"),
            Change("promise", "years", 2.0, "so many"),
            Change("camera", "fps", None),
        ],
    )
    assert edited.splitlines() == [
        "# ours",
        'socket = "/run/c"             # where',
        "",
        "[camera]   # eyes",
        'driver = "picamera2"          # a "quoted" word',
        "width_px = 640                # new",
        "",
        "[door.front]",
        "relay = { line = 4 }",
        "",
        "[promise]",
        "years = 2                     # so many",
    ]


@pytest.mark.parametrize(
    "text",
    ['[camera]\ndevice = """\nfps = 3"""\nfps = 1', "camera.fps = 1", "[camera]\nx = [\n 1,\n 2]\nfps = 1"],
)
def test_a_file_that_is_written_otherwise_is_written_anew(text: str) -> None:
    read = tomllib.loads(edit(text, [Change("camera", "fps", 9), Change("camera", "driver", "replay")]))
    assert read["camera"]["fps"] == 9
    assert read["camera"]["driver"] == "replay"
