"""Runs one verb: parses its words, goes through its rows, turns errors into one line and a status.

Rules: rows are shown as they come. What the verb raises is told from what writing the output
raises, since a broken pipe of a socket is a failure and a closed `| head` is not. However the run
ends, the generator of the verb is closed before the command leaves, so that its `finally` and
`with` undo what they did.
"""

from __future__ import annotations

import sys
from errno import errorcode

from sockwright.cli.clean import clean, clean_message
from sockwright.errors import SockwrightError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from sockwright.cli.progress import Bar, StatusLine
    from sockwright.cli.screen import Screen
    from sockwright.cli.verbs import Verb

__all__ = ["run_verb"]


class _Rows:
    """The rows of a verb, once; keeps what the generator returned or raised.

    A row that tells of progress is no row of the output: where a terminal is on standard error, it
    starts a bar there, if standard output is no terminal or still silent; or, if it has `pieces`,
    it is a line that stands there until the next row.
    """

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self.status = 0
        self.failure: BaseException | None = None
        self._bar: Bar | None = None
        self._line: StatusLine | None = None

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                row = next(self._source)
            except StopIteration as end:
                self.status = end.value if isinstance(end.value, int) else 0
                return
            except BaseException as error:
                self.failure = error
                raise
            if getattr(row, "is_progress", False):
                self._show_progress(row)
                continue
            if self._bar is not None and sys.stdout.isatty():
                self._stop_bar()
            if self._line is not None:
                self._line.clear()
            yield row

    def _show_progress(self, row: Any) -> None:
        if not sys.stderr.isatty():
            return
        if hasattr(row, "pieces"):
            if self._line is None:
                from sockwright.cli.progress import StatusLine

                self._line = StatusLine()
            self._line.show(row.pieces)
        else:
            from sockwright.cli.progress import Bar

            self._bar = Bar(row.part, row.octets)

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        self._stop_bar()
        if self._line is not None:
            self._line.clear()
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


def run_verb(verb: Verb, words: Sequence[str]) -> int:
    """Run `verb` with `words`; return the exit status.

    Raises:
        BrokenPipeError: the reader of the output went away.
        KeyboardInterrupt: after the verb was closed.
    """
    module = verb.load()
    args = None
    if hasattr(module, "quick_arguments"):
        args = module.quick_arguments(words)
    if args is None:
        from sockwright.cli.parser import verb_parser

        try:
            args = verb_parser(verb, module).parse_words(words)
        except SystemExit as leave:  # argparse's way to end after --help or a usage error
            return leave.code if isinstance(leave.code, int) else 2
    rows: _Rows | None = None
    try:
        rows = _Rows(iter(module.run(args)))
        try:
            _show(rows, verb, as_json=args.json)
        finally:
            rows.close()
    except SockwrightError as error:
        return _tell(verb, str(error), error.exit_status, _notes(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and (rows is None or rows.failure is not error):
            raise
        return _tell(verb, _kernel_message(error), _kernel_status(error))
    return rows.status


def _show(rows: Iterable[Any], verb: Verb, *, as_json: bool) -> None:
    if as_json:
        from sockwright.cli.values import as_line

        for row in rows:
            if getattr(row, "aside", False):  # for people, beside the rows; it may say nothing
                if text := str(row):
                    sys.stderr.write(f"sw {verb.name}: {clean(text)}\n")
                continue
            # Rows that come over time are seen as they come; those of a list are there already.
            lines = map(as_line, row) if isinstance(row, list) else [as_line(row)]
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
        return
    from sockwright.cli.screen import Screen

    _renderer(verb)(rows, Screen(sys.stdout))


def _renderer(verb: Verb) -> Callable[[Iterable[Any], Screen], None]:
    """Return the page of `verb` where it has one, else the table."""
    from importlib import import_module

    page = f"sockwright.cli.pages.{verb.module}"
    try:
        render: Callable[[Iterable[Any], Screen], None] = import_module(page).render
    except ModuleNotFoundError as error:
        if error.name != page:
            raise
        from sockwright.cli.table import render_table

        return render_table
    return render


def _tell(verb: Verb, message: str, status: int, notes: Sequence[str] = ()) -> int:
    sys.stdout.flush()
    from sockwright.cli.screen import Screen

    Screen(sys.stderr).message(f"sw {verb.name}: {clean_message(message)}")
    for line in map(clean, notes):  # as they are: a mark has its place
        print(line, file=sys.stderr)
    return status


def _notes(error: BaseException) -> list[str]:
    """Return the lines that an error has below its message, such as a mark under a wrong word."""
    return [line for note in getattr(error, "__notes__", ()) for line in note.split("\n")]


def _kernel_message(error: OSError) -> str:
    """Return the error in one line: which file, what the kernel said, and its symbolic name."""
    if error.strerror is None:
        return str(error) or type(error).__name__
    where = f"{error.filename}: " if error.filename else ""
    name = errorcode.get(error.errno or 0)
    # Errors that this package explains already say the name, or more.
    told = name is None or name in error.strerror
    return f"{where}{error.strerror}" + ("" if told else f" ({name})")


def _kernel_status(error: OSError) -> int:
    if isinstance(error, PermissionError):
        return 5
    return 3 if isinstance(error, TimeoutError) else 1
