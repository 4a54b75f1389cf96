"""What may be a person's name, and when two names are the same."""

from __future__ import annotations

import unicodedata

from janusd.errors import EnrolmentRefused

MAX_CHARACTERS = 64

_INVISIBLE = frozenset(
    chr(code)
    for first, last in [
        (0x034F, 0x034F),  # combining grapheme joiner
        (0x115F, 0x1160),  # Hangul fillers: letters by category, blank to the eye
        (0x17B4, 0x17B5),  # Khmer inherent vowels
        (0x2800, 0x2800),  # blank Braille pattern
        (0x3164, 0x3164),
        (0xFFA0, 0xFFA0),
        (0x180B, 0x180F),  # Mongolian selectors
        (0xFE00, 0xFE0F),  # variation selectors: two names that look the same must be the same
        (0xE0100, 0xE01EF),
    ]
    for code in range(first, last + 1)
)


def check_name(name: str) -> str:
    """The name as it will be kept: NFC, without blanks around it.

    Raises EnrolmentRefused for a name that is empty, too long, or has characters that do not show: those
    would let one person pass for another on a screen, or forge a line in a log.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept:
        raise EnrolmentRefused("a person needs a name", "give 1 to 64 characters")
    if len(kept) > MAX_CHARACTERS:
        raise EnrolmentRefused(f"this name has {len(kept)} characters", f"give at most {MAX_CHARACTERS}")
    for character in kept:
        # isprintable: no control, format (bidi), surrogate, private or unassigned character, no blank but ' '
        if not character.isprintable() or character in _INVISIBLE:
            raise EnrolmentRefused(
                f"the name holds U+{ord(character):04X}, a character that does not show",
                "write it with letters, digits, punctuation and plain blanks",
            )
    if not any(character.isalnum() for character in kept):
        raise EnrolmentRefused("the name has no letter and no digit", "write a name that can be said")
    return kept


def name_key(name: str) -> str:
    """Equal for names that are the same person's: case, width and composition do not tell people apart.

    Unicode's NFKC_Casefold (UAX #31), without its removal of invisible characters: names have none.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
