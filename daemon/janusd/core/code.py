"""A code on one button: "3-1-4-2" is three presses, a pause, one press, a pause ...

Presses come as moments. Those closer together than `PAUSE_S` make one number; a code is known to be right or
wrong once its last number is closed by a pause, so that "3-1-4-2" does not open for "3-1-4-3" on the way.
"""

from __future__ import annotations

import hmac
import itertools
import re
from collections.abc import Sequence
from enum import Enum, auto

PAUSE_S = 0.8
"""Between two presses of one number people take 0.2 to 0.5 s."""
GIVEN_UP_S = 3.0
"""After so long without a press no further number comes."""
MOST_PRESSES = 8 * 9
FEWEST_NUMBERS = 4
"""6,552 codes; every wrong one is a failed try, see `limiter`."""

_CODE = re.compile(r"[1-9](-[1-9]){3,7}")


class Entry(Enum):
    """What has been entered so far."""

    OPEN = auto()
    """Nothing, or not all yet."""
    RIGHT = auto()
    WRONG = auto()


def check(text: str) -> str:
    """The code as it is kept. Raises ValueError for one that cannot be, or that anybody would try first."""
    kept = text.strip()
    if not _CODE.fullmatch(kept):
        raise ValueError("a code is 4 to 8 numbers from 1 to 9, for example 3-1-4-2: so many presses each")
    if len(set(kept.split("-"))) == 1:
        raise ValueError("a code of one number only is the first that anybody tries")
    return kept


def read(code: str, presses: Sequence[float], now_s: float) -> Entry:
    """What these presses (seconds, in order) are worth as that code."""
    if not presses:
        return Entry.OPEN
    if len(presses) > MOST_PRESSES:
        return Entry.WRONG
    quiet_s, numbers = now_s - presses[-1], _numbers(presses)
    is_long_enough = len(numbers) >= len(code.split("-"))
    if quiet_s < (PAUSE_S if is_long_enough else GIVEN_UP_S):
        return Entry.OPEN
    entered = "-".join(str(number) for number in numbers)
    return Entry.RIGHT if hmac.compare_digest(entered, code) else Entry.WRONG


def _numbers(presses: Sequence[float]) -> list[int]:
    numbers = [1]
    for before_s, at_s in itertools.pairwise(presses):
        if at_s - before_s < PAUSE_S:
            numbers[-1] += 1
        else:
            numbers.append(1)
    return numbers
