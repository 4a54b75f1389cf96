"""What other boards take, for `janusctl bench`: each row says who measured it, or what it follows from.

A row that is derived is a floor, not a forecast: the network's multiply-accumulates over the most that the
processor can do. Nobody has run janusd on those boards yet; whoever does may send `janusctl bench --json`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_ENCODER_GMAC = 2 * 0.236887
"""Of janus-r9: two passes, of the face and of its mirror image, with the sum of models/layers.json each."""


@dataclass(frozen=True, slots=True)
class Reference:
    """How long a board takes, or can at best take."""

    board: str
    kind: Literal["measured", "derived"]
    embed_ms: float
    """The encoder. Of a row that is derived, the least it can take."""
    decision_ms: float | None
    """Frame to decision, one face; None where nobody knows."""
    source: str


def _floor(board: str, gmac_a_second: float) -> Reference:
    why = f"computed from {gmac_a_second:g} G int8 multiply-accumulates a second at most"
    return Reference(board, "derived", round(1e3 * _ENCODER_GMAC / gmac_a_second, 1), None, why)


REFERENCES: dict[str, tuple[Reference, ...]] = {
    "janus-r9": (
        Reference(
            "x86-64 server, one of two shared cores",
            "measured",
            3.4,
            8.3,
            "`make bench` of the README: 640x480, one face, gallery of 20, one thread",
        ),
        _floor("x86-64 server core with VNNI", 287.0),
        _floor("Raspberry Pi 5, four cores", 307.0),
        _floor("Raspberry Pi 4, four cores", 58.0),
    ),
}
"""By the encoder they hold for: another one takes another time."""
