"""What janusctl looks like: tables and panels, in colour on a terminal and plain elsewhere.

Everything that came from the daemon or from a file name passes `escape`, and nothing is parsed as markup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from janusd import language
from janusd.cli.when import duration, local
from janusd.core.reason import Reason
from janusd.door import DURESS, Entry, Event, Finding, Person, Status
from janusd.escape import escape

if TYPE_CHECKING:
    from janusd.cli.enrol import Sample

_GLYPHS = {"ok": ("✓", "+"), "warn": ("!", "!"), "fail": ("✗", "x"), "open": ("●", "*"), "shut": ("·", "-")}
_STYLES = {"ok": "green", "warn": "yellow", "fail": "red", "open": "bold green", "shut": "dim"}

_REASONS = frozenset(Reason)
_PIPE_COLUMNS = 160
"""Where the output goes into a pipe or a file: wide enough to keep an entry on its line."""

_VERDICTS = {  # what enrolment says beyond a `Reason`
    "good": "taken",
    "another_person": "looks like somebody else than the other pictures",
    "duplicate_view": "too much like a picture before it",
}


def draw(verb: str, value: object) -> None:
    """Draw what a verb found, on standard output."""
    views: dict[str, Callable[[Any], RenderableType]] = {
        "status": status, "people": people, "forget": forgotten, "log": log, "doctor": doctor,
        "unlock-face": face_on,
    }  # fmt: skip
    console().print(views[verb](value))


def console() -> Console:
    """The console on standard output. rich looks at NO_COLOR, TERM and whether this is a terminal."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _PIPE_COLUMNS
    return Console(highlight=False, markup=False, emoji=False, width=width)


def mark(kind: str) -> Text:
    """A sign for ok, warn, fail, open or shut, in ASCII where the terminal has no more."""
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return Text(_GLYPHS[kind][0 if is_unicode else 1], style=_STYLES[kind])


def words(reason: str) -> str:
    """A reason in plain words."""
    return _VERDICTS.get(reason) or escape(reason.replace("_", " "))


def status(door: Status) -> RenderableType:
    """`janusctl status`."""
    latch = Text("released", style="bold green") if door.is_released else Text("locked")
    rows: list[tuple[str, Text | str]] = [
        ("Door", Text.assemble(latch, f", latch {escape(door.latch)}")),
        ("People", f"{door.people} enrolled, {door.templates} samples"),
        ("Camera", f"{escape(door.camera)}, {door.frames} frames of which {door.idle_frames} were idle"),
        ("Networks", f"{escape(door.detector)} + {escape(door.encoder)} on {escape(door.accelerator)}"),
        ("Promise", escape(door.promise, 400)),
        ("Threshold", f"{door.threshold:.3f}"),
        ("Key", escape(door.key_source)),
        ("So far", f"{door.unlocks} unlocks, {door.refusals} refusals in {duration(door.uptime_s)}"),
    ]
    if door.locked_out_for_s > 0:
        waits = f"too many failed tries; waits {duration(door.locked_out_for_s)} more"
        rows.insert(1, ("Lockout", Text(waits, style="yellow")))
    style = "green" if door.state == "watching" else "yellow"
    title = Text.assemble(f" janusd {escape(door.version)} is ", (f"{escape(door.state)} ", style))
    return Panel(_grid(rows), title=title, title_align="left", expand=False, border_style="dim")


def people(enrolled: Sequence[Person]) -> RenderableType:
    """`janusctl people`."""
    if not enrolled:
        return Text("Nobody is enrolled yet. Begin with: janusctl enrol NAME --live")
    table = _table("name", "samples", "welcome", "enrolled", "role", "asked for")
    for person in enrolled:
        asked = ["face"] if person.second == "none" else ["face", escape(person.second)]
        asked += ["a second person"] if person.needs_two else []
        asked += [f"duress: {escape(person.duress)}"] if person.duress != "none" else []
        when = local(person.enrolled_at)
        table.add_row(
            escape(person.name),
            str(person.samples),
            _welcome(person),
            when,
            escape(person.role),
            " + ".join(asked),
        )
    return table


def _welcome(person: Person) -> Text:
    if person.is_suspended:
        return Text("suspended", style="red")
    if person.is_stale:
        return Text("not before enrolled anew: another model", style="yellow")
    words = [escape(person.hours) or "always"]
    words += [f"from {local(person.valid_from)}"] if person.valid_from else []
    words += [f"until {local(person.valid_until)}"] if person.valid_until else []
    return Text(", ".join(words))


def forgotten(value: dict[str, str]) -> RenderableType:
    """`janusctl forget`."""
    name = value["forgot"]
    return Text(f"{escape(name)} is forgotten." if name else "Nobody was forgotten.")


def face_on(_: dict[str, str]) -> RenderableType:
    """`janusctl unlock-face`."""
    return Text("Failed tries are forgiven; face unlock is on.")


