"""janus-lock-now: drive the locks to locked after janus-latchd ended, however it ended.

    janus-lock-now [STATE]     by default /run/janus-latchd/locked; systemd runs it as ExecStopPost

Independent on purpose: no libgpiod, none of our modules, no configuration; only the kernel's GPIO interface
(linux/gpio.h, version 2) and the lines that janus-latchd wrote down once it held them:

    /dev/gpiochip0 17 0        chip, offset, the electrical level that means locked

Trust boundary: the folder of that file belongs to janus-latchd's user and root.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable

STATE = "/run/janus-latchd/locked"
REQUEST_BYTES = 592
GET_LINE = 3 << 30 | REQUEST_BYTES << 16 | 0xB4 << 8 | 0x07
"""GPIO_V2_GET_LINE_IOCTL, _IOWR(0xB4, 0x07, struct gpio_v2_line_request)."""
OUTPUT, OUTPUT_VALUES = 1 << 3, 2
"""GPIO_V2_LINE_FLAG_OUTPUT, GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES."""
PATIENCE_S = 2.0
"""The kernel takes a moment to free the lines of a process that was killed."""


def request(offset: int, level: int) -> bytearray:
    """Give a struct gpio_v2_line_request for one output with that level from its first moment."""
    # offsets[64], consumer[32], config {flags, num_attrs, padding[5], attrs[10] {id, padding, values, mask}},
    # num_lines, event_buffer_size, padding[5], fd
    one = struct.pack("<I252x32s QI20x IIQQ 216x II20xi", offset, b"janus-lock-now", OUTPUT, 1,
                      OUTPUT_VALUES, 0, level, 1, 1, 0, -1)  # fmt: skip
    assert len(one) == REQUEST_BYTES
    return bytearray(one)


def drive(chip: str, offset: int, level: int) -> None:
    """Set one line and let it go; the kernel then keeps the level, or the external pull has it. OSError."""
    device = os.open(chip, os.O_RDWR | os.O_CLOEXEC)
    try:
        asked = request(offset, level)
        fcntl.ioctl(device, GET_LINE, asked)
        os.close(struct.unpack_from("<i", asked, REQUEST_BYTES - 4)[0])
    finally:
        os.close(device)


def main(arguments: list[str] | None = None, drive: Callable[[str, int, int], None] = drive) -> int:
    """Drive every line that is written down; exit status 1 when one could not be."""
    path = ((sys.argv[1:] if arguments is None else arguments) or [STATE])[0]
    if path in ("-h", "--help", "--version"):  # whoever asks what this is drives no lock
        print(f"usage: janus-lock-now [STATE]: drive the lines in STATE ({STATE}) to locked")
        return 0
    try:
        with open(path, encoding="ascii") as file:
            lines = [line.split() for line in file]
    except FileNotFoundError:
        return 0  # janus-latchd never held a line
    end_s, status = time.monotonic() + PATIENCE_S, 0
    for chip, offset, level in lines:
        while True:
            try:
                drive(chip, int(offset), int(level))
                print(f"janus-lock-now: {chip} line {offset} set to {level}", file=sys.stderr)
            except OSError as error:
                if error.errno == errno.EBUSY and time.monotonic() < end_s:
                    time.sleep(0.01)
                    continue
                status = 1
                print(f"janus-lock-now: {chip} line {offset}: {error.strerror}", file=sys.stderr)
            break
    return status


if __name__ == "__main__":
    sys.exit(main())
