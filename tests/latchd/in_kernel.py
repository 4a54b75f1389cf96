"""Runs as the first process of a small kernel that has gpio-sim: the kill tests on real GPIO lines.

`test_kernel.py` boots it; every line it prints that begins with "JANUS " is a JSON object.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

OWNER = """
import gpiod, sys, time
held = gpiod.request_lines(sys.argv[1], config={17: None})
print(flush=True)
time.sleep(60)
"""
CONFIGFS = Path("/sys/kernel/config/gpio-sim/rig")
LIBC = ctypes.CDLL(None, use_errno=True)
FINIT_MODULE, DELETE_MODULE = 313, 176  # x86-64


def say(**what: object) -> None:
    print("JANUS " + json.dumps(what), flush=True)


def mount(kind: str, where: str) -> None:
    if LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"mount {where}")


def make_chip(module: str, persists: bool) -> tuple[str, Path]:
    with open(module, "rb") as file:  # noqa: PTH123 - no insmod is needed
        if LIBC.syscall(FINIT_MODULE, file.fileno(), f"persist={int(persists)}".encode(), 0):
            raise OSError(ctypes.get_errno(), f"{module} cannot be loaded")
    bank = CONFIGFS / "bank0"
    bank.mkdir(parents=True)
    (bank / "num_lines").write_text("32")
    (bank / "label").write_text("rig-gpio")
    for line in range(32):
        (bank / f"line{line}").mkdir()
        (bank / f"line{line}" / "name").write_text(f"GPIO{line}")
    (CONFIGFS / "live").write_text("1")
    name = (bank / "chip_name").read_text().strip()
    device = (CONFIGFS / "dev_name").read_text().strip()
    return f"/dev/{name}", Path("/sys/devices/platform") / device / name


def remove_chip() -> None:
    (CONFIGFS / "live").write_text("0")
    for line in range(32):
        (CONFIGFS / "bank0" / f"line{line}").rmdir()
    (CONFIGFS / "bank0").rmdir()
    CONFIGFS.rmdir()
    LIBC.syscall(DELETE_MODULE, b"gpio_sim", 0)


def on_real_lines(module: str, persists: bool) -> None:
    from latch_kit import DOOR, RELAY, REX, Rig, SimChip, kill_times, until  # noqa: PLC0415 - after the mounts

    device, folder = make_chip(module, persists)
    chip = SimChip(device, folder)
    home = Path(f"/tmp/rig{int(persists)}")
    home.mkdir()
    named = DOOR.replace("heartbeat_s = 5", "heartbeat_s = 2").replace(
        f"relay = {RELAY}", f'relay = "GPIO{RELAY}"'
    )
    rig = Rig(home, chip, door=named)
    rig.config.write_text(rig.config.read_text().replace(device, "label:rig-gpio"))
    try:
        say(persists=persists, kill_times=kill_times(rig))
        ready_s = rig.start()
        assert rig.process is not None
        status = Path(f"/proc/{rig.process.pid}/status").read_text()
        say(ready_s=ready_s, resident_kb=int(status.partition("VmRSS:")[2].split()[0]))

        # A bounce shorter than the kernel's debounce is no press; a press opens, with nobody connected.
        chip.pull(REX, 1)
        chip.pull(REX, 0)
        time.sleep(0.2)
        bounced = chip.level(RELAY)
        chip.pull(REX, 1)
        pressed_s = until(lambda: chip.level(RELAY) == 1)
        chip.pull(REX, 0)
        say(bounce_opens=bounced, press_opens_after_s=pressed_s)

        # Edges of the relay over restarts: a line that persists must not blink.
        rig.end()
        rig.lock_now()
        levels = set()
        for _ in range(3):
            rig.start()
            levels.add(chip.level(RELAY))
            rig.end()
            levels.add(chip.level(RELAY))
        say(levels_over_restarts=sorted(levels))
        owner = subprocess.Popen([sys.executable, "-c", OWNER, device], stdout=subprocess.PIPE)
        assert owner.stdout is not None
        owner.stdout.readline()
        rig.start()
        say(contended=rig.log.read_text().splitlines()[-1])
        owner.kill()
        owner.communicate()
        rig.latch().release(1, "matched")
        say(after_contention=chip.level(RELAY))
    finally:
        rig.close()
        remove_chip()


def main() -> None:
    for kind, where in (("proc", "/proc"), ("sysfs", "/sys"), ("configfs", "/sys/kernel/config"),
                        ("tmpfs", "/tmp"), ("tmpfs", "/run")):  # fmt: skip
        mount(kind, where)
    os.environ.setdefault("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    say(kernel=os.uname().release)
    module = next(
        word for word in Path("/proc/cmdline").read_text().split() if word.startswith("janus_module=")
    )
    for persists in (False, True):
        on_real_lines(module.partition("=")[2], persists)
    say(done=True)


if __name__ == "__main__":
    try:
        main()
    except BaseException:  # noqa: BLE001 - the first process of a kernel has nobody else to tell
        say(error=traceback.format_exc())
    finally:
        Path("/proc/sysrq-trigger").write_text("o")
        time.sleep(10)
