"""Runs as the first process of a small kernel that has gpio-sim: the kill tests on real GPIO lines.

`test_kernel.py` boots it; every line it prints that begins with "JANUS " is a JSON object.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from support.first_process import insert, modules, remove, run, say  # noqa: E402 - likewise a program, no package

OWNER = """
import gpiod, sys, time
held = gpiod.request_lines(sys.argv[1], config={17: None})
print(flush=True)
time.sleep(60)
"""
CONFIGFS = Path("/sys/kernel/config/gpio-sim/rig")


def make_chip(module: str, persists: bool) -> tuple[str, Path]:
    insert(module, f"persist={int(persists)}")
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
    remove("gpio_sim")


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
        ready_s = [rig.start() + 0 * rig.end() for _ in range(20)]
        rig.start()
        assert rig.process is not None
        status = Path(f"/proc/{rig.process.pid}/status").read_text()
        say(ready_s=ready_s, resident_kb=int(status.partition("VmRSS:")[2].split()[0]))

        # A bounce shorter than the kernel's debounce is no press; a press opens, with nobody connected.
        bounced_s = 1.0
        while bounced_s > 0.01:  # on a busy machine a bounce may last as long as a press
            until(lambda: chip.level(RELAY) == 0)
            start_s = time.monotonic()
            chip.pull(REX, 1)
            chip.pull(REX, 0)
            bounced_s = time.monotonic() - start_s
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
    (module,) = modules()
    for persists in (False, True):
        on_real_lines(module, persists)


if __name__ == "__main__":
    run(main, [("configfs", "/sys/kernel/config")])
