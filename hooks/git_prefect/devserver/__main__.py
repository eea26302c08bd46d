"""Starts the development API: Prefect-1-compatible, for demos and tests. It is not a Prefect Server."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

_HOST = "127.0.0.1"
_MISSING = """\
git-prefect: the development API needs {module}, which is not part of the base install, because only demos \
and tests use it. Install it with the extra that brings it: pip install 'git-prefect[demo]'"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until SIGTERM or SIGINT; 2 if the extra is missing or the port or file cannot be used."""
    options = _parser().parse_args(arguments)
    try:
        import uvicorn

        from git_prefect.devserver.app import Server
        from git_prefect.devserver.gateway import Gateway
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("graphql", "starlette", "uvicorn", "anyio"):
            raise
        print(_MISSING.format(module=error.name), file=sys.stderr)
        return 2
    import sqlite3

    from git_prefect.devserver.database import Database

    try:
        database = Database(options.database)
        listener = _listen(options.port)
    except sqlite3.Error as error:
        print(f"git-prefect: cannot use {options.database} as a database: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"git-prefect: cannot listen on port {options.port}: {error.strerror}", file=sys.stderr)
        return 2

    server = Server(Gateway(database, cloud=options.api_key is not None), options.api_key, options.latency / 1000)
    url = f"http://{_HOST}:{listener.getsockname()[1]}"

    class Announced(uvicorn.Server):
        """Says where it is once it accepts connections."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(url, flush=True)
            if options.address_file:
                _write(options.address_file, url)

    config = uvicorn.Config(
        server.app(),
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    try:
        Announced(config).run([listener])
    except KeyboardInterrupt:
        pass
    finally:
        listener.close()
        database.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m git_prefect.devserver", description=__doc__)
    parser.add_argument("--port", type=int, default=4200, help="port on loopback; 0: any free one (default: 4200)")
    parser.add_argument(
        "--database",
        default=":memory:",
        metavar="FILE",
        help="SQLite file, kept afterwards (default: in memory)",
    )
    parser.add_argument("--address-file", type=Path, metavar="FILE", help="write the URL there once it is served")
    parser.add_argument("--api-key", metavar="KEY", help="ask for this key, as Prefect Cloud does")
    parser.add_argument(
        "--latency",
        type=float,
        default=0.0,
        metavar="MS",
        help="milliseconds added to every request (default: 0)",
    )
    return parser


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only where the protocol is named; it costs 40 ms a request
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except BaseException:
        listener.close()
        raise
    return listener


def _write(path: Path, url: str) -> None:
    """All at once, so that who waits for the file never reads half of it."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.write_text(f"{url}\n", encoding="utf-8")
    unfinished.replace(path)


if __name__ == "__main__":
    # uvicorn raises the signal again once it has shut down; that is the end we asked for
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sys.exit(main())
