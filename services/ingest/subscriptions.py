"""Sources of type `mqtt`: one connection to each broker, for ever.

A persistent session with QoS 1, and each message acknowledged only when its event is safe: what comes while we are
away, or cannot store, comes again. Each ingest has a session of its own, by an id that is kept beside its journal:
several ingests all hear each message, and the same press is one incident by merging.
"""

import asyncio
import hashlib
import logging
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote, urlsplit

import aiomqtt
import structlog
from paho.mqtt.reasoncodes import ReasonCode

from schemas.configuration_sources import MqttSource
from services.common.loops import being_cancelled
from services.ingest.api.problems import Refusal
from services.ingest.instance import Instance
from services.ingest.loops import end_process_on_bug
from services.ingest.metrics import MQTT_CONNECTED
from services.ingest.mqtt_reasons import SubscriptionRefused, reason
from services.ingest.sender import Sender
from services.ingest.sources.shape import Message

log = structlog.get_logger()

Receive = Callable[[Message, Sender], Awaitable[object]]
"""Takes a message in; raises `Refusal` with status 503 when it is not safe anywhere."""

_NOT_GRANTED: Final = 0x80
"""From this on a broker's answer to SUBSCRIBE is a refusal (MQTT 3.1.1, 3.9.3)."""
_KEEPALIVE: Final = 20
_LONGEST_PAUSE: Final = 30.0
_SAY_EVERY: Final = 30.0
_QUIET: Final = logging.getLogger("rufkette.mqtt")
_QUIET.setLevel(logging.CRITICAL)  # the library logs topics, which may be names of rooms


class Subscriptions:
    """Keeps the connections that the configuration asks for."""

    def __init__(self, senders: Mapping[str, Sender], receive: Receive, instance: Instance) -> None:
        self._senders = senders
        self._receive = receive
        self._instance = instance
        self._running: dict[str, tuple[Sender, asyncio.Task[None]]] = {}
        self._away_since: dict[str, float] = {}
        """By the monotonic clock, of those that are not connected."""
        self._ending: set[asyncio.Task[None]] = set()

    @property
    def problems(self) -> dict[str, str]:
        """Sources whose broker does not let us listen: no press of theirs is heard."""
        now = time.monotonic()
        away = {name: since for name, since in self._away_since.items() if name in self._running}
        return {
            f"mqtt {name}": f"the broker does not let us listen (for {round(now - since)} s); tried again without end"
            for name, since in sorted(away.items())
        }

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self.take(self._senders)

    def take(self, senders: Mapping[str, Sender]) -> None:
        """Connect by this configuration from now on; what has not changed stays connected."""
        self._senders = senders
        wanted = {name: sender for name, sender in senders.items() if isinstance(sender.source, MqttSource)}
        for name, (known, task) in list(self._running.items()):
            if name not in wanted or not _same(known, wanted[name]):
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
                del self._running[name]
        for name, sender in wanted.items():
            if name not in self._running:
                task = asyncio.create_task(self._keep_connected(name), name=f"mqtt {name}")
                task.add_done_callback(end_process_on_bug)
                self._running[name] = (sender, task)
                self._away_since[name] = time.monotonic()

    async def stop(self) -> None:
        """Disconnect; the sessions stay, so that nothing is missed meanwhile."""
        tasks = {task for _, task in self._running.values()} | self._ending
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=3)

    async def _keep_connected(self, name: str) -> None:
        identifier = client_id(name, await self._instance.id())
        attempt, away_since, said_at = 0, time.monotonic(), float("-inf")
        while True:
            try:
                async with _client(identifier, self._senders[name]) as client:
                    if said_at > away_since:
                        log.info("mqtt.recovered", source=name, after_s=round(time.monotonic() - away_since, 1))
                    attempt, said_at = 0, float("-inf")
                    MQTT_CONNECTED.labels(name).set(1)
                    await self._listen(name, client)
            except (
                aiomqtt.MqttError,
                OSError,
                UnicodeError,
                Refusal,
                SubscriptionRefused,
                asyncio.CancelledError,
            ) as error:
                if isinstance(error, asyncio.CancelledError) and being_cancelled():
                    raise
                away_since = time.monotonic() if attempt == 0 else away_since
                said_at = _say_unreachable(name, error, said_at)
            finally:
                self._lost(name)
            await asyncio.sleep(min(_LONGEST_PAUSE, 0.5 * 2**attempt) * random.uniform(0.8, 1.2))  # noqa: S311 – to spread load
            attempt = min(attempt + 1, 10)

    def _lost(self, name: str) -> None:
        running = self._running.get(name)
        if running is None or running[1] is asyncio.current_task():  # else another one is connected already
            MQTT_CONNECTED.labels(name).set(0)
            self._away_since.setdefault(name, time.monotonic())

    async def _listen(self, name: str, client: aiomqtt.Client) -> None:
        source = self._senders[name].source
        assert isinstance(source, MqttSource)
        for number, topic in enumerate(source.topics, start=1):
            granted = await client.subscribe(topic.filter, qos=1)
            if any(code >= _NOT_GRANTED for code in map(_value, granted)):
                # Some brokers answer so where others would close the connection: connected, and deaf.
                raise SubscriptionRefused(number)
        log.info("mqtt.connected", source=name, topics=len(source.topics), client_id=client.identifier)
        self._away_since.pop(name, None)
        async for message in client.messages:
            # A retained message tells of the past: no press of now.
            if not message.retain:
                await self._take(name, message)
            client._client.ack(message.mid, message.qos)  # noqa: SLF001 – aiomqtt has no way of its own

    async def _take(self, name: str, message: aiomqtt.Message) -> None:
        payload = message.payload
        raw = payload if isinstance(payload, bytes) else str(payload or "").encode()
        taken = Message(raw, datetime.now(UTC), method="MQTT", rest=message.topic.value)
        try:
            await self._offer(taken, self._senders[name])
        except Refusal:
            raise
        except Exception:
            # Unacknowledged it would come again after each restart, and end every one of them.
            log.exception("mqtt.failed", source=name)

    async def _offer(self, message: Message, sender: Sender) -> None:
        """Hand a message over, slowly if its source sends more than it may: the broker keeps the rest meanwhile.

        Raises:
            Refusal: 503. Not acknowledged, the broker sends it again when we connect anew.
        """
        while True:
            try:
                await self._receive(message, sender)
            except Refusal as refusal:
                if refusal.status == 503:
                    raise
                # What is limited of buttons is no press, but one may stand behind it: so nothing is waited for.
                if refusal.status != 429 or sender.lenient:
                    return
                wait = float(refusal.headers["Retry-After"])
            else:
                return
            await asyncio.sleep(wait)


