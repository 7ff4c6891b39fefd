"""Routes and middleware of ingest: documented by FastAPI, served with as little in between as there can be."""

from collections.abc import Awaitable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import APIRoute, APIRouter
from starlette.applications import Starlette
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.api.middleware import STATUS, RequestLog
from services.ingest.api.problems import Refusal, respond

_NO_ROUTE: Final = {
    404: "There is nothing here. The routes are listed at /docs.",
    405: "This route takes another method.",
}


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
            scope[STATUS] = response.status_code
            await response(scope, receive, send)

        self.app = app


class _Straight:
    """In front of the router, which asks one route after the other: those whose path holds no names are looked up."""

    def __init__(self, router: APIRouter) -> None:
        self._router = router
        self._routes = {
            (method, route.path): route
            for route in router.routes
            if isinstance(route, PlainRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one request, or the start and end of the process."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if route is None:
            return self._router(scope, receive, send)
        scope["route"], scope["path_params"] = route, {}
        return route.app(scope, receive, send)


class PlainApp(FastAPI):
    """Without the middleware for what `PlainRoute` does without: dependencies, telemetry, a second limit for bodies.

    What a handler raises is answered by `RequestLog`.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """The way of a request to its route; made at the first one, when all routes are known."""
        return RequestLog(_Straight(self.router), self._explain)

    def _explain(self, scope: Scope, error: Refusal | HTTPException) -> Response:
        if isinstance(error, Refusal):
            return respond(error)
        headers = dict(error.headers or {})
        if error.status_code == 405:
            # Starlette names the methods of the first route of this path only.
            suitable = [r for r in self.routes if isinstance(r, Route) and r.matches(scope)[0] != Match.NONE]
            headers["Allow"] = ", ".join(sorted({method for route in suitable for method in route.methods or ()}))
        detail = _NO_ROUTE.get(error.status_code, str(error.detail))
        return respond(Refusal(error.status_code, detail, headers=headers))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without FastAPI's own way, which looks for telemetry in the environment at each request."""
        if scope["type"] == "http" and self.middleware_stack is not None:
            scope["app"] = self
            await self.middleware_stack(scope, receive, send)
        else:
            await Starlette.__call__(self, scope, receive, send)
