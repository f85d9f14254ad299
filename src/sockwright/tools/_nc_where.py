"""Where `sw nc` connects to or listens: HOST PORT, in all the ways that people write that.

    sw nc HOST PORT      sw nc tcp://HOST:PORT      sw nc -U PATH      sw nc --vsock CID PORT
    sw nc -l PORT        sw nc -lp PORT             sw nc -l HOST PORT sw nc -l HOST -p PORT
    sw nc -l -s HOST -p PORT                        sw nc -lU PATH     sw nc -l tcp://HOST:PORT

With -l a word alone is the port, not the host. What else somebody may have meant is in the errors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sockwright.errors import EndpointError, NotPossibleError, UsageError
from sockwright.nc.checking.ports import parse_port
from sockwright.nc.ends import SocketEnd, StandardEnd, is_end, parse_end
from sockwright.sockets.addresses import needs_lookup
from sockwright.sockets.endpoint import Endpoint

if TYPE_CHECKING:
    from typing import Literal

    from sockwright.nc.ends import End
    from sockwright.tools._flags import Arguments

    Family = Literal[0, 4, 6]

__all__ = ["check_names", "family", "host_and_zone", "local", "peer", "wants_tls"]

# These say by themselves that TLS is wanted, as their counterparts in ncat do.
_TLS_FLAGS = (
    ("tls_cert", "--tls-cert"),
    ("tls_key", "--tls-key"),
    ("tls_ca", "--tls-ca"),
    ("tls_client_ca", "--tls-client-ca"),
    ("tls_name", "--tls-name"),
    ("tls_fingerprint", "--tls-fingerprint"),
    ("tls_alpn", "--tls-alpn"),
    ("tls_ciphers", "--tls-ciphers"),
    ("tls_verify", "--tls-verify"),
)


def peer(args: Arguments) -> End:
    """Return the end that the words name, to connect to or, with -l, to listen at.

    Raises:
        UsageError: they name none; what they should be is said.
        NotPossibleError: a kind of socket that is not built here.
    """
    words = args.words
    if words and is_end(words[0]):
        end = _from_url(args)
    elif args.unix:
        end = _unix(args)
    elif args.vsock:
        end = _vsock(args)
    else:
        end = SocketEnd(_internet(args))
    if isinstance(end, SocketEnd):
        check_names(end.endpoint, args)
    return _with_tls(end, args)


def local(args: Arguments, scheme: str) -> Endpoint | None:
    """Return where to connect from (-s, -p), None where that is for the kernel to choose.

    Raises: UsageError.
    """
    if args.listen or (args.source is None and args.port is None):
        return None
    if scheme in {"unix", "unix-abstract"}:
        if args.port is not None:
            raise UsageError("-p is a port, and UNIX sockets have none; -s PATH connects from PATH")
        return _unix_endpoint(args.source, datagram=False)
    if scheme not in {"tcp", "udp"}:
        raise UsageError("-s and -p say where TCP and UDP connect from")
    host, zone = ("*", "") if args.source is None else host_and_zone(args.source)
    port = 0 if args.port is None else parse_port(args.port, "udp" if scheme == "udp" else "tcp")
    endpoint = Endpoint("udp" if scheme == "udp" else "tcp", host, port, zone=zone)
    check_names(endpoint, args)
    return endpoint


def family(args: Arguments) -> Family:
    """Return 4 or 6 for -4 and -6, 0 for neither. Raises: UsageError for both."""
    if args.ipv4 and args.ipv6:
        raise UsageError("-4 and -6 exclude each other; without them both families are tried")
    return 4 if args.ipv4 else 6 if args.ipv6 else 0


def wants_tls(args: Arguments) -> str:
    """Return the flag that asks for TLS, or nothing."""
    if args.tls:
        return "--tls"
    return next((flag for name, flag in _TLS_FLAGS if getattr(args, name)), "")


def host_and_zone(text: str) -> tuple[str, str]:
    """Split ``[fe80::1%eth0]`` or ``fe80::1%eth0`` into address and zone; a name has no zone.

    Raises: UsageError: nothing is there.
    """
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not host:
        raise UsageError("HOST is empty; this machine is localhost")
    if ":" in host:
        host, _, zone = host.partition("%")
        return host, zone
    return host, ""


def _from_url(args: Arguments) -> End:
    words, verb = args.words, "sw nc -l" if args.listen else "sw nc"
    end = parse_end(words[0])
    if len(words) > 1:
        if len(words) == 2 and is_end(words[1]):
            raise UsageError(f"two ends are joined by: sw relay {words[0]} {words[1]}")
        raise UsageError(f"{words[0]} says it all, {words[1]!r} is too much: {verb} {words[0]}")
    if isinstance(end, StandardEnd):
        raise UsageError("- is what sw nc joins to the peer by itself; name the peer: HOST PORT")
    if not isinstance(end, SocketEnd):
        flags = "-l" if args.listen else "-u" if args.udp else "-U" if args.unix else ""
        if flags:
            raise UsageError(f"{flags} is for sockets, and {end} is none")
        return end
    scheme = end.endpoint.scheme
    if args.listen and (args.port is not None or args.source is not None or args.public):
        flag = "-p" if args.port is not None else "-s" if args.source is not None else "--public"
        fits = f"{scheme}://*:PORT is every address" if flag == "--public" else "leave it out"
        raise UsageError(f"{words[0]} says where to listen already, {flag} is too much; {fits}")
    is_unix = scheme in {"unix", "unix-abstract"}
    if args.udp and not is_unix and scheme != "udp":
        raise UsageError(f"-u and {scheme}:// exclude each other; UDP is udp://HOST:PORT")
    if (args.unix and not is_unix) or (args.vsock and scheme != "vsock"):
        flag = "-U" if args.unix else "--vsock"
        raise UsageError(f"{flag} and {words[0]} exclude each other; leave {flag} out")
    if args.udp and is_unix:
        return SocketEnd(replace(end.endpoint, delivery="datagram"))
    return end


def _unix(args: Arguments) -> End:
    words = args.words
    if args.ipv4 or args.ipv6 or args.vsock or args.public:
        raise UsageError("-U is a socket in the filesystem: -4, -6, --vsock, --public do not fit")
    if args.port is not None:
        raise UsageError("-U is a socket in the filesystem, which has no port: leave -p out")
    if len(words) != 1:
        how = "sw nc -lU PATH" if args.listen else "sw nc -U PATH"
        found = f"{' '.join(words)!r} is more" if words else "there is none"
        raise UsageError(f"-U wants one path, {found}: {how}")
    return SocketEnd(_unix_endpoint(words[0], datagram=args.udp))


def _unix_endpoint(path: str, *, datagram: bool) -> Endpoint:
    if not path:
        raise UsageError("the path is empty")
    delivery: Literal["datagram"] | None = "datagram" if datagram else None
    if path.startswith("@"):
        return Endpoint("unix-abstract", path=path[1:], delivery=delivery)
    return Endpoint("unix", path=path, delivery=delivery)


def _vsock(args: Arguments) -> End:
    words = list(args.words)
    if args.listen and args.port is not None:
        words.append(args.port)
    if args.listen and len(words) == 1:
        words.insert(0, "*" if args.public else "")
    if len(words) != 2:
        how = "sw nc -l --vsock PORT" if args.listen else "sw nc --vsock CID PORT"
        raise UsageError(f"--vsock wants the number of a machine and a port: {how}")
    cid, port = words
    delivery: Literal["datagram"] | None = "datagram" if args.udp else None
    if not (port.isascii() and port.isdecimal()):
        raise UsageError(f"{port!r} is not a port of vsock(7), a number in 0..4294967294")
    return SocketEnd(Endpoint("vsock", cid, int(port[:11]), delivery=delivery))


def _internet(args: Arguments) -> Endpoint:
    scheme: Literal["tcp", "udp"] = "udp" if args.udp else "tcp"
    host, port = _listening_place(args) if args.listen else _place(args)
    number = parse_port(port, scheme)
    if not args.listen and number == 0:
        raise UsageError("port 0 is none that can be reached; ports start at 1")
    if host is None:
        everywhere = {0: "*", 4: "0.0.0.0", 6: "::"}
        return Endpoint(
            scheme,
            everywhere[family(args)] if args.public else "::1" if args.ipv6 else "",
            number,
        )
    address, zone = host_and_zone(host)
    return Endpoint(scheme, address, number, zone=zone)


def _check_one(port: str, host: str = "HOST") -> None:
    """Refuse a list of ports, or a range. Raises: UsageError."""
    if {",", "-"} & set(port) and set(port) <= set("0123456789,-"):
        raise UsageError(f"one port, not {port}; which of many are open: sw nc -z {host} {port}")


def _place(args: Arguments) -> tuple[str, str]:
    """Return HOST and PORT to connect to."""
    words = args.words
    if len(words) == 2:
        _check_one(words[1], words[0])
        return words[0], words[1]
    if not words:
        if args.sh_exec is not None:
            raise UsageError(
                f"-c takes a command here, {args.sh_exec!r}, and HOST PORT are missing; "
                "TLS is --tls: sw nc --tls HOST PORT"
            )
        if args.port is not None:
            raise UsageError(
                f"HOST PORT is missing: sw nc HOST PORT; to listen: sw nc -l {args.port}"
            )
        raise UsageError("HOST PORT is missing: sw nc HOST PORT; to listen: sw nc -l PORT")
    if len(words) == 1:
        raise UsageError(_one_word(words[0], args))
    first, *rest = words
    if args.no_input and len(rest) == 2:
        raise UsageError(
            f"-d takes no value here: standard input is left alone; ncat's -d is --delay {first}"
        )
    raise UsageError(
        f"one HOST and one PORT, {' '.join(rest[1:])!r} is too much; "
        f"many ports: sw nc -z {first} {','.join(rest)}"
    )


def _one_word(word: str, args: Arguments) -> str:
    """Return what to say of a single word, which is no place to connect to."""
    if args.sh_exec is not None and "." in args.sh_exec:
        return (
            f"-c takes a command here, {args.sh_exec!r}, and so HOST is missing; "
            f"TLS is --tls: sw nc --tls {args.sh_exec} {word}"
        )
    host, colon, port = word.rpartition(":")
    if colon and host.count(":") in {0, 7} and port.isdecimal():
        return f"HOST and PORT are two words: sw nc {host} {port}, or sw nc tcp://{word}"
    if word.isdecimal():
        return f"HOST is missing: sw nc localhost {word}; to listen: sw nc -l {word}"
    if args.port is not None:
        return (
            f"-p is the port to connect from; the port to connect to is a word: "
            f"sw nc {word} {args.port}"
        )
    if "/" in word:
        return f"PORT is missing; if {word} is a UNIX socket: sw nc -U {word}"
    return f"PORT is missing: sw nc {word} PORT"


def _listening_place(args: Arguments) -> tuple[str | None, str]:
    """Return HOST (None where none is named) and PORT to listen at."""
    words = args.words
    if len(words) > 2:
        raise UsageError(f"{' '.join(words[2:])!r} is too much: sw nc -l [HOST] PORT")
    host: str | None = None
    port: str | None = args.port
    if len(words) == 2:
        if port is not None:
            raise UsageError(f"two ports, {port} and {words[1]}: sw nc -l {words[0]} {port}")
        host, port = words
    elif words and port is not None:
        host = words[0]
        if host.isdecimal():
            raise UsageError(f"two ports, {host} and {port}: sw nc -l {port}")
    elif words:
        port = words[0]
    if port is None:
        raise UsageError("PORT is missing: sw nc -l PORT; with 0 the kernel chooses one")
    _check_one(port)
    if args.source is not None:
        if host is not None and host != args.source:
            raise UsageError(f"two addresses to listen at, {host} and {args.source}: name one")
        host = args.source
    if host is not None and args.public:
        raise UsageError(f"--public is every address, {host} is one: leave one of them out")
    if len(words) == 1 and args.port is None:
        _check_alone(port, args)
    return host, port


def _check_alone(word: str, args: Arguments) -> None:
    """Refuse a word that stands alone with -l and is no port. Raises: UsageError."""
    try:
        parse_port(word, "udp" if args.udp else "tcp")
    except EndpointError as error:
        if word.isdecimal():
            raise
        host, colon, port = word.rpartition(":")
        if colon and port.isdecimal():
            fits = f"sw nc -l {host.strip('[]') or 'HOST'} {port}"
        elif "/" in word:
            fits = f"sw nc -lU {word}"
        else:
            fits = f"sw nc -l {word} PORT"
        raise UsageError(f"{word!r} is no port: {fits}") from error


def check_names(endpoint: Endpoint, args: Arguments) -> None:
    """Refuse names with -n, and addresses that -4 or -6 rule out. Raises: UsageError."""
    if endpoint.scheme not in {"tcp", "udp"}:
        return
    if needs_lookup(endpoint):
        if args.numeric and args.proxy is None:
            raise UsageError(f"-n looks up no names, and {endpoint.host!r} is one, no address")
        return
    wrong = (args.ipv4 and ":" in endpoint.host) or (args.ipv6 and "." in endpoint.host)
    if wrong:
        flag, other = ("-4", "IPv6") if args.ipv4 else ("-6", "IPv4")
        raise UsageError(f"{flag} rules {endpoint.host} out, which is {other}")


def _with_tls(end: End, args: Arguments) -> End:
    """Return the end with TLS where a flag asks for it. Raises: UsageError, NotPossibleError."""
    flag = wants_tls(args)
    is_tls = isinstance(end, SocketEnd) and end.tls
    if args.insecure and not flag and not is_tls:
        raise UsageError("--insecure goes with TLS: --tls, or tls://HOST:PORT")
    if not flag or is_tls:
        return end
    if not isinstance(end, SocketEnd) or end.endpoint.scheme != "tcp":
        if isinstance(end, SocketEnd) and end.endpoint.scheme == "udp":
            raise NotPossibleError(f"{flag} over UDP is DTLS (RFC 9147), which this build has not")
        raise UsageError(f"{flag} is TLS over TCP, and {end} is not TCP")
    return replace(end, tls=True)
