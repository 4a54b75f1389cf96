"""What a folder of costly things was made from, noted beside them.

Scenes and presentations are drawn by number from a seed and a library, and what is there already is not made
again. Asked for with another seed or another library, a folder must not give what it has.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from janusd_export.errors import ExportError


def note_origin(note: Path, made_from: Mapping[str, object]) -> None:
    """Write the note, or raise ExportError if it says that something else was used.

    A folder without a note is new, or of a time before there were any: it is believed.
    """
    try:
        if not note.exists():
            note.parent.mkdir(parents=True, exist_ok=True)
            beside = note.with_suffix(".new")
            beside.write_text(json.dumps(made_from) + "\n", encoding="utf-8")
            beside.replace(note)
        noted = json.loads(note.read_text(encoding="utf-8"))
        others = [what for what, value in made_from.items() if noted[what] != value]
    except OSError as error:
        raise ExportError(f"{note}: {error.strerror or error}: make room, then run it again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{note} is damaged ({error!r}): empty {note.parent}, or give another") from error
    if others:
        raise ExportError(
            f"{note.parent} was made from another {' and another '.join(others)}: empty it, or give another"
        )
