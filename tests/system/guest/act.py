"""Does one thing to the guest and writes down when; or watches the lines and writes down what they do.

    act.py observe                       each change of relay, exit button, trigger and contact, until killed
    act.py say WHAT                      only write it down
    act.py show NAME                     let that person stand before the camera; "" for nobody
    act.py pull LINE 0|1                 pull an input, as a button does
    act.py press LINE                    pull it until the relay is released; exit status 1 when it is not
    act.py kill UNIT SIGNAL SECONDS      send a signal to the unit's main process, amid the next pulse;
                                         OOM: let the kernel kill it for want of memory
    act.py wait LINE LEVEL SECONDS       wait for a line's level; exit status 1 when it did not come
    act.py stays LINE LEVEL SECONDS      the same, but it must not change meanwhile
    act.py ready UNIT SECONDS            wait until the unit is active
    act.py restarted UNIT SECONDS        wait until systemd has begun to start it anew
    act.py fault SECONDS COMMAND         run it, wait until janusd tells of a fault, print how long that took
    act.py edges LINE TIMES              pull it for a moment, again and again: {"verdict": [s], "relay": [s]}
    act.py restarts UNIT TIMES           restart it, every second time by SIGKILL:
                                         {"edges": n, "ready_s": [s]}, n: changes of the relay, read as
                                         often as can be

Times are CLOCK_BOOTTIME, in /run/rig/timeline.jsonl: {"at_s": 12.3, "who": "relay", "what": "1"}; "=1" is the
level found when watching began. Of a unit's start it is systemd's own time, not when it was asked.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

TIMELINE = Path("/run/rig/timeline.jsonl")
LINES = {"relay": 17, "contact": 22, "trigger": 24, "exit button": 27}


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
                write(who, now if who in before else f"={now}")
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


def state() -> str:
    """What janusd says of itself; "" while it does not answer."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(5)
            sock.connect("/run/janus/control")
            sock.sendall(json.dumps({"method": "org.janusd.Door.GetStatus"}).encode() + b"\0")
            answer = b""
            while not answer.endswith(b"\0"):
                answer += sock.recv(65536) or b"\0"
        return str(json.loads(answer.rstrip(b"\0"))["parameters"]["status"]["state"])
    except (OSError, ValueError, KeyError):
        return ""


def fault(seconds: float, command: str) -> int:
    start_s = now_s()
    write("rig", command)
    subprocess.run(command, shell=True, check=True)
    while now_s() < start_s + seconds:
        if (said := state()).startswith("fault"):
            write("janusd", said)
            print(f"{now_s() - start_s:.3f}")
            return 0
        time.sleep(0.02)
    return 1


def edges(line: int, times: int) -> int:
    """A verdict counts as soon as `janusctl --json watch` has printed it."""
    verdicts: list[float] = []
    watch = subprocess.Popen(["janusctl", "--json", "watch"], stdout=subprocess.PIPE)

    def read() -> None:
        assert watch.stdout is not None
        for _ in watch.stdout:
            verdicts.append(now_s())

    threading.Thread(target=read, daemon=True).start()
    time.sleep(5)  # until it listens
    took: dict[str, list[float]] = {"verdict": [], "relay": []}
    for number in range(times):
        end_s = now_s() + 60
        while level(LINES["relay"]) or (verdicts and now_s() - verdicts[-1] < 1):
            if now_s() > end_s:  # it does not fall asleep
                return 1
            time.sleep(0.02)
        time.sleep(number / times / 8)  # at any moment between two frames
        at_s, before = now_s(), len(verdicts)
        (folder(line) / "pull").write_text("pull-up")
        while not level(LINES["relay"]) and now_s() < at_s + 15:
            if now_s() > at_s + 0.1:
                (folder(line) / "pull").write_text("pull-down")
            time.sleep(0.002)
        if level(LINES["relay"]):
            took["relay"].append(round(now_s() - at_s, 4))
        (folder(line) / "pull").write_text("pull-down")
        took["verdict"] += [round(verdicts[before] - at_s, 4)] if len(verdicts) > before else []
    watch.terminate()
    print(json.dumps(took))
    return 0


def restarts(unit: str, times: int) -> int:
    value, changes, ready_s = os.open(folder(LINES["relay"]) / "value", os.O_RDONLY), 0, []
    before = os.pread(value, 2, 0)
    for turn in range(times):
        subprocess.run(["systemctl", "reset-failed", unit], check=True)  # so many starts are no failure here
        pid = ask(unit, "MainPID")
        start_s = now_s()
        if turn % 2:
            os.kill(int(pid), signal.SIGKILL)
        how = ["systemctl", "restart", unit] if turn % 2 == 0 else ["sh", "-c", f"""
            while [ "$(systemctl show -P MainPID {unit})" = {pid} ] ||
                [ "$(systemctl show -P ActiveState {unit})" != active ]; do sleep .05; done"""]  # fmt: skip
        under_way = subprocess.Popen(how)
        while under_way.poll() is None:
            for _ in range(200):
                now = os.pread(value, 2, 0)
                changes, before = changes + (now != before), now
        if under_way.returncode:
            return 1
        ready_s.append(round(int(ask(unit, "ActiveEnterTimestampMonotonic")) / 1e6 - start_s, 3))
    print(json.dumps({"edges": changes, "ready_s": ready_s}))
    return 0


def main() -> int:
    verb, *rest = sys.argv[1:]
    TIMELINE.parent.mkdir(exist_ok=True)
    match verb:
        case "fault":
            return fault(float(rest[0]), rest[1])
        case "edges":
            return edges(int(rest[0]), int(rest[1]))
        case "restarts":
            return restarts(rest[0], int(rest[1]))
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
            end_s = now_s() + float(rest[2])
            while level(LINES["relay"]):  # a pulse that runs already may end too soon
                time.sleep(0.01)
            while not level(LINES["relay"]):
                if now_s() > end_s:
                    return 1
                time.sleep(0.01)
            time.sleep(0.2)
            pid = int(ask(rest[0], "MainPID"))  # now: it may have been started anew while we waited
            Path("/run/rig/killed").write_text(str(pid))
            at_s = now_s()
            if rest[1] == "OOM":
                Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
                Path("/proc/sysrq-trigger").write_text("f")
            else:
                os.kill(pid, getattr(signal, rest[1]))
            write("rig", f"{rest[1]} to {rest[0]}", at_s)
        case "wait" | "stays":
            return wait(int(rest[0]), int(rest[1]), float(rest[2]), stays=verb == "stays")
        case "restarted" | "ready":
            killed, end_s = Path("/run/rig/killed"), now_s() + float(rest[1])
            while now_s() < end_s:
                if verb == "ready" and ask(rest[0], "ActiveState") == "active":
                    write(rest[0], "ready", int(ask(rest[0], "ActiveEnterTimestampMonotonic")) / 1e6)
                    return 0
                if verb == "restarted" and ask(rest[0], "MainPID") not in (
                    "0",
                    killed.read_text() if killed.exists() else "",
                ):
                    at_us = int(ask(rest[0], "ExecMainStartTimestampMonotonic"))
                    write(rest[0], "started anew", at_us / 1e6)
                    return 0
                time.sleep(0.1)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
