"""A machine with sockets of every kind, for tests to list: a network namespace with processes.

``with Population() as machine:`` takes 0.3 s, and what it made ends with that block, or with this
process. `every_socket.py` makes the sockets and says how. Root gets processes of another user too;
an ordinary user, through a user namespace, everything else.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["NOBODY", "MadeSocket", "Population"]

NOBODY = 65534
"""The other user: some processes of the machine are his."""
_PROGRAM = Path(__file__).with_name("every_socket.py")
_SECONDS = 30


class MadeSocket(NamedTuple):
    """Who has the socket, by which descriptor (both 0 for nobody), and its number in sockfs."""

    pid: int
    descriptor: int
    inode: int


class Population:
    """The machine. Its listings stand still but for timers, and TIME-WAIT ends after a minute."""

    def __init__(self) -> None:
        self.sockets: dict[str, MadeSocket] = {}
        """What was made, by names such as "tcp4 close-wait"; see `every_socket.py`."""
        self.refused: dict[str, str] = {}
        """What this kernel has not got, such as "sctp", and what it answered."""
        self.processes: dict[str, int] = {}
        """The numbers of the processes: "main", "sharing", "nasty", "other user"."""
        self._end = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as end:
            user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
            process = end.enter_context(
                subprocess.Popen(
                    ["unshare", "--net", *user, "--", sys.executable, "-I", "-S", _PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            assert process.stdin is not None
            assert process.stdout is not None
            end.callback(process.stdin.close)
            line = process.stdout.readline()
            assert line, "the machine with sockets of every kind did not come up; see above"
            told = json.loads(line)
            self.sockets = {name: MadeSocket(*one) for name, one in told["sockets"].items()}
            self.refused, self.processes = told["refused"], told["processes"]
            self._end = end.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    @property
    def pid(self) -> int:
        """The process that has most of the sockets, and with it the number of the namespace."""
        return self.processes["main"]

    def inode(self, name: str) -> int:
        """Return the number in sockfs of the socket that was made under this name."""
        return self.sockets[name].inode

    def command(self, args: Sequence[str | os.PathLike[str]], *, nobody: bool = False) -> list[Any]:
        """Return the command that runs `args` on this machine; as the user `NOBODY` if wanted."""
        enter = ["nsenter", f"--target={self.pid}", "--net"]
        if os.geteuid() != 0:
            enter += ["--user", "--preserve-credentials"]
        drop = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if nobody else []
        return [*enter, "--", *(["setpriv", *drop, "--"] if drop else []), *args]

    def run(
        self, *args: str | os.PathLike[str], nobody: bool = False, **settings: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program on this machine to its end, which must be good; return its outputs."""
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            self.command(args, nobody=nobody),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            **settings,
        )
        assert done.returncode == 0, (args, done.stdout, done.stderr)
        return done

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Have this thread open its sockets on this machine, until the end of the block; for root.

        Its /proc/thread-self/net is that of the machine too.
        """
        with contextlib.ExitStack() as stack:
            home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, home)
            there = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, there)
            _join(there)
            stack.callback(_join, home)
            yield


def _join(namespace: int) -> None:
    """Join a namespace of any kind (setns(2), which Python 3.11 has not got)."""
    from sockwright.lab import linux

    linux.setns(namespace)
