"""Composition root of the daemon: the only module that knows the drivers."""

from __future__ import annotations

import argparse
import asyncio
import grp
import importlib
import json
import logging
import os
import pwd
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import cv2

from janusd import __version__, models, programs, selftest, streams
from janusd import config as configuration
from janusd.config import CameraSection, Config, LatchSection, ModelSection, VaultSection
from janusd.control import Access, ControlServer, Role
from janusd.door import Finding
from janusd.errors import (
    Alarm,
    CameraError,
    ConfigError,
    InstallerError,
    JanusError,
    KeyUnavailable,
    OwnerError,
)
from janusd.hardening import harden
from janusd.journal import Journal, is_begun
from janusd.journal.ledger import Ledger
from janusd.journal.snapshots import Snapshots
from janusd.pipeline import Pipeline
from janusd.ports import Binding, Camera, Counter, Detector, Latch, Network
from janusd.service.door_service import DoorService
from janusd.vault import anchor as marks
from janusd.vault import format as sealed
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
from janusd.vault.ring import Ring
from janusd.vault.store import Vault
from janusd_hw import accelerators, boards, detectors, pair_check, v4l2
from janusd_hw.accelerators import FallbackNetwork, Probed, Shelf
from janusd_hw.camera_opencv import OpenCvCamera
from janusd_hw.camera_pair import PairCamera
from janusd_hw.camera_picamera2 import Picamera2Camera, list_cameras
from janusd_hw.camera_replay import ReplayCamera
from janusd_hw.camera_watch import CameraWatch, identity_finding
from janusd_hw.clock import SystemClock
from janusd_hw.detector_litert import OwnDetector
from janusd_hw.indicator_latchd import LatchdIndicator
from janusd_hw.keys_command import CommandBinding
from janusd_hw.keys_rpi import RpiOtp
from janusd_hw.latch_gpiod import GpiodLatch
from janusd_hw.latch_remote import LatchNews, RemoteLatch
from janusd_hw.latch_simulated import SimulatedLatch
from janusd_hw.litert import LiteRtNetwork
from janusd_hw.nir_lamp import NirLamp
from janusd_hw.pair_check import PairSeen
from janusd_hw.tensorrt import TensorRtNetwork
from janusd_hw.tpm import TpmCounter

log = logging.getLogger("janusd")

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h: systemd is told not to restart on it."""
EXIT_FAULT = 1
MEANINGS = {0: "stopped as asked", EXIT_CONFIG: "the configuration is wrong", EXIT_FAULT: "something else is"}
CODE_INPUT = "code"
"""The trigger input of janus-latchd that counts as the button for codes."""
_PROBE_S = 300.0
"""TensorRT builds an engine for minutes."""
_START_S = 30.0
"""For how long a start may go on without a word of the vision thread."""


def open_pipeline(
    section: ModelSection,
    released: models.Models | None = None,
    *,
    shelf: Shelf | None = None,
    on_fault: Callable[[str], None] = log.error,
) -> Pipeline:
    """Load these verified models, or verify the configured ones. Raises ModelError or NetworkError.

    `shelf` is where a probe of the accelerators left what it found; `on_fault` hears when one fails.
    """
    if released is None:
        released = models.for_door(section.directory)
    described, threads = released.manifest, threads_of(section)
    encoder = accelerators.open_network(
        encoder_parts(section, released), section.accelerator, threads, shelf=shelf, on_fault=on_fault
    )
    detector = open_detector(section, released, shelf=shelf, on_fault=on_fault)
    detectors.refuse_foreign(described, detector)
    attack_net = (
        (LiteRtNetwork(released.attack, threads=threads, runtime=section.runtime), described.attack)
        if described.attack
        else None
    )
    return Pipeline(detector, encoder, described.encoder, found_by=described.detector, attack_net=attack_net)


def open_detector(
    section: ModelSection,
    released: models.Models,
    *,
    shelf: Shelf | None = None,
    on_fault: Callable[[str], None] = log.error,
) -> Detector:
    """The detector of these models, by whatever a probe found to be the fastest for it.

    Its second look takes too little time for an accelerator. Raises ModelError or NetworkError.
    """
    threads = threads_of(section)
    network: Network | None = None
    parts = detector_parts(section, released)
    if parts is not None:
        wanted: Literal["auto", "cpu"] = "cpu" if section.accelerator == "cpu" else "auto"
        beside = None if shelf is None else detector_shelf(shelf)
        network = accelerators.open_network(parts, wanted, threads, shelf=beside, on_fault=on_fault)
    refiner = (
        LiteRtNetwork(released.refiner, threads=threads, runtime=section.runtime)
        if released.refiner
        else None
    )
    return detectors.open_detector(released.manifest, network, refiner)


def detector_shelf(shelf: Shelf) -> Shelf:
    """Where the probe of the detector lies, beside the encoder's."""
    return Shelf(shelf.folder, "detector")


