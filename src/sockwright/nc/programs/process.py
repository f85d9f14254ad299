"""Programs that are started to be one end of a connection, and when a listener may do that.

Rules:

1. A program is started by posix_spawn(3), without a shell: words as they are given, the first
   looked up in PATH. It gets standard input and output, a small environment, and no other
   descriptor of this process; standard error is ours.
2. On pipes, not on a socketpair: /dev/stdin opens, the kernel moves octets between them and a
   socket (splice(2)), and closing one leaves the other open, so that the end of the input reaches
   the program and its late output reaches us.
3. With `pty` it gets a session and a controlling terminal of its own, for all three of its
   descriptors. The end of the input is then the character that the terminal has for it, Ctrl-D.
4. It is ended when its end of the connection is closed: SIGHUP where it has a terminal, else
   SIGTERM, and SIGKILL a second later. A program that closed its output is about to end by itself,
   and gets that second first. It is reaped on every way, and only then is its status known.
5. Only a process that has not been reaped is ever sent a signal, so no stranger gets one. It leads
   a process group, and what it has started there gets the signals, too: ``sh -c "sleep 9; true"``
   does not leave its sleep behind. Only a program that was started for nobody's connection, by a
   person at a terminal, stays in our group: that terminal may be where it asks for a password.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import signal
import struct
import termios
from contextlib import suppress
from time import monotonic

from sockwright.errors import NotPossibleError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Self

    from sockwright.sockets.endpoint import Endpoint

__all__ = [
    "Process",
    "connection_variables",
    "describe_status",
    "find_program",
    "may_serve",
    "start",
]

# What a program needs to run and to write in the user's language; the rest is none of its business.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
_PATIENCE_S = 1.0
_ORDINARY_SIZE = (80, 24)
_IUTF8 = 0o40000  # asm-generic/termbits.h; termios(3)
# Who ignores a signal goes on to do so after execve(2). Python ignores SIGPIPE and SIGXFSZ, a
# script's shell lets what it starts with `&` ignore SIGINT and SIGQUIT: Ctrl-C would do nothing.
# Not SIGHUP, which nohup(1) has ignored on purpose.
_DEFAULTS = (
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGCHLD,
    signal.SIGTSTP,
    signal.SIGTTIN,
    signal.SIGTTOU,
)


class Process:
    """A running program: made by `start`, which see.

    `stdin` and `stdout` are descriptors of this process, -1 when closed; on a terminal both are the
    same. `status` is None until it has been reaped, then what it gave to exit(3), or -N when signal
    N ended it. `pidfd` is readable once it has ended, pidfd_open(2). `leads` tells that it leads a
    process group of its own, which is what gets signals.
    """

    __slots__ = (
        "leads",
        "name",
        "output_ended",
        "pid",
        "pidfd",
        "status",
        "stdin",
        "stdout",
        "terminal",
    )

    def __init__(
        self, name: str, pid: int, stdin: int, stdout: int, *, leads: bool = False
    ) -> None:
        self.name = name
        self.pid = pid
        self.leads = leads
        self.stdin, self.stdout = stdin, stdout
        self.terminal = stdin == stdout
        self.output_ended = False
        self.status: int | None = None
        self.pidfd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def read(self, buffer: memoryview) -> int:
        """Read what it wrote into `buffer`, give the number of octets; 0: it closed its output.

        Raises:
            BlockingIOError: nothing now; only when `stdout` does not wait.
        """
        try:
            return os.readv(self.stdout, [buffer])
        except OSError as error:
            # Nobody has the other side of the terminal open any more.
            if error.errno != errno.EIO or not self.terminal:
                raise
            return 0

    def write(self, octets: bytes | memoryview) -> int:
        """Write as much as is taken, and give the number of octets.

        Raises:
            BrokenPipeError: it reads no more.
            BlockingIOError: there is no room now; only when `stdin` does not wait.
        """
        try:
            return os.write(self.stdin, octets)
        except OSError as error:
            if error.errno != errno.EIO or not self.terminal:
                raise
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from None

    def send_eof(self) -> None:
        """Let its input end; what was written before comes first. Its output goes on.

        On a terminal this is the character Ctrl-D, which ends the input only where a line begins
        and as long as the program has not taken the terminal into a mode of its own.

        Raises:
            BlockingIOError: there is no room on the terminal now.
        """
        if not self.terminal:
            self._close_stdin()
        elif self.stdin >= 0:
            special: list[bytes] = termios.tcgetattr(self.stdin)[6]
            with suppress(BrokenPipeError):
                self.write(special[termios.VEOF])

    def resize(self, columns: int, lines: int) -> None:
        """Give its terminal another size; it is told by SIGWINCH. Nothing, where it has none."""
        if self.terminal and self.stdin >= 0:
            _set_size(self.stdin, columns, lines)

    def close_descriptors(self) -> None:
        """Close both directions; a program on a terminal gets SIGHUP for it."""
        if not self.terminal:
            self._close_stdin()
        self.stdin = -1
        if self.stdout >= 0:
            waiting = select.poll()
            waiting.register(self.stdout, 0)
            self.output_ended = any(events & select.POLLHUP for _, events in waiting.poll(0))
            os.close(self.stdout)
            self.stdout = -1

    def _close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def poll(self) -> int | None:
        """Reap it if it has ended; give its status, None while it runs."""
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:  # SIGCHLD is ignored here, or somebody else reaps
                self._set_status(0)
            else:
                if pid:
                    self._set_status(os.waitstatus_to_exitcode(status))
        return self.status

    def _set_status(self, status: int) -> None:
        self.status = status
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def send_signal(self, number: int) -> None:
        """Send it a signal, and what it has started (rule 5), if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                if self.leads:  # the number stays taken until it has been reaped
                    os.killpg(self.pid, number)
                elif self.pidfd >= 0:
                    signal.pidfd_send_signal(self.pidfd, number)
                else:
                    os.kill(self.pid, number)

    def last_steps(self) -> Iterator[float | None]:
        """Send one signal after the other that ends it; give the seconds to wait after each.

        None is for ever: nothing outlives SIGKILL. Whoever goes through these stops when the
        process has ended.
        """
        if self.output_ended:
            yield _PATIENCE_S
        self.send_signal(signal.SIGHUP if self.terminal else signal.SIGTERM)
        self.send_signal(signal.SIGCONT)  # a stopped process hears nothing else
        yield _PATIENCE_S
        self.send_signal(signal.SIGKILL)
        yield None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until it has ended, `timeout` seconds at most; give its status, None: it runs on."""
        end = None if timeout is None else monotonic() + timeout
        while self.poll() is None:
            left = None if end is None else end - monotonic()
            if left is not None and left <= 0:
                return None
            waiting = select.poll()
            waiting.register(self.pidfd, select.POLLIN)
            waiting.poll(None if left is None or left == float("inf") else left * 1000)
        return self.status

    def end(self) -> int:
        """Close both directions and end it, within two seconds (rule 4); give its status."""
        self.close_descriptors()
        for patience in self.last_steps():
            if self.wait(patience) is not None:
                break
        return self.status or 0


def start(
    words: Sequence[str], *, pty: bool = False, variables: Mapping[str, str] | None = None
) -> Process:
    """Start a program, whose name and arguments are `words`.

    `variables` are added to its environment, which otherwise is PATH, HOME, the language and the
    time zone, and TERM with `pty`. Its descriptors wait; `os.set_blocking` lets them not.

    Raises:
        NotPossibleError: there is no such program, or it cannot be run here.
        OSError: EMFILE, EAGAIN: this process, or this user, has too many of something.
    """
    program = find_program(words[0])
    leads = pty or bool(variables) or not _is_at_terminal()
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    if pty:
        environment["TERM"] = os.environ.get("TERM", "xterm")
    environment |= variables or {}
    opened: list[int] = []  # what is to be closed when this fails
    actions: list[tuple[object, ...]]
    try:
        if pty:
            ours, theirs = _above_standard(os.openpty(), opened)
            _set_size(ours, *_size_of_our_terminal())
            _erase_whole_characters(ours)
            # A leader of a session without a terminal gets the first one that it opens.
            actions = [(os.POSIX_SPAWN_OPEN, 0, os.ttyname(theirs), os.O_RDWR, 0)]
            actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
            stdin = stdout = ours
            given = [theirs]
        else:
            their_stdin, stdin = _above_standard(os.pipe(), opened)
            stdout, their_stdout = _above_standard(os.pipe(), opened)
            actions = [
                (os.POSIX_SPAWN_DUP2, their_stdin, 0),
                (os.POSIX_SPAWN_DUP2, their_stdout, 1),
            ]
            given = [their_stdin, their_stdout]
            if not _is_open(2):  # or the first file that it opens would get its messages
                actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in _inheritable()]
        pid = _spawn(program, words, environment, actions, setsid=pty, leads=leads)
        process = Process(words[0], pid, stdin, stdout, leads=leads)
        try:
            process.pidfd = os.pidfd_open(pid)
        except OSError:
            process.send_signal(signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    for descriptor in given:
        os.close(descriptor)
    return process


def _spawn(
    program: str,
    words: Sequence[str],
    environment: Mapping[str, str],
    actions: Sequence[tuple[object, ...]],
    *,
    setsid: bool,
    leads: bool,
) -> int:
    # Who leads a session leads its process group already.
    group: dict[str, Any] = {"setpgroup": 0} if leads and not setsid else {}
    try:
        return os.posix_spawn(
            program,
            list(words),
            dict(environment),
            file_actions=actions,
            setsid=setsid,
            **group,
            setsigmask=[],
            setsigdef=_DEFAULTS,
        )
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            why = f"{program} is no program of this machine, nor a script that begins with #!"
        elif error.errno in {errno.ENOENT, errno.EACCES}:  # after we had looked: what runs it
            why = (
                f"{program} cannot be run: what its first line (#!) or its linker names is missing"
            )
        else:
            raise OSError(
                error.errno, f"start {program}: {os.strerror(error.errno or 0)}"
            ) from None
        raise NotPossibleError(why) from None


def find_program(word: str) -> str:
    """Return the path of the program `word`, looked up in PATH as execvp(3) does.

    Raises:
        NotPossibleError: there is none, or nobody may run it.
    """
    if "/" in word:
        places = [word]
    else:
        path = os.environ.get("PATH", os.defpath)
        places = [os.path.join(folder or ".", word) for folder in path.split(":")]
    found = [place for place in places if os.path.isfile(place)]
    for place in found:
        if os.access(place, os.X_OK):
            return place
    if found:
        raise NotPossibleError(f"{found[0]} is a file that this user may not run", "chmod +x")
    if "/" in word:
        why = "that is a folder" if os.path.isdir(word) else "there is no such file"
        raise NotPossibleError(f"{word} cannot be run: {why}")
    raise NotPossibleError(f"there is no program {word!r} in PATH")


def connection_variables(local: Endpoint | None, remote: Endpoint | None) -> dict[str, str]:
    """Return what a program is told of its connection, by the names that ncat gives it.

    These are NCAT_PROTO, NCAT_LOCAL_ADDR, NCAT_LOCAL_PORT, NCAT_REMOTE_ADDR and NCAT_REMOTE_PORT;
    what there is no address of is left out. The path of a peer's UNIX socket is the peer's to
    choose, and so it is not passed on.
    """
    variables: dict[str, str] = {}
    for side, endpoint in (("LOCAL", local), ("REMOTE", remote)):
        if endpoint is None:
            continue
        variables["NCAT_PROTO"] = endpoint.scheme.partition("-")[0].upper()
        if endpoint.scheme not in {"unix", "unix-abstract"}:
            variables[f"NCAT_{side}_ADDR"] = endpoint.host
            variables[f"NCAT_{side}_PORT"] = str(endpoint.port)
        elif side == "LOCAL":
            variables["NCAT_LOCAL_ADDR"] = endpoint.path
    return variables


def describe_status(status: int) -> str:
    """Say in words how a program ended, "" when that was well."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:  # a real-time signal
            name = f"signal {-status}"
        return f"was ended by {name}"
    return f"ended with status {status}" if status else ""


