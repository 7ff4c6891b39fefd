"""The way of an answer over HTTP."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import httpx

from services.ingest.callbacks.press import Answer
from services.ingest.callbacks.request import Call, Called, call
from services.ingest.callbacks.way import WITHIN, Failure, Tell

_EVERYBODY: Final = (401, 403, 408, 429)
"""Refusals that are about the receiver or our credentials, not about one device."""


def by_post(called: Called, client: httpx.AsyncClient) -> Tell:
    """Tells devices of this source by requests of this client."""

    async def tell(answer: Answer) -> Failure | None:
        return await _post(client, call(called, answer, datetime.now(UTC)))

    return tell


async def _post(client: httpx.AsyncClient, call: Call) -> Failure | None:
    """Why the receiver did not take it; None if it did. Its answer's content is not read, and no redirect followed."""
    try:
        async with (
            asyncio.timeout(WITHIN),
            client.stream("POST", call.url, content=call.body, headers=dict(call.headers)) as answer,
        ):
            code = answer.status_code
    except (TimeoutError, httpx.TimeoutException):
        return Failure("timeout", None, is_the_receivers=True)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return Failure("unreachable", None, is_the_receivers=True)
    if code < 300:
        return None
    if code < 400:
        return Failure("redirected", code, is_the_receivers=True)
    return Failure("refused" if code < 500 else "failing", code, is_the_receivers=code in _EVERYBODY or code >= 500)
