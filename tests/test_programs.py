"""A program of ours starts another, also from libraries that Python does not look for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import janusd
from janusd import programs


def test_a_child_runs_with_its_arguments() -> None:
    ran = subprocess.run(
        programs.command("janusd.main", "--version"), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"janusd {janusd.__version__}\n")


def test_a_child_finds_libraries_that_only_its_parent_knew_of(tmp_path: Path) -> None:
    """As in the Debian package: an isolated parent that added the folder by itself."""
    package = tmp_path / "lib" / "janusd"
    package.mkdir(parents=True)
    for name in ("__init__.py", "programs.py"):
        shutil.copy(Path(janusd.__file__).parent / name, package)
    (tmp_path / "lib" / "told.py").write_text("import janusd, sys\nprint(janusd.__file__, *sys.argv[1:])\n")
    parent = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'lib')!r}); import subprocess; "
        "from janusd import programs; subprocess.run(programs.command('told', 'a b'), check=True)"
    )
    uncounted = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    ran = subprocess.run(
        [sys.executable, "-I", "-c", parent], env=uncounted, capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"{tmp_path / 'lib' / 'janusd' / '__init__.py'} a b\n"
