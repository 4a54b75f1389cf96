"""The table of `make torture`: reads what pytest prints, shows its TORTURE lines; ends with 1 after any harm.

A line is "TORTURE what|how often|harm"; harm counts what was lost, came back, or would not open.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable


def table(lines: Iterable[str]) -> tuple[str, bool]:
    """The table, and whether all is well: lines came, nothing was harmed, and pytest failed nothing."""
    rows, failed = [], False
    for line in lines:
        if "TORTURE " in line:
            what, times, harm = line.split("TORTURE ", 1)[1].rstrip("\n").split("|")
            rows.append((what, int(times), int(harm)))
        elif " failed" in line or " error" in line or line.startswith(("FAILED", "ERROR")):
            failed = True
    width = max([len(what) for what, _, _ in rows], default=4)
    drawn = [f"{'what':<{width}}  {'times':>7}  {'harm':>5}"]
    drawn += [f"{what:<{width}}  {times:>7,}  {harm:>5}" for what, times, harm in rows]
    return "\n".join(drawn), bool(rows) and not failed and not any(harm for _, _, harm in rows)


if __name__ == "__main__":
    read = list(sys.stdin)
    drawn, is_well = table(read)
    print(drawn)
    if not is_well:
        print("".join(line for line in read if "TORTURE" not in line), file=sys.stderr)
    sys.exit(not is_well)
