"""From the flags of `sw scan` to the `Settings` of a scan: methods, ports, pace, time limits."""

from __future__ import annotations

from sockwright.errors import NotPossibleError, TargetError, UsageError
from sockwright.tools._nc_values import duration, number
from sockwright.tools._scan_absent import why_absent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sockwright.scan.settings import Discovery, Method, Preset, Settings
    from sockwright.tools._flags import Arguments

__all__ = ["check_flags", "make_settings", "ports_left_out", "time_limit", "without_system"]

_TCP: tuple[tuple[Method, str], ...] = (
    ("connect", "-sT"),
    ("syn", "-sS"),
    ("ack", "-sA"),
    ("fin", "-sF"),
    ("null", "-sN"),
    ("xmas", "-sX"),
)
# Of UDP nobody waits for 1 000: a host that limits its ICMP errors tells of one a second.
_DEFAULT_TCP, _DEFAULT_UDP, _FEW_PORTS = 1000, 100, 100
_MOST_PORTS = 65_536
_LIGHT, _EVERY = 2, 9  # of the intensity of -sV
_NAMES = {"polite": "2", "normal": "3", "aggressive": "4", "insane": "5"}  # nmap's, of -T
# Flags of which one is enough, and what to do.
_EXCLUDE = (
    (("only_hosts", "-sn"), ("no_discovery", "-Pn"), "together nothing is left to do"),
    (("only_hosts", "-sn"), ("list", "-sL"), "-sL sends nothing to a host, -sn does"),
    (("no_discovery", "-Pn"), ("list", "-sL"), "-sL sends nothing to a host"),
    (("only_hosts", "-sn"), ("services", "-sV"), "services are behind ports; leave -sn out"),
    (("only_hosts", "-sn"), ("system", "-O"), "a system is told by its ports; leave -sn out"),
    (("ipv4", "-4"), ("ipv6", "-6"), "leave both out for either"),
    (("no_names", "-n"), ("names", "-R"), "they say the opposite"),
    (("ports", "-p"), ("top", "--top"), "choose one"),
    (("ports", "-p"), ("fast", "-F"), "choose one"),
    (("top", "--top"), ("fast", "-F"), "-F is --top 100"),
    (("open", "--open"), ("all", "--all"), "they say the opposite"),
    (("verbose", "-v"), ("quiet", "--quiet"), "they say the opposite"),
    (("light", "--version-light"), ("every_probe", "--version-all"), "they say the opposite"),
    (("host_rate", "--host-rate"), ("delay", "--scan-delay"), "a pause of 1s is a rate of 1"),
)
# A flag that does nothing without one of others, and what it goes with.
_GO_WITH = (
    ("intensity", "--version-intensity", ("services", "aggressive"), "-sV"),
    ("light", "--version-light", ("services", "aggressive"), "-sV"),
    ("every_probe", "--version-all", ("services", "aggressive"), "-sV"),
)
# Fields of `Settings` with the flags that set them.
_TIMES = (
    ("first_timeout", "--first-timeout"),
    ("min_timeout", "--min-timeout"),
    ("max_timeout", "--max-timeout"),
    ("host_timeout", "--host-timeout"),
    ("patience", "--patience"),
)
_NUMBERS = (
    ("retries", "--retries", 0, 100),
    ("seed", "--seed", 0, 2**63 - 1),
    ("hosts_at_once", "--hosts", 1, 65_536),
)
_PORT_FLAGS = (
    ("ports", "-p"), ("top", "--top"), ("fast", "-F"), ("exclude_ports", "--exclude-ports"),
)  # fmt: skip


def check_flags(args: Arguments) -> None:
    """Refuse what nmap has and this verb has not, and what does not go together.

    Raises: UsageError.
    """
    if args.mistake is not None:
        raise args.mistake
    for name in args.absent:
        raise why_absent(name)
    for (one, flag), (other, other_flag), why in _EXCLUDE:
        if getattr(args, one) and getattr(args, other):
            raise UsageError(f"{flag} and {other_flag} exclude each other: {why}")
    for name, flag, needed, told in _GO_WITH:
        if getattr(args, name) and not any(getattr(args, other) for other in needed):
            raise UsageError(f"{flag} goes with {told}")
    chosen = _tcp_methods(args)
    if len(chosen) > 1:
        flags = [flag for method, flag in _TCP if method in chosen]
        raise UsageError(
            f"{' and '.join(flags)} are two methods of TCP; choose one, with -sU beside it or not"
        )
    without_ports = "-sn" if args.only_hosts else "-sL" if args.list else ""
    for name, flag in _PORT_FLAGS if without_ports else ():
        if getattr(args, name):
            raise UsageError(f"{without_ports} asks no ports; leave {flag} out")
    if without_ports and (chosen or args.udp):
        flag = "-sU" if args.udp else next(flag for method, flag in _TCP if method in chosen)
        raise UsageError(f"{without_ports} asks no ports; leave {flag} out")
    if args.interface is not None:
        import socket

        try:
            socket.if_nametoindex(args.interface)
        except OSError:
            raise UsageError(f"-e: there is no interface {args.interface!r}") from None
    if args.json and args.text_file:
        raise UsageError("--json and -oN exclude each other: -oN keeps what is shown; try -oJ")
    _check_output(args)


