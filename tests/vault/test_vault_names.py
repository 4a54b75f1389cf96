from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.errors import EnrolmentRefused
from janusd.vault.names import check_name, name_key


@pytest.mark.parametrize(
    "name", ["Ada", "Ada L. O'Neil-Smith", "José", "李小龍", "Дмитрий", "عائشة", "R2", "x" * 64]
)
def test_people_of_all_scripts_may_enrol(name: str) -> None:
    assert check_name(name) == name


def test_blanks_around_a_name_are_dropped_and_accents_composed() -> None:
    assert check_name("  Jose\u0301\n") == "Jos\u00e9"


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 65, "Ada\nroot", "Ada\x1b[2J", "Ada\u202eadA", "Ada\u200b", "Ada\u3164", "A\ud800da",
     "Ada\u00a0B", "Ada\x00", "\u0301", "--", "Ada\ufe0f", "Ada\ue000", "Ada\u2028B"],
)  # fmt: skip
def test_names_that_hide_something_are_refused(name: str) -> None:
    with pytest.raises(EnrolmentRefused) as refused:
        check_name(name)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada", "ADA"),
        ("Jose\u0301", "JOSÉ"),
        ("STRASSE", "straße"),
        ("\uff21\uff44\uff41", "ada"),
        ("\ufb01n", "FIN"),
    ],
)
def test_case_width_and_composition_do_not_tell_people_apart(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


def test_different_names_are_different_people() -> None:
    assert name_key("Ada") != name_key("Eda")


@given(st.text(max_size=80))
def test_a_name_is_refused_or_kept_stably(text: str) -> None:
    try:
        kept = check_name(text)
    except EnrolmentRefused:
        return
    assert check_name(kept) == kept
    assert kept.isprintable()
    assert 1 <= len(kept) <= 64
