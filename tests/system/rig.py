"""`make rig`: a door with a kernel, a systemd, a chip and a camera of its own, looked after over SSH.

    python tests/system/rig.py DEB OUT [--only NAME ...]

The guest is User Mode Linux: a Debian whose kernel is a process here, with gpio-sim for the relay's line and
v4l2loopback for the camera. Our package is installed in it as README says. Each scenario prints what happened
when, and draws it: OUT/NAME.svg; OUT/report.json has the figures.

The kernel: `linux.uml.xz` and `uml-modules-*.tar.xz` in $JANUS_RIG, or what `make rig-kernel` built. Needs
root (a network namespace and a tap device of its own), x86-64, mmdebstrap, ssh, and about 2 GB of disk.

Not proven here: a real pin, a relay, a camera's optics, an ARM processor, MemoryMax, IPAddressDeny.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import lzma
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from timeline import Moment, draw, tell

HERE = Path(__file__).parent
RELAY, EXIT = 17, 27
HOLD_S = 3.0
"""latch.hold_s of guest/janus.toml."""
CONFIGURE = """\
set -e
install -m 644 /rig/janus.toml /rig/latch.toml /etc/janus/
head -c 32 /dev/urandom | systemd-creds encrypt --name=janus-key - /etc/credstore.encrypted/janus-key
systemd-run --quiet --pipe --wait -p User=janus -p 'StateDirectory=janus janus-anchor' \
    -p StateDirectoryMode=0700 -p LoadCredentialEncrypted=janus-key /opt/janus/bin/janusd --prepare
