"""git-prefect: `git push` is the deployment of Prefect 1 flows."""

import os
import sys

__version__ = "0.1.0"


def _leave_out_modules_of_others() -> None:
    """Take PYTHONPATH and the folder that `python -m` runs in off `sys.path`, unless git-prefect itself is there.

    They come before what is installed: a `git.py` or `yaml.py` of the user's would take the place of what is needed here.
    Only in git-prefect's own processes, and before anything else is imported.
    """
    if not sys.argv or os.path.basename(sys.argv[0]) not in ("-m", "git-prefect"):
        return
    home = os.path.realpath(os.path.dirname(os.path.dirname(__file__)))
    others = {os.path.realpath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path}
    others |= {os.getcwd()} if sys.argv[0] == "-m" else set()
    sys.path[:] = [path for path in sys.path if os.path.realpath(path) == home or os.path.realpath(path) not in others]


_leave_out_modules_of_others()
