"""Does one thing to the guest and writes down when; or watches the lines and writes down what they do.

    act.py observe                       each change of relay, exit button and contact, until killed
    act.py say WHAT                      only write it down
    act.py show NAME                     let that person stand before the camera; "" for nobody
    act.py pull LINE 0|1                 pull an input, as a button does
    act.py press LINE                    pull it until the relay is released; exit status 1 when it is not
    act.py kill UNIT SIGNAL SECONDS      send a signal to the unit's main process, amid the next pulse
    act.py wait LINE LEVEL SECONDS       wait for a line's level; exit status 1 when it did not come
    act.py stays LINE LEVEL SECONDS      the same, but it must not change meanwhile
    act.py ready UNIT SECONDS            wait until the unit is active
    act.py restarted UNIT SECONDS        wait until systemd has begun to start it anew

Times are CLOCK_BOOTTIME, in /run/rig/timeline.jsonl: {"at_s": 12.3, "who": "relay", "what": "1"}
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

TIMELINE = Path("/run/rig/timeline.jsonl")
LINES = {"relay": 17, "contact": 22, "exit button": 27}


def now_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def write(who: str, what: str, at_s: float | None = None) -> None:
    line = json.dumps({"at_s": round(now_s() if at_s is None else at_s, 4), "who": who, "what": what})
    with TIMELINE.open("a") as file:
        file.write(line + "\n")


def folder(line: int) -> Path:
    return next(Path("/sys/devices/platform/gpio-sim.0").glob(f"gpiochip*/sim_gpio{line}"))


def level(line: int) -> int:
    return int((folder(line) / "value").read_text())


def ask(unit: str, what: str) -> str:
    said = subprocess.run(["systemctl", "show", "-P", what, unit], capture_output=True, text=True, check=True)
    return said.stdout.strip()


def observe() -> None:
    files = {who: os.open(folder(line) / "value", os.O_RDONLY) for who, line in LINES.items()}
    before: dict[str, str] = {}
    while True:
        for who, file in files.items():
            now = os.pread(file, 2, 0).decode().strip()
            if before.get(who) != now:
                write(who, now)
                before[who] = now
        time.sleep(0.004)


def wait(line: int, wanted: int, seconds: float, *, stays: bool = False) -> int:
    end_s = now_s() + seconds
    while now_s() < end_s:
        if (level(line) == wanted) is not stays:
            print(f"{seconds - end_s + now_s():.2f}")
            return int(stays)
        time.sleep(0.01)
    return int(not stays)


def main() -> int:
    verb, *rest = sys.argv[1:]
    TIMELINE.parent.mkdir(exist_ok=True)
    match verb:
        case "observe":
            observe()
        case "say":
            write("rig", " ".join(rest))
        case "show":
            write("street", rest[0] or "nobody")
            Path("/run/rig/show").write_text(rest[0])
        case "pull":
            (folder(int(rest[0])) / "pull").write_text("pull-up" if rest[1] == "1" else "pull-down")
        case "press":
            (folder(int(rest[0])) / "pull").write_text("pull-up")
            failed = wait(LINES["relay"], 1, 10)
            (folder(int(rest[0])) / "pull").write_text("pull-down")
            return failed
        case "kill":
            pid, end_s = int(ask(rest[0], "MainPID")), now_s() + float(rest[2])
            Path("/run/rig/killed").write_text(str(pid))
            while level(LINES["relay"]):  # a pulse that runs already may end too soon
                time.sleep(0.01)
            while not level(LINES["relay"]):
                if now_s() > end_s:
                    return 1
                time.sleep(0.01)
            time.sleep(0.3)
            at_s = now_s()
            os.kill(pid, getattr(signal, rest[1]))
            write("rig", f"{rest[1]} to {rest[0]}", at_s)
        case "wait" | "stays":
            return wait(int(rest[0]), int(rest[1]), float(rest[2]), stays=verb == "stays")
        case "restarted" | "ready":
            killed, end_s = Path("/run/rig/killed"), now_s() + float(rest[1])
            while now_s() < end_s:
                if verb == "ready" and ask(rest[0], "ActiveState") == "active":
                    write(rest[0], "ready")
                    return 0
                if verb == "restarted" and ask(rest[0], "MainPID") not in (
                    "0",
                    killed.read_text() if killed.exists() else "",
                ):
                    write(rest[0], "started anew")
                    return 0
                time.sleep(0.1)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
