"""What OpenSSL says when TLS does not come about, in words: reason, likely cause, what to do.

OpenSSL has a name for each reason (``TLSV1_ALERT_UNKNOWN_CA``, from its ``sslerr.h``) and a number
for each failure of a verification (``x509_vfy.h``); alerts are those of RFC 8446, section 6. An
alert is what the peer says of us, everything else is what we say of the peer.
"""

from __future__ import annotations

from sockwright.errors import TLSError
from sockwright.nc.tls.certificate import certificate_names, expiry, fingerprint

__all__ = ["explained"]

_NO_TLS = "what came is not TLS: does the peer speak TLS on this port?"
_NO_VERSION = "no version of TLS is common to both; here it is 1.2 and 1.3 if nothing else is said"
_NOTHING_COMMON = (
    "no cipher, group or signature is common to both, or the server found no certificate that fits"
)
_CHANGED = "octets were changed on the way, or the peer is broken"
_CERTIFICATE_WANTED = "the server wants a certificate of the client: --tls-cert FILE --tls-key FILE"

# reason -> the likely cause
_CAUSES = {
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "PACKET_LENGTH_TOO_LONG": _NO_TLS,
    "ENCRYPTED_LENGTH_TOO_LONG": _NO_TLS,
    "UNKNOWN_PROTOCOL": _NO_TLS,
    "BAD_RECORD_TYPE": _NO_TLS,
    "UNEXPECTED_MESSAGE": _NO_TLS,
    "LENGTH_MISMATCH": _NO_TLS,
    "HTTP_REQUEST": "the client speaks HTTP without TLS",
    "HTTPS_PROXY_REQUEST": "the client takes this for an HTTP proxy",
    "UNSUPPORTED_PROTOCOL": _NO_VERSION,
    "VERSION_TOO_LOW": _NO_VERSION,
    "NO_PROTOCOLS_AVAILABLE": _NO_VERSION,
    "TLSV1_ALERT_PROTOCOL_VERSION": _NO_VERSION,
    "NO_SHARED_CIPHER": _NOTHING_COMMON,
    "NO_SUITABLE_SIGNATURE_ALGORITHM": _NOTHING_COMMON,
    "NO_SUITABLE_KEY_SHARE": _NOTHING_COMMON,
    "NO_SHARED_GROUP": _NOTHING_COMMON,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": f"{_NOTHING_COMMON}, or it wants one of the client",
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": _NOTHING_COMMON,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "this server wants one of each client",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": _CERTIFICATE_WANTED,
    "TLSV1_UNRECOGNIZED_NAME": "the server has nothing by this name (SNI); --tls-name asks for "
    "another",
    "TLSV1_ALERT_NO_APPLICATION_PROTOCOL": "the peer speaks none of the protocols offered (ALPN)",
    "DECRYPTION_FAILED_OR_BAD_RECORD_MAC": _CHANGED,
    "SSLV3_ALERT_BAD_RECORD_MAC": _CHANGED,
    "TLSV1_ALERT_DECRYPT_ERROR": _CHANGED,
    "TLSV1_ALERT_INTERNAL_ERROR": "the peer failed, its log may say why",
    "EE_KEY_TOO_SMALL": "the key of the certificate is too weak to be safe",
    "CA_MD_TOO_WEAK": "the signature of the certificate is too weak to be safe",
    "DH_KEY_TOO_SMALL": "the key of the server is too weak to be safe",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": "the server has no secure renegotiation (RFC 5746)",
}
# The alerts by which a peer refuses our certificate.
_NOT_TRUSTED_THERE = {
    "TLSV1_ALERT_UNKNOWN_CA",
    "SSLV3_ALERT_BAD_CERTIFICATE",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
    "SSLV3_ALERT_CERTIFICATE_REVOKED",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
    "TLSV1_ALERT_ACCESS_DENIED",
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE",
}
_ALERTS = ("SSLV3_ALERT_", "TLSV13_ALERT_", "TLSV1_ALERT_", "TLSV1_")

# X509_V_ERR_…: those where another name or another time is the matter, not trust.
_NOT_YET_VALID, _EXPIRED, _REVOKED, _NAME, _ADDRESS = 9, 10, 23, 62, 64
# Those where nobody who is trusted has signed.
_NOBODY_VOUCHES = {2, 18, 19, 20, 21, 27}


def explained(
    error: OSError, peer: str, *, certificate: bytes | None = None, server_side: bool = False
) -> TLSError:
    """Give the failure of TLS with `peer` ("tls://…") as one line that says what to do.

    `error` is what ``ssl`` raised, or the kernel meanwhile. `certificate` (DER) is the one that was
    not trusted, where it is known.
    """
    code = getattr(error, "verify_code", None)
    if isinstance(code, int):
        message = str(getattr(error, "verify_message", "")).rstrip(".")
        text = _not_verified(code, message, certificate, server_side=server_side)
    else:
        text = _failed(error, server_side=server_side)
    return TLSError(f"TLS with {peer}: {text}")


def _failed(error: OSError, *, server_side: bool) -> str:
    import ssl

    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return (
            "the peer closed the connection in the middle of the handshake: it speaks no TLS on "
            "this port, or wants something else of it"
        )
    if not isinstance(error, ssl.SSLError):
        return f"{error.strerror or error}: the handshake was not finished"
    reason = error.reason or ""
    words = reason
    for prefix in _ALERTS:
        words = words.removeprefix(prefix)
    said = "the peer says" if words != reason else "OpenSSL says"
    words = words.replace("_", " ").lower() or error.strerror or str(error)
    if reason in _NOT_TRUSTED_THERE:
        which = "the certificate of this server" if server_side else "our certificate"
        cause = f"it does not trust {which}"
    else:
        cause = _CAUSES.get(reason, "")
    return f"{said} {words!r}" + (f": {cause}" if cause else "")


def _not_verified(code: int, message: str, certificate: bytes | None, *, server_side: bool) -> str:
    """Return why the certificate of the peer is not trusted, and how it would be."""
    whose = "client" if server_side else "server"
    cause, remedy = "", ""
    if code in {_NAME, _ADDRESS}:
        wanted = message.partition(" valid for ")[2]
        message = f"it is not for {wanted}" if wanted else message
        if certificate and (names := certificate_names(certificate)):
            cause = f"it is for {', '.join(names)}"
        remedy = "--tls-name says which name to expect"
    elif code in {_EXPIRED, _NOT_YET_VALID}:
        valid = expiry(certificate) if certificate else ""
        cause = f"it is valid {valid}" if valid else "its time is over or not yet come"
        cause += ", if the clock of this machine is right"
    elif code in _NOBODY_VOUCHES:
        remedy = (
            "to trust it, give it or who signed it by --tls-client-ca FILE"
            if server_side
            else "to trust it, give it or who signed it by --tls-ca FILE, or this by "
            "--tls-fingerprint"
        )
    shown = f" ({fingerprint(certificate)})" if certificate else ""
    parts = [f"the certificate of the {whose}{shown} is not trusted", message]
    if cause:
        parts.append(cause)
    if not server_side:
        remedy = f"{remedy}; --insecure trusts anybody" if remedy else "--insecure trusts anybody"
    return ": ".join(parts) + (f"; {remedy}" if remedy else "")
