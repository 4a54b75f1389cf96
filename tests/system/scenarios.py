"""What happens at the door of the rig: each scenario plays, asserts, and returns its figures.

A figure has a name that says what it is, with its unit; the table at the end of a run shows them all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from machine import Guest
from timeline import Moment

RELAY, EXIT, PIR = 17, 27, 24
HOLD_S = 3.0
"""latch.hold_s of guest/janus.toml."""
RESTARTS = int(os.environ.get("RIG_RESTARTS", "100"))
EDGES = 20
SETTINGS = "/etc/janus/janus.toml"
ASKED_S = {"SIGKILL": 1.0, "SIGSEGV": 1.0, "OOM": 1.0, "SIGSTOP": HOLD_S + 0.1}
"""Within what time after it the relay is to be locked: a hang ends with the pulse at the latest."""
BUSY_S = float(os.environ.get("RIG_BUSY_S", "1"))
"""What a busy machine may add to that before a scenario fails."""

Figures: TypeAlias = dict[str, Any]


def ready_after_boot_s(guest: Guest) -> float:
    """When janusd became ready, in seconds since the kernel started."""
    return round(int(guest.ask("systemctl show -P ActiveEnterTimestampMonotonic janusd")) / 1e6, 1)


def _opens_for_ada(guest: Guest) -> None:
    guest.act("wait", str(RELAY), "0", "30")
    guest.act("show", "ada")
    guest.act("wait", str(RELAY), "1", "90")
    guest.act("show", "")
    guest.act("wait", str(RELAY), "0", "30")


def _are_there(guest: Guest, *names: str) -> None:
    people = guest.ask("janusctl people")
    assert not [name for name in names if name not in people], f"acknowledged, and gone: {people}"


def _short(unit: str) -> str:
    return unit.removeprefix("janus-")


@contextmanager
def _set(guest: Guest, edit: str) -> Iterator[None]:
    """janus.toml as that command leaves it; afterwards janusd starts anew with what it was."""
    guest.run(f"cp {SETTINGS} /root/ && {edit}")
    try:
        yield
    finally:
        guest.act("show", "")
        guest.run(
            f"cp /root/janus.toml {SETTINGS}; systemctl stop janusd janus-alarm@janusd;"
            " systemctl daemon-reload; systemctl reset-failed janusd; systemctl start --no-block janusd",
            timeout_s=200,
        )
    guest.act("ready", "janusd", "120")


@contextmanager
def _set_up_anew(guest: Guest, source: str = "credential") -> Iterator[float]:
    """A device that `janusctl setup` has set up, from a file of answers, in that many seconds.

    What was there before comes back afterwards.
    """
    guest.run(AWAY)
    try:
        guest.run(CAMERA_ONLY)
        guest.run(f"sed 's/source = .*/source = \"{source}\"/' /rig/door.toml > /run/rig/door.toml")
        guest.act("show", "ada")
        start_s = time.monotonic()
        said = guest.ask("cd /rig && janusctl setup --answers /run/rig/door.toml 2>&1", timeout_s=600)
        took_s = time.monotonic() - start_s
        guest.act("show", "")
        guest.act("say", "setup has ended")
        assert "The door opened for a face" in said, said
        guest.act("wait", str(RELAY), "0", "30")
        yield took_s
    finally:
        guest.act("show", "")
        guest.run(BACK)
    guest.act("ready", "janusd", "120")


def _last_pulse(timeline: list[Moment]) -> float:
    relay = [moment for moment in timeline if moment.who == "relay"]
    down = relay[-1]
    up = [moment for moment in relay if moment.what == "1" and moment.at_s < down.at_s][-1]
    return down.at_s - up.at_s


def right_face(guest: Guest) -> Figures:
    """Ada stands before the camera: the relay goes high, and low again by itself."""
    guest.act("show", "ada")
    guest.act("wait", str(RELAY), "1", "60")
    guest.act("wait", str(RELAY), "0", "30")
    held_s = _last_pulse(guest.timeline())
    guest.act("show", "")
    guest.act("wait", str(RELAY), "0", "30")
    assert HOLD_S - 0.1 <= held_s <= 10.5, (
        f"the relay was high for {held_s:.2f} s"
    )  # retriggered while she stands there
    return {
        f"relay high for a face, s (latch.hold_s = {HOLD_S:g}, or again and again up to 10)": round(held_s, 2)
    }


def wrong_face(guest: Guest) -> Figures:
    """A stranger stands there for 15 seconds: the relay does not move."""
    guest.act("show", "stranger")
    guest.act("stays", str(RELAY), "0", "15")
    said = guest.ask("janusctl --json log --limit 20", check=False)
    guest.act("show", "")
    assert '"unknown"' in said or "unknown" in said.lower(), f"the stranger was not even looked at: {said}"
    return {"a stranger stood there, s": 15}


def exit_button(guest: Guest) -> Figures:
    """The exit button opens while janusd is stopped."""
    guest.run("systemctl stop janusd")
    guest.act("say", "janusd is stopped; the exit button is pressed")
    guest.act("press", str(EXIT))
    guest.act("wait", str(RELAY), "0", "10")
    guest.run("systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    return {
        "relay high for the exit button without janusd, s (rex_hold_s = 2)": round(
            _last_pulse(guest.timeline()), 2
        )
    }


def kill(unit: str, signal: str) -> Callable[[Guest], Figures]:
    """Whoever dies or hangs in mid-pulse: the relay is locked soon, and the unit comes back."""

    def play(guest: Guest) -> Figures:
        guest.act("ready", unit, "120")
        start_s = guest.ask("date +%s")
        guest.act("show", "ada")
        guest.act("kill", unit, signal, "90")
        guest.act("wait", str(RELAY), "0", "30")
        guest.act("restarted", unit, "60")
        guest.act("ready", unit, "120")
        back_s = int(guest.ask(f"systemctl show -P ActiveEnterTimestampMonotonic {unit}")) / 1e6
        guest.act("show", "")
        timeline = guest.timeline()
        killed_s = max(moment.at_s for moment in timeline if moment.what == f"{signal} to {unit}")
        locked_s = min(m.at_s for m in timeline if m.who == "relay" and m.what == "0" and m.at_s >= killed_s)
        assert back_s > killed_s, f"{unit} did not die of {signal}"
        # Ada was there still when the unit came back: that pulse may end.
        guest.act("wait", str(RELAY), "0", "30")
        guest.act("stays", str(RELAY), "0", "2")
        alarms = guest.ask(f"journalctl -b -t janus-alarm -o cat --since=@{start_s}")
        assert not alarms, f"one failure raised an alarm: {alarms}"
        took_s, asked_s = locked_s - killed_s, ASKED_S[signal]
        assert took_s <= asked_s + BUSY_S, f"locked only after {took_s:.2f} s"
        return {
            f"{_short(unit)} {signal}: relay locked after, s ({asked_s:g} asked)": round(took_s, 3),
            f"{_short(unit)} {signal}: READY again after, s": round(back_s - killed_s, 1),
        }

    play.__doc__ = f"{signal} to {unit} in mid-pulse."
    return play


def mqtt(guest: Guest) -> Figures:
    """janus-mqtt in its sandbox tells a broker that Ada came in; what is said at the broker opens nothing."""
    guest.run(f"systemctl start mosquitto; printf '{MQTT}' > /etc/janus/mqtt.toml")
    guest.run(f"systemd-run --quiet --unit=rig-broker sh -c '{LISTENS}'")
    try:
        with _set(guest, f"printf '{OBSERVED}' >> {SETTINGS}"):
            guest.run("systemctl restart janusd; systemctl start janus-mqtt", timeout_s=200)
            guest.act("ready", "janusd", "120")
            guest.run(CONNECTED)
            start_s = float(guest.ask("cut -d' ' -f1 /proc/uptime"))
            _opens_for_ada(guest)
            guest.run(SPOOFED)
            guest.act("say", "UNLOCK is said at the broker, on every topic of the door")
            guest.act("stays", str(RELAY), "0", "5")
            score = guest.ask("systemd-analyze security --no-pager janus-mqtt.service | tail -1")
            heard = [line.split(" ", 2) for line in guest.ask("cat /run/rig/heard").splitlines()]
            to_boottime_s = float(guest.ask(f"python3 -c '{OFFSET}'"))
    finally:
        guest.run("systemctl stop janus-mqtt rig-broker mosquitto; rm -f /etc/janus/mqtt.toml", check=False)
    assert any(topic.startswith("homeassistant/") for _, topic, _ in heard), heard
    granted = [
        (float(at), said) for at, topic, said in heard if topic == "janus/rig/event" and "granted" in said
    ]
    assert granted, heard
    assert "Ada" in granted[0][1], granted
    up_s = next(m.at_s for m in guest.timeline() if m.who == "relay" and m.what == "1" and m.at_s > start_s)
    return {
        "janus-mqtt: relay high to the broker's knowing, ms": round(
            1000 * (granted[0][0] + to_boottime_s - up_s)
        ),
        "janus-mqtt_score": score.split(":")[1].split()[0],
    }


def clock_1970(guest: Guest) -> Figures:
    """The clock says 1970: Ada, who has no hours, is let in; Ben, who has, is not, and the log says why."""
    now = guest.ask("date +%s")
    guest.run("systemctl stop janusd; date -s '1970-01-02 00:00:00'; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    try:
        guest.act("show", "ben")
        guest.act("stays", str(RELAY), "0", "15")
        said = guest.ask("janusctl log --limit 10")
        assert "clock untrusted" in said, said
        guest.act("show", "ada")
        guest.act("wait", str(RELAY), "1", "60")
        guest.act("show", "")
        guest.act("wait", str(RELAY), "0", "30")
    finally:
        guest.act("show", "")
        guest.run(f"systemctl stop janusd; date -s @{now}; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    return {}


def sandbox(guest: Guest) -> Figures:
    """What the units' sandboxes allow and refuse, tried inside them; their scores; nothing to verify."""
    figures: Figures = {}
    # In place of the Raspberry Pi's door to its key a device that anybody may open (it is /dev/fuse).
    guest.run("rm -f /dev/vcio; mknod -m 666 /dev/vcio c 10 229; systemctl stop janusd")
    guest.run("systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    report = json.loads(guest.ask("cat /run/janus/self-test.json"))
    figures["janusd"] = f"{report['passed']} of {len(report['checks'])}"
    figures["janusd_failed"] = [check for check in report["checks"] if not check["is_so"]]
    report = json.loads(guest.ask("sh /rig/in-sandbox-of-latchd.sh"))
    figures["janus-latchd"] = f"{report['passed']} of {len(report['checks'])}"
    figures["janus-latchd_failed"] = [check for check in report["checks"] if not check["is_so"]]
    for unit in ("janusd", "janus-latchd"):
        said = guest.ask(f"systemd-analyze security --no-pager {unit}.service | tail -1")
        figures[f"{unit}_score"] = said.split(":")[1].split()[0]
    units = (
        "janusd.service janus-latchd.service janus-latchd.socket janus-binding.service"
        " janus-alarm@janusd.service janus-session.service"
    )
    verified = guest.run(f"systemd-analyze verify --recursive-errors=no {units}", check=False)
    figures["verify"] = (verified.stdout + verified.stderr).decode()
    guest.act("say", f"self-tests: janusd {figures['janusd']}, janus-latchd {figures['janus-latchd']}")
    assert not figures["janusd_failed"], figures["janusd_failed"]
    assert not figures["janus-latchd_failed"], figures["janus-latchd_failed"]
    assert figures["verify"] == "", figures["verify"]
    assert max(float(figures[f"{unit}_score"]) for unit in ("janusd", "janus-latchd")) <= 0.4, figures
    doctor = guest.ask("janusctl --json doctor", check=False)
    assert '"sandbox"' in doctor, doctor
    return figures


def alarm(guest: Guest) -> Figures:
    """A daemon that cannot run raises an alarm in the journal, and the exit button goes on."""
    with _set(guest, f"echo nonsense >> {SETTINGS}"):
        guest.run("systemctl restart janusd", check=False)
        guest.run(ALARMED)
        guest.act("say", "janus-alarm: janusd has failed")
        guest.act("press", str(EXIT))
    return {}


def camera_unplugged(guest: Guest) -> Figures:
    """The camera falls silent, is pulled out, and comes back: told, and served again without a restart."""
    pid = guest.ask("systemctl show -P MainPID janusd")
    guest.act("show", "")
    feeder = guest.ask("systemctl show -P MainPID rig-camera")
    try:
        # Stopped like this it is silent at once; `systemctl stop` would take its own time first.
        told_s = float(guest.ask(f"python3 /rig/act.py fault 60 'kill -STOP {feeder}'"))
        guest.act("stays", str(RELAY), "0", "1")
        guest.run("systemctl kill -s KILL rig-camera; systemctl stop rig-camera")
        guest.run("for i in $(seq 100); do modprobe -r v4l2loopback && exit 0; sleep .1; done; exit 1")
        guest.act("say", "the camera is unplugged")
        assert guest.run("test -e /dev/video10", check=False).returncode, "the node is there still"
        guest.act("press", str(EXIT))
    finally:
        guest.run(
            "systemctl stop rig-camera; sh /rig/loopback.sh; udevadm settle; systemctl start rig-camera"
        )
    guest.act("say", "the camera is plugged in again")
    _opens_for_ada(guest)
    assert guest.ask("systemctl show -P MainPID janusd") == pid, "janusd was started anew"
    assert told_s <= 2 + BUSY_S, f"told only after {told_s:.2f} s"
    return {"janusd tells of a silent camera after, s (2 asked)": round(told_s, 2)}


def trigger_edges(guest: Guest) -> Figures:
    """A PIR's edges wake recognition, which sleeps otherwise: edge to verdict, edge to relay."""
    idle = '[idle]\ntrigger = "gpio"\nwindow_s = 2\n'
    with _set(guest, f"printf '{idle}' >> {SETTINGS}"):
        guest.run("systemctl restart janusd", timeout_s=200)
        guest.act("ready", "janusd", "120")
        guest.act("show", "ada")
        guest.act("stays", str(RELAY), "0", "8")  # she stands there, and nothing woke it
        said = json.loads(guest.ask(f"python3 /rig/act.py edges {PIR} {EDGES}", timeout_s=900))
    figures: Figures = {}
    for what in ("verdict", "relay"):
        times_ms = sorted(1000 * seconds for seconds in said[what])
        assert len(times_ms) >= EDGES * 0.9, said
        p50, p95 = (times_ms[min(len(times_ms) - 1, int(len(times_ms) * part))] for part in (0.5, 0.95))
        figures[f"edge to {what}, ms, p50 / p95 of {len(times_ms)}"] = f"{p50:.0f} / {p95:.0f}"
    return figures


def restarts_of_latchd(guest: Guest) -> Figures:
    """janus-latchd comes and goes, killed and stopped in turn: the relay never moves."""
    said = json.loads(guest.ask(f"python3 /rig/act.py restarts janus-latchd {RESTARTS}", timeout_s=3000))
    assert said["edges"] == 0, said
    return {
        f"false edges over {RESTARTS} restarts of janus-latchd": said["edges"],
        "restart of janus-latchd to READY, s, worst": round(max(said["ready_s"]), 2),
    }


def restarts_of_janusd(guest: Guest) -> Figures:
    """The same of janusd, a tenth as often: it takes longer to start."""
    times = max(1, RESTARTS // 10)
    said = json.loads(guest.ask(f"python3 /rig/act.py restarts janusd {times}", timeout_s=3000))
    assert said["edges"] == 0, said
    return {
        f"false edges over {times} restarts of janusd": said["edges"],
        "restart of janusd to READY, s, median / worst (10 asked)": (
            f"{sorted(said['ready_s'])[times // 2]:.1f} / {max(said['ready_s']):.1f}"
        ),
    }


def power_cut(guest: Guest) -> Figures:
    """The power is cut right after an enrolment, and amid another: what was acknowledged is there."""
    enrol = "janusctl enrol Chloe --from-images /rig/people/photos-chloe 2>&1"
    guest.run("janusctl forget Chloe --yes", check=False)
    start_s = time.monotonic()
    guest.ask(enrol)
    took_s = time.monotonic() - start_s
    guest.cut()
    boot_s = guest.boot()
    guest.act("ready", "janusd", "300")
    guest.act("say", "the power was cut after Chloe's enrolment, and is back")
    _are_there(guest, "Ada", "Ben", "Chloe")
    figures: Figures = {
        "power back to SSH, s": round(boot_s, 1),
        "power back to READY of janusd, s": ready_after_boot_s(guest),
    }
    guest.run("janusctl forget Chloe --yes")
    guest.run(f"systemd-run --quiet sh -c '{enrol}'")
    time.sleep(0.7 * took_s)
    guest.cut()
    guest.boot()
    guest.act("ready", "janusd", "300")
    guest.act("say", "the power was cut amid Chloe's enrolment, and is back")
    _are_there(guest, "Ada", "Ben")
    figures["Chloe, whose enrolment was cut off, is there"] = (
        "yes" if "Chloe" in guest.ask("janusctl people") else "no"
    )
    guest.run("janusctl log verify")
    _opens_for_ada(guest)
    return {"acknowledged people lost by two power cuts": 0, **figures}


def reboot(guest: Guest) -> Figures:
    """Shut down in good order, and started again: Ada opens."""
    boot_s = guest.reboot()
    guest.act("ready", "janusd", "300")
    figures: Figures = {
        "boot to SSH, s": round(boot_s, 1),
        "boot to READY of janusd, s": ready_after_boot_s(guest),
    }
    _opens_for_ada(guest)
    return figures


SET_UP = (
    "/etc/janus/janus.toml /etc/janus/latch.toml /var/lib/janus /var/lib/janus-anchor /var/lib/janus-setup"
)
AWAY = f"""\
systemctl disable --now janusd janus-latchd.service janus-latchd.socket
rm -rf /root/kept && mkdir /root/kept
for what in {SET_UP} /etc/credstore.encrypted/janus-key; do
    [ ! -e $what ] || cp -a --parents $what /root/kept
done
rm -rf {SET_UP} /etc/credstore.encrypted/janus-key
"""
BACK = f"""\
systemctl stop janusd janus-latchd
rm -rf {SET_UP} /etc/credstore.encrypted/janus-key
cp -a /root/kept/. / && systemctl enable janusd janus-latchd.service janus-latchd.socket
systemctl start janus-latchd.socket janus-latchd; systemctl start --no-block janusd
"""
VIRTUAL = f"""\
ln -sf system '/dev/dma_heap/linux,cma'
mkdir -p /run/systemd/system/janusd.service.d
cat > /run/systemd/system/janusd.service.d/virtual.conf <<EOF
[Service]
ExecStart=
ExecStart=/usr/bin/python3 -I /rig/virtual_camera.py --config {SETTINGS}
EOF
systemctl daemon-reload
"""
MQTT = """\
[broker]
host = "localhost"
[door]
name = "Front door"
id = "rig"
"""
OBSERVED = """\
[control]
observers = ["janus-mqtt"]
observers_hear = ["names"]
"""
LISTENS = 'exec mosquitto_sub -h localhost -t "#" -F "%U %t %p" > /run/rig/heard'
CONNECTED = """\
for i in $(seq 300); do
    grep -q ' janus/rig/available online' /run/rig/heard && exit 0
    sleep .1
done
exit 1
"""
SPOOFED = """\
for what in set command event state lock unlock available; do
    mosquitto_pub -h localhost -t janus/rig/$what -m UNLOCK
done
"""
OFFSET = "import time; print(time.clock_gettime(time.CLOCK_BOOTTIME) - time.time())"
ALARMED = """\
for i in $(seq 300); do
    journalctl -b -t janus-alarm -p alert | grep -q 'janusd has failed' && exit 0
    sleep .2
done
exit 1
"""
CAMERA_ONLY = "mkdir -p /etc/janus && sed '/^\\[latch\\]/,$d' /rig/janus.toml > /etc/janus/janus.toml"
"""The camera is v4l2loopback's, which janusd takes only where a file says so, and setup never chooses."""


def setup(guest: Guest) -> Figures:
    """From an installed package to the first unlock, by a file of answers, over SSH."""
    with _set_up_anew(guest) as took_s:
        guest.act("press", str(EXIT))
        assert guest.ask("systemctl is-enabled janusd") == "enabled"
    return {"janusctl setup --answers to the first unlock, s": round(took_s, 1)}


def tpm(guest: Guest) -> Figures:
    """The vault's key sealed by a TPM: Ada opens after a reboot; with another TPM nobody, which is said."""
    guest.run("sh /rig/tpm.sh own")
    try:
        with _set_up_anew(guest, "tpm"):
            boot_s = guest.reboot()
            guest.act("ready", "janusd", "300")
            guest.act("say", "started anew with the same TPM")
            _opens_for_ada(guest)
            said = guest.ask("janusctl --json doctor", check=False)
            assert "counted by TPM counter" in said, said
            guest.run("systemctl stop janusd; sh /rig/tpm.sh other; systemctl start --no-block janusd")
            guest.act("say", "another TPM is in its place")
            guest.act("show", "ada")
            guest.run(ALARMED)
            guest.act("say", "janus-alarm: janusd has failed")
            guest.act("press", str(EXIT))
            guest.act("wait", str(RELAY), "0", "30")
            guest.act("stays", str(RELAY), "0", "5")
            said = guest.ask("journalctl -b -o cat --no-pager -u janusd | tail -n 40")
            assert "credential" in said.lower(), said
            told = next(line for line in said.splitlines() if "credential" in line.lower())
            guest.act("say", told)
            doctor = guest.run("janusctl doctor", check=False)
            assert doctor.returncode, doctor.stdout
            said = " ".join((doctor.stdout + doctor.stderr).decode().split())
            guest.act("say", f"janusctl doctor: {said[:300]}")
            guest.act("show", "")
            guest.run("systemctl stop janus-alarm@janusd janusd; sh /rig/tpm.sh own")
            guest.run("systemctl reset-failed janusd; systemctl start --no-block janusd")
            guest.act("ready", "janusd", "120")
            guest.act("say", "its own TPM is back")
            _opens_for_ada(guest)
    finally:
        guest.run("rm -f /rig/tpm; sync")
    return {"key sealed by a TPM: boot to SSH, s": round(boot_s, 1), "unlocks with another TPM": 0}


def picamera2(guest: Guest) -> Figures:
    """janusd on the real picamera2, libcamera's virtual camera for a sensor: Ada opens, no stranger does."""
    with _set(guest, f"cp /rig/picamera2.toml {SETTINGS}"):
        guest.run(VIRTUAL)
        try:
            _shows_film(guest, "ada")
            guest.act("wait", str(RELAY), "1", "20")
            said = guest.ask("janusctl --json doctor", check=False)
            assert "rig-film @ Virtual0" in said, said
            guest.act("wait", str(RELAY), "0", "60")
            _shows_film(guest, "stranger")
            guest.act("stays", str(RELAY), "0", "15")
            said = guest.ask("janusctl --json log --limit 20", check=False)
            assert "unknown" in said.lower(), f"the stranger was not even looked at: {said}"
            guest.run("systemctl stop janusd")  # two do not fit into the memory
            figures = json.loads(guest.ask("python3 -I /rig/virtual_camera.py --look", timeout_s=500))
        finally:
            guest.run("rm -rf /run/systemd/system/janusd.service.d /run/rig/film")
    return dict(figures)


def _shows_film(guest: Guest, name: str) -> None:
    guest.run(f"systemctl stop janusd; PYTHONPATH=/opt/janus/lib python3 /rig/film.py {name}")
    guest.act("show", name)
    guest.run("systemctl reset-failed janusd; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "300")  # picamera2 alone takes a minute and more to load in User Mode Linux


def session(guest: Guest) -> Figures:
    """janus-session in its sandbox: it hears of Ada and asks logind, which has no screen of hers here."""
    guest.run("printf '[people]\nroot = \"Ada\"\n' > /etc/janus/kiosk.toml; systemctl start janus-session")
    try:
        for _ in range(3):  # it may not listen yet when she comes first
            _opens_for_ada(guest)
            said = guest.ask("journalctl -b -u janus-session -o cat --no-pager")
            if "has no session" in said:
                break
        assert guest.ask("systemctl is-active janus-session") == "active", said
        assert "cannot be unlocked" not in said, said
        assert "has no session" in said, said
    finally:
        guest.act("show", "")
        guest.run("systemctl stop janus-session; rm /etc/janus/kiosk.toml")
    return {}


PARTS: dict[str, dict[str, Callable[[Guest], Figures]]] = {
    "faces": {
        "right-face": right_face,
        "wrong-face": wrong_face,
        "exit-button": exit_button,
        "session": session,
        "mqtt": mqtt,
    },
    "edges": {"trigger-edges": trigger_edges},
    "kills": {
        f"{signal.lower()}-{_short(unit)}": kill(unit, signal)
        for unit in ("janusd", "janus-latchd")
        for signal in ("SIGKILL", "SIGSTOP", "SIGSEGV", "OOM")
    },
    "camera": {"camera-unplugged": camera_unplugged, "picamera2": picamera2},
    "sandbox": {"sandbox": sandbox, "alarm": alarm},
    "setup": {"setup": setup, "tpm": tpm},
    "clock": {"clock-1970": clock_1970},
    "restarts": {"restarts-latchd": restarts_of_latchd, "restarts-janusd": restarts_of_janusd},
    "power": {"reboot": reboot, "power-cut": power_cut},
}
"""What `make rig PART=...` plays; without it all, in this order."""
SCENARIOS = {name: scenario for part in PARTS.values() for name, scenario in part.items()}
PERSISTS = ("right-face", *(name for name in PARTS["kills"] if not name.startswith("oom")))
"""Played a second time after a reboot, with a chip whose lines keep a dead owner's level."""
