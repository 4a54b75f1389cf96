"""One connection: receive a call, ask whether this user may, answer; and tidy up when the peer goes.

One request at a time: the next is read when the last was answered. While a request runs the session watches
for the peer's end, so that an enrolment ends with the connection that began it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NoReturn

from asyncvarlink import (
    AnnotatedResult,
    VarlinkErrorReply,
    VarlinkInterfaceRegistry,
    VarlinkMethodCall,
    VarlinkMethodReply,
    VarlinkMethodSignature,
)
from asyncvarlink.conversion import ConversionError
from asyncvarlink.serviceinterface import InvalidParameter, MethodNotImplemented, VarlinkServiceInterface
from asyncvarlink.types import JSONObject, JSONValue

from janusd import __version__
from janusd.control import interface
from janusd.control.desk import Desk
from janusd.control.pace import Pace
from janusd.control.peer import ADMIN_ACTS, Access, Peer
from janusd.control.wire import Wire
from janusd.errors import ControlError, JanusError
from janusd.escape import escape
from janusd.journal import journald

_log = logging.getLogger("janusd.control")

SMALL_MESSAGE_BYTES = 16 * 1024
"""Enough for every call but AddImage."""

MAX_MARKS = 64
"""JSON punctuation allowed in a message longer than that. One picture among a few short fields has about 30;
base64 has none of its own. Without this bound 12 MB of `[[],[],...` would unfold to 400 MB of lists."""


_ENDLESS = frozenset({"Watch", "Observe", "Preview"})
"""Verbs that answer until the caller goes."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may use."""

    message_bytes: int
    """For the connection that holds an enrolment; the others send `SMALL_MESSAGE_BYTES` at most."""
    idle_s: float
    """Without a request, before the connection is dropped."""
    enrolment_idle_s: float
    """The same for the connection that holds an enrolment: a person is looking for their glasses."""
    whole_message_s: float
    """From a message's first byte to its last."""