def _check_output(args: Arguments) -> None:
    """Refuse two that want standard output. Raises: UsageError."""
    flags = (("xml_file", "-oX -"), ("grep_file", "-oG -"), ("json_file", "-oJ -"))
    there = [flag for name, flag in flags if getattr(args, name) == "-"]
    if args.json:
        there.append("--json")
    if args.text_file == "-" and there:
        there.append("-oN -")
    if len(there) > 1:
        raise UsageError(f"{' and '.join(there)} both want standard output; choose one")
    if args.evidence == "-":
        raise UsageError("-w wants the name of a file")


def _tcp_methods(args: Arguments) -> list[Method]:
    return [method for method, _ in _TCP if getattr(args, method)]


def make_settings(args: Arguments) -> Settings:
    """Return what is asked of the scan. Raises: UsageError."""
    from sockwright.scan.settings import PRESETS, Settings

    discovery = _discovery(args)
    has_ports = discovery in {"auto", "none"}
    tcp, udp = _ports(args) if has_ports else ((), ())
    preset = PRESETS[_preset(args)]
    rate, host_rate = _rates(args, preset)
    evidence = None
    if args.evidence is not None:
        from pathlib import Path

        evidence = Path(args.evidence)
    methods = [*_tcp_methods(args)]
    if udp:
        methods.append("udp")
    return Settings(
        methods=tuple(methods),
        tcp_ports=tcp,
        udp_ports=udp,
        discovery=discovery,
        rate=rate,
        host_rate=host_rate,
        spare_loopback=not (args.preset or args.rate or args.host_rate or args.delay),
        services=args.services or args.aggressive,
        service_intensity=_intensity(args),
        identify_os=args.system or args.aggressive,
        traceroute=args.traceroute or args.aggressive,
        names=args.names,
        evidence=evidence,
        overwrite=bool(args.force),
        interface=args.interface or "",
        **_bounds(args, preset),
    )


def without_system(args: Arguments, settings: Settings) -> str:
    """Look whether systems can be asked for, before time goes into ports.

    Return why not, or nothing: who asks for -A gets the rest of it.

    Raises:
        NotPossibleError: -O was asked for, and CAP_NET_RAW is missing.
        SignatureError: a file of signatures is not well formed.
        OSError: one cannot be read.
    """
    if not settings.identify_os or settings.discovery in {"only", "list"}:
        return ""
    from sockwright.identify.database import load_signatures
    from sockwright.identify.probing import check_privilege

    try:
        check_privilege()
    except NotPossibleError:
        why = "takes raw sockets, and this process may not open them"
        remedy = "root may, or who has CAP_NET_RAW"
        if args.system:
            raise NotPossibleError(f"-O {why}", f"{remedy}; the rest goes without -O") from None
        return f"-A goes on without -O, which {why}; {remedy}"
    load_signatures()
    return ""


def _discovery(args: Arguments) -> Discovery:
    if args.only_hosts:
        return "only"
    if args.list:
        return "list"
    return "none" if args.no_discovery else "auto"


def _rates(args: Arguments, preset: Preset) -> tuple[float | None, float | None]:
    """Return the packets a second in all, and to one host; None is no bound."""
    rate = preset.rate if args.rate is None else _rate(args.rate, "--rate")
    host_rate = preset.host_rate
    if args.host_rate is not None:
        host_rate = _rate(args.host_rate, "--host-rate")
    elif args.delay is not None:
        host_rate = 1 / duration(args.delay, "--scan-delay", least=0.000_001)
    elif args.rate is not None and host_rate is not None and (rate is None or rate > host_rate):
        host_rate = None  # who asks for more in all means one host, too
    return rate, host_rate


