"""What an enrolment came to, drawn before it is stored."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from janusd.door import Review
from janusd.escape import escape

_LIGHT = {"dim": "dim", "even": "even", "bright": "bright"}

_KEEPS_CROPS = (
    "the face of each sample is kept here too, sealed, until they are forgotten: the owner of this door chose"
    " so (vault.keep_crops). Ask them before you store it"
)


def draw(review: Review) -> RenderableType:
    """The report at the end of `janusctl enrol`."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(
        "Samples",
        f"{review.samples}" + (f", of {review.wanted} wanted" if review.samples < review.wanted else ""),
    )
    if review.covered:
        grid.add_row("Sides", escape(", ".join(review.covered), 400))
    if review.light:
        grid.add_row("Light", ", ".join(_LIGHT.get(light, escape(light)) for light in review.light))
    grid.add_row("Nearest", _nearest(review))
    grid.add_row("Found again", _found_again(review))
    grid.add_row("To expect", _expected(review))
    if review.keeps_crops:
        grid.add_row("Pictures", Text(_KEEPS_CROPS, style="yellow"))
    for number, advice in enumerate(review.advice):
        grid.add_row("" if number else "Better", Text(escape(advice, 400), style="yellow"))
    return Group(Text(f"\n{escape(review.name)}", style="bold"), grid, Text(""))


def _nearest(review: Review) -> Text:
    if not review.nearest:
        return Text("nobody else is enrolled")
    who = escape(review.nearest)
    text = Text(
        f"{who}, {'and the door would take them for one' if review.looks_alike else 'and told apart'}"
    )
    if review.is_near and not review.looks_alike:
        text = Text(f"{who}, told apart only just")
    if review.nearest_score is not None and review.threshold is not None:
        margin = review.threshold - review.nearest_score
        text.append(
            f": score {review.nearest_score:.2f}, threshold {review.threshold:.2f}, "
            + (f"{margin:.2f} below" if margin >= 0 else f"{-margin:.2f} above")
        )
    text.stylize("red" if review.looks_alike else "yellow" if review.is_near else "green")
    return text


def _found_again(review: Review) -> str:
    interval = f"{review.own_miss_low:.0%} and {review.own_miss_high:.0%}"
    return (
        f"{review.found_again} of {review.samples} samples are recognised by the others alone; so few say "
        f"that between {interval} of such views would be missed (95 %)"
    )


def _expected(review: Review) -> str:
    if review.miss_rate is None:
        return "this model comes without figures on how often it misses the right person"
    return (
        f"where the model was measured ({review.genuine_comparisons:,} pairs of pictures taken anywhere), "
        f"one picture missed one sample in {review.miss_rate:.0%} "
        f"[{review.miss_low:.0%}, {review.miss_high:.0%}] "
        f"at this door's threshold. The door compares with the mean of {review.samples} samples, "
        "several times a second, in its own light: it misses less often, by how much only its log can tell"
    )
