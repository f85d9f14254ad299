"""What the pages of a scan say in words: loss, certainty, times, the packet behind a state."""

from __future__ import annotations

from sockwright.cli.units import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sockwright.scan.results import HostResult, PortResult, Service, Summary

__all__ = [
    "certainty",
    "evidence",
    "interval",
    "is_lossy",
    "latency",
    "name_of",
    "percent",
    "version_of",
]

_LITTLE = 0.0005  # of open ports that may be missed
_LIMITS = {
    "icmp": "the host limits its ICMP errors",
    "reset": "the host limits its RSTs",
    "policer": "something on the way limits packets",
}


def percent(part: float, about: str = "") -> str:
    """Return a part of 1, from 0.1 % on with as many digits as it is worth."""
    number = 100 * part
    if 0 < number < 0.1:
        return "under 0.1%"  # without a space, where a line could be folded
    return about + (f"{number:.1f}%" if number < 9.95 else f"{number:.0f}%")


def latency(time_ns: int) -> str:
    """Return a round-trip time in milliseconds, three digits of it."""
    milliseconds = time_ns / 1e6
    if milliseconds < 9.995:
        return f"{milliseconds:.2f} ms" if milliseconds >= 0.01 else "under 0.01 ms"
    return f"{milliseconds:.1f} ms" if milliseconds < 99.95 else f"{milliseconds:.0f} ms"


def interval(time_ns: int) -> str:
    """Return how long something took."""
    seconds = time_ns / 1e9
    if seconds < 100:
        return f"{seconds:.2f} s"
    if seconds < 6000:
        return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    return f"{seconds / 3600:.1f} h"


def certainty(found: HostResult | Summary, what: str = "open port") -> str:
    """Say how much was lost, how many open ports that may have hidden, and whether it is enough.

    `what` may be missed: an open port, or a host.
    """
    if found.loss is None:
        lost = "nothing is known of loss"
    elif not is_lossy(found):
        lost = "nothing lost" if found.answers >= found.probes else "no loss seen"
    else:
        lost = f"{percent(found.loss or 0.0, 'about ')} of the tries lost"
        lost += " and asked again" if found.complete else ""
    missed = found.expected_misses
    if found.complete is None:
        who = "no port" if found.answers else "nobody"
        return f"nothing is known of loss, since {who} answered"
    if not found.complete:
        if missed >= 0.5:
            count = _two_digits(missed)
            return f"{lost}; NOT complete: about {counted(count, what)} may have been missed"
        return f"{lost}; NOT complete"
    if missed < _LITTLE:
        return f"{lost}: complete"
    return f"{lost}; chance of a missed {what} {percent(missed)}: complete"


def _two_digits(number: float) -> int:
    """Return a whole number of which two digits are worth something."""
    whole = max(1, int(number + 0.5))
    return round(whole, 2 - len(str(whole))) if whole > 99 else whole


def is_lossy(found: HostResult | Summary) -> bool:
    """Tell whether packets were lost: an estimate may be above 0 even where none was."""
    from sockwright.scan.engine.rounds import seen_loss

    return bool(seen_loss(found.loss, found.answers))


def evidence(port: PortResult) -> str:
    """Return the packet that proves a state: its name, who sent it, its TTL, when it came."""
    text = port.reason
    if port.sender:
        text += f" from {port.sender}"
    if port.ttl is not None:
        text += f" ttl {port.ttl}"
    parts = [text]
    if port.rtt_ns is not None:
        parts.append(latency(port.rtt_ns))
    if port.attempt > 1:
        parts.append(f"try {port.attempt}")
    elif not port.attempt and port.tries > 1:
        parts.append(f"{port.tries} tries")
    if port.limited:
        parts.append(_LIMITS.get(port.limited, port.limited))
    return ", ".join(parts)


def name_of(port: PortResult, *, asked: bool) -> str:
    """Return the name of a service as nmap writes it.

    ``ssl/http`` is one behind TLS; with a question mark it is only what the number stands for,
    where the service was asked and did not tell.
    """
    service = port.service
    if service is None:
        from sockwright.scan.services.iana import table_name

        name, guessed = table_name(port.port, port.protocol), True
    else:
        name, guessed = service.name, service.method == "table"
    if not name:
        return "unknown"
    if asked and guessed and port.state == "open":
        return f"{name}?"
    return f"ssl/{name}" if service is not None and service.tunnel == "tls" else name


def version_of(service: Service | None) -> str:
    """Return product and version, and what else was said of them."""
    if service is None:
        return ""
    text = " ".join(part for part in (service.product, service.version) if part)
    if service.extra:
        text += f" ({service.extra})"
    if text and service.confidence < 0.6:
        text += f" [confidence {service.confidence:.1f}]"
    return text.strip()