def detector_parts(section: ModelSection, released: models.Models) -> accelerators.Parts | None:
    """What the detector of these models can be run from; None where they have none of their own."""
    spec = released.manifest.detector
    if spec is None:
        return None
    compiled = released.variants.get(_for_edgetpu(spec.file))
    return accelerators.Parts(
        released.detector, spec.sha256, compiled, None, section.runtime, section.delegate
    )


def _for_edgetpu(file: str) -> str:
    return file.removesuffix(".tflite") + "_edgetpu.tflite"


def encoder_parts(section: ModelSection, released: models.Models) -> accelerators.Parts:
    """What the encoder of these models can be run from."""
    spec, onnx = released.manifest.encoder, released.variants.get("model.onnx")
    return accelerators.Parts(
        released.encoder,
        spec.sha256,
        released.variants.get(_for_edgetpu(spec.file)),
        None if onnx is None else lambda: TensorRtNetwork(onnx, spec.input, spec.output),
        section.runtime,
        section.delegate,
    )


def _shipped_detector() -> Detector:
    """For set-up, before there is a configuration."""
    return open_detector(ModelSection(), models.for_door())


def threads_of(section: ModelSection) -> int:
    """How many threads the processor takes: as configured, else as the board's profile says."""
    return section.threads or boards.detect().threads


def open_camera(section: CameraSection, seen: PairSeen | None = None, lamp: NirLamp | None = None) -> Camera:
    """Open the configured camera, or the pair: `seen` keeps what its frames were like, `lamp` is kept lit.

    Raises CameraError.
    """
    if section.nir_device and section.driver == "replay":  # one recording of each, from one moment on
        start_s = SystemClock().monotonic_s()
        colour, infrared = (
            ReplayCamera(path, fps=section.fps, follow=section.follow, start_s=start_s)
            for path in (section.path, section.nir_device)
        )
        return PairCamera(colour, infrared, seen=seen, lamp=lamp)
    if section.nir_device:
        return PairCamera(
            _open_one(section, section.device, section.identity),
            _open_one(section, section.nir_device, section.nir_identity),
            seen=seen,
            lamp=lamp,
        )
    return _open_one(section, section.device, section.identity)


def _open_one(section: CameraSection, device: str, identity: str) -> Camera:
    match section.driver:
        case "replay":
            return ReplayCamera(section.path, pace=section.pace, fps=section.fps, follow=section.follow)
        case "opencv":
            return OpenCvCamera(
                device,
                width=section.width_px,
                height=section.height_px,
                fps=section.fps,
                pixels=section.pixels,
                identity=identity,
                login=_login(section.login),
                backlight=section.backlight,
                is_insecure=section.insecure,
            )
        case "picamera2":
            return Picamera2Camera(
                int(device) if device.isdigit() else 0,
                width=section.width_px,
                height=section.height_px,
                fps=section.fps,
                identity=identity,
                backlight=section.backlight,
                is_insecure=section.insecure,
            )


def _login(name: str) -> Path | None:
    """Where the credential of that name lies."""
    if not name:
        return None
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise CameraError(
            f"systemd gave no credentials, so there is no login {name} for the camera",
            f"add LoadCredentialEncrypted={name} to the unit",
        )
    return Path(folder) / name


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
    return FileAnchor(Path(section.anchor) if section.anchor else beside, counter(section))


def counter(section: VaultSection) -> Counter | None:
    """Name what tells an anchor put back, if anything does."""
    match section.counter:
        case "none":
            return None
        case "tpm2":
            return TpmCounter(section.counter_device, section.counter_index)


