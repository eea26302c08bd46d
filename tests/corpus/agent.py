"""What an agent does: `prefect.storage.Git(...).get_flow()` of the installed Prefect, a process for each flow.

A stand-alone script: `python agent.py REQUESTS ANSWERS`. Prefect is imported once, as
`python -m prefect execute flow-run` imports it, and each request is answered in a fork of that; nothing
of git_prefect is imported. A request is a JSON object:

    {"storage": arguments of prefect.storage.Git, "name": flow that is asked for, "url": of the clone,
     "secrets": {}, "env": {}, "sys_path": [], "timeout": seconds}
"""

import json
import os
import signal
import sys
import tempfile
import time
import traceback


def main():
    import prefect.cli  # noqa: F401
    from prefect.storage import Git  # noqa: F401

    with open(sys.argv[1]) as file:
        requests = json.load(file)
    answers = []
    running = {}
    waiting = list(enumerate(requests))
    results = tempfile.mkdtemp()
    while waiting or running:
        while waiting and len(running) < 2:
            number, request = waiting.pop(0)
            path = os.path.join(results, f"{number}.json")
            pid = os.fork()
            if pid == 0:
                answer(request, path)
            running[pid] = (number, path, time.monotonic() + request["timeout"])
        time.sleep(0.002)
        for pid, (number, path, deadline) in list(running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            late = not done and time.monotonic() > deadline
            if late:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if done or late:
                del running[pid]
                answers.append((number, "hangs" if late else None, status, path))
    found = {}
    for number, outcome, status, path in answers:
        if os.path.exists(path) and outcome is None:
            with open(path) as file:
                found[number] = json.load(file)
        else:
            found[number] = {"does": outcome or "dies", "said": f"status {status}"}
    with open(sys.argv[2], "w") as file:
        json.dump([found[number] for number in range(len(requests))], file)


def answer(request, path):
    import prefect
    from prefect.serialization.storage import StorageSchema

    os.setsid()
    work = tempfile.mkdtemp()
    os.chdir(work)
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.environ.update(request["env"])
    os.environ["HOME"] = tempfile.mkdtemp()
    sys.path[0:1] = [work, *request["sys_path"]]
    sys.argv[:] = [os.path.join(os.path.dirname(prefect.__file__), "__main__.py"), "execute", "flow-run"]
    exit, opened, write, dumps = os._exit, os.open, os.write, json.dumps
    try:
        secrets = dict(request["secrets"], CLONE_URL=request["url"])
        with prefect.context(running_with_backend=True), prefect.context(secrets=secrets, loading_flow=True):
            storage = prefect.storage.Git(git_clone_url_secret_name="CLONE_URL", repo="team/etl", **request["storage"])
            storage.flows[request["name"]] = request["storage"]["flow_path"]
            storage = StorageSchema().load(StorageSchema().dump(storage))
            flow = storage.get_flow(request["name"])
        try:
            flow.storage = None
            serialized = flow.serialize()
            serialized.pop("storage", None)
            dumps(serialized)
        except Exception as error:
            serialized = repr(error)
        result = {"does": "loads", "name": flow.name, "serialized": serialized}
    except Exception:
        result = {"does": "fails", "said": traceback.format_exc()}
    except BaseException as error:
        result = {"does": "dies", "said": repr(error)}
    file = opened(path, os.O_WRONLY | os.O_CREAT, 0o600)
    data = dumps(result).encode()
    while data:
        data = data[write(file, data) :]
    exit(0)


if __name__ == "__main__":
    main()
