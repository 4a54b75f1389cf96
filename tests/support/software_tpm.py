"""swtpm, a TPM 2.0 in software: started in a folder, ended with the test. Skips where it is not installed."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def software_tpm(state: Path) -> Iterator[str]:
    """The path of its socket; what it keeps is in the folder, so the same TPM can be started again."""
    program = shutil.which("swtpm")
    if program is None:
        pytest.skip("needs swtpm: apt-get install swtpm")
    state.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="swtpm-") as folder:  # a socket's path must be short
        socket = Path(folder) / "tpm"
        command = [program, "socket", "--tpm2", "--tpmstate", f"dir={state}",
                   "--server", f"type=unixio,path={socket}",
                   "--ctrl", f"type=unixio,path={socket}.ctrl",  # for tpm2-tools
                   "--flags", "not-need-init,startup-clear"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tpm:
            try:
                until_s = time.monotonic() + 10
                while not socket.exists():
                    assert tpm.poll() is None, "swtpm did not start"
                    assert time.monotonic() < until_s
                    time.sleep(0.01)
                yield str(socket)
            finally:
                tpm.terminate()
