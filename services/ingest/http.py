"""The HTTP routes. The way of a press: authenticate, read, parse, publish, answer – nothing else."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.configuration_sources import CloudeventsSource, FormSource, NativeSource, Source
from schemas.events import Event, Heartbeat, Reported
from services.ingest import body, form_page
from services.ingest.auth import Keyring, as_bearer
from services.ingest.metrics import REPORTS
from services.ingest.middleware import SOURCE
from services.ingest.problems import SLUGS, Refusal, quoted
from services.ingest.publisher import Publisher, Unpublished
from services.ingest.report_body import EXPECTED
from services.ingest.sender import Sender
from services.ingest.sources.cloudevents import receive
from services.ingest.sources.registry import EMITTERS
from services.ingest.sources.shape import Ignored, Made, Message
from services.ingest.status import Statuses

log = structlog.get_logger()


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
        holders = self._keys.holders(_header(request, b"authorization"))
        name = next((n for n in holders if isinstance(self._senders[n].source, NativeSource)), holders[0])
        request.scope[SOURCE] = name
        sender = self._senders[name]
        if not isinstance(sender.source, NativeSource):
            raise Refusal(403, f"This key belongs to a source of type {sender.source.type}. Post to /v1/hooks/{name}.")
        return await self._take(request, sender)

    async def post_events(self, request: Request) -> Response:
        """CloudEvents: one, or a batch that is taken or refused as a whole."""
        started = time.perf_counter()
        holders = self._keys.holders(_header(request, b"authorization"))
        name = next((n for n in holders if isinstance(self._senders[n].source, CloudeventsSource)), holders[0])
        request.scope[SOURCE] = name
        sender = self._senders[name]
        try:
            received = receive(await _message(request), sender)
        except Refusal as refusal:
            _refused(sender, refusal)
            raise
        events = [event for event in received.events if isinstance(event, Event)]
        answers = await self._accept_all(events, sender, started)
        if received.batched:
            return JSONResponse(answers, status_code=202)
        return JSONResponse(answers[0], status_code=202, headers={"Location": answers[0]["status_url"]})

    async def hook(self, request: Request) -> Response:
        """A third party's message as it sends it."""
        name = request.path_params["source"]
        sender = self._senders.get(name)
        if sender is None:
            raise Refusal(404, f"There is no source {quoted(name)} in the configuration.")
        methods = EMITTERS[sender.source.type].methods
        if not methods:
            raise Refusal(405, f"Ingest itself fetches the messages of {quoted(name)}; nothing can be posted to it.")
        if request.method not in methods:
            if not methods:
                raise Refusal(404, f"The source {quoted(name)} sends over MQTT, not over HTTP.")
            allowed = ", ".join(sorted(methods))
            raise Refusal(405, f"This source sends with {allowed}, not {request.method}.", headers={"Allow": allowed})
        if sender.source.key is not None and name not in self._keys.holders(_shown_key(request, sender.source)):
            raise Refusal(403, f"This key does not belong to the source {quoted(name)}, but to another one.")
        request.scope[SOURCE] = name
        # A page could be seen by whoever stands beside a person who presses.
        by_a_person = isinstance(sender.source, FormSource) and not sender.lenient
        if by_a_person and form_page.wanted(request.headers.get("accept")):
            return await form_page.shown(self._take(request, sender), sender.sites.language)
        return await self._take(request, sender)

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
        """Events can be taken in: by the journal, by Kafka, or best by both."""
        problems = self._publisher.problems
        if not problems:
            return JSONResponse({"status": "ok"})
        away = len(problems) == 2
        status = "unavailable" if away else "degraded"
        return JSONResponse({"status": status, "problems": problems}, status_code=503 if away else 200)

    async def metrics(self, request: Request) -> Response:
        """Figures in Prometheus' text format."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _take(self, request: Request, sender: Sender) -> Response:
        started = time.perf_counter()
        try:
            message = await _message(request)
        except Refusal as refusal:
            _refused(sender, refusal)
            raise
        said = await self.receive(message, sender, started)
        headers = {"Location": said["status_url"]} if "status_url" in said else None
        return JSONResponse(said, status_code=EMITTERS[sender.source.type].status, headers=headers)

    async def receive(self, message: Message, sender: Sender, started: float | None = None) -> dict[str, Any]:
        """Take one message in, however it came; returns what its sender is told.

        Raises:
            Refusal: it cannot be taken; 503 when it is not safe anywhere.
        """
        started = time.perf_counter() if started is None else started
        emitter = EMITTERS[sender.source.type]
        try:
            if emitter.verify is not None:
                emitter.verify(message, sender)
            principal, *others = emitter.parse(message, sender)
        except Refusal as refusal:
            _refused(sender, refusal)
            raise
        if isinstance(principal, Ignored):
            REPORTS.labels(sender.name, sender.source.kind, "", "ignored").inc()
            log.info("report.ignored", source=sender.name, reason=principal.reason)
            answer: dict[str, Any] = {"status": "ignored", "reason": principal.reason, "warnings": []}
        else:
            answer = await self._accept(principal, sender, started)
        await self._publish_besides(others, sender)
        return answer

    async def _publish_besides(self, others: Sequence[Made], sender: Sender) -> None:
        """What a press's message brought along, such as its battery: the answer is about the press alone."""
        for other in others:
            if isinstance(other, Event):
                with contextlib.suppress(Refusal):
                    await self._accept(other, sender, time.perf_counter())

    async def _accept_all(self, events: Sequence[Event], sender: Sender, started: float) -> list[dict[str, Any]]:
        """Side by side, but one after the other where they are about one incident."""
        answers: list[dict[str, Any]] = [{}] * len(events)
        by_incident: dict[str, list[int]] = {}
        for number, event in enumerate(events):
            by_incident.setdefault(event.subject or event.id, []).append(number)

        async def in_order(numbers: Sequence[int]) -> None:
            for number in numbers:
                answers[number] = await self._accept(events[number], sender, started)

        await asyncio.gather(*(in_order(numbers) for numbers in by_incident.values()))
        return answers

    async def _accept(self, event: Event, sender: Sender, started: float) -> dict[str, Any]:
        """Publish the event; returns what the sender is told.

        Raises:
            Refusal: 503 when it is not safe anywhere.
        """
        data = event.data
        mode = data.mode if isinstance(data, Reported) else ""
        try:
            status = await self._publisher.publish(event)
        except Unpublished as unpublished:
            REPORTS.labels(sender.name, sender.source.kind, mode, "unpublished").inc()
            refusal = Refusal(
                503, f"The event could not be stored: {unpublished}. Send it again, with the same id.",
                headers={"Retry-After": "2"},
            )  # fmt: skip
            _say_refused(sender, refusal, event.id)
            raise refusal from unpublished
        other = "heartbeat" if isinstance(data, Heartbeat) else "follow_up"
        outcome = status if isinstance(data, Reported) else other
        REPORTS.labels(sender.name, sender.source.kind, mode, outcome).inc()
        self._statuses.accept(event.id, sender.name, time.time())
        warnings = list(data.warnings) if isinstance(data, Reported) else []
        log.info(
            "report.accepted",
            event_id=event.id, source=sender.name, site=data.site, status=status, warnings=len(warnings),
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
        )  # fmt: skip
        url = f"/v1/events/{event.id}"
        return {"event_id": event.id, "status": status, "status_url": url, "warnings": warnings}


def _header(request: Request, name: bytes) -> bytes | None:
    values: list[bytes] = [value for key, value in request.scope["headers"] if key == name]
    return values[0] if values else None


def _shown_key(request: Request, source: Source) -> bytes | None:
    header = _header(request, b"authorization")
    if not isinstance(source, FormSource):
        return header
    return as_bearer(header, request.query_params.get("key") if source.key_in_url else None)


async def _message(request: Request) -> Message:
    """The request as its emitter's module takes it.

    Raises:
        Refusal: 408, 413.
    """
    return Message(
        body=await body.read(request),
        received_at=datetime.now(UTC),
        method=request.method,
        headers=_first(request.headers.items()),
        query=_first(request.query_params.multi_items()),
        rest=request.path_params.get("rest", ""),
    )


def _first(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


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
