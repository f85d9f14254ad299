"""SQL over a capture, by DuckDB: the tables `packets` and `flows`.

Rules
    1. Only the columns that a query names are filled. A query is first bound against tables with
       every column and no row, which finds its mistakes before the capture is read; then every name
       in its syntax tree that is a column counts as named, and ``*`` names the standard columns.
    2. A query reads `packets` and `flows` and nothing else: no file, no network, no variable of the
       program, no extension; it is one statement, and cannot change these settings.
    3. Memory and threads of DuckDB are limited; it has no folder to put aside what does not fit.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import Future, wait
from dataclasses import asdict
from dataclasses import fields as fields_of
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from sockwright.columns.arrow import REMEDY, arrow_name, empty_table, pyarrow, table_of
from sockwright.columns.conversations import Conversation, conversations
from sockwright.columns.fields import fields
from sockwright.columns.filling import columns_of
from sockwright.columns.gathering import Batches
from sockwright.columns.plan import STANDARD, Plan
from sockwright.errors import DecodeError, NotPossibleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sockwright.columns.capture_file import CaptureFile
    from sockwright.columns.gathering import Accept

__all__ = ["FLOW_COLUMNS", "SqlError", "column_names", "query"]

T = TypeVar("T")

MEMORY = "2GB"
_BINDING = "explain\n"
_READING = ("SELECT", "EXPLAIN", "MULTI")  # the last one is PIVOT
_AT_ONCE = 1000  # rows that are fetched from DuckDB at once
_GRACE_S = 0.5  # for DuckDB to end a query that is interrupted
_SECOND_LINE = re.compile(r"\n+LINE (\d+): (.*)\n( *)\^+", re.DOTALL)

FLOW_COLUMNS = tuple([one.name for one in fields_of(Conversation)])
"""The columns of the table `flows`; its key is ``flow``, ``flow_id`` in `packets`."""

_STAR = ("frame.number", *STANDARD)

# Four numbers between dots as one; null for anything else, an IPv6 address for one.
_MACROS = r"""
create macro ipv4_number(address) as
    case when regexp_full_match(address, '\d+\.\d+\.\d+\.\d+') then
        split_part(address, '.', 1)::ubigint * 16777216
        + split_part(address, '.', 2)::ubigint * 65536
        + split_part(address, '.', 3)::ubigint * 256
        + split_part(address, '.', 4)::ubigint
    end;
create macro in_network(address, network) as
    ipv4_number(address) // pow(2, 32 - split_part(network, '/', 2)::integer)::ubigint
    = ipv4_number(split_part(network, '/', 1))
        // pow(2, 32 - split_part(network, '/', 2)::integer)::ubigint;
"""


class SqlError(UsageError, ValueError):
    """A query is wrong: `message` says why, `word` and `position` (from 1) where, if known."""

    def __init__(self, message: str, word: str = "", position: int | None = None) -> None:
        where = f", at character {position}" if position is not None else ""
        near = f" ({word!r}{where})" if word else ""
        super().__init__(message + near)
        self.message = message
        self.word = word
        self.position = position


def column_names() -> dict[str, str]:
    """Return the columns of `packets`: the names in SQL, and of the fields that they hold.

    Second headers are among them: ``inner_ipv4_src``.
    """
    found = {}
    for info in fields():
        if info.type == "options":
            continue
        try:
            Plan([info.name])
        except ValueError:
            continue  # octets of any length
        found[arrow_name(info.name)] = info.name
        if info.layer not in ("frame", "payload", "flow"):
            found[arrow_name(f"inner.{info.name}")] = f"inner.{info.name}"
    return found


def query(
    capture: CaptureFile,
    sql: str,
    accept: Accept | None = None,
    *,
    threads: int = 0,
    memory: str = MEMORY,
) -> Iterator[dict[str, Any]]:
    """Yield the rows that `sql` selects, as values by column.

    With `accept`, the tables hold only the packets that it accepts. DuckDB gets `threads` (as many
    as there are cores) and `memory` at most.

    Raises: SqlError for a wrong query; NotPossibleError without duckdb and pyarrow; TruncatedError
    or DecodeError behind the last row, where the capture ends in the middle.
    """
    duckdb = _duckdb()
    pyarrow()
    connection = duckdb.connect(":memory:", config=_settings(threads, memory))
    beside = _Beside(connection)
    try:
        connection.execute(_MACROS)
        connection.execute("set enable_progress_bar = false")  # it would go to standard output
        names = column_names()
        nothing = {"packets": empty_table(names.values()), "flows": _flow_table([])}
        for table, empty in nothing.items():
            connection.register(table, empty)
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        try:
            used = _used(connection, sql)
            described = _bound(duckdb, beside, sql)
            error = _fill(beside, capture, accept, used, names, described=described)
            yield from _rows(beside, sql)
        except duckdb.Error as wrong:
            raise _in_words(sql, wrong) from None
        if error is not None:
            raise error
    finally:
        beside.close()


class _Beside:
    """Has DuckDB work in another thread: Ctrl-C, or a caller who goes away, ends it at once.

    DuckDB does not look for signals, but asks now and then whether it was interrupted. Where it
    does not even that, as while it computes constants, the thread is left behind.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._left_behind = False

    def run(self, work: Callable[..., T], *args: object) -> T:
        """Return ``work(*args)``, or raise what it raises."""
        done: Future[T] = Future()

        def work_beside() -> None:
            try:
                done.set_result(work(*args))
            except BaseException as error:  # it is raised where the result is due
                done.set_exception(error)

        Thread(target=work_beside, daemon=True).start()
        try:
            return done.result()
        except BaseException:
            if not done.done():
                self.connection.interrupt()
                self._left_behind = bool(wait([done], _GRACE_S).not_done)
            raise

    def close(self) -> None:
        """Close the connection, which would wait for a query that still runs."""
        if not self._left_behind:
            self.connection.close()


