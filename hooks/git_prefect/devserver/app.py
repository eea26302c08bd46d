"""HTTP: the GraphQL endpoint on every path, as in Prefect Server, and what tests need beside it.

``POST /_fault`` takes a JSON list of faults (see ``faults.Fault``), ``DELETE /_fault`` clears them.
``GET /_requests`` answers ``{"requests": n, "fields": {name: n}}`` for what has come in since the start or
the last ``DELETE /_requests``.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import sys
from collections import Counter
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from git_prefect.devserver.errors import INTERNAL
from git_prefect.devserver.faults import Fault, Faults
from git_prefect.devserver.gateway import Answer, Gateway, NoQuery, field_names

_MAXIMUM_BODY = 5 * 1024 * 1024  # bytes, Prefect Server's APOLLO_API_BODY_LIMIT
_PAGE = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n'
    "<body>\n<pre>{}</pre>\n</body>\n</html>\n"
)


class Server:
    """The endpoints over a gateway. ``latency`` is in seconds and is added to every GraphQL request."""

    def __init__(self, gateway: Gateway, api_key: str | None = None, latency: float = 0.0) -> None:
        self._gateway = gateway
        self._api_key = api_key
        self._latency = latency
        self._faults = Faults()
        self._requests = 0
        self._fields: Counter[str] = Counter()

    def app(self) -> ASGIApp:
        """The ASGI application, for uvicorn."""
        routes = [
            Route("/_fault", self._add_faults, methods=["POST"]),
            Route("/_fault", self._clear_faults, methods=["DELETE"]),
            Route("/_requests", self._show_requests, methods=["GET"]),
            Route("/_requests", self._clear_requests, methods=["DELETE"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/.well-known/apollo/server-health", self._health, methods=["GET"]),
            Route("/{path:path}", self._graphql, methods=["POST"]),
            Route("/{path:path}", self._no_query, methods=["GET"]),
        ]
        inner = Starlette(routes=routes, exception_handlers={Exception: _bug})

        async def outer(scope: Scope, receive: Receive, send: Send) -> None:
            # uvicorn's send is a method of the object that holds the connection; it is what drops it
            scope["connection"] = getattr(getattr(send, "__self__", None), "transport", None)
            await inner(scope, receive, send)

        return outer

    async def _graphql(self, request: Request) -> Response:
        body = await request.body()
        if self._latency:
            await asyncio.sleep(self._latency)
        refused = self._refused(request, body)
        if refused is not None:
            return refused
        try:
            wanted = json.loads(body)
        except ValueError:
            return _page(400, "SyntaxError: Unexpected token in JSON")
        if not isinstance(wanted, (dict, list)):
            return _page(400, "SyntaxError: Unexpected token in JSON")
        requests: list[Any] = wanted if isinstance(wanted, list) else [wanted]
        names = [name for item in requests for name in field_names(item)]
        self._requests += 1
        self._fields.update(names)
        fault = self._faults.take(names)
        if fault is None:
            return await self._executed(request, wanted)
        return await self._faulty(request, wanted, fault)

    async def _faulty(self, request: Request, wanted: Any, fault: Fault) -> Response:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
            return await self._executed(request, wanted)
        if fault.kind.endswith("-after"):
            await self._executed(request, wanted)
        if fault.kind.startswith("drop"):
            return _Dropped()
        if fault.kind == "html":
            return _page(fault.status, fault.message)
        error = {"message": fault.message, "extensions": {"code": fault.code}}
        if fault.kind == "status":
            return JSONResponse({"errors": [error]}, fault.status)
        return JSONResponse({"errors": [error], "data": None})

    async def _executed(self, request: Request, wanted: Any) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            if isinstance(wanted, list):
                answers = [await run_in_threadpool(self._gateway.answer, item, headers) for item in wanted]
                return JSONResponse([answer.body for answer in answers])
            answer: Answer = await run_in_threadpool(self._gateway.answer, wanted, headers)
        except NoQuery as error:
            return _plain(400, str(error))
        return JSONResponse(answer.body, answer.status)

    def _refused(self, request: Request, body: bytes) -> Response | None:
        if self._api_key is not None:
            given = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(given, f"Bearer {self._api_key}".encode()):
                error = {"message": "Invalid or missing API key", "extensions": {"code": "UNAUTHENTICATED"}}
                return JSONResponse({"errors": [error]}, 401)
        if len(body) > _MAXIMUM_BODY:
            return _page(413, "PayloadTooLargeError: request entity too large")
        if "json" not in request.headers.get("content-type", "") or not body:
            return _plain(500, "POST body missing. Did you forget use body-parser middleware?")
        return None

    async def _no_query(self, _request: Request) -> Response:
        return _plain(400, "GET query missing.")

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "pass"})

    async def _add_faults(self, request: Request) -> Response:
        try:
            return JSONResponse({"waiting": self._faults.add(await request.json())})
        except (ValueError, TypeError) as error:
            return JSONResponse({"error": str(error)}, 400)

    async def _clear_faults(self, _request: Request) -> Response:
        self._faults.clear()
        return JSONResponse({"waiting": 0})

    async def _show_requests(self, _request: Request) -> Response:
        shown: dict[str, Any] = {"requests": self._requests, "fields": dict(self._fields)}
        return JSONResponse(shown)

    async def _clear_requests(self, request: Request) -> Response:
        self._requests = 0
        self._fields.clear()
        return await self._show_requests(request)


class _Dropped(Response):
    """No response at all: the connection is closed."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["connection"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _bug(_request: Request, error: Exception) -> Response:
    print(f"git-prefect devserver: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return JSONResponse({"errors": [{"message": INTERNAL, "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]}, 500)


def _plain(status: int, message: str) -> Response:
    """A text for what Apollo refuses before it looks at the query; Express says HTML of it."""
    return Response(message, status, media_type="text/html")


def _page(status: int, message: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(message), status)
