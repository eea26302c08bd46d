"""What a forked child of the worker does: it becomes an agent's flow run, loads one file, and answers.

Loading is `prefect execute flow-run` as in Prefect's cli/execute.py, storage/git.py and
utilities/storage.py: the bytes are executed with `__file__` as the only global. Python 3.8 syntax,
standard library and prefect only, as in worker.py, which runs this.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import functools
import gc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import re
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any, NoReturn

TOUCHES = 177
"""Exit status of a child that was about to change the repository's files."""
NO_ROOM = 178
"""Exit status of a child whose answer could not be written, since the disk is full."""

MOST_USED, MOST_OUTSIDE = 5000, 2000
"""Paths of the repository, and outside of it, that are reported; where there were more, nothing is remembered."""
EXTENSION_SUFFIXES = tuple(importlib.machinery.EXTENSION_SUFFIXES)
OPEN_IN_PYTHON = ("numpy", "pandas", "yaml", "_yaml", "markupsafe")
"""Packages with extension modules that open files as Python does, so that it is seen."""

modules_of_prefect: dict[str, int] = {}
"""The modules that were there before any other was imported for a flow file, and their identities."""

# Flow files may replace what they find in these modules; the answer is written with the originals.
_exit, _open, _write, _close, _getpid = os._exit, os.open, os.write, os.close, os.getpid
_dumps = json.dumps
_source_of = importlib.util.source_from_cache

schemas: dict[str, Any] = {}
"""Prefect's schemas by their options, made before the fork: to make them takes longer than to use them."""

built: list[Any] = []
"""The flows that a flow file's own lines have made."""

made: dict[int, tuple[Any, Any]] = {}
"""By `id`: each flow that was made, and the frame of the module whose top level made it, or last changed what it is."""

CONFIGURES = ("name", "schedule", "run_config")
"""What a file may change of a flow that it imports, which is its own flow from then on."""

calls: dict[str, list[int | None]] = {"register": [], "run": []}
"""Lines of the flow file that call `flow.register()` and `flow.run()`; None: called from elsewhere."""


missed: list[str] = []
"""Keys that a load looked for in Prefect's configuration and that are not there, with dots between."""

task_imports: Any = None
pickled_tasks: Any = None
"""The modules beside this one; worker.py loads them, under no name that a flow file could import."""


def answer(path: str, result: dict[str, Any]) -> None:
    """Write one answer at the end of a file; its line end is written last, so that half of one is known by that."""
    data = _dumps(result).encode("utf-8", "surrogatepass") + b"\n"
    target = _open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while data:
        data = data[_write(target, data) :]
    _close(target)


def be_child(lane: Any, number: int, seen: Seen, code: CodeType | None, output: int, reader: int) -> NoReturn:
    """Become what an agent's flow-run process is, load the file, answer, and go without atexit."""
    try:
        gc.enable()
        me = os.getpid()
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        for descriptor in (nothing, output, reader, *lane.descriptors):
            if descriptor > 2:
                os.close(descriptor)
        os.environ["HOME"] = lane.home
        os.chdir(lane.work)
        job = lane.orders["jobs"][number]
        # The agent has its working directory first, and what the image adds (PYTHONPATH) after it.
        sys.path[0:1] = [lane.work, *seen.import_roots]
        # What is imported from the repository leaves nothing there.
        sys.dont_write_bytecode = bool(seen.import_roots) or job["imports_by_place"]
        note_exit(lane.trace)
        result = load(os.path.join(seen.root, *job["path"].split("/")), code, seen, lane.clone)
        # A fork that returns twice comes here twice.
        if _getpid() == me:
            try:
                answer(lane.answers, dict(result, job=number))
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    _exit(NO_ROOM)
                raise
    except BaseException:
        _write(2, traceback.format_exc().encode("utf-8", "replace"))
        _exit(70)
    _exit(0)


def note_exit(trace: int) -> None:
    """Have `os._exit` write where it is called; of all that ends a process it alone says nothing."""
    me = _getpid()

    def exit_noted(status: int) -> NoReturn:
        if _getpid() == me:
            with contextlib.suppress(Exception):
                faulthandler.dump_traceback(trace, all_threads=False)
        _exit(status)

    exit_noted.__name__ = "_exit"
    os._exit = exit_noted


