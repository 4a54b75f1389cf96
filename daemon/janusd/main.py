"""Composition root of the daemon: the only module that knows the drivers."""

from __future__ import annotations

import argparse
import asyncio
import grp
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import cv2

from janusd import __version__, models
from janusd import config as configuration
from janusd.config import CameraSection, Config, LatchSection, ModelSection, VaultSection
from janusd.control import Access, ControlServer
from janusd.errors import Alarm, ConfigError, InstallerError, JanusError, KeyUnavailable
from janusd.journal import Journal, is_begun
from janusd.ledger import Ledger
from janusd.pipeline import Pipeline
from janusd.ports import Binding, Camera, Latch
from janusd.service import DoorService
from janusd.vault.anchor import FileAnchor
from janusd.vault.keeper import Keeper, Place
from janusd.vault.keys import (
    CredentialBinding,
    CredentialKey,
    FileKey,
    KeptKey,
    KeyRing,
    create_key_file,
    device_id,
)
from janusd.vault.parcel import Identity
from janusd.vault.store import Vault
from janusd_hw.camera_opencv import OpenCvCamera
from janusd_hw.camera_picamera2 import Picamera2Camera
from janusd_hw.camera_replay import ReplayCamera
from janusd_hw.clock import SystemClock
from janusd_hw.keys_command import CommandBinding
from janusd_hw.keys_rpi import RpiOtp
from janusd_hw.latch_gpiod import GpiodLatch
from janusd_hw.latch_remote import RemoteLatch
from janusd_hw.latch_simulated import SimulatedLatch
from janusd_hw.litert import LiteRtNetwork
from janusd_hw.mtcnn import MtcnnDetector

log = logging.getLogger("janusd")

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: systemd is told not to restart on it."""
EXIT_FAULT = 1


def open_pipeline(section: ModelSection, released: models.Models | None = None) -> Pipeline:
    """Load these verified models, or verify the configured ones. Raises ModelError or NetworkError."""
    if released is None:
        released = models.for_door(section.directory)
    encoder = LiteRtNetwork(
        released.encoder,
        threads=section.threads,
        runtime=section.runtime,
        delegate=section.delegate or None,
    )
    return Pipeline(MtcnnDetector(), encoder, released.manifest.encoder)


def open_camera(section: CameraSection) -> Camera:
    """Open the configured camera. Raises CameraError."""
    match section.driver:
        case "replay":
            return ReplayCamera(section.path, pace=section.pace, fps=section.fps, follow=section.follow)
        case "opencv":
            return OpenCvCamera(
                section.device, width=section.width_px, height=section.height_px, fps=section.fps
            )
        case "picamera2":
            index = int(section.device) if section.device.isdigit() else 0
            return Picamera2Camera(index, width=section.width_px, height=section.height_px, fps=section.fps)


def open_latch(section: LatchSection) -> Latch:
    """Open the configured latch, locked. Raises LatchError."""
    match section.driver:
        case "simulated":
            return SimulatedLatch(
                max_hold_s=section.hold_s, timeline_file=Path(section.timeline) if section.timeline else None
            )
        case "gpiod":
            return GpiodLatch(
                section.chip, section.line, active_low=section.active_low, max_hold_s=section.hold_s
            )
        case "latchd":
            return RemoteLatch(section.socket, section.door)


def key_source(section: VaultSection) -> FileKey | CredentialKey:
    """Name the source of the vault's key; it is read when the vault is opened."""
    if section.key == "file":
        return FileKey(_key_file(section))
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise KeyUnavailable(
            "systemd gave no credentials ($CREDENTIALS_DIRECTORY is not set)",
            'start janusd from its unit, or set vault.key = "file" while developing',
        )
    return CredentialKey(Path(folder))


def binding(section: VaultSection) -> Binding | None:
    """Name the hardware that the vault's key is bound to, if it is."""
    match section.binding:
        case "none":
            return None
        case "rpi-otp":
            return RpiOtp()
        case "command":
            return CommandBinding(section.binding_command)
        case "credential":
            folder = os.environ.get("CREDENTIALS_DIRECTORY")
            return CredentialBinding(Path(folder) if folder else None)


