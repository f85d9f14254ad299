"""What stands under a socket in the table of `sw ss`: its timer, owner, memory, TCP_INFO.

A line for each subject, which begins with its name: "time: rtt 0.037 ms, rto 204 ms". What is 0,
off or unknown is left out; names are those of the kernel, with units in words.
"""

from __future__ import annotations

from functools import cache

from sockwright.cli.units import bit_rate
from sockwright.sockets.diag.inet import InetSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    from sockwright.cli.pages._ss_layout import Line
    from sockwright.sockets.diag.explain.machine import Machine
    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

    Form: TypeAlias = Callable[[object], str]
    """Makes the text of a value, "" where there is nothing to tell."""

__all__ = ["MORE_OF_IP", "TOLD", "Details"]

# Fields of TCPInfo by subject. What is in none of them is told behind the last.
_SUBJECTS = (
    ("time", ("rtt_us", "rttvar_us", "min_rtt_us", "rcv_rtt_us", "rto_us", "ato_us",
              "last_data_sent_ms", "last_data_recv_ms", "last_ack_recv_ms")),
    ("window", ("snd_cwnd", "snd_ssthresh", "snd_wnd", "rcv_wnd", "rcv_space", "rcv_ssthresh",
                "notsent_bytes")),
    ("segment", ("snd_mss", "rcv_mss", "advmss", "pmtu")),
    ("rate", ("send_rate", "delivery_rate", "delivery_rate_app_limited", "pacing_rate",
              "max_pacing_rate", "rcv_rate")),
    ("sent", ("bytes_sent", "bytes_acked", "segs_out", "data_segs_out", "delivered",
              "delivered_ce")),
    ("received", ("bytes_received", "segs_in", "data_segs_in", "received_ce")),
    ("trouble", ("ca_state", "unacked", "sacked", "lost", "retrans", "total_retrans",
                 "bytes_retrans", "retransmits", "backoff", "probes", "dsack_dups", "reord_seen",
                 "rcv_ooopack", "rehash", "total_rto", "total_rto_recoveries",
                 "total_rto_time_ms")),
    ("held back", ("busy_time_us", "rwnd_limited_us", "sndbuf_limited_us")),
)  # fmt: skip
_FLAGS = ("timestamps", "sack", "ecn", "ecn_seen", "syn_data", "usec_ts", "tfo_child")
_RATES = {"send_rate", "delivery_rate", "pacing_rate", "max_pacing_rate", "rcv_rate", "bw"}
# Told elsewhere: in a column, in the first line, or meaning nothing to a reader.
_ELSEWHERE = {"state", "snd_wscale", "rcv_wscale", "wscale", "last_ack_sent_ms", "fackets", *_FLAGS}
_USUAL = {"ca_state": "open", "accecn_opt_seen": "not seen", "reordering": 3}
_LISTEN = "LISTEN"
_MINUTE_S, _HOUR_S = 60, 3600
TOLD = {
    "protocol", "family", "state", "receive_queue", "send_queue", "local", "peer", "processes",
    "local_address", "local_port", "peer_address", "peer_port", "timer", "memory", "info",
    "congestion", "congestion_info", "ulp", "tos", "tclass", "class_id", "socket_options", "type",
    "path", "uid", "inode", "cookie", "cgroup_id", "shutdown", "peer_inode", "is_kernel",
    "netlink_protocol", "netlink_protocol_name", "port_id", "ethernet_protocol",
    "ethernet_protocol_name", "interface", "local_cid", "peer_cid",
}  # fmt: skip
"""Fields of a row that have a column, or a subject of their own; -e tells all others."""
MORE_OF_IP = ("is_mapped", "v6only", "mark", "md5_peers", "local_addresses", "peer_addresses")
"""What is left of a socket of IP: to ask for these is faster than to leave out the others."""


