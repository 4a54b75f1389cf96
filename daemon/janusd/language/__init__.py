"""What people at the door and before a terminal read, in their language: the .po files beside this one.

The files are gettext's, so that any translator's editor opens them. They are read as they are: a hundred
short texts take a millisecond or two, nothing has to be compiled on a device or at packaging, and a wheel, an
editable install and the Debian package carry the same bytes. English is the text in the code itself, and what
stands in for whatever a file lacks.

A text that the daemon has put together already, "This does not look like Ada.", is found by its pattern,
"This does not look like {name}.".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "de", "fr", "es")

_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Words:
    """The texts of one language."""

    def __init__(self, texts: Mapping[str, str], language: str = LANGUAGES[0]) -> None:
        self.language = language
        self._texts = texts
        self._patterns = [(_pattern(english), said) for english, said in texts.items() if "{" in english]

    def __call__(self, english: str, **values: object) -> str:
        """The text in this language, with the values in their places."""
        said = self._texts.get(english, english)
        return _filled(said, values)

    def hint(self, told: str) -> str:
        """The same of a text that came with its values in it already; as it is where it is not known."""
        if (said := self._texts.get(told)) is not None:
            return said
        for pattern, said in self._patterns:
            if found := pattern.fullmatch(told):
                return _filled(said, found.groupdict())
        return told


ENGLISH = Words({})
"""What stands in the code."""


@cache
def words(language: str) -> Words:
    """The texts of that language; English for one that is not there."""
    if language == ENGLISH.language or language not in LANGUAGES:
        return ENGLISH
    text = files("janusd.language").joinpath(f"{language}.po").read_text(encoding="utf-8")
    return Words(read(text), language)


def language_of(environment: Mapping[str, str]) -> str:
    """The language somebody set with LANGUAGE, LC_ALL, LC_MESSAGES or LANG, as gettext reads them."""
    locale = next((set_ for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (set_ := environment.get(name))), "")
    if _short(locale) in ("", "c", "posix"):
        return ENGLISH.language
    for wanted in (*environment.get("LANGUAGE", "").split(":"), locale):
        if _short(wanted) in LANGUAGES:
            return _short(wanted)
    return ENGLISH.language


def read(text: str) -> dict[str, str]:
    """The texts of a .po file by the English ones; without its header, and what is fuzzy or empty.

    Neither plurals nor contexts: no text here has them.
    """
    texts: dict[str, str] = {}
    for entry in re.split(r"\n\s*\n", text):
        parts: dict[str, str] = {}
        key, is_fuzzy = "", False
        for line in entry.splitlines():
            is_fuzzy = is_fuzzy or (line.startswith("#,") and "fuzzy" in line)
            if line.startswith(("msgid ", "msgstr ")):
                key = line.split(" ", 1)[0]
                parts[key] = ""
            if key and not line.startswith("#") and (found := _STRING.search(line)):
                parts[key] += re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[0]), found[1])
        if parts.get("msgid") and parts.get("msgstr") and not is_fuzzy:
            texts[parts["msgid"]] = parts["msgstr"]
    return texts


def placeholders(text: str) -> set[str]:
    """Which values a text takes."""
    return set(_PLACEHOLDER.findall(text))


def _filled(text: str, values: Mapping[str, object]) -> str:
    """Each placeholder once: a value with braces in it stays what it is."""
    return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], found[0])), text)


def _pattern(english: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(english)  # text, name, text, name ... text
    made = [re.escape(part) if at % 2 == 0 else f"(?P<{part}>.+)" for at, part in enumerate(parts)]
    return re.compile("".join(made), re.DOTALL)


def _short(locale: str) -> str:
    """From "de_AT.UTF-8@euro" the "de"."""
    return re.split(r"[_.@]", locale.strip(), maxsplit=1)[0].lower()
