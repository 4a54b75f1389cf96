"""What the doctor says of a pair of cameras, and the lamp that is kept lit: fakes that remember.

Not tested here: a real infrared camera, whose exposure follows the light, and a real lamp.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from janusd import config
from janusd.config import CameraSection, Config
from janusd.core.types import Frame
from janusd.door import Finding
from janusd.errors import CameraError, ConfigError
from janusd.main import _pair, open_camera
from janusd_hw import pair_check
from janusd_hw.camera_fake import FakeCamera
from janusd_hw.camera_pair import PairCamera
from janusd_hw.clock import boottime_s
from janusd_hw.fake_gpiod import FakeChip
from janusd_hw.latch_remote import RemoteLatch
from janusd_hw.nir_lamp import LAMP, NirLamp, makes_light
from janusd_hw.pair_check import PairSeen


class Latchd:
    """As much of a `RemoteLatch` as a lamp needs; it remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, float]] = []
        self._until_s = 0.0

    def indicate(self, lamp: str, seconds: float) -> None:
        self.told.append((lamp, seconds))
        self._until_s = time.monotonic() + seconds

    def is_lit(self) -> bool:
        return time.monotonic() < self._until_s


@contextmanager
def running(infrared: FakeCamera, lamp: NirLamp | None = None) -> Iterator[PairSeen]:
    """A pair whose frames are taken on a thread, as the door takes them, for long enough to be judged."""
    pair = PairCamera(FakeCamera(), infrared, seen=(seen := PairSeen()), lamp=lamp)

    def take() -> None:
        try:
            for _ in pair.frames():
                pass
        except CameraError:
            pass

    thread = threading.Thread(target=take)
    thread.start()
    try:
        wait_until(lambda: None not in (seen.standing(0).colour_age_s, seen.standing(0).infrared_age_s))
        time.sleep(0.5)
        yield seen
    finally:
        pair.close()
        thread.join(5)


def found(seen: PairSeen, lamp: NirLamp | None = None, *, asked: bool = True) -> dict[str, Finding]:
    made = pair_check.findings(seen, identity=("NoIR @ 1", "NoIR @ 1"), is_asked=asked, lamp=lamp)
    return {finding.check: finding for finding in made}


def frame(at_s: float, level: int = 90) -> Frame:
    return Frame(np.full((16, 16, 3), level, np.uint8), at_s, 0)


def test_a_pair_with_a_lamp_that_lights_is_well_in_every_way() -> None:
    latchd, lamp = Latchd(), NirLamp()
    lamp.indicate = latchd.indicate
    with running(FakeCamera(lit_by=latchd.is_lit), lamp) as seen:
        said = {check: finding.verdict for check, finding in found(seen, lamp).items()}
        assert said.pop("nir skew") != "fail"  # on a busy machine few frames have a partner: "warn"
        assert said == dict.fromkeys(["nir camera", "nir frames", "nir lamp", "nir use"], "ok")
        time.sleep(0.2)
        assert latchd.is_lit()  # again, after the dark half second of the check
    assert latchd.told[-1] == (LAMP, 0.001)  # nobody takes frames any more


def test_a_lamp_that_lights_nothing_is_found_out_and_both_levels_are_said() -> None:
    latchd, lamp = Latchd(), NirLamp()
    lamp.indicate = latchd.indicate
    with running(FakeCamera(lit_by=lambda: True), lamp) as seen:  # whatever the lamp does, as at noon
        said = found(seen, lamp)["nir lamp"]
    assert said.verdict == "fail"
    assert "with it" in said.detail
    assert "led_nir in latch.toml" in said.remedy
    assert "at dusk" in said.remedy


def test_a_lamp_that_burns_by_itself_is_judged_by_how_dark_it_is() -> None:
    for is_lit, verdict in ((True, "ok"), (False, "warn")):
        with running(FakeCamera(lit_by=lambda is_lit=is_lit: is_lit)) as seen:  # type: ignore[misc]  # mypy: default
            assert found(seen)["nir lamp"].verdict == verdict


def test_a_second_camera_that_stopped_is_named() -> None:
    seen, now_s = PairSeen(), boottime_s()
    seen.infrared(frame(now_s - 9))
    seen.colour(frame(now_s - 0.1), is_partnered=False)
    said = found(seen)["nir frames"]
    assert (said.verdict, said.detail) == ("fail", "the last frame is old: infrared 9.0 s ago")
    assert "cable" in said.remedy


def test_a_second_camera_that_never_gave_a_frame_is_named() -> None:
    seen = PairSeen()
    seen.colour(frame(boottime_s()), is_partnered=False)
    said = found(seen)
    assert said["nir frames"].detail == "no frame of the infrared camera yet"
    assert said["nir skew"].verdict == said["nir lamp"].verdict == "warn"


