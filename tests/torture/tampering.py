"""Somebody with the card edits it: rows, whole files, models, configuration, keys.

Refused: opening raises one of our errors, which names a next step. Harmless: it opened, and what matters is
as it was. Harm: anything else, a traceback of another kind above all.

A configuration is its owner's to edit, so it is not signed. "refused" there means `ConfigError`, with which
janusd ends with status 78 and starts no door; "within the floors" that it reads, and that no value a door's
safety rests on is beyond the floor that is written down here a second time, apart from `config.py`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from janusd import config as configuration
from janusd import models as released
from janusd.config import Config
from janusd.core.limiter import Tally
from janusd.errors import JanusError
from janusd.journal import Journal
from janusd.journal.ledger import Ledger
from janusd.vault.format import Record
from janusd.vault.keys import CredentialKey
from janusd.vault.parcel import Identity, pack, unpack
from janusd.vault.store import Vault
from support.damage import flip, run_sql
from torture.kit import DEVICE, MODEL, SmallVault, embeddings, new_key
from torture.row import Row, Tick

SHIPPED = Path(__file__).parents[2] / "systemd" / "janus.toml"


def attempt(row: Row, look: Callable[[], str]) -> None:
    """Count how opening ended; `look` says what came of it, "harm: ..." for what must not."""
    row.times += 1
    try:
        word = look()
    except JanusError as e:
        word = "refused" if e.remedy else "harm: refused without a next step"
    except Exception as e:  # noqa: BLE001  # whatever it is, it must not come out
        word = f"harm: {type(e).__name__}"
    if word.startswith("harm: "):
        row.harm[word.removeprefix("harm: ")] += 1
    else:
        row.went[word] += 1


def rows(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """One value of one row of the vault is another: every one of them is refused."""
    row, chance, vault = Row("a row of the vault edited"), random.Random(seed), SmallVault(folder)
    columns = {
        "person": (
            "person_id",
            "wrapped_key",
            "template_id",
            "model_digest",
            "generation",
            "record",
            "number",
        ),
        "vault": ("vault_id", "canary", "roster"),
        "secret": ("box",),
    }
    for _ in range(times):
        vault.mend()
        table = chance.choices(list(columns), weights=(8, 2, 1))[0]
        column = chance.choice(columns[table])
        where = f"WHERE rowid = {chance.randint(1, 3)}" if table == "person" else ""
        bit = chance.randrange(10_000)
        value = {
            "number": "number + 10",
            "generation": f"generation + {chance.choice((-1, 1, 2, 1000))}",
        }.get(column, f"flip({column}, {bit})")
        run_sql(
            vault.path,
            chance.choice(
                [f"UPDATE {table} SET {column} = {value} {where}"] * 6
                + [f"DELETE FROM {table} {where}"]
                + [f"UPDATE {table} SET {column} = zeroblob(40) {where}"]
                * (column not in ("number", "generation"))
            ),
        )

        def look() -> str:
            opened = vault.open()
            opened.close()
            return "harm: opened"

        attempt(row, look)
        tick()
    return [row]


def _spoil(chance: random.Random, content: bytes) -> bytes:
    """A few bytes, a stretch, or the end of a file are others."""
    altered = bytearray(content)
    start = chance.randrange(len(altered))
    match chance.choice(("bit", "bytes", "cut", "grown", "swapped")):
        case "bit":
            altered[start] ^= 1 << chance.randrange(8)
        case "bytes":
            end = min(start + chance.choice((1, 4, 64, 2000)), len(altered))
            altered[start:end] = chance.randbytes(end - start)
        case "cut":
            del altered[start:]
        case "grown":
            altered += chance.randbytes(chance.choice((1, 512, 4096)))
        case _:
            other, size = chance.randrange(len(altered)), chance.choice((16, 512, 4096))
            here, there = altered[start : start + size], altered[other : other + size]
            altered[start : start + size], altered[other : other + size] = there, here
    return bytes(altered)


def database(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Bytes of the vault's file are others: refused, or they meant nothing and everybody is as before."""
    row, chance, vault = Row("the vault's file edited"), random.Random(seed), SmallVault(folder)

    def look() -> str:
        opened = vault.open()
        try:
            return "harmless" if opened.people() == vault.people else "harm: other people"
        finally:
            opened.close()

    for _ in range(times):
        vault.mend()
        vault.path.write_bytes(_spoil(chance, vault.content))
        attempt(row, look)
        tick()
    return [row]


