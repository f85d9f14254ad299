"""The command: finds the verbs, runs one, renders its rows as text or JSON lines.

A verb is a file in `sockwright.tools`; nothing here names one. `docs/contributing.md` states what
such a file holds, and what a page in `sockwright.cli.pages` may add to its text.
"""

from __future__ import annotations

from sockwright.cli.command import main

__all__ = ["main"]
