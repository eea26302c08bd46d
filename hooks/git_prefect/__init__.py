"""git-prefect: `git push` is the deployment of Prefect 1 flows."""

__version__ = "0.1.0"
