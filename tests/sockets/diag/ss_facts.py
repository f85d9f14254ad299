"""What ss(8) says about a socket behind its addresses, and what our rows have for it.

Both functions return the same: the text of each fact by its name there, None where it is not told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sockwright.sockets.diag import inet, packet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sockwright.sockets.diag.row import SocketRow
    from sockwright.sockets.diag.structures.tcp_info import TCPInfo

__all__ = ["facts_of_row", "facts_of_ss"]

_ARROWS = {"": "<->", "receive": "-->", "send": "<--", "both": "---"}

# The words of ``ss -m``, in the order of its skmem:(...).
_MEMORY = {
    "r": "rmem_alloc",
    "rb": "rcvbuf",
    "t": "wmem_alloc",
    "tb": "sndbuf",
    "f": "fwd_alloc",
    "w": "wmem_queued",
    "o": "optmem",
    "bl": "backlog",
    "d": "drops",
}
# The words of ``ss -i`` for plain numbers, which it leaves out where they are 0; and those for
# times, which it gives in milliseconds, we in microseconds.
_NUMBERS = {
    "mss": "snd_mss",
    "pmtu": "pmtu",
    "rcvmss": "rcv_mss",
    "advmss": "advmss",
    "cwnd": "snd_cwnd",
    "ssthresh": "snd_ssthresh",
    "bytes_sent": "bytes_sent",
    "bytes_retrans": "bytes_retrans",
    "bytes_acked": "bytes_acked",
    "bytes_received": "bytes_received",
    "segs_out": "segs_out",
    "segs_in": "segs_in",
    "data_segs_out": "data_segs_out",
    "data_segs_in": "data_segs_in",
    "delivered": "delivered",
    "unacked": "unacked",
    "sacked": "sacked",
    "lost": "lost",
    "backoff": "backoff",
    "rcv_space": "rcv_space",
    "rcv_ssthresh": "rcv_ssthresh",
    "notsent": "notsent_bytes",
    "snd_wnd": "snd_wnd",
}
_TIMES = {"rto": "rto", "ato": "ato", "minrtt": "min_rtt", "rcv_rtt": "rcv_rtt"}
_WORDS = ("locals", "peers", "fwmark", "v6only", "tos", "tclass", "class_id")
_RATES = ("pacing_rate", "delivery_rate")
_FLAGS = {
    "ts": "timestamps",
    "sack": "sack",
    "ecn": "ecn",
    "ecnseen": "ecn_seen",
    "fastopen": "syn_data",
    "app_limited": "delivery_rate_app_limited",
}


def facts_of_ss(text: str) -> dict[str, str | None]:
    """Return what the rest of a line of ``ss -emi --tos`` says, by name."""
    words = f" {text} "
    facts: dict[str, str | None] = dict.fromkeys(_MEMORY) | dict(_memory_of_ss(words))
    for name in (
        "locals",
        "peers",
        "fwmark",
        "v6only",
        "tos",
        "tclass",
        "class_id",
        *_NUMBERS,
        *_TIMES,
    ):
        found = re.search(rf" {name}:(\S+)", words)
        facts[name] = found[1].removeprefix("0x") if found else None
    for name in _RATES:
        found = re.search(rf" {name} (\d+)bps", words)
        facts[name] = found[1] if found else None
    for name in _FLAGS:
        facts[name] = name if f" {name} " in words else None
    arrow = re.search(r" (<->|-->|<--|---) ", words)
    facts["shutdown"] = arrow[1] if arrow else None
    congestion = re.search(r" (bbr|reno|cubic|dctcp|vegas) ", words)
    facts["congestion"] = congestion[1] if congestion else None
    for name, pattern in (
        ("wscale", r" wscale:(\S+) "),
        ("rtt", r" rtt:(\S+) "),
        ("retrans", r" retrans:(\S+) "),
    ):
        found = re.search(pattern, words)
        facts[name] = found[1] if found else None
    return facts


def _memory_of_ss(words: str) -> Iterator[tuple[str, str | None]]:
    found = re.search(r" skmem:\((.*?)\) ", words)
    for part in found[1].split(",") if found else ():
        letters, number = re.fullmatch(r"([a-z]+)(\d+)", part).groups()  # type: ignore[union-attr]
        yield letters, number


def facts_of_row(row: SocketRow) -> dict[str, str | None]:
    """Return what ss would say of our row, by the same names."""
    facts: dict[str, str | None] = dict.fromkeys(facts_of_ss(""))
    memory = getattr(row, "memory", None)
    if memory is not None:
        facts |= {word: str(getattr(memory, name)) for word, name in _MEMORY.items()}
    whole = row.state not in {"SYN-RECV", "TIME-WAIT"}  # else the kernel keeps less than a socket
    if whole and not isinstance(row, packet.PacketSocketRow):
        facts["shutdown"] = _ARROWS[row.shutdown]  # type: ignore[attr-defined]
    if isinstance(row, inet.InetSocket):
        if row.v6only is not None:
            facts["v6only"] = str(int(row.v6only))
        facts["fwmark"] = f"{row.mark:x}" if row.mark else None
        for name in ("tos", "tclass", "class_id"):
            value = getattr(row, name)
            facts[name] = None if value is None else f"{value:x}"
    if isinstance(row, inet.TCPSocket):
        facts["congestion"] = row.congestion
        if row.info is not None:
            facts |= dict(_info_of_row(row.info))
        if row.state == "LISTEN":
            facts["sacked"] = None  # there it is the length of the queue, and ss leaves it out
    return facts


def _info_of_row(info: TCPInfo) -> Iterator[tuple[str, str | None]]:
    for word, name in _NUMBERS.items():
        yield word, str(getattr(info, name) or "") or None
    for word, name in _TIMES.items():
        microseconds = getattr(info, name)
        yield word, f"{microseconds / 1000:g}" if microseconds else None
    for name in _RATES:
        octets = getattr(info, name)
        yield name, str(octets * 8) if octets else None
    for word, name in _FLAGS.items():
        yield word, word if getattr(info, name) else None
    yield "wscale", f"{info.snd_wscale},{info.rcv_wscale}" if info.wscale else None
    yield "rtt", f"{info.rtt / 1000:g}/{info.rttvar / 1000:g}" if info.rtt else None
    yield "retrans", f"{info.retrans}/{info.total_retrans}" if info.total_retrans else None
