"""`TCPInfo`: what the kernel knows about a TCP connection (struct tcp_info of linux/tcp.h).

Names are those of the kernel without ``tcpi_``. Octets are octets of data, segments and packets
are segments of at most `snd_mss` octets, rates are octets a second.
"""

from __future__ import annotations

from functools import cache

from sockwright.sockets.diag.structures.structure import (
    Bit,
    Bits,
    Choice,
    Flag,
    MaybeNumber,
    Number,
    Structure,
    bits,
)

__all__ = ["TCPInfo"]

_NO_LIMIT_32 = 0xFFFF_FFFF
_NO_LIMIT_64 = 0xFFFF_FFFF_FFFF_FFFF
_INFINITE_SSTHRESH = 0x7FFF_FFFF  # TCP_INFINITE_SSTHRESH: slow start has not ended yet
_MICROSECONDS = 1_000_000
_BIT_FIELDS_SINCE = (7, 0)
_ECN_MODES = ("disabled", "rfc3168", "accecn", "pending")
_OPTION_SEEN = ("not seen", "empty", "counter", "failed")


class TCPInfo(Structure):
    """The state of a TCP connection, as INET_DIAG_INFO and getsockopt(TCP_INFO) tell it.

    What a kernel does not tell yet is None. Of a listener `unacked` is the number of connections
    that wait to be accepted and `sacked` the most that may; most else is 0.
    """

    __slots__ = ()

    state = Number("u8", "State, by the number of sockwright.sockets.diag.states")
    ca_state = Choice(
        "u8",
        ("open", "disorder", "cwr", "recovery", "loss"),
        'What congestion control makes of the last packets: "open" (nothing bad), "disorder" '
        '(duplicate ACKs), "cwr" (window being reduced), "recovery" (fast retransmission), "loss" '
        "(a retransmission timer went off)",
    )
    retransmits = Number("u8", "How often in a row the retransmission timer went off")
    probes = Number("u8", "Probes of a zero window or of keep-alive without answer")
    backoff = Number("u8", "How often the retransmission timeout has been doubled")
    options = Number("u8", "TCPI_OPT_* bits, see the flags below", hidden=True)
    snd_wscale = Bits("u8", 0, 4, "Shift of the windows that the peer announces (RFC 7323)")
    rcv_wscale = Bits("u8", 4, 4, "Shift of the windows that this side announces (RFC 7323)")
    delivery_rate_app_limited = Bit(
        "u8", 0, "The program sent too little to measure more than `delivery_rate`"
    )
    fastopen_client_fail = Bits(
        "u8",
        1,
        2,
        "Why TCP Fast Open was of no use: 1 there was no cookie, 2 the data in the SYN were not "
        "acknowledged, 3 nor after a timeout; 0 otherwise",
    )

    timestamps = Flag("options", 1, "Timestamps are in use (RFC 7323)")
    sack = Flag("options", 2, "Selective acknowledgements are in use (RFC 2018)")
    wscale = Flag("options", 4, "Window scaling is in use (RFC 7323)")
    ecn = Flag("options", 8, "Explicit congestion notification is in use (RFC 3168)")
    ecn_seen = Flag("options", 16, "A packet that allows ECN marks has arrived")
    syn_data = Flag("options", 32, "Data in the SYN were acknowledged (RFC 7413)")
    usec_ts = Flag("options", 64, "Timestamps count microseconds")
    tfo_child = Flag("options", 128, "Accepted by TCP Fast Open")

    rto = Number("u32", "Retransmission timeout", "us")
    ato = Number("u32", "Timeout of delayed acknowledgements", "us")
    snd_mss = Number("u32", "Most octets of a segment that is sent")
    rcv_mss = Number("u32", "Octets of the segments that arrive, as estimated")
    unacked = Number("u32", "Segments sent and not acknowledged")
    sacked = Number("u32", "Segments acknowledged selectively")
    lost = Number("u32", "Segments taken for lost")
    retrans = Number("u32", "Retransmitted segments not acknowledged yet")
    fackets = Number("u32", "Segments up to the last one acknowledged selectively; 0 since 4.15")
    last_data_sent = Number("u32", "Time since data were sent", "ms")
    last_ack_sent = Number("u32", "Always 0: the kernel does not remember", "ms")
    last_data_recv = Number("u32", "Time since data arrived", "ms")
    last_ack_recv = Number("u32", "Time since an acknowledgement arrived", "ms")
    pmtu = Number("u32", "Octets of the largest packet that the path takes")
    rcv_ssthresh = Number("u32", "Octets up to which the announced window may grow")
    rtt = Number("u32", "Smoothed round-trip time", "us")
    rttvar = Number("u32", "Mean deviation of the round-trip time", "us")
    snd_ssthresh = MaybeNumber(
        "u32", "Segments at which slow start ends; None for not yet", unset=_INFINITE_SSTHRESH
    )
    snd_cwnd = Number("u32", "Congestion window in segments")
    advmss = Number("u32", "MSS that this side announced")
    reordering = Number("u32", "Segments by which packets may be out of order before one is lost")
    rcv_rtt = Number("u32", "Round-trip time as the receiver estimates it, 0 for unknown", "us")
    rcv_space = Number("u32", "Octets of data that the program reads in a round-trip time")
    total_retrans = Number("u32", "Segments retransmitted since the start")
    pacing_rate = MaybeNumber(
        "u64", "Octets a second at which packets are spread; None for unlimited", unset=_NO_LIMIT_64
    )
    max_pacing_rate = MaybeNumber(
        "u64", "Octets a second set by SO_MAX_PACING_RATE; None for unlimited", unset=_NO_LIMIT_64
    )
    bytes_acked = MaybeNumber("u64", "Octets sent and acknowledged, the SYN among them (RFC 4898)")
    bytes_received = MaybeNumber("u64", "Octets received and acknowledged (RFC 4898)")
    segs_out = MaybeNumber("u32", "Segments sent (RFC 4898)")
    segs_in = MaybeNumber("u32", "Segments received (RFC 4898)")
    notsent_bytes = MaybeNumber("u32", "Octets in the send queue that were not sent yet")
    min_rtt = MaybeNumber(
        "u32", "Least round-trip time of the last minutes; None for unknown", "us", _NO_LIMIT_32
    )
    data_segs_in = MaybeNumber("u32", "Segments with data received (RFC 4898)")
    data_segs_out = MaybeNumber("u32", "Segments with data sent (RFC 4898)")
    delivery_rate = MaybeNumber("u64", "Octets a second that reached the peer lately")
    busy_time = MaybeNumber("u64", "Time with data to send or to be acknowledged", "us")
    rwnd_limited = MaybeNumber("u64", "Time that the peer's window held data back", "us")
    sndbuf_limited = MaybeNumber("u64", "Time that the send buffer held data back", "us")
    delivered = MaybeNumber("u32", "Segments that reached the peer, retransmitted ones among them")
    delivered_ce = MaybeNumber("u32", "Those of them that met congestion (ECE)")
    bytes_sent = MaybeNumber("u64", "Octets sent, retransmitted ones among them (RFC 4898)")
    bytes_retrans = MaybeNumber("u64", "Octets retransmitted (RFC 4898)")
    dsack_dups = MaybeNumber("u32", "Duplicates that the peer reported (RFC 4898)")
    reord_seen = MaybeNumber("u32", "How often packets were seen out of order")
    rcv_ooopack = MaybeNumber("u32", "Segments received out of order")
    snd_wnd = MaybeNumber("u32", "Octets of the window that the peer announces")
    rcv_wnd = MaybeNumber("u32", "Octets of the window that this side announces")
    rehash = MaybeNumber("u32", "How often another path was tried, by a new hash")
    total_rto = MaybeNumber("u16", "How often a retransmission timer went off")
    total_rto_recoveries = MaybeNumber("u16", "Series of timeouts, up to a delivery each")
    total_rto_time = MaybeNumber("u32", "Time spent in such series", "ms")
    received_ce = MaybeNumber("u32", "Segments received that met congestion (RFC 9768)")
    delivered_e1_bytes = MaybeNumber("u32", "Octets that reached the peer with ECT(1)")
    delivered_e0_bytes = MaybeNumber("u32", "Octets that reached the peer with ECT(0)")
    delivered_ce_bytes = MaybeNumber("u32", "Octets that reached the peer with CE")
    received_e1_bytes = MaybeNumber("u32", "Octets received with ECT(1)")
    received_e0_bytes = MaybeNumber("u32", "Octets received with ECT(0)")
    received_ce_bytes = MaybeNumber("u32", "Octets received with CE")
    accecn = MaybeNumber("u32", "State of Accurate ECN, told by the four below", hidden=True)

    # The last four octets are two u16, fail_mode and opt_seen, in Linux 6.18 and 6.19, and
    # bit-fields of 2, 2, 4 and 24 bits since 7.0. Nothing in the structure tells which.

    @property
    def ecn_mode(self) -> str | None:
        """The ECN in use: "disabled", "rfc3168", "accecn" or "pending"; None before Linux 7.0."""
        number = self.accecn
        if number is None or not _has_bit_fields():
            return None
        return _ECN_MODES[bits(number, 4, 0, 2)]

    @property
    def accecn_opt_seen(self) -> str | None:
        """Which option of Accurate ECN arrived: "not seen", "empty", "counter" or "failed"."""
        number = self.accecn
        if number is None:
            return None
        seen = bits(number, 4, 2, 2) if _has_bit_fields() else bits(number, 4, 16, 16)
        return _OPTION_SEEN[seen & 3]

    @property
    def accecn_fail_mode(self) -> int | None:
        """Bits for what of Accurate ECN fails: 1, 2 sending, receiving ACE; 4, 8 the option."""
        number = self.accecn
        if number is None:
            return None
        return bits(number, 4, 4, 4) if _has_bit_fields() else bits(number, 4, 0, 16)

    @property
    def send_rate(self) -> int | None:
        """Octets a second that a congestion window each round-trip time makes; None for unknown.

        What ss(8) calls ``send``, there in bits a second.
        """
        rtt = self.rtt
        return self.snd_cwnd * self.snd_mss * _MICROSECONDS // rtt if rtt else None

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value; names of times end with their unit."""
        found = super().as_dict()
        for name in ("ecn_mode", "accecn_opt_seen", "accecn_fail_mode", "send_rate"):
            value: object = getattr(self, name)
            if value is not None:
                found[name] = value
        return found


@cache
def _has_bit_fields() -> bool:
    """Return whether the kernel that runs has bit-fields at the end of tcp_info."""
    import os

    major, _, rest = os.uname().release.partition(".")
    minor = rest.partition(".")[0].partition("-")[0]
    return (int(major), int(minor)) >= _BIT_FIELDS_SINCE
