"""git's own http backend behind nginx: TLS by a CA of our own, a token, subgroups, a port that is not 443."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import trustme

from ..repository import bare_remote
from .programs import answers, free_port, http_backend, program, running

USERNAME, TOKEN = "oauth2", "glpat-s3cret"
"""What GitLab wants of a personal access token; every other pair is refused."""
SLASHED = "p@ss/w"
"""The token of the user `deploy`: one that does not go into a URL as it is."""

NGINX = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/server.pem;
        ssl_certificate_key {folder}/server.pem;
        client_max_body_size 0;
        location /forbidden/ {{ return 403; }}
        location /broken/ {{ return 502; }}
        location / {{
            auth_basic git;
            auth_basic_user_file {folder}/users;
            fastcgi_pass unix:{folder}/fcgi.sock;
            fastcgi_param SCRIPT_FILENAME {backend};
            fastcgi_param GIT_PROJECT_ROOT {folder}/repositories;
            fastcgi_param GIT_HTTP_EXPORT_ALL 1;
            fastcgi_param PATH_INFO $uri;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
            fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
            fastcgi_param REMOTE_USER $remote_user;
            fastcgi_param REMOTE_ADDR $remote_addr;
        }}
    }}
    server {{
        listen 127.0.0.1:{expired} ssl;
        ssl_certificate {folder}/expired.pem;
        ssl_certificate_key {folder}/expired.pem;
    }}
}}
"""


class HttpsServer(NamedTuple):
    """A git host over https on loopback."""

    folder: Path
    port: int
    expired: int
    """A port whose certificate has expired."""

    @property
    def ca(self) -> Path:
        """The certificate of the CA that signed the server's."""
        return self.folder / "ca.pem"

    @property
    def host(self) -> str:
        """Host and port."""
        return f"localhost:{self.port}"

    def repository(self, name: str) -> Path:
        """A new, empty bare repository by its path on the server, such as `team/data/etl`."""
        path = self.folder / "repositories" / f"{name}.git"
        path.parent.mkdir(parents=True, exist_ok=True)
        return bare_remote(path)

    def admit(self, username: str, password: bytes) -> None:
        """Let a user in with any password, and with no other from now on."""
        digest = base64.b64encode(hashlib.sha1(password).digest()).decode()
        users = self.folder / "users"
        others = [line for line in users.read_text().splitlines() if not line.startswith(f"{username}:")]
        users.write_text("\n".join([*others, f"{username}:{{SHA}}{digest}", ""]))

    def url(self, name: str, username: str = "", token: str = "") -> str:
        """The URL of a repository, with a login or without."""
        login = f"{quote(username, safe='')}:{quote(token, safe='')}@" if username else ""
        return f"https://{login}{self.host}/{name}.git"


@contextmanager
def https_server(folder: Path) -> Iterator[HttpsServer]:
    """Serve `folder` until the end of the block, as whoever runs the tests."""
    nginx, fcgiwrap = program("nginx"), program("fcgiwrap")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    # Not for 127.0.0.1: by that name its certificate is another's.
    ca.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    past = datetime.now(timezone.utc) - timedelta(days=1)
    expired = ca.issue_cert("localhost", not_before=past - timedelta(days=1), not_after=past)
    expired.private_key_and_cert_chain_pem.write_to_path(folder / "expired.pem")
    (folder / "repositories").mkdir()
    (folder / "users").write_text(f"{USERNAME}:{{PLAIN}}{TOKEN}\ndeploy:{{PLAIN}}{SLASHED}\n")
    port, expired_port = free_port(), free_port()
    # Started as root, nginx would serve as www-data, who may not read what tests write.
    user = "user root root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        NGINX.format(folder=folder, port=port, expired=expired_port, user=user, backend=http_backend())
    )
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    with ExitStack() as stack:
        gateway = [fcgiwrap, "-c", "4", "-s", f"unix:{folder}/fcgi.sock"]
        stack.enter_context(running(gateway, folder / "fcgiwrap.log", (folder / "fcgi.sock").exists, environ))
        command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
        stack.enter_context(running(command, folder / "nginx.log", lambda: answers(port), environ))
        yield HttpsServer(folder, port, expired_port)
