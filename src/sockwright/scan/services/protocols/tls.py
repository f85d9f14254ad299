"""TLS (RFC 8446, RFC 5246): versions, certificate, ALPN, and what speaks inside.

The certificate is shown whether or not anybody should trust it; ``tls.verified`` says whether the
system's list of authorities does. Its names are not compared with the address that was scanned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sockwright.scan.services.finding import PROTOCOL_KNOWN, Finding
from sockwright.scan.services.hello import ALERTS, VERSIONS, client_hello, read_server_hello
from sockwright.scan.services.iana import table_name
from sockwright.scan.services.probe import Probe
from sockwright.scan.services.stream import NotReached

if TYPE_CHECKING:
    import ssl

    from sockwright.scan.services.probe import Visit
    from sockwright.scan.services.stream import Stream
    from sockwright.scan.services.waiting import Steps

__all__ = ["TLS", "upgrade"]

_PORTS: Final = (
    261, 443, 448, 465, 563, 636, 832, 853, 989, 990, 992, 993, 994, 995, 1443, 1965, 2376, 2443,
    3269, 3389, 3443, 4433, 4443, 4444, 5061, 5223, 5349, 5443, 5671, 5986, 6379, 6380, 6443, 6514,
    6697, 7443, 8006, 8443, 8834, 8883, 9001, 9443, 10250, 10443, 12443, 15671, 20000, 64738,
)  # fmt: skip
_ALPN: Final = ["h2", "http/1.1"]  # RFC 7301


def _read(octets: bytes) -> Finding | None:
    if read_server_hello(octets) is None:
        return None
    return Finding("tls", confidence=PROTOCOL_KNOWN, tunnel=True, follow=_inside)


def _inside(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    from sockwright.scan.services.examining import examine

    finding.banner = b""
    stream.close()
    if visit.context is not None:  # TLS inside TLS: once is enough
        return
    yield from _versions(visit, finding)
    port = visit.place.port
    finding.name = table_name(port, "tcp").removesuffix("-s") or "unknown"
    yield from _certificate(visit, finding)
    inner: Finding | None = None
    if "tls.error" not in finding.details:
        try:
            inner = yield from examine(visit.inside(_context(verify=False)))
        except NotReached as why:
            finding.detail("tls.inside", str(why))
    if inner is not None and inner.name == "tcpwrapped":
        wanted = "CERTIFICATE_REQUIRED" in visit.budget.alert
        told = "a certificate of the client is wanted" if wanted else inner.extra
        finding.detail("tls.inside", told)
        inner = None
    if inner is None:
        if not finding.product:  # which a certificate may tell
            finding.extra = "TLS; nothing is known about what it protects"
            finding.confidence = PROTOCOL_KNOWN if finding.name == "tls" else 0.5
        return
    _adopt(finding, inner)


def _adopt(finding: Finding, inner: Finding) -> None:
    """Take over what speaks inside."""
    for key in (
        "name", "confidence", "product", "version", "extra", "os", "device", "banner", "read",
    ):  # fmt: skip
        setattr(finding, key, getattr(inner, key))
    finding.hostname = inner.hostname or finding.hostname
    for cpe in inner.cpe:
        finding.add_cpe(cpe)
    for key, value in inner.details.items():
        finding.detail(key, value)


def upgrade(visit: Visit, stream: Stream, finding: Finding) -> Steps[None]:
    """Begin TLS on a connection after STARTTLS, for the certificate; the stream is used up."""
    import ssl

    try:
        yield from stream.start_tls(_context(verify=False), visit.place.name)
    except (ssl.SSLError, NotReached) as error:
        finding.detail("tls.error", getattr(error, "reason", "") or str(error))
        return
    _describe(stream, finding)


def _versions(visit: Visit, finding: Finding) -> Steps[None]:
    accepted, alerts = [], set()
    for version, name in VERSIONS.items():
        try:
            stream = yield from visit.dial_plain()
        except NotReached:
            return
        try:
            hello = client_hello(version, visit.place.name)
            octets = yield from stream.ask(hello, visit.patience, settle=0.02)
        finally:
            stream.close()
        answer = read_server_hello(octets)
        if answer is not None and answer.version == version:
            accepted.append(name)
        elif answer is not None and answer.alert >= 0:
            alerts.add(ALERTS.get(answer.alert, str(answer.alert)))
    finding.detail("tls.versions", ", ".join(accepted))
    if not accepted:
        finding.detail("tls.refusal", ", ".join(sorted(alerts)))


def _certificate(visit: Visit, finding: Finding) -> Steps[None]:
    """Shake hands with verification; where that fails, without."""
    import ssl

    for verify in (True, False):
        stream = yield from visit.dial_plain()
        try:
            context = _context(verify=verify)
            context.set_alpn_protocols(_ALPN)
            yield from stream.start_tls(context, visit.place.name)
        except ssl.SSLCertVerificationError as error:
            finding.detail("tls.verified", f"no: {error.verify_message}")
            continue
        except ssl.SSLError as error:
            if not verify:
                finding.detail("tls.error", (error.reason or str(error)).lower().replace("_", " "))
            continue
        except NotReached as why:
            if not verify:
                finding.detail("tls.error", str(why))
            continue
        else:
            assert stream.tls is not None
            shown = stream.tls.getpeercert(binary_form=True) is not None
            if verify or not shown:  # suites without certificates are taken as they come
                finding.detail("tls.verified", "yes" if shown else "no: no certificate")
            _describe(stream, finding)
            return
        finally:
            stream.close()


def _describe(stream: Stream, finding: Finding) -> None:
    tls = stream.tls
    assert tls is not None
    cipher = tls.cipher()
    finding.detail("tls.cipher", cipher[0] if cipher else "")
    finding.detail("tls.version", tls.version() or "")
    if alpn := tls.selected_alpn_protocol():
        finding.detail("tls.alpn", alpn)
    if der := tls.getpeercert(binary_form=True):
        _describe_certificate(der, finding)


def _describe_certificate(der: bytes, finding: Finding) -> None:
    from sockwright.nc.tls.certificate import certificate_names, fingerprint

    finding.detail("tls.fingerprint", fingerprint(der))
    try:
        import warnings

        from cryptography import x509

        with warnings.catch_warnings():  # of odd certificates, which are what a scan is for
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            finding.detail("tls.subject", certificate.subject.rfc4514_string() or "(empty)")
            finding.detail("tls.issuer", certificate.issuer.rfc4514_string() or "(empty)")
            finding.detail("tls.not_before", certificate.not_valid_before_utc.isoformat())
            finding.detail("tls.not_after", certificate.not_valid_after_utc.isoformat())
            finding.detail("tls.names", ", ".join(certificate_names(der)))
            both = f"{finding.details['tls.subject']} by {finding.details['tls.issuer']}"
            finding.learn("tls.certificate", both)
            common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            if common and not finding.hostname and "." in str(common[0].value):
                finding.hostname = str(common[0].value)
    except ValueError as error:
        finding.detail("tls.certificate", f"cannot be read: {error}")


def _context(*, verify: bool) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context() if verify else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if not verify:
        context.verify_mode = ssl.CERT_NONE  # it is looked at, not trusted: nothing secret is sent
    # Old servers are to be seen too.
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.options |= getattr(ssl, "OP_LEGACY_SERVER_CONNECT", 0x4)
    return context


TLS = Probe(
    "tls",
    lambda place: client_hello(0x0303, place.name),
    _read,
    ports=_PORTS,
    everywhere=2,
)