def prepare(config: Config) -> list[str]:
    """Make the key file, the counter and the empty vault, each only where it is missing; what was made.

    A counter that was turned on just now vouches from here on for the anchor that is there. Raises
    KeyUnavailable where a vault has lost its key.
    """
    made: list[str] = []
    folder = Path(config.vault.directory)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if config.vault.key == "file" and not _key_file(config.vault).exists():
        if _vault_path(config.vault).exists():
            raise KeyUnavailable(
                f"{_key_file(config.vault)} is gone, and the vault is there",
                "put the key back: a new one would open nothing",
            )
        create_key_file(_key_file(config.vault))
        made.append(f"key {_key_file(config.vault)}")
    ring, anchored = key_ring(config.vault), anchor(config.vault)
    if anchored.counter is not None and anchored.counter.make():
        made.append(anchored.counter.name)
    if not _vault_path(config.vault).exists():
        device = device_id(Path(config.vault.machine_id))
        Vault.create(_vault_path(config.vault), ring.present(), device, anchored)
        made.append(f"vault {_vault_path(config.vault)}")
    elif anchored.counter is not None:
        device = device_id(Path(config.vault.machine_id))
        keks = tuple(sealed.kek(source.key(), device) for source in (ring.present(), *ring.former()))
        if marks.begin_count(anchored, keks, device):
            made.append(f"the anchor in {anchored.name}")
    return made


def compose(config: Config) -> DoorService:
    """Put a door together. Raises JanusError, and leaves nothing open then."""
    anchored = anchor(config.vault)
    if not _vault_path(config.vault).exists() and anchored.read() is None:
        raise InstallerError(
            f"there is no vault at {_vault_path(config.vault)}",
            "make one: sudo janusctl setup --step keys, or without set-up: janusd --prepare --config FILE; "
            "a vault that was there and is gone means lost people",
        )
    cv2.setNumThreads(threads_of(config.model))
    ring = key_ring(config.vault)
    device = device_id(Path(config.vault.machine_id))
    log_path = _journal_path(config.vault)
    inherits = log_path.exists()

    def log_key() -> KeptKey:
        """The door log's key stays the same when the vault's changes; the first one was the vault's."""
        return KeptKey.open(_log_key_path(config.vault), ring, device, inherits=inherits)

    released = models.for_door(config.model.directory)
    shelf, listeners = Shelf(Path(config.vault.directory)), list[Callable[[str], None]]([log.error])

    def say_aloud(fault: str) -> None:
        for listener in listeners:
            listener(fault)

    pipeline = open_pipeline(config.model, released, shelf=shelf, on_fault=say_aloud)
    pair, lamp = PairSeen(), NirLamp() if config.camera.nir_lamp == "latchd" else None

    def eyes() -> Camera:
        return open_camera(config.camera, pair, lamp)

    camera = CameraWatch(eyes, fps=config.camera.fps)
    networks = [(pipeline.encoder, shelf)]
    if isinstance(pipeline.detector, OwnDetector):
        networks.append((pipeline.detector.network, detector_shelf(shelf)))
    with ExitStack() as opened:
        vault = opened.enter_context(
            closing(
                Keeper.open(
                    Place(
                        _vault_path(config.vault),
                        ring,
                        device,
                        pipeline.model_digest,
                        anchored,
                        log_key,
                    )
                )
            )
        )
        kept = log_key()  # after the vault: only now the key is known to be the right one
        # Where people are enrolled there was a log, for each of them is written down. Where there is one of
        # today's kind, or one is missed, a missing ledger was taken away. The ledger first: a kill between
        # the two must not forgive it.
        is_log_missed = vault.is_in_use and not os.path.lexists(log_path)
        ledger = opened.enter_context(
            closing(
                Ledger.open(
                    _ledger_path(config.vault),
                    kept,
                    may_begin=not (is_log_missed or is_begun(log_path)),
                    twin=anchored.path.with_name(anchored.path.name + "-tries"),
                )
            )
        )
        journal = opened.enter_context(closing(Journal.open(log_path, kept, is_missed=is_log_missed)))
        latch = opened.enter_context(closing(open_latch(config.latch)))
        if lamp is not None and isinstance(latch, RemoteLatch):
            lamp.indicate = latch.indicate
        door = DoorService(
            config=config,
            pipeline=pipeline,
            # Without the watch: a replay shows what it is given, which may stand still or begin again.
            open_camera=camera.open if config.camera.driver != "replay" else eyes,
            latch=latch,
            vault=vault,
            identity=Identity.of(kept.key(), device),
            journal=journal,
            ledger=ledger,
            key_source=ring.present(),
            clock=SystemClock(),
            snapshots=Snapshots(Path(config.vault.directory) / "snapshots", kept),
            model_signed_by=released.signed_by,
            indicator=LatchdIndicator(latch.indicate) if isinstance(latch, RemoteLatch) else None,
            drivers=lambda: [
                *camera.findings(),
                _anchor_finding(config.vault, anchored),
                *_identity(config.camera),
                *_pair(config, pair, lamp),
                *(line for network, kept in networks for line in accelerators.findings(network, kept)),
            ],
            ring=Ring(Path(config.vault.directory) / "unlocks", kept, device, pipeline.model_digest),
        )
        opened.pop_all()  # from here on the door closes them
    listeners.append(door.tell)
    for network, _ in networks:
        if isinstance(network, FallbackNetwork) and network.fault:
            door.tell(network.fault)
    if isinstance(latch, RemoteLatch):
        latch.listen(lambda news: _hear(door, news))
    return door


