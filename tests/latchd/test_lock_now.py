"""janus-lock-now from the command line; what it drives is tested with the process it follows."""

from __future__ import annotations

import pytest

from janusd_hw.latchd import lock_now


@pytest.mark.parametrize("flag", ["-h", "--help", "--version"])
def test_whoever_asks_what_it_is_drives_no_lock(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    driven = []
    assert lock_now.main([flag], lambda *line: driven.append(line)) == 0
    assert capsys.readouterr().out.startswith("usage: janus-lock-now [STATE]")
    assert not driven
