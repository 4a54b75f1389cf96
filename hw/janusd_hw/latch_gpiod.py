"""A relay on a GPIO line, through libgpiod v2.

Wiring: use an active-high relay on a line that is pulled down from boot on (Raspberry Pi: GPIO 9 to 27), with
an external pull-down besides. A line that this process lets go may keep its last level (Raspberry Pi kernels)
or fall back to an input: both must mean locked, and `close` drives it to locked first.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from janusd.errors import LatchError
from janusd_hw.clock import boottime_s
from janusd_hw.pulse import Pulse, Timer, thread_timer

if TYPE_CHECKING:
    import gpiod
    from gpiod.line import Value

_CONSUMER = "janusd"

_REMEDIES = {
    errno.ENOENT: "look for the right chip with `gpiodetect`",
    errno.ENODEV: "look for the right chip with `gpiodetect`",
    errno.EBUSY: "another process holds the line: `gpioinfo` names it",
    errno.EACCES: "add janusd's user to group gpio",
    errno.EPERM: "add janusd's user to group gpio",
    errno.EINVAL: "the chip has no such line: `gpioinfo` lists them",
}


class GpiodLatch:
    """A `Latch` that is released while a GPIO line is active."""

    def __init__(
        self,
        chip: str = "/dev/gpiochip0",
        line: int | str = 17,
        *,
        active_low: bool = False,
        max_hold_s: float = 30.0,
        now_s: Callable[[], float] = boottime_s,
        timer: Callable[[float, Callable[[], None]], Timer] = thread_timer,
    ) -> None:
        """Take the line, by offset or name, as an output that is inactive.

        Raises LatchError naming chip and line when it cannot be had.
        """
        try:
            import gpiod  # noqa: PLC0415 - only a door with this latch needs libgpiod
            from gpiod.line import Direction, Value  # noqa: PLC0415 - likewise
        except ImportError as e:
            raise LatchError(
                f"the Python bindings of libgpiod are missing: {e}", "run: pip install gpiod"
            ) from e
        self._pulse = Pulse(self._drive, max_hold_s=max_hold_s, now_s=now_s, timer=timer)
        self._chip = chip
        self._line = line
        self._active, self._inactive = Value.ACTIVE, Value.INACTIVE
        self._request: gpiod.LineRequest | None = None
        settings = gpiod.LineSettings(
            direction=Direction.OUTPUT, active_low=active_low, output_value=Value.INACTIVE
        )
        try:
            self._request = gpiod.request_lines(chip, consumer=_CONSUMER, config={line: settings})
        except (OSError, ValueError) as e:  # ValueError: a line name the chip does not have
            raise self._error("cannot take", e) from e

    @property
    def name(self) -> str:
        """Chip and line, for example "/dev/gpiochip0 line 17"."""
        return f"{self._chip} line {self._line}"

    @property
    def is_released(self) -> bool:
        """Whether a hold is running."""
        return self._pulse.is_released

    @property
    def fault(self) -> str:
        """Always empty: this latch tells of a fault when it is asked to release."""
        return ""

    def release(self, hold_s: float, why: str) -> None:
        """Unlock for `hold_s` seconds, at most `max_hold_s`; a release while one runs restarts the hold.

        Raises LatchError when the line cannot be set; locking it again has then been tried.
        """
        self._pulse.release(hold_s, why)

    def lock(self) -> None:
        """End a running release now. Raises LatchError when the line cannot be set."""
        self._pulse.lock()

    def close(self) -> None:
        """Lock, and let go of the line. May be called twice."""
        try:
            self._pulse.close()
        finally:
            request, self._request = self._request, None
            if request is not None:
                request.release()

    def _drive(self, released: bool, why: str) -> None:
        del why  # a wire carries no reasons
        if self._request is None:
            raise LatchError(f"{self.name} was let go already", "restart janusd")
        value: Value = self._active if released else self._inactive
        try:
            self._request.set_value(self._line, value)
        except OSError as e:
            raise self._error("cannot set", e) from e

    def _error(self, what: str, cause: OSError | ValueError) -> LatchError:
        number = cause.errno if isinstance(cause, OSError) else errno.EINVAL
        reason = cause.strerror if isinstance(cause, OSError) else str(cause)
        return LatchError(
            f"{what} {self.name}: {reason}", _REMEDIES.get(number or 0, "check the wiring and `dmesg`")
        )
