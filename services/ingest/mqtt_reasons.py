"""Why a broker does not let us listen, in a few words that name nobody: no topic, user, password or address."""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from aiomqtt.exceptions import MqttCodeError, MqttConnectError
from paho.mqtt.client import MQTT_ERR_UNKNOWN, error_string
from paho.mqtt.reasoncodes import ReasonCode

from services.ingest.api.problems import Refusal

_CLOSED: Final = "connection closed"
_UNSPECIFIED: Final = 128
"""What the library makes of a connection that ended without a word: MQTT 3.1.1 has none for it."""
_RESOLVING: Final = {getattr(socket, name): name for name in dir(socket) if name.startswith("EAI_")}


class SubscriptionRefused(Exception):
    """The broker lets us in, and does not let us listen to a topic filter; the argument is its number, from 1."""


def reason(error: BaseException) -> str:
    """Of an error while connecting or listening: the first that one can act on, of it and what led to it."""
    return next((said for one in _chain(error) if (said := _said(one)) is not None), _CLOSED)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Also what the library hides with `from None`: there stands what happened."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _said(error: BaseException) -> str | None:
    match error:
        case ssl.SSLCertVerificationError():
            return f"certificate: {error.verify_message.split(',')[0]}"  # behind it stands the host's name
        case ssl.SSLError():
            return f"TLS: {error.reason or type(error).__name__}"
        case socket.gaierror():
            return f"host name: {_RESOLVING.get(error.errno, error.errno)}"
        case UnicodeError():
            return "host name: it cannot be one"
        case OSError() if error.errno is not None:
            return errno.errorcode.get(error.errno, str(error.errno))
        case TimeoutError():
            return "timeout"
        case SubscriptionRefused():
            return f"subscription {error.args[0]} of topics refused"
        case Refusal():
            return f"messages cannot be stored ({error.status})"
        case MqttConnectError():
            return f"refused: {_code(error.rc)}"
        case MqttCodeError(rc=ReasonCode(value=int(value))) if value == _UNSPECIFIED:
            return _CLOSED
        case MqttCodeError():
            return _code(error.rc)
    return None


def _code(code: int | ReasonCode | None) -> str:
    """MQTT's number and words for it, or the library's words."""
    return f"{code.value} {code}" if isinstance(code, ReasonCode) else error_string(code or MQTT_ERR_UNKNOWN)
