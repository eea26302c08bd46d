"""A TCP proxy in front of an HTTP API that does to single requests what networks do: cuts, delays, corrupts."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Callable, NamedTuple
from urllib.parse import urlsplit

from msgspec.structs import replace

Spoil = Callable[[bytes], bytes]
"""What becomes of an answer on its way."""


class Trouble(NamedTuple):
    """What happens to the next requests whose body has `match`."""

    match: bytes
    times: int = 1
    cut_request: bool = False
    """The connection is reset half way through the request: the API never has it."""
    cut_answer: bool = False
    """The connection is reset half way through the answer: the API has done what was asked."""
    delay: float = 0.0
    """Seconds before the request is handed on."""
    spoil: Spoil | None = None


class Proxy:
    """Hands whole requests on and answers back, but for those in trouble."""

    def __init__(self, upstream: str) -> None:
        place = urlsplit(upstream)
        self._upstream = (place.hostname or "", place.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._troubles: list[Trouble] = []
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def trouble(self, *troubles: Trouble) -> None:
        """Add troubles, which come in this order."""
        with self._lock:
            self._troubles += troubles

    def clear(self) -> None:
        """Take all troubles away."""
        with self._lock:
            self._troubles.clear()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while True:
                head = _until(client, b"\r\n\r\n")
                if not head:
                    return
                trouble = None
                length = _length(head)
                body = _exactly(client, length // 2)
                trouble = self._take(body)
                if trouble and trouble.cut_request:
                    return _reset(client)
                body += _exactly(client, length - len(body))
                trouble = trouble or self._take(body)
                if trouble and trouble.cut_request:
                    return _reset(client)
                time.sleep(trouble.delay if trouble else 0)
                answer = self._asked(head, body)
                if trouble and trouble.spoil:
                    answer = trouble.spoil(answer)
                if trouble and trouble.cut_answer:
                    client.sendall(answer[: -len(answer) // 4])
                    return _reset(client)
                client.sendall(answer)

    def _take(self, body: bytes) -> Trouble | None:
        with self._lock:
            for number, trouble in enumerate(self._troubles):
                if trouble.match in body:
                    if trouble.times > 1:
                        self._troubles[number] = replace(trouble, times=trouble.times - 1)
                    else:
                        del self._troubles[number]
                    return trouble
        return None

    def _asked(self, head: bytes, body: bytes) -> bytes:
        with socket.create_connection(self._upstream) as upstream:
            upstream.sendall(head + body)
            answer = _until(upstream, b"\r\n\r\n")
            if not answer:
                raise OSError("the API has closed the connection")
            return answer + _exactly(upstream, _length(answer))


def _until(stream: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        byte = stream.recv(1)
        if not byte:
            return b""
        data += byte
    return data


def _exactly(stream: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = stream.recv(min(65536, length - len(data)))
        if not part:
            raise OSError("ended early")
        data += part
    return data


def _length(head: bytes) -> int:
    for line in head.lower().splitlines():
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _reset(stream: socket.socket) -> None:
    """Close with RST instead of FIN, as a network in trouble does."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def with_body(answer: bytes, body: bytes) -> bytes:
    """The same answer with another body."""
    head = answer.partition(b"\r\n\r\n")[0].decode()
    lines = [line for line in head.splitlines() if not line.lower().startswith("content-length:")]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body


@contextlib.contextmanager
def between(upstream: str) -> Iterator[Proxy]:
    """A proxy for as long as a `with` block runs."""
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