"""


class Guest:
    """The machine that is simulated."""

    def __init__(self, folder: Path, kernel: Path) -> None:
        self._folder, self._kernel = folder, kernel
        self._name = f"janus-rig-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        netns = ["ip", "netns", "add", self._name]
        subprocess.run(netns, check=True)
        for step in (
            "link set lo up",
            "tuntap add tap0 mode tap",
            "addr add 10.77.0.1/24 dev tap0",
            "link set tap0 gso_max_segs 1 up",
        ):
            subprocess.run(["ip", "-n", self._name, *step.split()], check=True)
        self._ssh = [
            "ip", "netns", "exec", self._name, "ssh", "-q", "-o", "StrictHostKeyChecking=no", "-o",
            "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=10",
            "-o", "ServerAliveCountMax=12", "-i", str(folder / "id"), "root@10.77.0.2",
        ]  # fmt: skip

    def boot(self, image: Path) -> float:
        """Start it from that disk, and give how long it took until somebody could log in."""
        start_s = time.monotonic()
        log = (self._folder / "console.log").open("wb")
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", self._name, self._kernel, f"umid={self._name}", "mem=1536M",
                f"ubd0={image}", "root=/dev/ubda", "rw", "vec0:transport=tap,ifname=tap0,depth=128",
                "con=null", "con0=fd:0,fd:1", "console=tty0", "systemd.show_status=0",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        while time.monotonic() - start_s < 300:
            if self.run("true", check=False, timeout_s=20).returncode == 0:
                took_s = time.monotonic() - start_s
                self.give(HERE / "guest", "/rig")  # as they are today; the disk may be older
                return took_s
            if self._process.poll() is not None:
                break
            time.sleep(0.5)
        raise RuntimeError(f"the guest does not boot: see {self._folder}/console.log")

    def run(self, command: str, *, check: bool = True, timeout_s: float = 600) -> Any:
        """Run a command there, over SSH."""
        try:
            done = subprocess.run(
                [*self._ssh, command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            done = subprocess.CompletedProcess(command, 255, b"", b"no answer in time")
        if check and done.returncode:
            said = (done.stdout[-2000:] + done.stderr[-2000:]).decode(errors="replace")
            raise RuntimeError(f"{command}: exit status {done.returncode}: {said}")
        return done

    def ask(self, command: str, **more: Any) -> str:
        """What a command says."""
        return str(self.run(command, **more).stdout.decode(errors="replace").strip())

    def act(self, *words: str, check: bool = True) -> Any:
        """Do something to the guest that is written down: see guest/act.py."""
        return self.run("python3 /rig/act.py " + shlex.join(words), check=check)

    def give(self, folder: Path, where: str) -> None:
        """Copy a folder's content there, without the network."""
        self.run(f"mkdir -p {where} /mnt && mount -t hostfs -o hostfs={folder.resolve()} none /mnt")
        self.run(f"cp -r /mnt/. {where}/; umount /mnt")

    def timeline(self) -> list[Moment]:
        """What was written down since the boot."""
        lines = self.ask("cat /run/rig/timeline.jsonl", check=False).splitlines()
        return sorted((Moment(**json.loads(line)) for line in lines), key=lambda moment: moment.at_s)

    def reboot(self, image: Path) -> float:
        """Shut it down in good order and start it again."""
        self.power_off()
        return self.boot(image)

    def power_off(self) -> None:
        """Shut it down in good order."""
        self.run("systemctl poweroff", check=False, timeout_s=60)
        assert self._process is not None
        try:
            self._process.wait(90)
        except subprocess.TimeoutExpired:
            self.cut()
        self._process = None

    def cut(self) -> None:
        """Take its power away."""
        if self._process is not None:
            subprocess.run(["pkill", "-KILL", "-s", str(self._process.pid)], check=False)
            self._process.kill()
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Take everything down."""
        self.cut()
        subprocess.run(["ip", "netns", "delete", self._name], check=False)


# The scenarios: each plays, asserts, and returns its figures.

Figures = dict[str, Any]


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
    return {"relay_high_s": round(held_s, 2)}


def wrong_face(guest: Guest) -> Figures:
    """A stranger stands there for 15 seconds: the relay does not move."""
    guest.act("show", "stranger")
    guest.act("stays", str(RELAY), "0", "15")
    said = guest.ask("janusctl --json log --limit 20", check=False)
    guest.act("show", "")
    assert '"unknown"' in said or "unknown" in said.lower(), f"the stranger was not even looked at: {said}"
    return {"watched_s": 15}


def exit_button(guest: Guest) -> Figures:
    """The exit button opens while janusd is stopped."""
    guest.run("systemctl stop janusd")
    guest.act("say", "janusd is stopped; the exit button is pressed")
    guest.act("press", str(EXIT))
    guest.act("wait", str(RELAY), "0", "10")
    guest.run("systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    return {"relay_high_s": round(_last_pulse(guest.timeline()), 2)}


def kill(unit: str, signal: str) -> Callable[[Guest], Figures]:
    """Whoever dies or hangs in mid-pulse: the relay is locked soon, and the unit comes back."""

    def play(guest: Guest) -> Figures:
        guest.act("ready", unit, "120")
        guest.act("show", "ada")
        guest.act("kill", unit, signal, "90")
        guest.act("wait", str(RELAY), "0", "30")
        guest.act("show", "")
        timeline = guest.timeline()
        killed_s = max(moment.at_s for moment in timeline if moment.what == f"{signal} to {unit}")
        locked_s = min(m.at_s for m in timeline if m.who == "relay" and m.what == "0" and m.at_s >= killed_s)
        guest.act("restarted", unit, "60")
        back = time.monotonic()
        guest.act("ready", unit, "120")
        guest.act("stays", str(RELAY), "0", "2")
        return {
            "locked_after_s": round(locked_s - killed_s, 3),
            "ready_again_after_s": round(time.monotonic() - back, 1),
        }

    play.__doc__ = f"{signal} to {unit} in mid-pulse."
    return play


def clock_1970(guest: Guest) -> Figures:
    """The clock says 1970: Ada, who has no hours, is let in; Ben, who has, is not."""
    now = guest.ask("date +%s")
    guest.run("systemctl stop janusd; date -s '1970-01-02 00:00:00'; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    try:
        guest.act("show", "ben")
        guest.act("stays", str(RELAY), "0", "15")
        guest.act("show", "ada")
        guest.act("wait", str(RELAY), "1", "60")
        guest.act("show", "")
        guest.act("wait", str(RELAY), "0", "30")
    finally:
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
        " janus-alarm@janusd.service"
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
    guest.run("cp /etc/janus/janus.toml /root/ && echo nonsense >> /etc/janus/janus.toml")
    guest.run("systemctl restart janusd", check=False)
    guest.run(
        "for i in $(seq 100); do journalctl -t janus-alarm -p alert | grep -q 'janusd has failed' && exit 0;"
        " sleep .2; done; exit 1"
    )
    guest.act("say", "janus-alarm: janusd has failed")
    guest.act("press", str(EXIT))
    guest.run("cp /root/janus.toml /etc/janus/ && systemctl stop janus-alarm@janusd")
    guest.run("systemctl reset-failed janusd; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "120")
    return {}


SCENARIOS: dict[str, Callable[[Guest], Figures]] = {
    "sandbox": sandbox,
    "right-face": right_face,
    "wrong-face": wrong_face,
    "exit-button": exit_button,
    "sigkill-janusd": kill("janusd", "SIGKILL"),
    "sigstop-janusd": kill("janusd", "SIGSTOP"),
    "sigsegv-janusd": kill("janusd", "SIGSEGV"),
    "sigkill-latchd": kill("janus-latchd", "SIGKILL"),
    "sigstop-latchd": kill("janus-latchd", "SIGSTOP"),
    "clock-1970": clock_1970,
    "alarm": alarm,
}
PERSISTS = ("right-face", "sigkill-janusd", "sigkill-latchd", "sigstop-latchd")
"""Played a second time after a reboot, with a chip whose lines keep a dead owner's level."""