class Watched:
    """A function of `os` that looks at a path and raises no audit event; `Seen` hears of its calls.

    An object and not a function: `pathlib` before 3.11 has these as attributes of a class, where a function becomes a method.
    """

    heard: Seen | None = None
    """Who listens, in the process that loads a file."""

    def __init__(self, original: Any) -> None:
        self.__wrapped__ = original
        self.__name__: str = original.__name__
        self.__qualname__ = self.__name__
        self.__module__ = original.__module__
        self.__doc__ = original.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if Watched.heard is not None:
            Watched.heard.hear_call(self.__name__, args, kwargs)
        return self.__wrapped__(*args, **kwargs)

    def __reduce__(self) -> str:
        return self.__name__


def watch_looks() -> None:
    """Put `Watched` in the place of what looks at paths, before others import it; importlib takes it from `posix`."""
    watched = {}
    for name in ("stat", "lstat", "access", "readlink", "statvfs", "pathconf", "listdir", "scandir", "open"):
        original = getattr(os, name)
        watched[id(original)] = Watched(original)
        for supporting in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if original in supporting:
                supporting.add(watched[id(original)])
    owners = list(sys.modules.values())
    if "pathlib" in sys.modules:
        owners.append(getattr(sys.modules["pathlib"], "_NormalAccessor", None))  # type: ignore[arg-type]
    for owner in owners:
        for name, value in list(getattr(owner, "__dict__", {}).items()):
            if id(value) in watched:
                setattr(owner, name, watched[id(value)])


