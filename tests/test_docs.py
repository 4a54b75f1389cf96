"""What the documents name exists: paths, tests, commands, verbs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from janusd.cli.main import make_parser
from janusd_export.main import _parser as export_parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    "README.md", "docs/figures.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md",
]  # fmt: skip
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_and_test_that_a_document_names_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / name).parent / link).exists(), link
    for path in re.findall(r"`((?:tests|docs|daemon|hw|model_export|systemd)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or list((ROOT / path).parent.glob(Path(path).name + "*")), path
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in TESTS, test


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in DOCUMENTS:
        named = set(re.findall(r"\bmake ([a-z][a-z0-9-]+)", (ROOT / name).read_text(encoding="utf-8")))
        assert named & targets == named - {"sense", "it", "the", "a"}, named - targets


def test_a_purge_takes_every_folder_that_the_table_of_files_names() -> None:
    _, _, table = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Files on the device")
    folders = set(re.findall(r"`(/var/lib/[\w-]+|/etc/janus)\b", table))
    removed = re.findall(r"rm -rf (.*)", (ROOT / "systemd/deb/postrm").read_text(encoding="utf-8"))
    assert folders == set(removed[0].split())


@pytest.mark.parametrize("name", ["README.md", "docs/figures.md"])
def test_every_command_of_the_pipeline_that_a_document_names_is_understood(name: str) -> None:
    for command in re.findall(r"`janus-export ([^`]+)`", (ROOT / name).read_text(encoding="utf-8")):
        assert export_parser().parse_args(shlex.split(command)), command


def test_the_readme_names_every_verb_of_janusctl() -> None:
    (said,) = re.findall(r"`janusctl` has `([a-z -]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    verbs = next(a.choices for a in make_parser()._actions if a.dest == "verb")
    assert verbs is not None
    assert set(said.split()) == set(verbs)
