"""What a running door can find wrong with itself, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator

from janusd import selftest
from janusd.config import AttackSection
from janusd.door import Finding
from janusd.errors import JanusError
from janusd.journal import Journal
from janusd.ports import Clock
from janusd.service.rules import Rules


def examine(
    *,
    camera: str,
    has_seen: bool,
    latch: str,
    is_latch_well: bool,
    key_source: str,
    key_stops: tuple[bool, str],
    vault: tuple[str, str],
    encoder: str,
    model_signed_by: str,
    rules: Rules,
    stale_people: int,
    crops: tuple[bool, int],
    clock: Clock,
    is_face_off: bool,
    ledger_fault: str,
    journal: Journal,
    trigger: str,
) -> list[Finding]:
    """Give one finding a check, in the order a person would look."""
    return [
        _finding("camera", has_seen, camera, "check cable, driver and the section [camera]"),
        _finding(
            "trigger",
            not trigger.endswith("none came"),
            trigger,
            "pull the input once; see [door.NAME] triggers in latch.toml, and hw/WIRING.md",
            "warn",
        ),
        _finding("latch", "simulated" not in latch, latch, "set latch.driver to drive a real lock", "warn")
        if is_latch_well
        else _finding("latch", False, latch, "see `systemctl status janus-latchd`, then hw/WIRING.md"),
        _finding(
            "key",
            key_stops[0],
            f"{key_source}: {key_stops[1]}",
            "bind it to the board: vault.binding, or a credential that its TPM made",
            "warn",
        ),
        _finding("vault", not vault[0], vault[0] or "whole, anchored and backed up", vault[1]),
        _finding(
            "model",
            bool(model_signed_by),
            f"{encoder}, {f'signed by {model_signed_by}' if model_signed_by else 'not signed'}",
            "install a signed bundle: janusctl model install FILE",
        ),
        *_sandbox(),
        *_people(rules, stale_people),
        *_crops(*crops),
        _finding(
            "promise",
            not rules.point.is_extrapolated,
            rules.promise_in_words,
            "ask for a promise that the encoder's measurements reach",
            "warn",
        ),
        _clock(clock),
        _finding(
            "tries",
            not is_face_off and not ledger_fault,
            ledger_fault or ("face unlock is off after too many" if is_face_off else "counted, and kept"),
            "free the disk, or see whether it fails"
            if ledger_fault
            else "look at the log for who tried, then: janusctl unlock-face",
        ),
        _journal(journal),
    ]


def attack_detection(section: AttackSection, network: str, shows_signs: bool) -> Finding:
    """What attack detection can and cannot do here: an owner must not believe in more."""
    remedy = 'set attack.level = "live", or challenge = "always" with an indicator'
    if section.level == "off":
        return _finding("attacks", False, "detection is off: any photograph may open this door", remedy)
    if section.challenge != "never" and not shows_signs:
        said = "turns of the head are asked for, and there is no indicator to ask with"
        return _finding("attacks", False, said, 'name an indicator, or set attack.challenge = "never"')
    asks = section.level == "live" or section.challenge == "always" or section.nir
    by = f"network {network}" if network else "no network"
    if asks:
        return _finding("attacks", True, f"level {section.level}, challenge {section.challenge}, {by}", "")
    if network:
        said = f"level passive, {by}, which has met no real print or screen: janusctl attack-test"
        return _finding("attacks", False, said, remedy, "warn")
    said = "level passive without a network: a photograph that is held still is not found out"
    return _finding("attacks", False, said, remedy, "warn")


def _crops(are_kept: bool, people: int) -> Iterator[Finding]:
    """Of how many people the crops are kept, and what that means; nothing where none are, nor will be."""
    if are_kept or people:
        said = (
            f"sealed pictures of {people} people are kept: a thief of card and key sees their faces, not"
            " embeddings alone, and could show them to this door or any other"
        )
        remedy = (
            "to destroy them: vault.keep_crops = false, then restart; a new encoder then means enrolling anew"
        )
        yield _finding("crops", False, said, remedy, "warn")


def _sandbox() -> Iterator[Finding]:
    """What the unit's self-test found at this start; nothing where no unit started this door."""
    report = selftest.last_report()
    if report is not None:
        remedy = "each check: /run/janus/self-test.json; what weakens the unit: `systemctl cat janusd`"
        yield _finding("sandbox", not report.failed, report.in_words, remedy, "warn")


def _people(rules: Rules, stale_people: int) -> Iterator[Finding]:
    if stale_people:
        detail = f"encoder or detector changed: {stale_people} people are no longer recognised"
        yield _finding("people", False, detail, "forget and enrol them again")
        return
    count = len(rules.gallery)
    yield _finding(
        "people", count > 0, f"{count} can be recognised", "enrol somebody: janusctl enrol", "warn"
    )


def _clock(clock: Clock) -> Finding:
    is_trusted = clock.wall() is not None
    detail = "trusted" if is_trusted else "not trusted: nobody who has hours is let in"
    return _finding("clock", is_trusted, detail, "set up NTP or a hardware clock", "warn")


def _journal(journal: Journal) -> Finding:
    try:
        entries = journal.verify()
    except JanusError as error:
        return _finding("door log", False, error.what, error.remedy)
    return _finding("door log", True, f"whole up to entry {entries}, none altered or missing", "")


def _finding(check: str, is_good: bool, detail: str, remedy: str, otherwise: str = "fail") -> Finding:
    return Finding(check, "ok" if is_good else otherwise, detail, "" if is_good else remedy)