class Details:
    """Makes the lines under a socket, of those subjects that the arguments ask for."""

    __slots__ = ("_args", "_groups", "_known", "_machine", "_subjects", "_users")

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        # How a field is written follows from its name: found out once, not for each socket.
        self._subjects = [
            (f"{subject}: ", [(name, _form(name, exact=args.numeric)) for name in names])
            for subject, names in _SUBJECTS
        ]
        self._known = {name for _, names in _SUBJECTS for name in names} | _ELSEWHERE
        self._users: dict[int, str] = {}
        self._groups: dict[int, str] | None = None
        self._machine: Machine | None = None

    def lines(self, row: SocketRow) -> list[Line]:
        """Return the lines of one socket: lists of items, and the sentence of --explain."""
        args = self._args
        lines: list[Line] = []
        if args.timers:
            lines += _timer(row)
        if args.extended:
            lines += self._extended(row)
        elif args.cgroup:
            lines += _line("control group", self._group(row))
        if args.tos:
            told = {name: getattr(row, name, None) for name in ("tos", "tclass", "class_id")}
            lines += _line("service", _pairs(told, keep_zero=True))
        if args.sockopt:
            on = getattr(row, "socket_options", None)
            lines += _line("options", (name for name, set_ in _dict(on).items() if set_))
        if args.memory:
            told = _dict(getattr(row, "memory", None))
            lines += _line("memory", _pairs(told, keep_zero=True))
        if args.info:
            lines += self._info(row)
        if args.explain:
            lines.append(self._sentence(row))
        return lines

    def _extended(self, row: SocketRow) -> Iterator[list[str]]:
        about = []
        if row.uid is not None:
            about.append(f"uid {row.uid}{self._user(row.uid)}")
        if row.inode:
            about.append(f"inode {row.inode}")
        about.append(f"cookie {row.cookie:x}")
        about += self._group(row)
        yield from _line("owner", about)
        if isinstance(row, InetSocket):
            rest = {name: getattr(row, name, None) for name in MORE_OF_IP}
        else:
            rest = {name: value for name, value in row.as_dict().items() if name not in TOLD}
        if shut := getattr(row, "shutdown", ""):
            rest["shutdown"] = shut
        yield from _line("more", _pairs(rest))

    def _group(self, row: SocketRow) -> list[str]:
        number = getattr(row, "cgroup_id", None)
        if number is None:
            return []
        if self._groups is None:
            from sockwright.sockets.diag.cgroup import cgroup_paths

            self._groups = cgroup_paths()
        return [f"cgroup {self._groups.get(number) or f'unreachable:{number:x}'}"]

    def _user(self, uid: int) -> str:
        if self._args.numeric:
            return ""
        if uid not in self._users:
            import pwd

            try:
                self._users[uid] = f" ({pwd.getpwuid(uid).pw_name})"
            except KeyError:
                self._users[uid] = ""
        return self._users[uid]

    def _info(self, row: SocketRow) -> Iterator[list[str]]:
        info = getattr(row, "info", None)
        congestion = getattr(row, "congestion", None)
        exact = self._args.numeric
        if row.protocol != "tcp" or info is None:
            yield from _line(row.protocol, _pairs(_dict(info), exact=exact))
            yield from _line("addresses", _addresses(row))
            return
        told = info.as_dict()
        first = [congestion] if congestion else []
        if row.state != _LISTEN:
            first += [name for name in _FLAGS if told[name]]
            if told["wscale"]:
                first.append(f"wscale {told['snd_wscale']},{told['rcv_wscale']}")
        yield from _line("tcp", first)
        if (figures := row.congestion_info) is not None:  # type: ignore[attr-defined]
            yield from _line(congestion or "", _pairs(_dict(figures), exact=exact))
        if (layer := row.ulp) is not None:  # type: ignore[attr-defined]
            ulp = _dict(layer)
            yield from _line(str(ulp.pop("name", "")), _pairs(ulp))
        if row.state == _LISTEN:
            return
        if exact and "send_rate" in told:
            told["send_rate"] = _exact_send_rate(info)
        value_of = told.get
        for subject, forms in self._subjects:
            parts = []
            for name, form in forms:
                value = value_of(name)
                if value and (text := form(value)):
                    parts.append(text)
            if parts:
                parts[0] = subject + parts[0]
                yield parts
        rest = {name: told[name] for name in told if name not in self._known}
        yield from _line("more", _pairs(rest, exact=exact))

    def _sentence(self, row: SocketRow) -> str:
        from sockwright.sockets.diag.explain import explain

        if self._machine is None:
            from sockwright.sockets.diag.explain.machine import Machine

            self._machine = Machine.gather(self._args.namespace)
        return explain(row, self._machine)


