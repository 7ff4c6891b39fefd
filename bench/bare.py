"""What ingest is measured against: a bare endpoint that validates a report and awaits Kafka's acknowledgement."""

import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from aiokafka import AIOKafkaProducer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from schemas import codec, topics
from schemas.events import Event, Reported
from services.common import kafka
from services.common.settings import Settings


def app_for(bootstrap_servers: str) -> Starlette:
    """Nothing but the two steps, with the same model, codec and producer as ingest has."""
    settings = Settings(config=Path("unused"), kafka_bootstrap_servers=bootstrap_servers)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, AIOKafkaProducer]]:
        async with kafka.producer(settings) as producer:
            yield {"producer": producer}

    async def take(request: Request) -> JSONResponse:
        data = Reported.model_validate_json(await request.body())
        event = Event(id=str(uuid.uuid4()), source="buttons", time=datetime.now(UTC), data=data)
        record = codec.encode(event)
        await request.state.producer.send_and_wait(
            topics.EVENTS, value=record.value, key=record.key, headers=list(record.headers)
        )
        return JSONResponse({"event_id": event.id}, status_code=202)

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    routes = [Route("/v1/incidents", take, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


def main() -> None:
    bootstrap_servers, port = sys.argv[1:]
    app = app_for(bootstrap_servers)
    uvicorn.run(app, port=int(port), loop="uvloop", http="httptools", ws="none", log_config=None, access_log=False)


if __name__ == "__main__":
    main()
