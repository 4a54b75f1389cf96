"""What a configuration says about everybody: zone, holidays, two people, disputes, and whose user is what."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from janusd.config import Config, parse
from janusd.control import Peer, Role
from janusd.core.schedule import Holidays
from janusd.errors import ConfigError
from janusd.main import _access
from janusd.service.rules import Rules
from janusd_hw.fakes import SPEC


def rules(text: str) -> Rules:
    return Rules.make(parse(text), [], SPEC.calibration)


def test_what_is_asked_of_everybody_reaches_the_policy() -> None:
    policy = rules(
        '[rules]\nzone = "Europe/Berlin"\ntwo_people = true\ntwo_people_s = 45\nsecond_s = 15\n'
        '[holidays]\ndates = ["12-25", "2027-03-26"]\n'
    ).policy
    assert policy.zone == ZoneInfo("Europe/Berlin")
    assert (policy.two_people, policy.two_people_s, policy.second_s) == (True, 45.0, 15.0)
    assert policy.holidays == Holidays.parse(["12-25", "2027-03-26"])


def test_nothing_is_asked_and_nothing_kept_unless_somebody_says_so() -> None:
    policy = rules("").policy
    assert (policy.zone, policy.two_people, policy.holidays) == (None, False, Holidays())
    assert Config().disputes.keep_unlocks == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[holidays]\ndates = ["christmas"]', "line 2: holidays.dates: 'christmas' is no day"),
        ('[rules]\nzone = "Mars/Olympus"', "line 2: rules.zone: no such time zone 'Mars/Olympus'"),
        ('[rules]\nzone = "../../etc/passwd"', "rules.zone: no such time zone"),
        ("[rules]\nsecond_s = 3600", "rules.second_s: must be a number from 5 to 120"),
        ("[disputes]\nkeep_unlocks = 1000", "disputes.keep_unlocks: must be a whole number from 0 to 64"),
        ("[control]\nowners = [7]\noperators = [7]", "user 7 stands in two lists"),
        ("[control]\nsensors = [7, 7]", "user 7 stands in two lists"),
    ],
)
def test_what_cannot_be_is_named_with_its_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as told:
        parse(text)
    assert complaint in str(told.value)


def test_users_are_what_the_configuration_calls_them() -> None:
    access = _access(parse("[control]\nowners = [1]\noperators = [2]\nresidents = [3]\nsensors = [4]"))
    found = [access.roles(Peer(1, uid, frozenset())) for uid in (1, 2, 3, 4, 5)]
    assert found == [{Role.OWNER}, {Role.OPERATOR}, {Role.RESIDENT}, {Role.SENSOR}, set()]