def log(entries: Sequence[Entry]) -> RenderableType:
    """`janusctl log`."""
    if not entries:
        return Text("The log holds nothing from that time.")
    table = _table("number", "time", "what", "who", "note")
    for entry in entries:
        what, note = _what(entry), escape(entry.note, 200)
        if entry.is_decision and entry.reason in _REASONS and entry.reason != Reason.MATCHED:
            note = f"{Reason(entry.reason).explanation}{f' ({note})' if note else ''}"
        table.add_row(str(entry.number), local(entry.at), what, escape(entry.name), note)
    return table


def _what(entry: Entry) -> Text:
    if not entry.is_decision:
        return Text(escape(entry.kind), style="red" if entry.kind == "fault" else "")
    told = Text("unlocked", style="green") if entry.reason == Reason.MATCHED else Text(words(entry.reason))
    return told.append(", duress", style="bold red") if entry.kind == DURESS else told


def doctor(findings: Sequence[Finding]) -> RenderableType:
    """`janusctl doctor`."""
    grid = Table.grid(padding=(0, 2))
    for finding in findings:
        verdict = finding.verdict if finding.verdict in ("ok", "warn", "fail") else "fail"
        detail = Text(escape(finding.detail, 400))
        if finding.remedy and verdict != "ok":
            detail.append(f"\n{escape(finding.remedy, 400)}", style=_STYLES[verdict])
        grid.add_row(mark(verdict), Text(escape(finding.check), style="bold"), detail)
    count = {v: sum(f.verdict == v for f in findings) for v in ("ok", "warn", "fail")}
    summary = f"{count['ok']} ok, {count['warn']} to look at, {count['fail']} failed"
    return Group(
        grid, "", Text(summary, style="red" if count["fail"] else "yellow" if count["warn"] else "green")
    )


def contents(sections: Sequence[tuple[str, int, str]]) -> RenderableType:
    """What `janusctl report` would write: title, lines, and what they tell."""
    table = _table("part", "lines", "what is in it")
    for title, lines, says in sections:
        table.add_row(escape(title), str(lines), escape(says, 200))
    return table


def event(decision: Event, times: int = 1, width: int | None = None) -> Text:
    """One line of `janusctl watch`."""
    kind = "open" if decision.unlocks else "shut"
    line = Text.assemble((local(decision.at, clock_only=True), "dim"), "  ", mark(kind), " ")
    what = "unlocked" if decision.unlocks else words(decision.reason)
    line.append(f"{what:<16}", style=_STYLES[kind] if decision.unlocks else "")
    line.append(f" {escape(decision.name, 24) or '-':<24}", style="bold" if decision.name else "dim")
    line.append(f" {'' if decision.score is None else f'{decision.score:5.2f}':>5}")
    line.append(f" {sum(decision.stage_ms.values()):5.0f} ms", style="dim")
    if times > 1:
        line.append(f"  x{times}", style="dim")
    if width is not None:
        line.truncate(width)
    return line


def sample(tried: Sample) -> Text:
    """One picture or live try of `janusctl enrol`."""
    line = Text.assemble("  ", mark("ok" if tried.accepted else "fail"), " ")
    line.append(f"{escape(tried.source, 40):<24} ", style="dim")
    if not tried.accepted:
        hint = language.words(language.language_of(os.environ)).hint(tried.hint)
        return line.append(escape(hint, 200) or words(tried.reason))
    counted = (
        f"{tried.samples} of {tried.wanted}" if tried.samples <= tried.wanted else f"{tried.samples} now"
    )
    return line.append(f"taken, {counted}")


@contextmanager
def progress(to: Console, total: int | None) -> Iterator[Callable[[], None]]:
    """A bar at the foot of a terminal while pictures are looked at; nothing elsewhere."""
    if total is None or not to.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415  # 30 ms

    bar = Progress(
        TextColumn("  looking at the pictures"),
        BarColumn(),
        MofNCompleteColumn(),
        console=to,
        transient=True,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task("pictures", total=total)
        yield lambda: bar.advance(task)


def samples_report(person: Person, wanted: int, refused: Iterable[str]) -> RenderableType:
    """The end of `janusctl enrol`."""
    lines = [
        Text.assemble((escape(person.name), "bold"), f" is enrolled with {person.samples} samples."),
        Text(f"Welcome: {escape(person.hours) or 'always'}."),
    ]
    reasons = list(refused)
    if reasons:
        counts = ", ".join(f"{reasons.count(r)} {words(r)}" for r in dict.fromkeys(reasons))
        lines.append(Text(f"Not taken: {counts}."))
    if person.samples < wanted:
        advice = (
            f"{wanted} samples, from different sides and in different light, would recognise them better."
        )
        lines.append(Text(advice, style="yellow"))
    return Panel(Group(*lines), expand=False, border_style="green")


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        numeric = heading in ("samples", "number", "lines")
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    return table


def _grid(rows: Iterable[tuple[str, Text | str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in rows:
        grid.add_row(label, value)
    return grid
