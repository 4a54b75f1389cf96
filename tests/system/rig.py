"""`make rig`: a door with a kernel, a systemd, a chip and a camera of its own, looked after over SSH.

    python tests/system/rig.py DEB OUT [--only PART-or-NAME ...]

The guest is User Mode Linux: a Debian whose kernel is a process here, with gpio-sim for the relay's line and
v4l2loopback for the camera; a TPM is swtpm's, and where picamera2 is tried, the camera is libcamera's virtual
one. Our package is installed in it as README says. Each scenario prints what happened when, and draws it:
OUT/NAME.svg; a table of all figures comes last, those of parts played before with the same package among
them; OUT/report-*.json has them too.

The kernel: `linux.uml.xz` and `uml-modules-*.tar.xz` in $JANUS_RIG, or what `make rig-kernel` built. Needs
root (a network namespace and a tap device of its own), x86-64, mmdebstrap, ssh, and about 3 GB of disk.

Not proven here: a real pin, a relay, a camera's optics, an ARM processor, MemoryMax, IPAddressDeny.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import lzma
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from machine import HERE, Guest
from scenarios import PARTS, PERSISTS, SCENARIOS, Figures
from timeline import draw, tell

CONFIGURE = """\
set -e
install -m 644 /rig/janus.toml /rig/latch.toml /etc/janus/
head -c 32 /dev/urandom | systemd-creds encrypt --name=janus-key - /etc/credstore.encrypted/janus-key
systemd-run --quiet --pipe --wait -p User=janus -p 'StateDirectory=janus janus-anchor' \
    -p StateDirectoryMode=0700 -p LoadCredentialEncrypted=janus-key /opt/janus/bin/janusd --prepare
"""


JOURNAL = "journalctl -b --no-pager -n 120 -u 'janus*' -u 'rig-*'; journalctl -b --no-pager -n 20 -k -p err"
"""What is kept of a scenario that failed: what our units said, and the kernel's errors."""


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
    for name in ("ada", "ben", "chloe"):
        shutil.copytree(people[name].enrol[0].path.parent, folder / f"photos-{name}",
                        ignore=lambda _, names: [n for n in names if not n.startswith("enrol")])  # fmt: skip


def installed(guest: Guest, folder: Path, deb: Path, modules: Path) -> Path:
    """A disk with our package installed and set up, two people enrolled. Kept while nothing of it changes."""
    stamp = hashlib.sha256(
        deb.read_bytes() + inspect.getsource(paint_people).encode() + CONFIGURE.encode()
    ).hexdigest()
    image = folder / f"installed-{stamp[:16]}.img"
    if image.exists():
        return image
    for old in [*folder.glob("installed-*.img"), *folder.glob("report-*.json")]:
        old.unlink()
    root = folder / "root.img"
    newest_s = max(part.stat().st_mtime for part in [*HERE.glob("guest/*"), HERE / "root.sh"])
    if not root.exists() or root.stat().st_mtime < newest_s:
        subprocess.run(["bash", HERE / "root.sh", folder, modules, sys.executable], check=True)
    people = folder / "people"
    shutil.rmtree(people, ignore_errors=True)
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
        print(next((line for line in said.splitlines() if "is enrolled with" in line), said), flush=True)
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


def play(guest: Guest, names: list[str], out: Path, suffix: str = "") -> Iterator[tuple[str, Figures]]:
    """Play scenarios, tell and draw each, and give its name and what was found."""
    for name in names:
        # Whatever was before; its starts do not count either, of which janusd has ten in five minutes.
        guest.run("systemctl reset-failed; systemctl start --no-block janus-latchd janusd; : > /run/rig/show")
        start_s = uptime_s(guest)
        figures: Figures = {}
        try:
            figures = SCENARIOS[name](guest)
            verdict = "passed"
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            verdict = f"FAILED: {error}"
            guest.revive()
            figures["journal"] = guest.ask(JOURNAL, check=False).splitlines()
        if uptime_s(guest) < start_s:  # it was started anew meanwhile: what was before is gone
            start_s = 0.0
        moments = [moment for moment in guest.timeline() if moment.at_s >= start_s]
        title = f"{name}{suffix}: {(SCENARIOS[name].__doc__ or '').strip()}"
        print(f"\n{title}\n  {verdict} {({k: v for k, v in figures.items() if k != 'journal'}) or ''}")
        print("\n".join(f"  {line}" for line in tell(moments, start_s)), flush=True)
        (out / f"{name}{suffix}.svg").write_text(draw(title, moments, start_s))
        yield name + suffix, {"verdict": verdict, **figures}


def uptime_s(guest: Guest) -> float:
    """Seconds since the guest's kernel started."""
    return float(guest.ask("cut -d' ' -f1 /proc/uptime"))


def table(report: dict[str, Figures]) -> str:
    """All figures, one a line, then what failed."""
    rows = [
        (what + (", a dead owner's line persists" if name.endswith("-persists") else ""), value)
        for name, figures in report.items()
        for what, value in figures.items()
        if what not in ("verdict", "journal")
    ]
    width = max((len(what) for what, _ in rows), default=0)
    lines = [f"  {what:{width}}  {value if value != '' else 'nothing'}" for what, value in rows]
    bad = [name for name, figures in report.items() if figures["verdict"] != "passed"]
    return "\n".join([*lines, f"{len(bad)} of {len(report)} scenarios failed: {' '.join(bad) or 'none'}"])


def main() -> int:
    """Play everything; 0 when all went well."""
    parser = argparse.ArgumentParser(prog="rig.py", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("deb", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", nargs="+", choices=[*PARTS, *SCENARIOS], default=list(PARTS))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # a time limit: the guest goes too
    names = list(dict.fromkeys(name for asked in options.only for name in PARTS.get(asked, (asked,))))
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kernel, modules = find_kernel(folder)
    report: dict[str, Figures] = {}
    try:
        with running(folder, kernel) as guest:
            image = installed(guest, folder, options.deb, modules)
            # What other parts found with this very package stays in the table.
            kept = folder / f"report-{image.stem.removeprefix('installed-')}.json"
            report |= json.loads(kept.read_text()) if kept.exists() else {}
            copy(image, folder / "run.img")
            guest.boot(folder / "run.img")
            again = [name for name in PERSISTS if name in names]
            for played, suffix in ((names, ""), (again, "-persists")):
                if suffix and again:
                    guest.run("echo persist > /rig/gpio; sync")
                    guest.cut()
                    guest.boot()
                guest.act("ready", "janusd", "300")
                for name, figures in play(guest, played, folder, suffix):
                    report[name] = figures
                    kept.write_text(json.dumps(report, indent=1))
    finally:
        print(f"\n{table(report)}", flush=True)
    return int(any(figures["verdict"] != "passed" for figures in report.values()))


if __name__ == "__main__":
    sys.exit(main())
