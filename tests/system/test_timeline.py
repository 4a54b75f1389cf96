"""What the rig draws and tells, without a rig; and that its programs can be read by Python at all."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from janusd.cli.setup import answers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from timeline import Moment, draw, tell  # noqa: E402 - the rig is a program, not a package

MOMENTS = [
    Moment(10.0, "relay", "0"),
    Moment(12.5, "street", "ada <3"),
    Moment(13.0, "relay", "1"),
    Moment(16.0, "relay", "0"),
]


def test_a_timeline_is_told_in_milliseconds_since_its_start() -> None:
    assert tell(MOMENTS, 10.0)[1:3] == [
        "    2500 ms  street         ada <3",
        "    3000 ms  relay          high",
    ]


def test_a_timeline_is_drawn_as_an_image_that_can_be_read() -> None:
    image = ElementTree.fromstring(draw("right-face: Ada & Ben", MOMENTS, 10.0))
    texts = ["".join(text.itertext()) for text in image.iter("{http://www.w3.org/2000/svg}text")]
    assert {"right-face: Ada & Ben", "street: ada <3", "relay", "exit button", "0 s"} <= set(texts)


def test_a_level_that_was_only_found_is_drawn_from_then_on_and_after_a_power_cut_anew() -> None:
    found = [Moment(2.0, "relay", "=1"), Moment(4.0, "relay", "0"), Moment(8.0, "relay", "=0")]
    image = ElementTree.fromstring(draw("power-cut", found, 0.0))
    traces = [path.get("d", "") for path in image.iter("{http://www.w3.org/2000/svg}path")]
    relay = next(trace for trace in traces if trace.count("M") == 2)
    assert [step[0] for step in re.findall(r"[MHV][^MHV]+", relay)] == ["M", "H", "V", "M", "H"]
    assert float(relay.split()[0][1:]) > 130, "before that nobody looked"
    assert tell(found, 0.0)[0].endswith("high, as found")


def test_a_rig_without_a_kernel_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import rig  # noqa: PLC0415 - likewise

    monkeypatch.setenv("JANUS_RIG", str(tmp_path))
    with pytest.raises(SystemExit, match="make rig-kernel"):
        rig.find_kernel(tmp_path)


def test_gpio_sim_is_taught_to_keep_a_level_where_it_is_let_go(tmp_path: Path) -> None:
    source = tmp_path / "gpio-sim.c"
    source.write_text(
        "static void gpio_sim_free(struct gpio_chip *gc)\n{\n\tscoped_guard(mutex, &chip->lock) {\n"
        "\t\t__assign_bit(offset, chip->value_map,\n\t\t\t     x);\n\t}\n}\n\nint other;\n"
    )
    subprocess.run([sys.executable, HERE / "gpio_sim_persist.py", source], check=True)
    taught = source.read_text()
    assert "module_param(persist, bool, 0644);\n\nstatic void gpio_sim_free" in taught
    assert "\t\tif (!persist)\n\t\t\t__assign_bit(offset" in taught


@pytest.mark.parametrize("program", sorted(HERE.rglob("*.sh")), ids=lambda path: path.name)
def test_its_shell_programs_can_be_read(program: Path) -> None:
    shell = "bash" if program.read_text().startswith("#!/bin/bash") else "sh"
    subprocess.run([shell, "-n", program], check=True)


@pytest.mark.parametrize("program", sorted(HERE.glob("guest/*.py")), ids=lambda path: path.name)
def test_what_runs_in_the_guest_needs_nothing_of_ours(program: Path) -> None:
    if program.name == "virtual_camera.py":  # it is janusd, on a camera that is lent to it
        return
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(program.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not [name for name in imported if name.startswith("janus")]


def test_all_figures_stand_in_one_table_and_what_failed_after_them() -> None:
    import rig  # noqa: PLC0415 - likewise

    told = rig.table(
        {
            "right-face": {"verdict": "passed", "relay high, s": 3.1},
            "right-face-persists": {"verdict": "passed", "relay high, s": 3.2},
            "sandbox": {"verdict": "FAILED: it is open", "verify": "", "journal": ["a", "b"]},
        }
    ).splitlines()
    assert [" ".join(line.split()) for line in told] == [
        "relay high, s 3.1",
        "relay high, s, a dead owner's line persists 3.2",
        "verify nothing",
        "1 of 3 scenarios failed: sandbox",
    ]


def test_every_scenario_belongs_to_one_part_and_says_what_it_is() -> None:
    from scenarios import PARTS, PERSISTS, SCENARIOS  # noqa: PLC0415 - likewise

    assert len(SCENARIOS) == sum(map(len, PARTS.values()))
    assert not set(PARTS) & set(SCENARIOS) - {"sandbox", "setup"}  # those two are parts of their own
    assert set(PERSISTS) <= set(SCENARIOS)
    assert all(play.__doc__ for play in SCENARIOS.values())


def test_the_rig_s_answers_are_ones_that_setup_understands() -> None:
    lines = answers.load(HERE / "guest" / "door.toml").lines
    assert lines is not None
    assert set(lines.wires()) == {"relay", "rex", "contact"}
