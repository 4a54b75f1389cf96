"""`python -m janusd.manual ROOT`: write docs/man of the repository at ROOT anew."""

from __future__ import annotations

import sys
from pathlib import Path

from janusd.cli.main import make_parser
from janusd.manual import commands, completion
from janusd.manual.pages import pages

FOLDER = Path("docs/man")


def written(root: Path) -> dict[str, str]:
    """What the files of docs/man are to say, by name."""
    made = {page.file: page.text() for page in pages(root)}
    program = commands.read(make_parser())
    shells = {"bash": completion.script, "zsh": completion.zsh, "fish": completion.fish}
    return made | {f"janusctl.{shell}": write(program) for shell, write in shells.items()}


def main() -> int:
    """Write them, and remove what is written no more."""
    root = Path(sys.argv[1])
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = written(root)
    for old in folder.iterdir():
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
