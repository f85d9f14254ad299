"""The process that holds the hosts of one lab, and everything that runs in them.

Rules:

- It is a Python of its own with one thread, because unshare(2) and setns(2) ask for that.
- Two processes: the first one goes into the namespaces and waits; its child is process 1 of the
  lab's PID namespace and does the work. When process 1 ends, for whatever reason, the kernel kills
  all that runs in the lab, and with the last descriptor the networks are gone too.
- Process 1 ends when the lab closes its channel, when the process that made the lab ends, and when
  the first process ends. It looks at the *process* through a pidfd and not at PR_SET_PDEATHSIG,
  which means the thread that forked; and not only at the channel, which a fork of the maker may
  have inherited and keep open.
- It ignores the signals that a terminal sends to a whole group: the lab is closed by its maker,
  after the maker's own clean-up.
- It never waits for what runs in the hosts. Each request gets one answer, at once.

Run as ``python -I -S -c ... CHANNEL MAKER`` by `Lab`; see `main`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from sockwright.lab import channel, linux

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STATUS", "main"]

#: What a status pipe carries when a process has ended: its exit status, or minus its signal.
STATUS = struct.Struct("=i")

_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE)
_SPACES = linux.CLONE_NEWNET | linux.CLONE_NEWNS | linux.CLONE_NEWUTS
_PRIVATE_DIRECTORY = Path("/dev/shm")  # noqa: S108 - a file system of the lab's own
_HOSTS_FILE = _PRIVATE_DIRECTORY / "hosts"


class _Spaces(NamedTuple):
    """Descriptors of the namespaces that make a host."""

    net: int
    mount: int
    uts: int


class _Stage(Exception):  # noqa: N818 - carries where an OSError came from, and is not one
    def __init__(self, stage: str, error: OSError) -> None:
        super().__init__(stage)
        self.stage = stage
        self.error = error


@contextlib.contextmanager
def _stage(name: str) -> Any:
    try:
        yield
    except OSError as error:
        raise _Stage(name, error) from error


def main(arguments: list[str]) -> NoReturn:
    """Keep a lab until its channel or its maker ends: descriptor number, process number."""
    control = socket.socket(fileno=int(arguments[0]))
    control.set_inheritable(False)  # it came by inheritance, and goes no further
    maker = int(arguments[1])
    for name in _IGNORED:
        signal.signal(name, signal.SIG_IGN)
    watched = [os.pidfd_open(os.getpid())]
    try:
        watched.append(os.pidfd_open(maker))
    except ProcessLookupError:
        os._exit(1)
    if os.getppid() != maker:
        # The maker ended before its pidfd was open; the number may be another process by now.
        os._exit(1)
    try:
        _leave()
    except _Stage as failure:
        _report(control, failure)
        os._exit(1)
    child = os.fork()
    if child == 0:
        try:
            _keep(control, watched)
        finally:
            os._exit(1)
    # Nothing of the lab may stay open here: the end of process 1 must be the end of it.
    os.closerange(3, max(control.fileno(), *watched) + 1)
    os.waitpid(child, 0)
    os._exit(0)


def _leave() -> None:
    """Go into namespaces of this lab's own: as we are if we may, else as user 0 of a user one."""
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(_SPACES | linux.CLONE_NEWPID)
    except PermissionError:
        with _stage("user namespace"):
            linux.unshare(linux.CLONE_NEWUSER)
        with _stage("user mapping"):
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {user} 1")
            Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        with _stage("network namespace"):
            linux.unshare(_SPACES | linux.CLONE_NEWPID)
    except OSError as error:
        raise _Stage("network namespace", error) from error


def _report(control: socket.socket, failure: _Stage) -> None:
    with contextlib.suppress(OSError):
        channel.send(control, {"stage": failure.stage, "errno": failure.error.errno})


