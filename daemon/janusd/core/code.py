"""A code on one button: "3-1-4-2" is three presses, a pause, one press, a pause ...

Presses come as moments. Those closer together than `PAUSE_S` make one number; a code is known to be right or
wrong once its last number is closed by a pause, so that "3-1-4-2" does not open for "3-1-4-3" on the way.

Beside a code there may be one for duress, for whoever is forced to enter theirs (docs/adr/0020). It has as
many numbers, so that the door waits equally long for both and for a wrong one.
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
LEAST_APART = 2
"""In so many numbers a code for duress differs from the ordinary one: a slip must not call for help."""

_CODE = re.compile(r"[1-9](-[1-9]){3,7}")


class Entry(Enum):
    """What has been entered so far."""

    OPEN = auto()
    """Nothing, or not all yet."""
    RIGHT = auto()
    DURESS = auto()
    """Right, and a call for help."""
    WRONG = auto()


def check(text: str) -> str:
    """The code as it is kept. Raises ValueError for one that cannot be, or that anybody would try first."""
    kept = text.strip()
    if not _CODE.fullmatch(kept):
        raise ValueError("a code is 4 to 8 numbers from 1 to 9, for example 3-1-4-2: so many presses each")
    if len(set(kept.split("-"))) == 1:
        raise ValueError("a code of one number only is the first that anybody tries")
    return kept


def check_apart(code: str, duress: str) -> None:
    """Raise ValueError unless the one cannot be told from the other at the door, nor entered by a slip."""
    numbers, others = code.split("-"), duress.split("-")
    if len(numbers) != len(others):
        raise ValueError("a code for duress needs as many numbers as the other code has")
    if sum(one != other for one, other in zip(numbers, others, strict=True)) < LEAST_APART:
        raise ValueError(
            f"a code for duress must differ in {LEAST_APART} numbers at least: a slip must not call for help"
        )


def collide(code: str, other: str) -> bool:
    """Whether who enters one of them has, on the way, entered the other."""
    return code.startswith(other) or other.startswith(code)


def read(code: str, presses: Sequence[float], now_s: float, duress: str = "") -> Entry:
    """What these presses (seconds, in order) are worth as that code, or as the one for duress."""
    if not presses:
        return Entry.OPEN
    if len(presses) > MOST_PRESSES:
        return Entry.WRONG
    quiet_s, numbers = now_s - presses[-1], _numbers(presses)
    is_long_enough = len(numbers) >= len(code.split("-"))
    if quiet_s < (PAUSE_S if is_long_enough else GIVEN_UP_S):
        return Entry.OPEN
    entered = "-".join(str(number) for number in numbers)
    is_right, is_duress = hmac.compare_digest(entered, code), hmac.compare_digest(entered, duress)
    if is_right:
        return Entry.RIGHT
    return Entry.DURESS if is_duress else Entry.WRONG


def _numbers(presses: Sequence[float]) -> list[int]:
    numbers = [1]
    for before_s, at_s in itertools.pairwise(presses):
        if at_s - before_s < PAUSE_S:
            numbers[-1] += 1
        else:
            numbers.append(1)
    return numbers
