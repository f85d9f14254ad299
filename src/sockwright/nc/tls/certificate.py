"""Certificates (X.509, RFC 5280): made for a listener that has none, and told in a line.

`cryptography` takes 60 ms to load, so it is loaded by what needs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography import x509

__all__ = ["certificate_names", "certificate_text", "expiry", "fingerprint", "make_certificate"]

_DAYS = 7


def fingerprint(der: bytes) -> str:
    """Give the SHA-256 of a certificate (DER) as ``sha256:AB:CD:…``.

    ``openssl x509 -fingerprint -sha256`` shows the same octets.
    """
    from hashlib import sha256

    return "sha256:" + sha256(der).digest().hex(":").upper()


def make_certificate(names: Sequence[str]) -> tuple[bytes, bytes]:
    """Make a key and a certificate of its own for `names` (hosts and addresses) and localhost.

    Gives both in PEM, as one text that should stay in memory, and the certificate in DER. It is
    good for servers and clients, from an hour ago, as clocks differ, for a week.
    """
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    now = datetime.now(UTC)
    hosts = list(dict.fromkeys([*names, "localhost", "127.0.0.1", "::1"]))
    # A common name holds 64 characters at most; what clients look at is the list of names.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    signing = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(_general_names(hosts)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(signing, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    return pem, certificate.public_bytes(serialization.Encoding.DER)


def _general_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    """Return the names as a certificate holds them; names beyond ASCII as IDNA writes them."""
    import ipaddress

    from cryptography import x509

    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host.partition("%")[0])))
        except ValueError:
            found.append(x509.DNSName(host.encode("idna").decode("ascii")))
    return found


def certificate_names(der: bytes) -> list[str]:
    """Give the hosts and addresses that a certificate is for; none where it cannot be read."""
    from cryptography import x509

    try:
        extensions = x509.load_der_x509_certificate(der).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [
            *map(_printable, names.get_values_for_type(x509.DNSName)),
            *map(str, names.get_values_for_type(x509.IPAddress)),
        ]
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension):
        return []


def expiry(der: bytes) -> str:
    """Give from when until when a certificate is valid; nothing where it cannot be read."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except ValueError:
        return ""
    return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"


def certificate_text(der: bytes) -> str:
    """Give a certificate in a line: subject, names, issuer, time, fingerprint."""
    from cryptography import x509

    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = _printable(certificate.subject.rfc4514_string()) or "nobody by name"
        issuer = _printable(certificate.issuer.rfc4514_string()) or "nobody by name"
        own = certificate.issuer == certificate.subject
    except ValueError as error:
        return f"a certificate that cannot be read ({_printable(str(error))}), {fingerprint(der)}"
    names = certificate_names(der)
    return "".join(
        (
            subject,
            f" for {', '.join(names)}" if names else "",
            ", self-signed" if own else f", issued by {issuer}",
            f", valid {expiry(der)}, {fingerprint(der)}",
        )
    )


def _printable(text: str) -> str:
    """Return `text` with what could act on a terminal written as escapes: strangers made it."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text
    )