def _value(code: int | ReasonCode) -> int:
    return code if isinstance(code, int) else code.value


def _say_unreachable(name: str, error: BaseException, said_at: float) -> float:
    """Once in a while; returns when it was said last."""
    if time.monotonic() - said_at < _SAY_EVERY:
        return said_at
    log.error("mqtt.unreachable", source=name, error=type(error).__name__, reason=reason(error))
    return time.monotonic()


def _same(one: Sender, other: Sender) -> bool:
    return one.source == other.source and one.secret == other.secret


def client_id(name: str, instance: str) -> str:
    """What the broker knows a source's session by: at most 56 characters, and never those of another source or ingest.

    The beginning is for people who look at the broker; what tells sessions apart is the end.
    """
    readable = re.sub(r"[^A-Za-z0-9-]", "_", name)[:30]
    return f"rufkette-{readable}-{hashlib.sha256(f'{instance} {name}'.encode()).hexdigest()[:16]}"


def _client(identifier: str, sender: Sender) -> aiomqtt.Client:
    """A client that is not connected yet."""
    source = sender.source
    assert isinstance(source, MqttSource)
    parts = urlsplit(source.url)
    tls = parts.scheme == "mqtts"
    client = aiomqtt.Client(
        parts.hostname or "",
        parts.port or (8883 if tls else 1883),
        username=unquote(parts.username) if parts.username else None,
        password=sender.secret.decode() if sender.secret else None,
        identifier=identifier,
        clean_session=False,
        keepalive=_KEEPALIVE,
        tls_context=ssl.create_default_context() if tls else None,
        logger=_QUIET,
    )
    client._client.manual_ack_set(True)  # noqa: SLF001 – as above: acknowledged when the event is safe, not before
    return client
