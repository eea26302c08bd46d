"""prefect-check-pushed in a push: what the push does to its ref, and what no agent could run."""

from __future__ import annotations

import os
from collections.abc import Sequence

from .. import git
from ..core.errors import ExitCode
from ..core.model import Finding, RefUpdate
from ..deploy import annotated_tags, push_notices, seen_pushes
from ..deploy.remote_state import what_it_does
from ..deploy.resolver import resolve
from ..git import refs
from ..report import finding_text, style, text


def main(argv: Sequence[str]) -> int:
    """Say what the push will do; exit code 1 for what no agent could run. The remote is not asked."""
    repository = git.open_repository()
    (update,) = refs.from_pre_commit(repository, os.environ)
    seen_pushes.note_update(repository.state_dir, "check-pushed", update)
    found = annotated_tags.refused(resolve(repository, update)) if annotated_tags.is_annotated(update) else []
    if found:
        refuse_tag(repository, update, found)
        return ExitCode.FINDINGS
    print(text.fitted(what_it_does(repository, update)))
    return ExitCode.OK


def refuse_tag(repository: git.Repository, update: RefUpdate, found: Sequence[Finding]) -> None:
    """Say why a push is refused; in a few words where git's own hook has said it."""
    if push_notices.is_refused(repository, update, push_notices.CHECK_PUSHED):
        print(f"refused above, by git's own hook: {', '.join(one.code for one in found)}")
    else:
        print(finding_text.findings(found, style.of()))
        push_notices.note_refusal(repository, update, push_notices.CHECK_PUSHED)
