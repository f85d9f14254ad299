"""Ends: one text for every place that octets can come from or go to.

Beside the endpoints of `sockwright.sockets.endpoint` there are ends that are no sockets. In ABNF:

    end = ("tcp" / "tls" / "udp" / "unix" / "unix-abstract" / "vsock") rest of an endpoint
        / "exec:" command        a process, its standard input and output
        / "pty:" command         a process on a terminal of its own, pty(7)
        / "file:" path           a file, a FIFO or a device
        / "-"                    standard input and output of this process
        / "echo:"                gives back what it gets
        / "discard:"             takes everything, gives nothing

``tls://HOST:PORT`` is TLS over TCP. `str(end)` writes the same end back.

A command is split into words as a shell would, and run without one: `split_command` refuses what
only a shell understands instead of passing it on as a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sockwright.errors import EndpointError, NotPossibleError, UsageError
from sockwright.sockets.endpoint import EXAMPLES as ENDPOINTS
from sockwright.sockets.endpoint import Endpoint, parse_endpoint

__all__ = [
    "DiscardEnd",
    "EchoEnd",
    "End",
    "ExecEnd",
    "FileEnd",
    "PtyEnd",
    "SocketEnd",
    "StandardEnd",
    "is_end",
    "parse_end",
    "split_command",
]

_SOCKETS = ("tcp", "tls", "udp", "unix", "unix-abstract", "vsock")
_OTHERS = ("exec", "pty", "file", "echo", "discard")
# Kinds of sockets whose place is here, and which nobody has built yet.
_ABSENT = {"sctp": "SCTP", "rfcomm": "Bluetooth RFCOMM", "l2cap": "Bluetooth L2CAP"}
_EXAMPLES = (
    "tcp://127.0.0.1:8080, tls://example.org:443, udp://[::1]:5353, unix:/run/app.sock, "
    "unix-abstract:name, vsock://2:1234, exec:COMMAND, pty:COMMAND, file:PATH, -, echo:, discard:"
)


@dataclass(frozen=True, slots=True)
class SocketEnd:
    """A socket; with `tls`, TLS over it."""

    endpoint: Endpoint
    tls: bool = False

    @property
    def keeps_boundaries(self) -> bool:
        """Whether what is sent is messages: udp, and unix of type datagram or seqpacket."""
        return self.endpoint.scheme == "udp" or self.endpoint.delivery in {"datagram", "seqpacket"}

    def __str__(self) -> str:
        text = str(self.endpoint)
        return f"tls{text.removeprefix('tcp')}" if self.tls else text


@dataclass(frozen=True, slots=True)
class ExecEnd:
    """A process, joined by its standard input and output; `words` are its argument vector."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"exec:{_join(self.words)}"


@dataclass(frozen=True, slots=True)
class PtyEnd:
    """A process on a pseudo-terminal of its own; `words` are its argument vector."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"pty:{_join(self.words)}"


@dataclass(frozen=True, slots=True)
class FileEnd:
    """A file, FIFO or device; whether it is read or written is for who opens it to say."""

    path: str

    def __str__(self) -> str:
        return f"file:{self.path}"


@dataclass(frozen=True, slots=True)
class StandardEnd:
    """Standard input and standard output of this process."""

    def __str__(self) -> str:
        return "-"


@dataclass(frozen=True, slots=True)
class EchoEnd:
    """Gives back what it gets, as RFC 862 has it."""

    def __str__(self) -> str:
        return "echo:"


@dataclass(frozen=True, slots=True)
class DiscardEnd:
    """Takes everything and gives nothing, as RFC 863 has it."""

    def __str__(self) -> str:
        return "discard:"


End: TypeAlias = SocketEnd | ExecEnd | PtyEnd | FileEnd | StandardEnd | EchoEnd | DiscardEnd


def is_end(text: str) -> bool:
    """Tell whether `text` names an end, rightly or wrongly, and not the name of a host."""
    scheme, colon, rest = text.partition(":")
    if not colon:
        return text == "-"
    # A host of one label and a port ("exec:80") is no address that anyone writes; "a::1" is.
    return scheme in ENDPOINTS or scheme in {"tls", *_OTHERS, *_ABSENT} or rest.startswith("//")


def parse_end(text: str) -> End:
    """Read an end; see the grammar at the top of this module.

    Raises:
        EndpointError: (a `UsageError`) with what is wrong and what fits.
        NotPossibleError: a kind of socket that this build lacks.
    """
    if text == "-":
        return StandardEnd()
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _ABSENT:
        raise NotPossibleError(f"{text}: this build has no {_ABSENT[scheme]}")
    if colon and scheme in _OTHERS:
        return _other(scheme, rest)
    if not colon or scheme not in _SOCKETS:
        raise EndpointError(f"{text!r} is no end of a connection; what fits: {_EXAMPLES}")
    if scheme == "tls":
        try:
            return SocketEnd(parse_endpoint(f"tcp:{rest}"), tls=True)
        except EndpointError as error:
            raise EndpointError(str(error).replace("tcp:", "tls:")) from None
    return SocketEnd(parse_endpoint(text))


def _other(scheme: str, rest: str) -> End:
    if scheme == "file":
        if not rest or "\0" in rest:
            raise EndpointError("file: wants a path: file:PATH")
        return FileEnd(rest)
    if scheme in {"echo", "discard"}:
        if rest:
            raise EndpointError(f"nothing follows {scheme}: ({rest!r} does)")
        return EchoEnd() if scheme == "echo" else DiscardEnd()
    try:
        words = split_command(rest)
    except UsageError as error:
        raise EndpointError(f"{scheme}:{rest}: {error}") from None
    return ExecEnd(words) if scheme == "exec" else PtyEnd(words)


def split_command(text: str) -> tuple[str, ...]:
    """Split `text` into the words of a command, as a POSIX shell would; at least one.

    Raises:
        UsageError: a quote is open, nothing is there, or only a shell could make sense of it.
    """
    import re
    import shlex

    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"the command {text!r} cannot be split: {error}") from None
    if not words or not words[0]:
        raise UsageError("the command is empty")
    if "\0" in text:
        raise UsageError("a command holds no NUL")
    # What is left when quotes and escapes have been taken away would act in a shell.
    bare = re.sub(r"\\.|'[^']*'|\"(?:[^\"\\$`]|\\.)*\"", "", text, flags=re.DOTALL)
    if found := re.search(r"[|;&<>$`\n]", bare):
        explicit = f"sh -c {shlex.quote(text)}"
        mark = found[0].replace("\n", "the line end")
        raise UsageError(
            f"no shell reads {text!r}, and {mark} means nothing without one; "
            f"with a shell: {_quoted(explicit)}"
        )
    return words


def _quoted(command: str) -> str:
    """Quote a command so that it can be typed as one word, in the way that reads best here."""
    import re

    return '"' + re.sub(r'(["\\$`])', r"\\\1", command) + '"'


def _join(words: tuple[str, ...]) -> str:
    from shlex import join

    return join(words)
