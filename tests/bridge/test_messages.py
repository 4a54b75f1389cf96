"""What a home is told, word for word, against what Home Assistant's documentation says it takes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janusd.bridge import messages
from janusd.bridge.messages import EVENTS, EXPIRE_AFTER_S, SAID_AGAIN_S, Message, Place
from janusd.core.reason import Reason
from janusd.door import Sight
from janusd.journal import journald
from support.fake_door import GRANTED, REFUSED, SIGHT

FRONT = Place("front", "Front door", has_contact=True, has_tamper=True)
ALL = ("names", "duress")

COMMON = {
    "platform", "name", "unique_id", "qos", "icon", "entity_category", "enabled_by_default", "state_topic",
    "value_template", "json_attributes_topic", "json_attributes_template", "device_class",
}  # fmt: skip
TAKES = {  # www.home-assistant.io/integrations: binary_sensor.mqtt, sensor.mqtt, event.mqtt
    "binary_sensor": COMMON | {"expire_after", "force_update", "off_delay", "payload_on", "payload_off"},
    "sensor": COMMON | {"expire_after", "force_update", "options", "state_class", "unit_of_measurement"},
    "event": COMMON | {"event_types"},
}
CLASSES = {"binary_sensor": {"lock", "door", "safety", "problem", "tamper"}, "sensor": {"duration"}}


def said(message: Message) -> dict[str, Any]:
    return dict(json.loads(message.payload))


def components(place: Place = FRONT, hears: tuple[str, ...] = ALL) -> dict[str, dict[str, Any]]:
    return dict(said(messages.discovery(place, "0.1.0", hears))["components"])


def rendered(template: str, payload: str) -> str:
    """What Home Assistant makes of a template that names one value: Python's None becomes "None"."""
    (key,) = re.fullmatch(r"\{\{ value_json\.(\w+) \}\}", template).groups()  # type: ignore[union-attr]
    return str(json.loads(payload)[key])


def test_the_discovery_message_has_what_home_assistant_requires_of_a_device() -> None:
    message = messages.discovery(FRONT, "0.1.0", ())
    assert message.topic == "homeassistant/device/janus_front/config"
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", message.topic)
    assert message.retain
    config = said(message)
    assert set(config) == {"device", "origin", "availability", "components"}
    assert config["device"] == {
        "identifiers": ["janus_front"], "name": "Front door", "manufacturer": "janusd",
        "model": "Face unlock", "sw_version": "0.1.0",
    }  # fmt: skip
    assert config["origin"]["name"] == "janus-mqtt"
    assert config["availability"] == [{"topic": "janus/front/available"}]  # online and offline by default
    assert messages.available(FRONT, True).topic == "janus/front/available"


def test_every_component_has_only_fields_that_its_platform_takes() -> None:
    for key, component in components().items():
        assert set(component) <= TAKES[component["platform"]], key
        assert component["unique_id"] == f"janus_front_{key}"
        assert component["state_topic"].startswith("janus/front/")
        assert component.get("device_class", "none") in {*CLASSES.get(component["platform"], ()), "none"}
        assert component.get("entity_category", "diagnostic") == "diagnostic"
        assert "entity_category" not in component or component["platform"] != "binary_sensor"


def test_nothing_in_it_can_be_commanded() -> None:
    text = messages.discovery(FRONT, "0.1.0", ALL).payload
    assert "command" not in text
    assert {component["platform"] for component in components().values()} == set(TAKES)  # no lock, no button


def test_what_a_door_does_not_have_or_tell_is_named_with_its_platform_alone_which_removes_it() -> None:
    bare = components(Place("front", "Front door"), ())
    gone = {key for key, component in bare.items() if set(component) == {"platform"}}
    assert gone == {"contact", "forced", "held_open", "tamper", "person", "duress"}
    assert set(bare) == set(components())
    assert {key for key, of in components(hears=("names",)).items() if set(of) == {"platform"}} == {"duress"}


def test_a_silent_alarm_is_an_entity_of_its_own_and_on_no_dashboard_that_draws_itself() -> None:
    duress = components()["duress"]
    assert duress["entity_category"] == "diagnostic"
    assert duress["state_topic"] not in {
        of["state_topic"] for key, of in components().items() if key != "duress"
    }
    (message,) = messages.happened(FRONT, replace(GRANTED, kind="duress", code="JANUS-DURESS"))
    assert message.topic == duress["state_topic"]
    assert said(message)["event_type"] in duress["event_types"]
    assert "duress" not in components()["visit"]["event_types"]


