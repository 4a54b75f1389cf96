"""The self-test itself: what it concludes. What a sandbox refuses is tried in the rig (tests/system)."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from janusd import selftest
from janusd.selftest import Check, Report, refused, works
from janusd.service import doctor


def fail(number: int) -> None:
    raise OSError(number, os.strerror(number))


def test_what_is_needed_has_to_work() -> None:
    assert works("a page", lambda: None).is_so
    broken = works("the camera", lambda: fail(errno.EACCES))
    assert not broken.is_so
    assert "Permission denied" in broken.detail


def test_what_is_refused_has_to_fail_and_where_it_matters_with_the_right_error() -> None:
    assert refused("exec", lambda: fail(errno.EACCES)) == Check("exec", "refused", True, "EACCES")
    assert not refused("exec", lambda: None).is_so
    assert refused("reboot", lambda: fail(errno.EPERM), errno.EPERM).is_so
    assert not refused(
        "reboot", lambda: fail(errno.EINVAL), errno.EPERM
    ).is_so  # it was allowed, and senseless


def test_a_report_says_what_is_wrong_and_survives_its_file() -> None:
    good, bad = (
        Check("exec: /bin/sh", "refused", True, "EACCES"),
        Check("network: AF_INET", "refused", False, ""),
    )
    report = Report((good, bad, Check("the camera", "works", False, "gone")))
    assert report.in_words == (
        "2 of 3 checks are not as they should be: network: AF_INET is allowed; the camera fails"
    )
    assert Report.from_json(report.to_json()) == report
    assert json.loads(report.to_json())["sandboxed"] is False
    assert Report((good,)).in_words == "1 of 1 checks in the unit's sandbox are as they should be"
    with pytest.raises(ValueError, match="no report"):
        Report.from_json('{"checks": [{"nonsense": 1}]}')


def test_root_is_sent_away_before_anything_is_tried(capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be refused")
    assert selftest.main([]) == 2
    assert "not as root" in capsys.readouterr().err


def test_nothing_heavy_is_loaded_for_it() -> None:
    program = "import sys, janusd.selftest; print(*sys.modules)"
    alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=alone
    ).stdout.split()
    assert not {"numpy", "cv2", "msgspec", "asyncio", "cryptography"} & set(loaded)


def test_doctor_shows_what_the_start_found_and_nothing_outside_of_a_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    assert list(doctor._sandbox()) == []
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert list(doctor._sandbox()) == []
    (tmp_path / selftest.NAME).write_text(Report((Check("exec: /bin/sh", "refused", False, ""),)).to_json())
    (finding,) = doctor._sandbox()
    assert (finding.check, finding.verdict) == ("sandbox", "warn")
    assert "exec: /bin/sh is allowed" in finding.detail


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ({}, {"camera /dev/media0", "the credential janus-key"}),
        ({"camera": {"driver": "opencv", "device": "/dev/video7"}}, {"camera /dev/video7"}),
        ({"camera": {"driver": "replay", "path": "/pictures"}}, {"the camera's pictures"}),
        ({"latch": {"driver": "latchd"}}, {"the latch's socket"}),
    ],
)
def test_what_is_needed_follows_the_configuration(config: dict[str, object], needed: set[str]) -> None:
    assert needed <= set(selftest.needs_of_janusd(config))
    assert "the latch's socket" in needed or "the latch's socket" not in selftest.needs_of_janusd(config)


def test_a_stream_needs_no_camera_of_the_board() -> None:
    config = {"camera": {"driver": "opencv", "device": "rtsp://garden.local/door"}}
    needs = selftest.needs_of_janusd(config)
    assert [name for name in needs if "camera" in name] == [
        "the network, for the camera", "network sockets, for the camera",
    ]  # fmt: skip


def test_only_what_was_chosen_may_reach_further(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("network: AF_INET", "network: AF_INET6", "network: AF_PACKET", "network: AF_NETLINK",
             "network: an interface other than lo", "device: /dev/bus/usb/001/004")  # fmt: skip
    monkeypatch.setattr(
        selftest, "_refusals", lambda part: (Check(name, "refused", False, "") for name in names)
    )

    def wanted_refused(config: dict[str, object]) -> list[str]:
        return [check.name for check in selftest.run("janusd", {}, selftest.lets_of_janusd(config)).checks]

    assert wanted_refused({"camera": {"driver": "opencv", "device": "/dev/video0"}}) == [*names]
    stream = {"camera": {"driver": "opencv", "device": "rtsp://10.0.0.7/door"}}
    assert wanted_refused(stream) == ["network: AF_PACKET", "network: AF_NETLINK", names[-1]]
    stick = {"model": {"delegate": "libedgetpu.so.1"}}
    assert "device: /dev/bus/usb/001/004" not in wanted_refused(stick)
    assert "network: AF_INET" in wanted_refused(stick)
