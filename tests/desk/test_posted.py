"""What a browser sends, and what does not come."""

import asyncio
from typing import Any

import pytest
from fastapi import Request

from services.alerting.desk import posted
from services.alerting.desk.posted import NotAForm, form_body

FORM = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/x-www-form-urlencoded")]}


async def test_a_form_that_stalls_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posted, "_WITHIN", 0.1)
    pieces: list[dict[str, Any]] = [{"type": "http.request", "body": b"by=A.", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return pieces.pop() if pieces else await asyncio.Event().wait()  # type: ignore[return-value]  # never

    with pytest.raises(NotAForm) as found:
        await form_body(Request(FORM, receive))
    assert (found.value.status, found.value.kind) == (408, "too_slow")
