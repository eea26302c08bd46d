"""What the watcher and the trigger of a push say to each other over their socket.

The watcher sends the seconds that are left, a line, then lines to be shown, then `DONE`.
"""

from __future__ import annotations

HOLD = 10.0
"""Seconds that a push is held, all its refs together; then the watcher goes on by itself."""

DONE = b"."
"""What the watcher says last, so that its end is not taken for success."""