def key_ring(section: VaultSection) -> KeyRing:
    """Name the vault's key and what it is bound to."""
    return KeyRing(key_source(section), binding(section))


def anchor(section: VaultSection) -> FileAnchor:
    """Name what tells an older vault put back."""
    folder = Path(section.directory)
    beside = folder.with_name(folder.name + "-anchor") / "vault"
    return FileAnchor(Path(section.anchor) if section.anchor else beside)


def prepare(config: Config) -> list[str]:
    """Make the key file and the empty vault, each only where it is missing; give what was made."""
    made: list[str] = []
    folder = Path(config.vault.directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.vault.key == "file" and not _key_file(config.vault).exists():
        create_key_file(_key_file(config.vault))
        made.append(f"key {_key_file(config.vault)}")
    source = key_ring(config.vault).present()
    if not _vault_path(config.vault).exists():
        device = device_id(Path(config.vault.machine_id))
        Vault.create(_vault_path(config.vault), source, device, anchor(config.vault))
        made.append(f"vault {_vault_path(config.vault)}")
    return made


def compose(config: Config) -> DoorService:
    """Put a door together. Raises JanusError, and leaves nothing open then."""
    anchored = anchor(config.vault)
    if not _vault_path(config.vault).exists() and anchored.read() is None:
        raise InstallerError(
            f"there is no vault at {_vault_path(config.vault)}",
            "make one: janusd --prepare --config FILE; a vault that was there and is gone means lost people",
        )
    cv2.setNumThreads(config.model.threads)
    ring = key_ring(config.vault)
    device = device_id(Path(config.vault.machine_id))
    log_path = _journal_path(config.vault)
    inherits = log_path.exists()

    def log_key() -> KeptKey:
        """The door log's key stays the same when the vault's changes; the first one was the vault's."""
        return KeptKey.open(_log_key_path(config.vault), ring, device, inherits=inherits)

    released = models.for_door(config.model.directory)
    pipeline = open_pipeline(config.model, released)
    with ExitStack() as opened:
        vault = opened.enter_context(
            closing(
                Keeper.open(
                    Place(
                        _vault_path(config.vault),
                        ring,
                        device,
                        bytes.fromhex(pipeline.spec.sha256),
                        anchored,
                        log_key,
                    )
                )
            )
        )
        kept = log_key()  # after the vault: only now the key is known to be the right one
        # The ledger first: where there is a door log of today's kind, a missing ledger was taken away.
        ledger = opened.enter_context(
            closing(Ledger.open(_ledger_path(config.vault), kept, may_begin=not is_begun(log_path)))
        )
        journal = opened.enter_context(closing(Journal.open(log_path, kept)))
        latch = opened.enter_context(closing(open_latch(config.latch)))
        door = DoorService(
            config=config,
            pipeline=pipeline,
            open_camera=lambda: open_camera(config.camera),
            latch=latch,
            vault=vault,
            identity=Identity.of(kept.key(), device),
            journal=journal,
            ledger=ledger,
            key_source=ring.present(),
            clock=SystemClock(),
            model_signed_by=released.signed_by,
        )
        opened.pop_all()  # from here on the door closes them
    return door


async def serve(path: Path, config: Config) -> int:
    """Run a door until SIGTERM or SIGINT; SIGHUP reads the configuration again."""
    door = compose(config)
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    crashed = False

    def see() -> None:
        nonlocal crashed
        try:
            door.run()
        except Exception:  # the last line of defence: a door whose eyes failed must say so and stop
            log.exception("the vision thread failed")
            crashed = True
        finally:
            loop.call_soon_threadsafe(stopped.set)

    def stop() -> None:
        log.info("stopping")
        door.stop()

    def reload() -> None:
        try:
            changed = configuration.load(path)
            fixed = door.reload(changed)
            control.access = _access(changed)
        except JanusError as error:
            log.error("the configuration was not reloaded: %s", error)
        else:
            log.info("reloaded %s%s", path, f"; restart to change {', '.join(fixed)}" if fixed else "")

    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    control = ControlServer(
        config.control.socket, door, access=_access(config), gid=_group(config.control.group)
    )
    await control.start()
    eyes = threading.Thread(target=see, name="vision")
    eyes.start()
    try:
        await _tell_systemd(door, stopped)
    finally:
        door.stop()
        await control.close()
        await asyncio.to_thread(eyes.join)
        door.close()
    return EXIT_FAULT if crashed else 0


async def _tell_systemd(door: DoorService, stopped: asyncio.Event) -> None:
    """Say READY, STATUS and WATCHDOG until `stopped`; a silent vision thread is not covered up."""
    notify = _notifier()
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    notify("READY=1")
    while not stopped.is_set():
        status = await asyncio.to_thread(door.status)
        notify(f"STATUS={status.state}, {status.people} people, {status.unlocks} unlocks")
        if not watchdog_s or door.silent_s < watchdog_s / 2:
            notify("WATCHDOG=1")
        try:
            await asyncio.wait_for(stopped.wait(), timeout=min(1.0, watchdog_s / 4) if watchdog_s else 1.0)
        except TimeoutError:
            continue
    notify("STOPPING=1")


def _notifier() -> Callable[[str], object]:
    if "NOTIFY_SOCKET" not in os.environ:
        return lambda _: None
    try:
        daemon = importlib.import_module("systemd.daemon")  # python-systemd, where it is installed
    except ImportError:
        log.error("systemd waits for READY, but its Python module is missing; install python3-systemd")
        return lambda _: None
    notify: Callable[[str], object] = daemon.notify
    return notify


def _access(config: Config) -> Access:
    gid = _group(config.control.group)
    return Access(
        owner_uids=frozenset(config.control.owners),
        owner_gids=frozenset() if gid is None else frozenset({gid}),
    )


def _group(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid if name else None
    except KeyError as error:
        raise ConfigError(
            f"control.group: there is no group {name!r} on this device", f"make it: groupadd --system {name}"
        ) from error


def _key_file(section: VaultSection) -> Path:
    return Path(section.key_file) if section.key_file else Path(section.directory) / "key"


def _vault_path(section: VaultSection) -> Path:
    return Path(section.directory) / "vault.db"


def _log_key_path(section: VaultSection) -> Path:
    return Path(section.directory) / "log.key"


def _journal_path(section: VaultSection) -> Path:
    return Path(section.directory) / "door-log.db"


def _ledger_path(section: VaultSection) -> Path:
    return Path(section.directory) / "tries"


def main(arguments: list[str] | None = None) -> int:
    """Run janusd from the command line and give its exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    # What a decoder finds wrong with a picture is told to whoever sent it, not to the service's log.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        config = configuration.load(options.config)
        if options.check:
            released = models.for_door(config.model.directory)
            open_pipeline(config.model, released)
            encoder = released.manifest.encoder
            print(
                f"{options.config}: good; the models are the released ones: {encoder.name} version "
                f"{encoder.version}, signed by {released.signed_by}"
            )
            return 0
        if options.prepare:
            made = prepare(config)
            print("\n".join(f"made {thing}" for thing in made) or "everything was there already")
            return 0
        return asyncio.run(serve(options.config, config))
    except ConfigError as error:
        print(f"janusd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except (InstallerError, Alarm, JanusError) as error:
        print(f"janusd: {error}", file=sys.stderr)
        return EXIT_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="janusd",
        description="Watch a door and unlock it for the people enrolled there. Talk to it with janusctl.",
        epilog=f"Exit status: 0 stopped as asked, {EXIT_CONFIG} the configuration is wrong, "
        f"{EXIT_FAULT} something else is; the reason stands on standard error.",
    )
    parser.add_argument("--config", type=Path, default=configuration.DEFAULT_PATH, metavar="FILE",
                        help="configuration (default: %(default)s)")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="check configuration and models, then end")
    parser.add_argument(
        "--prepare", action="store_true", help="make the key file and an empty vault where missing, then end"
    )
    parser.add_argument("--version", action="version", version=f"janusd {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
