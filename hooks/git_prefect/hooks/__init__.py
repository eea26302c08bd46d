"""Called by git and pre-commit: each hook composes `deploy`."""
