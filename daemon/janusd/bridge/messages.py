"""What the door does, as MQTT messages: values in, values out.

    DISCOVERY/device/ID/config   retained   what Home Assistant is to show, all of it in one message
    TOPIC/ID/available           retained   online, offline; the broker says offline when this process dies
    TOPIC/ID/state               retained   JSON: lock, contact, forced, held_open, tamper, problem ...
    TOPIC/ID/person              retained   JSON: who was let in last; empty unless observers hear names
    TOPIC/ID/event                          JSON with event_type: granted, refused, waiting, alarm
    TOPIC/ID/duress                         JSON with event_type: duress; where observers hear of it

Home Assistant's side: https://www.home-assistant.io/integrations/mqtt (device discovery, 2024.12 and later),
and its pages on binary sensors, sensors and events over MQTT. An event that is retained would happen again at
each start, and Home Assistant ignores it; a state that is not retained would be unknown until it changes.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TypeAlias

from janusd.door import Sight, Told
from janusd.escape import escape

QOS = 1
"""At least once: the broker says that it has each message."""
EXPIRE_AFTER_S = 180
"""What is not said again for so long is unknown: a frozen "closed" is worse than none."""
SAID_AGAIN_S = 60.0
HOME = "https://github.com/janusd/janusd"
EVENTS = ("granted", "refused", "waiting", "alarm")

_Component: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the broker."""

    topic: str
    payload: str
    """Empty and retained: what was retained there is removed."""
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """A door as a home knows it."""

    id: str
    name: str
    discovery: str = "homeassistant"
    topic: str = "janus"
    has_contact: bool = False
    has_tamper: bool = False

    @property
    def config_topic(self) -> str:
        """Where Home Assistant learns of it."""
        return f"{self.discovery}/device/janus_{self.id}/config"

    def at(self, what: str) -> str:
        """The topic of something it says."""
        return f"{self.topic}/{self.id}/{what}"


def discovery(place: Place, version: str, hears: Collection[str]) -> Message:
    """What Home Assistant is to show of this door.

    A component that is not there any more is named with its platform alone, which removes it.
    """
    shown = {
        "lock": True,
        "problem": True,
        "visit": True,
        "version": True,
        "uptime": True,
        "contact": place.has_contact,
        "forced": place.has_contact,
        "held_open": place.has_contact,
        "tamper": place.has_tamper,
        "person": "names" in hears,
        "duress": "duress" in hears,
    }
    components = {
        # qos stands in each: Home Assistant takes it at the top too, and hands it on to none
        key: {**of, "unique_id": f"janus_{place.id}_{key}", "qos": QOS}
        if shown[key]
        else {"platform": of["platform"]}
        for key, of in _components(place).items()
    }
    config = {
        "device": {
            "identifiers": [f"janus_{place.id}"],
            "name": place.name,
            "manufacturer": "janusd",
            "model": "Face unlock",
            "sw_version": version,
        },
        "origin": {"name": "janus-mqtt", "sw_version": version, "support_url": HOME},
        "availability": [{"topic": place.at("available")}],
        "components": components,
    }
    return Message(place.config_topic, _json(config))


def available(place: Place, is_there: bool) -> Message:
    """Whether what is told of the door is to be believed; "offline" is the last will too."""
    return Message(place.at("available"), "online" if is_there else "offline")


def state(place: Place, sight: Sight) -> Message:
    """How the door is. What is not known is null, and unknown at home."""
    return Message(
        place.at("state"),
        _json(
            {
                "lock": _on(sight.is_released),
                "contact": _on(sight.is_open),
                "forced": _on(sight.is_forced),
                "held_open": _on(sight.is_held_open),
                "tamper": _on(sight.is_tampered),
                "problem": _on(bool(sight.problems)),
                "problems": sight.problems,
                "version": sight.version,
                "uptime": round(sight.uptime_s),
            }
        ),
    )


def person(place: Place, told: Told | None) -> Message:
    """Who was let in last; None removes whoever an earlier configuration left at the broker."""
    if told is None:
        return Message(place.at("person"), "")
    return Message(place.at("person"), _json({"name": escape(told.name), "at": told.at}))


def happened(place: Place, told: Told) -> list[Message]:
    """What an entry of the door log says to a home; nothing for a kind that this version does not know."""
    about = {
        "code": told.code,
        "reason": told.reason,
        "says": told.says,
        "number": told.number,
        "at": told.at,
    }
    if told.name:
        about["name"] = escape(told.name)
    if told.kind == "duress":
        return [Message(place.at("duress"), _json({"event_type": told.kind, **about}), retain=False)]
    if told.kind not in EVENTS:
        return []
    event = Message(place.at("event"), _json({"event_type": told.kind, **about}), retain=False)
    return [event, person(place, told)] if told.kind == "granted" and told.name else [event]


def forgotten(place: Place) -> list[Message]:
    """What takes the door out of the home again: nothing of it stays at the broker."""
    return [Message(place.config_topic, ""), *(Message(place.at(what), "") for what in _RETAINED)]


_RETAINED = ("available", "state", "person")


def _components(place: Place) -> dict[str, _Component]:
    expires = {"expire_after": EXPIRE_AFTER_S}

    def sensor(key: str, name: str, device_class: str, **more: object) -> _Component:
        shown = {"platform": "binary_sensor", "name": name, "device_class": device_class}
        return {**shown, **_from_state(place, key), **expires, **more}

    return {
        "lock": sensor("lock", "Lock", "lock"),
        "contact": sensor("contact", "Door", "door"),
        "forced": sensor("forced", "Forced open", "safety"),
        "held_open": sensor("held_open", "Held open", "problem"),
        "tamper": sensor("tamper", "Enclosure", "tamper"),
        "problem": sensor(
            "problem",
            "Problem",
            "problem",
            json_attributes_topic=place.at("state"),
            json_attributes_template="{{ {'problems': value_json.problems} | tojson }}",
        ),
        "visit": {
            "platform": "event",
            "name": "Visit",
            "icon": "mdi:face-recognition",
            "event_types": list(EVENTS),
            "state_topic": place.at("event"),
        },
        "duress": {  # a diagnostic is on no dashboard that draws itself, on a tablet at the door perhaps
            "platform": "event",
            "name": "Silent alarm",
            "icon": "mdi:alarm-light-outline",
            "entity_category": "diagnostic",
            "event_types": ["duress"],
            "state_topic": place.at("duress"),
        },
        "person": {
            "platform": "sensor",
            "name": "Last let in",
            "icon": "mdi:account-check",
            "state_topic": place.at("person"),
            "value_template": "{{ value_json.name }}",
            "json_attributes_topic": place.at("person"),
            "json_attributes_template": "{{ {'at': value_json.at} | tojson }}",
        },
        "version": {
            "platform": "sensor",
            "name": "Version",
            "entity_category": "diagnostic",
            **_from_state(place, "version"),
        },
        "uptime": {
            "platform": "sensor",
            "name": "Uptime",
            "entity_category": "diagnostic",
            "enabled_by_default": False,
            "device_class": "duration",
            "unit_of_measurement": "s",
            **_from_state(place, "uptime"),
            **expires,
        },
    }


def _from_state(place: Place, key: str) -> _Component:
    return {"state_topic": place.at("state"), "value_template": f"{{{{ value_json.{key} }}}}"}


def _on(is_so: bool | None) -> str | None:
    return None if is_so is None else "ON" if is_so else "OFF"


def _json(of: object) -> str:
    return json.dumps(of, separators=(",", ":"), ensure_ascii=False)