@pytest.mark.parametrize(
    ("offset_s", "alone", "verdict", "said"),
    [
        (0.01, 0, "ok", "100 % of the frames have a partner, 10 ms apart"),
        (0.01, 5, "warn", "50 % of the frames have a partner"),
        (0.3, 10, "fail", "the cameras' frames are 300 ms apart, 40 are allowed"),
        (-0.3, 10, "fail", "the cameras' frames are 300 ms apart, 40 are allowed"),
    ],
)
def test_clocks_that_do_not_agree_are_said_in_milliseconds(
    offset_s: float, alone: int, verdict: str, said: str
) -> None:
    seen, now_s = PairSeen(), boottime_s()
    for number in range(10):
        at_s = now_s - 1.0 + 0.1 * number
        if not number or abs(offset_s) < 0.1:
            seen.infrared(frame(at_s - offset_s))
        seen.colour(frame(now_s - 1.0 if abs(offset_s) > 0.1 else at_s), is_partnered=number >= alone)
    finding = found(seen)["nir skew"]
    assert finding.verdict == verdict
    assert said in finding.detail


@pytest.mark.parametrize(
    ("identity", "verdict", "said"),
    [
        (("", "NoIR @ 1"), "fail", "the second camera is not there"),
        (("NoIR @ 1", ""), "warn", "any other is accepted too"),
        (("Webcam @ 2", "NoIR @ 1"), "fail", "Webcam @ 2; set up for NoIR @ 1"),
    ],
)
def test_a_second_camera_is_bound_like_the_first(identity: tuple[str, str], verdict: str, said: str) -> None:
    (finding, *_) = pair_check.findings(PairSeen(), identity=identity, is_asked=True, lamp=None)
    assert (finding.check, finding.verdict) == ("nir camera", verdict)
    assert said in finding.detail
    assert "nir_" in finding.remedy


def test_a_pair_that_refuses_nobody_is_told() -> None:
    said = found(PairSeen(), asked=False)["nir use"]
    assert said.verdict == "warn"
    assert "attack.nir = true" in said.remedy


def test_latchd_is_told_once_a_second_and_not_at_all_while_the_lamp_is_darkened() -> None:
    latchd, lamp = Latchd(), NirLamp()
    lamp.keep(0.0)  # without a latch it is quiet
    lamp.indicate = latchd.indicate
    for at_s in np.arange(2.0, 4.0, 0.05):
        lamp.keep(float(at_s))
    assert latchd.told == [(LAMP, 3.0)] * 2
    with lamp.darkened():
        lamp.keep(9.0)
        assert latchd.told[2:] == [(LAMP, 0.001)]
    lamp.keep(9.1)
    assert latchd.is_lit()
    assert makes_light(40, 30)
    assert not makes_light(31, 30)


def test_the_lamp_of_a_real_latchd_is_lit_and_goes_out_when_its_client_is_gone(tmp_path: Path) -> None:
    chip, path = FakeChip(tmp_path / "chip", "falls"), tmp_path / "latch.toml"
    path.write_text(
        f'user = "{pwd.getpwuid(os.geteuid()).pw_name}"\nsocket = "{tmp_path}/sock"\n'
        f'state = "{tmp_path}/locked"\n[door.front]\nrelay = 17\nled_nir = 13\n'
    )
    command = [sys.executable, "-m", "janusd_hw.fake_gpiod", str(chip.folder), "falls", "janus-latchd"]
    latchd = subprocess.Popen([*command, str(path)], stderr=subprocess.DEVNULL)
    latch = RemoteLatch(str(tmp_path / "sock"), "front", answer_s=20)
    try:
        assert latch.wait_until_ready(20), latch.fault
        lamp = NirLamp()
        lamp.indicate = latch.indicate
        lamp.keep(1.0)
        wait_until(lambda: chip.level(13) == 1)
        with lamp.darkened():
            wait_until(lambda: chip.level(13) == 0)
        lamp.keep(2.0)
        wait_until(lambda: chip.level(13) == 1)
        latch.close()
        wait_until(lambda: chip.level(13) == 0, within_s=2.0)  # sooner than the three seconds it was asked
        assert chip.level(17) == 0
    finally:
        latch.close()
        latchd.terminate()
        latchd.wait(20)


def wait_until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_the_doctor_speaks_of_a_pair_only_where_there_is_one(tmp_path: Path) -> None:
    assert _pair(Config(), PairSeen(), None) == []
    for name in ("colour", "infrared"):
        (tmp_path / name).mkdir()
        for number in range(8):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((24, 32, 3), 60 + number, np.uint8))
    section = CameraSection(
        driver="replay", path=str(tmp_path / "colour"), nir_device=str(tmp_path / "infrared"), fps=8
    )
    seen = PairSeen()
    assert list(open_camera(section, seen).frames())
    said = {finding.check: finding.verdict for finding in _pair(Config(camera=section), seen, None)}
    assert said == {"nir frames": "ok", "nir skew": "ok", "nir lamp": "ok", "nir use": "warn"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[attack]\nnir = true", "attack.nir: needs a second camera"),
        ('[camera]\nnir_lamp = "latchd"', 'needs latch.driver = "latchd"'),
    ],
)
def test_a_pair_that_cannot_work_is_refused_by_the_configuration(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace(".", r"\.")):
        config.parse(text)
