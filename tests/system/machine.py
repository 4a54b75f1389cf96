"""The machine that is simulated: booted, asked over SSH, and its power taken away.

User Mode Linux: a Debian whose kernel is a process here, in a network namespace of its own. Needs root.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from timeline import Moment

HERE = Path(__file__).parent
MAPS = Path("/proc/sys/vm/max_map_count")
LEAST_MAPS = 262144
"""A page of a guest's process may be a mapping of its own here; with fewer the guest kills what is large."""


class Guest:
    """The machine that is simulated."""

    def __init__(self, folder: Path, kernel: Path) -> None:
        self._folder, self._kernel = folder, kernel
        self._name = f"janus-rig-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None
        self._image: Path | None = None
        if int(MAPS.read_text()) < LEAST_MAPS:
            print(f"{MAPS} is raised to {LEAST_MAPS}: a guest with picamera2 in it needs that", flush=True)
            MAPS.write_text(str(LEAST_MAPS))
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
            "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30", "-o", "ServerAliveInterval=10",
            "-o", "ServerAliveCountMax=12", "-i", str(folder / "id"), "root@10.77.0.2",
        ]  # fmt: skip

    def boot(self, image: Path | None = None) -> float:
        """Start it, from that disk or its last one; how long it took until somebody could log in."""
        start_s = time.monotonic()
        image = self._image = image or self._image
        log = (self._folder / "console.log").open("wb")
        self._process = subprocess.Popen(
            [
                "ip", "netns", "exec", self._name, self._kernel, f"umid={self._name}",
                f"uml_dir={self._folder}/", "mem=1536M",
                f"ubd0={image}", "root=/dev/ubda", "rw", "vec0:transport=tap,ifname=tap0,depth=128",
                "con=null", "con0=fd:0,fd:1", "console=tty0", "systemd.show_status=0",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        while time.monotonic() - start_s < 600:
            if self.run("true", check=False, timeout_s=60).returncode == 0:
                took_s = time.monotonic() - start_s
                self.give(HERE / "guest", "/rig")  # as they are today; the disk may be older
                self.run("! [ -e /run/changed ] || systemctl try-restart rig-camera rig-observer")
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
        self.run(f"! diff -rq /mnt {where} | grep -q differ || touch /run/changed")
        self.run(f"cp -r /mnt/. {where}/; umount /mnt")

    def timeline(self) -> list[Moment]:
        """What was written down since the boot."""
        lines = self.ask("cat /run/rig/timeline.jsonl", check=False).splitlines()
        return sorted((Moment(**json.loads(line)) for line in lines), key=lambda moment: moment.at_s)

    def reboot(self) -> float:
        """Shut it down in good order and start it again."""
        self.power_off()
        return self.boot()

    def power_off(self) -> None:
        """Shut it down in good order."""
        self.run("systemctl poweroff", check=False, timeout_s=60)
        assert self._process is not None
        try:
            self._process.wait(180)
        except subprocess.TimeoutExpired:
            self.cut()
            raise RuntimeError("the guest does not shut down; its power was cut") from None
        self.cut()  # what is left of its processes

    def cut(self) -> None:
        """Take its power away."""
        if self._process is not None:
            session, end_s = str(self._process.pid), time.monotonic() + 60
            self._process.kill()
            self._process.wait()
            # Its helpers are processes too, and hold the disk's lock as long as they live.
            while subprocess.run(["pkill", "-KILL", "-s", session], check=False).returncode == 0:
                assert time.monotonic() < end_s, f"the processes of session {session} do not die"
                time.sleep(0.1)
            self._process = None
            self._tidy()

    def revive(self) -> None:
        """Start it again where a scenario has left it without power, or out of reach."""
        if self.run("true", check=False, timeout_s=60).returncode:
            self.cut()
            self.boot()

    def _tidy(self) -> None:
        """Remove what a kernel that lost its power leaves: its console's socket."""
        shutil.rmtree(self._folder / self._name, ignore_errors=True)

    def close(self) -> None:
        """Take everything down."""
        self.cut()
        subprocess.run(["ip", "netns", "delete", self._name], check=False)
