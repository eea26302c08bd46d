"""A cluster's edge: an HTTP server that answers as Kubernetes, Docker and AWS do, and keeps what it was asked for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

ARN = "arn:aws:ecs:eu-west-1:1:task"
ECS = {
    "RegisterTaskDefinition": {"taskDefinition": {"taskDefinitionArn": f"{ARN}-definition/ours:1"}},
    "DeregisterTaskDefinition": {"taskDefinition": {"taskDefinitionArn": f"{ARN}-definition/ours:1"}},
    "RunTask": {"tasks": [{"taskArn": f"{ARN}/1"}], "failures": []},
}


class Asked(NamedTuple):
    """One request that would have started something."""

    what: str
    """The path without its API version, or the name of the AWS action."""
    query: dict[str, str]
    body: Any


class Edge(NamedTuple):
    """The server, and what it was asked for so far."""

    port: int
    asked: list[Asked]

    def only(self, what: str) -> Asked:
        """The one request of a kind."""
        (found,) = [one for one in self.asked if one.what == what]
        return found


@contextmanager
def recording() -> Iterator[Edge]:
    """A server on a free port of this machine, for as long as the context lasts."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path.endswith("/version"):
                self._answer(200, {"ApiVersion": "1.44", "MinAPIVersion": "1.24", "Version": "27.0.0"})
            elif self.path.endswith("/_ping"):
                self._answer(200, "OK")
            else:
                self._answer(200, {"kind": "JobList", "apiVersion": "batch/v1", "metadata": {}, "items": []})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            action = (self.headers.get("X-Amz-Target") or "").rpartition(".")[2]
            what = action or "/".join(part for part in parts.path.split("/") if part and not part.startswith("v1."))
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            asked.append(Asked(what, query, json.loads(body) if body else None))
            if action:
                self._answer(200, ECS[action])
            elif "jobs" in what:
                self._answer(201, asked[-1].body)
            elif what.endswith("/start"):
                self._answer(204, None)
            else:
                self._answer(201 if what == "containers/create" else 200, {"Id": "c0ffee", "Warnings": []})

        def _answer(self, status: int, content: Any) -> None:
            data = (
                b""
                if content is None
                else content.encode()
                if isinstance(content, str)
                else json.dumps(content).encode()
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Nothing: a test's output is its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Edge(server.server_address[1], asked)
    finally:
        server.shutdown()
        server.server_close()