def _timer(row: SocketRow) -> Iterator[list[str]]:
    timer = getattr(row, "timer", None)
    if timer is None:
        return
    told = [f"timer: {timer.name}", f"in {_span(timer.expires_ms)}"]
    if times := timer.retransmits:
        told.append(f"{times} time{'' if times == 1 else 's'} without an answer")
    yield told


def _line(subject: str, parts: Iterable[str]) -> Iterator[list[str]]:
    """Yield a line about a subject, none where there is nothing to tell."""
    told = list(parts)
    if told:
        told[0] = f"{subject}: {told[0]}"
        yield told


def _dict(value: object) -> dict[str, object]:
    if isinstance(value, dict):
        return value
    as_dict: Callable[[], dict[str, object]] | None = getattr(value, "as_dict", None)
    return {} if as_dict is None else dict(as_dict())


def _addresses(row: SocketRow) -> Iterator[str]:
    """Yield the addresses of a socket of SCTP, which may have several at each end."""
    for side in ("local", "peer"):
        found = getattr(row, f"{side}_addresses", ())
        if found:
            yield f"{side} {' '.join(found)}"


def _exact_send_rate(info: TCPInfo) -> float:
    """Return `send_rate` before it is rounded to whole octets a second."""
    return info.snd_cwnd * info.snd_mss * 1_000_000 / info.rtt


def _pairs(
    fields: Mapping[str, object], *, keep_zero: bool = False, exact: bool = False
) -> Iterator[str]:
    """Yield "name value" of each field that has something to tell."""
    for name, value in fields.items():
        if value or (keep_zero and value == 0 and value is not False):
            text = _form(name, exact=exact)(value)
            if text:
                yield text


@cache
def _form(name: str, *, exact: bool) -> Form:
    """Return what writes "name value" of the values of a field, none of which is 0."""
    if name.endswith("_us"):
        return lambda value: f"{name[:-3]} {_span(value / 1000)}"  # type: ignore[operator]
    if name.endswith("_ms"):
        return lambda value: f"{name[:-3]} {_span(value)}"  # type: ignore[arg-type]
    if name in _RATES and exact:
        return lambda value: f"{name} {value * 8:.0f} bit/s"  # type: ignore[operator]
    if name in _RATES:
        return lambda value: f"{name} {bit_rate(value)}"  # type: ignore[arg-type]
    usual = _USUAL.get(name)

    def form(value: object) -> str:
        if type(value) is int and usual is None:  # most of them
            return f"{name} {value}"
        if value == usual:
            return ""
        return name if value is True else f"{name} {_text(value)}"

    return form


def _text(value: object) -> str:
    if isinstance(value, int | str):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return " ".join(" ".join(_pairs(_dict(one))) if _dict(one) else str(one) for one in value)
    fields = _dict(value)
    return f"({', '.join(_pairs(fields))})" if fields else str(value)


def _span(milliseconds: float) -> str:
    """Return a time: "0.037 ms", "204 ms", "59 s", "1 h 59 min"."""
    seconds = milliseconds / 1000
    if seconds >= _HOUR_S:
        return f"{int(seconds // _HOUR_S)} h {int(seconds % _HOUR_S // _MINUTE_S)} min"
    if seconds >= _MINUTE_S:
        return f"{int(seconds // _MINUTE_S)} min {int(seconds % _MINUTE_S)} s"
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{milliseconds:.4g} ms"
