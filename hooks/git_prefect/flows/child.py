"""What a forked child of the worker does: it becomes an agent's flow run, loads one file, and answers.

Loading is `prefect execute flow-run` as in Prefect's cli/execute.py, storage/git.py and
utilities/storage.py: the bytes are executed with `__file__` as the only global. Python 3.8 syntax,
standard library and prefect only, as worker.py, which runs this.
"""

import faulthandler
import json
import os
import signal
import sys
import tempfile
import traceback

TOUCHES = 177
"""Exit status of a child that was about to change the repository's files."""

# Flow files may replace what they find in these modules; the answer is written with the originals.
_exit, _open, _write, _close, _replace = os._exit, os.open, os.write, os.close, os.replace
_dumps = json.dumps


def answer(control, name, result):
    """Write one answer; atomically, so that a killed writer leaves none rather than half of one."""
    data = _dumps(result).encode("utf-8", "surrogatepass")
    path = os.path.join(control, f"{name}.json")
    target = _open(path + ".part", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    while data:
        data = data[_write(target, data) :]
    _close(target)
    _replace(path + ".part", path)


def be_child(lane, number, root, private, writer, trace, ours):
    """Become what an agent's flow-run process is, load the file, answer, and go without atexit."""
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        for descriptor in (nothing, writer, lane.queue, *ours):
            if descriptor > 2:
                os.close(descriptor)
        faulthandler.enable(trace, all_threads=False)
        faulthandler.register(signal.SIGUSR2, file=trace, all_threads=False)
        os.environ["HOME"] = lane.home
        os.chdir(lane.work)
        roots = [os.path.join(root, os.path.relpath(one, lane.orders["root"])) for one in lane.orders["import_roots"]]
        sys.path[0:1] = [lane.work, *roots]
        sys.dont_write_bytecode = bool(roots)
        seen = Seen(root, roots, lane.control, private)
        job = lane.orders["jobs"][number]
        result = load(os.path.join(root, *job["path"].split("/")), seen)
        result["path"] = job["path"]
        answer(lane.control, number, result)
    except BaseException:
        _write(2, traceback.format_exc().encode("utf-8", "replace"))
        _exit(70)
    _exit(0)


class Seen:
    """What a load was seen to do, by Python's audit events (PEP 578)."""

    CHANGES = {
        "os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.link": 2,
        "os.symlink": 2, "os.chmod": 1, "os.chown": 1, "os.utime": 1, "shutil.rmtree": 1, "shutil.move": 2,
        "shutil.copyfile": 2, "shutil.copytree": 2, "sqlite3.connect": 1,
    }  # fmt: skip
    LOOKS = {"os.listdir", "os.scandir", "os.chdir", "os.walk", "glob.glob", "os.fwalk", "pathlib.Path.glob"}
    STARTS = {
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.spawn",
        "os.fork",
        "os.forkpty",
        "pty.spawn",
    }

    def __init__(self, root, roots, control, private):
        self.root = root + os.sep
        self.roots = tuple(one + os.sep for one in roots)
        self.private = private
        self.touched = set()
        self.sources = set()
        self.outside = set()
        self.starts_process = False
        self.off = False
        ignored = {
            sys.prefix,
            sys.exec_prefix,
            sys.base_prefix,
            sys.base_exec_prefix,
            os.path.dirname(os.__file__),
        }
        ignored |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
        self.ignored = tuple(one + os.sep for one in ignored if one not in ("/", "")) + (
            control + os.sep, "/proc/", "/dev/", "/sys/",
        )  # fmt: skip

    def watch(self):
        sys.addaudithook(self.hear)

    def hear(self, event, arguments):
        if self.off:
            return
        if event == "open":
            path, mode, flags = arguments
            self.look(path, opened=True)
            writes = (isinstance(mode, str) and any(letter in mode for letter in "wax+")) or (
                mode is None and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            )
            if writes:
                self.change(path)
        elif event in self.LOOKS:
            self.look(arguments[0] if arguments else ".")
        elif event in self.STARTS:
            self.starts_process = True
        elif event in self.CHANGES:
            in_folder = [one for one in arguments[self.CHANGES[event] :] if isinstance(one, int) and one > 2]
            for path in arguments[: self.CHANGES[event]]:
                self.look(path)
                self.change(path, in_folder)

    def place(self, path):
        """The absolute form of a path as the flow file gave it; None for a descriptor."""
        try:
            path = os.fsdecode(path)
        except TypeError:
            return None
        if path[:1] != "/" or "/." in path:
            try:
                path = os.path.abspath(path)
            except OSError:
                return None
        return path

    def look(self, path, opened=False):
        path = self.place(path)
        if path is None or path.startswith(self.ignored):
            return
        if self.roots and (path + os.sep).startswith(self.roots):
            if path.endswith(".py"):
                self.sources.add(path[len(self.root) :])
        elif (path + os.sep).startswith(self.root):
            self.touched.add(path[len(self.root) :])
        elif opened and len(self.outside) < 100:
            self.outside.add(path)

    def change(self, path, in_folder=()):
        if self.private:
            return
        path = self.place(path)
        places = [path] if path else []
        for descriptor in in_folder:
            try:
                places.append(os.readlink("/proc/self/fd/%d" % descriptor))
            except OSError:
                places.append(self.root)
        if any((place + os.sep).startswith(self.root) for place in places):
            _exit(TOUCHES)


def load(path, seen):
    """Load a file as an agent does, and tell what is in it."""
    import prefect

    calls = note_calls(prefect.Flow)
    error = None
    flows, twice = {}, []
    secrets = prefect.context.get("secrets", {})
    values = {"__file__": path}
    with prefect.context(running_with_backend=True), prefect.context(secrets=secrets, loading_flow=True):
        try:
            with Clone() as clone:
                with open(path, "rb") as file:
                    contents = file.read()
                seen.watch()
                exec(contents, values)
                found = [one for one in values.values() if isinstance(one, prefect.Flow)]
                flows = {one.name: one for one in found}
                seen.off = True
                clone.close()
            twice = [
                name for name, flow in flows.items() if any(one.name == name and one is not flow for one in found)
            ]
        except SystemExit as exit:
            seen.off = True
            error = describe(exit, values, seen)
            return dict(report(seen, calls), status="exited", code=exit_code(exit.code), error=error)
        except BaseException as caught:
            error = caught
    seen.off = True
    if error is not None:
        return dict(report(seen, calls), status="failed", error=describe(error, values, seen))
    return dict(report(seen, calls), status="loaded", twice=twice, flows=[take(flow) for flow in flows.values()])


class Clone:
    """What an agent still has to do after the load: close the clone's pack file, remove its folder.

    A flow file that closes all descriptors, or replaces what these need, fails there
    (prefect/utilities/git.py, `TemporaryGitRepo.__exit__`).
    """

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.pack = open(os.path.join(self.folder.name, "pack"), "wb")
        return self

    def close(self):
        self.pack.close()

    def __exit__(self, kind, error, trace):
        if error is None:
            self.folder.cleanup()


def exit_code(code):
    return code if isinstance(code, int) else 0 if code is None else 1


def report(seen, calls):
    outside = {}
    for path in seen.outside:
        try:
            known = os.stat(path)
            outside[path] = [known.st_mtime_ns, known.st_size]
        except OSError:
            outside[path] = None
    return {
        "touched": sorted(seen.touched)[:50], "sources": sorted(seen.sources), "outside": outside,
        "starts_process": seen.starts_process, "calls": calls,
    }  # fmt: skip


def note_calls(flow_class):
    """Notice `flow.register()` and `flow.run()`; under an agent they warn and return None, as here."""
    calls = {"register": [], "run": []}

    def noting(name, original):
        def call(*args, **kwargs):
            frame = sys._getframe(1)
            calls[name].append(frame.f_lineno if frame.f_code.co_filename == "<string>" else None)
            return original(*args, **kwargs)

        call.__name__ = name
        call.__doc__ = original.__doc__
        return call

    for name in calls:
        setattr(flow_class, name, noting(name, getattr(flow_class, name)))
    return calls


def take(flow):
    """A flow as the API would store it, its storage apart; `error` says why it cannot be."""
    from prefect.serialization.flow import FlowSchema
    from prefect.serialization.run_config import RunConfigSchema
    from prefect.serialization.storage import StorageSchema

    taken = {
        "name": str(flow.name),
        "tasks": len(flow.tasks),
        "storage": None,
        "run_config": None,
        "error": None,
    }
    storage, flow.storage = flow.storage, None
    try:
        if not isinstance(flow.name, str):
            raise TypeError(f"the flow's name is {flow.name!r}, not text")
        if storage is not None:
            taken["storage_type"] = type(storage).__name__
            taken["storage_labels"] = storage._labels if isinstance(storage._labels, str) else None
            try:
                taken["storage"] = StorageSchema().dump(storage)
                _dumps(taken["storage"])
            except Exception:
                taken["storage"] = {"type": type(storage).__name__}
        serialized = flow.serialize()
        serialized.pop("storage", None)
        text = _dumps(serialized, allow_nan=False)
        # Tasks and edges are plain text and numbers by now; what can fail to come back is the rest.
        FlowSchema(exclude=["tasks", "edges", "reference_tasks"]).load(json.loads(text))
        taken["serialized"] = serialized
        if flow.run_config is not None:
            taken["run_config"] = RunConfigSchema().dump(flow.run_config)
    except Exception as error:
        taken["error"] = "".join(traceback.format_exception_only(type(error), error)).strip()
        taken.pop("serialized", None)
    return taken


def warm_up():
    """Take a flow of our own, so that what Prefect prepares on first use is there for every child."""
    import datetime

    import prefect

    with prefect.context(loading_flow=True), prefect.Flow("warm-up") as flow:
        double = prefect.task(lambda x: x, name="double")
        double.map(double(prefect.Parameter("x", default=[1])))
    flow.schedule = prefect.schedules.IntervalSchedule(interval=datetime.timedelta(days=1))
    flow.run_config = prefect.run_configs.UniversalRun(labels=["x"])
    flow.storage = prefect.storage.Git(flow_path="x", repo="x/x")
    take(flow)


def describe(error, values, seen):
    """An exception in JSON: type, text, frames inside the repository, and what it says is missing."""
    frames, outer = [], None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if frame.f_globals is values and code.co_filename == "<string>":
            frames.append([None, line, code.co_name])
        elif code.co_filename.startswith(seen.root):
            frames.append([code.co_filename[len(seen.root) :], line, code.co_name])
        outer = code.co_filename
    if isinstance(error, SyntaxError) and error.filename:
        inside = error.filename.startswith(seen.root)
        if inside or error.filename == "<string>":
            frames.append([error.filename[len(seen.root) :] if inside else None, error.lineno, "<module>"])
    causes, current = [], error
    while current is not None and len(causes) < 5:
        causes.append({
            "type": type(current).__name__,
            "message": text_of(current),
            "missing_module": current.name if isinstance(current, ModuleNotFoundError) else None,
            "inside": inside(current, seen.root),
            "missing_file": text_or_none(getattr(current, "filename", None)) if isinstance(current, OSError) else None,
        })  # fmt: skip
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return dict(causes[0], causes=causes[1:], frames=frames[-20:], raised_in=outer)


def inside(error, root):
    """The path in the repository of the file that an exception names."""
    name = text_or_none(getattr(error, "filename", None)) if isinstance(error, OSError) else None
    return name[len(root) :] if name and name.startswith(root) else None


def text_of(error):
    try:
        return str(error)[:2000]
    except Exception:
        return "(its text cannot be made)"


def text_or_none(name):
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else None
