"""Every finding's code: its severity, and what `git prefect explain CODE` says of it."""

from __future__ import annotations

import msgspec

from .model import ERROR, NOTE, WARNING, Finding


class Code(msgspec.Struct, frozen=True):
    """What a code stands for, in words for somebody who sees it for the first time."""

    severity: str
    meaning: str
    """What is so."""
    reason: str
    """Why agents, or the API, care."""
    remedy: str
    """How to mend it."""


CODES: dict[str, Code] = {
    # load
    "does-not-load": Code(
        ERROR,
        "Executing the flow file raised an exception.",
        "An agent clones the repository and executes the file's bytes for every run, with `__file__` as its only "
        "global and outside of the repository. What fails then fails every run, before its first task.",
        "Fix the line that is shown. Variables and secrets that the runtime has at load time are given in the "
        "setting `env`, and so are keys of Prefect's configuration that only your `~/.prefect/config.toml` has: "
        '`env = { PREFECT__SECTION__KEY = "…" }`; modules are installed in the interpreter that the setting `python` names, and in the '
        "image that runs the flow.",
    ),
    "load-timeout": Code(
        ERROR,
        "The flow file was still executing when its time was over.",
        "An agent executes the file for every run: each run would wait as long before its first task, or forever.",
        "Move the work into a task, or raise the setting `timeout` (seconds for one file). Where a shared module hangs, the first files "
        "that import it wait for the whole time; the others are ended where these did not get on.",
    ),
    "load-crashed": Code(
        ERROR,
        "Executing the flow file ended its process: `sys.exit`, `os._exit`, or a signal such as a segmentation fault.",
        "The process that ends is the flow run itself: the run never starts, and Prefect is not told why.",
        "Take the exit out of the module's top level (`argparse` at the top level exits too: agents have other "
        "arguments), or mend the native module that crashes.",
    ),
    "no-flow": Code(
        WARNING,
        "The file matches the flow patterns, or builds a flow, but after executing it no variable of the module is "
        "a Flow. An error when the file's code builds one; a warning when an agent finds others of its flows, as after a loop.",
        "An agent looks for the flow among the module's global variables, and executes the file with `__name__` "
        "set to `builtins`: what is under `if __name__ == \"__main__\"`, in a function or in a list is not found.",
        "Assign each flow to a variable at the top level, in a loop by `globals()`; or leave the file out with the setting "
        "`exclude`.",
    ),
    "import-not-on-agent": Code(
        ERROR,
        "The file imports a module of this repository, which is not on an agent's `sys.path`.",
        "An agent executes the file's bytes: neither its folder nor the repository is on `sys.path`, and there is "
        "no package for relative imports. `prefect register` puts the file's folder there, so it does not notice.",
        "Put its folder in the clone on `sys.path` before the import, which needs no image: "
        "`sys.path.insert(0, str(Path(__file__).resolve().parents[N]))`, with the N that the finding shows. Or install the module in "
        "the image that runs the flow and name its folder in the setting `import-roots`. docs/shared-code.md compares the two.",
    ),
    "editable-install": Code(
        WARNING,
        "The file imports modules of this repository from the clone's work tree, where an editable install has put it on `sys.path`.",
        "What was checked is the work tree, with what is not committed there; what the pushed commit has of these modules was not "
        "looked at. Agents use what is installed in their image.",
        "Name the folder that the image has in the setting `import-roots`: then the commit's own modules are loaded. Or install "
        "the package without `-e`.",
    ),
    "file-not-on-agent": Code(
        ERROR,
        "The file opens a file of this repository by a path relative to the working directory.",
        "An agent's working directory is not the repository. While the file loads, the repository can be reached "
        "through `__file__`; once tasks run it is deleted.",
        "Read it at load time through `pathlib.Path(__file__).parent`, or put it into the image or a bucket.",
    ),
    "registers-on-import": Code(
        WARNING,
        "The file calls `flow.register()` at its top level.",
        "Under an agent the call does nothing but warn and return None. Run by hand it registers the flow a second "
        "time, with a storage of its own.",
        "Remove it: a push registers the flow.",
    ),
    "runs-on-import": Code(
        WARNING,
        "The file calls `flow.run()` at its top level.",
        "Under an agent the call does nothing but warn and return None, so `flow.run().result` fails the load.",
        "Put it under `if __name__ == \"__main__\":`, where agents do not get.",
    ),
    "import-in-task": Code(
        ERROR,
        "A task imports a module that only the repository has, when it runs.",
        "Agents delete the clone before the first task runs. What was imported while the file loaded stays in memory; an import "
        "inside a task finds nothing any more, and the task fails. In a function that a task calls it is a warning.",
        "Import the module at the top of the flow file, or install it in the image that runs the flow.",
    ),
    "module-not-on-workers": Code(
        ERROR,
        "Tasks run in processes that import a module by its name, and only the repository has it.",
        "Dask sends tasks to its workers as pickles, which name the module of a function or class that can be imported. Agents delete "
        "the clone before the first task runs, so no worker finds the module there: the run fails, or with newer versions of "
        "Dask never ends. On a cluster with an image of its own it is a warning: the module may be installed there. "
        "`LocalDaskExecutor` forks its processes on Linux, and these have the module in memory; it fails too when the file asks for "
        "`spawn` or `forkserver`.",
        "Let cloudpickle send the package along: `cloudpickle.register_pickle_by_value(package)` (functions only; the finding offers it "
        "where it works). Or run tasks in threads of the flow run, with `LocalDaskExecutor()`. Or install the package in the image that "
        "runs the flow, and in that of the workers, and name its folder in the setting `import-roots`.",
    ),
    # flow
    "duplicate-name": Code(
        ERROR,
        "Two flows of what is pushed have the same name.",
        "In one file an agent runs the later one for both. In two files the project has one flow of that name, and "
        "each registration replaces the other.",
        "Give each flow a name of its own.",
    ),
    "not-serializable": Code(
        ERROR,
        "Prefect cannot turn the flow into JSON, or not read it back.",
        "The API stores flows as JSON: it would refuse the registration, or the agent could not read it.",
        "The message names the part and what to write instead: a schedule that is a clock or has a date with a bare UTC offset, "
        "a filter that is not Prefect's, a Parameter's default that is not JSON, a task with retries and no delay.",
    ),
    "schedule-needs-parameter": Code(
        WARNING,
        "The flow has a schedule, and a required parameter for which the schedule gives no value.",
        "The server leaves the schedule inactive: no run is ever scheduled, without an error.",
        "Give the Parameter a default, or the clock `parameter_defaults`.",
    ),
    "differs-each-load": Code(
        WARNING,
        "Two loads of a flow file do not give the same flow. An error where an agent would find no flow of the registered name, or "
        "tasks that are not registered.",
        "An agent loads the file anew for each run, under another hash seed: what is made from a set comes in another order, and the "
        "time and random values are others. Each edit registers a new version, and `git prefect status` reports a difference that no "
        "registration settles. With a name or a task slug that differs, every run fails.",
        "Make tasks from a list or `sorted(…)`, give flows, tasks and a schedule's `start_date` fixed values, and take the time and "
        "random values inside a task. `git prefect validate --twice` looks for it; so does each registration of a new version. "
        "Where agents have a fixed hash seed, set it for loading: `env = { PYTHONHASHSEED = \"0\" }`.",
    ),
    "string-labels": Code(
        WARNING,
        "Labels were given as one text instead of a list.",
        "Prefect makes a set of single characters of it: no agent has these labels, and runs stay Scheduled forever.",
        "Write `labels=[\"name\"]`.",
    ),
    "environment-broken": Code(
        WARNING,
        "The interpreter that loads the flows cannot tell whether they load.",
        "It lacks Prefect 1, or a module that flows import, or has versions that do not work together, such as "
        "marshmallow 4 with Prefect 1: an agent with the same packages could not load a single flow.",
        "Name the interpreter that has the flows' dependencies in the setting `python`, or mend that environment.",
    ),
    # declared storage
    "wrong-flow-path": Code(
        WARNING,
        "The flow's own Git storage names another file than the one it is in. An error of a flow that is registered so.",
        "An agent opens exactly that path inside its clone: a leading slash, a backslash or another case fails "
        "each run. The example in Prefect's own documentation has the leading slash. A push replaces the storage, so this "
        "concerns registrations by hand, such as `flow.register()`.",
        "Write the path from the root of the repository with forward slashes, or leave the storage out: a push sets it.",
    ),
    "wrong-repository": Code(
        WARNING,
        "The flow's own Git storage names another repository than the one that is pushed to.",
        "Registered by hand, agents would run the code of that repository. A push replaces the storage.",
        "Correct `repo` and `repo_host`, or leave the storage out: a push sets it.",
    ),
    "commit-pin": Code(
        WARNING,
        "The flow's own Git storage has `commit=`.",
        "Prefect 1 ignores it: registered by hand, agents run the code of the default branch. A push replaces the storage "
        "with one that names the pushed branch or tag.",
        "Pin a release by pushing a tag, and leave the storage out; by hand, use `tag=`.",
    ),
    "other-storage": Code(
        NOTE,
        "The flow declares another storage than Git.",
        "Its code does not come from git, so a push does not deploy it: it is left out of the registration.",
        "Leave it so, or set `storage = \"replace\"` to register such flows with Git storage.",
    ),
    "image-lost": Code(
        WARNING,
        "The flow ran in the image of its Docker storage, and nothing names an image now.",
        "Docker storage brings the image that its runs start in. With Git storage only the run config names one: without "
        "it the flow runs in the agent's own environment, or in Prefect's plain image, where what it imports may be missing.",
        "Give the flow's files a `[[tool.git-prefect.runtime]]` whose run config has the image, or name it in the flow's "
        "own run config.",
    ),
    # ref
    "not-on-remote": Code(
        ERROR,
        "The remote has no such branch or tag.",
        "An agent that is told to run it fails with a bare KeyError.",
        "Push it.",
    ),
    "remote-differs": Code(
        ERROR,
        "The remote has another commit at this ref than this clone.",
        "Agents run what the remote has.",
        "Push, or pull first.",
    ),
    "uncommitted-flow": Code(
        ERROR,
        "A flow file has changes that are in no commit.",
        "Agents pull from the remote: these changes will not run.",
        "Commit and push them.",
    ),
    "annotated-tag": Code(
        ERROR,
        "The tag is annotated (`git tag -a`, `-m` or `-s`).",
        "Prefect 1 looks for a commit behind the tag and finds a tag object: every run fails with "
        "'Tag' object has no attribute 'tree'.",
        "Make it a lightweight tag: `git tag --no-sign -f NAME 'NAME^{}'` (without `--no-sign`, `tag.gpgSign` makes another "
        'annotated one); or have one pushed beside each annotated tag, with the setting `companion-tag = "flows/{tag}"`.',
    ),
    "base-unknown": Code(
        WARNING,
        "Where the branch left the default branch is not known in this clone: it is shallow, as those of CI are.",
        "A branch registers the flows whose files it changes since then. Where that cannot be told, it registers all of "
        "them, into its own project.",
        "Clone with the whole history, `fetch-depth: 0` in GitHub and `GIT_DEPTH: 0` in GitLab, or fetch it: "
        "`git fetch --unshallow origin '+refs/heads/*:refs/remotes/origin/*'`.",
    ),
    "objects-missing": Code(
        WARNING,
        "This is a partial clone, and the remote that has the files it lacks is out of reach.",
        "The flow files are not checked, so the push passes with whatever is wrong with them. Once its commit is on the "
        "remote its flows are checked and registered, as soon as the missing files can be fetched.",
        "Make the promisor remote reachable: `git fetch` has to work without a password prompt.",
    ),
    "no-target": Code(
        NOTE,
        "No target of the settings takes this ref.",
        "A ref without a target is validated, but never registered.",
        "Add a target for it, if its flows are to run: `[[target]]` in `.git-prefect.toml`, "
        "`[[tool.git-prefect.target]]` in `pyproject.toml`. `git prefect register --explain` tells why none takes it.",
    ),
    # registered state
    "ref-gone": Code(
        ERROR,
        "A flow is registered from a branch or tag that the remote no longer has.",
        "An agent looks for the branch in its clone: every run fails with a bare `KeyError`, schedules go on.",
        "Archive it with `git prefect prune`, or push the branch or tag again. Where the default branch was renamed and has the "
        "flow, register that branch: `git prefect register --ref main`. `prune` leaves such a flow alone.",
    ),
    "file-gone": Code(
        ERROR,
        "The branch or tag that a flow is registered from no longer has its file.",
        "An agent reads the file from its clone: every run fails before it starts.",
        "Archive the flow with `git prefect prune`; if the file has moved, `git prefect register` registers where it is now.",
    ),
    "flow-gone": Code(
        ERROR,
        "The file that a flow is registered from no longer defines it.",
        "An agent looks the flow up by its name: every run fails before it starts.",
        "Archive the flow with `git prefect prune`, or give it its name back.",
    ),
    "structure-drift": Code(
        ERROR,
        "The tasks or parameters that are registered are not those of the branch's HEAD (or of the tag).",
        "The API knows the tasks by their slugs and the agent runs what HEAD defines: for a task that is not "
        "registered there is nothing to report to, and for a registered one that is gone nothing to run.",
        "Register the branch: `git prefect register --ref NAME`. A push does so by itself; a merge in the host's web "
        "page is a push that no clone sees.",
    ),
    "settings-drift": Code(
        WARNING,
        "HEAD differs from what is registered in something that only a registration brings to Prefect: the schedule, "
        "defaults of parameters, the run config, the storage, the edges.",
        "Runs start as it is registered, whatever HEAD says.",
        "Register the branch: `git prefect register --ref NAME`.",
    ),
    "active-twice": Code(
        WARNING,
        "The same flow is active twice: its schedule runs from two refs or in two projects, or two versions are active in one project. "
        "The registration that switches the second schedule on reports it, and so does `git prefect status`.",
        "Each of them starts runs: the same work is done twice.",
        "Set `schedule = \"off\"` in the target of the branch whose runs are not wanted, and register it: that pauses its schedules. Or "
        "pause or archive one of them in Prefect's UI.",
    ),
    # access
    "token-missing": Code(
        WARNING,
        "The Prefect secret that holds the git token does not exist.",
        "An agent clones with that token: without it every run fails before it starts.",
        "Create the secret; with Prefect Server set PREFECT__CONTEXT__SECRETS__NAME where the agent runs. To check it, "
        "set it for `git prefect doctor`, too.",
    ),
    "clone-fails": Code(
        WARNING,
        "Cloning the repository the way an agent does it failed.",
        "Every run begins with this clone.",
        "See the reason that is shown: mostly a token without the right to read, or a user name that the host "
        "wants with it (`token-username`).",
    ),
    "submodule": Code(
        WARNING,
        "Something that flows need is in a submodule.",
        "Agents clone without submodules: the folder is there, and empty.",
        "Install what is in it in the image that runs the flow.",
    ),
    "binary-source": Code(
        WARNING,
        "A source file is binary or encrypted in the commit, as git-crypt makes it, is UTF-16 text, or has null bytes. An error when it "
        "can be seen to be a flow file, or the setting `flows` names it.",
        "Agents clone without git's filters and without its keys: they cannot execute the file. Nobody can tell from the "
        "commit whether it defines a flow, so none is registered.",
        "Take it out of the filter in `.gitattributes`, or save it as UTF-8 without null bytes, and commit it again. Where it has no "
        "flow, leave it out with the setting `exclude`.",
    ),
    "filtered-file": Code(
        WARNING,
        "A file of the work tree has a `filter` in `.gitattributes` that changes it on its way into a commit (git-lfs, git-crypt). "
        "An error when it is a flow file that agents cannot read.",
        "Agents clone without filters: they get what the commit has, and what is loaded here is something else.",
        "Take it out of the filter and commit it again, or put it into the image or a bucket. `git prefect validate --ref BRANCH` "
        "loads what the commit has.",
    ),
    "lfs-pointer": Code(
        WARNING,
        "A file is kept in Git LFS.",
        "Agents clone without LFS: they see a three-line pointer in place of the file.",
        "Take it out of LFS (`git lfs untrack`, then commit it again), or put it into the image or a bucket.",
    ),
}  # fmt: skip


def finding(
    code: str,
    message: str,
    hint: str,
    *,
    path: str | None = None,
    line: int | None = None,
    flow: str | None = None,
    ref: str | None = None,
    detail: str = "",
    severity: str | None = None,
) -> Finding:
    """A finding with the severity of its code, unless this one is told to be more or less severe."""
    return Finding(code, severity or CODES[code].severity, message, hint, path, line, flow, ref, detail)


def markdown() -> str:
    """docs/findings.md."""
    lines = [
        "# Findings",
        "",
        "The same as `git prefect explain CODE`; written by `python -m git_prefect.core.findings`.",
        "",
    ]
    lines += ["| code | severity |", "|---|---|"]
    lines += [f"| [`{code}`](#{code}) | {about.severity} |" for code, about in CODES.items()]
    lines += [line for code in CODES for line in section(code)]
    return "\n".join([*lines, ""])


def section(code: str) -> list[str]:
    """The lines of a code's section."""
    about = CODES[code]
    return [
        "",
        f"## {code}",
        "",
        f"*{about.severity}.* {about.meaning}",
        "",
        about.reason,
        "",
        f"**Remedy:** {about.remedy}",
    ]


if __name__ == "__main__":
    print(markdown(), end="")
