"""The commands of `git prefect`: one command, one module."""