def may_serve(*, loopback: bool, allow_list: bool, client_certificates: bool) -> str | None:
    """Return None if a listener may start a program for whoever connects, else why it may not.

    It may on `loopback` (UNIX sockets are as good), with an `allow_list` of addresses, or where TLS
    asks for `client_certificates`: else the program would be anybody's who reaches this machine.
    """
    if loopback or allow_list or client_certificates:
        return None
    return (
        "a program is not started for just anybody who reaches this machine: listen on loopback, "
        "name those who may connect (--allow), or ask them for certificates (TLS)"
    )


def _above_standard(pair: tuple[int, int], opened: list[int]) -> tuple[int, int]:
    """Return `pair`, with numbers above 2: where those are free, they are the child's to fill."""
    opened += pair
    moved = []
    for descriptor in pair:
        number = descriptor
        if descriptor <= 2:
            number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
            opened.append(number)
            opened.remove(descriptor)
            os.close(descriptor)
        moved.append(number)
    return moved[0], moved[1]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is_at_terminal() -> bool:
    """Tell whether our process group is that in the foreground of a terminal, tty(4)."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # ENXIO, there is none
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _inheritable() -> list[int]:
    """Return the descriptors above 2 that a program would get, from whoever started this one.

    Of those beyond the limit of open files, which was higher once, posix_spawn(3) will not hear:
    they are closed by execve(2) from now on.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    found = []
    for text in os.listdir("/proc/self/fd"):
        number = int(text)
        with suppress(OSError):  # the descriptor of the listing itself
            if number > 2 and os.get_inheritable(number):
                if 0 <= limit <= number:  # below 0 is RLIM_INFINITY
                    os.set_inheritable(number, False)
                else:
                    found.append(number)
    return found


def _size_of_our_terminal() -> tuple[int, int]:
    for descriptor in (0, 1, 2):
        with suppress(OSError):
            columns, lines = os.get_terminal_size(descriptor)
            if columns and lines:
                return columns, lines
    return _ORDINARY_SIZE


def _erase_whole_characters(terminal: int) -> None:
    """Let Backspace in the kernel's line editing take a character of UTF-8, not an octet."""
    modes = termios.tcgetattr(terminal)
    modes[0] |= _IUTF8
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _set_size(terminal: int, columns: int, lines: int) -> None:
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
