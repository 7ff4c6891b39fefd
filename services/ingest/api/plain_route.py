"""Routes and middleware of ingest: documented by FastAPI, served with as little in between as there can be."""

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.api.middleware import RequestLog


class _Anything(PathConvertor):
    """As `{…:path}`, which finds no route for a line break: whatever a button calls, it is a press."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class PlainRoute(APIRoute):
    """For handlers that take the request and return the response: FastAPI's way to them costs a third of a press."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        endpoint = self.endpoint

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app


class PlainApp(FastAPI):
    """Without the middleware for what `PlainRoute` does without: dependencies, telemetry, a second limit for bodies.

    Whatever no handler of an exception takes is answered and logged by `RequestLog`.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """The way of a request to its route."""
        return RequestLog(ExceptionMiddleware(self.router, handlers=self.exception_handlers))
