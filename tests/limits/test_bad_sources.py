"""Packages of flows with modules that hang, end their process, import each other, or are no Python: what a person reads of it."""

from __future__ import annotations

import os
import platform
import queue
import re
import sys
from collections import Counter
from pathlib import Path

import prefect
import pytest

from git_prefect.flows.loader import cores
from git_prefect.report.invocation import git_prefect as as_typed

from ..end_to_end.conftest import Team
from ..repository import Clone
from ..test_cli import HERE
from .conftest import run

PLACE = "import sys\nfrom pathlib import Path\n\nsys.path.insert(0, str(Path(__file__).resolve().parents[{}]))\n"
CORE = "from prefect import Flow\n\n\nclass TeamFlow(Flow):\n    pass\n"
USES = PLACE.format(1) + "from {0}.core import TeamFlow\n\nwith TeamFlow('{0}') as flow:\n    pass\n"


def package(name: str, core: str | bytes, **more: str | bytes) -> dict[str, str | bytes]:
    """A flow file and the shared module that it is made by, and further modules beside it."""
    others = {f"{name}/{module}.py": content for module, content in more.items()}
    return {f"{name}/__init__.py": "", f"{name}/flows.py": USES.format(name), f"{name}/core.py": core, **others}


COMPANY = {
    **package("bom", b"\xef\xbb\xbf" + CORE.encode()),
    **package("circular", "from circular.names import x\n" + CORE, names="from circular.core import TeamFlow\n\nx = 1\n"),
    **package("circular_is_fine", CORE + "import circular_is_fine.names\n", names="import circular_is_fine.core\n"),
    **package("circular_flow", CORE + "import circular_flow.flows\n"),
    **package("encoding", b"# coding: klingon\n" + CORE.encode()),
    **package("encrypted", b"\0GITCRYPT\0\x01\x02"),
    **package("exits", "import sys\n\nsys.exit(3)\n" + CORE),
    **package("exits_at_once", "import os\n\nos._exit(3)\n" + CORE),
    **package("latin", "x = 'café'\n".encode("latin-1") + CORE.encode()),
    **package("latin_with_a_line", "# coding: latin-1\nx = 'café'\n".encode("latin-1") + CORE.encode()),
    **package("long_line", CORE + f"x = [{'1, ' * 1000}] + y\n"),
    **package("nested", CORE + f"x = {'(' * 300}1{')' * 300}\n"),
    **package("null", CORE.encode() + b"x = '\0'\n"),
    **package("syntax", CORE + "def make(:\n    return 1\n"),
    **package("utf16", CORE.encode("utf-16")),
    # Names of the standard library: of what Prefect has loaded, and of what is found here first.
    **{path: content for path, content in package("logging", CORE).items() if path != "logging/core.py"}, "logging/core.py": CORE,
    "types/flows.py": USES.format("bom").replace("'bom'", "'types'"), "types/__init__.py": "",
    "queue.py": "def go():\n    return 1\n",
    "uses_queue/flows.py": PLACE.format(1) + "from queue import go\nfrom bom.core import TeamFlow\n\nflow = TeamFlow(go())\n",
    "hides/flows.py": PLACE.format(0) + "import pdb\nfrom prefect import Flow\n\nflow = Flow('hides')\n", "hides/cmd.py": "x = 1\n",
    # The shared package of another folder, over a link.
    "linked/flows.py": PLACE.format(0) + "from common.core import TeamFlow\n\nflow = TeamFlow('linked')\n",
    # 60 folders deep, and 5,000 modules that nobody imports.
    f"{'/'.join(['deep'] * 60)}/flows.py": PLACE.format(60) + "from bom.core import TeamFlow\n\nflow = TeamFlow('deep')\n",
    **{f"generated/{number // 100}/m{number}.py": f"from generated.m{number + 1} import x\n" for number in range(5000)},
}  # fmt: skip
LINKS = {"bom/loop": ".", "bom/self.py": "self.py", "one.py": "other.py", "other.py": "one.py", "here": "there", "there": "here", "linked/common": "../bom"}
"""Folders and files that lead to themselves, or to each other."""