class Seen:
    """What a load was seen to do, by Python's audit events (PEP 578) and by what `watch_looks` has wrapped."""

    CHANGES = {
        "os.remove": (1, 1), "os.rename": (2, 2), "os.rmdir": (1, 1), "os.mkdir": (1, 1), "os.truncate": (1, 0),
        "os.link": (2, 2), "os.symlink": (2, 1), "os.chmod": (1, 1), "os.chown": (1, 1), "os.utime": (1, 1),
        "shutil.rmtree": (1, 1), "shutil.move": (2, 0), "sqlite3.connect": (1, 0),
    }  # fmt: skip
    """Events that change files: how many of their first arguments are paths, and of their last the folders of these."""
    LOOKS = {"os.listdir", "os.scandir", "os.chdir"}
    STARTS = {
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
    }  # fmt: skip

    def __init__(self, root: str, import_roots: list[str], control: str, private: bool) -> None:
        self.root = root + os.sep
        self.import_roots = import_roots
        self.roots = tuple(one + os.sep for one in import_roots)
        self.control = control
        self.private = private
        self.touched: set[str] = set()
        self.sources: set[str] = set()
        self.outside: set[str] = set()
        self.last_source = ""
        """The repository's source that was opened last."""
        self.used: set[str] = set()
        """Paths below the root that were opened, imported, listed or looked for."""
        self.listed: dict[str, bool] = {}
        """Folders below the root whose names were read; True when more may have been: `DirEntry.stat` is not seen."""
        self.starts_process = False
        self.unseen = False
        """Whether it looked where no path tells: below a descriptor."""
        self.climbs = False
        """Whether a path had `..`, which leads elsewhere where it comes after a symlink."""
        self.off = False
        self.hooked = False
        installed = {sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix, os.path.dirname(os.__file__)}
        installed |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
        folders = [one + os.sep for one in installed if one not in ("/", "")]
        # A virtual environment inside the work tree; whereas the repository may be inside of /usr, as in images.
        self.packages_inside = tuple(one for one in folders if one.startswith(self.root))
        self.elsewhere = (*folders, control + os.sep, "/proc/", "/dev/", "/sys/")

    def watch(self) -> None:
        """From now on, until `off` is set; more than once where something is imported ahead of the file."""
        self.off = False
        Watched.heard = self
        if self.hooked:
            return
        self.hooked = True
        interesting = {"open", *self.LOOKS, *self.STARTS, *self.CHANGES}
        hear = self.hear

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            # Copying a flow raises thousands of events (`builtins.id`): the way past them is short.
            if event in interesting:
                hear(event, arguments)

        sys.addaudithook(hook)

    def add(self, before: Seen) -> None:
        """Add what was seen of imports ahead of the load, wherever the repository's files are."""
        self.outside |= before.outside
        self.starts_process = self.starts_process or before.starts_process
        self.unseen = self.unseen or before.unseen

    def hear_call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """A call of what is `Watched`."""
        if self.off:
            return
        path = args[0] if args else kwargs.get("path", ".")
        if kwargs and any(kwargs.get(one) is not None for one in ("dir_fd", "src_dir_fd")):
            self.unseen = True
        elif name in ("listdir", "scandir"):
            if isinstance(path, int):
                self.unseen = True
            else:
                self.use("." if path is None else path, name)
        elif name != "open" and not isinstance(path, int):
            # `os.open` raises an event, which only lacks `dir_fd`.
            self.use(path)

    def use(self, given: Any, lister: str = "") -> None:
        """A path is looked at; its absence counts as well."""
        if type(given) is str and given[:1] == "/" and not given.startswith(self.root[:-1]):
            if given.startswith("/proc/") and any(one in given for one in ("/cwd", "/root", "/fd/")):
                self.unseen = True
            if "/." not in given and "//" not in given:
                return
        path = self.place(given)
        if path is None or not (path + os.sep).startswith(self.root) or path.startswith(self.packages_inside):
            return
        if "/.." in "/" + os.fsdecode(given):
            self.climbs = True
        if path.endswith(".pyc") and "/__pycache__/" in path:
            with contextlib.suppress(ValueError):
                path = _source_of(path)
        path = path[len(self.root) :].rstrip("/")
        self.used.add(path)
        if lister:
            self.listed[path] = self.listed.get(path, False) or lister == "scandir"

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event that may be one of the repository's files."""
        if self.off:
            return
        if event == "open":
            path, mode, flags = arguments
            self.look(path, opened=True)
            writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
                mode is None and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            if writes:
                self.change(path, [])
        elif event in self.LOOKS:
            given = arguments[0] if arguments and arguments[0] is not None else "."
            self.unseen = self.unseen or isinstance(given, int)
            self.look(given)
        elif event in self.STARTS:
            self.starts_process = True
        elif event in self.CHANGES:
            paths, descriptors = self.CHANGES[event]
            last = arguments[max(paths, len(arguments) - descriptors) :]
            folders = [one for one in last if isinstance(one, int) and one > 2]
            for path in arguments[:paths]:
                self.look(path)
                self.change(path, folders)

    def place(self, given: Any) -> str | None:
        """The absolute form of a path as the flow file gave it; None for a descriptor."""
        try:
            path = os.fsdecode(given)
            if path[:1] != "/" or "/." in path or "//" in path:
                # Of two slashes at the beginning, normpath keeps both.
                path = "/" + os.path.abspath(path).lstrip("/")
            return path
        except (TypeError, OSError):
            return None

    def look(self, given: Any, opened: bool = False) -> None:
        """A file or folder is opened, listed or changed."""
        self.use(given)
        path = self.place(given)
        if path is None or path.startswith(self.packages_inside):
            return
        if path.endswith(".pyc") and "/__pycache__/" in path:
            # Of the source Python only asks the time: whoever edits it does not touch what is opened.
            with contextlib.suppress(ValueError):
                path = _source_of(path)
        folder = path + os.sep
        if opened and path.endswith(".py") and folder.startswith(self.root):
            self.last_source = path
        if self.roots and folder.startswith(self.roots):
            if path.endswith(".py"):
                self.sources.add(path[len(self.root) :])
        elif folder.startswith(self.root):
            self.touched.add(path[len(self.root) :])
        elif opened and not path.startswith(self.elsewhere):
            self.outside.add(path)

    def change(self, given: Any, folders: list[int]) -> None:
        """A file is about to be changed: the repository's are shared with other loads, unless this has its own."""
        if self.private:
            return
        path = self.place(given)
        places = [path] if path else []
        for descriptor in folders:
            try:
                places.append(os.readlink(f"/proc/self/fd/{descriptor}"))
            except OSError:
                places.append(self.root)
        for place in places:
            if (place + os.sep).startswith(self.root) and not place.startswith(self.packages_inside):
                _exit(TOUCHES)


