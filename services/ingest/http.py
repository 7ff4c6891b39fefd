"""The HTTP routes. The way of a press: authenticate, read, parse, publish, answer – nothing else."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.configuration import NativeSource
from schemas.events import Event, Reported
from services.ingest import body
from services.ingest.auth import Keyring
from services.ingest.metrics import REPORTS
from services.ingest.middleware import SOURCE
from services.ingest.problems import SLUGS, Refusal, quoted
from services.ingest.publisher import Publisher, Unpublished
from services.ingest.report_body import EXPECTED
from services.ingest.reports import report
from services.ingest.sender import Sender
from services.ingest.sources import ttn
from services.ingest.status import Statuses

log = structlog.get_logger()

_MOST_REPEATED = 5
"""Repeated keys that are named in a press's warnings."""


class Routes:
    """The handlers and what they need."""

    def __init__(self, senders: Mapping[str, Sender], publisher: Publisher, statuses: Statuses) -> None:
        self.take(senders)
        self._publisher = publisher
        self._statuses = statuses

    def take(self, senders: Mapping[str, Sender]) -> None:
        """Know these sources from the next request on; requests in hand keep the sender that they have."""
        self._senders = senders
        self._keys = Keyring({name: sender.source for name, sender in senders.items()})

    async def post_incident(self, request: Request) -> Response:
        """One report as the body of `/v1/incidents`."""
        sender = self._sender(request, None)
        if not isinstance(sender.source, NativeSource):
            raise Refusal(
                403, f"This key belongs to a source of type {sender.source.type}. Post to /v1/hooks/{sender.name}."
            )
        return await self._take(request, sender)

    async def post_hook(self, request: Request) -> Response:
        """A third party's webhook as it sends it."""
        return await self._take(request, self._sender(request, request.path_params["source"]))

    async def get_event(self, request: Request) -> Response:
        """What became of an event, for the source that sent it."""
        event_id = request.path_params["event_id"]
        for name in self._keys.holders(_header(request, b"authorization")):
            request.scope[SOURCE] = name
            known = self._statuses.find(event_id, name)
            if known is not None:
                found = {"event_id": event_id, "status": known.status, "incident_id": known.incident_id}
                return JSONResponse({key: value for key, value in found.items() if value is not None})
        raise Refusal(404, "This source sent no event with this id within the last 7 days.")

    async def healthz(self, request: Request) -> Response:
        """The process runs."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """Events can be published."""
        reason = self._publisher.unready_because
        if reason is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable", "reason": reason}, status_code=503)

    async def metrics(self, request: Request) -> Response:
        """Figures in Prometheus' text format."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _sender(self, request: Request, hook: str | None) -> Sender:
        """Who sends, by key and – for a hook – by name.

        Raises:
            Refusal: 401, 403, 404.
        """
        holders = self._keys.holders(_header(request, b"authorization"))
        if hook is None:
            name = next((n for n in holders if isinstance(self._senders[n].source, NativeSource)), holders[0])
        elif hook not in self._senders:
            raise Refusal(404, f"There is no source {quoted(hook)} in the configuration.")
        elif hook not in holders:
            raise Refusal(403, f"This key does not belong to the source {quoted(hook)}, but to another one.")
        else:
            name = hook
        request.scope[SOURCE] = name
        return self._senders[name]

    async def _take(self, request: Request, sender: Sender) -> Response:
        started = time.perf_counter()
        try:
            made = _event(request, await _object(request, sender), sender)
        except Refusal as refusal:
            _refused(sender, refusal)
            raise
        if isinstance(made, ttn.Ignored):
            REPORTS.labels(sender.name, sender.source.kind, "", "ignored").inc()
            log.info("report.ignored", source=sender.name, reason=made.reason)
            return JSONResponse({"status": "ignored", "reason": made.reason, "warnings": []}, status_code=202)
        return await self._publish(made, sender, started)

    async def _publish(self, event: Event, sender: Sender, started: float) -> Response:
        data = event.data
        mode = data.mode if isinstance(data, Reported) else ""
        try:
            await self._publisher.publish(event)
        except Unpublished as unpublished:
            REPORTS.labels(sender.name, sender.source.kind, mode, "unpublished").inc()
            refusal = Refusal(
                503, f"The event could not be stored: {unpublished}. Send it again, with the same id.",
                headers={"Retry-After": "2"},
            )  # fmt: skip
            _say_refused(sender, refusal, event.id)
            raise refusal from unpublished
        outcome = "accepted" if isinstance(data, Reported) else "heartbeat"
        REPORTS.labels(sender.name, sender.source.kind, mode, outcome).inc()
        self._statuses.accept(event.id, sender.name, time.time())
        warnings = list(data.warnings) if isinstance(data, Reported) else []
        log.info(
            "report.accepted",
            event_id=event.id, source=sender.name, site=data.site, status="accepted", warnings=len(warnings),
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
        )  # fmt: skip
        url = f"/v1/events/{event.id}"
        answer = {"event_id": event.id, "status": "accepted", "status_url": url, "warnings": warnings}
        return JSONResponse(answer, status_code=202, headers={"Location": url})


def _header(request: Request, name: bytes) -> bytes | None:
    values: list[bytes] = [value for key, value in request.scope["headers"] if key == name]
    return values[0] if values else None


async def _object(request: Request, sender: Sender) -> body.Parsed:
    """The JSON object of a request; a press is taken whatever its content type says, if only it is JSON.

    Raises:
        Refusal: 400, 408, 413, 415, 422.
    """
    content_type = request.headers.get("content-type")
    encoding = request.headers.get("content-encoding", "identity")
    unsuitable: Refusal | None = None
    if encoding.strip().lower() not in ("", "identity"):
        unsuitable = Refusal(415, "The body is compressed. Send it without Content-Encoding.")
    elif not body.is_json(content_type):
        unsuitable = Refusal(415, "The body is not declared as JSON. Send Content-Type: application/json.")
    if unsuitable is not None and not sender.lenient:
        raise unsuitable
    raw = await body.read(request)
    try:
        parsed = body.parse(raw)
    except Refusal:
        if unsuitable is not None:
            raise unsuitable from None
        raise
    if not sender.lenient:
        body.refuse_repeated(parsed.repeated)
    return parsed


def _event(request: Request, parsed: body.Parsed, sender: Sender) -> Event | ttn.Ignored:
    now = datetime.now(UTC)
    repeated = [quoted(key) for key in parsed.repeated[:_MOST_REPEATED]]
    warnings = tuple(f"{key} stands in the message more than once; the last one counts" for key in repeated)
    if isinstance(sender.source, NativeSource):
        key = request.headers.get("idempotency-key")
        return report(parsed.value, sender, received_at=now, idempotency_key=key, warnings=warnings)
    return ttn.parse(parsed.value, sender, received_at=now, warnings=warnings)


def _refused(sender: Sender, refusal: Refusal) -> None:
    REPORTS.labels(sender.name, sender.source.kind, "", "refused").inc()
    _say_refused(sender, refusal, None)


def _say_refused(sender: Sender, refusal: Refusal, event_id: str | None) -> None:
    # An unknown field's name is what a sender wrote, so it stays out of the log.
    fields = sorted({fault.field if fault.field in EXPECTED else "unknown" for fault in refusal.errors})
    log.warning(
        "report.refused",
        source=sender.name, status=refusal.status, problem=SLUGS[refusal.status], fields=fields,
        **({"event_id": event_id} if event_id else {}),
    )  # fmt: skip
