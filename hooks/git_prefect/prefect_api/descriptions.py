"""Where a registered version comes from, in the Markdown that Prefect's UI shows as its Read Me.

The UI shows the flow group's description, which people write there, and this one where there is none: the two
never meet. What another client wrote into the version before is kept above ours.
"""

from __future__ import annotations

import re

from .. import __version__
from ..core.model import RefUpdate

_BEGIN, _END = "<!-- git-prefect -->", "<!-- /git-prefect -->"


_TOOL = f"git-prefect {__version__}"
_FOUND_LATE = "off until a commit changes the flow, or somebody registers it by hand: it was there before git-prefect found it"


def describe_version(update: RefUpdate, repository: str, path: str, who: str) -> str:
    """What a version's description says: commit, ref, repository, file, by whom, and with which tool."""
    what = (
        f"**Branch:** {_code(update.name)}, followed: each run takes the branch's newest commit"
        if update.kind == "branch"
        else f"**Tag:** {_code(update.name)}, pinned"
    )
    lines = [
        f"Registered from git at {_code((update.commit or '')[:7])}.",
        "",
        f"- {what}",
        f"- **Repository:** {_code(repository)}",
        f"- **File:** {_code(path)}",
        f"- **Commit:** {_code(update.commit or '')}",
        f"- **By:** {_plain(who)}",
        f"- **Tool:** {_TOOL}",
    ]
    return "\n".join([_BEGIN, *lines, _END])


def found_late(description: str) -> str:
    """The description of a version whose schedule is off because nobody has changed the flow since we find it."""
    return description.replace(f"\n{_END}", f"\n- **Schedule:** {_FOUND_LATE}\n{_END}")


def was_found_late(description: str) -> bool:
    """Whether a version's schedule was left off for that reason."""
    return _FOUND_LATE in description


def is_by_this_release(description: str) -> bool:
    """Whether this very release of git-prefect has registered a version."""
    return f"- **Tool:** {_TOOL}\n" in description


def merge_descriptions(ours: str, before: str) -> str:
    """The description of a new version: what a person wrote into the one before, then ours."""
    theirs = re.sub(f"\n*(?:---\n\n)?{re.escape(_BEGIN)}.*?{re.escape(_END)}\n*", "\n\n", before, flags=re.DOTALL)
    theirs = theirs.strip()
    return f"{theirs}\n\n---\n\n{ours}" if theirs else ours


def _code(text: str) -> str:
    """A code span, whatever backticks the text has."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{text}{space}{fence}"


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_{}\[\]()<>#+!|~])", r"\\\1", " ".join(text.split()))
