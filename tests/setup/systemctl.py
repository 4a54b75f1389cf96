"""Stands in for systemctl: `systemctl.py ROOT VERB UNIT`. Units are files that say "enabled active" and
so on.

With ROOT/units/real the real daemons are started, on the device's folder chip; standard library only.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

root, verb, unit = Path(sys.argv[1]), sys.argv[2], sys.argv[-1]
file = root / "units" / unit
with (root / "units/log").open("a") as log:
    log.write(f"{verb} {unit}\n")
if verb == "daemon-reload":
    sys.exit(0)
if not file.exists():
    print("LoadState=not-found\nUnitFileState=\nActiveState=inactive")
    sys.exit(0 if verb == "show" else 5)
enabled, active = file.read_text().split()
if (root / "units/broken").exists() and verb in ("start", "restart"):
    sys.exit(f"Job for {unit} failed.")


def stop() -> None:
    pid = root / "units" / f"{unit}.pid"
    if pid.exists():
        os.kill(int(pid.read_text()), signal.SIGTERM)
        while Path(f"/proc/{pid.read_text()}/stat").exists():
            if Path(f"/proc/{pid.read_text()}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.02)
        pid.unlink()


def start() -> None:
    if not (root / "units/real").exists() or unit.endswith(".socket"):
        return
    config = root / "etc/janus" / ("janus.toml" if unit == "janusd.service" else "latch.toml")
    module = ["janusd.main", "--config"]
    if unit != "janusd.service":
        module = ["janusd_hw.fake_gpiod", str(root / "dev/gpiochip0"), "falls", "janus-latchd"]
    with (root / "units" / f"{unit}.log").open("ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", *module, str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    (root / "units" / f"{unit}.pid").write_text(str(child.pid))


match verb:
    case "show":
        print(f"LoadState=loaded\nUnitFileState={enabled}\nActiveState={active}")
    case "enable" | "disable":
        file.write_text(f"{verb}d {active}")
    case "start" | "restart" | "stop":
        if verb != "start":
            stop()
        if verb == "restart" or (verb == "start" and active != "active"):
            start()
        file.write_text(f"{enabled} {'inactive' if verb == 'stop' else 'active'}")
