"""git-prefect: `git push` is the deployment of Prefect 1 flows."""

__version__ = "0.2.0.dev0"
