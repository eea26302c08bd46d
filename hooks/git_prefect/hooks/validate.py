"""prefect-validate in a push: each flow file of the pushed commit, loaded as an agent loads it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress

from .. import git
from ..core.deployment import Resolution
from ..core.errors import ExitCode
from ..core.model import Finding
from ..core.settings import FILES
from ..deploy import gate, hidden_refs, push_notices, queue, seen_pushes
from ..deploy.hook_filters import left_out_by_pre_commit
from ..deploy.resolver import resolve
from ..flows.verdicts import CONTENTS, NAMES, NO_LINKS, PATHS
from ..git import refs
from ..prefect_api.run_configs import TEMPLATES
from ..report import finding_text, style, text
from ..report.rows import files_in_words, loads_in_words
from . import fast_path


def main(argv: Sequence[str]) -> int:
    """Check what pre-commit shows of a push; exit code 1 when something refuses it."""
    repository = git.open_repository()
    (update,) = refs.from_pre_commit(repository, os.environ)
    seen_pushes.note_update(repository.state_dir, "validate", update)
    if update.commit is None or update.kind == "other":
        return ExitCode.OK
    ref = resolve(repository, update)
    found = gate.validate(repository, ref)
    if found.refused:
        return refuse(repository, ref, found)
    _print(_joined(_in_words(found), loads_in_words(found.files)))
    # What is wrong with the rest is for the hook that it is about to say, and nothing that is kept may stop a push.
    with suppress(Exception):
        decision = gate.admit(repository, ref, os.environ.get("SKIP", "").split(","), found)
        with suppress(fast_path.Unanswered):
            _leave(repository, ref, decision)
        keep_record(repository, ref, found, decision)
    return ExitCode.OK


def _in_words(found: gate.Validation) -> str:
    """What is said of a push that nothing refuses."""
    remarks = finding_text.findings(found.remarks, style.of())
    if found.unchecked:
        return remarks
    summary = files_in_words(found.files, len(found.existing), found.interpreter.brief)
    return _joined(remarks, gate.existing_errors(found), summary)


def keep_record(
    repository: git.Repository, ref: Resolution, found: gate.Validation, decision: gate.Decision
) -> None:
    """Keep a record for the fast path of a push whose flow files were checked without a remark, and that was admitted.

    Raises:
        fast_path.Unanswered, OSError: it could not be kept.
    """
    # What else is said of an admission is about what this push changes; the next one that changes nothing has none of it.
    quiet = not found.remarks and not found.existing and _rests_on_files_alone(ref, found)
    if quiet and isinstance(decision, gate.Admission) and ref.update.kind == "branch":
        place = fast_path.place_of(repository, ref.update)
        fast_path.remember(place, found.interpreter, ref.default_branch, _in_words(found))


def _leave(repository: git.Repository, ref: Resolution, decision: gate.Decision) -> None:
    """Leave the gate's decision to the register hook of this push, where that would say no more."""
    update = ref.update
    lines = queue.announcement(repository, decision)
    if update.kind != "branch" or gate.in_ci() or not hidden_refs.is_silent(repository, ref, bool(lines)):
        return
    if lines == push_notices.unsaid(repository, lines) and not queue.has_news(repository):
        place, queued = fast_path.place_of(repository, update), isinstance(decision, gate.Admission)
        # What pre-commit tells of the remote is what its tracking ref is.
        fast_path.leave_decision(place, "\n".join(lines), update.remote_commit, queued)


def refuse(repository: git.Repository, ref: Resolution, found: gate.Validation) -> int:
    """Say why a push is refused; in a few words where git's own hook has said it."""
    update = ref.update
    errors = text.plural(len(found.refused), "error")
    if push_notices.is_refused(repository, update, push_notices.VALIDATE):
        _print(f"refused above, by git's own hook: {errors}")
        return ExitCode.FINDINGS
    push_notices.note_refusal(repository, update, push_notices.VALIDATE)
    _print(
        _joined(
            finding_text.findings([*found.refused, *_beside(repository, ref, found)], style.of()),
            left_out_by_pre_commit(repository, sorted({one.path for one in found.refused if one.path}), ref.settings),
            gate.existing_errors(found),
            f"push refused: {errors} in what this push changes or breaks; nothing was sent to "
            f"{update.remote}. To push all the same: SKIP=prefect-validate git push",
        )
    )
    return ExitCode.FINDINGS


def _rests_on_files_alone(ref: Resolution, found: gate.Validation) -> bool:
    """Whether nothing but the files that the fast path looks at, the settings and the interpreter decided."""
    own = [posixpath.join(ref.source.folder, name) for name in FILES]
    if ref.source.origin not in own or ref.settings.import_roots:
        return False
    templates = [str(one.run_config.get(key, "")) for one in ref.settings.runtime for key in TEMPLATES]
    seen = all(path.endswith(gate.DECIDING) for path in templates if path and "://" not in path)
    return seen and all(file.lasting and file.used is not None and all(map(_is_covered, file.used.items())) for file in found.files)


def _is_covered(used: tuple[str, str]) -> bool:
    """Whether the fast path sees a change of what a load used: of a folder its sources, of a path that its name decides.

    Names of a folder count where the import system looks; what a flow file reads there is used by its own name.
    """
    key, fact = used
    if key.endswith(NAMES):
        return not key.endswith(CONTENTS)
    return key in (NO_LINKS, PATHS) or fact == "folder" or key.endswith(gate.DECIDING)


def _beside(repository: git.Repository, ref: Resolution, found: gate.Validation) -> list[Finding]:
    """The remarks that whoever fixes what refuses a push should see: on the files that it is about, not on all others."""
    near = git.changed_paths(repository, found.base, ref.update.commit or "")
    near |= {one.path for one in found.refused if one.path}
    return [one for one in found.remarks if one.path is None or one.path in near]


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def _print(told: str) -> None:
    if told:
        print(text.fitted(told), flush=True)
