"""The lab's side of its keeper: start it, ask it, end it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - a method here has its name
from typing import TYPE_CHECKING, Any

from sockwright.lab import channel
from sockwright.lab.refusal import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Keeping"]

_START = (
    "import sys; sys.path.insert(0, sys.argv[3]); "
    "from sockwright.lab.keeper import main; main(sys.argv[1:])"
)
_END_S = 10.0


class Keeping:
    """A running keeper. Its methods may be called from any thread.

    Raises: `NotPossibleError` if this machine refuses the namespaces to this user.
    """

    __slots__ = ("_home", "_joined", "_lock", "_process", "_socket")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket, its = socket.socketpair()
        source = str(Path(__file__).parents[2])
        with its:
            self._process = subprocess.Popen(
                # -I and -S: neither the environment nor site packages have a say in it.
                [
                    sys.executable, "-I", "-S", "-c", _START,
                    str(its.fileno()), str(os.getpid()), source,
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                cwd="/",
            )  # fmt: skip
        try:
            answer, descriptors = channel.receive(self._socket)
            _check(answer, descriptors)
        except BaseException:
            self._end()
            raise
        user, pid, *self._home = descriptors
        if Path(f"/proc/self/fd/{user}").readlink() == Path("/proc/self/ns/user").readlink():
            os.close(user)  # our own: nothing to join
            self._joined: tuple[int, ...] = (pid,)
        else:
            self._joined = (user, pid)

    def host(self, name: str, settings: dict[str, str]) -> tuple[int, ...]:
        """Make a host: descriptors of its network, mount and UTS namespaces."""
        _, descriptors = self._ask({"do": "host", "name": name, "settings": settings})
        return tuple(descriptors)

    def settings(self, host: str, settings: dict[str, str]) -> None:
        """Write sysctl(8) settings of a host."""
        self._ask({"do": "settings", "host": host, "settings": settings})

    def names(self, text: str) -> None:
        """Write what every host has as /etc/hosts."""
        self._ask({"do": "names", "text": text})

    def socket(self, host: str, family: int, kind: int, protocol: int) -> Socket:
        """Open a socket in a host, or with the name "" in the room of the switches."""
        _, (descriptor,) = self._ask(
            {"do": "socket", "host": host, "family": family, "type": kind, "protocol": protocol}
        )
        return socket.socket(fileno=descriptor)

    def switch(self, macs: list[str], ports: tuple[int, ...]) -> Socket:
        """Start a switch on packet sockets: the channel to it."""
        _, (descriptor,) = self._ask({"do": "switch", "macs": macs}, ports)
        return socket.socket(fileno=descriptor)

    def spawn(
        self,
        host: str,
        argv: Sequence[str],
        descriptors: dict[int, int],
        *,
        env: dict[str, str],
        cwd: str,
        session: bool,
        privileged: bool,
    ) -> tuple[int, int]:
        """Start a program whose descriptor N is our `descriptors[N]`: its pidfd, its status pipe.

        Raises: `OSError` as execve(2) does.
        """
        _, (pidfd, status) = self._ask(
            {
                "do": "spawn", "host": host, "argv": list(argv), "env": env, "cwd": cwd,
                "as": list(descriptors), "session": session, "privileged": privileged,
            },
            tuple(descriptors.values()),
        )  # fmt: skip
        return pidfd, status

    @property
    def pid(self) -> int:
        """The number of the keeper's first process."""
        return self._process.pid

    @property
    def namespaces(self) -> tuple[int, ...]:
        """Descriptors of what a process joins before the namespaces of a host.

        These are the user namespace, unless the lab has none, and the PID namespace.
        """
        self._check_open()
        return self._joined

    def close(self) -> None:
        """End the keeper, and with it all that runs in the lab."""
        self._end()
        for descriptor in (*self._joined, *self._home):
            os.close(descriptor)
        self._joined = ()
        self._home = []

    def _check_open(self) -> None:
        if self._socket.fileno() < 0:
            raise RuntimeError("the lab is closed")

    def _end(self) -> None:
        # Not only closed: a fork of this process may hold it open as well.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        try:
            self._process.wait(_END_S)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _ask(
        self, request: dict[str, Any], descriptors: tuple[int, ...] = ()
    ) -> tuple[dict[str, Any], list[int]]:
        with self._lock:
            self._check_open()
            try:
                channel.send(self._socket, request, descriptors)
                answer, received = channel.receive(self._socket)
            except BrokenPipeError:
                answer, received = channel.ENDED, []
        if answer is channel.ENDED:
            raise RuntimeError("the lab has ended")
        if "errno" in answer:
            number, what = answer["errno"], answer["what"]
            raise OSError(number, os.strerror(number), what)
        return answer, received


def _check(answer: dict[str, Any], descriptors: list[int]) -> None:
    if "stage" in answer:
        raise explain(answer["stage"], answer["errno"])
    if not descriptors:
        raise RuntimeError("the keeper of the lab ended before it was ready")
