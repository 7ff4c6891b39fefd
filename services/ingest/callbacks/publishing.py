"""The way of an answer over MQTT: a connection for each message, which is told when the broker has confirmed it.

Five packets of MQTT 3.1.1, written here: the library that listens to brokers connects in threads that the sources'
own connections need, and leaves a connection behind when it is cancelled. Nothing is shared with a source's session.
"""

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from schemas.configuration_callbacks import MqttMessage
from schemas.mqtt_topics import fill
from services.ingest.callbacks.press import Answer
from services.ingest.callbacks.request import Called, facts
from services.ingest.callbacks.way import WITHIN, Failure, Tell

_CONNECT, _CONNACK, _PUBLISH_QOS_1, _PUBACK, _DISCONNECT = 0x10, 0x20, 0x32, 0x40, 0xE0
_CLEAN, _HAS_USER, _HAS_PASSWORD = 0x02, 0x80, 0x40
_KEEPALIVE_S: Final = 30
_PACKET_ID: Final = b"\x00\x01"


@dataclass(frozen=True, slots=True)
class Message:
    """What is published."""

    topic: str
    payload: bytes


class _Refused(Exception):
    """The broker does not want us; the code is MQTT's."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _NotMqtt(Exception):
    """What answers is no broker."""


def by_publishing(source: str, called: Called, ingest: str) -> Tell:
    """Tells devices of this source through its broker; `ingest` tells this one from others on the same host.

    Each connection has the same name, so that the broker drops what an earlier one may still have to say: an answer
    that was given up can never overtake the next one.
    """
    here = hashlib.sha256(f"{socket.gethostname()}\n{ingest}\n{source}".encode()).hexdigest()[:12]
    hello = _hello(f"rufkette-a-{here}", called)
    parts = urlsplit(called.broker)
    tls = ssl.create_default_context() if parts.scheme == "mqtts" else None
    host, port = parts.hostname or "", parts.port or (1883 if tls is None else 8883)

    async def tell(answer: Answer) -> Failure | None:
        try:
            async with asyncio.timeout(WITHIN):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
                try:
                    await _publish(reader, writer, hello, message(called, answer))
                finally:
                    writer.close()
        except TimeoutError:
            return Failure("timeout", None, is_the_receivers=True)
        except _Refused as refused:
            return Failure("refused", refused.code, is_the_receivers=True)
        except (_NotMqtt, EOFError, OSError, UnicodeError):
            return Failure("unreachable", None, is_the_receivers=True)
        return None

    return tell


def message(called: Called, answer: Answer) -> Message:
    """What is published of an answer."""
    target = called.callback.mqtt
    assert target is not None
    messages: Mapping[Any, MqttMessage] = target.messages
    worded = messages[answer.status]
    known = called.values[answer.device_id]
    payload = fill(worded.payload, {**facts(answer), **known})
    return Message(fill(worded.topic, known), payload.encode())


async def _publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hello: bytes, message: Message) -> None:
    """Returns when the broker has confirmed the message."""
    writer.write(hello)
    code = (await _answer(reader, _CONNACK))[1]
    if code:
        raise _Refused(code)
    writer.write(_packet(_PUBLISH_QOS_1, _text(message.topic) + _PACKET_ID + message.payload))
    if await _answer(reader, _PUBACK) != _PACKET_ID:
        raise _NotMqtt
    writer.write(_packet(_DISCONNECT, b""))


async def _answer(reader: asyncio.StreamReader, kind: int) -> bytes:
    """The two bytes that a packet of this kind holds."""
    found = await reader.readexactly(4)
    if found[:2] != bytes([kind, 2]):
        raise _NotMqtt
    return found[2:]


def _hello(identifier: str, called: Called) -> bytes:
    user = urlsplit(called.broker).username
    flags, credentials = _CLEAN, b""
    if user:
        flags, credentials = flags | _HAS_USER, _text(unquote(user))
        if called.secret:
            flags, credentials = flags | _HAS_PASSWORD, credentials + _bytes(called.secret)
    head = _text("MQTT") + bytes([4, flags]) + _KEEPALIVE_S.to_bytes(2, "big")
    return _packet(_CONNECT, head + _text(identifier) + credentials)


def _packet(kind: int, content: bytes) -> bytes:
    rest, length = len(content), b""
    while True:
        rest, low = divmod(rest, 128)
        length += bytes([low | 0x80 if rest else low])
        if not rest:
            return bytes([kind]) + length + content


def _text(text: str) -> bytes:
    return _bytes(text.encode())


def _bytes(content: bytes) -> bytes:
    return len(content).to_bytes(2, "big") + content