class Session:
    """One accepted connection of one peer."""

    def __init__(
        self,
        wire: Wire,
        peer: Peer,
        access: Callable[[], Access],
        desk: Desk,
        limits: Limits,
        pace: Pace | None = None,
    ) -> None:
        self._wire = wire
        self.peer = peer
        self._access = access
        self._desk = desk
        self._limits = limits
        self._pace = pace
        self._waits_from_s: float | None = None
        self._registry = VarlinkInterfaceRegistry()
        self._registry.register_interface(interface.DoorInterface(desk, peer.uid))
        self._registry.register_interface(
            VarlinkServiceInterface("janusd", "janusd", __version__, "", self._registry)
        )

    async def serve(self) -> None:
        """Answer requests until the peer goes, breaks the protocol or falls silent; leave nothing behind."""
        try:
            while (message := await self._next_message()) is not None:
                call = parse_call(message)
                del message  # up to 12 MB that nobody needs while the networks work
                if self._pace is not None:
                    await asyncio.sleep(self._pace.take(asyncio.get_running_loop().time()))
                await self._until_answered(call)
        except (ControlError, TimeoutError) as e:
            _log.warning("uid %d: connection closed: %s", self.peer.uid, escape(str(e)) or "it fell silent")
        finally:
            await self._desk.leave()
            await self._wire.finish()

    @property
    def idle_s(self) -> float:
        """For how long it has asked nothing and held nothing; 0 while it does either."""
        if self._waits_from_s is None or self._desk.token:
            return 0.0
        return asyncio.get_running_loop().time() - self._waits_from_s

    def drop(self) -> None:
        """End it at once."""
        self._wire.abort()

    async def _next_message(self) -> bytes | None:
        limits, desk = self._limits, self._desk
        self._waits_from_s = asyncio.get_running_loop().time()
        try:
            return await self._wire.receive(
                limit_bytes=lambda: limits.message_bytes if desk.token else SMALL_MESSAGE_BYTES,
                idle_s=lambda: limits.enrolment_idle_s if desk.token else limits.idle_s,
                whole_s=limits.whole_message_s,
            )
        finally:
            self._waits_from_s = None

    async def _until_answered(self, call: VarlinkMethodCall) -> None:
        """Answer, and act at once when the peer goes meanwhile."""
        answering = asyncio.create_task(self._answer(call))
        going = asyncio.create_task(self._wire.gone.wait())
        await asyncio.wait({answering, going}, return_when=asyncio.FIRST_COMPLETED)
        going.cancel()
        if not answering.done():
            if call.method_name in _ENDLESS:
                answering.cancel()
            elif call.method_name != "CommitEnrolment":  # which ends by itself, whole or not at all
                await self._desk.abandon()  # lets a waiting AddLive return
        await asyncio.wait({answering})  # a thread cannot be stopped; what it began must not outlive us
        if not answering.cancelled():
            answering.result()

    async def _answer(self, call: VarlinkMethodCall) -> None:
        try:
            method, signature = self._registry.lookup_method(call)
            self._authorise(call)
            arguments = signature.parameter_type.fromjson(call.parameters)
            if signature.more:
                async with aclosing(method(**arguments)) as results:
                    async for result in results:
                        await self._wire.send(encode(reply_of(signature, result)))
                return
            result = await method(**arguments) if signature.asynchronous else method(**arguments)
            reply = encode(reply_of(signature, result))
        except VarlinkErrorReply as e:
            reply = encode(e.toreply())
        except ConversionError as e:
            parameter = str(e.location[0]) if e.location else ""
            reply = encode(InvalidParameter(parameter=parameter).toreply())
        except JanusError as e:
            reply = encode(interface.Failed(kind=type(e).__name__, what=e.what, remedy=e.remedy).toreply())
        except TimeoutError:
            raise
        except Exception:  # noqa: BLE001  # a bug in one verb must not take the door's control away
            _log.exception("%s failed unexpectedly", call.method)
            what, remedy = "the daemon stumbled over this request", "read its log: journalctl -u janusd"
            reply = encode(interface.Failed(kind="InternalError", what=what, remedy=remedy).toreply())
        if not call.oneway:
            await self._wire.send(reply)

    def _authorise(self, call: VarlinkMethodCall) -> None:
        """Ask anew at each request: the configuration may have changed since the peer connected."""
        if call.upgrade:
            raise MethodNotImplemented(method=call.method)
        if call.method_interface != interface.NAME:
            return  # introspection, for everyone who was let in
        if not self._access().allows(call.method_name, self.peer):
            raise interface.NotAllowed(
                verb=call.method_name, uid=self.peer.uid, why="this user may not ask that"
            )
        if call.method_name in ADMIN_ACTS:
            # systemd's journal lies in the clear: whose name it was stands in the door log alone
            name = "-" if journald.is_there() else escape(str(call.parameters.get("name", "")))
            _log.info("uid %d asks %s %s", self.peer.uid, call.method_name, name)


def parse_call(message: bytes) -> VarlinkMethodCall:
    """The call in a message. Raises ControlError for anything that is not plainly one."""
    marks = sum(message.count(mark) for mark in (b'"', b",", b"[", b"{"))
    if len(message) > SMALL_MESSAGE_BYTES and marks > MAX_MARKS:
        raise ControlError("a long message that is not one picture")
    try:
        parsed = json.loads(message.decode(), object_pairs_hook=_without_twins, parse_constant=_refuse)
        return VarlinkMethodCall.fromjson(parsed)
    except (ValueError, TypeError, RecursionError) as e:
        raise ControlError(f"a message that is no Varlink call: {e}") from e


def reply_of(signature: VarlinkMethodSignature, result: AnnotatedResult) -> VarlinkMethodReply:
    """One reply as it travels."""
    parameters = signature.return_type.tojson(dict(result.parameters))
    return VarlinkMethodReply(parameters, continues=result.continues)


def encode(reply: VarlinkMethodReply) -> bytes:
    """The reply as one line of ASCII JSON."""
    return json.dumps(reply.tojson(), separators=(",", ":"), allow_nan=False).encode()


def _without_twins(pairs: list[tuple[str, JSONValue]]) -> JSONObject:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field stands there twice")
    return fields


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
