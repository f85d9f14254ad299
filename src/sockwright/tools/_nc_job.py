"""From the words of a line to what the engine is asked to do: a `Job` of `nc.engine.settings`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.errors import UsageError
from sockwright.nc.ends import ExecEnd, FileEnd, PtyEnd, SocketEnd, StandardEnd, split_command
from sockwright.nc.engine.settings import Console, Job, Limits, Serving, Side, SocketOptions
from sockwright.tools._nc_values import duration, framing, number, size, type_of_service
from sockwright.tools._nc_where import family, local, peer

if TYPE_CHECKING:
    from sockwright.nc.ends import End
    from sockwright.nc.proxy import Proxy
    from sockwright.nc.taps.replay import Replay
    from sockwright.nc.tls.options import TLSOptions
    from sockwright.tools._flags import Arguments

__all__ = [
    "far_side",
    "limits",
    "read_proxy",
    "resolved",
    "serving",
    "socket_options",
    "talk",
    "tls_options",
]

_MOST_CONNECTIONS = 1_000_000


def talk(args: Arguments) -> Job:
    """Return the job of joining standard input and output, or a program, to the peer.

    Raises:
        UsageError: the line cannot be understood. NotPossibleError: what it wants is not here.
        OSError: a file of addresses cannot be read.
    """
    far = far_side(args)
    command = args.exec if args.exec is not None else args.sh_exec
    near: End = StandardEnd()
    if command is not None:
        words = split_command(command)
        near = PtyEnd(words) if args.pty else ExecEnd(words)
    return Job(
        Side(near),
        far,
        limits(args),
        serving(args),
        Console(
            raw=args.raw or args.tty,
            raw_terminal=args.tty,
            edit=not args.no_edit,
            history=not args.no_history,
            reads=not args.no_input,
        ),
        sends=not args.recv_only,
        receives=not args.send_only,
        verbose=args.verbose,
        quiet=args.quiet,
        replay=_replay(args, far),
    )


def _replay(args: Arguments, far: Side) -> Replay | None:
    """Return what takes the place of standard input, if anything. Raises: as `open_replay`."""
    if args.replay is None:
        return None
    from sockwright.nc.taps.replay import open_replay

    if args.replay == "-":
        raise UsageError("--replay wants the name of a file, which is read more than once")
    words = (("side", ("client", "server")), ("pace", ("answers", "times")))
    for name, known in words:
        if getattr(args, f"replay_{name}") not in {None, *known}:
            raise UsageError(f"--replay-{name} takes {' or '.join(known)}")
    boundaries = isinstance(far.end, SocketEnd) and far.end.keeps_boundaries
    replay = open_replay(
        args.replay,
        side=args.replay_side or ("server" if far.listen else "client"),
        pace=args.replay_pace or "answers",
        number=None
        if args.replay_number is None
        else number(args.replay_number, "--replay-number", 0, 2**31),
        protocol="udp" if boundaries else None,
        force=args.force,
    )
    if boundaries and args.frame is not None:
        raise UsageError("--replay has the datagrams as they were; leave --frame out")
    return replay


def far_side(args: Arguments) -> Side:
    """Return the peer, and how it is reached or waited for. Raises: as `talk`."""
    end = peer(args)
    scheme = end.endpoint.scheme if isinstance(end, SocketEnd) else ""
    if args.listen and not scheme:
        raise UsageError(f"nobody can connect to {end}; -l wants a socket")
    side = Side(
        end,
        listen=args.listen,
        local=local(args, scheme),
        family=family(args),
        numeric=args.numeric,
        tls=tls_options(args) if isinstance(end, SocketEnd) and end.tls else None,
        proxy=read_proxy(args, end),
        telnet=args.telnet,
        crlf=args.crlf,
        options=socket_options(args),
    )
    if isinstance(end, FileEnd):
        # What is there is read, what is not there is made.
        there = os.access(end.path, os.F_OK)
        side = replace(side, writes=None if there else "new")
    if args.frame is not None:
        if not (isinstance(end, SocketEnd) and end.keeps_boundaries):
            raise UsageError("--frame says where a datagram ends, and goes with -u or udp://")
        side = replace(side, framing=framing(args.frame))
    if side.proxy is not None and args.proxy_dns in {"local", "both"}:
        side = resolved(side)
    return side


def limits(args: Arguments) -> Limits:
    """Return the limits of time and speed. Raises: UsageError."""
    both = None if args.limit is None else duration(args.limit, "-w", least=0.001)
    wait = None if args.wait is None else duration(args.wait, "--wait", least=0.001)
    idle = None if args.idle is None else duration(args.idle, "--idle-timeout", least=0.001)
    return Limits(
        connect=wait or both,
        idle=idle or both,
        quit_after=_quit_after(args.quit_after),
        half_close=not args.no_shutdown,
        delay=0.0 if args.delay is None else duration(args.delay, "-i"),
        rate=None if args.rate is None else size(args.rate, "--rate"),
        messages=None if args.datagrams is None else number(args.datagrams, "-W", 1, 2**31 - 1),
    )


def _quit_after(text: str | None) -> float | None:
    if text is None:
        return None
    # Below 0 is for ever, as in both nc's.
    return -1.0 if text.startswith("-") and text[1:].isdecimal() else duration(text, "-q")


def serving(args: Arguments) -> Serving:
    """Return how clients are served. Raises: UsageError; OSError: a list cannot be read."""
    most = 10_000 if args.most is None else number(args.most, "-m", 1, _MOST_CONNECTIONS)
    return Serving(
        keep=args.keep or args.broker or args.chat,
        max_connections=most,
        allow=_addresses(args.allow, args.allow_file),
        deny=_addresses(args.deny, args.deny_file),
        hub="chat" if args.chat else "broker" if args.broker else None,
    )


def _addresses(texts: list[str] | None, files: list[str] | None) -> tuple[str, ...]:
    found = tuple(texts or ())
    if files:
        from pathlib import Path

        from sockwright.nc.access import read_list

        for path in files:
            found += read_list(Path(path).read_text(encoding="utf-8", errors="surrogateescape"))
        if not found:
            # An empty list would allow everybody, which nobody means who names one.
            raise UsageError(f"no address stands in {', '.join(files)}")
    return found


def tls_options(args: Arguments) -> TLSOptions:
    """Return what is wanted of TLS. Raises: UsageError."""
    from sockwright.nc.tls.options import TLSOptions

    if args.tls_key is not None and args.tls_cert is None:
        raise UsageError("--tls-key is the key of a certificate: --tls-cert FILE --tls-key FILE")
    if args.insecure and args.tls_verify:
        raise UsageError("--insecure and --ssl-verify exclude each other; to verify is the default")
    if args.tls_fingerprint is not None and (args.insecure or args.tls_ca):
        flag = "--insecure" if args.insecure else "--tls-ca"
        raise UsageError(f"--tls-fingerprint and {flag} exclude each other: choose whom to trust")
    protocols = tuple(filter(None, map(str.strip, (args.tls_alpn or "").split(","))))
    return TLSOptions(
        verify=not args.insecure,
        ca_file=args.tls_ca,
        certificate=args.tls_cert,
        key=args.tls_key,
        alpn=protocols,
        server_name=args.tls_name,
        fingerprint=args.tls_fingerprint,
        client_ca=args.tls_client_ca,
        ciphers=args.tls_ciphers,
    )


def read_proxy(args: Arguments, end: End) -> Proxy | None:
    """Return the proxy that is to be gone through, if any. Raises: UsageError."""
    text = args.proxy if args.proxy is not None else args.ncat_proxy
    if text is None:
        return None
    if not isinstance(end, SocketEnd) or end.endpoint.scheme != "tcp":
        raise UsageError(f"a proxy connects by TCP, not to {end}")
    from sockwright.nc.proxy import parse_proxy

    if args.proxy is not None and not _is_place(text) and args.proxy_type is None:
        raise UsageError(
            f"-x is the proxy, and {text!r} has no port: -x {text}:1080; "
            f"to keep a dump in hex: --hex-dump {text}"
        )
    kind = args.proxy_type or ("" if args.ncat_proxy is None or "://" in text else "http")
    auth = args.proxy_auth or os.environ.get("NCAT_PROXY_AUTH", "") * ("@" not in text)
    if args.proxy_dns not in {None, "local", "remote", "both", "none"}:
        raise UsageError(f"--proxy-dns takes remote or local, not {args.proxy_dns!r}")
    return parse_proxy(text, kind, auth=auth)


def _is_place(text: str) -> bool:
    """Tell whether a word is a place for sure: it has a port, or is an address."""
    return ":" in text or text == "localhost" or text.replace(".", "").isdecimal()


def resolved(side: Side) -> Side:
    """Return the side with an address for its name, of the family that is wanted.

    Raises: UsageError: there is none. OSError: `socket.gaierror`, the name does not resolve.
    """
    from sockwright.sockets.addresses import candidates, needs_lookup

    assert isinstance(side.end, SocketEnd)
    endpoint, tls = side.end.endpoint, side.tls
    if not needs_lookup(endpoint):
        return side
    if tls is not None and tls.server_name is None:
        tls = replace(tls, server_name=endpoint.host)  # who is verified stays the same
    for way in candidates(endpoint):
        host = str(way.address[0])
        if side.family in {0, 6 if ":" in host else 4}:
            end = SocketEnd(replace(endpoint, host=host), tls=side.end.tls)
            return replace(side, end=end, tls=tls)
    raise UsageError(f"{endpoint.host} has no address of IPv{side.family}")


def socket_options(args: Arguments) -> SocketOptions | None:
    """Return what is to be set on sockets, None where nothing is. Raises: UsageError."""
    options = SocketOptions(
        receive_buffer=None if args.receive_buffer is None else size(args.receive_buffer, "-I"),
        send_buffer=None if args.send_buffer is None else size(args.send_buffer, "-O"),
        tos=None if args.tos is None else type_of_service(args.tos),
        ttl=None if args.ttl is None else number(args.ttl, "-M", 1, 255),
        min_ttl=None if args.min_ttl is None else number(args.min_ttl, "--min-ttl", 1, 255),
        broadcast=args.broadcast,
    )
    return None if options == SocketOptions() else options
