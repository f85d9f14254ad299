"""Figures of congestion controls that tell some (union tcp_cc_info of linux/inet_diag.h)."""

from __future__ import annotations

from sockwright.sockets.diag.structures.structure import MaybeNumber, Number, Structure

__all__ = ["BBRInfo", "DCTCPInfo", "VegasInfo"]

_UNIT = 256  # BBR_UNIT: gains are shifted left by 8 bits
_NO_RTT = 0xFFFF_FFFF
_VEGAS_NO_RTT = 0x7FFF_FFFF


class BBRInfo(Structure):
    """BBR: what it measured, and how it probes."""

    __slots__ = ()

    bw_lo = Number("u32", "Lower 32 bits of `bw`", hidden=True)
    bw_hi = Number("u32", "Upper 32 bits of `bw`", hidden=True)
    min_rtt = MaybeNumber("u32", "Least round-trip time of late; None for unknown", "us", _NO_RTT)
    raw_pacing_gain = Number("u32", "`pacing_gain` by 256", hidden=True)
    raw_cwnd_gain = Number("u32", "`cwnd_gain` by 256", hidden=True)

    @property
    def bw(self) -> int:
        """The largest bandwidth of late, in octets a second."""
        return self.bw_hi << 32 | self.bw_lo

    @property
    def pacing_gain(self) -> float:
        """The factor between `bw` and the rate of sending."""
        return self.raw_pacing_gain / _UNIT

    @property
    def cwnd_gain(self) -> float:
        """The factor between what is on its way at `bw` and the congestion window."""
        return self.raw_cwnd_gain / _UNIT

    def as_dict(self) -> dict[str, object]:
        """Return every field that has a value."""
        gains = {"pacing_gain": self.pacing_gain, "cwnd_gain": self.cwnd_gain}
        return {"bw": self.bw, **super().as_dict(), **gains}


class DCTCPInfo(Structure):
    """DCTCP (RFC 8257)."""

    __slots__ = ()

    enabled = Number("u16", "1 where the peer takes part")
    ce_state = Number("u16", "1 where the last packet that arrived met congestion")
    alpha = Number("u32", "Share of packets that met congestion, by 1024")
    ab_ecn = Number("u32", "Octets acknowledged in this window that met congestion")
    ab_tot = Number("u32", "Octets acknowledged in this window")


class VegasInfo(Structure):
    """TCP Vegas, and what shares its figures: Illinois, Westwood+, CDG."""

    __slots__ = ()

    enabled = Number("u32", "1 where it is at work")
    rttcnt = Number("u32", "Round trips measured in this window")
    rtt = MaybeNumber("u32", "Round-trip time; None for unknown", "us", _VEGAS_NO_RTT)
    minrtt = MaybeNumber("u32", "Least round-trip time; None for unknown", "us", _VEGAS_NO_RTT)