def _last_pulse(timeline: list[Moment]) -> float:
    relay = [moment for moment in timeline if moment.who == "relay"]
    down = relay[-1]
    up = [moment for moment in relay if moment.what == "1" and moment.at_s < down.at_s][-1]
    return down.at_s - up.at_s


# Preparing


def find_kernel(folder: Path) -> tuple[Path, Path]:
    """The kernel, unpacked, and its modules. Raises SystemExit that says how to get one."""
    for place in (Path(os.environ.get("JANUS_RIG", "/nowhere")), folder / "kernel"):
        packed, modules = place / "linux.uml.xz", sorted(place.glob("uml-modules-*.tar.xz"))
        if packed.exists() and modules:
            kernel = folder / "linux.uml"
            if not kernel.exists() or kernel.stat().st_mtime < packed.stat().st_mtime:
                kernel.write_bytes(lzma.decompress(packed.read_bytes()))
                kernel.chmod(0o755)
            return kernel, modules[-1]
    raise SystemExit(
        "there is no kernel for the rig: set JANUS_RIG to a folder with one, or: make rig-kernel"
    )


def paint_people(folder: Path) -> None:
    """The pictures the camera will show, and those people are enrolled from: of people who do not exist."""
    import cv2  # noqa: PLC0415 - only where the pictures are not there yet

    from janusd.core.reason import Reason  # noqa: PLC0415
    from janusd.demo.album import album  # noqa: PLC0415
    from janusd.demo.scene import Light, compose  # noqa: PLC0415
    from janusd.demo.street import Visit, walk  # noqa: PLC0415

    people = album()
    stranger = next(name for name, person in people.items() if not person.is_resident)
    for shown, name in (("ada", "ada"), ("ben", "ben"), ("stranger", stranger)):
        (folder / shown).mkdir(parents=True)
        visit = Visit((name,), Light.OVERCAST, Reason.MATCHED, seed=7, still_frames=8)
        for number, stances in enumerate(
            walk(visit, people)[4:-3]
        ):  # where somebody stands, not comes and goes
            image = compose(stances, visit.light, seed=number, street_seed=0)
            cv2.imwrite(str(folder / shown / f"{number:02}.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    (folder / "nobody").mkdir()
    empty = cv2.cvtColor(compose([], seed=1, street_seed=0), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(folder / "nobody" / "00.jpg"), empty)
    for name in ("ada", "ben"):
        shutil.copytree(people[name].enrol[0].path.parent, folder / f"photos-{name}",
                        ignore=lambda _, names: [n for n in names if not n.startswith("enrol")])  # fmt: skip


def installed(guest: Guest, folder: Path, deb: Path, modules: Path) -> Path:
    """A disk with our package installed and set up, two people enrolled. Kept while nothing of it changes."""
    stamp = hashlib.sha256(deb.read_bytes() + CONFIGURE.encode()).hexdigest()
    image = folder / f"installed-{stamp[:16]}.img"
    if image.exists():
        return image
    for old in folder.glob("installed-*.img"):
        old.unlink()
    root = folder / "root.img"
    newest_s = max(part.stat().st_mtime for part in [*HERE.glob("guest/*"), HERE / "root.sh"])
    if not root.exists() or root.stat().st_mtime < newest_s:
        subprocess.run(["bash", HERE / "root.sh", folder, modules], check=True)
    people = folder / "people"
    if not people.exists():
        paint_people(people)
    copy(root, folder / "new.img")
    boot_s = guest.boot(folder / "new.img")
    print(f"the bare guest answers after {boot_s:.0f} s", flush=True)
    guest.give(people, "/rig/people")
    with tempfile.TemporaryDirectory(dir=folder) as parcel:
        shutil.copy(deb, f"{parcel}/janusd.deb")
        guest.give(Path(parcel), "/root")
    start_s = time.monotonic()
    said = guest.ask(
        "apt-get install -y --no-install-recommends /root/janusd.deb 2>&1 && rm /root/janusd.deb"
    )
    print(f"installed in {time.monotonic() - start_s:.0f} s: {said.splitlines()[-1]}", flush=True)
    guest.run("systemctl restart rig-camera rig-observer")
    guest.run(CONFIGURE)
    guest.run("systemctl start janus-latchd; systemctl start --no-block janusd")
    guest.act("ready", "janusd", "300")
    for name, hours in (("ada", ""), ("ben", ' --hours "mon-sun 00:00-24:00"')):
        said = guest.ask(f"janusctl enrol {name.title()} --from-images /rig/people/photos-{name}{hours} 2>&1")
        print(said.splitlines()[-1], flush=True)
    guest.power_off()
    (folder / "new.img").rename(image)
    return image


def copy(image: Path, where: Path) -> None:
    """Copy a disk that is mostly empty."""
    subprocess.run(["cp", "--reflink=auto", "--sparse=always", image, where], check=True)


@contextmanager
def running(folder: Path, kernel: Path) -> Iterator[Guest]:
    """A guest that is gone afterwards, whatever happens."""
    guest = Guest(folder, kernel)
    try:
        yield guest
    finally:
        guest.close()


def play(guest: Guest, names: list[str], out: Path, suffix: str = "") -> dict[str, Figures]:
    """Play scenarios, and tell and draw each."""
    results = {}
    for name in names:
        guest.run("systemctl start --no-block janus-latchd janusd; : > /run/rig/show")  # whatever was before
        start_s = float(guest.ask("cut -d' ' -f1 /proc/uptime"))
        figures: Figures = {}
        try:
            figures = SCENARIOS[name](guest)
            verdict = "passed"
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            verdict = f"FAILED: {error}"
            figures["journal"] = guest.ask("journalctl -b --no-pager -n 60", check=False).splitlines()
        moments = [moment for moment in guest.timeline() if moment.at_s >= start_s]
        title = f"{name}{suffix}: {(SCENARIOS[name].__doc__ or '').strip()}"
        print(f"\n{title}\n  {verdict} {({k: v for k, v in figures.items() if k != 'journal'}) or ''}")
        print("\n".join(f"  {line}" for line in tell(moments, start_s)), flush=True)
        (out / f"{name}{suffix}.svg").write_text(draw(title, moments, start_s))
        results[name + suffix] = {"verdict": verdict, **figures}
    return results


def main() -> int:
    """Play everything; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="rig.py", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("deb", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kernel, modules = find_kernel(folder)
    report: dict[str, Any] = {}
    with running(folder, kernel) as guest:
        image = installed(guest, folder, options.deb, modules)
        copy(image, folder / "run.img")
        report["boot_to_ssh_s"] = round(guest.boot(folder / "run.img"), 1)
        guest.act("ready", "janusd", "300")
        report["boot_to_ready_s"] = ready_after_boot_s(guest)
        report |= play(guest, options.only, folder)
        again = [name for name in PERSISTS if name in options.only]
        if again:
            guest.run("echo persist > /rig/gpio; sync")
            report["reboot_to_ssh_s"] = round(guest.reboot(folder / "run.img"), 1)
            guest.act("ready", "janusd", "300")
            report["reboot_to_ready_s"] = ready_after_boot_s(guest)
            report |= play(guest, again, folder, "-persists")
        guest.power_off()
    (folder / "report.json").write_text(json.dumps(report, indent=1))
    bad = [
        name
        for name, figures in report.items()
        if isinstance(figures, dict) and figures["verdict"] != "passed"
    ]
    figures = {name: value for name, value in report.items() if not isinstance(value, dict)}
    played = sum(isinstance(value, dict) for value in report.values())
    print(f"\n{figures}\n{len(bad)} of {played} scenarios failed {bad or ''}")
    return 1 if bad else 0


def ready_after_boot_s(guest: Guest) -> float:
    """When janusd became ready, in seconds since the kernel started."""
    return round(int(guest.ask("systemctl show -P ActiveEnterTimestampMonotonic janusd")) / 1e6, 1)


if __name__ == "__main__":
    sys.exit(main())
