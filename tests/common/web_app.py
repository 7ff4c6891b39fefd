"""A small service on services.common.web, started by test_web.py as a process of its own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.common import telemetry, web


def say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(port: int, mood: str) -> None:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if mood == "broken":
            raise ValueError("Anna Muster")
        say("up")
        yield
        say("down")

    app = FastAPI(lifespan=lifespan)

    async def readiness() -> web.Readiness:
        if mood == "unavailable":
            return web.Readiness(ready=False, status="unavailable", problems={"kafka": "unreachable"})
        return web.Readiness(ready=True)

    web.add_operations_routes(app, readiness)

    @app.get("/a/{token}")
    async def page(token: str) -> str:
        return "page"

    @app.get("/bug")
    async def bug() -> None:
        raise ValueError("Anna Muster")

    telemetry.configure(service="test", log_format="json", log_level="info")
    web.serve(app, host="127.0.0.1", port=port)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
