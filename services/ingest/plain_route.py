"""Routes that FastAPI documents and Starlette serves."""

from typing import Any

from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.routing import request_response


class _Anything(PathConvertor):
    """As `{…:path}`, which finds no route for a line break: whatever a button calls, it is a press."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class PlainRoute(APIRoute):
    """For handlers that take the request and return the response: FastAPI's way to them costs a third of a press."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.app = request_response(self.endpoint)
