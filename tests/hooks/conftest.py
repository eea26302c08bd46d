"""The desk of the reports' tests: a clone, and what a person types there."""

from __future__ import annotations

from ..report.conftest import api, desk

__all__ = ["api", "desk"]
