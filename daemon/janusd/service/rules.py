"""What a decision rests on besides the frame: the gallery, the policy, and the promise behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from janusd.config import Config, zone_of
from janusd.core import manifest
from janusd.core.attack import Asks, Level
from janusd.core.gallery import Gallery, Template
from janusd.core.limiter import Budget
from janusd.core.policy import Policy
from janusd.core.schedule import Holidays


@dataclass(frozen=True, slots=True)
class Rules:
    """Immutable: when people or configuration change, new rules are swapped in with one assignment."""

    gallery: Gallery
    policy: Policy
    promise: manifest.Promise
    point: manifest.OperatingPoint

    @classmethod
    def make(cls, config: Config, templates: Sequence[Template], calibration: manifest.Calibration) -> Rules:
        """Find the threshold that keeps the promise for a gallery of this size."""
        gallery = Gallery.of(templates)
        promise = manifest.Promise(config.promise.years, config.promise.tries_a_day)
        fmr = manifest.fmr_for_gallery(promise.fpir, gallery.comparisons)
        point = manifest.promised_point(calibration, fmr)
        policy = Policy(
            threshold=point.threshold,
            margin=config.decision.margin,
            agree=config.decision.agree,
            window=config.decision.window,
            window_s=config.decision.window_s,
            level=Level(config.attack.level),
            challenge=Asks(config.attack.challenge),
            hold_s=config.latch.hold_s,
            budget=Budget(failures=config.decision.failures, lockout_s=config.decision.lockout_s),
            zone=zone_of(config.rules),
            holidays=Holidays.parse(config.holidays.dates),
            two_people=config.rules.two_people,
            two_people_s=config.rules.two_people_s,
            second_s=config.rules.second_s,
        )
        return cls(gallery, policy, promise, point)

    @property
    def promise_in_words(self) -> str:
        """The promise, the FMR it asks of one comparison, and whether that was measured."""
        years = "a year" if self.promise.years == 1 else f"{self.promise.years:g} years"
        basis = "extrapolated beyond the measurements" if self.point.is_extrapolated else "measured"
        return (
            f"one false unlock in {years} of {self.promise.tries_a_day:g} strangers' tries a day: "
            f"FMR {self.point.fmr:.1e}, {basis}"
        )
