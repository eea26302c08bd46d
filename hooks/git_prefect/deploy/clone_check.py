"""Would an agent get the flow? It is cloned and loaded exactly as an agent does it, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from .. import git
from ..core.deployment import ResolvedRef
from ..core.git_environment import clean_environment
from ..core.json_input import decode
from ..core.model import CheckedFile, Finding
from ..core.settings import Settings
from ..prefect_api.storage import git_storage
from . import clone_failures
from .selection import registrable
from .source_tree import interpreter_for

CLONER = Path(__file__).parents[1] / "flows" / "cloner.py"
TIMEOUT = 60.0
"""Seconds that a clone and the load of one flow may take."""


class CloneCheck(msgspec.Struct, frozen=True):
    """What became of a clone as an agent makes it."""

    finding: Finding | None
    """Why an agent would not get the flow; None when it would."""
    flow: str | None
    """The flow that was asked for; None when only the clone was made, since the ref has none."""
    kind: str
    """What `flows/cloner.py` calls the outcome, or `time-over`."""


def check_clone(repository: git.Repository, ref: ResolvedRef, files: Sequence[CheckedFile]) -> CloneCheck:
    """Clone the remote of a ref and load one of its flows, with the secrets of this environment; never prompts."""
    update, settings, where = ref.update, ref.settings, ref.storage
    path, flow = _a_flow(files, settings)
    storage = git_storage(where, update, path or "flow.py", flow or "flow")
    interpreter = interpreter_for(repository, settings)
    python = sys.executable if interpreter.problem else interpreter.path
    orders = {"storage": storage, "flow": flow}
    environment = _environment(os.environ, settings.env)
    answer = _ask(python, orders, environment)
    if answer.kind in ("no-dulwich", "no-prefect") and python != sys.executable:
        # Whether agents have dulwich is not for this interpreter to say; ours has.
        python = sys.executable
        answer = _ask(python, orders, environment)
    kind = answer.kind
    if kind == "load-module" and (interpreter.own or python == sys.executable):
        # The flows' third-party modules need not be in the hook's own environment.
        kind = "done"
    if kind == "done":
        return CloneCheck(None, flow, kind)
    return CloneCheck(clone_failures.explain(kind, answer.place, answer.text, where, update, ref.url), flow, kind)


def _a_flow(files: Sequence[CheckedFile], settings: Settings) -> tuple[str | None, str | None]:
    found = [(file.path, flow.name) for file in registrable(files, settings) for flow in file.flows]
    return found[0] if found else (None, None)


def _environment(environ: Mapping[str, str], configured: Mapping[str, str]) -> dict[str, str]:
    """Variables of a process that an agent of this machine starts, and nothing that would ask a person.

    It has no terminal (a session of its own), so that ssh fails where it would ask; an askpass program would
    open a window.
    """
    environment = {**configured, **clean_environment(environ)}
    for name in ("SSH_ASKPASS", "DISPLAY", "PYTHONPATH"):
        environment.pop(name, None)
    return {
        **environment,
        "SSH_ASKPASS_REQUIRE": "never",
        "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
        "PREFECT__CLOUD__SEND_FLOW_RUN_LOGS": "false",
        "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
    }


def _ask(python: str, orders: Mapping[str, object], environment: dict[str, str]) -> _Answer:
    with tempfile.TemporaryDirectory(prefix="git-prefect-") as folder:
        asked, answered = Path(folder, "orders.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(orders))
        process = subprocess.Popen(
            [python, str(CLONER), str(asked), str(answered)], cwd=folder, env={**environment, "TMPDIR": folder},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            process.wait(TIMEOUT)
            answer = decode(answered.read_bytes(), _Answer) if answered.exists() else None
            return answer or _Answer("ended", "", f"exit status {process.returncode}")
        except subprocess.TimeoutExpired:
            return _Answer("time-over", "", f"{TIMEOUT:.0f} s")
        finally:
            # With it goes the ssh that it may have started.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class _Answer(msgspec.Struct, frozen=True):
    """What `flows/cloner.py` writes."""

    kind: str
    place: str
    text: str
