"""The command: finds the verbs, runs one, renders its rows as text or JSON lines.

A verb is a file in `sockwright.tools`; nothing here names one. `docs/contributing.md` states what
such a file holds, and what a page in `sockwright.cli.pages` may add to its text.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words `argv` (without its own name); return the exit status.

    Ctrl-C is no fault of the program, not even where it has hardly begun: what it needs is loaded
    here, where that ends it without a traceback.
    """
    try:
        from sockwright.cli.command import run_words

        return run_words(argv)
    except KeyboardInterrupt:
        return 130