def _identity(section: CameraSection) -> list[Finding]:
    """Which camera sits there, for the doctor; nothing of streams and replays, which have no socket."""
    found = _sits_at(section.driver, section.device)
    return [] if found is None else [identity_finding(found, section.identity)]


def _pair(config: Config, seen: PairSeen, lamp: NirLamp | None) -> list[Finding]:
    """What can be said of the second camera, for the doctor; nothing where there is one camera."""
    section = config.camera
    if not section.nir_device:
        return []
    found = _sits_at(section.driver, section.nir_device)
    return pair_check.findings(
        seen,
        identity=None if found is None else (found, section.nir_identity),
        is_asked=config.attack.nir,
        lamp=lamp,
    )


def _sits_at(driver: str, device: str) -> str | None:
    """Which camera sits there, empty where none does; None of streams and replays, which have no socket."""
    if driver == "picamera2":
        return list_cameras().get(int(device) if device.isdigit() else 0, "")
    if driver == "replay" or not device.startswith("/dev/"):
        return None
    try:
        return v4l2.identity(device)
    except OSError:  # CameraError is one: the camera's own finding says what is wrong
        return ""


def _anchor_finding(section: VaultSection, anchored: FileAnchor) -> Finding:
    """What tells an older vault put back, for the doctor."""
    stops, said = marks.what_it_stops(anchored, _vault_path(section))
    remedy = 'where the board has a TPM: vault.counter = "tpm2"; else keep it on another disk: vault.anchor'
    return Finding("anchor", "ok" if stops else "warn", said, "" if stops else remedy)


def _hear(door: DoorService, news: LatchNews) -> None:
    """Hand on what an input at the door says: somebody is there, or somebody enters a code."""
    if news.trigger == CODE_INPUT and not news.lasts:
        door.press(news.at_s)
    if news.trigger:
        door.pull(news.trigger)


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

    control = ControlServer(
        config.control.socket, door, access=_access(config), gid=_group(config.control.group)
    )
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: _reload(path, door, control))
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


def _reload(path: Path, door: DoorService, control: ControlServer) -> None:
    """Read the configuration again: all that can be taken over is, or nothing."""
    try:
        changed = configuration.load(path)
        access = _access(changed)
        fixed = door.reload(changed)
    except JanusError as error:
        log.error("the configuration was not reloaded: %s", error)
    else:
        control.access = access
        log.info("reloaded %s%s", path, f"; restart to change {', '.join(fixed)}" if fixed else "")


async def _tell_systemd(door: DoorService, stopped: asyncio.Event) -> None:
    """Say READY, STATUS and WATCHDOG until `stopped`; a silent vision thread is not covered up.

    READY is said once a frame was looked at: before that nobody would be let in. WATCHDOG only from then on:
    the first one starts systemd's clock, and a small board may take longer than that to load picamera2. Until
    READY, TimeoutStartSec is the clock, prolonged while the vision thread comes round.
    """
    notify = _notifier()
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    is_ready = False
    while not stopped.is_set():
        status = await asyncio.to_thread(door.status)
        if not is_ready and status.frames:
            is_ready = True
            notify("READY=1")
        elif not is_ready and door.silent_s < _START_S / 2:  # it waits for a camera, and says so
            notify(f"EXTEND_TIMEOUT_USEC={round(_START_S * 1e6)}")
        notify(f"STATUS={status.state}, {status.people} people, {status.unlocks} unlocks")
        if is_ready and (not watchdog_s or door.silent_s < watchdog_s / 2):
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
        named={
            **dict.fromkeys(config.control.operators, Role.OPERATOR),
            **dict.fromkeys(config.control.residents, Role.RESIDENT),
            **dict.fromkeys(config.control.sensors, Role.SENSOR),
            **dict.fromkeys(map(_user, config.control.observers), Role.OBSERVER),
        },
        observers_hear=frozenset(config.control.observers_hear),
    )


def _user(of: int | str) -> int:
    try:
        return pwd.getpwnam(of).pw_uid if isinstance(of, str) else of
    except KeyError as error:
        raise ConfigError(
            f"control.observers: there is no user {of!r} on this device",
            f"make it: useradd --system {of}",
        ) from error


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


