"""A host of a lab: namespaces to run programs and functions in, and to open sockets in."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - a method here has its name
from typing import IO, TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload

from sockwright.lab.call import Call, start
from sockwright.lab.capture import Capture
from sockwright.lab.process import Process

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sockwright.lab.keeping import Keeping
    from sockwright.lab.rtnetlink import Rtnetlink
    from sockwright.sockets.filter import Instruction

__all__ = ["Host", "Interface", "environment"]

P = ParamSpec("P")
T = TypeVar("T")

#: What `subprocess` takes for a standard stream: None to share ours, PIPE, DEVNULL, a file.
Stream = int | IO[Any] | None


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of a host: its addresses without prefix lengths, and the segment it is on."""

    name: str
    mac: str
    ipv4: str
    ipv4_prefix: int
    ipv6: str
    ipv6_prefix: int
    segment: int


class Host:
    """One host. `Lab.hosts` and `Lab.router` make them.

    Everything that runs in it is user 0 there, with every privilege over this host and none
    outside; ``privileged=False`` takes them all away. It sees the files of the machine, and its
    own network, /proc, /sys and host name.
    """

    __slots__ = ("_keeping", "_namespaces", "_on_call", "interfaces", "links", "name")

    def __init__(
        self,
        name: str,
        keeping: Keeping,
        namespaces: tuple[int, ...],
        links: Rtnetlink,
        on_call: Callable[[Call[Any]], None],
    ) -> None:
        self.name = name
        self.interfaces: tuple[Interface, ...] = ()
        #: The rtnetlink socket of this host.
        self.links = links
        self._keeping = keeping
        self._namespaces = namespaces
        self._on_call = on_call

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.ipv4} {self.ipv6}>"

    @property
    def interface(self) -> str:
        """The name of its first interface."""
        return self.interfaces[0].name

    @property
    def mac(self) -> str:
        """The Ethernet address of its first interface."""
        return self.interfaces[0].mac

    @property
    def ipv4(self) -> str:
        """The IPv4 address of its first interface."""
        return self.interfaces[0].ipv4

    @property
    def ipv6(self) -> str:
        """The IPv6 address of its first interface."""
        return self.interfaces[0].ipv6

    @overload
    def run(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        input: str | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        capture: bool = ...,
        text: Literal[True] = ...,
        env: Mapping[str, str] | None = ...,
        cwd: str | os.PathLike[str] | None = ...,
        privileged: bool = ...,
    ) -> subprocess.CompletedProcess[str]: ...

    @overload
    def run(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        input: bytes | None = ...,
        timeout: float | None = ...,
        check: bool = ...,
        capture: bool = ...,
        text: Literal[False],
        env: Mapping[str, str] | None = ...,
        cwd: str | os.PathLike[str] | None = ...,
        privileged: bool = ...,
    ) -> subprocess.CompletedProcess[bytes]: ...

    def run(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        input: str | bytes | None = None,  # noqa: A002 - the name that subprocess has
        timeout: float | None = None,
        check: bool = False,
        capture: bool = True,
        text: bool = True,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        privileged: bool = True,
    ) -> subprocess.CompletedProcess[Any]:
        """Run a program to its end, `subprocess.run` in this host; its outputs are captured.

        Standard input is `input`, or empty; with ``capture=False`` all three streams are ours.

        Raises: `OSError` if it cannot be started; `subprocess.CalledProcessError` with `check`
        and an exit status that is not 0; `subprocess.TimeoutExpired` after `timeout` seconds,
        when it has been killed.
        """
        octets = input.encode() if isinstance(input, str) else input
        output = subprocess.PIPE if capture else None
        if octets is not None:
            source: Stream = subprocess.PIPE
        else:
            source = subprocess.DEVNULL if capture else None
        with self.popen(
            args, stdin=source, stdout=output, stderr=output, env=env, cwd=cwd,
            privileged=privileged,
        ) as process:  # fmt: skip
            out, err = process.communicate(octets, timeout)
        code = process.wait()
        results: tuple[Any, Any] = (None, None)
        if capture:
            results = (
                (out.decode(errors="replace"), err.decode(errors="replace")) if text else (out, err)
            )
        if check and code:
            error = subprocess.CalledProcessError(code, list(process.args), *results)
            if err:
                error.add_note(err.decode(errors="backslashreplace").rstrip())
            raise error
        return subprocess.CompletedProcess(list(process.args), code, *results)

    def popen(
        self,
        args: Sequence[str | os.PathLike[str]],
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        pass_fds: Sequence[int] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        start_new_session: bool = False,
        privileged: bool = True,
    ) -> Process:
        """Start a program; the arguments are those of `subprocess.Popen`, pipes carry octets.

        Without `env` it has our environment, and on its PATH also what only root has there.

        Raises: `OSError` if it cannot be started.
        """
        if isinstance(args, (str, bytes)):
            raise TypeError("args is a list of strings, such as shlex.split() makes of a line")
        argv = [os.fspath(one) for one in args]
        with contextlib.ExitStack() as given, contextlib.ExitStack() as kept:
            pipes: list[IO[bytes] | None] = []
            descriptors: dict[int, int] = {}
            for number, stream in enumerate((stdin, stdout, stderr)):
                ours, its = _stream(number, stream, descriptors, given)
                pipes.append(None if ours is None else kept.enter_context(ours))
                descriptors[number] = its
            descriptors.update((one, one) for one in pass_fds)
            pidfd, status = self._keeping.spawn(
                self.name,
                argv,
                descriptors,
                env=environment() if env is None else dict(env),
                cwd=str(Path.cwd() if cwd is None else os.fspath(cwd)),
                session=start_new_session,
                privileged=privileged,
            )
            kept.pop_all()
        return Process(
            argv, pidfd=pidfd, status=status, stdin=pipes[0], stdout=pipes[1], stderr=pipes[2]
        )

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run any Python function in this host and return its result.

        It runs in a copy of this process, see `sockwright.lab.call`: only the result comes back.

        Raises: what the function raised, and as `Call.result` does.
        """
        return self.start(function, *args, **kwargs).result()

    def start(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """Start a Python function in this host; go on, and ask for its `result` later.

        A server that is to be ready before its client starts: open its listening socket with
        `open` first, and let the function serve on that.
        """
        return self._start(lambda: function(*args, **kwargs))

    def call_unprivileged(
        self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run a Python function in this host without any privilege, else as `call`."""
        return self._start(lambda: function(*args, **kwargs), privileged=False).result()

    def socket(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,  # noqa: A002 - the name that socket.socket has
        proto: int = 0,
    ) -> Socket:
        """Open a socket in this host and have it here: a socket stays in its namespace.

        It is the caller's to close, and keeps its network alive until then.

        Raises: `OSError`.
        """
        return self._keeping.socket(self.name, family, type, proto)

    def open(self, function: Callable[P, Socket], /, *args: P.args, **kwargs: P.kwargs) -> Socket:
        """Run a function that returns a socket in this host, and have that socket here.

        Raises: as `call`.
        """
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, its:
            self._start(lambda: function(*args, **kwargs), passing=its).result()
            descriptor = socket.recv_fds(ours, 1, 1)[1][0]
        os.set_inheritable(descriptor, False)  # Python 3.11 forgets the flags of recv_fds
        return socket.socket(fileno=descriptor)

    def capture(
        self,
        filter: Sequence[Instruction] = (),  # noqa: A002 - what every capture program calls it
        *,
        interface: str | None = None,
    ) -> Capture:
        """Capture the frames of an interface, by default of the first one.

        `filter` is a program of classic BPF, such as ``tcpdump -ddd`` prints.

        Raises: `OSError`.
        """
        sock = self.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            return Capture(sock, interface or self.interface, filter)
        except BaseException:
            sock.close()
            raise

    def set(self, name: str, value: str | int) -> None:
        """Write a sysctl(8) setting of this host, such as ``net.ipv4.ip_default_ttl``.

        Raises: `OSError` if this kernel does not have it for a single host.
        """
        self.run(
            ["dd", f"of=/proc/sys/{name.replace('.', '/')}", "status=none"],
            input=str(value),
            check=True,
        )

    def _start(
        self,
        function: Callable[[], T],
        *,
        passing: Socket | None = None,
        privileged: bool = True,
    ) -> Call[T]:
        started = start(
            f"host {self.name}",
            # Asked for first: of a lab that is closed the numbers may be other files by now.
            (*self._keeping.namespaces, *self._namespaces),
            function,
            passing=passing,
            privileged=privileged,
        )
        self._on_call(started)
        return started


def environment() -> dict[str, str]:
    """Return our environment, with what only root has on its PATH: everybody is root in a host."""
    path = os.environ.get("PATH", os.defpath)
    return {**os.environ, "PATH": os.pathsep.join([path, "/usr/sbin", "/sbin"])}


def _stream(
    number: int, stream: Stream, before: dict[int, int], given: contextlib.ExitStack
) -> tuple[IO[bytes] | None, int]:
    """Return our end of a standard stream, if it is a pipe, and the descriptor for the program."""
    if stream is None:
        try:
            os.fstat(number)
        except OSError:  # we have no such stream ourselves
            stream = subprocess.DEVNULL
        else:
            return None, number
    if stream == subprocess.STDOUT:
        return None, before[1]
    if stream == subprocess.DEVNULL:
        its = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        given.callback(os.close, its)
        return None, its
    if stream == subprocess.PIPE:
        reading, writing = os.pipe()
        ours, its = (writing, reading) if number == 0 else (reading, writing)
        given.callback(os.close, its)
        return os.fdopen(ours, "wb" if number == 0 else "rb", buffering=0), its
    return None, stream if isinstance(stream, int) else stream.fileno()