def _settings(threads: int, memory: str) -> dict[str, str]:
    from sockwright.columns.compiling import cores

    return {
        "threads": str(threads or cores()),
        "memory_limit": memory,
        "temp_directory": "",
        "python_enable_replacements": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def _used(connection: Any, sql: str) -> set[str] | None:
    """Return every identifier in the query, in lower case; None where it may need all columns."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise SqlError(f"one statement is run, here are {len(statements)}")
    ((tree,),) = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    parsed = json.loads(tree)
    if parsed["error"]:
        return None  # SUMMARIZE, PIVOT and such; a syntax error is told when it is bound
    found: set[str] = set()
    _collect(parsed, found)
    return found


def _collect(node: Any, found: set[str]) -> None:
    if isinstance(node, dict):
        if node.get("type") == "STAR":
            found.add("*")
        for value in node.values():
            _collect(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect(value, found)
    elif isinstance(node, str):
        found.add(node.lower())


def _bound(duckdb: Any, beside: _Beside, sql: str) -> bool:
    """Bind the query to the empty tables; return whether it asks about the tables alone."""
    (statement,) = beside.connection.extract_statements(sql)
    first = sql.lstrip().split(None, 1)[0].lower() if sql.strip() else ""
    if statement.type.name not in _READING:
        raise SqlError("a query selects; packets and flows cannot be changed", first)
    if statement.type.name == "SELECT":
        try:
            beside.run(beside.connection.execute, f"{_BINDING}{sql}").fetchall()
        except duckdb.Error as wrong:
            raise _in_words(_BINDING + sql, wrong) from None
    return first in ("describe", "desc", "show")


def _fill(
    beside: _Beside,
    capture: CaptureFile,
    accept: Accept | None,
    used: set[str] | None,
    names: dict[str, str],
    *,
    described: bool,
) -> DecodeError | None:
    """Put what the query needs into the tables; return what ended the capture early."""
    if described:
        return None
    error: DecodeError | None = None
    packets = used is None or "packets" in used
    flows = used is None or "flows" in used
    if capture.size is None and packets + flows + (packets and accept is not None) > 1:
        len(capture)  # keeps a pipe in a file, so that it can be gone through twice
    if packets:
        chosen = {names[name]: None for name in names if used and name in used}
        if used is None or "*" in used:
            chosen = dict.fromkeys(_STAR) | chosen
        elif not chosen:
            # Packets are counted, or taken as wholes: ``select p from packets p``.
            chosen = dict.fromkeys(["frame.length"] if "count_star" in used else _STAR)
        columns = columns_of(capture, list(chosen))
        error = columns.error
        if accept is not None:
            columns = columns.select(_accepted(capture, accept))
        beside.connection.unregister("packets")
        beside.run(beside.connection.register, "packets", table_of(columns))
    if flows:
        found: list[Conversation] = []
        try:
            found.extend(conversations(capture, accept))
        except DecodeError as cut:
            error = cut
        beside.connection.unregister("flows")
        beside.run(beside.connection.register, "flows", _flow_table(found))
    return error


def _accepted(capture: CaptureFile, accept: Accept) -> Any:
    """Return the indices of the packets that `accept` accepts."""
    import numpy as np

    found = [np.zeros(0, np.int64)]
    first = 0
    for batch in Batches(capture):
        found.append(first + np.asarray(accept.rows(batch), np.int64))
        first += len(batch)
    return np.concatenate(found)


def _flow_table(found: list[Conversation]) -> Any:
    pa = pyarrow()
    kinds = {"protocol": pa.string(), "src": pa.string(), "dst": pa.string()}
    kinds |= {"octets_per_s": pa.float64(), "src_port": pa.uint16(), "dst_port": pa.uint16()}
    schema = pa.schema([(name, kinds.get(name, pa.int64())) for name in FLOW_COLUMNS])
    return pa.Table.from_pylist([asdict(row) for row in found], schema=schema)


def _rows(beside: _Beside, sql: str) -> Iterator[dict[str, Any]]:
    """Run the query and yield its rows; a name that stands there twice gets a number."""
    result = beside.run(beside.connection.execute, sql)
    names: list[str] = []
    for column in result.description:
        name = str(column[0])
        same = sum(other == name or other.startswith(f"{name}:") for other in names)
        names.append(f"{name}:{same + 1}" if same else name)
    while rows := beside.run(result.fetchmany, _AT_ONCE):
        for row in rows:
            yield dict(zip(names, row, strict=True))


def _in_words(sql: str, wrong: Exception) -> SqlError:
    """Return what DuckDB says of a query, in one line, with the place in the query."""
    text = str(wrong)
    found = _SECOND_LINE.search(text)
    told = text[: found.start()] if found else text
    message = " ".join(told.split())
    kind, _, rest = message.partition(": ")
    message = rest if kind.endswith("Error") and rest else message
    if found is None:
        return SqlError(message)
    line, shown = int(found[1]), found[2].rstrip("\n")
    column = len(found[3]) - len(f"LINE {line}: ")
    carets = len(found[0]) - len(found[0].rstrip("^"))
    word = shown[column : column + carets]
    lines = sql.splitlines()
    exact = line <= len(lines) and lines[line - 1] == shown  # long lines are cut
    if not exact:
        return SqlError(message, word)
    position = sum(len(one) + 1 for one in lines[: line - 1]) + column + 1
    return SqlError(message, word, position - len(_BINDING) * sql.startswith(_BINDING))


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise NotPossibleError("the package duckdb is missing", REMEDY) from None
    return duckdb
