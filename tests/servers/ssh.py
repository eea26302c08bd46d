"""OpenSSH with keys and git-shell, on a port of loopback, as whoever runs the tests."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..repository import bare_remote
from .programs import answers, free_port, program, running

SSHD = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
AcceptEnv GIT_PROTOCOL
"""
# A host's `git` user sees its repositories, and nothing of whoever runs the tests.
SHELL = """\
#!/bin/sh
cd {repositories} || exit 1
HOME={folder} GIT_CONFIG_NOSYSTEM=1 exec git-shell -c "$SSH_ORIGINAL_COMMAND"
"""
CLIENT = """\
Host git.corp
    HostName 127.0.0.1
    Port {port}
Host *
    IdentityFile {folder}/client_key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile none
"""
PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Started as root, sshd wants this folder, which a system service makes for it elsewhere."""


class SshServer(NamedTuple):
    """A git host over ssh on loopback; ssh knows it as `git.corp`, too."""

    folder: Path
    port: int

    @property
    def login(self) -> str:
        """Who may log in: a server of one's own knows one's own name only."""
        return getpass.getuser()

    @property
    def client(self) -> str:
        """The ssh command that has the key and knows the host."""
        return f"ssh -F {shlex.quote(str(self.folder / 'config'))}"

    def repository(self, name: str) -> Path:
        """A new, empty bare repository by its path on the server, such as `team/data/etl`."""
        path = self.folder / "repositories" / f"{name}.git"
        path.parent.mkdir(parents=True, exist_ok=True)
        return bare_remote(path)

    def url(self, name: str) -> str:
        """The `ssh://` URL of a repository, which has login and port."""
        return f"ssh://{self.login}@127.0.0.1:{self.port}{self.folder}/repositories/{name}.git"


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Serve `folder` until the end of the block."""
    sshd = program("sshd")
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "repositories").mkdir()
    (folder / "sshd_config").write_text(SSHD.format(folder=folder, port=port))
    (folder / "config").write_text(CLIENT.format(folder=folder, port=port))
    (folder / "shell").write_text(SHELL.format(folder=folder, repositories=folder / "repositories"))
    (folder / "shell").chmod(0o755)
    key = (folder / "client_key.pub").read_text().strip()
    (folder / "authorized_keys").write_text(f'restrict,command="{folder}/shell" {key}\n')
    host_key = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    made = os.getuid() == 0 and not PRIVILEGE_SEPARATION.exists()
    if made:
        PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    try:
        command = [sshd, "-D", "-e", "-f", str(folder / "sshd_config")]
        with running(command, folder / "sshd.log", lambda: answers(port), environ):
            yield SshServer(folder, port)
    finally:
        if made:
            PRIVILEGE_SEPARATION.rmdir()
