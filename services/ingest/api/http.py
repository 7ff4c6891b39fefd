"""The HTTP routes. The way of a press: authenticate, read, parse, publish, answer – nothing else."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from schemas.configuration_sources import CloudeventsSource, FormSource, NativeSource, Source
from services.ingest.activity import Activity
from services.ingest.api import body, form_page
from services.ingest.api.auth import Keyring, as_bearer
from services.ingest.api.middleware import SOURCE
from services.ingest.api.problems import Answer, Refusal, quoted
from services.ingest.api.protocol import ALL_HERE
from services.ingest.intake import Intake
from services.ingest.publisher import Publisher
from services.ingest.sender import Sender
from services.ingest.sources.registry import EMITTERS
from services.ingest.sources.shape import Message
from services.ingest.status import Statuses


class Routes:
    """The handlers and what they need."""

    def __init__(
        self,
        publisher: Publisher,
        statuses: Statuses,
        intake: Intake,
        activity: Activity,
        brokers: Callable[[], Mapping[str, str]],
        stuck: Callable[[], str | None],
    ) -> None:
        self._senders: Mapping[str, Sender] = {}
        self._keys = Keyring({})
        self._publisher = publisher
        self._statuses = statuses
        self._intake = intake
        self._activity = activity
        self._brokers = brokers
        self._stuck = stuck

    def take(self, senders: Mapping[str, Sender], operator_key: str | None) -> None:
        """Know these sources from the next request on; requests in hand keep the sender that they have."""
        self._senders = senders
        self._keys = Keyring({name: sender.source for name, sender in senders.items()}, operator_key)

    async def post_incident(self, request: Request) -> Response:
        """One report as the body of `/v1/incidents`."""
        holders = self._keys.holders(_header(request, b"authorization"))
        name = holders[0]
        if len(holders) > 1:
            name = next((n for n in holders if isinstance(self._senders[n].source, NativeSource)), name)
        request.scope[SOURCE] = name
        sender = self._senders[name]
        if not isinstance(sender.source, NativeSource):
            there = "/v1/events" if isinstance(sender.source, CloudeventsSource) else f"/v1/hooks/{name}"
            raise Refusal(403, f"This key belongs to a source of type {sender.source.type}. Post to {there}.")
        return await self._take(request, sender)

    async def post_events(self, request: Request) -> Response:
        """CloudEvents: one, or a batch that is taken or refused as a whole."""
        started = time.perf_counter()
        holders = self._keys.holders(_header(request, b"authorization"))
        name = next((n for n in holders if isinstance(self._senders[n].source, CloudeventsSource)), holders[0])
        request.scope[SOURCE] = name
        sender = self._senders[name]
        said = await self._intake.receive_events(await self._read(request, sender), sender, started)
        return Answer(said, status_code=202, location=said.get("status_url") if isinstance(said, dict) else None)

    async def hook(self, request: Request) -> Response:
        """A third party's message as it sends it."""
        name = request.path_params["source"]
        sender = self._senders.get(name)
        if sender is None:
            raise Refusal(404, f"There is no source {quoted(name)} in the configuration.")
        methods = EMITTERS[sender.source.type].methods
        if not methods:
            raise Refusal(404, f"The source {quoted(name)} sends over MQTT, not over HTTP.")
        if request.method not in methods:
            allowed = ", ".join(sorted(methods))
            raise Refusal(405, f"This source sends with {allowed}, not {request.method}.", headers={"Allow": allowed})
        if sender.source.key is not None and name not in self._keys.holders(_shown_key(request, sender.source)):
            raise Refusal(403, f"This key does not belong to the source {quoted(name)}, but to another one.")
        request.scope[SOURCE] = name
        # A page could be seen by whoever stands beside a person who presses.
        by_a_person = isinstance(sender.source, FormSource) and not sender.lenient
        if by_a_person and form_page.wanted(request.headers.get("accept")):
            learning = sender.source.learn
            return await form_page.shown(self._take(request, sender), sender.sites.language, learning=learning)
        return await self._take(request, sender)

    async def get_sources(self, request: Request) -> Response:
        """What each source did since this process started: to an operator all, to a source's key its own."""
        names = self._keys.sees(_header(request, b"authorization"))
        return JSONResponse(self._activity.shown({name: self._senders[name] for name in names}))

    async def get_event(self, request: Request) -> Response:
        """What became of an event, for the source that sent it; of sources without a key only operators can ask."""
        event_id = request.path_params["event_id"]
        names = self._keys.sees(_header(request, b"authorization"))
        if len(names) == 1:
            request.scope[SOURCE] = names[0]
        for name in names:
            known = self._statuses.find(event_id, name)
            if known is not None:
                request.scope[SOURCE] = name
                found = {"event_id": event_id, "status": known.status, "incident_id": known.incident_id}
                return JSONResponse({key: value for key, value in found.items() if value is not None})
        raise Refusal(404, "No event with this id came from the source of this key within the last 7 days.")

    async def healthz(self, request: Request) -> Response:
        """No restart is needed, whatever is away."""
        what = self._stuck()
        if what is None:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "stuck", "problem": what}, status_code=503)

    async def readyz(self, request: Request) -> Response:
        """Events can be taken in: by the journal, by Kafka, or best by both."""
        problems = self._publisher.problems
        away = len(problems) == 2
        problems |= self._brokers()
        if not problems:
            return JSONResponse({"status": "ok"})
        status = "unavailable" if away else "degraded"
        return JSONResponse({"status": status, "problems": problems}, status_code=503 if away else 200)

    async def metrics(self, request: Request) -> Response:
        """Figures in Prometheus' text format."""
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _read(self, request: Request, sender: Sender) -> Message:
        try:
            return await _message(request)
        except Refusal as refusal:
            self._intake.refused(sender, refusal)
            raise

    async def _take(self, request: Request, sender: Sender) -> Response:
        started = time.perf_counter()
        said = await self._intake.receive(await self._read(request, sender), sender, started)
        status = EMITTERS[sender.source.type].status
        return Answer(said, status_code=status, location=said.get("status_url"))


def _header(request: Request, name: bytes) -> bytes | None:
    for key, value in request.scope["headers"]:
        if key == name:
            return bytes(value)
    return None


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
    scope = request.scope
    # Of what came twice the first counts.
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
    return Message(
        body=await body.read(request.receive, headers, all_here=ALL_HERE in scope),
        received_at=datetime.now(UTC),
        method=scope["method"],
        headers=headers,
        query=dict(reversed(request.query_params.multi_items())) if scope["query_string"] else {},
        rest=scope["path_params"].get("device", ""),
    )