class Clone:
    """What an agent still has to do after the load: close the clone's pack file, remove its folder.

    A flow file that closes all descriptors, or replaces what these need, fails there
    (prefect/utilities/git.py, `TemporaryGitRepo.__exit__`). One is enough for all children of a lane.
    """

    def __init__(self, folder: str) -> None:
        os.mkdir(folder)
        self.folder = folder
        self.pack = open(folder + ".pack", "wb")  # noqa: SIM115

    def close(self) -> None:
        """Close the pack file, and do all that removing the folder takes.

        It stays: rmdir(2) takes no path that ends with a dot, and to make a folder for each file costs more than
        all else that is done here.
        """
        self.pack.close()
        try:
            shutil.rmtree(self.folder + "/.")
        except OSError as error:
            # An agent passes over what is gone (tempfile.TemporaryDirectory).
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise


def contents_of(path: str) -> bytes | str:
    """What an agent executes of a file (prefect/utilities/storage.py, `extract_flow_from_file`).

    From Prefect 1.3.1 on its bytes; before, its text in the locale's encoding, whose mark or encoding line means nothing.
    """
    import prefect

    release = tuple(int(part) for part in prefect.__version__.split("+")[0].split(".")[:3] if part.isdigit())
    with open(path, "r" if release < (1, 3, 1) else "rb") as file:
        contents: bytes | str = file.read()
    return contents