def _keep(control: socket.socket, watched: list[int]) -> None:
    """Process 1: make the lab's own places, then answer requests."""
    try:
        with _stage("mounts"):
            linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
            linux.mount("proc", "/proc", "proc")
        if _PRIVATE_DIRECTORY.is_dir():
            with _stage("mounts"):
                linux.mount("tmpfs", str(_PRIVATE_DIRECTORY), "tmpfs", 0, "mode=1777")
            _HOSTS_FILE.write_text("127.0.0.1 localhost\n::1 localhost\n")
    except _Stage as failure:
        _report(control, failure)
        return
    # This namespace is the room of the switches: what stands here talks to nobody.
    _write_settings({"net.ipv6.conf.default.disable_ipv6": "1"})
    home = _open_spaces()
    user = os.open("/proc/self/ns/user", os.O_RDONLY)
    pid = os.open("/proc/self/ns/pid", os.O_RDONLY)
    channel.send(control, {}, (user, pid, *home))
    keeper = _Keeper(home)
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    poll = select.poll()
    for descriptor in (control.fileno(), woken, *watched):
        poll.register(descriptor, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if ready & set(watched):
            return
        if woken in ready:
            os.read(woken, 4096)
            keeper.reap()
        if control.fileno() in ready:
            request, descriptors = channel.receive(control)
            if request is channel.ENDED:
                return
            keeper.answer(control, request, descriptors)


def _open_spaces() -> _Spaces:
    return _Spaces(
        *(os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("net", "mnt", "uts"))
    )


def _write_settings(settings: dict[str, str]) -> None:
    """Write sysctl(8) settings of the network namespace that we are in.

    What this kernel does not have, or keeps for the first namespace, stays as it is.
    """
    for name, value in settings.items():
        with contextlib.suppress(FileNotFoundError, PermissionError):
            Path("/proc/sys", *name.split(".")).write_text(value)


class _Keeper:
    def __init__(self, home: _Spaces) -> None:
        self.home = home
        self.here = home
        self.hosts: dict[str, _Spaces] = {"": home}
        self.status_pipes: dict[int, int] = {}

    def answer(
        self, control: socket.socket, request: dict[str, Any], descriptors: list[int]
    ) -> None:
        """Do one request and send its answer, or the errno that ended it."""
        mine: list[int] = []
        try:
            do = getattr(self, "do_" + request["do"])
            answer, mine, lasting = do(request, descriptors)
            channel.send(control, answer, (*mine, *lasting))
        except OSError as error:
            channel.send(control, {"errno": error.errno, "what": error.filename})
        finally:
            for descriptor in (*mine, *descriptors):
                os.close(descriptor)

    # Each `do_` returns the answer, descriptors to send and close, descriptors to send and keep.

    def do_host(
        self, request: dict[str, Any], _: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Make a host: its namespaces, its settings, its own /sys, its name."""
        name: str = request["name"]
        self.enter(self.home)
        try:
            linux.unshare(_SPACES)
            socket.sethostname(name)
            with contextlib.suppress(OSError):
                # Refused where a container covers parts of /sys: then it stays the outer one.
                linux.mount("sysfs", "/sys", "sysfs")
            if _HOSTS_FILE.exists():
                with contextlib.suppress(OSError):
                    linux.mount(str(_HOSTS_FILE), "/etc/hosts", None, linux.MS_BIND)
            _write_settings(request["settings"])
            spaces = _open_spaces()
        except BaseException:
            self.enter(self.home, force=True)
            raise
        self.hosts[name] = self.here = spaces
        return {}, (), spaces

    def do_settings(
        self, request: dict[str, Any], _: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Write settings of one host."""
        self.enter(self.hosts[request["host"]])
        _write_settings(request["settings"])
        return {}, (), ()

    def do_names(
        self, request: dict[str, Any], _: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Write the file of names; every host has it at /etc/hosts."""
        if _HOSTS_FILE.exists():
            _HOSTS_FILE.write_text(request["text"])
        return {}, (), ()

    def do_socket(
        self, request: dict[str, Any], _: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Open a socket in a host."""
        self.enter(self.hosts[request["host"]])
        made = socket.socket(request["family"], request["type"], request["protocol"])
        return {}, (made.detach(),), ()

    def do_spawn(
        self, request: dict[str, Any], descriptors: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Start a program in a host; `descriptors` become those numbered in `request["as"]`."""
        failure, fail = os.pipe2(os.O_CLOEXEC)
        child = os.fork()
        if child == 0:
            os.close(failure)
            _become(self.hosts[request["host"]], request, descriptors, fail)
        os.close(fail)
        with os.fdopen(failure, "rb") as pipe:
            reason = pipe.read()
        if reason:
            os.waitpid(child, 0)
            number, _, what = reason.decode(errors="surrogateescape").partition(" ")
            raise OSError(int(number), os.strerror(int(number)), what)
        reading, self.status_pipes[child] = os.pipe2(os.O_CLOEXEC)
        # It may have ended already; it is not reaped before this request is answered.
        return {}, (os.pidfd_open(child), reading), ()

    def do_switch(
        self, request: dict[str, Any], descriptors: list[int]
    ) -> tuple[dict[str, Any], Iterable[int], Iterable[int]]:
        """Start a switch in this room, on packet sockets that the lab has opened here."""
        ours, its = socket.socketpair()
        child = os.fork()
        if child == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                ours.close()
                from sockwright.lab.switch import serve

                serve(its, [socket.socket(fileno=one) for one in descriptors], request["macs"])
            finally:
                os._exit(1)
        its.close()
        return {}, (ours.detach(),), ()

    def enter(self, spaces: _Spaces, *, force: bool = False) -> None:
        """Be in a host, or at home."""
        if spaces is not self.here or force:
            for descriptor in spaces:
                linux.setns(descriptor)
            self.here = spaces

    def reap(self) -> None:
        """Take the status of every process that has ended, also of those nobody else waits for."""
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            pipe = self.status_pipes.pop(child, None)
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    os.write(pipe, STATUS.pack(os.waitstatus_to_exitcode(status)))
                os.close(pipe)


def _become(
    spaces: _Spaces, request: dict[str, Any], descriptors: list[int], fail: int
) -> NoReturn:
    """Turn this new process into the program asked for; write why not to `fail`."""
    what = ""
    try:
        signal.set_wakeup_fd(-1)
        for name in (*_IGNORED, signal.SIGCHLD, signal.SIGXFSZ):
            signal.signal(name, signal.SIG_DFL)
        for descriptor in spaces:
            linux.setns(descriptor)
        # First out of the way of the numbers wanted, then onto them.
        numbers: list[int] = request["as"]
        above = max((*numbers, *descriptors, fail), default=0) + 1
        moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) for one in descriptors]
        fail = fcntl.fcntl(fail, fcntl.F_DUPFD_CLOEXEC, above)
        for one, number in zip(moved, numbers, strict=True):
            os.dup2(one, number, inheritable=True)
        what = request["cwd"]
        os.chdir(what)
        if request["session"]:
            os.setsid()
        if not request["privileged"]:
            linux.drop_capabilities()
        what = request["argv"][0]
        os.execvpe(what, request["argv"], request["env"])  # noqa: S606 - no shell is the point
    except OSError as error:
        os.write(fail, f"{error.errno} {what}".encode(errors="surrogateescape"))
    except BaseException:
        os.write(fail, f"{errno.EINVAL} {what}".encode(errors="surrogateescape"))
    finally:
        os._exit(127)
