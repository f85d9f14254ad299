"""Whom `sw scan` is to ask: words, files, standard input; and the question where they are many."""

from __future__ import annotations

import socket
import sys

from sockwright.errors import SockwrightError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.scan.targets import Targets
    from sockwright.tools._flags import Arguments

__all__ = ["ask", "excluded_words", "read_targets", "target_words"]

_NO_ADDRESS = "does not resolve"
_DIGITS = 5  # of a port


def target_words(args: Arguments) -> list[str]:
    """Return the targets as they were written, from the line, from files and standard input.

    Raises: UsageError: there are none. OSError: a file cannot be read.
    """
    texts = [word for word in args.words if word != "-"]
    files = list(args.input or ())
    if "-" in args.words or (not args.words and not files and _is_given()):
        files.append("-")
    for path in dict.fromkeys(files):
        from sockwright.scan.targets.target_list import read_target_list

        texts += read_target_list(path)
    if not texts:
        names = " and ".join("standard input" if path == "-" else path for path in files)
        where = f", {names} is empty" if names else ""
        raise UsageError(f"TARGET is missing{where}: sw scan 127.0.0.1, sw scan 192.168.1.0/24")
    return texts


def _is_given() -> bool:
    """Tell whether standard input is a pipe or a file: a terminal and /dev/null are neither."""
    import os
    import stat

    try:
        mode = os.fstat(0).st_mode
    except OSError:  # it is closed
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def excluded_words(args: Arguments) -> list[str]:
    """Return what is not to be asked. Raises: OSError: a file cannot be read."""
    texts = list(args.exclude or ())
    for path in args.exclude_file or ():
        from sockwright.scan.targets.target_list import read_target_list

        texts += read_target_list(path)
    return texts


def read_targets(texts: list[str], exclude: list[str], args: Arguments) -> Targets:
    """Return the addresses; what is left out of them is in `Targets.refused`.

    Raises: UsageError: not one is left; SockwrightError: because no name resolves.
    """
    from sockwright.scan.targets.targets import parse_targets

    for text in texts:
        _check_kind(text)
    family = socket.AF_INET if args.ipv4 else socket.AF_INET6 if args.ipv6 else socket.AF_UNSPEC
    targets = parse_targets(
        texts,
        all_addresses=bool(args.all_addresses),
        exclude=exclude,
        family=family,
    )
    if len(targets):
        return targets
    if not targets.refused:
        raise UsageError(
            "no address is left: --exclude takes all of them out"
            if exclude
            else "TARGET is empty: sw scan 127.0.0.1, sw scan 192.168.1.0/24"
        )
    told = targets.why_none()
    if all(why.startswith(_NO_ADDRESS) for _, why in targets.refused):
        raise SockwrightError(told)
    raise UsageError(told)


def _check_kind(text: str) -> None:
    """Refuse what is meant for other programs: a port, HOST:PORT, a URL. Raises: UsageError."""
    from sockwright.scan.targets.syntax import quoted, shortened

    if text.isdecimal():
        port = text if len(text) <= _DIGITS else "PORT"
        raise UsageError(f"{quoted(text)} is a port, not a target: sw scan -p {port} HOST")
    if "://" in text:
        host = shortened(text.partition("://")[2].partition("/")[0]) or "HOST"
        raise UsageError(f"{quoted(text)} is a URL; a target is its host: sw scan {host}")
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        host = shortened(host) or "HOST"
        port = port if len(port) <= _DIGITS else "PORT"
        raise UsageError(f"{quoted(text)}: ports are said by -p: sw scan -p {port} {host}")


def ask(targets: Targets, args: Arguments) -> bool:
    """Ask whether so many addresses are meant; without a question where they are few.

    Raises: UsageError: nobody can be asked.
    """
    if not targets.many or args.yes or args.list:
        return True
    count = f"{len(targets)} addresses"
    if args.json or "-" in (args.input or ()) or not _can_ask():
        raise UsageError(f"these are {count}; --yes says that they are meant")
    sys.stdout.flush()
    sys.stderr.write(f"These are {count}. Scan them? [y/N] ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer.endswith("\n"):  # the end of input is no answer
        sys.stderr.write("\n")
    return answer.strip().lower() in {"y", "yes"}


def _can_ask() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
