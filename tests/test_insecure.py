"""Below the floors there is one way, and it is written to the door log at every start."""

from __future__ import annotations

from pathlib import Path

import pytest

from janusd import config
from janusd.errors import ConfigError
from support.painted_door import QUICK, Rig

OFF = '[attack]\nlevel = "off"\ninsecure = true\n'


def test_only_what_says_so_itself_is_insecure() -> None:
    assert config.insecure(config.Config()) == []
    assert config.insecure(config.parse(OFF)) == ["[attack] insecure = true"]
    with pytest.raises(ConfigError, match="insecure = true"):
        config.parse(OFF.replace("insecure = true", ""))


def test_every_start_of_an_insecure_door_is_in_its_log(tmp_path: Path) -> None:
    for start in (1, 2):
        rig = Rig(tmp_path, config.parse(QUICK + OFF))
        rig.play("..")
        said = [entry.note for entry in rig.door.log("", 1000) if entry.kind == "insecure"]
        rig.door.close()
        assert said == ["[attack] insecure = true"] * start


def test_a_door_as_it_is_shipped_says_nothing_of_the_kind(tmp_path: Path) -> None:
    rig = Rig(tmp_path, config.parse(QUICK))
    rig.play("..")
    assert "insecure" not in [entry.kind for entry in rig.door.log("", 1000)]