VALIDATE = (str(Path(sys.executable).with_name("git-prefect")), "validate", "-v")
PYTHON = f"Python {platform.python_version()} with Prefect {prefect.__version__}, {sys.executable}"
FAILS = "every run would fail before its first task [does-not-load]"
EXITS = "agents execute the file's top level: keep `sys.exit`, `argparse` and native crashes out of it, under `if __name__ == \"__main__\":`"
SAID = """\
circular/flows.py:5: does not load: ImportError: cannot import name 'TeamFlow' from partially initialized module 'circular.core' (most likely due to a circular import) (circular/core.py); {fails}
        from circular.core import TeamFlow
    circular/core.py:1 in <module>
    circular/names.py:1 in <module>
        from circular.core import TeamFlow
  hint: modules import each other (circular/core.py:1 → circular/names.py:1 → circular/core.py): move what both need into a third one
encoding/core.py: does not load: SyntaxError: {encoding}; {fails}
  hint: name an encoding that Python has in the first line, such as # coding: utf-8
encoding/flows.py:5: does not load: SyntaxError in encoding/core.py: {encoding}; {fails}
        from encoding.core import TeamFlow
    encoding/core.py
  hint: name an encoding that Python has in the first line, such as # coding: utf-8
encrypted/flows.py:5: does not load: {null_type} in encrypted/core.py: {null}; {fails}
        from encrypted.core import TeamFlow
    encrypted/core.py
  hint: encrypted/core.py is encrypted by git-crypt in the commit: take it out of the filter (.gitattributes) and commit it again
exits/flows.py:5: while it loaded, it ended its process with exit code 3: a flow run would end there, without a word in Prefect [load-crashed]
        from exits.core import TeamFlow
    exits/core.py:3 in <module>
        sys.exit(3)
  hint: {exits}
exits_at_once/flows.py:5: while it loaded, it ended its process with exit code 3: a flow run would end there, without a word in Prefect [load-crashed]
        from exits_at_once.core import TeamFlow
    exits_at_once/core.py:3 in <module>
        os._exit(3)
  hint: {exits}
hides/flows.py:5: does not load: AttributeError: module 'cmd' has no attribute 'Cmd'; {fails}
        import pdb
  hint: hides/cmd.py of this repository is found before 'cmd' of the standard library: give it another name
latin/core.py:1: does not load: SyntaxError: {latin}; {fails}
        x = 'caf�'
  hint: save the file as UTF-8, or name its encoding in the first line, such as # coding: latin-1
latin/flows.py:5: does not load: SyntaxError in latin/core.py:1: {latin}; {fails}
        from latin.core import TeamFlow
    latin/core.py:1 in <module>
        x = 'caf�'
  hint: save the file as UTF-8, or name its encoding in the first line, such as # coding: latin-1
logging/flows.py:5: imports 'logging.core', which is in the root of the repository, but 'logging' is found in the standard library first: every run would fail with ModuleNotFoundError [import-not-on-agent]
        from logging.core import TeamFlow
  hint: give the package of this repository another name
long_line/flows.py:5: does not load: NameError: name 'y' is not defined; {fails}
        from long_line.core import TeamFlow
    long_line/core.py:6 in <module>
        x = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, …
  hint: mend it; `{explain}` tells how agents load a file
nested/core.py:6: does not load: SyntaxError: {nested}; {fails}
        x = (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((( …
  hint: mend the line; the file is read by {python}, as the agent's Python would
nested/flows.py:5: does not load: SyntaxError in nested/core.py:6: {nested}; {fails}
        from nested.core import TeamFlow
    nested/core.py:6 in <module>
        x = (((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((( …
  hint: mend the line; the file is read by {python}, as the agent's Python would
null/core.py: has null bytes in the commit: agents clone it as it is and cannot execute it, so no flow of it is registered [binary-source]
  hint: remove them and commit it again; without a flow: exclude = ["/null/core.py"]
null/flows.py:5: does not load: {null_type} in null/core.py: {null}; {fails}
        from null.core import TeamFlow
    null/core.py
  hint: null/core.py has null bytes in the commit: remove them and commit it again
syntax/core.py:6: does not load: SyntaxError: {syntax}; {fails}
        def make(:
  hint: mend the line; the file is read by {python}, as the agent's Python would
syntax/flows.py:5: does not load: SyntaxError in syntax/core.py:6: {syntax}; {fails}
        from syntax.core import TeamFlow
    syntax/core.py:6 in <module>
        def make(:
  hint: mend the line; the file is read by {python}, as the agent's Python would
uses_queue/flows.py:5: does not load: ImportError: cannot import name 'go' from 'queue' ({queue}); {fails}
        from queue import go
  hint: 'queue' is found in the standard library first, and not in queue.py of this repository: give that another name
utf16/core.py: is UTF-16 text in the commit: agents clone it as it is and cannot execute it, so no flow of it is registered [binary-source]
  hint: save it as UTF-8 and commit it again; without a flow: exclude = ["/utf16/core.py"]
utf16/flows.py:5: does not load: {null_type} in utf16/core.py: {null}; {fails}
        from utf16.core import TeamFlow
    utf16/core.py
  hint: utf16/core.py is UTF-16 text in the commit: save it as UTF-8 and commit it again
encrypted/core.py: warning: is encrypted by git-crypt in the commit: agents clone it as it is and cannot execute it, so no flow of it is registered [binary-source]
  hint: take it out of the filter (.gitattributes) and commit it again; without a flow: exclude = ["/encrypted/core.py"]
bom/flows.py                                                                                                                                                                                                                                                                                                          bom                0 tasks
circular_flow/flows.py                                                                                                                                                                                                                                                                                                circular_flow      0 tasks
circular_is_fine/flows.py                                                                                                                                                                                                                                                                                             circular_is_fine   0 tasks
deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/deep/flows.py  deep               0 tasks
latin_with_a_line/flows.py                                                                                                                                                                                                                                                                                            latin_with_a_line  0 tasks
linked/flows.py                                                                                                                                                                                                                                                                                                       linked             0 tasks
types/flows.py                                                                                                                                                                                                                                                                                                        types              0 tasks
7 flows in 7 files load as on an agent, 20 errors {here}
28 files loaded, 0 unchanged since they were checked
"""


