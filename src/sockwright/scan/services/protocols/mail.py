"""SMTP, LMTP, FTP, POP3, IMAP, NNTP, ManageSieve: a line of greeting, then questions in lines.

RFC 5321, 2033, 959, 1939, 9051, 3977, 5804. Where TLS is offered inside (STARTTLS), it is begun,
for the certificate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_KNOWN, PROTOCOL_LIKELY, Finding
from sockwright.scan.services.probe import Greeting
from sockwright.scan.services.text import clean, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["GREETINGS"]

_HOST: Final = r"([A-Za-z0-9](?:[A-Za-z0-9-]{0,62}\.){0,8}[A-Za-z0-9-]{1,63})"
_NAME_OF_CLIENT: Final = b"sockwright.invalid"  # RFC 2606: a name that is nobody's


def _read_220(octets: bytes) -> Finding | None:
    """Read ``220``, with which FTP, SMTP, and others begin."""
    line = first_line(octets, 400)
    if line.startswith("500 OOPS: "):
        return Finding("ftp", banner=octets).learn("ftp.refusal", line[4:])
    if not re.match(r"(?:220|421|554|530)[ -]", line) or re.match(r"220 \S{1,100} dictd? \d", line):
        return None
    words = line.lower()
    if re.search(r"ftpd|\bftp\b|filezilla|serv-u", words):
        finding = Finding("ftp", banner=octets, follow=_ftp)
    elif re.search(r"\b(?:e?smtp|lmtp|mail|postfix|exim|sendmail)\b", words):
        finding = Finding("lmtp" if "lmtp" in words else "smtp", banner=octets, follow=_smtp)
    else:
        # Both greet so; the answer to EHLO tells them apart.
        finding = Finding("ftp", confidence=PROTOCOL_LIKELY, banner=octets, follow=_smtp_or_ftp)
    text = line[4:]
    finding.learn(f"{finding.name.replace('lmtp', 'smtp')}.greeting", text)
    if finding.name != "ftp":
        _host_in(finding, text)
    if octets[:3] != b"220":
        finding.extra = finding.extra or f"refuses this client: {line[:80]}"
    return finding


def _host_in(finding: Finding, text: str) -> None:
    match = re.match(_HOST + r"(?=[\s,]|$)", text)
    if match and not finding.hostname:
        finding.hostname = match[1]


def _smtp_or_ftp(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    answer = yield from stream.ask(b"EHLO " + _NAME_OF_CLIENT + b"\r\n", visit.patience)
    text = clean(finding.banner[4:], 400)
    if answer.startswith(b"250"):
        finding.name = "smtp"
        finding.confidence = max(finding.confidence, PROTOCOL_KNOWN)
        finding.learn("smtp.greeting", text)
        _host_in(finding, text)
        yield from _smtp_features(visit, stream, finding, answer)
    elif re.match(rb"5\d\d[ -]", answer):
        # So says FTP, and a server of SMTP that is older than its extensions.
        answer = yield from stream.ask(b"HELO " + _NAME_OF_CLIENT + b"\r\n", visit.patience)
        finding.confidence = max(finding.confidence, PROTOCOL_KNOWN)
        if not answer.startswith(b"250"):
            finding.follow = _ftp
            return
        finding.name = "smtp"
        finding.learn("smtp.greeting", text)
        _host_in(finding, text)
        yield from stream.send(b"QUIT\r\n")


def _smtp(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    verb = b"LHLO " if finding.name == "lmtp" else b"EHLO "
    answer = yield from stream.ask(verb + _NAME_OF_CLIENT + b"\r\n", visit.patience)
    if answer.startswith(b"250"):
        yield from _smtp_features(visit, stream, finding, answer)


def _smtp_features(visit: Visit, stream: Stream, finding: Finding, answer: bytes) -> Steps[None]:
    lines = [clean(line[4:], 80) for line in answer.splitlines()[:40]]
    finding.detail("smtp.extensions", ", ".join(lines[1:]))
    if any(line.upper() == "STARTTLS" for line in lines):
        yield from _start_tls(visit, stream, finding, b"STARTTLS\r\n", b"220")
    else:
        yield from stream.send(b"QUIT\r\n")


def _ftp(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    features = yield from stream.ask(b"FEAT\r\n", visit.patience)
    if features.startswith(b"211"):
        lines = [clean(line, 60) for line in features.splitlines()[1:-1][:40]]
        finding.detail("ftp.features", ", ".join(lines))
    system = yield from stream.ask(b"SYST\r\n", visit.patience)
    if system.startswith(b"215"):
        finding.detail("ftp.system", system[4:])
        finding.learn("ftp.system", clean(system[4:]))
    if b"AUTH TLS" in features.upper():
        yield from _start_tls(visit, stream, finding, b"AUTH TLS\r\n", b"234")
    else:
        yield from stream.send(b"QUIT\r\n")


def _start_tls(
    visit: Visit, stream: Stream, finding: Finding, request: bytes, yes: bytes
) -> Steps[None]:
    from sockwright.scan.services.protocols.tls import upgrade

    if stream.tls is not None:
        return
    answer = yield from stream.ask(request, visit.patience)
    if answer.startswith(yes):
        finding.detail("starttls", "yes")
        yield from upgrade(visit, stream, finding)
    else:
        finding.detail("starttls", f"offered, then refused: {first_line(answer, 80)}")


def _read_pop3(octets: bytes) -> Finding | None:
    if not re.match(rb"(?:\+OK|-ERR)(?: |\r)", octets) or octets.count(b"\n") > 1:
        return None
    finding = Finding("pop3", banner=octets, follow=_pop3)
    return finding.learn("pop3.greeting", first_line(octets)[4:])


def _pop3(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    answer = yield from stream.ask(b"CAPA\r\n", visit.patience)
    lines = [clean(line, 80) for line in answer.splitlines()[1:40] if line != b"."]
    if answer.startswith(b"+OK"):
        finding.detail("pop3.capabilities", ", ".join(lines))
        finding.learn("pop3.capabilities", ", ".join(lines))
        for line in lines:
            if line.startswith("IMPLEMENTATION "):
                finding.learn("pop3.implementation", line.partition(" ")[2])
    if "STLS" in lines:
        yield from _start_tls(visit, stream, finding, b"STLS\r\n", b"+OK")
    else:
        yield from stream.send(b"QUIT\r\n")


def _read_imap(octets: bytes) -> Finding | None:
    if not re.match(rb"\* (?:OK|PREAUTH|BYE)[ \r]", octets):
        return None
    finding = Finding("imap", banner=octets, follow=_imap)
    line = first_line(octets, 400)
    # [CAPABILITY …] comes before the words.
    return finding.learn("imap.greeting", re.sub(r"^\* \w+ (?:\[[^\]]{0,400}\] ?)?", "", line))


def _imap(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    answer = yield from stream.ask(b"a1 CAPABILITY\r\n", visit.patience)
    match = re.search(rb"\* CAPABILITY ([^\r\n]{0,1000})", answer)
    capabilities = match[1] if match else b""
    finding.detail("imap.capabilities", capabilities)
    if b" ID" in capabilities + b" ":  # RFC 2971
        answer = yield from stream.ask(b"a2 ID NIL\r\n", visit.patience)
        told = dict(re.findall(rb'"([a-z-]{1,30})" "([^"\r\n]{1,100})"', answer[:2000]))
        finding.detail("imap.id", b", ".join(b" ".join(pair) for pair in told.items()))
        if not finding.product and b"name" in told:
            name = told[b"name"].decode("utf-8", "replace")
            finding.product_is(name, told.get(b"version", b"").decode("utf-8", "replace"))
    if b"STARTTLS" in capabilities:
        yield from _start_tls(visit, stream, finding, b"a3 STARTTLS\r\n", b"a3 OK")
    else:
        yield from stream.send(b"a4 LOGOUT\r\n")


def _read_nntp(octets: bytes) -> Finding | None:
    if not re.match(rb"(?:200|201|400|502|503) ", octets):
        return None
    line = first_line(octets)
    if not re.search(r"news|nntp|inn|posting|leafnode", line, re.IGNORECASE):
        return None
    return Finding("nntp", banner=octets).learn("nntp.greeting", line[4:])


def _read_sieve(octets: bytes) -> Finding | None:
    match = re.match(rb'"IMPLEMENTATION" "([^"\r\n]{1,200})"', octets)
    if match is None:
        return None
    finding = Finding("sieve", banner=match[0])
    if b'"STARTTLS"' in octets:
        finding.detail("starttls", "yes")
    return finding.learn("sieve.implementation", match[1])


def _greeting(
    name: str,
    read: Callable[[bytes], Finding | None],
    ports: tuple[int, ...],
    tls: tuple[int, ...] = (),
) -> Greeting:
    return Greeting(name, read, ports, tls)


GREETINGS: Final = (
    _greeting("smtp, ftp", _read_220, (20, 21, 24, 25, 587, 2121, 2525), (465, 990, 2525)),
    _greeting("pop3", _read_pop3, (109, 110), (995,)),
    _greeting("imap", _read_imap, (143, 220), (993,)),
    _greeting("nntp", _read_nntp, (119, 433), (563,)),
    _greeting("sieve", _read_sieve, (4190, 2000)),
)
