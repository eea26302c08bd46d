"""The environment of a git that we start.

Inside a hook git exports `GIT_DIR`, `GIT_INDEX_FILE` and more; a child that inherits them works on the wrong repository or
index (pre-commit's `no_git_env` tells the stories).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The fast path of a push has no time for its import.
    from collections.abc import Mapping


KEPT_VARIABLES = {
    "GIT_ALLOW_PROTOCOL", "GIT_ASKPASS", "GIT_CONFIG_COUNT", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH", "GIT_HTTP_PROXY_AUTHMETHOD",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY", "GIT_TERMINAL_PROMPT",
}  # fmt: skip
"""How to reach a remote and which configuration to read; everything else says which repository, and is dropped."""


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without git's own variables that name a repository, an index or a prefix."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith("GIT_")
        or name in KEPT_VARIABLES
        or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_PREFECT_", "GIT_TRACE"))
    }