def write(clone: Clone, files: dict[str, str | bytes], links: dict[str, str]) -> None:
    clone.write(files)
    for path, target in links.items():
        os.symlink(target, clone.path / path)


def as_python_says(source: str | bytes) -> str:
    """Why a source does not compile, in the words of the Python that runs the tests."""
    with pytest.raises((SyntaxError, ValueError)) as caught:
        compile(source, "<string>", "exec")
    return str(getattr(caught.value, "msg", caught.value)).rstrip(".")


def test_sources_that_cannot_be_executed(work: Clone) -> None:
    write(work, COMPANY, LINKS)
    with pytest.raises((SyntaxError, ValueError)) as null:
        compile(b"\0", "", "exec")
    said = SAID.format(
        fails=FAILS, python=PYTHON, here=HERE, exits=EXITS, explain=as_typed("explain", "does-not-load"), queue=queue.__file__,
        null_type=null.type.__name__, null=as_python_says(b"\0"),
        **{name: as_python_says(COMPANY[f"{name}/core.py"]) for name in ("encoding", "latin", "nested", "syntax")},
    ).strip()  # fmt: skip
    code, output = run(work.path, *VALIDATE, GIT_PREFECT_PYTHON=sys.executable)
    # Python 3.13 says more of a module that hides one of the standard library, as its place goes.
    assert (code, re.sub(r" \(consider renaming [^)]*\)", "", output)) == (1, said)


SLOW = """\
import os, time

log, alive = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND), b"%d\\n" % os.getpid()
while True: os.write(log, alive), time.sleep(0.1)
"""


