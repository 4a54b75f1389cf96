"""One connection to the broker: made once, and over when it ends; a new one is a new object.

So nothing of an old connection is sent again on the next: what happened while the broker was away is in the
door log, and a home that hears of a visit an hour late would act on it as if it were now.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from janusd.bridge.messages import QOS, Message
from janusd.bridge.settings import BrokerSection
from janusd.errors import ConfigError, InstallerError

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessageInfo

KEEPALIVE_S = 30
"""A broker that hears nothing for one and a half times as long says the last will."""
_QUEUED = 100
"""Messages that wait for a broker that reads slowly; what is more is dropped."""
_GOODBYE_S = 2.0


@dataclass(frozen=True, slots=True)
class Ready:
    """The broker took us."""

    by: object


@dataclass(frozen=True, slots=True)
class Lost:
    """This connection is over, or never was."""

    by: object
    why: str


def library() -> Any:  # noqa: ANN401 - a module
    """The MQTT client of paho. Raises InstallerError where it is missing or too old."""
    remedy = "install it: pip install 'janusd[mqtt]'; the Debian package brings it along"
    try:
        import paho.mqtt.client as paho  # noqa: PLC0415 - an extra: janusd itself has no network
    except ImportError as error:
        raise InstallerError("the Python package paho-mqtt is missing", remedy) from error
    if not hasattr(paho, "CallbackAPIVersion"):
        raise InstallerError("this paho-mqtt is older than 2.0", remedy)
    return paho


class Connection:
    """Connects from a thread of its own; `tell` is called from there, with Ready once and Lost at the end."""

    def __init__(
        self,
        section: BrokerSection,
        login: tuple[str, str] | None,
        client_id: str,
        will: Message,
        tell: Callable[[Ready | Lost], None],
    ) -> None:
        """Begin to connect. Raises InstallerError without paho, ConfigError for a `ca` that is none."""
        self._section, self._tell = section, tell
        self._why = ""
        paho = library()
        self._client: Client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client = self._client
        client.max_queued_messages_set(_QUEUED)
        client.will_set(will.topic, will.payload, QOS, will.retain)
        if login is not None:
            client.username_pw_set(*login)
        if section.uses_tls:
            client.tls_set_context(_sealed(section))
        # A callback of its own keeps paho from writing in the thread that publishes: what reads at the same
        # moment would be at the same TLS connection, which Python before 3.13 does not guard.
        client.on_socket_register_write = lambda *_: None
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
        self._thread.start()

    def publish(self, message: Message) -> MQTTMessageInfo:
        """Send a message; returns at once. Where the connection is over, it is gone, and Lost is told."""
        return self._client.publish(message.topic, message.payload, QOS, message.retain)

    def close(self, *last: Message) -> bool:
        """Send last messages, wait a moment, and go: no last will then. Whether the broker has them all."""
        sent, has_all = [self.publish(message) for message in last], False
        with contextlib.suppress(ValueError, RuntimeError):  # the connection is over
            for one in sent:
                one.wait_for_publish(_GOODBYE_S)
            has_all = all(one.is_published() for one in sent)
        self._client.disconnect()
        self._thread.join(_GOODBYE_S)
        return has_all

    def _run(self) -> None:
        try:
            self._client.connect(self._section.host, self._section.tcp_port, KEEPALIVE_S)
            self._client.loop_forever()
        except ssl.SSLCertVerificationError as error:
            self._why = f"TLS failed: {error.verify_message}"
        except ssl.SSLError as error:
            self._why = f"TLS failed: {error.reason}"
        except OSError as error:
            self._why = error.strerror or str(error) or type(error).__name__
        except ValueError as error:  # paho's word for a host it cannot use
            self._why = str(error)
        self._tell(Lost(self, self._why or "it hung up"))

    def _connected(self, client: Client, _: object, flags: object, code: Any, properties: object) -> None:  # noqa: ANN401 - paho's ReasonCode
        if code.is_failure:
            self._why = f"it refuses: {code}"
        else:
            self._tell(Ready(self))

    def _disconnected(self, client: Client, _: object, flags: object, code: Any, properties: object) -> None:  # noqa: ANN401 - paho's ReasonCode
        if code.is_failure and not self._why:
            self._why = str(code)


def _sealed(section: BrokerSection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=section.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"broker.ca: {section.ca} cannot be used: {error.strerror or error}",
            "name a file of certificates (PEM) that the user janus-mqtt may read",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
