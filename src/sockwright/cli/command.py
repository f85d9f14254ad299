"""`sw`: one verb from the words of the command line to its exit status."""

from __future__ import annotations

import io
import os
import sys
from errno import EBADF

from sockwright.cli.verbs import find_verb, find_verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from sockwright.cli.verbs import Verb

__all__ = ["run_words"]


def run_words(argv: Sequence[str] | None = None) -> int:
    """Run the command with the words `argv` (without its own name); return the exit status.

    Raises: KeyboardInterrupt.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        return _complete()
    # Python has no stream at all where its descriptor is closed (`sw ... >&-`).
    sys.stdout = sys.stdout or _Closed()
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # A name that the locale cannot write is shown escaped; it does not end the command.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(words)
    except BrokenPipeError:
        return _output_closed()
    except OSError as error:  # of a verb the runner tells; this is the help that cannot be written
        where = f"{error.filename}: " if error.filename else ""
        print(f"sw: {where}{error.strerror or error}", file=sys.stderr)
        from contextlib import suppress

        # Some Pythons (3.11.2) would try once more at their end, and say so.
        with suppress(OSError):
            _drop_output()
        return 1


class _Closed(io.TextIOBase):
    """Stands in for a standard output that is closed: what is written there is not lost silently.

    A verb that writes nothing there, such as ``sw read -w OUT``, runs as ever.
    """

    def __init__(self) -> None:
        # Its number is taken, or the next file that is opened would become standard output.
        self._place = os.open(os.devnull, os.O_WRONLY)

    def write(self, _text: str) -> int:
        raise self._error()

    def fileno(self) -> int:
        raise self._error()

    def _error(self) -> OSError:
        return OSError(EBADF, "it is closed", "standard output")


def _dispatch(words: Sequence[str]) -> int:
    first = words[0] if words else ""
    if first == "--version":
        from sockwright import __version__

        print(f"sockwright {__version__}", flush=True)
        return 0
    if first in {"", "-h", "--help", "help"}:
        if first == "help" and len(words) > 1:
            return _dispatch([words[1], "--help"])
        print(_help(find_verbs()), end="", flush=True)
        # A command without its verb is not complete, however helpful the answer.
        return 0 if first else 2
    verb = find_verb(first)
    if verb is None:
        print(_unknown(first, find_verbs()), file=sys.stderr)
        return 2
    from sockwright.cli.runner import run_verb

    return run_verb(verb, words[1:])


def _help(verbs: dict[str, Verb]) -> str:
    import shutil

    from sockwright.cli.page import help_page

    width = shutil.get_terminal_size((80, 24)).columns
    return help_page(verbs.values(), width, colour=_colour(sys.stdout))


def _colour(stream: TextIO) -> bool:
    from sockwright.cli.colour import wants_colour

    return wants_colour(stream)


def _unknown(word: str, verbs: dict[str, Verb]) -> str:
    from difflib import get_close_matches

    from sockwright.cli.clean import clean

    what = "option" if word.startswith("-") else "verb"
    known = [*verbs, "--help", "--version"]
    close = get_close_matches(word, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else "sw --help lists the verbs"
    return f"sw: no {what} '{clean(word)}'; {hint}"


def _complete() -> int:
    from sockwright.cli.parser import complete, words_before

    line = os.environ.get("COMP_LINE", "")
    point = int(os.environ.get("COMP_POINT", len(line)))
    complete(find_verbs(), list(words_before(line, point)))
    return 1


def _output_closed() -> int:
    """Leave as a program does that SIGPIPE ended, without a word: `sw … | head` is no fault."""
    _drop_output()
    return 141


def _drop_output() -> None:
    """Let what was not written go nowhere."""
    output = sys.stdout.fileno()
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, output)
    os.close(devnull)