def test_a_shared_module_that_hangs(work: Clone, tmp_path: Path) -> None:
    """As many loads wait for it as run at a time; the others are ended where these did not get on."""
    log = str(tmp_path / "log")
    flows = {f"hangs/f{number}.py": USES.format("hangs").replace("'hangs'", f"'{number}'") for number in range(10, 20)}
    deaf = "import signal\nfrom prefect import Flow\n\nflow = Flow('deaf')\nsignal.signal(signal.SIGUSR2, signal.SIG_DFL)\nwhile True: pass\n"
    work.write({"deaf.py": deaf, **package("hangs", SLOW.format(log=log) + CORE), **flows, **package("quick", CORE), ".git-prefect.toml": "timeout = 2\n"})
    said = (
        "error: waits for hangs/core.py, which was still loading after 2 s: every run would wait as long before its first task [load-timeout]\n"
        "        from hangs.core import TeamFlow\n"
        "    hangs/core.py:4 in <module>\n"
        "        while True: os.write(log, alive), time.sleep(0.1)\n"
        "    11 files: hangs/f10.py:5, hangs/f11.py:5, hangs/f12.py:5 and 8 more\n"
        "  hint: move the work into a task, or raise `timeout` in the settings\n"
        "deaf.py: was still loading after 2 s: every run would wait as long before its first task [load-timeout]\n"
        "  hint: move the work into a task, or raise `timeout` in the settings\n"
        "  load-timeout  error  12 files\n"
        f"each by itself: {as_typed('validate', '-v')}\n"
        f"1 flow in 1 file loads as on an agent, 12 errors {HERE}"
    )
    assert run(work.path, *VALIDATE[:-1], GIT_PREFECT_PYTHON=sys.executable) == (1, said)
    alive = Counter(Path(log).read_text().split())
    assert (len(alive), sum(count > 12 for count in alive.values()) <= cores() + 1) == (11, True), alive


def test_a_push_that_breaks_shared_modules(native: Team) -> None:
    """All flows that import them are named, and the next push, which corrects them, registers these."""
    good = {name: package(name, CORE) for name in ("circular", "exits", "quick", "syntax")}
    clone = native.clone
    clone.git("switch", "--quiet", "main")
    write(clone, {path: content for files in good.values() for path, content in files.items()}, {"quick/loop": ".", "self.py": "self.py"})
    write(clone, {"linked/flows.py": COMPANY["linked/flows.py"]}, {"linked/common": "../quick"})
    clone.git("add", "--all")
    clone.commit({})
    clone.git("push", "--quiet")
    clone.git("switch", "--quiet", "feature/x")
    clone.git("merge", "--quiet", "main")
    broken = {name: COMPANY[f"{name}/core.py"] for name in ("circular", "exits", "syntax")}
    clone.commit({**{f"{name}/core.py": content for name, content in broken.items()}, "circular/names.py": COMPANY["circular/names.py"]})
    printed = [line for line in native.push("origin", "feature/x", check=False).splitlines() if line[:1] != " "]
    partly = "cannot import name 'TeamFlow' from partially initialized module 'circular.core' (most likely due to a circular import) (circular/core.py)"
    syntax = as_python_says(broken["syntax"])
    assert printed == [
        f"circular/flows.py:5: does not load: ImportError: {partly}; {FAILS}",
        "exits/flows.py:5: while it loaded, it ended its process with exit code 3: a flow run would end there, without a word in Prefect [load-crashed]",
        f"syntax/core.py:6: does not load: SyntaxError: {syntax}; {FAILS}",
        f"syntax/flows.py:5: does not load: SyntaxError in syntax/core.py:6: {syntax}; {FAILS}",
        "push refused: 4 errors in what this push changes or breaks; nothing was sent to origin. To push all the same: SKIP=prefect-validate git push",
        f"error: failed to push some refs to '{native.remote}'",
    ]
    clone.commit({f"{name}/core.py": f"{CORE}\n\n" for name in (*broken, "quick")})
    assert (
        "  circular/core.py, exits/core.py, quick/core.py and 1 more: 5 flows in circular/flows.py, exits/flows.py, linked/flows.py and 2 "
        "more import them from the clone: runs use the new code from the next run on"
    ) in native.push("origin", "feature/x").splitlines()
    native.settled()
    assert sorted((one["flow"], one["action"]) for one in native.log()[-1]["flows"]) == [(name, "created") for name in sorted({*good, "linked"})]  # type: ignore[attr-defined]
