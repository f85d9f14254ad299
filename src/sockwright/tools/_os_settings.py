"""What the flags of `sw os` ask for: what goes together, values, targets, ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sockwright.errors import SockwrightError, TargetError, UsageError
from sockwright.tools._nc_values import duration, number
from sockwright.tools._os_flags import MOST_HOSTS, why_absent

if TYPE_CHECKING:
    from sockwright.scan.results import Protocol
    from sockwright.scan.targets import Targets
    from sockwright.tools._flags import Arguments

__all__ = ["check", "make_ports", "read_targets"]

_MOST_PORTS = 40
"""Of -p: as many as are looked for without it. Sixteen hosts at once have a socket for each."""
_MOST_REMEMBERED = 10_000_000


def check(args: Arguments) -> None:
    """Refuse what does not go together, and read times and numbers into `args`.

    Raises: UsageError.
    """
    if args.mistake is not None:
        raise args.mistake
    for name in args.absent:
        raise why_absent(name)
    _check_way(args)
    if args.duration is not None:
        args.duration = duration(args.duration, "--duration", least=0.001)
    args.timeout = duration(args.timeout or "30s", "--timeout", least=0.001)
    args.most_hosts = number(args.most_hosts or "10000", "--most-hosts", 1, _MOST_REMEMBERED)
    if args.ipv4 and args.ipv6:
        raise UsageError("-4 and -6 exclude each other: leave both out for either")
    if args.learn is None and (args.family is not None or args.replace):
        raise UsageError("--family and --replace go with --learn alone")
    if args.learn is not None:
        from sockwright.identify.learning import file_name

        file_name(args.learn)


def _check_way(args: Arguments) -> None:
    """Refuse a line that asks in two ways, or for what its way has not. Raises: UsageError."""
    if args.passive is not None:
        # The words behind the first file are files, as a shell makes them of *.pcap.
        args.passive += args.words
        _check_files(args.passive)
    elif args.interface is not None and (args.words or args.input):
        raise UsageError("TARGET and -i do not go together: -i listens and asks nobody")
    if args.passive is not None and args.interface is not None:
        raise UsageError("--passive and -i do not go together; choose one")
    silent = args.passive is not None or args.interface is not None
    if not (silent or args.words or args.input):
        raise UsageError("TARGET is missing: sw os 10.0.0.1, or sw os --passive FILE")
    if args.duration is not None and args.interface is None:
        raise UsageError("--duration goes with -i alone")
    if args.p0f is not None and not silent:
        raise UsageError("--p0f has signatures of what is overheard; it goes with --passive and -i")
    probing = {
        "-p": args.ports, "--closed": args.closed, "--closed-udp": args.closed_udp,
        "--learn": args.learn, "-iL": args.input, "--exclude": args.exclude,
        "--exclude-file": args.exclude_file,
    }  # fmt: skip
    for name, value in probing.items():
        if value is not None and silent:
            raise UsageError(f"{name} is about probes, and nothing is sent here; leave it out")


def _check_files(names: list[str]) -> None:
    """Refuse words behind --passive that are no files but targets. Raises: UsageError."""
    from pathlib import Path

    for name in names[1:]:
        if name != "-" and not Path(name).exists():
            raise UsageError(
                f"there is no file {name}: --passive takes captures, and asks no TARGET"
            )


def read_targets(args: Arguments) -> Targets:
    """Return whom to probe.

    Raises: UsageError, SockwrightError: nobody, or too many. OSError: a file cannot be read.
    """
    import socket

    from sockwright.scan.targets import parse_targets
    from sockwright.scan.targets.target_list import read_target_list

    words = [word for word in args.words if word != "-"]
    files = [*(args.input or ()), *(["-"] if "-" in args.words else [])]
    for path in dict.fromkeys(files):
        words += read_target_list(path)
    for word in words:
        _check_kind(word)
    exclude = list(args.exclude or ())
    for path in args.exclude_file or ():
        exclude += read_target_list(path)
    family = socket.AF_INET if args.ipv4 else socket.AF_INET6 if args.ipv6 else socket.AF_UNSPEC
    targets = parse_targets(
        words, all_addresses=bool(args.all_addresses), exclude=exclude, family=family
    )
    if not len(targets):
        if not targets.refused:
            raise UsageError(
                "no address is left: --exclude takes all of them out" if words and exclude
                else f"TARGET is missing: {' and '.join(files)} is empty"
            )  # fmt: skip
        told = targets.why_none()
        if targets.refused and all("does not resolve" in why for _, why in targets.refused):
            raise SockwrightError(told)
        raise UsageError(told)
    if args.learn is not None and len(targets) > 1:
        raise UsageError(f"--learn measures one host, and these are {len(targets)}")
    if len(targets) > MOST_HOSTS and not args.yes:
        raise UsageError(f"these are {len(targets)} addresses; --yes says that they are meant")
    return targets


def _check_kind(text: str) -> None:
    """Refuse a port, HOST:PORT or a URL with what would fit. Raises: UsageError."""
    if text.isdecimal():
        raise UsageError(f"{text!r} is a port, not a target: sw os -p {text} HOST")
    if "://" in text:
        host = text.partition("://")[2].partition("/")[0] or "HOST"
        raise UsageError(f"{text!r} is a URL; a target is its host: sw os {host}")
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal() and (":" not in host or host.endswith("]")):
        raise UsageError(f"{text!r}: a port is said by -p: sw os -p {port} {host or 'HOST'}")


def make_ports(args: Arguments) -> tuple[tuple[int, ...], int | None, int | None]:
    """Return the ports of -p in their order, a closed one of TCP, and a closed one of UDP.

    Raises: UsageError.
    """
    ports: list[int] = []
    for word in (args.ports or "").split(",") if args.ports is not None else ():
        ports += _numbers(word, "-p", "tcp")
    if len(ports) > _MOST_PORTS:
        raise UsageError(
            f"-p takes up to {_MOST_PORTS} ports, not {len(ports)}; sw scan finds the open ones"
        )
    return tuple(dict.fromkeys(ports)), _one(args.closed, "tcp"), _one(args.closed_udp, "udp")


def _one(text: str | None, protocol: Protocol) -> int | None:
    if text is None:
        return None
    flag = "--closed" if protocol == "tcp" else "--closed-udp"
    found = _numbers(text, flag, protocol)
    if len(found) != 1:
        raise UsageError(f"{flag} takes one port, and {text!r} is {len(found)}")
    return found[0]


def _numbers(text: str, flag: str, protocol: Protocol) -> tuple[int, ...]:
    """Read a port, a range or a name as `sw scan` does. Raises: UsageError."""
    from sockwright.scan.targets.ports import parse_port_set

    try:
        found = parse_port_set(text)
    except TargetError as error:
        raise UsageError(f"{flag}: {error}") from error
    numbers = found.tcp if protocol == "tcp" else found.udp
    if not numbers or 0 in numbers:
        raise UsageError(
            f"{flag} takes a {protocol.upper()} port from 1 to 65535, or a name, not {text!r}"
        )
    return numbers
