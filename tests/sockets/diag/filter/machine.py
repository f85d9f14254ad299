"""The machine of `filtered_sockets.py`, as ss sees it, the kernel under our program, and we."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sockwright.sockets.diag.inet import FAMILIES
from sockwright.sockets.diag.netlink import SockDiag
from sockwright.sockets.diag.states import ALL
from sockwright.sockets.diag.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sockwright.sockets.diag.filter import SocketFilter
    from sockwright.sockets.diag.row import SocketRow

__all__ = ["Machine", "key"]

_PROGRAM = Path(__file__).with_name("filtered_sockets.py")
_SECONDS = 200
# What tells one socket from all others, in a line of ``ss -HOne``.
_COOKIE = re.compile(r"\ssk:([0-9a-f]+)(?:\s|$)")
_UNIX = re.compile(r"^u_\S+ .* (\d+)\s+\* \d+", re.DOTALL)
_OTHER = re.compile(r"^(?:(?:nl|v_\S+)\s+)?[A-Z]\S+\s+\d+\s+\d+\s+(\S+)\s+(\S+)")


class Machine:
    """The machine; a context manager."""

    def __init__(self) -> None:
        self._end = contextlib.ExitStack()
        self.pid = 0
        self.chosen: list[int] = []
        self.cgroup = ""
        """A control group with sockets of its own, as a path that ss takes; "" without cgroup2."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as end:
            folder = end.enter_context(tempfile.TemporaryDirectory(prefix="sw-"))
            group = _make_cgroup(end)
            process = end.enter_context(
                subprocess.Popen(
                    ["unshare", "--net", "--", sys.executable, "-I", "-S", _PROGRAM, group],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=folder,
                )
            )
            assert process.stdin is not None
            assert process.stdout is not None
            end.callback(process.stdin.close)
            line = process.stdout.readline()
            assert line, "the machine did not come up; see above"
            told = json.loads(line)
            self.pid, self.chosen, self.cgroup = told["pid"], told["chosen"], group
            self._end = end.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def ask_ss(self, questions: Iterable[Sequence[str]]) -> list[tuple[frozenset[object], str]]:
        """Run ``ss -HOnae`` with each of the lists of words; return the keys of rows and stderr.

        One shell runs them all: a process of ss takes 4 ms, one of Python that starts it 10.
        """
        script = ["exec 2>&1"]
        for words in questions:
            script += [f"ss -HOnae {shlex.join(words)}; printf '\\0'"]
        done = subprocess.run(
            ["nsenter", f"--target={self.pid}", "--net", "--", "sh", "-s"],
            input="\n".join(script).encode(errors="surrogateescape"),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
        texts = done.stdout.decode(errors="surrogateescape").split("\0")
        return [_keys(text) for text in texts[:-1]]

    def rows(self, *tables: str) -> list[SocketRow]:
        """Return all sockets of the tables. Raises: OSError, where this kernel cannot list them."""
        with SockDiag(self.pid) as diag:
            return list(
                chain.from_iterable(
                    _ask(diag, TABLES[name].row, TABLES[name].request(family, ALL, 0, b""))
                    for name in tables
                    for family in TABLES[name].families
                )
            )

    def ask_kernel(self, filters: Iterable[SocketFilter], *tables: str) -> list[frozenset[object]]:
        """Return the keys of the sockets of the tables that pass the program of each filter."""
        with SockDiag(self.pid) as diag:
            return [frozenset(map(key, _filtered(diag, one, tables))) for one in filters]


def key(row: SocketRow) -> object:
    """Return what tells the socket of `row` from all others, in terms of what ss prints of it."""
    if row.family == "unix":
        return row.inode
    if row.family in {"netlink", "vsock"}:
        return f"{row.local} {row.peer}"
    return f"{row.cookie:x}"


def _filtered(diag: SockDiag, asked: SocketFilter, tables: Sequence[str]) -> Iterator[SocketRow]:
    for family in FAMILIES:
        program = asked.program(family)
        assert program is not None
        states = ALL if asked.states is None else asked.states
        for table in map(TABLES.__getitem__, tables):
            yield from _ask(diag, table.row, table.request(family, states, 0, program))


def _ask(diag: SockDiag, row: type[SocketRow], request: bytes) -> Iterator[SocketRow]:
    for datagram, offsets in diag.dump(request):
        for at in offsets:
            yield row(datagram, at)


def _keys(text: str) -> tuple[frozenset[object], str]:
    found: set[object] = set()
    errors = []
    for line in text.splitlines():
        if unix := _UNIX.match(line):
            found.add(int(unix[1]))
        elif cookie := _COOKIE.search(line):
            found.add(cookie[1])
        elif other := _OTHER.match(line):
            found.add(other[1] + " " + other[2])
        elif line != "Failed to find cgroup2 mount":  # ss -e wants to name groups
            errors.append(line)
    return frozenset(found), "\n".join(errors)


def _make_cgroup(end: contextlib.ExitStack) -> str:
    """Make a control group of version 2, as long as `end` lasts; return its folder, or nothing."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            folder = Path(where) / f"sw-test-{os.getpid()}"
            try:
                folder.mkdir()
            except OSError:
                return ""
            end.callback(folder.rmdir)
            return str(folder)
    return ""
