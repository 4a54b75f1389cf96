"""A kernel of its own for a test: User Mode Linux, whose first process is a program of ours.

It needs a kernel and its modules in the folder $JANUS_RIG, or those of `make rig-kernel`. The kernel sees
this machine's files, read-only, but for /tmp, which is its own. What the program says comes back:
each line it prints that begins with "JANUS " is a JSON object (`first_process.say`).
"""

from __future__ import annotations

import json
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RIG = Path(os.environ.get("JANUS_RIG", ROOT / "build" / "rig" / "kernel"))
KERNEL, MODULES = RIG / "linux.uml.xz", next(RIG.glob("uml-modules-*.tar.xz"), RIG / "none")
PATIENCE_S = 500
COMMAND_LINE = [
    "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet", "con=null", "con0=fd:0,fd:1",
    "console=tty0",
]  # fmt: skip

needs_kernel = pytest.mark.skipif(
    not (KERNEL.exists() and MODULES.exists()) or platform.machine() != "x86_64" or os.geteuid() != 0,
    reason="needs root, x86-64, and a kernel with its modules in $JANUS_RIG",
)


def boot(program: Path, modules: Sequence[str], *, memory_mb: int) -> list[dict[str, Any]]:
    """Run a program as the first process, and give what it said; `first_process.modules` are these."""
    outside = Path("/var/tmp") / f"janus-{program.stem}-{os.getpid()}"  # /tmp is covered inside
    outside.mkdir()
    try:
        kernel, start = outside / "linux", outside / "init"
        kernel.write_bytes(lzma.decompress(KERNEL.read_bytes()))
        start.write_text(f"#!/bin/sh\nexec {sys.executable} -B {program}\n")
        for file in (kernel, start):
            file.chmod(0o755)
        paths = [_unpacked(name, outside) for name in modules]
        words = [f"mem={memory_mb}M", f"umid={outside.name}", f"uml_dir={outside}/", f"init={start}"]
        done = subprocess.run(
            [kernel, *COMMAND_LINE, *words, f"janus_modules={','.join(map(str, paths))}"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", cwd=outside,
            env={**os.environ, "HOME": str(outside)}, timeout=PATIENCE_S, check=False,
        )  # fmt: skip
    finally:
        shutil.rmtree(outside)
    said = [json.loads(line.partition("JANUS ")[2]) for line in done.stdout.splitlines() if "JANUS {" in line]
    assert said, done.stdout[-3000:] + done.stderr[-3000:]
    return said


def _unpacked(name: str, folder: Path) -> Path:
    with tarfile.open(MODULES) as modules:
        member = next(path for path in sorted(modules.getnames()) if path.endswith(f"/{name}.ko"))
        found = modules.extractfile(member)
        assert found is not None
        (folder / f"{name}.ko").write_bytes(found.read())
    return folder / f"{name}.ko"
