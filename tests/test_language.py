"""What people read in their language: every text in every file, with the same values in it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from janusd import enrolment
from janusd.cli import guided, stages
from janusd.core import guide
from janusd.core.reason import Reason
from janusd.core.side import Side
from janusd.core.types import Decision
from janusd.language import LANGUAGES, Words, language_of, placeholders, read, words
from janusd.ports import Sign
from janusd.service import door_service, enrolling
from janusd.service.signboard import Signboard
from janusd_hw.indicators import RecordingIndicator

OTHERS = LANGUAGES[1:]


def asked_for() -> set[str]:
    """Every English text that may be shown: of the door, of the guide, and what the screens say."""
    said = {reason.hint for reason in Reason} | set(guide.HINTS) | set(enrolment.HINTS)
    said |= {enrolling.NO_PICTURE, door_service.LOCK_IS_FAULTY, guided.GLASSES, *Side}
    for node in ast.walk(ast.parse(Path(stages.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("say", "_say"):
                said.add(node.args[0].value)
    return said - {""}


def file(language: str) -> dict[str, str]:
    return dict(words(language)._texts)


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_a_translation_and_none_is_left_over(language: str) -> None:
    assert set(file(language)) - asked_for() == set()
    assert asked_for() - set(file(language)) == set()


@pytest.mark.parametrize("language", OTHERS)
def test_translations_take_the_same_values_and_end_alike(language: str) -> None:
    for english, said in file(language).items():
        assert placeholders(said) == placeholders(english), english
        assert english.endswith(" ") == said.endswith(" "), english
        assert english.endswith(".") == said.endswith("."), english
        assert "\n" not in said
        assert said.isprintable() or said == "", english


@pytest.mark.parametrize("language", OTHERS)
def test_a_key_that_is_named_is_the_one_that_is_read(language: str) -> None:
    for english, said in file(language).items():
        for key in ("g ", "s ", "q "):
            if english.startswith(key) or f"   {key}" in english:
                assert said.startswith(key) or f"   {key}" in said, english


@pytest.mark.parametrize("language", OTHERS)
def test_what_stands_in_a_row_of_80_columns_fits(language: str) -> None:
    for english, said in file(language).items():
        if "   q " in english or english in ("Good: {side}.", "Put them on, or take them off, and press g."):
            assert len(said) <= 76, said


def test_the_display_at_the_door_speaks_its_language() -> None:
    indicator = RecordingIndicator()
    board = Signboard(indicator, words("fr"))
    board.tell(Decision(0.0, Reason.MATCHED, "id", 0.7), Reason.MATCHED.hint)
    board.show(Sign.PROBLEM, "This does not look like Zoë {name}.")
    board.words = words("es")
    board.show(Sign.LOOK, guide.ask(Side.LEFT))
    assert [said for _, said in indicator.shown] == [
        "Bienvenue.", "Cela ne ressemble pas à Zoë {name}.", "Gire la cabeza hacia su izquierda.",
    ]  # fmt: skip


def test_what_is_not_known_stays_english() -> None:
    assert words("de").hint("Something new.") == "Something new."
    assert words("de")("Good: {side}.", side="vorn") == "Gut: vorn."
    assert words("xx")("Good.") == "Good."


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "de"}, "en"),
        ({"LANG": "it_IT.UTF-8", "LANGUAGE": "it:fr:de"}, "fr"),
        ({"LANG": "de_DE", "LC_MESSAGES": "es_MX.UTF-8"}, "es"),
        ({"LANG": "de_DE", "LC_ALL": "POSIX"}, "en"),
        ({"LANG": "de_DE", "LANGUAGE": "en:de"}, "en"),
        ({"LANG": "pl_PL.UTF-8"}, "en"),
    ],
)
def test_the_language_is_chosen_as_gettext_chooses(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


def test_a_po_file_is_read_as_its_editors_write_it() -> None:
    text = """\
msgid ""
msgstr "Language: de\\n"

# a translator's remark
#: core/reason.py:12
msgid "One \\"two\\" "
"three."
msgstr ""
"Eins \\"zwei\\" "
"drei."

#, fuzzy
msgid "unsure"
msgstr "unsicher"

msgid "open"
msgstr ""
"""
    assert read(text) == {'One "two" three.': 'Eins "zwei" drei.'}
    assert Words(read(text)).hint('One "two" three.') == 'Eins "zwei" drei.'
