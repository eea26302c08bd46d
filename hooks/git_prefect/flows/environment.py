"""The environment variables of the process that loads flow files: an agent's, and no more."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

PASSED_ON = frozenset({
    "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH",
    "LOGNAME", "SHELL", "TMPDIR", "TZ", "USER",
})  # fmt: skip
"""An allow-list: what only the developer has, an agent has not, and a token that is not passed on cannot leak.
Everything else that flows need at load time is in the setting `env`."""


def worker_environment(
    environ: Mapping[str, str], python: str, home: Path, library_cache: Path, configured: Mapping[str, str]
) -> dict[str, str]:
    """Variables of the worker, which starts `python`.

    HOME is the user's while Python starts (it may have its packages there), and an empty folder for each flow
    file. Prefect's own folder is empty as well: `~/.prefect` holds the API key and perhaps secrets. An agent
    names the run and its backend in variables, and so do we, with nothing behind them; secrets are local, as
    with Prefect Server. `configured` is the setting `env`, and wins.
    """
    environment = {name: value for name, value in environ.items() if name in PASSED_ON}
    environment.update({
        "HOME": environ.get("HOME", str(home)),
        "PATH": os.pathsep.join([os.path.dirname(python), *_path_of_others(environ.get("PATH", os.defpath))]),
        # Libraries keep what is slow to make (font lists, compiled code) where each load finds it again.
        "XDG_CACHE_HOME": str(library_cache),
        "PREFECT__HOME_DIR": str(home),
        "PREFECT__USER_CONFIG_PATH": str(home / "config.toml"),
        "PREFECT__BACKEND_CONFIG_PATH": str(home / "backend.toml"),
        "PREFECT__BACKEND": "server",
        "PREFECT__LOGGING__LEVEL": "INFO",
        "PREFECT__CLOUD__SEND_FLOW_RUN_LOGS": "false",
        "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
        "PREFECT__CLOUD__AGENT__LABELS": "[]",
        "PREFECT__CONTEXT__FLOW_RUN_ID": "00000000-0000-0000-0000-000000000000",
        "PREFECT__CONTEXT__FLOW_ID": "00000000-0000-0000-0000-000000000000",
        "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
    })  # fmt: skip
    environment.update(configured)
    return environment


def _path_of_others(path: str) -> list[str]:
    """PATH without the hook's own environment, which pre-commit puts first, and git's programs, which git adds for hooks."""
    own = os.path.realpath(os.path.join(sys.prefix, "bin"))
    folders = [folder for folder in path.split(os.pathsep) if folder and os.path.realpath(folder) != own]
    return [folder for folder in folders if os.path.basename(folder) != "git-core"]