def models(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Bytes of the released model, its manifest or its signature are others: every one is refused."""
    row, chance = Row("the released model edited"), random.Random(seed)
    bundle = folder / "models"
    shutil.copytree(released.RELEASED, bundle)
    good = released.for_door(str(bundle))
    checked = [*bundle.glob("*.tflite"), bundle / "manifest.json", *bundle.glob("*.sig*")]
    checked = [path for path in checked if path.name in _names(good, bundle)]
    for _ in range(times):
        path = chance.choice(checked)
        content = path.read_bytes()
        spoiled = _spoil(chance, content)
        path.write_bytes(spoiled)

        def look(spoiled: bytes = spoiled, content: bytes = content) -> str:
            opened = released.for_door(str(bundle))
            same = spoiled == content or (opened.encoder == good.encoder and opened.manifest == good.manifest)
            return "harmless" if same else "harm: another model"

        attempt(row, look)
        path.write_bytes(content)
        tick()
    return [row]


def _names(good: released.Models, bundle: Path) -> set[str]:
    """What a door reads of a model folder: not the card beside it."""
    return {good.manifest.encoder.file, "manifest.json", *(path.name for path in bundle.glob("*.sig*"))}


FLOORS: dict[str, Callable[[Config], bool]] = {
    "fewer than two frames agree": lambda c: c.decision.agree >= 2,
    "more than 20 frames to agree in": lambda c: c.decision.window <= 60 and c.decision.window_s <= 10,
    "no margin": lambda c: c.decision.margin >= 0.02,
    "more than ten failures": lambda c: 1 <= c.decision.failures <= 10,
    "a wait under ten seconds": lambda c: c.decision.lockout_s >= 10,
    "a pulse over 30 s": lambda c: 0.2 <= c.latch.hold_s <= 30,
    "a laxer promise": lambda c: c.promise.years * 365.25 * c.promise.tries_a_day >= 100,
    "a log of less than a week": lambda c: c.log.keep_days >= 7,
    "an anchor beside the vault": lambda c: (
        not (c.vault.anchor and Path(c.vault.anchor).is_relative_to(c.vault.directory))
    ),
    "protection off in silence": lambda c: not _is_off_in_silence(c),
}
"""What would be careless; none of it may be read."""


def _is_off_in_silence(config: Config) -> bool:
    """Whether attack detection is off without the key that is logged at every start."""
    return config.attack.level == "off" and not configuration.insecure(config)


def config(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """Careless values, and then characters changed by chance."""
    chance, shipped = random.Random(seed), SHIPPED.read_text(encoding="utf-8")
    careless, edited = Row("careless values in the configuration"), Row("characters of it changed")
    for text in _careless():
        attempt(careless, lambda text=text: _within(text, may_pass=False))
    for _ in range(times):
        altered = list(shipped)
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(altered))
            altered[at] = chance.choice("0123456789.-=[]\"'#\n eE_\\\x00\u202eö" + shipped)
        text = "".join(altered)
        attempt(edited, lambda text=text: _within(text, may_pass=True))
        tick()
    return [careless, edited]


def _within(text: str, *, may_pass: bool) -> str:
    read = configuration.parse(text)
    for word, holds in FLOORS.items():
        if not holds(read):
            return f"harm: {word}"
    return "within the floors" if may_pass else "harm: read"


def _careless() -> list[str]:
    """One text for each bound of each field, just beyond it, and for things that are no field at all."""
    texts = [
        '[attack]\nlevel = "off"',
        "[decision]\nagree = 8\nwindow = 3",
        "[promise]\nyears = 0.01\ntries_a_day = 0.1",
        '[vault]\ndirectory = "/x"\nanchor = "/x/y"',
        "[decision]\nthreshold = 0.1",
        "[decision]\nlockout_s = 1e400",
        "[latch]\nhold_s = inf",
        "[latch]\nhold_s = nan",
        "[decision]\nmargin = nan",
        "[promise]\nyears = nan",
        "[security]\nenabled = false",
        "[decision]\nagree = true",
        "decision = 3",
    ]
    for section in msgspec.structs.fields(Config):
        for field in msgspec.structs.fields(section.type):
            kind = msgspec.inspect.type_info(field.type)
            for bound, beyond in (("ge", -1e-6), ("gt", 0.0), ("le", 1e-6), ("lt", 0.0)):
                limit = getattr(kind, bound, None)
                if limit is None:
                    continue
                if isinstance(kind, msgspec.inspect.IntType):
                    beyond = {"ge": -1, "le": 1}.get(bound, 0)  # noqa: PLW2901
                texts.append(f"[{section.name}]\n{field.name} = {limit + beyond!r}")
    return texts


def credential(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The key is another, shorter, longer, blank, open to others or a link: every one is refused."""
    row, chance, vault = Row("the credential edited"), random.Random(seed), SmallVault(folder)
    passed = folder / "credentials"
    passed.mkdir(mode=0o700)
    path, good = passed / "janus-key", vault.key.path.read_bytes()

    def look() -> str:
        opened = Vault.open(vault.path, CredentialKey(passed), DEVICE, MODEL, anchor=vault.anchor)
        opened.close()
        return "harm: opened"

    for _ in range(times):
        vault.mend()
        path.unlink(missing_ok=True)
        altered, mode = good, 0o600
        match chance.choice(("bit", "bit", "bit", "bytes", "size", "blank", "mode", "link", "gone")):
            case "bit":
                altered = flip(good, chance.randrange(256))
            case "bytes":
                altered = chance.randbytes(32)
            case "size":
                altered = chance.randbytes(chance.choice((0, 1, 16, 31, 33, 64, 5000)))
            case "blank":
                altered = bytes([chance.randrange(256)]) * 32
            case "mode":
                mode = chance.choice((0o604, 0o602, 0o660, 0o666, 0o777))
            case "link":
                path.symlink_to(vault.key.path)
            case _:
                mode = -1
        if mode >= 0 and not path.is_symlink():
            path.write_bytes(altered)
            path.chmod(mode)
        attempt(row, look)
        tick()
    return [row]


def others(times: int, seed: int, folder: Path, tick: Tick) -> list[Row]:
    """The anchor, the tally of tries, the door log, a parcel of people."""
    chance = random.Random(seed)
    return [
        _anchor(times, chance, folder / "a", tick),
        _tally(times, chance, folder / "t"),
        _log(times, chance, folder / "l"),
        _parcel(times, chance),
    ]


def _anchor(times: int, chance: random.Random, folder: Path, tick: Tick) -> Row:
    row, vault = Row("the anchor edited"), SmallVault(folder)

    def look() -> str:
        opened = vault.open()
        opened.close()
        return "harm: opened"

    for _ in range(times):
        vault.mend()
        vault.anchor.path.write_bytes(_spoil(chance, vault.mark))
        if vault.anchor.path.read_bytes() != vault.mark:
            attempt(row, look)
        tick()
    return row


def _tally(times: int, chance: random.Random, folder: Path) -> Row:
    row, key = Row("the tally of tries edited"), new_key(folder / "key")
    paths = (folder / "tries", folder / "elsewhere" / "tries")
    opened = Ledger.open(paths[0], key, may_begin=True, twin=paths[1])
    copies = []
    for spent in (3, 11, 19):
        opened.write(Tally(spent, spent))
        copies.append(paths[0].read_bytes())
    opened.close()
    whole = [path.read_bytes() for path in paths]

    def look() -> str:
        again = Ledger.open(paths[0], key, may_begin=False, twin=paths[1])
        again.close()
        return "nothing forgiven" if again.tally.is_off or again.tally.spent >= 19 else "harm: forgiven"

    for _ in range(times):
        for path, content in zip(paths, whole, strict=True):
            path.write_bytes(content)
        spoiled = chance.randrange(2)
        older = chance.random() < 0.2
        paths[spoiled].write_bytes(chance.choice(copies) if older else _spoil(chance, whole[spoiled]))
        attempt(row, look)
    return row


def _log(times: int, chance: random.Random, folder: Path) -> Row:
    row, key = Row("the door log edited"), new_key(folder / "key")
    path = folder / "log.db"
    journal = Journal.open(path, key)
    for number in range(40):
        journal.append("decision", "matched", name=f"p{number}")
    told = journal.entries(limit=1000)
    journal.close()
    whole = path.read_bytes()

    def look() -> str:
        again = Journal.open(path, key)
        try:
            again.verify()
            return "harmless" if again.entries(limit=1000) == told else "harm: another log verifies"
        finally:
            again.close()

    for _ in range(times):
        for left in folder.glob("log.db-*"):
            left.unlink()
        path.write_bytes(_spoil(chance, whole))
        attempt(row, look)
    return row


def _parcel(times: int, chance: random.Random) -> Row:
    row = Row("a parcel of people edited")
    here, there = Identity.of(b"h" * 32, DEVICE), Identity.of(b"t" * 32, b"e" * 32)
    people = (Record("Ada", "", "2026-11-22T12:00:00+00:00", embeddings(1)),)
    whole = pack(people, MODEL, here, to=there.address)
    for _ in range(times):
        spoiled = _spoil(chance, whole)
        if spoiled != whole:
            attempt(row, lambda spoiled=spoiled: f"harm: opened {len(unpack(spoiled, MODEL, there).people)}")
    return row