@pytest.mark.parametrize(
    ("sight", "on", "unknown"),
    [
        (SIGHT, set(), set()),
        (replace(SIGHT, is_released=True, is_open=True), {"lock", "contact"}, set()),
        (
            replace(SIGHT, is_forced=True, is_held_open=True, is_tampered=True),
            {"forced", "held_open", "tamper"},
            set(),
        ),
        (replace(SIGHT, problems=["camera", "face_off"]), {"problem"}, set()),
        (
            Sight("0.1.0", False, None, None, None, None, ["lock"], 9.0),
            {"problem"},
            {"contact", "forced", "held_open", "tamper"},
        ),
    ],
)  # fmt: skip
def test_every_binary_sensor_is_on_off_or_unknown_as_the_door_is(
    sight: Sight, on: set[str], unknown: set[str]
) -> None:
    message = messages.state(FRONT, sight)
    assert message.retain
    binary = {key: of for key, of in components().items() if of["platform"] == "binary_sensor"}
    shown = {key: rendered(of["value_template"], message.payload) for key, of in binary.items()}
    assert {key for key, value in shown.items() if value == "ON"} == on
    assert {key for key, value in shown.items() if value == "None"} == unknown
    assert {value for key, value in shown.items() if key not in on | unknown} <= {"OFF"}
    assert all(of["expire_after"] == EXPIRE_AFTER_S > 2 * SAID_AGAIN_S for of in binary.values())


def test_version_and_uptime_are_diagnostics() -> None:
    message = messages.state(FRONT, SIGHT)
    shown = components()
    assert rendered(shown["version"]["value_template"], message.payload) == "0.1.0"
    assert rendered(shown["uptime"]["value_template"], message.payload) == "93784"
    assert shown["uptime"]["unit_of_measurement"] == "s"


def test_an_event_has_a_type_that_was_announced_a_stable_code_and_is_never_retained() -> None:
    documented = (Path(__file__).parents[2] / "docs/codes.md").read_text()
    for told in (GRANTED, REFUSED, replace(REFUSED, kind="alarm", code="JANUS-ALARM", reason="vault")):
        event = messages.happened(FRONT, replace(told, name=""))
        assert [message.topic for message in event] == [components()["visit"]["state_topic"]]
        assert not event[0].retain  # Home Assistant would ignore it, or fire it again at each start
        assert said(event[0])["event_type"] in components()["visit"]["event_types"]
        assert f"| {said(event[0])['code']} |" in documented
    assert set(EVENTS) == {"granted", "refused", "waiting", "alarm"}


def test_the_codes_in_these_tests_are_the_door_s_own() -> None:
    assert journald.code("decision", Reason.MATCHED) == GRANTED.code
    assert journald.code("decision", Reason.UNKNOWN) == REFUSED.code


def test_a_name_is_said_where_it_was_heard_and_only_there() -> None:
    event, person = messages.happened(FRONT, GRANTED)
    assert said(event)["name"] == "Anna Berg"
    assert (person.topic, person.retain) == (components()["person"]["state_topic"], True)
    assert rendered(components()["person"]["value_template"], person.payload) == "Anna Berg"
    (event,) = messages.happened(FRONT, replace(GRANTED, name=""))
    assert "name" not in said(event)
    (event,) = messages.happened(FRONT, replace(REFUSED, name="Anna Berg"))  # nobody came in
    assert messages.person(FRONT, None) == Message("janus/front/person", "", retain=True)  # removes it


def test_a_kind_that_a_newer_door_tells_is_left_out() -> None:
    assert messages.happened(FRONT, replace(GRANTED, kind="wept")) == []


@given(name=st.text(min_size=1, max_size=300))
def test_no_name_breaks_a_payload_or_outgrows_a_state(name: str) -> None:
    event, person = messages.happened(FRONT, replace(GRANTED, name=name))
    assert said(event)["name"].isprintable()
    assert len(said(person)["name"]) <= 255


def test_forgotten_means_that_nothing_stays_at_the_broker() -> None:
    everything = [
        messages.discovery(FRONT, "0.1.0", ALL),
        messages.available(FRONT, True),
        messages.state(FRONT, SIGHT),
        *messages.happened(FRONT, GRANTED),
        *messages.happened(FRONT, REFUSED),
    ]
    kept = {message.topic for message in everything if message.retain}
    forgotten = messages.forgotten(FRONT)
    assert {message.topic for message in forgotten} == kept
    assert all(message.retain and not message.payload for message in forgotten)
