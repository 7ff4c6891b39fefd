"""What a browser sent: whether it came from our own page, and the fields of the form."""

import asyncio
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request

from services.alerting.desk.form import BODY_LIMIT

_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_WITHIN: Final = 10.0
"""Seconds for all of it: who stalls shall not hold a connection for ever."""


class NotAForm(Exception):
    """What was sent is none of our forms; `kind` is a key of the pages' `notices`."""

    def __init__(self, status: int, kind: str) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind


async def form_body(request: Request) -> bytes:
    """The urlencoded body.

    Raises:
        NotAForm: it is something else, far too long, or does not come.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
        raise NotAForm(415, "wrong_form")
    body = bytearray()
    try:
        async with asyncio.timeout(_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_LIMIT:
                    raise NotAForm(413, "too_large")
    except TimeoutError:
        raise NotAForm(408, "too_slow") from None
    return bytes(body)


def from_here(request: Request) -> bool:
    """Whether the form was sent from our own page: browsers say so, and programs that say nothing are believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    hosts = {request.headers.get("host"), request.headers.get("x-forwarded-host")}
    return origin is None or urlsplit(origin).netloc in hosts
