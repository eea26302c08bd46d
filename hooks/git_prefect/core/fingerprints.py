"""Fingerprints of what is installed: they change when a file is replaced, or a package comes, changes or goes."""

from __future__ import annotations

import hashlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The fast path of a push has no time for its import.
    from collections.abc import Iterable

PACKAGES = (".dist-info", ".egg-info", ".egg-link", ".egg", ".pth", ".py", ".so")
"""Ends of the names that tell what is installed in a folder. Packages' own folders do not: compiling touches them."""


def of_packages(folders: Iterable[str]) -> str:
    """Hash of the names and times of all that is installed in the folders of `sys.path`; others count by their name.

    Of a package, its RECORD counts as well: installed again in place, its folder may keep its time.
    """
    content = hashlib.sha256()
    for folder in folders:
        content.update(f"\0{folder}".encode("utf-8", "surrogateescape"))
        if not folder.endswith(("site-packages", "dist-packages")):
            continue
        try:
            with os.scandir(folder) as entries:
                installed = sorted(
                    f"{entry.name}:{entry.stat().st_mtime_ns}:{_record_of(entry)}"
                    for entry in entries
                    if entry.name.endswith(PACKAGES)
                )
        except OSError:
            installed = []
        content.update("\0".join(installed).encode("utf-8", "surrogateescape"))
    return content.hexdigest()


def _record_of(package: os.DirEntry[str]) -> int:
    return changed_at(os.path.join(package.path, "RECORD")) if package.name.endswith(".dist-info") else 0


def of_files(paths: Iterable[str]) -> str:
    """Hash of when files or their modes were changed; those that are missing count as such."""
    return hashlib.sha256(repr([(path, _status_changed_at(path)) for path in paths]).encode("utf-8", "surrogatepass")).hexdigest()


def _status_changed_at(path: str) -> int:
    try:
        return os.stat(path).st_ctime_ns
    except OSError:
        return 0


def changed_at(path: str) -> int:
    """When a file was changed, in nanoseconds since the epoch; 0 when it is missing."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0


def of_prefect_configuration() -> str:
    """Hash of how Prefect is told its API: variables, and the files of its configuration (prefect/configuration.py)."""
    home = os.path.expanduser(os.environ.get("PREFECT__HOME_DIR") or "~/.prefect")
    files = [os.path.join(home, name) for name in ("config.toml", "backend.toml", "auth.toml")]
    files += [os.environ.get(f"PREFECT__{name}_CONFIG_PATH", "") for name in ("USER", "BACKEND")]
    variables = sorted(item for item in os.environ.items() if item[0].startswith("PREFECT__"))
    return hashlib.sha256(f"{variables} {of_files(files)}".encode("utf-8", "surrogateescape")).hexdigest()