def _bounds(args: Arguments, preset: Preset) -> dict[str, Any]:
    """Return the settings that bound times and tries, by their names in `Settings`."""
    given: dict[str, Any] = {
        "first_timeout": preset.first_timeout,
        "max_timeout": preset.max_timeout,
    }
    for name, flag in _TIMES:
        if (text := getattr(args, name)) is not None:
            given[name] = duration(text, flag, least=0.000_1)
    for name, flag, low, high in _NUMBERS:
        if (text := getattr(args, name)) is not None:
            given[name] = number(text, flag, low, high)
    if args.max_miss is not None:
        given["max_miss"] = _max_miss(args.max_miss)
    if args.max_timeout is None:
        given["max_timeout"] = max(given["max_timeout"], given["first_timeout"])
    given["first_timeout"] = min(given["first_timeout"], given["max_timeout"])
    return given


def time_limit(args: Arguments) -> float | None:
    """Return when the whole is to end, in seconds. Raises: UsageError."""
    if args.time_limit is None:
        return None
    return duration(args.time_limit, "--time-limit", least=0.001)


def _ports(args: Arguments) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ports of TCP and of UDP. Raises: UsageError."""
    from sockwright.scan.targets.ports import parse_port_set, top_ports

    asks_tcp, asks_udp = bool(_tcp_methods(args)) or not args.udp, args.udp
    if args.ports is not None:
        # Ports without T: or U: are for the methods that are asked. Who writes U: wants UDP even
        # without -sU, of which nmap only warns. Who says -sU alone wants no TCP (`ports_left_out`).
        prefix = "U:" if asks_udp else "T:"
        if (asks_tcp and asks_udp) or args.ports[:2].upper() in {"T:", "U:"}:
            prefix = ""
        try:
            tcp, udp, _ = parse_port_set(prefix + args.ports)
        except TargetError as error:
            typed = str(error).replace(repr(prefix + args.ports), repr(args.ports))
            raise UsageError(f"-p: {typed}") from None
    else:
        most_tcp, most_udp = _DEFAULT_TCP, _DEFAULT_UDP
        if args.fast:
            most_tcp = most_udp = _FEW_PORTS
        elif args.top is not None:
            most_tcp = most_udp = number(args.top, "--top", 1, _MOST_PORTS)
        tcp = top_ports(most_tcp, "tcp") if asks_tcp else ()
        udp = top_ports(most_udp, "udp") if asks_udp else ()
    if args.exclude_ports is not None:
        without = parse_port_set(args.exclude_ports)
        tcp = tuple(port for port in tcp if port not in without.tcp)
        udp = tuple(port for port in udp if port not in without.udp)
    if not asks_tcp and tcp:
        if not udp:
            raise UsageError("-p: T: is for TCP, and -sU asks UDP alone; -sSU asks both")
        tcp = ()
    if not (tcp or udp):
        raise UsageError("--exclude-ports takes all ports out: none is left to ask")
    return tcp, udp


def ports_left_out(args: Arguments) -> str:
    """Say which ports of -p are not asked, since no method was chosen for them; nothing if none."""
    if not args.udp or _tcp_methods(args) or args.ports is None or "T:" not in args.ports.upper():
        return ""
    return "-p: the ports behind T: are left out, since -sU asks UDP alone; -sSU asks both"


def _preset(args: Arguments) -> int:
    """Return the number of -T. Raises: UsageError."""
    if args.preset is None:
        return 3
    text = _NAMES.get(args.preset.lower(), args.preset)
    if text in {"0", "1", "paranoid", "sneaky"}:
        raise UsageError(f"-T{args.preset}: -T2 is the slowest preset; slower is --rate 0.1, say")
    if text not in {"2", "3", "4", "5"}:
        raise UsageError(f"-T takes 2, 3, 4 or 5, not {args.preset!r}")
    return int(text)


def _rate(text: str, flag: str) -> float | None:
    """Read packets a second; None is no bound. Raises: UsageError."""
    if text in {"max", "unlimited"}:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.001 <= rate <= 100e6:  # nor is NaN
        raise UsageError(f"{flag} takes packets a second, such as 500, or max, not {text!r}")
    return rate


def _max_miss(text: str) -> float:
    try:
        miss = float(text)
    except ValueError:
        miss = 0.0
    if not 1e-9 <= miss <= 65_536:
        raise UsageError(f"--max-miss takes a number of ports above 0, such as 0.01, not {text!r}")
    return miss


def _intensity(args: Arguments) -> int:
    if args.light:
        return _LIGHT
    if args.every_probe:
        return _EVERY
    return 7 if args.intensity is None else number(args.intensity, "--version-intensity", 0, 9)