def main(arguments: list[str] | None = None) -> int:  # noqa: PLR0911 - one for each thing asked
    """Run janusd from the command line and give its exit status."""
    streams.fill()
    options = make_parser().parse_args(arguments)
    if options.self_test:
        return selftest.main(["--config", str(options.config)])
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    # What a decoder finds wrong with a picture is told to whoever sent it, not to the service's log.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        if options.discover:
            from janusd import survey  # noqa: PLC0415 - the daemon itself never needs it

            return survey.run(options.discover, survey.Surveyor(open_camera, _shipped_detector))
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
        if options.probe_accelerators:
            return _probe(options.config, config, options.probe_accelerators)
        if options.prepare:
            made = prepare(config)
            print("\n".join(f"made {thing}" for thing in made) or "everything was there already")
            return 0
        for missing in harden():
            log.error("%s", missing)
        return asyncio.run(serve(options.config, config))
    except ConfigError as error:
        print(f"janusd: {error}", file=sys.stderr)
        return EXIT_CONFIG
    except (InstallerError, Alarm, JanusError) as error:
        print(f"janusd: {error}", file=sys.stderr)
        return EXIT_FAULT


def _probe(path: Path, config: Config, which: str) -> int:
    """Try all that could run a network, each in its own process: a library that crashes ends only that."""
    released, folder = models.for_door(config.model.directory), Path(config.vault.directory)
    shelves = [(Shelf(folder), encoder_parts(config.model, released))]
    own = detector_parts(config.model, released)
    if own is not None:
        shelves.append((detector_shelf(Shelf(folder)), own))
    if which != "all":
        known = {
            _name_of(shelf, option): (parts, option)
            for shelf, parts in shelves
            for option in accelerators.options(parts, threads_of(config.model))
        }
        if which not in known:
            raise OwnerError(
                f"there is no {which!r} to probe", f"name one of {', '.join(known)}; or none, for all"
            )
        parts, option = known[which]
        reference = LiteRtNetwork(parts.network, runtime=parts.runtime)
        print(json.dumps(asdict(accelerators.probe(option, reference))))
        return 0
    said: dict[str, object] = {}
    for shelf, parts in shelves:
        probed = [
            _probed(path, shelf, option) for option in accelerators.options(parts, threads_of(config.model))
        ]
        chosen = shelf.keep(parts, probed)
        found_out = {"chosen": asdict(chosen), "probed": [asdict(tried) for tried in probed]}
        said |= {shelf.of: found_out} if shelf.of else found_out
    print(json.dumps(said, indent=1))
    return 0


def _name_of(shelf: Shelf, option: accelerators.Option) -> str:
    """As --probe-accelerators takes it: "cpu:1", "detector/gpu:1"."""
    return f"{shelf.of}/{option.name}:{option.threads}".removeprefix("/")


def _probed(path: Path, shelf: Shelf, option: accelerators.Option) -> Probed:
    alone = _name_of(shelf, option)
    command = programs.command("janusd.main", "--config", str(path), "--probe-accelerators", alone)
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_S, check=False)  # noqa: S603 - this very program
        said = ended.stdout.strip().splitlines()
        if said and not ended.returncode:
            return Probed(**json.loads(said[-1]))
        detail = f"it ended with status {ended.returncode}"
    except subprocess.TimeoutExpired:
        detail = f"it took longer than {_PROBE_S:g} s"
    return Probed(option.name, option.threads, detail=detail)


def make_parser() -> argparse.ArgumentParser:
    """The daemon's command line."""
    parser = argparse.ArgumentParser(
        prog="janusd",
        description="Watch a door and unlock it for the people enrolled there. Talk to it with janusctl.",
        epilog=f"Exit status: {', '.join(f'{code} {meaning}' for code, meaning in MEANINGS.items())}; "
        "the reason stands on standard error.",
    )
    parser.add_argument("--config", type=Path, default=configuration.DEFAULT_PATH, metavar="FILE",
                        help="configuration (default: %(default)s)")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="check configuration and models, then end")
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="make key file, TPM counter and empty vault where missing, then end",
    )
    parser.add_argument(
        "--discover", nargs="?", const="print", choices=("print", "serve"), metavar="serve",
        help="print as JSON what hardware there is, then end; for janusctl setup",
    )  # fmt: skip
    parser.add_argument(
        "--self-test", action="store_true", help="try what this sandbox refuses, print JSON, then end"
    )
    parser.add_argument(
        "--probe-accelerators", nargs="?", const="all", metavar="ONE",
        help="try and time what could run the networks, keep the best for `auto`, print JSON, then end",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"janusd {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