def compiled(path: str) -> CodeType | None:
    """The code of a file; None when it has none, or a warning.

    Made before the fork, it takes no new memory from file to file; whatever is to be said is left to the child.
    """
    try:
        contents = contents_of(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return compile(contents, "<string>", "exec", dont_inherit=True)
    except Exception:
        return None


def load(path: str, code: CodeType | None, seen: Seen, clone: Clone) -> dict[str, Any]:
    """Load a file as an agent does, and tell what is in it."""
    import prefect

    values: dict[str, Any] = {"__file__": path}
    image = sys.path[:]
    try:
        contents = b"" if code else contents_of(path)
        seen.watch()
        missed.clear()
        # `exec(contents)` would take over our own `from __future__ import annotations`.
        exec(code or compile(contents, "<string>", "exec", dont_inherit=True), values)
        # Of several flows with one name an agent runs the last (utilities/storage.py).
        found = [one for one in values.values() if isinstance(one, prefect.Flow)]
        flows = {one.name: one for one in found}
        seen.off = True
        clone.close()
    except SystemExit as exit:
        seen.off = True
        error = describe(exit, values, seen)
        return dict(report(seen), status="exited", code=exit_code(exit.code), error=error)
    except BaseException as caught:
        seen.off = True
        return dict(report(seen), status="failed", error=describe(caught, values, seen))
    # What a loop has made and no variable holds is found by no agent.
    lost = sorted({one.name for one in built if isinstance(one.name, str)} - flows.keys())
    twice = [name for name, flow in flows.items() if any(one.name == name and one is not flow for one in found)]
    sources = task_imports.Sources(path, seen.root, seen.import_roots)
    makers = {name: maker_of(flow, values, seen.root) for name, flow in flows.items()}
    return dict(
        report(seen), status="loaded", twice=twice, lost=lost,
        makes=any(maker_of(flow, values, seen.root) == "" for flow, _ in made.values()),
        flows=[
            dict(
                take(flow), made_by=makers[name], late_imports=task_imports.of_flow(flow, sources),
                needed_by_name=pickled_tasks.of_flow(flow, seen.root, image),
            )
            for name, flow in flows.items()
        ],
    )  # fmt: skip


def maker_of(flow: Any, values: dict[str, Any], root: str) -> str:
    """The file whose top level made a flow: empty for the flow file itself, else a path, from the root where it is below."""
    frame = made.get(id(flow), (flow, None))[1]
    if frame is None or frame.f_globals is values:
        return ""
    file: str = os.path.normpath(frame.f_code.co_filename)
    return file[len(root) :] if file.startswith(root) else file


def innermost_module() -> Any:
    """The frame of the module whose top level is being executed; None outside of any, as in a thread."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    return frame


def exit_code(code: Any) -> int:
    """The exit code of `SystemExit(code)`."""
    return code if isinstance(code, int) else 0 if code is None else 1


def note_modules(seen: Seen) -> bool:
    """Add where loaded modules are; whether an extension that may open files by itself is among the new ones."""
    extensions = False
    # From the end: to go through all would touch, and so copy, what is shared with the lane.
    for name in reversed(sys.modules):
        module = sys.modules[name]
        if modules_of_prefect.get(name) == id(module):
            break
        origin = getattr(getattr(module, "__spec__", None), "origin", None)
        if isinstance(origin, str) and origin[:1] == "/":
            seen.use(origin)
            if origin.endswith(EXTENSION_SUFFIXES) and "/lib-dynload/" not in origin:
                extensions = extensions or name.partition(".")[0] not in OPEN_IN_PYTHON
    return extensions


def report(seen: Seen) -> dict[str, Any]:
    """What was seen, in JSON; files outside of the repository with their time and size."""
    extensions = note_modules(seen)
    # A name that is new in one of these may be what is imported next time; what was imported ahead was not looked for there.
    for folder in {*sys.path, *sys.path_importer_cache}:
        if isinstance(folder, str) and (folder + os.sep).startswith(seen.root):
            seen.use(folder, "listdir")
    outside: dict[str, list[int] | None] = {}
    for path in sorted(seen.outside)[:MOST_OUTSIDE]:
        try:
            known = os.stat(path)
            outside[path] = [known.st_mtime_ns, known.st_size]
        except (OSError, ValueError):
            outside[path] = None
    return {
        "touched": sorted(seen.touched)[:50],
        "sources": sorted(seen.sources),
        "outside": outside,
        "starts_process": seen.starts_process,
        "used": sorted(seen.used)[:MOST_USED],
        "listed": seen.listed,
        "climbs": seen.climbs,
        "unseen": seen.unseen,
        "extensions": extensions,
        "cut": len(seen.used) > MOST_USED or len(seen.outside) > MOST_OUTSIDE,
        "calls": calls,
        "missed": missed[-1] if missed else "",
    }


def note_calls(flow_class: Any) -> None:
    """Notice flows that are made, `flow.register()` and `flow.run()`; under an agent these warn and return None, as here."""

    def noting(name: str, original: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            frame = sys._getframe(1)
            calls[name].append(frame.f_lineno if frame.f_code.co_filename == "<string>" else None)
            return original(*args, **kwargs)

        call.__name__ = name
        call.__doc__ = original.__doc__
        return call

    for name in calls:
        setattr(flow_class, name, noting(name, getattr(flow_class, name)))
    make = flow_class.__init__

    @functools.wraps(make)
    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        if sys._getframe(1).f_code.co_filename == "<string>":
            built.append(self)

    flow_class.__init__ = noted
    note_makers(flow_class)


def note_makers(flow_class: Any) -> None:
    """Notice which module makes each flow, a copy too, and which one changes what another has made."""
    set_attribute = flow_class.__setattr__

    def new(cls: Any, *args: Any, **kwargs: Any) -> Any:
        flow = object.__new__(cls)
        made[id(flow)] = (flow, innermost_module())
        return flow

    def changed(self: Any, name: str, value: Any) -> None:
        set_attribute(self, name, value)
        if name in CONFIGURES:
            made[id(self)] = (self, innermost_module())

    # Whoever asks for the parameters of the class is told those of `__init__`, as before.
    new.__signature__ = inspect.signature(flow_class.__init__)  # type: ignore[attr-defined]
    flow_class.__new__ = new
    flow_class.__setattr__ = changed


def note_configuration(config_class: Any) -> None:
    """Notice which keys of Prefect's configuration a load does not find, as an attribute, an item or by `get`."""

    def noting(name: str) -> Any:
        original = getattr(config_class, name)

        def look(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
            if name == "get" and key not in self and (args[0] if args else kwargs.get("default")) is None:
                note_missed(self, key)
            try:
                return original(self, key, *args, **kwargs)
            except (KeyError, AttributeError):
                note_missed(self, key)
                raise

        return look

    for name in ("__getattr__", "__getitem__", "get"):
        setattr(config_class, name, noting(name))


def note_missed(config: Any, key: Any) -> None:
    """Keep a key that a part of Prefect's configuration does not have; the last one is what fails a load."""
    import prefect

    if isinstance(key, str) and not key.startswith("_"):
        # `dict.get` of the context: a Box would be asked by way of what is noted here.
        for root in (prefect.config, prefect.context.__dict__.get("config")):
            place = place_of(config, root, "")
            if place is not None:
                missed.append(place + key)
                return


def place_of(part: Any, whole: Any, above: str) -> str | None:
    """Where in a configuration a part of it is: its sections, each with a dot after it."""
    if part is whole:
        return above
    for key, value in dict.items(whole) if isinstance(whole, dict) else ():
        found = place_of(part, value, f"{above}{key}.") if isinstance(value, dict) else None
        if found is not None:
            return found
    return None


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Prefect's context as `prefect execute flow-run` has it while a flow is loaded (cli/execute.py)."""
    import prefect

    secrets = prefect.context.get("secrets", {})
    with prefect.context(running_with_backend=True), prefect.context(secrets=secrets, loading_flow=True):
        yield


def declared_storage(storage: Any) -> dict[str, Any]:
    """A storage as the API would have it; of a subclass what Prefect's own class keeps, since the schema knows only that."""
    from prefect.serialization.storage import StorageSchema

    by_name = StorageSchema.type_schemas
    known = next((base.__name__ for base in type(storage).__mro__ if base.__name__ in by_name), "")
    try:
        dumped = {**kept(by_name[known]).dump(storage), "type": known}
        _dumps(dumped)
        return dumped
    except Exception:
        return {"type": known or type(storage).__name__}


def take(flow: Any) -> dict[str, Any]:
    """A flow as the API would store it, its storage apart; `error` says why it cannot be."""
    from prefect.storage import Storage

    taken: dict[str, Any] = {
        "name": str(flow.name), "tasks": len(flow.tasks), "storage": None, "run_config": None, "error": None,
    }  # fmt: skip
    storage, flow.storage = flow.storage, None
    try:
        if not isinstance(flow.name, str):
            raise TypeError(f"the flow's name is {flow.name!r}, not text")
        if storage is not None and not isinstance(storage, Storage):
            raise TypeError(f"its storage is {storage!r}")
        if storage is not None:
            taken["storage_labels"] = storage._labels if isinstance(storage._labels, str) else None
            taken["storage"] = declared_storage(storage)
        serialized = serialize(flow)
        serialized.pop("storage", None)
        # The API takes UTF-8 only, which half a surrogate pair is not.
        _dumps(serialized, allow_nan=False, ensure_ascii=False).encode("utf-8")
        read_back(serialized)
        taken["serialized"] = serialized
        if flow.run_config is not None:
            taken["run_config"] = serialized["run_config"]
    except Exception as error:
        taken["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()
        taken["refused"] = {"part": "flow", "name": "", "is_uncalled": False, "is_right": True, "type": "Flow", "error": refusal(error)}
        with contextlib.suppress(Exception):
            taken["refused"] = refused_part(flow, storage, error)
        taken.pop("serialized", None)
    return taken


def read_back(serialized: dict[str, Any]) -> None:
    """Load what Prefect can refuse of a flow as it is stored; its `Client.register` loads all of it.

    That is a schedule, a run config, and a task's retries: when they were set after the task was made, they may have
    no delay, which `Task()` refuses and the first retry fails on (engine/task_runner.py). The rest is text by now.
    """
    from prefect.serialization.run_config import RunConfigSchema
    from prefect.serialization.schedule import ScheduleSchema
    from prefect.serialization.task import TaskSchema

    read = [(ScheduleSchema, serialized["schedule"]), (RunConfigSchema, serialized["run_config"])]
    read += [(TaskSchema, task) for task in serialized["tasks"] if task["max_retries"] or task["retry_delay"] is not None]
    for schema, stored in read:
        if stored is not None:
            # Without a context: it has tasks that were read before, and a slug is not read twice.
            kept(schema).context = {}
            kept(schema).load(json.loads(_dumps(stored)))


def refused_part(flow: Any, storage: Any, error: BaseException) -> dict[str, Any]:
    """The part of a flow that Prefect does not store, each one tried by itself, and what it says of it."""
    part, value, is_right = "flow", flow, True
    for one, candidate, wanted, schema in parts_of(flow, storage):
        caught = None
        try:
            if schema is not None:
                store_alone(schema, candidate)
        except Exception as raised:
            caught = raised
        if caught is not None or not isinstance(candidate, wanted):
            part, value, is_right, error = one, candidate, isinstance(candidate, wanted), caught or error
            break
    # In Prefect, CronSchedule and the like are functions.
    is_uncalled = isinstance(value, (type, FunctionType))
    return {
        "part": part, "name": str(getattr(value, "name", "")), "is_uncalled": is_uncalled, "is_right": is_right,
        "type": (value if is_uncalled else type(value)).__name__, "error": refusal(error),
    }  # fmt: skip


def parts_of(flow: Any, storage: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """What a flow has that Prefect stores: the part, its value, the type that Prefect wants, its schema if it has one."""
    from prefect import Parameter
    from prefect.run_configs import RunConfig
    from prefect.schedules import Schedule
    from prefect.serialization.run_config import RunConfigSchema
    from prefect.serialization.schedule import ScheduleSchema
    from prefect.serialization.task import ParameterSchema, TaskSchema
    from prefect.storage import Storage

    if storage is not None:
        yield "storage", storage, Storage, None
    if flow.schedule is not None:
        yield "schedule", flow.schedule, Schedule, ScheduleSchema
    if flow.run_config is not None:
        yield "run config", flow.run_config, RunConfig, RunConfigSchema
    for task in sorted(flow.tasks, key=lambda task: str(task.name)):
        if isinstance(task, Parameter):
            yield "parameter", task, Parameter, ParameterSchema
        else:
            yield "task", task, object, TaskSchema


def store_alone(schema: Any, value: Any) -> None:
    """Serialize a part, and load of it what `read_back` loads."""
    stored = kept(schema).dump(value)
    text = _dumps(stored, allow_nan=False, ensure_ascii=False)
    text.encode("utf-8")
    is_task = schema.__name__ in ("TaskSchema", "ParameterSchema")
    if not is_task or stored.get("max_retries") or stored.get("retry_delay") is not None:
        kept(schema).context = {}
        kept(schema).load(json.loads(text))


def refusal(error: BaseException) -> str:
    """The type of an exception and its first line; of a marshmallow error the innermost texts, without places in memory."""
    text = text_of(error)
    said = getattr(error, "messages", None)
    while isinstance(said, (dict, list)) and len(said) == 1:
        said = next(iter(said.values() if isinstance(said, dict) else said))
    if isinstance(said, str):
        text = said
    first = re.sub(r" at 0x[0-9a-f]+", "", (text.strip() or "no message").splitlines()[0]).rstrip(".")
    return f"{type(error).__name__}: {first}"


def kept(schema: Any, **options: Any) -> Any:
    """The schema with these options, as it was made the first time."""
    key = f"{schema.__name__} {sorted(options.items())}"
    if key not in schemas:
        schemas[key] = schema(**options)
    return schemas[key]


def serialize(flow: Any) -> dict[str, Any]:
    """`Flow.serialize()` with kept schemas."""
    from prefect.serialization import flow as serialization

    schema = serialization.FlowSchema
    serialization.FlowSchema = functools.partial(kept, schema)
    try:
        serialized: dict[str, Any] = flow.serialize()
        return serialized
    finally:
        serialization.FlowSchema = schema


def warm_up() -> None:
    """Build and take a flow of our own, so that what Prefect prepares on first use is there for every child."""
    import datetime

    import prefect
    from prefect.tasks.control_flow import merge

    def double(x: int, y: int = 1) -> int:
        return 2 * x

    task = prefect.task(double, name="double", max_retries=1, retry_delay=datetime.timedelta(seconds=1), tags=["x"])
    with loading(), prefect.Flow("warm-up") as flow:
        parameter = prefect.Parameter("x", default=[1])
        with prefect.case(task(parameter), 2):
            mapped = task.map(parameter, y=prefect.unmapped(1))
        merge(mapped, task([parameter, {"a": task(1)}]))
    flow.schedule = prefect.schedules.CronSchedule("0 0 * * *")
    flow.run_config = prefect.run_configs.KubernetesRun(image="x", labels=["x"])
    flow.storage = prefect.storage.Git(flow_path="x", repo="x/x")
    take(flow)
    note_calls(prefect.Flow)
    note_configuration(prefect.configuration.Config)


def describe(error: BaseException, values: dict[str, Any], seen: Seen) -> dict[str, Any]:
    """An exception in JSON: type, text, frames inside the repository, and what it says is missing."""
    frames: list[list[Any]] = []
    outer = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if frame.f_globals is values and code.co_filename == "<string>":
            frames.append([None, line, code.co_name])
        elif code.co_filename.startswith(seen.root):
            frames.append([code.co_filename[len(seen.root) :], line, code.co_name])
        outer = code.co_filename
    source = uncompiled(error, seen)
    if source or isinstance(error, SyntaxError) and error.filename == "<string>":
        frames.append([source, getattr(error, "lineno", None) or None, "<module>"])
    causes: list[dict[str, Any]] = []
    current: BaseException | None = error
    while current is not None and len(causes) < 5:
        file = os_file(current)
        causes.append({
            "type": type(current).__name__,
            "message": text_of(current).replace(seen.root, "")
            if isinstance(current, (ImportError, AttributeError))
            else text_of(current),
            "missing_module": current.name if isinstance(current, ModuleNotFoundError) else None,
            **place_of_module(incomplete_module(current), seen),
            "missing_file": file,
            "inside": file[len(seen.root) :] if file and file.startswith(seen.root) else None,
        })  # fmt: skip
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    place = os.path.realpath(str(values.get("__file__", "")))
    return dict(
        causes[0], causes=causes[1:], frames=frames[-20:], raised_in=outer,
        place=place[len(seen.root) :] if place.startswith(seen.root) else None, uncompiled=source,
    )  # fmt: skip


def uncompiled(error: BaseException, seen: Seen) -> str | None:
    """The module of the repository, from its root, that is no Python; where the exception names no file, the last one opened."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename[len(seen.root) :] if error.filename.startswith(seen.root) else None
    if not isinstance(error, (SyntaxError, ValueError, MemoryError, RecursionError)) or not seen.last_source:
        return None
    try:
        with warnings.catch_warnings(), open(seen.last_source, "rb") as source:
            warnings.simplefilter("ignore")
            compile(source.read(), seen.last_source, "exec", dont_inherit=True)
    except Exception as found:
        return seen.last_source[len(seen.root) :] if type(found) is type(error) else None
    return None


def incomplete_module(error: BaseException | None) -> str:
    """Name of the module that lacks what is imported from it, or an attribute; empty for other exceptions."""
    if isinstance(error, ModuleNotFoundError):
        return (error.name or "").rpartition(".")[0]
    if isinstance(error, ImportError):
        return error.name or ""
    found = re.match(r"(?:partially initialized )?module '([^']+)' has no attribute", text_of(error)) if isinstance(error, AttributeError) else None
    return found[1] if found else ""


def place_of_module(name: str, seen: Seen) -> dict[str, Any]:
    """`module`: its name; `parent`: where it is, from the root of the repository where it is below it; None: it is not loaded.

    `early`: whether it was loaded before any flow file; `hides`: whether the standard library's is not found for it.
    """
    module = sys.modules.get(name)
    places = [*getattr(module, "__path__", ()), getattr(module, "__file__", None)]
    place = next((os.path.normpath(one) for one in places if isinstance(one, str)), None)
    early = name in modules_of_prefect
    if place is None or not place.startswith(seen.root):
        return {"module": name, "parent": place, "early": early, "hides": False}
    hidden = importlib.machinery.PathFinder.find_spec(name.partition(".")[0], [os.path.dirname(os.__file__)])
    return {
        "module": name, "parent": place[len(seen.root) :], "early": early, "hides": bool(hidden and hidden.has_location),
    }  # fmt: skip


def text_of(error: BaseException) -> str:
    """An exception's text, which may be made by a flow file's own code."""
    try:
        # With the place of a SyntaxError, which is `<string>` in a flow file, it would be said twice.
        return str(error.msg if isinstance(error, SyntaxError) else error)[:2000]
    except Exception:
        return "(its text cannot be made)"


def os_file(error: BaseException) -> str | None:
    """The file that could not be opened, or the like."""
    name = getattr(error, "filename", None) if isinstance(error, OSError) else None
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None
