"""Results in words: what proves the state of a port, and what that does not prove.

What is said comes from the row alone, so it is as true as the row is. A newcomer should understand
it and an expert find nothing in it wrong: where a packet allows two readings, both are given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sockwright.scan.results import PortResult, Service

__all__ = ["explain_port", "routers_on_the_way"]

# Initial TTLs in use: 64 (Linux, the BSDs, macOS), 128 (Windows), 255 (routers, Solaris), 32 (old).
_INITIAL_TTLS = (32, 64, 128, 255)
_MOST_ROUTERS = 31  # ways through the internet are shorter; beyond that the guess says nothing

_ICMP = {
    "port-unreach": "ICMP port unreachable",
    "net-unreach": "ICMP network unreachable",
    "host-unreach": "ICMP host unreachable",
    "proto-unreach": "ICMP protocol unreachable",
    "net-prohibited": "ICMP network administratively prohibited",
    "host-prohibited": "ICMP host administratively prohibited",
    "admin-prohibited": "ICMP communication administratively prohibited",
    "dest-unreach": "ICMP destination unreachable",
    "time-exceeded": "ICMP time exceeded",
    "param-problem": "ICMP parameter problem",
    "no-route": "ICMPv6 no route to destination",
    "addr-unreach": "ICMPv6 address unreachable",
    "beyond-scope": "ICMPv6 beyond scope of source address",
    "reject-route": "ICMPv6 reject route to destination",
    "policy-fail": "ICMPv6 source address failed ingress or egress policy",
}

_LIMITED = {
    "icmp": (
        "The host limits how many ICMP errors it sends a second, so closed ports may have stayed "
        "without the error that would prove them closed."
    ),
    "reset": (
        "The host limits how many RSTs it sends a second, so closed ports may have stayed silent."
    ),
    "policer": (
        "Something on the way lets only so many packets a second pass, so a probe or its answer "
        "may have been dropped there."
    ),
}


def explain_port(port: PortResult) -> str:
    """Say in a few sentences why the port is called what it is called."""
    said = [_verdict(port), *_packet(port), *_consequence(port)]
    if port.service is not None:
        said.append(_service(port.service))
    return " ".join(said)


def routers_on_the_way(ttl: int) -> tuple[int, int] | None:
    """Guess from the TTL of an answer how many routers it passed, and what TTL it started with.

    Each router takes one (RFC 1812 section 5.3.1), and systems start with one of few values; the
    next of those above is taken. None where that would be more routers than any way has.
    """
    for initial in _INITIAL_TTLS:
        if 0 < ttl <= initial:
            return (initial - ttl, initial) if initial - ttl <= _MOST_ROUTERS else None
    return None


def _verdict(port: PortResult) -> str:
    where = f"{port.port}/{port.protocol} of {port.host}"
    if port.reason == "not-asked":
        return f"Nothing is known about port {where}: the scan ended before it was asked."
    return f"Port {where} is {port.state}."


def _packet(port: PortResult) -> list[str]:
    """Say which packet proves the state, which try it answered, how long it took, its TTL."""
    match port.reason:
        case "not-asked":
            return []
        case "localhost-response":
            told = (
                "It is one of the source ports that the scan itself holds on this machine, so "
                "nobody else can listen there: no probe was sent to it."
            )
            return [told]
        case "no-response" | "unproven":
            return [_silence(port)]
        case "syn-ack":
            told = f"A SYN was answered by SYN and ACK{_from(port)}"
        case "syn":
            told = f"A SYN was answered by a SYN without ACK{_from(port)}"
        case "reset" if port.state == "unfiltered":
            told = f"An ACK was answered by RST{_from(port)}"
        case "reset":
            told = f"The probe was answered by RST{_from(port)}"
        case "conn-accept":
            told = "connect(2) succeeded, so the host answered SYN by SYN and ACK"
        case "conn-refused":
            told = "connect(2) failed with ECONNREFUSED, so the host answered by RST"
        case "udp-response":
            told = f"A datagram came back from that port{_from(port)}"
        case "no-route" if not port.attempt and not port.sender:
            return ["This machine has no route to the host: no packet was sent."]
        case word if word in _ICMP:
            what = "segment" if port.protocol == "tcp" else "datagram"
            by = f"{port.sender}, which is not the host itself," if port.sender else "The host"
            told = f"{by} answered the {what} by {_ICMP[word]}"
        case word:
            told = f"The reason noted is {word}{_from(port)}"
    said = [told + _which_try(port) + "."]
    if port.ttl is not None:
        said.append(_ttl(port, port.ttl))
    return said


def _from(port: PortResult) -> str:
    return f", sent by {port.sender}, which is not the host itself," if port.sender else ""


def _which_try(port: PortResult) -> str:
    after = "" if port.rtt_ns is None else f" after {_duration(port.rtt_ns)}"
    if not port.attempt:
        return after + ("" if port.rtt_ns is not None else "; which try it answered is not known")
    if port.attempt == 1:
        return (
            f"{after}, at the first try"
            if port.tries <= 1
            else f"{after}: it answers the first try of {port.tries}"
        )
    earlier = (
        "the try before it" if port.attempt == 2 else f"the {port.attempt - 1} tries before it"
    )
    why = "so packets are lost on the way"
    if port.reason in _ICMP:
        why = "since packets are lost on the way or ICMP errors are limited"
    return f"{after}, at try {port.attempt}; {earlier} went unanswered, {why}"


def _ttl(port: PortResult, ttl: int) -> str:
    guess = routers_on_the_way(ttl)
    name = "hop limit" if ":" in (port.sender or port.host) else "TTL"
    if guess is None:
        return f"It came with {name} {ttl}, which says nothing about the distance."
    routers, initial = guess
    if not routers:
        return f"It came with {name} {ttl}, as systems send it: no router was on the way."
    way = "one router" if routers == 1 else f"{routers} routers"
    return f"It came with {name} {ttl}: {way} on the way, if its sender starts at {initial}."


def _silence(port: PortResult) -> str:
    if port.tries > 1:
        return f"None of {port.tries} tries was answered."
    return "The one try was not answered." if port.tries else "No answer came."


def _consequence(port: PortResult) -> list[str]:
    """Say what the state means, and what else could look the same."""
    said = []
    match port.state, port.reason:
        case _, "not-asked" | "localhost-response":
            return []
        case "open", "syn":
            said.append(
                "That is a simultaneous open (RFC 9293 section 3.5), or a device that answers in "
                "the host's place; either way a connection can be made."
            )
        case "open", _ if port.protocol == "udp":
            said.append("A service is there and understood the datagram.")
        case "open", _:
            said.append(
                "A connection can be made; the scan did not send anything over it."
                if port.service is None
                else "A connection can be made."
            )
        case "closed", "port-unreach":
            said.append(
                "The host can be reached and no program has that port (RFC 1122 section 4.1.3.1)."
            )
        case "closed", _:
            said.append(
                "The host can be reached and no program listens there (RFC 9293 section 3.5.2)."
            )
        case "unfiltered", _:
            said.append(
                "So nothing keeps packets from the port; whether it is open, an ACK cannot tell."
            )
        case "filtered", "no-response" if port.limited == "icmp":
            said.append(
                "Some ports of the host are rejected by ICMP errors, which seem to be limited to a "
                "few a second: this one may be rejected as well, or its packets are dropped."
            )
            return said
        case "filtered", "no-response":
            said.append(
                "An open port would have answered by SYN and ACK and a closed one by RST, so "
                "something drops the packets: a firewall, or a bad network if few tries were "
                "made. A firewall that rejects them looks the same while its ICMP errors are "
                "limited."
            )
        case "filtered", "time-exceeded":
            said.append("The packet ran in a circle between routers and never reached the host.")
        case "filtered", "port-unreach":
            said.append(
                "A host answers a closed TCP port by RST, so this is the word of a firewall."
            )
        case "filtered", word if "prohibited" in word or word in {"policy-fail", "reject-route"}:
            said.append(
                "A firewall refuses the packets, so what the port itself would say is not known."
            )
        case "filtered", _:
            said.append("The packets do not reach the port, so what it would say is not known.")
        case "open|filtered", _ if port.protocol == "udp":
            said.append(
                "A closed port would have drawn ICMP port unreachable. A service that does not "
                "understand the datagram keeps silent, and so does a firewall: the two look alike."
            )
        case "open|filtered", _:
            said.append(
                "To a segment with FIN, with FIN, PSH and URG, or without flags a closed port "
                "answers by RST and an open one by nothing (RFC 9293 section 3.10.7), as a "
                "firewall does: the two look alike."
            )
    if port.limited:
        said.append(_LIMITED.get(port.limited, f"Answers were limited: {port.limited}."))
    return said


def _service(service: Service) -> str:
    if service.method == "table":
        return f"Its number is registered for {service.name}; nobody asked what really answers."
    what = " ".join(filter(None, (service.product, service.version))) or service.name
    how = f" ({service.name})" if what != service.name else ""
    tls = " behind TLS" if service.tunnel == "tls" else ""
    return f"What answers there is {what}{how}{tls}, with confidence {service.confidence:.2f}."


def _duration(time_ns: int) -> str:
    """Return a time in milliseconds, as the table of a scan has it, long ones in seconds."""
    if time_ns < 10_000:
        return "less than 0.01 ms"
    if time_ns < 9_995_000:
        return f"{time_ns / 1e6:.2f} ms"
    if time_ns < 1_000_000_000:
        return f"{time_ns / 1e6:.3g} ms"
    return f"{time_ns / 1e9:.2f} s" if time_ns < 10_000_000_000 else f"{time_ns / 1e9:.1f} s"
