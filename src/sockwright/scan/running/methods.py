"""Which methods a scan goes by, and why: by what was asked for, and by what this process may do."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sockwright.scan.reports.evidence import EvidenceWriter
    from sockwright.scan.running.run import Run
    from sockwright.scan.settings import Method

__all__ = ["TOO_MANY_OPEN", "open_parts"]

_WORDS: Final = {
    "connect": "a connect scan",
    "syn": "a SYN scan",
    "udp": "a UDP scan",
    "ack": "an ACK scan",
    "fin": "a FIN scan",
    "null": "a NULL scan",
    "xmas": "an Xmas scan",
}
_BY_KERNEL: Final = {"connect": 6, "udp": 17}  # methods whose packets the kernel makes
TOO_MANY_OPEN: Final = (errno.EMFILE, errno.ENFILE)
"""What it is called that there are not enough descriptors, open(2)."""


def open_parts(run: Run) -> None:
    """Open the part for each protocol, then the file of evidence; say which methods they are.

    Raises:
        PermissionError: a method that was asked for takes a privilege.
        OSError: EMFILE, there are too few descriptors for a method that was asked for; others as
            the kernel says.
    """
    settings = run.settings
    methods: list[Method] = []
    why = ""
    if settings.tcp_ports:
        wanted = next((one for one in settings.methods if one != "udp"), None)
        tcp, why = _open_tcp(run, wanted)
        methods.append(tcp)
    if settings.udp_ports:
        from sockwright.scan.datagrams.datagram_scan import DatagramScan

        run.parts["udp"] = DatagramScan(
            settings.udp_ports, settings, shared=run.shared, seed=run.seed
        )
        methods.append("udp")
    if run.evidence is not None:
        run.evidence.open()
        if protocols := {_BY_KERNEL[one] for one in methods if one in _BY_KERNEL}:
            _watch(run, run.evidence, protocols)
    run.scan.methods = tuple(methods)
    run.scan.why_methods = why or " and ".join(_WORDS[one] for one in methods)


def _watch(run: Run, evidence: EvidenceWriter, protocols: Iterable[int]) -> None:
    """Capture what the kernel sends for us. Raises: PermissionError; OSError."""
    from sockwright.scan.witness import Witness

    try:
        run.witnesses.append(Witness(evidence, protocols))
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            "the packets of a connect or UDP scan are the kernel's; to keep them is to capture "
            "them, which takes CAP_NET_RAW (EPERM)",
        ) from None


def _open_tcp(run: Run, wanted: Method | None) -> tuple[Method, str]:
    """Open the TCP part; say which method it is and why."""
    why = "as asked for; it takes no privilege"
    if wanted != "connect":
        try:
            _open_raw(run, wanted or "syn")
        except PermissionError:
            if wanted is not None:
                raise
            why = "since this process may not open raw sockets"
        except OSError as error:
            if wanted is not None or error.errno not in TOO_MANY_OPEN:
                raise
            why = "since this process may not open the descriptors that a SYN scan takes"
        else:
            if wanted is None:
                return "syn", "a SYN scan, since this process may open raw sockets"
            return wanted, f"{_WORDS[wanted]}, as asked for, by raw sockets"
    from sockwright.scan.connecting.connect_scan import ConnectScan

    run.parts["tcp"] = ConnectScan(
        run.settings.tcp_ports, run.settings, shared=run.shared, seed=run.seed
    )
    return "connect", f"a connect scan, {why}"


def _open_raw(run: Run, method: Method) -> None:
    """Open the part for raw probes. Raises: OSError."""
    from sockwright.scan.sending.raw_scan import RawScan

    settings = run.settings
    for may_raise in (True, False):
        try:
            run.parts["tcp"] = RawScan(
                method,
                settings.tcp_ports,
                settings,
                shared=run.shared,
                seed=run.seed,
                record=run.record,
            )
        except OSError as error:
            from sockwright.scan.descriptors import raise_limit

            if error.errno != errno.EMFILE or not (may_raise and raise_limit()):
                raise
        else:
            return
